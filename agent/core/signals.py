"""The gateway's own signals: lamps, buzzer, fault output, keys, manual alarm, duty, tests.

It runs at the end of a cycle, on what all else decided: facts of the state become patterns of the
outputs that mean something, and the orders of the matrix pass through the tests that run. An
output is driven either from here (it has a meaning) or by the matrix, never by both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.core import calls, contacts, effects, lamps, panel, trials
from agent.core.alarms import FirstAlarm, PastAlarm
from agent.core.site import Site
from agent.core.types import Command, DutyCheck, Inputs, Now, Order, Record, Verb
from config.limits import (
    DUTY_CHECKS_MAX,
    DUTY_WAIT_NS,
    NAME_CHARS_MAX,
    TEST_NS_DEFAULT,
    TEST_NS_MAX,
)
from config.rhythms import RHYTHMS
from config.words import Flag, InputRole, Lane, OutputKind
from drivers.reading import ReadBack

if TYPE_CHECKING:
    from agent.core.state import State

VERBS = frozenset({Verb.MANUAL, Verb.DUTY, Verb.SIREN_TEST, Verb.LAMP_TEST})
_FIRE_LANE = Lane.FIRE
_FIRE_MANUAL = int(Flag.FIRE | Flag.MANUAL)
_TEST, _DISABLED, _FAULT = int(Flag.TEST), int(Flag.DISABLED), int(Flag.FAULT)


@dataclass(frozen=True, slots=True)
class Manual:
    """The manual alarm of the gateway itself: a fire that stands until reset."""

    name: str
    who: str
    mono_ns: int
    wall_ns: int
    acked: bool = False


@dataclass(slots=True)
class Signals:
    """driven: outputs with a meaning, with orders and read-backs of their own."""

    panel: contacts.Panel
    calls: calls.Calls
    driven: effects.Outputs
    mine: tuple[int, ...]
    tried: tuple[int, ...]  # what the matrix drives: sirens and relays
    trials: trials.Trials = field(default_factory=trials.Trials)
    manual: Manual | None = None
    duty: dict[str, tuple[int, str]] = field(default_factory=dict)  # courier -> since, text
    lamp_test_ns: int = 0  # until
    alarms_heard: int = 0  # of the lifetime count
    alarms_seen: int = 0  # of the lifetime count, when somebody acknowledged or silenced
    fire_unseen: bool = False
    fault_unseen: bool = False
    failed: bool = False
    watching: bool = False  # readings came since the start: before, all is not known to be well


def new_signals(site: Site) -> Signals:
    """Nothing shown, nothing known of the inputs."""
    outputs = list(enumerate(site.plan.outputs))
    return Signals(
        panel=contacts.new_panel(site),
        calls=calls.Calls(frozenset(c.name for c in site.plan.couriers)),
        driven=effects.Outputs(settled=True),
        mine=tuple(k for k, o in outputs if o.means or o.kind == OutputKind.FAULT),
        tried=tuple(
            k for k, o in outputs
            if not o.means and o.kind in (OutputKind.SIREN, OutputKind.RELAY)
        ),
    )  # fmt: skip


# --- inputs and verbs -----------------------------------------------------------------------------


def step(state: State, inputs: Inputs, now: Now) -> tuple[list[Command], list[Record]]:
    """Contacts, the record's word of the fire lane, duty checks."""
    s: Signals = state.signals
    commands, out = contacts.step(s.panel, state.site, state.image, inputs.levels, now.mono_ns)
    if contacts.look(s.panel, state.site):
        state.alarms.touched = True  # rows of the matrix look at inputs, too
    s.watching = s.watching or bool(inputs.blocks) or not state.site.plan.polls
    for delivery in inputs.deliveries:
        calls.told(s.calls, delivery, now.mono_ns)
    for check in inputs.duty_checks:
        out += _duty_check(s, check, now.mono_ns)
    for courier, (since_ns, _) in list(s.duty.items()):
        if now.mono_ns - since_ns >= DUTY_WAIT_NS:
            out += _duty_over(s, courier, now.mono_ns, "missed")
    return commands, out


def _duty_check(s: Signals, check: DutyCheck, now_ns: int) -> list[Record]:
    if not check.asked:
        return _duty_over(s, check.courier, now_ns, "over")
    if check.courier not in s.duty and len(s.duty) >= DUTY_CHECKS_MAX:
        return []
    s.duty[check.courier] = (now_ns, check.text)
    body = {"name": check.courier, "state": "asked", "text": check.text}
    return [Record(Lane.EVENT, f"duty/{check.courier}", "duty", now_ns, body)]


