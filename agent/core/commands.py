"""What operators order: one verb, one effect, one record with who ordered it and from where."""

from __future__ import annotations

from agent.core import alarms, effects
from agent.core.state import State
from agent.core.types import Command, Now, Order, Record, Verb
from config.words import Lane


def obey(state: State, command: Command, now: Now, orders: list[Order]) -> list[Record]:
    """Carry out one order: its record first, then what came of it."""
    body: dict[str, str | int] = {
        "verb": command.verb.value,
        "who": command.who,
        "source": command.source,
    }
    out: list[Record] = []
    if command.verb is Verb.ACKNOWLEDGE:
        body["points"] = alarms.acknowledge(state.alarms)
    elif command.verb is Verb.SILENCE:
        if state.effects.active or state.alarms.vote.any():
            alarms.silence(state.alarms)
        settle_outputs(state, now, out, orders)
    elif command.verb is Verb.RESET:
        stamp = (now.mono_ns, now.wall_ns)
        cleared, refused, out = alarms.reset(state.alarms, state.site, state.image, stamp)
        body["cleared"], body["refused"] = cleared, refused
        effects.reset(state.effects, state.alarms)
        settle_outputs(state, now, out, orders)
    elif command.verb is Verb.EVACUATE:
        effects.evacuate(state.effects, state.alarms)
    return [Record(Lane.EVENT, "operator", "operator", now.mono_ns, dict(body)), *out]


def settle_outputs(state: State, now: Now, out: list[Record], orders: list[Order]) -> None:
    """From now on outputs that nothing causes are off: somebody who knows the place was here."""
    more_orders, more = effects.settle(state.effects, state.site, now.mono_ns)
    orders += more_orders
    out += more
