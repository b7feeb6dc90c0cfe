"""What an order does to many points at once: the table of agent.core.alarms, over arrays.

An order can touch a thousand points in one cycle, and nearly all of them are at rest. What makes
a new alarm of it is settled by itself all the same: alarms are numbered in order.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from agent.core import alarms, kernels, records
from agent.core.alarms import FIRE, FIRE_TABLE, MANUAL, PREALARM, Alarms, Event, Origin, Phase
from agent.core.image import Image
from agent.core.site import I8, U4, Site
from agent.core.types import Record
from config.words import Flag

U1 = NDArray[np.uint8]

_NEXT = np.zeros((len(Origin), len(Phase), len(Event)), np.uint8)  # the phase after
for _row, (_phase, _) in FIRE_TABLE.items():
    _NEXT[_row] = _phase
_CLEAR, _HELD = int(Phase.CLEAR), int(Phase.HELD)
_GATEWAY, _PANEL, _GATED_FIRE = (np.uint8(o) for o in Origin)
_RISES, _RESET, _FALLS = int(Event.RISES), int(Event.RESET), int(Event.FALLS)
_DISABLED = np.uint32(Flag.DISABLED)
_LOST = np.uint32(kernels.STALE | kernels.INVALID)


def gate(
    a: Alarms, site: Site, image: Image, points: I8, gates: U4, stamp: tuple[int, int]
) -> list[Record]:
    """`alarms.gate` of points [m], none of them twice, with gates [m]."""
    new = a.gates[points] != gates
    points = points[new]
    if not points.size:
        return []
    a.gates[points] = gates[new]
    a.touched = a.unsaved = True
    return settle(a, site, image, points, _events(alarms.fire_event, image, points), stamp)


def reset(
    a: Alarms, site: Site, image: Image, stamp: tuple[int, int]
) -> tuple[int, int, list[Record]]:
    """Clear what reads good below its clear level: (cleared, refused, records)."""
    points = np.flatnonzero((a.phase != _CLEAR) | a.lost_in_alarm)
    if not points.size:
        return 0, 0, []
    bits = image.bits[points]
    events = _events(alarms.reset_event, image, points)
    # What cannot be read is cleared when whoever may reset has disabled it, and what a panel does
    # not watch any more as if the panel took it back.
    off = (a.gates[points] & _DISABLED != 0) & (bits & _LOST != 0)
    events[off] = _RESET
    unwatched = site.from_panel[points] & (off | (bits & _DISABLED != 0))
    events[unwatched & (events == _RESET)] = _FALLS
    found = points[(events == _RESET) & (off | (bits & np.uint32(PREALARM) == 0))]
    a.unsaved = a.unsaved or bool(a.lost_in_alarm[found].any())
    a.lost_in_alarm[found] = False
    out = settle(a, site, image, points, events, stamp, "reset")
    left = int(np.count_nonzero((a.phase[points] != _CLEAR) | a.lost_in_alarm[points]))
    return len(points) - left, left, out


def _events(event_of: Callable[[int], Event], image: Image, points: I8) -> U1:
    """What the bits of each point say; of thousands of points few differ."""
    bits, which = np.unique(image.bits[points], return_inverse=True)
    return np.array([event_of(b) for b in bits.tolist()], np.uint8)[which]


def settle(
    a: Alarms,
    site: Site,
    image: Image,
    points: I8,
    events: U1,
    stamp: tuple[int, int],
    why: str = "",
) -> list[Record]:
    """`alarms.settle` of points [m], none of them twice, with events [m]. New alarms come first."""
    bits, vote, before = image.bits[points], a.vote[points], a.phase[points]
    gates = a.gates[points]
    gated = (bits | gates) & alarms.GATES != 0
    ours = np.where(site.from_panel[points], _PANEL, _GATEWAY)
    origin = np.where(~vote & (gated | (before != _CLEAR)), _GATED_FIRE, ours)
    phase = _NEXT[origin, before, events]
    alone = (events == _RISES) | ((phase != _CLEAR) & ~vote & ~gated)
    if alone.any():
        out: list[Record] = []
        for k, event in zip(points[alone].tolist(), events[alone].tolist(), strict=True):
            out += alarms.settle(a, site, image, k, Event(event), stamp, why)
        return out + settle(a, site, image, points[~alone], events[~alone], stamp, why)
    a.unsaved = a.unsaved or bool((phase != before).any())
    a.phase[points] = phase
    a.held_ns[points[(phase == _HELD) & (before != _HELD)]] = stamp[0]
    _end(a, points[vote & (phase == _CLEAR)])
    flags = alarms.live_flags(bits, a.covered[points]) & ~np.uint32(FIRE) | gates
    flags |= (phase != _CLEAR) * np.uint32(FIRE) | a.lost_in_alarm[points] * np.uint32(PREALARM)
    effective = flags & ~np.uint32(FIRE)
    effective[gated] &= ~np.uint32(alarms.GATED)
    effective |= a.vote[points] * (flags & np.uint32(MANUAL) | np.uint32(FIRE))
    a.effective[points] = effective | a.inner[points]
    detail = bits & np.uint32(kernels.DETAIL)
    was = a.flags[points]
    new = (flags != was) | (detail != a.detail[points])
    a.flags[points], a.detail[points] = flags, detail
    a.touched = a.touched or bool(new.any())
    change = was[new], flags[new]
    silent = (gated & ~vote)[new]
    return records.point_records(site, image, points[new], change, stamp[0], why=why, gated=silent)


def _end(a: Alarms, points: I8) -> None:
    """Alarms that counted are over."""
    if not points.size:
        return
    a.vote[points] = a.acked[points] = False
    a.inner[points] = 0
    a.unsaved = True
    for k in points.tolist():
        a.order.pop(k, None)
