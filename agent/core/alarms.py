"""Alarms of points: what latches, what follows, what each of the three verbs may do.

The state of a fire is a row of a table, not code. A point's published flags are its live flags
(what the detectors and the panel say now) and what is latched. Acknowledge, silence and reset are
three verbs; none of them does another's work.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from agent.core import kernels, records
from agent.core.image import Image
from agent.core.site import I4, I8, U4, Bools, Site
from agent.core.types import Record
from config.limits import PAST_ALARMS_MAX, RESOUND_NS
from config.words import Flag, Lane, Mode


class Origin(IntEnum):
    """Whose alarm it is, hence whose reset it follows."""

    GATEWAY = 0  # our own detectors and contacts: ours
    PANEL = 1  # a panel's word: the panel's
    GATED = 2  # nobody's: it rose on a point that is disabled or in test, and never counted


class Phase(IntEnum):
    """Where a point's fire stands."""

    CLEAR = 0
    LIVE = 1  # the condition is there, or nothing readable says that it is gone
    HELD = 2  # the condition is gone; the alarm waits for a reset


class Event(IntEnum):
    """What can happen to a point's fire."""

    RISES = 0  # the fire condition is there
    FALLS = 1  # reads GOOD, and no fire condition is there
    UNKNOWN = 2  # stale, bad, not ready, or a trend still stands: says nothing
    RESET = 3  # reset, and the point reads GOOD below its clear level
    RESET_REFUSED = 4  # reset, and it does not
    RETURNS = 5  # as RISES, after it was gone for RESOUND_NS and somebody had seen or silenced it


class Act(IntEnum):
    """What a transition does beyond the phase."""

    NONE = 0
    ALARM = 1  # a new alarm: counted, sounded
    END = 2  # the alarm is over


G, P, X = Origin.GATEWAY, Origin.PANEL, Origin.GATED
FIRE_TABLE: dict[tuple[Origin, Phase, Event], tuple[Phase, Act]] = {
    (G, Phase.CLEAR, Event.RISES): (Phase.LIVE, Act.ALARM),
    (G, Phase.CLEAR, Event.FALLS): (Phase.CLEAR, Act.NONE),
    (G, Phase.CLEAR, Event.UNKNOWN): (Phase.CLEAR, Act.NONE),
    (G, Phase.CLEAR, Event.RESET): (Phase.CLEAR, Act.NONE),
    (G, Phase.CLEAR, Event.RESET_REFUSED): (Phase.CLEAR, Act.NONE),
    (G, Phase.LIVE, Event.RISES): (Phase.LIVE, Act.NONE),
    (G, Phase.LIVE, Event.FALLS): (Phase.HELD, Act.NONE),
    (G, Phase.LIVE, Event.UNKNOWN): (Phase.LIVE, Act.NONE),
    (G, Phase.LIVE, Event.RESET): (Phase.CLEAR, Act.END),
    (G, Phase.LIVE, Event.RESET_REFUSED): (Phase.LIVE, Act.NONE),
    (G, Phase.HELD, Event.RISES): (Phase.LIVE, Act.NONE),  # still the same alarm
    (G, Phase.HELD, Event.FALLS): (Phase.HELD, Act.NONE),
    (G, Phase.HELD, Event.UNKNOWN): (Phase.HELD, Act.NONE),
    (G, Phase.HELD, Event.RESET): (Phase.CLEAR, Act.END),
    (G, Phase.HELD, Event.RESET_REFUSED): (Phase.HELD, Act.NONE),
    (G, Phase.HELD, Event.RETURNS): (Phase.LIVE, Act.ALARM),  # who went home must hear of it
    (P, Phase.CLEAR, Event.RISES): (Phase.LIVE, Act.ALARM),
    (P, Phase.CLEAR, Event.FALLS): (Phase.CLEAR, Act.NONE),
    (P, Phase.CLEAR, Event.UNKNOWN): (Phase.CLEAR, Act.NONE),
    (P, Phase.CLEAR, Event.RESET): (Phase.CLEAR, Act.NONE),
    (P, Phase.CLEAR, Event.RESET_REFUSED): (Phase.CLEAR, Act.NONE),
    (P, Phase.LIVE, Event.RISES): (Phase.LIVE, Act.NONE),
    (P, Phase.LIVE, Event.FALLS): (Phase.CLEAR, Act.END),  # the panel was reset
    (P, Phase.LIVE, Event.UNKNOWN): (Phase.LIVE, Act.NONE),  # losing the link clears nothing
    (P, Phase.LIVE, Event.RESET): (Phase.LIVE, Act.NONE),  # our reset is not the panel's
    (P, Phase.LIVE, Event.RESET_REFUSED): (Phase.LIVE, Act.NONE),
    (X, Phase.CLEAR, Event.RISES): (Phase.LIVE, Act.NONE),
    (X, Phase.CLEAR, Event.FALLS): (Phase.CLEAR, Act.NONE),
    (X, Phase.CLEAR, Event.UNKNOWN): (Phase.CLEAR, Act.NONE),
    (X, Phase.CLEAR, Event.RESET): (Phase.CLEAR, Act.NONE),
    (X, Phase.CLEAR, Event.RESET_REFUSED): (Phase.CLEAR, Act.NONE),
    (X, Phase.LIVE, Event.RISES): (Phase.LIVE, Act.NONE),  # the gate opened: publish() counts it
    (X, Phase.LIVE, Event.FALLS): (Phase.CLEAR, Act.NONE),  # what never counted does not latch
    (X, Phase.LIVE, Event.UNKNOWN): (Phase.LIVE, Act.NONE),
    (X, Phase.LIVE, Event.RESET): (Phase.CLEAR, Act.NONE),
    (X, Phase.LIVE, Event.RESET_REFUSED): (Phase.LIVE, Act.NONE),
}
"""A panel's fire is never HELD: it is there until the panel takes it back. Nor is one that never
counted: it is logged, and follows its condition. Only what is HELD returns."""