def _duty_over(s: Signals, courier: str, now_ns: int, how: str) -> list[Record]:
    if s.duty.pop(courier, None) is None:
        return []
    body = {"name": courier, "state": how}
    return [Record(Lane.EVENT, f"duty/{courier}", "duty", now_ns, body)]


def obey(
    state: State, command: Command, now: Now, orders: list[Order], body: dict[str, Any]
) -> list[Record]:
    """Carry out one of VERBS; what came of it goes into `body`."""
    s: Signals = state.signals
    if command.verb is Verb.MANUAL:
        return _manual_alarm(state, command, now)
    if command.verb is Verb.DUTY:
        body["answered"] = list(s.duty)
        return [r for name in list(s.duty) for r in _duty_over(s, name, now.mono_ns, "answered")]
    span = min(command.duration_ns or TEST_NS_DEFAULT, TEST_NS_MAX)
    if command.verb is Verb.LAMP_TEST:
        s.lamp_test_ns = now.mono_ns + span
        body["outputs"] = len(s.mine)
        return []
    return _siren_test(state, command, (now.mono_ns, now.mono_ns + span), orders, body)


def _siren_test(
    state: State, command: Command, span: tuple[int, int], orders: list[Order], body: dict[str, Any]
) -> list[Record]:
    s: Signals = state.signals
    pattern = command.word or "evacuate"
    chosen = _named(state, command.target)
    if fire_stands(state):
        body["refused"] = "there is a fire"
    elif pattern not in RHYTHMS:
        body["refused"] = "no such pattern"
    elif not chosen:
        body["refused"] = "no siren of that name is off and in service"
    else:
        body["outputs"] = len(chosen)
        orders += trials.sound(s.trials, chosen, command.verb.value, command.who, span, pattern)
    return []


def _named(state: State, target: str) -> list[int]:
    """All sirens, or the one siren or relay that `output/NAME` names; not one that is on."""
    outputs = state.site.plan.outputs
    on = {k for k, c in state.effects.commanded.items() if c.on} | set(state.effects.held)
    on |= {k for k, reads in state.effects.reads.items() if reads}  # why, is not known yet
    on |= state.effects.barred  # a disabled siren is not sounded for a test either
    return [
        k for k in state.signals.tried
        if k not in on
        and (target == f"output/{outputs[k].name}"
             or (not target and outputs[k].kind == OutputKind.SIREN))
    ]  # fmt: skip


def _manual_alarm(state: State, command: Command, now: Now) -> list[Record]:
    """A fire of its own, called before all else; pressed again, it is called again."""
    s, a = state.signals, state.alarms
    name = command.who if command.source == "input" else "manual alarm"
    s.manual = Manual(name, command.who, now.mono_ns, now.wall_ns)
    a.count += 1
    a.silenced = False
    a.touched = a.unsaved = True
    a.last.append(PastAlarm(a.count, "manual", name, now.wall_ns))
    if a.first is None:
        a.first = FirstAlarm("manual", name, now.mono_ns, now.wall_ns)
    body = {"name": name, "who": command.who, "from": 0, "to": _FIRE_MANUAL,
            "number": a.count}  # fmt: skip
    return [Record(Lane.FIRE, "manual", "manual", now.mono_ns, body)]


def dump(state: State) -> list[str | int | bool]:
    """What of it outlives a restart: the manual alarm's name, its wall ns, and whether somebody
    acknowledged it; [] without one."""
    manual = state.signals.manual
    if manual is None:
        return []
    return [manual.name, manual.wall_ns, *([True] if manual.acked else [])]


def restore(state: State, kept: Any, now: Now) -> list[Record]:
    """The manual alarm stood before the restart. Whatever else `kept` is counts as one, too."""
    if not kept or state.signals.manual is not None:
        return []
    named = isinstance(kept, list) and len(kept) in (2, 3)
    name = str(kept[0])[:NAME_CHARS_MAX] if named else "manual alarm"
    wall_ns = kept[1] if named and type(kept[1]) is int and 0 <= kept[1] < 2**63 else 0
    acked = named and kept[2:] == [True]
    state.signals.manual = Manual(name, "", now.mono_ns, wall_ns, acked)
    state.alarms.touched = True
    body = {"name": name, "from": 0, "to": _FIRE_MANUAL, "why": "recalled"}
    return [Record(Lane.FIRE, "manual", "manual", now.mono_ns, body)]


def recall_seen(state: State, count: int, seen: Any, added: int) -> None:
    """What people had seen before the restart is no news to them again.

    count: alarms of the lives before; seen: how many of them were when somebody acknowledged or
    silenced; added: by how many the count grew now.
    """
    s: Signals = state.signals
    if seen != count:
        return
    s.alarms_heard += added
    total = state.alarms.count
    # Whatever was read since the start stood before, or was seen since.
    if total == count or s.alarms_seen == total - added:
        s.fire_unseen = False
        s.alarms_seen = total


