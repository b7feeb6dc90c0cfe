"""Walk test: one person makes the detectors of a group alarm, one after the other.

Started on site, for one group at a time. An alarm of a point of the group is recorded as "test",
marks the point as tested and is reset by itself; it calls nobody, and effects see TEST_ALARM. What
is no test ends the test, and counts: an alarm from outside the group, a manual call point, a level
far above fire, and an alarm that stands for WALK_OUTLAST_NS after it was reset. Manual call points
are therefore no part of a group. A test in which nothing happens for WALK_IDLE_NS ends by itself,
and a power cut ends it; a restart of the process does not.

When a test ends and nothing real ended it, a detector that is still in alarm stays in test until
it is quiet, or outlasts: the last one that was tested calls nobody either.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.core import alarms, kernels, many
from agent.core.site import FOREVER_NS
from agent.core.types import ClockState, Command, Now, Record
from config.limits import (
    NAME_CHARS_MAX,
    WALK_IDLE_NS,
    WALK_NS_DEFAULT,
    WALK_NS_MAX,
    WALK_OUTLAST_NS,
    WALK_POINTS_MAX,
    WALK_RESET_NS,
    S,
)
from config.words import Flag, Lane

if TYPE_CHECKING:
    from agent.core.state import State

_TEST, _DISABLED, _MANUAL = int(Flag.TEST), int(Flag.DISABLED), int(Flag.MANUAL)
_CLEAR = int(alarms.Phase.CLEAR)  # a number: see agent.core.alarms


class Phase(IntEnum):
    """Where the test stands."""

    NONE = 0
    RUNNING = 1
    ENDING = 2  # ended, but detectors are still in test alarm


class Event(IntEnum):
    """What can happen to the test."""

    START = 0
    STOP = 1
    IDLE = 2  # nothing happened for too long, or it took too long
    REAL = 3
    QUIET = 4  # no detector is in test alarm any more
    POWER_CUT = 5


class Act(IntEnum):
    """What becomes of the points of the group."""

    NONE = 0
    BEGIN = 1  # all in test
    DRAIN = 2  # out of test, but those in alarm
    RELEASE = 3  # all out of test: what is in alarm counts
    END = 4  # the last are out of test


WALK_TABLE: dict[tuple[Phase, Event], tuple[Phase, Act]] = {
    (Phase.NONE, Event.START): (Phase.RUNNING, Act.BEGIN),
    (Phase.NONE, Event.STOP): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.IDLE): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.REAL): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.QUIET): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.POWER_CUT): (Phase.NONE, Act.NONE),
    (Phase.RUNNING, Event.START): (Phase.RUNNING, Act.NONE),  # refused: one at a time
    (Phase.RUNNING, Event.STOP): (Phase.ENDING, Act.DRAIN),
    (Phase.RUNNING, Event.IDLE): (Phase.ENDING, Act.DRAIN),
    (Phase.RUNNING, Event.REAL): (Phase.NONE, Act.RELEASE),
    (Phase.RUNNING, Event.QUIET): (Phase.RUNNING, Act.NONE),
    (Phase.RUNNING, Event.POWER_CUT): (Phase.NONE, Act.RELEASE),
    (Phase.ENDING, Event.START): (Phase.ENDING, Act.NONE),  # refused
    (Phase.ENDING, Event.STOP): (Phase.ENDING, Act.NONE),
    (Phase.ENDING, Event.IDLE): (Phase.ENDING, Act.NONE),
    (Phase.ENDING, Event.REAL): (Phase.NONE, Act.RELEASE),
    (Phase.ENDING, Event.QUIET): (Phase.NONE, Act.END),
    (Phase.ENDING, Event.POWER_CUT): (Phase.NONE, Act.RELEASE),
}


class PointPhase(IntEnum):
    """Where a point of the group stands."""

    WAITING = 0  # not tested yet, or again at rest
    ALARM = 1  # in test alarm
    RESET = 2  # reset by itself: its condition should go away


class PointEvent(IntEnum):
    """What can happen to it."""

    RISES = 0
    GONE = 1  # its fire condition is not there any more
    RESET_TIME = 2  # WALK_RESET_NS after it rose
    OUTLASTS = 3  # WALK_OUTLAST_NS after that
    FAR_ABOVE = 4  # a level far above fire, or it says that it is a manual call point


class PointAct(IntEnum):
    """What follows."""

    NONE = 0
    TESTED = 1
    CALM = 2  # effects see no alarm of it any more
    REAL = 3  # it is no test


POINT_TABLE: dict[tuple[PointPhase, PointEvent], tuple[PointPhase, PointAct]] = {
    (PointPhase.WAITING, PointEvent.RISES): (PointPhase.ALARM, PointAct.TESTED),
    (PointPhase.WAITING, PointEvent.GONE): (PointPhase.WAITING, PointAct.NONE),
    (PointPhase.WAITING, PointEvent.RESET_TIME): (PointPhase.WAITING, PointAct.NONE),
    (PointPhase.WAITING, PointEvent.OUTLASTS): (PointPhase.WAITING, PointAct.NONE),
    (PointPhase.WAITING, PointEvent.FAR_ABOVE): (PointPhase.WAITING, PointAct.REAL),
    (PointPhase.ALARM, PointEvent.RISES): (PointPhase.ALARM, PointAct.NONE),
    (PointPhase.ALARM, PointEvent.GONE): (PointPhase.ALARM, PointAct.NONE),  # one whole pulse
    (PointPhase.ALARM, PointEvent.RESET_TIME): (PointPhase.RESET, PointAct.CALM),
    (PointPhase.ALARM, PointEvent.OUTLASTS): (PointPhase.WAITING, PointAct.REAL),
    (PointPhase.ALARM, PointEvent.FAR_ABOVE): (PointPhase.WAITING, PointAct.REAL),
    (PointPhase.RESET, PointEvent.RISES): (PointPhase.RESET, PointAct.NONE),
    (PointPhase.RESET, PointEvent.GONE): (PointPhase.WAITING, PointAct.NONE),
    (PointPhase.RESET, PointEvent.RESET_TIME): (PointPhase.RESET, PointAct.NONE),
    (PointPhase.RESET, PointEvent.OUTLASTS): (PointPhase.WAITING, PointAct.REAL),
    (PointPhase.RESET, PointEvent.FAR_ABOVE): (PointPhase.WAITING, PointAct.REAL),
}


@dataclass(slots=True)
class TestAlarm:
    """One point in test alarm since `since_ns`."""

    since_ns: int
    phase: PointPhase = PointPhase.ALARM

    __test__ = False


@dataclass(slots=True)
class Walk:
    """The test that runs. tested: point -> wall ns, in order; alarms: those that are in alarm."""

    phase: Phase = Phase.NONE
    group: str = ""
    who: str = ""
    source: str = ""
    since_ns: int = 0
    since_wall_ns: int = 0
    until_ns: int = FOREVER_NS
    last_ns: int = 0
    points: tuple[int, ...] = ()
    tested: dict[int, int] = field(default_factory=dict)
    alarms: dict[int, TestAlarm] = field(default_factory=dict)


def members(state: State, target: str) -> tuple[str, tuple[int, ...]]:
    """(what is wrong, points of a group) of "group/NAME" or "zone/NAME"; no manual call points."""
    plan = state.site.plan
    kind, _, name = target.partition("/")
    zones: tuple[int, ...] = ()
    if kind == "group":
        zones = next((g.zones for g in plan.test_groups if g.name == name), ())
    if kind in ("group", "zone") and not zones:
        zones = tuple(i for i, z in enumerate(plan.zones) if z.name == name)
    if not zones:
        return f"expected group/NAME or zone/NAME of this site, found {target[:80]!r}", ()
    site = state.site
    chosen = np.zeros(len(plan.zones), np.bool_)
    chosen[list(zones)] = True
    inside = dict.fromkeys(site.member_point[chosen.take(site.member_zone)].tolist())
    kinds = plan.points.kinds
    points = tuple([k for k in inside if kinds[k] != "manual"])
    if not points:
        return f"{target} has no point that can be tested", ()
    if len(points) > WALK_POINTS_MAX:
        return (
            f"{target} has {len(points)} points, more than {WALK_POINTS_MAX}: test it in parts",
            (),
        )
    return "", points


def start(state: State, command: Command, now: Now) -> tuple[str, list[Record]]:
    """Begin the walk test of a group: (what was wrong, records)."""
    walk = state.walk
    wrong, points = members(state, command.target)
    duration_ns = command.duration_ns or WALK_NS_DEFAULT
    if not 0 < duration_ns <= WALK_NS_MAX:
        wrong = wrong or f"expected a time of at most {WALK_NS_MAX // (3_600 * S)} hours"
    if walk.phase is not Phase.NONE:
        wrong = wrong or f"{walk.group} is in test: end that test first"
    if _fire_stands(state):
        wrong = wrong or "a fire stands: reset it before a test"
    if wrong:
        return wrong, []
    state.walk = Walk(
        group=command.target,
        who=command.who[:NAME_CHARS_MAX],
        source=command.source[:NAME_CHARS_MAX],
        since_ns=now.mono_ns,
        since_wall_ns=now.wall_ns if now.clock is not ClockState.UNSET else 0,
        until_ns=now.mono_ns + duration_ns,
        last_ns=now.mono_ns,
        points=points,
    )
    return "", _happen(state, Event.START, now)


def _fire_stands(state: State) -> bool:
    others = bool(state.book.votes) or state.signals.manual is not None
    return others or bool(state.alarms.vote.any())


def stop(state: State, command: Command, now: Now) -> tuple[str, list[Record]]:
    """End the test that runs."""
    if state.walk.phase is not Phase.RUNNING:
        return "no test runs", []
    return "", _happen(state, Event.STOP, now, f"ended by {command.who[:NAME_CHARS_MAX]}")


def interrupt(state: State, now: Now, why: str) -> list[Record]:
    """Somebody on site says that it is real: the manual alarm, the general alarm."""
    return [] if state.walk.phase is Phase.NONE else _happen(state, Event.REAL, now, why)


def due(state: State, now: Now) -> bool:
    """Whether time alone gives `step` something to do."""
    walk = state.walk
    if walk.phase is Phase.NONE:
        return False
    idle = now.mono_ns >= min(walk.until_ns, walk.last_ns + WALK_IDLE_NS)
    return idle or bool(walk.alarms) or walk.phase is Phase.ENDING


def step(state: State, now: Now) -> list[Record]:
    """What the points did since the last cycle, and what the time did."""
    walk, a = state.walk, state.alarms
    rose, a.rose = a.rose, []
    if walk.phase is Phase.NONE:
        return []
    if a.raised:  # the points of the group are gated: this is another one
        name = state.site.plan.points.names[a.raised[0]]
        return _happen(state, Event.REAL, now, f"alarm outside the group: {name}")
    if state.book.votes:
        return _happen(state, Event.REAL, now, "a panel tells a fire")
    out: list[Record] = []
    both = np.uint32(_TEST | _DISABLED)
    # Who enables a point of the group that is in alarm has a test alarm of it: nothing rises.
    standing = (a.phase != _CLEAR) & (a.gates & both == _TEST) & ~a.vote
    for k in dict.fromkeys([*rose, *np.flatnonzero(standing).tolist()]):
        if a.gates[k] & _TEST and not a.flags[k] & _DISABLED and k not in walk.alarms:
            walk.alarms[k] = TestAlarm(now.mono_ns, PointPhase.WAITING)
            out += _point(state, k, PointEvent.RISES, now)
    for k in list(walk.alarms):
        event = _event(state, k, now)
        if event is None:
            continue
        why = (
            _REAL_WHY[event] if POINT_TABLE[walk.alarms[k].phase, event][1] is PointAct.REAL else ""
        )
        if why:
            name = state.site.plan.points.names[k]
            return out + _happen(state, Event.REAL, now, f"{why}: {name}")
        out += _point(state, k, event, now)
    if walk.phase is Phase.RUNNING and (
        now.mono_ns >= min(walk.until_ns, walk.last_ns + WALK_IDLE_NS)
    ):
        late = now.mono_ns >= walk.until_ns
        why = "its time is over" if late else "nothing happened for too long"
        out += _happen(state, Event.IDLE, now, why)
    if walk.phase is Phase.ENDING and not walk.alarms:
        out += _happen(state, Event.QUIET, now)
    return out


_REAL_WHY = {
    PointEvent.FAR_ABOVE: "a manual call point, or a level far above fire",
    PointEvent.OUTLASTS: "an alarm that outlasts its reset",
}


def _event(state: State, k: int, now: Now) -> PointEvent | None:
    """What there is to say of a point in test alarm."""
    bits = int(state.image.bits[k])
    alarm = state.walk.alarms[k]
    age_ns = now.mono_ns - alarm.since_ns
    standing = state.alarms.phase[k] != _CLEAR
    if standing and bits & (kernels.HEAVY | _MANUAL):
        return PointEvent.FAR_ABOVE
    if standing and age_ns >= WALK_RESET_NS + WALK_OUTLAST_NS:
        return PointEvent.OUTLASTS
    if alarm.phase is PointPhase.ALARM and age_ns >= WALK_RESET_NS:
        return PointEvent.RESET_TIME
    if alarm.phase is PointPhase.RESET and not standing:
        return PointEvent.GONE
    return None


def _point(state: State, k: int, event: PointEvent, now: Now) -> list[Record]:
    """One row of the points' table that is no real alarm."""
    walk, a = state.walk, state.alarms
    alarm = walk.alarms[k]
    alarm.phase, act = POINT_TABLE[alarm.phase, event]
    a.unsaved = True
    if alarm.phase is PointPhase.WAITING:
        del walk.alarms[k]
        if walk.phase is Phase.ENDING:
            return _gate(state, [k], 0, now)
    inner = alarms.TEST_ALARM if act is PointAct.TESTED else 0
    out: list[Record] = []
    if act in (PointAct.TESTED, PointAct.CALM):
        a.inner[k] = inner
        a.touched = True
        out += alarms.publish(a, state.site, state.image, k, (now.mono_ns, now.wall_ns))
    if act is PointAct.TESTED:
        walk.tested.pop(k, None)
        walk.tested[k] = now.wall_ns
        walk.last_ns = now.mono_ns
        body = {
            "event": "tested",
            "group": walk.group,
            "id": int(state.site.ids[k]),
            "name": state.site.plan.points.names[k],
            "tested": len(walk.tested),
            "of": len(walk.points),
        }
        out.append(Record(Lane.EVENT, f"test/point/{body['id']}", "test", now.mono_ns, body))
    return out


