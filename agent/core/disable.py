"""Disablements: points, zones, outputs and routing that somebody took out of service, for a time.

What is disabled is seen, logged and shown, and acts on nothing. A disablement clears no fire and
hides none that counted before; it has a person, a reason and an end, and reminds of itself every
day. Its age is counted by the monotonic clock. After a power cut it is only known when the wall
clock was set both times; else the disablement ends, with an event: what nobody can date must not
stand for years.

A disabled zone takes its points out of service, but not those that also belong to a zone in
service, and comes into no alarm itself. Disabling an output orders it off. A disabled courier's
process goes on; the record offers it nothing of fire and events until it is enabled again.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.core import many
from agent.core.site import FOREVER_NS, Bools
from agent.core.types import ClockState, Command, Now, Record
from config.limits import (
    DISABLE_NS_DEFAULT,
    DISABLE_NS_MAX,
    DISABLE_NS_MIN,
    DISABLE_REMIND_NS,
    DISABLEMENTS_MAX,
    NAME_CHARS_MAX,
    ORDER_TEXT_CHARS_MAX,
    S,
)
from config.words import Flag, Lane, OutputKind

if TYPE_CHECKING:
    from agent.core.state import State

_DISABLED = int(Flag.DISABLED)
KINDS = ("point", "zone", "output", "courier")


class Phase(IntEnum):
    """Where a target stands."""

    IN_SERVICE = 0
    DISABLED = 1


class Event(IntEnum):
    """What can happen to it."""

    DISABLE = 0
    ENABLE = 1
    EXPIRES = 2
    DAY_PASSES = 3
    AGE_UNKNOWN = 4  # a power cut, and no clock that tells how long it was


class Act(IntEnum):
    """What the record says of it."""

    NONE = 0
    BEGIN = 1
    PROLONG = 2
    REMIND = 3
    END = 4


DISABLE_TABLE: dict[tuple[Phase, Event], tuple[Phase, Act]] = {
    (Phase.IN_SERVICE, Event.DISABLE): (Phase.DISABLED, Act.BEGIN),
    (Phase.IN_SERVICE, Event.ENABLE): (Phase.IN_SERVICE, Act.NONE),
    (Phase.IN_SERVICE, Event.EXPIRES): (Phase.IN_SERVICE, Act.NONE),
    (Phase.IN_SERVICE, Event.DAY_PASSES): (Phase.IN_SERVICE, Act.NONE),
    (Phase.IN_SERVICE, Event.AGE_UNKNOWN): (Phase.IN_SERVICE, Act.NONE),
    (Phase.DISABLED, Event.DISABLE): (Phase.DISABLED, Act.PROLONG),
    (Phase.DISABLED, Event.ENABLE): (Phase.IN_SERVICE, Act.END),
    (Phase.DISABLED, Event.EXPIRES): (Phase.IN_SERVICE, Act.END),
    (Phase.DISABLED, Event.DAY_PASSES): (Phase.DISABLED, Act.REMIND),
    (Phase.DISABLED, Event.AGE_UNKNOWN): (Phase.IN_SERVICE, Act.END),
}
_SAID = {Act.BEGIN: "begins", Act.PROLONG: "prolonged", Act.REMIND: "reminder", Act.END: "ends"}
_HOW = {
    Event.DISABLE: "order",
    Event.ENABLE: "order",
    Event.EXPIRES: "expired",
    Event.DAY_PASSES: "a day passed",
    Event.AGE_UNKNOWN: "its age is not known after a power cut",
}


@dataclass(frozen=True, slots=True)
class Disablement:
    """One target out of service. Wall times are 0 when the clock was not set."""

    target: str
    who: str
    source: str
    why: str
    since_ns: int
    until_ns: int
    remind_ns: int
    since_wall_ns: int
    until_wall_ns: int


@dataclass(slots=True)
class Registry:
    """What is out of service, by target. `due_ns`: when the next one expires or reminds."""

    standing: dict[str, Disablement] = field(default_factory=dict)
    due_ns: int = FOREVER_NS

    def couriers(self) -> frozenset[str]:
        """Destinations that get no fire and no event for now."""
        return frozenset(t.partition("/")[2] for t in self.standing if t.startswith("courier/"))


def output_disabled(state: State, output: int) -> bool:
    """Whether an operator took this output out of service."""
    return output in state.effects.barred


def disable(state: State, command: Command, now: Now) -> tuple[str, list[Record]]:
    """Take a target out of service, or prolong it: (what was wrong, records)."""
    wrong = _wrong(state, command.target)
    duration_ns = command.duration_ns or DISABLE_NS_DEFAULT
    standing = state.disabled.standing
    if not DISABLE_NS_MIN <= duration_ns <= DISABLE_NS_MAX:
        low, high = DISABLE_NS_MIN // S, DISABLE_NS_MAX // (86_400 * S)
        wrong = wrong or f"expected a time of {low} s to {high} days"
    if command.target not in standing and len(standing) >= DISABLEMENTS_MAX:
        wrong = wrong or f"{DISABLEMENTS_MAX} disablements stand already; disable whole zones"
    if wrong:
        return wrong, []
    old = standing.get(command.target)
    known = now.clock is not ClockState.UNSET
    entry = Disablement(
        target=command.target,
        who=command.who[:NAME_CHARS_MAX],
        source=command.source[:NAME_CHARS_MAX],
        why=command.why[:ORDER_TEXT_CHARS_MAX],
        since_ns=now.mono_ns,
        until_ns=now.mono_ns + duration_ns,
        remind_ns=now.mono_ns + DISABLE_REMIND_NS,
        since_wall_ns=now.wall_ns if known else 0,
        until_wall_ns=now.wall_ns + duration_ns if known else 0,
    )
    if old is not None:  # it has been standing since then, and reminds of that
        entry = replace(
            entry,
            since_ns=old.since_ns,
            since_wall_ns=old.since_wall_ns,
            remind_ns=old.remind_ns,
        )
    return "", _happen(state, entry, Event.DISABLE, now)


def enable(state: State, command: Command, now: Now) -> tuple[str, list[Record]]:
    """Put a target back into service; what it sees now counts at once."""
    wrong = _wrong(state, command.target)
    entry = state.disabled.standing.get(command.target)
    if wrong or entry is None:
        return wrong or f"{command.target} is not disabled", []
    return "", _happen(state, entry, Event.ENABLE, now, command.who[:NAME_CHARS_MAX])


def due(state: State, now: Now) -> bool:
    """Whether `step` has something to do."""
    return now.mono_ns >= state.disabled.due_ns


def step(state: State, now: Now) -> list[Record]:
    """End what has expired; remind of what has been standing for another day."""
    if not due(state, now):
        return []
    out: list[Record] = []
    for entry in list(state.disabled.standing.values()):
        if now.mono_ns >= entry.until_ns:
            out += _happen(state, entry, Event.EXPIRES, now)
        elif now.mono_ns >= entry.remind_ns:
            days = (now.mono_ns - entry.since_ns) // DISABLE_REMIND_NS
            again = replace(entry, remind_ns=entry.since_ns + (days + 1) * DISABLE_REMIND_NS)
            out += _happen(state, again, Event.DAY_PASSES, now)
    return out


def _happen(
    state: State, entry: Disablement, event: Event, now: Now, who: str = ""
) -> list[Record]:
    """One row of the table: the registry, the record, and what it does to the site."""
    registry = state.disabled
    before = Phase(entry.target in registry.standing)
    after, act = DISABLE_TABLE[before, event]
    if after is Phase.DISABLED:
        registry.standing[entry.target] = entry
    else:
        registry.standing.pop(entry.target, None)
    times = (t for e in registry.standing.values() for t in (e.until_ns, e.remind_ns))
    registry.due_ns = min(times, default=FOREVER_NS)
    state.alarms.unsaved = True
    body: dict[str, Any] = {
        "target": entry.target,
        "event": _SAID[act],
        "how": _HOW[event],
        "disabled": after is Phase.DISABLED,
        "who": who or entry.who,
        "by": entry.who,
        "why": entry.why,
        "since_wall_ns": entry.since_wall_ns,
        "left_s": max(0, entry.until_ns - now.mono_ns) // S if after is Phase.DISABLED else 0,
    }
    source = _source(state, entry.target)
    record = Record(Lane.EVENT, source, "disablement", now.mono_ns, body)
    return [record, *(apply(state, now) if act in (Act.BEGIN, Act.END) else [])]


def _source(state: State, target: str) -> str:
    """The coalescing key: of a point its id, for two long names make a longer one."""
    kind, _, name = target.partition("/")
    if kind == "point" and name in state.site.named:
        name = str(state.site.ids[state.site.named[name]])
    return f"disablement/{kind}/{name}"


def _wrong(state: State, target: str) -> str:
    kind, _, name = target.partition("/")
    if kind not in KINDS or not name:
        return f"expected {', '.join(f'{k}/NAME' for k in KINDS)}, found {target[:80]!r}"
    if name not in _names(state, kind):
        return f"no {kind} is called {name[:80]!r}"
    if kind == "output" and any(
        o.name == name and o.kind == OutputKind.FAULT for o in state.site.plan.outputs
    ):
        return f"{name[:80]!r} is the fault output: what is at fault must be told"
    return ""


def _names(state: State, kind: str) -> Collection[str]:
    plan = state.site.plan
    if kind == "point":
        return state.site.named
    if kind == "zone":
        return state.site.zone_named
    if kind == "output":
        return tuple(output.name for output in plan.outputs)
    return tuple(courier.name for courier in plan.couriers)


def apply(state: State, now: Now) -> list[Record]:
    """Bring points, zones and outputs in line with the registry."""
    site, a = state.site, state.alarms
    points, zone_off = _off(state)
    gates = state.zones.gates & ~np.uint32(_DISABLED)
    state.zones.gates = (gates | zone_off * np.uint32(_DISABLED)).astype(np.uint32)
    outputs = {t.partition("/")[2] for t in state.disabled.standing if t.startswith("output/")}
    state.effects.barred = frozenset(
        i for i, output in enumerate(site.plan.outputs if outputs else ()) if output.name in outputs
    )
    a.touched = True
    stamp = (now.mono_ns, now.wall_ns)
    moved = np.flatnonzero(points != (a.gates & np.uint32(_DISABLED) != 0))
    gates = a.gates[moved] ^ np.uint32(_DISABLED)
    return many.gate(a, site, state.image, moved, gates, stamp)


def _off(state: State) -> tuple[Bools, Bools]:
    """Points [n] and zones [z] out of service."""
    site, standing = state.site, state.disabled.standing
    zones = np.zeros(len(site.plan.zones), np.bool_)
    points = np.zeros(len(site), np.bool_)
    zones[[site.zone_named[t[5:]] for t in standing if t.startswith("zone/")]] = True
    off = zones.take(site.member_zone)
    points[site.member_point[off]] = True
    also_in_service = points.take(site.member_point) & ~off
    points[site.member_point[also_in_service]] = False
    points[[site.named[t[6:]] for t in standing if t.startswith("point/")]] = True
    return points, zones


def rows(state: State, now: Now) -> list[dict[str, Any]]:
    """For people: what is out of service, by whom, why and for how long."""
    return [
        {
            "target": e.target,
            "who": e.who,
            "why": e.why,
            "since_wall_ns": e.since_wall_ns,
            "since_s": (now.mono_ns - e.since_ns) // S,
            "left_s": max(0, e.until_ns - now.mono_ns) // S,
        }
        for e in state.disabled.standing.values()
    ]


def dump(state: State) -> list[list[Any]]:
    """For the snapshot."""
    return [
        [e.target, e.who, e.source, e.why, e.since_ns, e.until_ns, e.remind_ns, e.since_wall_ns,
         e.until_wall_ns]
        for e in state.disabled.standing.values()
    ]  # fmt: skip


def restore(state: State, kept: Any, now: Now, *, same_boot: bool) -> list[Record]:
    """Disablements from before a restart. Damaged ones are gone: a fire must not wait for them."""
    out: list[Record] = []
    for row in kept if isinstance(kept, list) else []:
        entry = _entry(row)
        if entry is None or _wrong(state, entry.target):
            continue
        if entry.target in state.disabled.standing:
            continue  # ordered anew since the start
        entry = replace(entry, until_ns=min(entry.until_ns, now.mono_ns + DISABLE_NS_MAX))
        state.disabled.standing[entry.target] = entry  # it stands until this says otherwise
        if not same_boot:
            aged = _aged(entry, now)
            if aged is None:
                out += _happen(state, entry, Event.AGE_UNKNOWN, now)
                continue
            state.disabled.standing[entry.target] = aged
    state.disabled.due_ns = now.mono_ns  # looked at in this cycle
    return out + apply(state, now)


def _aged(entry: Disablement, now: Now) -> Disablement | None:
    """With the times of this boot; None when the age is not known."""
    if now.clock is ClockState.UNSET or not entry.since_wall_ns:
        return None
    age_ns = now.wall_ns - entry.since_wall_ns
    if age_ns < 0 or entry.until_wall_ns - now.wall_ns > DISABLE_NS_MAX:
        return None  # the clock went back
    days = age_ns // DISABLE_REMIND_NS
    since_ns = now.mono_ns - age_ns
    return replace(
        entry,
        since_ns=since_ns,
        until_ns=now.mono_ns + entry.until_wall_ns - now.wall_ns,
        remind_ns=since_ns + (days + 1) * DISABLE_REMIND_NS,
    )


def _entry(row: Any) -> Disablement | None:
    texts, numbers = (row[:4], row[4:]) if isinstance(row, list) and len(row) == 9 else ([], [])
    if not texts or not all(type(t) is str and len(t) <= 4 * ORDER_TEXT_CHARS_MAX for t in texts):
        return None
    if not all(type(n) is int and abs(n) < 2**62 for n in numbers):
        return None
    return Disablement(*texts, *numbers)