def unacknowledged(state: State) -> int:
    """Fires that nobody has acknowledged: of points, of panels, the manual alarm."""
    a, manual = state.alarms, state.signals.manual
    points = int(np.count_nonzero(a.vote & ~a.acked))
    return points + panel.unseen(state.book) + int(manual is not None and not manual.acked)


def acknowledge(state: State) -> dict[str, int]:
    """Somebody has seen what panels told, and the manual alarm: how many were new."""
    s: Signals = state.signals
    others = panel.acknowledge(state.book)
    if s.manual is not None and not s.manual.acked:
        s.manual = replace(s.manual, acked=True)
        others += 1
    state.alarms.unsaved = state.alarms.unsaved or others > 0
    return {"others": others} if others else {}


def reset(state: State, now: Now) -> tuple[int, int, list[Record]]:
    """Clear the manual alarm, unless its button is still down: (cleared, refused, records)."""
    s: Signals = state.signals
    if s.manual is None:
        return 0, 0, []
    if contacts.pressed(s.panel, state.site, InputRole.MANUAL):
        return 0, 1, []
    body = {"name": s.manual.name, "from": _FIRE_MANUAL, "to": 0, "why": "reset"}
    s.manual = None
    state.alarms.touched = state.alarms.unsaved = True
    return 1, 0, [Record(Lane.FIRE, "manual", "manual", now.mono_ns, body)]


def seen(state: State) -> dict[str, int]:
    """Somebody acknowledged or silenced: the tones end, and so do tests that sound.

    What was seen beside fires: faults (1: some).
    """
    s: Signals = state.signals
    told = {"faults": int(s.fault_unseen)}
    s.fire_unseen = s.fault_unseen = False
    if s.alarms_seen != state.alarms.count:
        s.alarms_seen = state.alarms.count
        state.alarms.unsaved = True  # for a restart
    return {key: value for key, value in told.items() if value}


# --- read-backs -----------------------------------------------------------------------------------


def read_back(state: State, read: ReadBack, now_ns: int) -> tuple[list[Order], list[Record]] | None:
    """A read-back of an output that is driven or tested from here; None: it is the matrix's."""
    s: Signals = state.signals
    if read.output in s.mine:
        orders, more = effects.read_back(s.driven, state.site, read, now_ns)
        return [_unkept(o) for o in orders], [r for r in more if "fault" in r.body]
    return ([], []) if trials.read(s.trials, read) else None


def _unkept(order: Order) -> Order:
    return Order(order.output, order.on, order.pattern, order.mono_ns, kept=False)


# --- the end of a cycle ---------------------------------------------------------------------------


def finish(
    state: State, orders: list[Order], out: list[Record], now: Now, silenced: bool
) -> list[Order]:
    """The orders of the cycle with tests and lamps; adds records to `out`."""
    s: Signals = state.signals
    now_ns = now.mono_ns
    final = [o for o in orders if not o.kept or o.output in s.mine]
    final += trials.matrix(s.trials, [o for o in orders if o.kept and o.output not in s.mine])
    fire = fire_stands(state)
    if s.trials.running:
        for k in s.trials.running.keys() & state.effects.barred:
            s.trials.running[k].until_ns = now_ns
        ended, more = trials.give_back(
            s.trials, state.site, now_ns, all_of_them=silenced, fire=fire
        )
        final += ended
        out += more
    if not fire:
        final += _scheduled(state, now)
    _hear(s, state, out, now_ns)
    if s.mine:
        final += _draw(state, _facts(state, fire, now_ns), now_ns)
        out += effects.overdue(s.driven, state.site, now_ns)
    return final


def _scheduled(state: State, now: Now) -> list[Order]:
    s: Signals = state.signals
    if state.recalled and trials.audible_due(s.trials, state.site, now):
        state.alarms.unsaved = True  # the week, for a restart
        span = now.mono_ns, now.mono_ns + state.site.plan.self_tests[0].duration_ns
        return trials.sound(s.trials, _named(state, ""), "audible", "", span)
    if trials.silent_due(s.trials, state.site, now.mono_ns):
        off = _named(state, "")
        relays = [k for k in s.tried if k not in off and k not in state.effects.commanded]
        idle = [k for k in (*off, *relays) if k not in s.trials.running]
        never = {k for k in idle if k not in state.effects.commanded}
        return trials.retry_writes(s.trials, idle, never, now.mono_ns)
    return []