# Plain ints: arithmetic on IntFlag is slow, and a body must be plain CBOR.
FIRE, PREALARM = int(Flag.FIRE), int(Flag.PREALARM)
FAULT, MANUAL = int(Flag.FAULT), int(Flag.MANUAL)
GATES = int(Flag.DISABLED | Flag.TEST)
GATED = int(Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY | Flag.ACTIVATED | Flag.MANUAL)
_DISABLED = int(Flag.DISABLED)
_LOST = kernels.STALE | kernels.INVALID
_LATCHES = int(Flag.FIRE | Flag.PREALARM)
INVESTIGATED = 1 << 30  # internal: a delay of ours holds back the general alarm of this fire
TEST_ALARM = 1 << 29  # internal: the point is in a walk test, and is in alarm now
CONFIRMED = 1 << 27  # internal: the time of its investigation is over
PUBLISHED = 0xFFFF  # what of `effective` and of a zone's flags may leave the core
# Members of an enum bound once: to reach them through their class costs more than what they do.
_PHASES = tuple(Phase)
_RISES, _UNKNOWN, _FALLS, _RETURNS = Event.RISES, Event.UNKNOWN, Event.FALLS, Event.RETURNS
_ALARM, _FIRE_LANE = Act.ALARM, Lane.FIRE
# Nor may an array be compared with one: numpy takes 10 us to see that it is a number.
_CLEAR, _HELD = int(Phase.CLEAR), int(Phase.HELD)
_ANALOGUE, _STATE = int(Mode.ANALOGUE), int(Mode.STATE)


def fire_event(bits: int) -> Event:
    """What the detector bits of a point say about its fire."""
    if bits & kernels.FIRE:
        return _RISES
    if bits & (_LOST | kernels.TREND) or not bits & kernels.READY:
        return _UNKNOWN
    if bits & _DISABLED:
        return _UNKNOWN  # somebody disabled it: that never clears a fire
    return _FALLS