def _happen(state: State, event: Event, now: Now, why: str = "") -> list[Record]:
    """One row of the test's table: the gates of its points, and the record."""
    walk, a = state.walk, state.alarms
    before = walk.phase
    walk.phase, act = WALK_TABLE[before, event]
    a.unsaved = True
    a.touched = True
    out: list[Record] = []
    if act is Act.BEGIN:
        a.rose.clear()
        out += _gate(state, walk.points, _TEST, now)
        out.append(_record(state, "begins", why, now))
    elif act is Act.DRAIN:
        out.append(_record(state, "ends", why, now))
        out += _gate(state, (k for k in walk.points if k not in walk.alarms), 0, now)
    elif act in (Act.RELEASE, Act.END):
        if before is Phase.RUNNING:
            out.append(_record(state, "ends", why, now))
        for k in walk.alarms:
            a.inner[k] = 0
        out += _gate(state, walk.points, 0, now)
        state.walk = Walk()
    _zones(state)
    return out


def _gate(state: State, points: Iterable[int], test: int, now: Now) -> list[Record]:
    a, stamp = state.alarms, (now.mono_ns, now.wall_ns)
    chosen = np.array(list(points), np.int64)
    gates = a.gates[chosen] & ~np.uint32(_TEST) | np.uint32(test)
    return many.gate(a, state.site, state.image, chosen, gates, stamp)