def _hear(s: Signals, state: State, out: Sequence[Record], now_ns: int) -> None:
    """What is new to people: a fire, a fault, a call that failed."""
    if state.alarms.count > s.alarms_heard:
        s.fire_unseen = True
    s.alarms_heard = state.alarms.count
    if not out:
        return
    called, fault = False, s.fault_unseen
    for lane, _, what, _, body in out:  # thousands, after some orders
        if lane is _FIRE_LANE:
            called = True
        if what != "point":
            fault = fault or body.get("fault") is True
        elif body["to"] & _FAULT and not body["from"] & _FAULT:
            fault = True
    if called:
        calls.made(s.calls, now_ns)
    s.fault_unseen = fault


def _facts(state: State, fire: bool, now_ns: int) -> lamps.Facts:
    s: Signals = state.signals
    flags = int(np.bitwise_or.reduce(state.alarms.flags, initial=0))
    flags |= int(np.bitwise_or.reduce(state.zones.flags, initial=0))
    for standing in state.book.standing.values():
        flags |= standing
    sending, sent, failed = calls.stand(s.calls, fire, now_ns)
    if failed and not s.failed:
        s.fault_unseen = True  # GB 26875.1: a failed call is heard
    s.failed = failed
    fault = bool(flags & _FAULT) or failed or faults_stand(state)
    if not fault:
        s.fault_unseen = False
    if not fire:
        s.fire_unseen = False
    return lamps.Facts(
        fire=fire,
        fire_unseen=s.fire_unseen,
        fault=fault,
        fault_unseen=s.fault_unseen,
        disabled=bool(flags & _DISABLED or state.disabled.standing),
        test=bool(flags & _TEST) or s.trials.sounding or now_ns < s.lamp_test_ns,
        duty=bool(s.duty),
        sending=sending,
        sent=sent,
        failed=failed,
        mains=contacts.mains(s.panel, state.site),
    )


def _draw(state: State, facts: lamps.Facts, now_ns: int) -> list[Order]:
    s: Signals = state.signals
    out = []
    for k in s.mine:
        output = state.site.plan.outputs[k]
        pattern = lamps.shown(output.kind, output.means, facts)
        if output.kind == OutputKind.FAULT:
            pattern = pattern if s.watching else "steady"
        elif now_ns < s.lamp_test_ns:
            pattern = "steady"
        if k in state.effects.barred:
            pattern = ""  # a disabled lamp or buzzer; the fault output cannot be
        last = s.driven.commanded.get(k)
        if last is not None and last.pattern == pattern:
            continue
        s.driven.commanded[k] = effects.Commanded(bool(pattern), pattern, now_ns)
        s.driven.unproven_ns[k] = now_ns
        out.append(Order(k, bool(pattern), pattern, now_ns, kept=False))
    return out


def fire_stands(state: State) -> bool:
    """Whether there is any fire: a point's, a panel's, or the manual alarm."""
    if state.signals.manual is not None or np.count_nonzero(state.alarms.vote):
        return True  # counted: `any` of an array takes ten times as long, in every cycle
    return bool(state.book.votes)


def faults_stand(state: State) -> bool:
    """Whether anything beyond points and panels is at fault."""
    health = state.health
    return bool(
        state.notices
        or state.effects.faulted
        or state.signals.driven.faulted
        or contacts.trouble(state.signals.panel, state.site)
        or (health is not None and (health.line_down.any() or health.faulted.any()))
        or (health is not None and health.jammed)
    )


def outputs_of(state: State, output: int) -> effects.Outputs:
    """Who drives an output: what was ordered and what reads."""
    mine: effects.Outputs = state.signals.driven
    theirs: effects.Outputs = state.effects
    return mine if output in state.signals.mine else theirs


def view(state: State) -> dict[str, Any]:
    """For the status: the manual alarm, duty checks, inputs, tests, the fire lane."""
    s: Signals = state.signals
    pairs = zip(state.site.plan.inputs, s.panel.contacts, strict=True)
    return {
        "manual": None if s.manual is None else {"name": s.manual.name,
                                                 "wall_ns": s.manual.wall_ns,
                                                 "acknowledged": s.manual.acked},
        "duty": [{"name": name, "text": text} for name, (_, text) in s.duty.items()],
        "inputs": [
            {"name": item.name, "role": item.role, "active": c.on, "lost": c.lost,
             "stuck": c.stuck}
            for item, c in pairs
        ],
        "tests": [
            {"name": state.site.plan.outputs[k].name, "test": trial.test}
            for k, trial in s.trials.running.items()
        ],
        "calls": [
            {"name": d.courier, "waiting": d.waiting, "connected": d.connected}
            for d in s.calls.latest.values()
        ],
    }  # fmt: skip
