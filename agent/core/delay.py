"""Investigation: by day, a first fire gives people on site time to look before all sirens sound.

T1: somebody must acknowledge the alarm within it. T2: from then on they may investigate. When the
time is over, a second device tells a fire, or the alarm is of a kind that never waits (a manual
call point, a level far above fire), the general alarm is on. A delay holds back effects alone: the
fire is published, recorded and called to the centre at once. At night, and while nobody knows what
time it is, there is no delay. Only the first fire of a building that is otherwise clear can wait,
and of its zones each must allow it; so at most one delay runs. One that comes back on a latched
fire is not the first any more: people went there once.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from agent.core import alarms, kernels, panel
from agent.core.site import FOREVER_NS
from agent.core.types import ClockState, Now, Record
from config.limits import S
from config.plan import DayHours, Plan
from config.words import Flag, Lane

if TYPE_CHECKING:
    from agent.core.state import State

_DELAY, _MANUAL = int(Flag.DELAY), int(Flag.MANUAL)
_DAY_MINUTES = 24 * 60
_DAYS_TO_EPOCH = 3  # 1970-01-01 was a Thursday


class Phase(IntEnum):
    """Where the investigation stands."""

    NONE = 0
    UNSEEN = 1  # T1 runs
    SOUGHT = 2  # T2 runs


class Event(IntEnum):
    """What can happen to it."""

    FIRST_FIRE = 0  # the only one, by day, and its zones allow it
    SEEN = 1  # acknowledged
    TIME = 2  # T1 or T2 is over
    NO_WAIT = 3  # a second device, or one that never waits, or somebody orders the general alarm
    NIGHT = 4  # or the clock is not set
    GONE = 5  # the fire was reset


class Act(IntEnum):
    """What effects see of it."""

    NONE = 0
    HOLD = 1  # the general alarm of this fire waits
    LOOK = 2  # it waits for T2
    ALARM = 3  # it waits no more
    END = 4  # there is nothing to wait for


DELAY_TABLE: dict[tuple[Phase, Event], tuple[Phase, Act]] = {
    (Phase.NONE, Event.FIRST_FIRE): (Phase.UNSEEN, Act.HOLD),
    (Phase.NONE, Event.SEEN): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.TIME): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.NO_WAIT): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.NIGHT): (Phase.NONE, Act.NONE),
    (Phase.NONE, Event.GONE): (Phase.NONE, Act.NONE),
    (Phase.UNSEEN, Event.FIRST_FIRE): (Phase.UNSEEN, Act.NONE),
    (Phase.UNSEEN, Event.SEEN): (Phase.SOUGHT, Act.LOOK),
    (Phase.UNSEEN, Event.TIME): (Phase.NONE, Act.ALARM),
    (Phase.UNSEEN, Event.NO_WAIT): (Phase.NONE, Act.ALARM),
    (Phase.UNSEEN, Event.NIGHT): (Phase.NONE, Act.ALARM),
    (Phase.UNSEEN, Event.GONE): (Phase.NONE, Act.END),
    (Phase.SOUGHT, Event.FIRST_FIRE): (Phase.SOUGHT, Act.NONE),
    (Phase.SOUGHT, Event.SEEN): (Phase.SOUGHT, Act.NONE),  # once: T2 is not started again
    (Phase.SOUGHT, Event.TIME): (Phase.NONE, Act.ALARM),
    (Phase.SOUGHT, Event.NO_WAIT): (Phase.NONE, Act.ALARM),
    (Phase.SOUGHT, Event.NIGHT): (Phase.NONE, Act.ALARM),
    (Phase.SOUGHT, Event.GONE): (Phase.NONE, Act.END),
}
_SAID = {Act.HOLD: "begins", Act.LOOK: "investigating", Act.ALARM: "alarm", Act.END: "ends"}
_WHY = {
    Event.FIRST_FIRE: "first fire",
    Event.SEEN: "acknowledged",
    Event.TIME: "time is over",
    Event.NO_WAIT: "a second device, or one that never waits",
    Event.NIGHT: "night, or the clock is not set",
    Event.GONE: "reset",
}


@dataclass(slots=True)
class Delay:
    """The delay that runs, of one point; times of this boot, and wall times for another."""

    phase: Phase = Phase.NONE
    point: int = -1
    until_ns: int = FOREVER_NS
    until_wall_ns: int = 0


def is_day(plan: Plan, now: Now) -> bool:
    """Whether people are there by the site's hours; never while the clock is unset."""
    if now.clock is ClockState.UNSET:
        return False
    minute = (now.wall_ns // S + now.offset_s) // 60
    return any(_within(hours, minute) for hours in plan.day)


def _within(hours: DayHours, minute: int) -> bool:
    """minute: of local time, since 1970."""
    day, minute = divmod(minute, _DAY_MINUTES)
    over_midnight = hours.last <= hours.first
    if over_midnight and minute < hours.last:
        return bool(hours.days >> (day - 1 + _DAYS_TO_EPOCH) % 7 & 1)
    inside = minute >= hours.first and (over_midnight or minute < hours.last)
    return inside and bool(hours.days >> (day + _DAYS_TO_EPOCH) % 7 & 1)


def times(state: State, k: int) -> tuple[int, int]:
    """(T1, T2) of a point: the shortest of its zones; (0, 0) when one of them does not wait."""
    zones = [state.site.plan.zones[z] for z in state.site.zones_of.get(k, ())]
    if not zones or not all(z.acknowledge_ns for z in zones):
        return 0, 0
    return min(z.acknowledge_ns for z in zones), min(z.investigate_ns for z in zones)


def never_waits(state: State, k: int) -> bool:
    """A person, or the fire itself, has said that it is one."""
    heavy_or_manual = int(state.image.bits[k]) & (kernels.HEAVY | _MANUAL)
    return bool(heavy_or_manual) or state.site.plan.points.kinds[k] == "manual"


def due(state: State, now: Now) -> bool:
    """Whether time alone gives `step` something to do."""
    delay = state.delay
    if delay.phase is Phase.NONE:
        return False
    return now.mono_ns >= delay.until_ns or not is_day(state.site.plan, now)


def step(state: State, now: Now) -> list[Record]:
    """What the fires did since the last decision, and what the time did."""
    a, delay = state.alarms, state.delay
    if delay.phase is Phase.NONE and not a.raised:
        return []
    fires = int(np.count_nonzero(a.vote)) + len(panel.fires(state.book))
    day = is_day(state.site.plan, now)
    if delay.phase is Phase.NONE:
        k = a.raised[-1]
        if not _is_first(state, k):
            return []
        t1_ns, _ = times(state, k)
        if state.signals.manual is not None or state.effects.evacuate:
            return []  # people were told to go: nobody looks first
        if fires == 1 and a.vote[k] and day and t1_ns and not never_waits(state, k):
            delay.point = k
            return _happen(state, Event.FIRST_FIRE, now)
        return []
    k = delay.point
    if not a.vote[k]:
        return _happen(state, Event.GONE, now)
    if fires > 1 or never_waits(state, k):
        return _happen(state, Event.NO_WAIT, now)
    if not day:
        return _happen(state, Event.NIGHT, now)
    if now.mono_ns >= delay.until_ns:
        return _happen(state, Event.TIME, now)
    if a.acked[k] and delay.phase is Phase.UNSEEN:
        return _happen(state, Event.SEEN, now)
    return []


def _is_first(state: State, k: int) -> bool:
    """Whether this rise made the first alarm since all was clear."""
    a = state.alarms
    mine = a.first is not None and a.first.source == f"point/{int(state.site.ids[k])}"
    return mine and a.first is not None and a.first.wall_ns == a.order.get(k)


def interrupt(state: State, now: Now) -> list[Record]:
    """Somebody on site orders the general alarm, or pushes the manual one."""
    return [] if state.delay.phase is Phase.NONE else _happen(state, Event.NO_WAIT, now)


def _happen(state: State, event: Event, now: Now) -> list[Record]:
    """One row of the table: what effects see, the time, and the record."""
    delay, a = state.delay, state.alarms
    delay.phase, act = DELAY_TABLE[delay.phase, event]
    if act is Act.NONE:
        return []
    k = delay.point
    a.unsaved = True
    a.touched = True
    body: dict[str, Any] = {
        "event": _SAID[act],
        "why": _WHY[event],
        "id": int(state.site.ids[k]),
        "name": state.site.plan.points.names[k],
    }
    if act in (Act.HOLD, Act.LOOK):
        length_ns = times(state, k)[act is Act.LOOK]
        delay.until_ns = now.mono_ns + length_ns
        delay.until_wall_ns = now.wall_ns + length_ns
        body["left_s"] = length_ns // S
    else:
        state.delay = Delay()
    held = act in (Act.HOLD, Act.LOOK)
    late = alarms.CONFIRMED if event is Event.TIME else 0
    a.inner[k] = alarms.INVESTIGATED if held else late
    gates = int(a.gates[k]) & ~_DELAY | (_DELAY if held else 0)
    record = Record(Lane.EVENT, "delay", "delay", now.mono_ns, body)
    stamp = (now.mono_ns, now.wall_ns)
    out = alarms.gate(a, state.site, state.image, k, gates, stamp)
    return [record, *out, *alarms.publish(a, state.site, state.image, k, stamp)]


def row(state: State, now: Now) -> dict[str, Any] | None:
    """For people: the delay that runs, None when none does."""
    delay = state.delay
    if delay.phase is Phase.NONE:
        return None
    return {
        "name": state.site.plan.points.names[delay.point],
        "phase": "acknowledge" if delay.phase is Phase.UNSEEN else "investigate",
        "left_s": max(0, delay.until_ns - now.mono_ns) // S,
    }


def dump(state: State) -> list[int] | None:
    """For the snapshot."""
    delay = state.delay
    if delay.phase is Phase.NONE:
        return None
    point_id = int(state.site.ids[delay.point])
    return [point_id, int(delay.phase), delay.until_ns, delay.until_wall_ns]


def dump_late(state: State) -> list[int]:
    """For the snapshot: fires whose time was over."""
    late = state.alarms.vote & (state.alarms.inner & np.uint32(alarms.CONFIRMED) != 0)
    return [int(i) for i in state.site.ids[late]] if late.any() else []


def restore_late(state: State, kept: Any) -> None:
    """A fire whose time was over before a restart is confirmed after it."""
    a = state.alarms
    for point_id in kept if isinstance(kept, list) else []:
        k = state.site.index_of.get(point_id, -1) if type(point_id) is int else -1
        if k >= 0 and a.vote[k]:
            a.inner[k] = alarms.CONFIRMED
            a.effective[k] |= np.uint32(alarms.CONFIRMED)
            a.touched = True


def restore(
    state: State, kept: Any, now: Now, *, same_boot: bool, stood: frozenset[int] = frozenset()
) -> list[Record]:
    """A delay from before a restart goes on with the time that it has left, if that is known.

    stood: stable ids of the fires that stood. One of them that was read before they were recalled
    looked like a first fire: it gets no time anew.
    """
    old, began = _kept(state, kept, now, same_boot=same_boot), state.delay
    if old is None or (began.phase is not Phase.NONE and began.point != old.point):
        known = began.phase is not Phase.NONE and int(state.site.ids[began.point]) in stood
        return interrupt(state, now) if known else []
    k, a = old.point, state.alarms
    state.delay = old
    a.inner[k] = alarms.INVESTIGATED
    stamp = (now.mono_ns, now.wall_ns)
    out = alarms.gate(a, state.site, state.image, k, int(a.gates[k]) | _DELAY, stamp)
    return [*out, *alarms.publish(a, state.site, state.image, k, stamp)]


def _kept(state: State, kept: Any, now: Now, *, same_boot: bool) -> Delay | None:
    """The delay in a snapshot; None when the fire is to count, and to sound."""
    if not isinstance(kept, list) or len(kept) != 4:
        return None
    if not all(type(n) is int and abs(n) < 2**62 for n in kept):
        return None
    if state.signals.manual is not None or state.effects.evacuate:
        return None  # somebody did not wait, since the start
    point_id, phase, until_ns, until_wall_ns = kept
    k = state.site.index_of.get(point_id, -1)
    if k < 0 or not state.alarms.vote[k] or phase not in (Phase.UNSEEN, Phase.SOUGHT):
        return None
    if not same_boot:
        until_ns = now.mono_ns + until_wall_ns - now.wall_ns
    most_ns = times(state, k)[phase == Phase.SOUGHT]
    if not 0 < until_ns - now.mono_ns <= most_ns or not is_day(state.site.plan, now):
        return None  # over, or the clock was set back: how much is left is not known
    return Delay(Phase(phase), k, until_ns, until_wall_ns)