def reset_event(bits: int) -> Event:
    """Whether a reset is entitled to clear the point."""
    if bits & kernels.BELOW_CLEAR and not bits & (_LOST | kernels.FIRE | kernels.TREND):
        return Event.RESET
    return Event.RESET_REFUSED


@dataclass(frozen=True, slots=True)
class FirstAlarm:
    """The first alarm since all was clear, frozen for display."""

    source: str  # "point/17", or "panel/NAME/ADDRESS"
    name: str
    mono_ns: int  # 0 when it was in another boot
    wall_ns: int


@dataclass(frozen=True, slots=True)
class PastAlarm:
    """One of the last alarms, kept to be classified: real, false or test."""

    number: int  # of its life; a gateway that recalls its count late may use one twice
    source: str
    name: str
    wall_ns: int
    word: str = ""


@dataclass(slots=True)
class Alarms:
    """State of n points. `unsaved` asks for a new snapshot, `touched` for zones and effects."""

    flags: U4  # [n] published words.Flag
    effective: U4  # [n] what effects see: gated points count for nothing
    phase: NDArray[np.uint8]  # [n] Phase
    lost_in_alarm: Bools  # [n] pre-alarm latched because the point was lost while rising
    vote: Bools  # [n] a fire that counts; once it does, disabling does not take it back
    acked: Bools  # [n]
    detail: U4  # [n] kernels.DETAIL bits that were published
    covered: Bools  # [n] stale, and said so by its device's or line's fault
    gates: U4  # [n] DISABLED and TEST of our own operators, DELAY of our own investigation
    inner: U4  # [n] INVESTIGATED and TEST_ALARM, for effects alone
    held_ns: I8  # [n] since when a fire is HELD, in this boot
    rose_ns: I8  # [n] when the point's fire last rose, in this boot
    order: dict[int, int] = field(default_factory=dict)  # alarms in order: point -> wall ns
    first: FirstAlarm | None = None
    count: int = 0  # lifetime
    silenced: bool = False
    unsaved: bool = False
    touched: bool = False
    rose: list[int] = field(default_factory=list)  # gated fires that rose, until the test took them
    raised: list[int] = field(default_factory=list)  # fires that counted since the last decision
    last: deque[PastAlarm] = field(default_factory=lambda: deque(maxlen=PAST_ALARMS_MAX))


def new_alarms(site: Site) -> Alarms:
    """All clear."""
    n = len(site)
    return Alarms(
        flags=np.zeros(n, np.uint32),
        effective=np.zeros(n, np.uint32),
        phase=np.zeros(n, np.uint8),
        lost_in_alarm=np.zeros(n, np.bool_),
        vote=np.zeros(n, np.bool_),
        acked=np.zeros(n, np.bool_),
        detail=np.zeros(n, np.uint32),
        covered=np.zeros(n, np.bool_),
        gates=np.zeros(n, np.uint32),
        inner=np.zeros(n, np.uint32),
        held_ns=np.zeros(n, np.int64),
        rose_ns=np.zeros(n, np.int64),
    )


def evaluate(
    alarms: Alarms, site: Site, image: Image, changed: I4, stamp: tuple[int, int]
) -> list[Record]:
    """Bring the flags of the changed points up to date. stamp: mono ns, wall ns of the change."""
    bits = image.bits[changed]
    live = live_flags(bits, alarms.covered[changed]) | alarms.gates[changed]
    # Only points that alarm, did alarm, or look different from before need a closer look.
    interesting = ((live | alarms.flags[changed]) & _LATCHES != 0) | (live != alarms.flags[changed])
    interesting |= bits & np.uint32(kernels.DETAIL) != alarms.detail[changed]
    alarms.touched = True  # a point that became ready or was lost counts differently in its zone
    out: list[Record] = []
    for k, b in zip(changed[interesting].tolist(), bits[interesting].tolist(), strict=True):
        _lose(alarms, site, k, b)
        out += settle(alarms, site, image, k, fire_event(b), stamp)
    return out