def _zones(state: State) -> None:
    """A zone of which every point that can be tested is in test shows it."""
    site = state.site
    tested = (state.alarms.gates & np.uint32(_TEST) != 0).take(site.member_point)
    gates = state.zones.gates & ~np.uint32(_TEST)
    gates[site.member_zone[tested]] |= np.uint32(_TEST)
    state.zones.gates = gates


def _record(state: State, event: str, why: str, now: Now) -> Record:
    walk, names = state.walk, state.site.plan.points.names
    body: dict[str, Any] = {
        "event": event,
        "group": walk.group,
        "who": walk.who,
        "source": walk.source,
        "points": len(walk.points),
    }
    if event == "ends":
        body |= {
            "why": why,
            "lasted_s": (now.mono_ns - walk.since_ns) // S,
            "tested": [names[k] for k in walk.tested],
            "untested": [names[k] for k in walk.points if k not in walk.tested],
        }
    return Record(Lane.EVENT, "test", "test", now.mono_ns, body)


def row(state: State, now: Now) -> dict[str, Any] | None:
    """For people: the test that runs, None when none does."""
    walk, names = state.walk, state.site.plan.points.names
    if walk.phase is Phase.NONE:
        return None
    end_ns = min(walk.until_ns, walk.last_ns + WALK_IDLE_NS)
    return {
        "group": walk.group,
        "who": walk.who,
        "ending": walk.phase is Phase.ENDING,
        "since_s": (now.mono_ns - walk.since_ns) // S,
        "left_s": max(0, end_ns - now.mono_ns) // S,
        "tested": [names[k] for k in walk.tested],
        "untested": [names[k] for k in walk.points if k not in walk.tested],
        "in_alarm": [names[k] for k in walk.alarms],
    }


