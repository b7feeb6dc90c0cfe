"""What operators order: one verb, one effect, one record with who ordered it and from where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.core import alarms, classify, delay, disable, effects, many, panel, signals, walktest
from agent.core.state import State
from agent.core.types import Command, Now, Order, Record, Verb
from config.limits import ORDER_TEXT_CHARS_MAX, S
from config.words import Lane

_ORDERS: dict[Verb, Callable[[State, Command, Now], tuple[str, list[Record]]]] = {
    Verb.DISABLE: disable.disable,
    Verb.ENABLE: disable.enable,
    Verb.CLASSIFY: classify.classify,
}
"""Orders about a target: (what was wrong with the order, "" when it was carried out; records)."""
_REAL = (Verb.EVACUATE, Verb.MANUAL)  # whoever orders these does not test, and waits no more


def obey(state: State, command: Command, now: Now, orders: list[Order]) -> list[Record]:
    """Carry out one order: its record first, then what came of it."""
    body: dict[str, Any] = {
        "verb": command.verb.value,
        "who": command.who,
        "source": command.source,
        **_said(command),
    }
    out: list[Record] = []
    if command.verb is Verb.ACKNOWLEDGE:
        body["points"] = alarms.acknowledge(state.alarms)
        body |= signals.acknowledge(state)
        body |= signals.seen(state)
    elif command.verb is Verb.SILENCE:
        if state.effects.active or state.alarms.vote.any():
            alarms.silence(state.alarms)
        signals.seen(state)
        settle_outputs(state, now, out, orders)
    elif command.verb is Verb.RESET:
        stamp = (now.mono_ns, now.wall_ns)
        cleared, refused, out = many.reset(state.alarms, state.site, state.image, stamp)
        ended = panel.reset(state.book, state.alarms, state.site, now.mono_ns)
        out += ended
        more_cleared, more_refused, more = signals.reset(state, now)
        body["cleared"] = cleared + more_cleared + len(ended)
        body["refused"] = refused + more_refused
        out += more
        effects.reset(state.effects, state.alarms)
        if state.signals.manual is not None:  # its button is still down
            effects.evacuate(state.effects, state.alarms)
        settle_outputs(state, now, out, orders)
    elif command.verb is Verb.EVACUATE:
        effects.evacuate(state.effects, state.alarms)
    elif command.verb in _ORDERS:
        wrong, out = _ORDERS[command.verb](state, command, now)
        body |= {"error": wrong} if wrong else {}
    elif command.verb is Verb.TEST:
        action = walktest.start if command.target else walktest.stop
        wrong, out = action(state, command, now)
        body |= {"error": wrong} if wrong else {}
    elif command.verb in signals.VERBS:
        out += signals.obey(state, command, now, orders, body)
        if command.verb is Verb.MANUAL:  # what a manual call point does, the gateway's own does
            effects.evacuate(state.effects, state.alarms)
    if command.verb in _REAL:
        out += walktest.interrupt(state, now, f"{command.verb.value} by {command.who}")
        out += delay.interrupt(state, now)
    return [Record(Lane.EVENT, "operator", "operator", now.mono_ns, dict(body)), *out]


def _said(command: Command) -> dict[str, str | int]:
    """What an order was about and why, as it was said."""
    words = {key: getattr(command, key)[:ORDER_TEXT_CHARS_MAX] for key in ("target", "word", "why")}
    said: dict[str, str | int] = {key: value for key, value in words.items() if value}
    if command.duration_ns:
        said["duration_s"] = command.duration_ns // S
    return said


def settle_outputs(state: State, now: Now, out: list[Record], orders: list[Order]) -> None:
    """From now on outputs that nothing causes are off: somebody who knows the place was here."""
    more_orders, more = effects.settle(state.effects, state.site, now.mono_ns)
    orders += more_orders
    out += more