def live_flags(bits: U4, covered: Bools) -> U4:
    """Flags that detectors and panel give by themselves, [m]."""
    live = bits & np.uint32(kernels.FLAG_MASK)
    live |= np.where(bits & kernels.TREND, np.uint32(PREALARM), np.uint32(0))
    faulty = (bits & np.uint32(kernels.FAULTY) != 0) | ((bits & kernels.STALE != 0) & ~covered)
    live |= np.where(faulty, np.uint32(FAULT), np.uint32(0))
    return live


def live_flags_of(bits: int, *, covered: bool) -> int:
    """`live_flags` of one point, without arrays."""
    live = bits & kernels.FLAG_MASK
    if bits & kernels.TREND:
        live |= PREALARM
    if bits & kernels.FAULTY or (bits & kernels.STALE and not covered):
        live |= FAULT
    return live


def _lose(alarms: Alarms, site: Site, k: int, bits: int) -> None:
    """An analogue point lost while rising or in pre-alarm keeps its pre-alarm until reset.

    So does one whose last valid sample was over the fire level: one is no fire (it may be the
    spike of a wire that breaks), but what follows, out of range or nothing, must not hide it.
    """
    if (
        bits & _LOST
        and bits & (kernels.PREALARM | kernels.TREND | kernels.WAS_OVER)
        and site.modes[k] == _ANALOGUE
        and not alarms.lost_in_alarm[k]
        and not alarms.gates[k] & GATES
    ):
        alarms.lost_in_alarm[k] = True
        alarms.unsaved = True


def settle(
    alarms: Alarms,
    site: Site,
    image: Image,
    k: int,
    event: Event,
    stamp: tuple[int, int],
    why: str = "",
) -> list[Record]:
    """Apply one event to one point; its record when its flags changed.

    `why` names evidence beyond the point's own bits.
    """
    before = _PHASES[int(alarms.phase[k])]
    origin = _origin(alarms, site, image, k)
    if event is _RISES and before == _HELD and _is_news(alarms, k, stamp[0]):
        event = _RETURNS
    phase, act = FIRE_TABLE[origin, before, event]
    if phase != before:
        alarms.phase[k] = phase
        alarms.unsaved = True
        if phase == _HELD:
            alarms.held_ns[k] = stamp[0]
        elif before == _CLEAR:
            alarms.rose_ns[k] = stamp[0]
            if origin is X:
                alarms.rose.append(k)
    if before == _HELD and act is _ALARM:
        alarms.vote[k] = False  # publish() counts it again, at its old place in the order
    return publish(alarms, site, image, k, stamp, why)


def _origin(alarms: Alarms, site: Site, image: Image, k: int) -> Origin:
    """Whose rules a point's fire follows now."""
    gated = (image.bits_of(k) | int(alarms.gates[k])) & GATES
    if not alarms.vote[k] and (gated or alarms.phase[k] != _CLEAR):
        return X
    return P if site.from_panel[k] else G


def _is_news(alarms: Alarms, k: int, mono_ns: int) -> bool:
    """Whether a condition that comes back on a latched fire is a new alarm."""
    if alarms.gates[k] & GATES:
        return False
    known = alarms.silenced or bool(alarms.acked[k])
    return known and mono_ns - int(alarms.held_ns[k]) >= RESOUND_NS