def dump(state: State) -> list[Any] | None:
    """For the snapshot."""
    walk, ids = state.walk, state.site.ids
    if walk.phase is Phase.NONE:
        return None
    return [
        int(walk.phase), walk.group, walk.who, walk.source, walk.since_ns, walk.since_wall_ns,
        walk.until_ns, walk.last_ns,
        [[int(ids[k]), wall_ns] for k, wall_ns in walk.tested.items()],
        [[int(ids[k]), alarm.since_ns, int(alarm.phase)] for k, alarm in walk.alarms.items()],
    ]  # fmt: skip


def restore(state: State, kept: Any, now: Now, *, same_boot: bool) -> list[Record]:
    """A test from before a restart of the process goes on; one from before a power cut is over."""
    walk = _walk(state, kept)
    if walk is None or state.walk.phase is not Phase.NONE:
        return []
    state.walk = walk
    if not same_boot:
        return _happen(state, Event.POWER_CUT, now, "a power cut")
    if _fire_stands(state):
        return _happen(state, Event.REAL, now, "a fire since the start")
    a = state.alarms
    standing = walk.points if walk.phase is Phase.RUNNING else tuple(walk.alarms)
    for k, alarm in walk.alarms.items():
        # It has to be read again; until then the alarm stands as it did, and may outlast its reset.
        if a.phase[k] == _CLEAR:
            a.phase[k] = alarms.Phase.LIVE
        a.inner[k] = alarms.TEST_ALARM if alarm.phase is PointPhase.ALARM else 0
    out = _gate(state, standing, _TEST, now)
    _zones(state)
    a.touched = True
    return out


