"""Zones: k of n, agreement of trends, and coincidence lost. A second, small pass over members.

It runs only when a point changed, over all memberships at once; the cost grows with members, not
with changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core import kernels, records
from agent.core.alarms import INVESTIGATED, PUBLISHED, TEST_ALARM, Alarms, Phase
from agent.core.image import Image
from agent.core.site import CO, FOREVER_NS, I8, U4, Bools, Site
from agent.core.types import Record
from config.limits import LOST_TOGETHER_NS
from config.words import Flag

FIRE, PREALARM = int(Flag.FIRE), int(Flag.PREALARM)
SUPERVISORY, FAULT, MANUAL = int(Flag.SUPERVISORY), int(Flag.FAULT), int(Flag.MANUAL)
_OUT_OF_SERVICE = np.uint32(Flag.FAULT | Flag.DISABLED | Flag.TEST)
_GATES = np.uint32(Flag.DISABLED | Flag.TEST)
_DISABLED = np.uint32(Flag.DISABLED)
_LEVELS = np.uint32(FIRE | PREALARM)
_LOST = np.uint32(kernels.STALE | kernels.INVALID)
_NOBODY = np.zeros(0, np.int64)


@dataclass(slots=True)
class Zones:
    """State of z zones. A zone's fire latches: it ends when no fire of its points is left."""

    flags: U4  # [z]
    healthy: I8  # [z] members that can vote
    votes: I8  # [z] members whose fire counts
    coincidence_lost: Bools  # [z]
    knock_ns: I8  # [z] since when votes stand that are too few; FOREVER_NS when none do
    recalled: Bools  # [z] in fire before the restart; looked at once
    gates: U4  # [z] DISABLED and TEST of our own operators


def new_zones(site: Site) -> Zones:
    """All quiet, all members expected."""
    z = len(site.zone_needed)
    return Zones(
        flags=np.zeros(z, np.uint32),
        healthy=site.zone_size.astype(np.int64),
        votes=np.zeros(z, np.int64),
        coincidence_lost=np.zeros(z, np.bool_),
        knock_ns=np.full(z, FOREVER_NS, np.int64),
        recalled=np.zeros(z, np.bool_),
        gates=np.zeros(z, np.uint32),
    )


def agreeing(alarms: Alarms, site: Site, image: Image) -> dict[int, str]:
    """Points whose trend or loss a neighbour confirms, with the reason: they are fire.

    A trend is confirmed by a second point of its zone that sees the fire too (a trend or a level),
    smoke and heat by CO. A point lost while rising or in pre-alarm counts as rising; it is also
    confirmed by a neighbour that was lost together with it.
    """
    bits = np.ascontiguousarray(image.bits)
    in_service = alarms.flags & _GATES == 0
    lost_rising = alarms.lost_in_alarm & (bits & _LOST != 0)
    rising = ((bits & np.uint32(kernels.TREND) != 0) | lost_rising) & in_service
    if not site.sees_co and not rising.any():
        return {}  # levels alone confirm nothing but CO
    over = (rising | ((bits & _LEVELS) != 0)) & in_service
    if not over.any():
        return {}
    z = len(site.zone_needed)
    up = np.flatnonzero(over.take(site.member_point))  # few: the rest of the pass costs nothing
    up = up[site.member_sees[up] != 0]
    zone, sees, point = site.member_zone[up], site.member_sees[up], site.member_point[up]
    trends = rising[point]
    number, growing = np.bincount(zone, minlength=z), np.bincount(zone[trends], minlength=z)
    co = np.bincount(zone[sees == CO], minlength=z) > 0
    other = np.bincount(zone[sees != CO], minlength=z) > 0
    agrees = ((number >= 2) & (growing >= 1)) | (co & other)
    out = {int(k): "agreed" for k in point[agrees[zone]]}
    alone = trends & site.zone_trend_fire[zone]
    out |= {int(k): "trend" for k in point[alone] if int(k) not in out}
    for k in np.flatnonzero(lost_rising & in_service).tolist():
        if k not in out and alarms.phase[k] == Phase.CLEAR and _confirmed(alarms, site, image, k):
            out[k] = "lost in alarm"
    return out


def _confirmed(alarms: Alarms, site: Site, image: Image, k: int) -> bool:
    """A neighbour of k stands in pre-alarm by its level, or was lost together with k.

    Together: it gave its last valid sample at about the same time.
    """
    valid = image.stamps[:, kernels.LAST_VALID]
    for zone in site.zones_of.get(k, ()):
        near = site.member_point[site.member_zone == zone]
        near = near[near != k]
        warm = (alarms.effective[near] & image.bits[near] & np.uint32(PREALARM)) != 0
        if (warm & (image.bits[near] & _LOST == 0)).any():
            return True  # no trend detector, or a slow rise: hot is hot
        near = near[image.bits[near] & _LOST != 0]
        near = near[valid[near] != kernels.NEVER]
        if (np.abs(valid[near] - valid[k]) <= LOST_TOGETHER_NS).any():
            return True
    return False


def window_over(zones: Zones, site: Site, mono_ns: int) -> bool:
    """Whether a first knock has stood for longer than its zone's window."""
    late = mono_ns - zones.knock_ns >= site.zone_window_ns
    return bool((late & (zones.flags & np.uint32(FIRE) == 0)).any())