def publish(
    alarms: Alarms, site: Site, image: Image, k: int, stamp: tuple[int, int], why: str = ""
) -> list[Record]:
    """Recompute a point's flags, its vote and what effects see; a record when they changed."""
    bits = image.bits_of(k)
    live = live_flags_of(bits, covered=bool(alarms.covered[k]))
    after = live & ~FIRE | int(alarms.gates[k])
    if alarms.phase[k] != _CLEAR:
        after |= FIRE
    if alarms.lost_in_alarm[k]:
        after |= PREALARM
    before = int(alarms.flags[k])
    gated = bool(after & GATES)
    number = 0
    voted = bool(alarms.vote[k])
    # A state point recalled from before a restart may be disabled: it must be read to count.
    read = site.modes[k] != _STATE or bits & (kernels.READY | FIRE)
    if after & FIRE and not voted and not gated and read:
        number = _raise(alarms, site, k, stamp)
    elif voted and not after & FIRE:
        alarms.vote[k] = False
        alarms.acked[k] = False
        alarms.order.pop(k, None)
        alarms.inner[k] = 0
        alarms.unsaved = True
    effective = after & ~FIRE  # a fire counts by its vote alone
    if gated:
        effective &= ~GATED
    if alarms.vote[k]:
        effective |= FIRE | after & MANUAL
    alarms.effective[k] = effective | int(alarms.inner[k])
    detail = bits & kernels.DETAIL
    if after == before and not number and detail == alarms.detail[k]:
        return []
    alarms.detail[k] = detail
    alarms.flags[k] = after
    alarms.touched = True
    counts = voted or bool(alarms.vote[k])
    record = records.point_record(
        site,
        image,
        k,
        (before, after),
        stamp[0],
        why=why,
        number=number,
        gated=gated and not counts,
    )
    if number and not (before ^ after) & FIRE:  # a gate opened on a standing fire
        record = Record(_FIRE_LANE, record.source, record.what, stamp[0], record.body)
    return [record]


def _raise(alarms: Alarms, site: Site, k: int, stamp: tuple[int, int]) -> int:
    """A fire that counts: number it, and sound again."""
    alarms.vote[k] = True
    alarms.acked[k] = False
    alarms.order[k] = stamp[1]
    alarms.unsaved = True
    alarms.silenced = False
    alarms.count += 1
    alarms.raised.append(k)
    source, name = f"point/{int(site.ids[k])}", site.plan.points.names[k]
    if alarms.first is None:
        alarms.first = FirstAlarm(source, name, *stamp)
    alarms.last.append(PastAlarm(alarms.count, source, name, stamp[1]))
    return alarms.count


# --- the three verbs ----------------------------------------------------------------------------


def acknowledge(alarms: Alarms) -> int:
    """Someone has seen every alarm that stands; how many were new to them."""
    fresh = alarms.vote & ~alarms.acked
    alarms.acked |= alarms.vote
    number = int(np.count_nonzero(fresh))
    alarms.unsaved = alarms.unsaved or number > 0
    alarms.touched = alarms.touched or number > 0  # an investigation goes on from here
    return number


def silence(alarms: Alarms) -> None:
    """Sounders off, nothing cleared; the next alarm sounds again."""
    alarms.unsaved = alarms.unsaved or not alarms.silenced
    alarms.silenced = True
    alarms.touched = True


def gate(
    alarms: Alarms, site: Site, image: Image, k: int, gates: int, stamp: tuple[int, int]
) -> list[Record]:
    """Set what operators or an investigation did to a point.

    When a gate opens on a fire, it counts; one that closes takes nothing back.
    """
    if int(alarms.gates[k]) == gates:
        return []
    alarms.gates[k] = gates
    alarms.touched = True
    alarms.unsaved = True
    return settle(alarms, site, image, k, fire_event(int(image.bits[k])), stamp)


def settle_fire(
    alarms: Alarms, site: Site, image: Image, k: int, why: str, stamp: tuple[int, int]
) -> list[Record]:
    """Fire on evidence beyond the point's own level: its zone agrees."""
    if alarms.phase[k] != _CLEAR:
        return []
    return settle(alarms, site, image, k, _RISES, stamp, why)