def _walk(state: State, kept: Any) -> Walk | None:
    """The test in a snapshot; None when there was none, it is damaged, or the group is gone."""
    if not isinstance(kept, list) or len(kept) != 10:
        return None
    phase, *texts = kept[:4]
    numbers, tested, standing = kept[4:8], kept[8], kept[9]
    if not all(type(t) is str for t in texts) or phase not in (Phase.RUNNING, Phase.ENDING):
        return None
    pairs = _int_rows(tested, 2)
    triples = _int_rows(standing, 3)
    if _int_rows([numbers], 4) is None or pairs is None or triples is None:
        return None
    wrong, points = members(state, texts[0])
    if wrong:
        return None
    index_of, inside = state.site.index_of, set(points)
    walk = Walk(Phase(phase), texts[0], texts[1], texts[2], points=points)
    walk.since_ns, walk.since_wall_ns, walk.until_ns, walk.last_ns = numbers
    walk.tested = {k: t for i, t in pairs if (k := index_of.get(i, -1)) in inside}
    for i, since_ns, at in triples:
        k = index_of.get(i, -1)
        if k in inside and at in (PointPhase.ALARM, PointPhase.RESET):
            walk.alarms[k] = TestAlarm(since_ns, PointPhase(at))
    return walk


def _int_rows(rows: Any, length: int) -> list[list[int]] | None:
    if not isinstance(rows, list) or len(rows) > WALK_POINTS_MAX:
        return None
    for one in rows:
        if not isinstance(one, list) or len(one) != length:
            return None
        if not all(type(n) is int and abs(n) < 2**63 for n in one):
            return None
    return rows