def evaluate(
    zones: Zones, alarms: Alarms, site: Site, image: Image, mono_ns: int
) -> tuple[list[Record], bool]:
    """Recompute every zone: its records, and whether a zone's fire changed (to be persisted)."""
    z = len(site.zone_needed)
    point, zone = site.member_point, site.member_zone
    # Over points first, then one look-up a membership: that is what the pass costs.
    lost = image.bits & _LOST | alarms.flags & _OUT_OF_SERVICE
    zones.healthy = _count(((lost == 0) | alarms.vote).take(point), site)
    voting = np.flatnonzero(alarms.vote.take(point)) if alarms.vote.any() else _NOBODY
    zones.votes = np.bincount(zone[voting], minlength=z)
    effective = alarms.effective.take(point)
    seen = _together(effective, site)
    manual = np.bincount(zone[voting[effective[voting] & np.uint32(MANUAL) != 0]], minlength=z)
    # A detector that is not ready yet still counts in n: start-up must not weaken coincidence.
    needed = np.maximum(1, np.minimum(site.zone_needed, zones.healthy))
    was = zones.flags & np.uint32(FIRE) != 0
    latched = was | zones.recalled
    zones.recalled = np.zeros(z, np.bool_)
    fire = (zones.votes > 0) & ((zones.votes >= needed) | latched | (manual > 0))
    live = voting[alarms.phase[point[voting]] == Phase.LIVE]
    present = np.bincount(zone[live], minlength=z) > 0
    zones.knock_ns = np.where(present, np.minimum(zones.knock_ns, mono_ns), FOREVER_NS)
    fire |= present & (mono_ns - zones.knock_ns >= site.zone_window_ns)
    pre = seen & np.uint32(PREALARM) != 0
    supervisory = seen & np.uint32(SUPERVISORY) != 0
    alone = (site.zone_needed >= 2) & (site.zone_size >= 2)
    alone &= (zones.healthy == 1) | ((zones.healthy == 0) & zones.coincidence_lost)
    enabled = zones.gates & _DISABLED == 0
    fire &= enabled | latched  # a disabled zone comes into no alarm, and leaves none
    after = (
        fire * np.uint32(FIRE)
        | ((pre | ((zones.votes > 0) & ~fire)) & enabled) * np.uint32(PREALARM)
        | (supervisory & enabled) * np.uint32(SUPERVISORY)
        | alone * np.uint32(FAULT)
        | zones.gates
        | _inner(alarms, site)
    ).astype(np.uint32)
    before = zones.flags
    zones.flags = after
    out = _records(
        zones, site, before & np.uint32(PUBLISHED), after & np.uint32(PUBLISHED), mono_ns
    )
    out.extend(
        _coincidence(zones, site, i, bool(alone[i]), mono_ns)
        for i in np.flatnonzero(alone != zones.coincidence_lost).tolist()
    )
    zones.coincidence_lost = alone
    return out, bool((fire != was).any())


def _count(members: Bools, site: Site) -> I8:
    """How many of the members, [m], each zone has, [z]."""
    out = np.zeros(len(site.zone_needed), np.int64)
    if members.size:
        out[site.zone_with_members] = np.add.reduceat(members, site.zone_start, dtype=np.int64)
    return out


def _together(flags: U4, site: Site) -> U4:
    """Flags of the members, [m], or-ed by zone, [z]."""
    out = np.zeros(len(site.zone_needed), np.uint32)
    if flags.size:
        out[site.zone_with_members] = np.bitwise_or.reduceat(flags, site.zone_start)
    return out


def _inner(alarms: Alarms, site: Site) -> U4:
    """What the zones' points are in that only effects see, [z]; DELAY is seen by all."""
    z = len(site.zone_needed)
    out = np.zeros(z, np.uint32)
    if not alarms.inner.any():
        return out
    point, zone = site.member_point, site.member_zone
    held = alarms.vote[point] & (alarms.inner[point] & np.uint32(INVESTIGATED) != 0)
    tested = alarms.inner[point] & np.uint32(TEST_ALARM) != 0
    out[zone[held]] |= np.uint32(INVESTIGATED | int(Flag.DELAY))
    out[zone[tested]] |= np.uint32(TEST_ALARM)
    return out


def _records(zones: Zones, site: Site, before: U4, after: U4, mono_ns: int) -> list[Record]:
    """Of zones whose flags changed, [z] before and after."""
    new = np.flatnonzero(before ^ after)
    columns = (new, before[new], after[new], zones.votes[new], site.zone_needed[new],
               zones.healthy[new])  # fmt: skip
    out = []
    for z, was, now, votes, needed, healthy in zip(*(c.tolist() for c in columns), strict=True):
        name = site.plan.zones[z].name
        body = {"name": name, "from": was, "to": now, "votes": votes, "needed": needed,
                "healthy": healthy}  # fmt: skip
        out.append(Record(records.lane_of(was, now), f"zone/{name}", "zone", mono_ns, body))
    return out


def _coincidence(zones: Zones, site: Site, i: int, fault: bool, mono_ns: int) -> Record:
    name = site.plan.zones[i].name
    text = (
        "coincidence lost: one healthy detector is left, a single alarm counts"
        if fault
        else "coincidence is back"
    )
    return records.fault_record(
        f"zone/{name}/coincidence",
        "zone",
        mono_ns,
        fault=fault,
        text=text,
        name=name,
        needed=int(site.zone_needed[i]),
        healthy=int(zones.healthy[i]),
    )
