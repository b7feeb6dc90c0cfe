"""Zones: k of n, agreement of trends, and coincidence lost. A second, small pass over members.

It runs only when a point changed. One look over all points finds those that are not at rest;
the rest of the pass is about their memberships, and about zones.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core import kernels, records
from agent.core.alarms import CONFIRMED, INVESTIGATED, PUBLISHED, TEST_ALARM, Alarms, Phase
from agent.core.image import Image
from agent.core.site import CO, FOREVER_NS, I8, U4, Bools, Site
from agent.core.types import Record, record_of
from config.limits import LOST_TOGETHER_NS
from config.words import Flag

FIRE, PREALARM = int(Flag.FIRE), int(Flag.PREALARM)
SUPERVISORY, FAULT, MANUAL = int(Flag.SUPERVISORY), int(Flag.FAULT), int(Flag.MANUAL)
_OUT_OF_SERVICE = np.uint32(Flag.FAULT | Flag.DISABLED | Flag.TEST)
_GATES = np.uint32(Flag.DISABLED | Flag.TEST)
_DISABLED = np.uint32(Flag.DISABLED)
_LEVELS = np.uint32(FIRE | PREALARM)
_LOST = np.uint32(kernels.STALE | kernels.INVALID)
_FIRE, _PUBLISHED = np.uint32(FIRE), np.uint32(PUBLISHED)
_SEEN = np.uint32(PREALARM | SUPERVISORY)
_CLEAR, _LIVE = int(Phase.CLEAR), int(Phase.LIVE)  # numbers: see agent.core.alarms


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
    trends = bits & np.uint32(kernels.TREND)
    if not (site.sees_co or np.count_nonzero(trends) or np.count_nonzero(alarms.lost_in_alarm)):
        return {}
    in_service = alarms.flags & _GATES == 0
    lost_rising = alarms.lost_in_alarm & (bits & _LOST != 0)
    rising = ((trends != 0) | lost_rising) & in_service
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
        if k not in out and alarms.phase[k] == _CLEAR and _confirmed(alarms, site, image, k):
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
    if not site.zones_have_windows:
        return False
    late = mono_ns - zones.knock_ns >= site.zone_window_ns
    return bool((late & (zones.flags & np.uint32(FIRE) == 0)).any())


def evaluate(
    zones: Zones, alarms: Alarms, site: Site, image: Image, mono_ns: int
) -> tuple[list[Record], bool]:
    """Recompute every zone: its records, and whether a zone's fire changed (to be persisted)."""
    members = _stirred(alarms, site, image)
    point, zone = site.member_point[members], site.member_zone[members]
    flags, effective, vote = alarms.flags[point], alarms.effective[point], alarms.vote[point]
    lost = (image.bits[point] & _LOST | flags & _OUT_OF_SERVICE != 0) & ~vote
    z = len(site.zone_needed)
    zones.healthy = site.zone_size - np.bincount(zone[lost], minlength=z)
    zones.votes = np.bincount(zone[vote], minlength=z)
    # A detector that is not ready yet still counts in n: start-up must not weaken coincidence.
    needed = np.maximum(1, np.minimum(site.zone_needed, zones.healthy))
    before = zones.flags
    was = before & _FIRE != 0
    latched = was | zones.recalled
    zones.recalled = np.zeros(z, np.bool_)
    enough = latched.copy()
    # A manual call point, and a fire whose investigation nobody ended, need no second one.
    enough[zone[vote & (effective & np.uint32(MANUAL | CONFIRMED) != 0)]] = True
    fire = (zones.votes >= needed) | (enough & (zones.votes > 0))
    if site.zones_have_windows:
        live = zone[vote & (alarms.phase[point] == _LIVE)]
        fire |= _stands_for_long(zones, site, live, mono_ns)
    disabled = np.flatnonzero(zones.gates & _DISABLED)
    fire[disabled] &= latched[disabled]  # a disabled zone comes into no alarm, and leaves none
    alone = site.zone_together & (zones.healthy <= 1)
    alone &= (zones.healthy == 1) | zones.coincidence_lost
    after = zones.gates.copy()
    after[zone[effective & np.uint32(PREALARM) != 0]] |= np.uint32(PREALARM)
    after |= ((zones.votes > 0) & ~fire) * np.uint32(PREALARM)
    after[zone[effective & np.uint32(SUPERVISORY) != 0]] |= np.uint32(SUPERVISORY)
    after[disabled] = zones.gates[disabled]
    after[fire] |= _FIRE
    after[alone] |= np.uint32(FAULT)
    inner = alarms.inner[point]
    if inner.any():
        _mark_inner(after, zone, inner, vote)
    zones.flags = after
    out = _records(zones, site, before, after, mono_ns)
    out.extend(
        _coincidence(zones, site, i, bool(alone[i]), mono_ns)
        for i in np.flatnonzero(alone != zones.coincidence_lost).tolist()
    )
    zones.coincidence_lost = alone
    return out, bool((fire != was).any())


def _stirred(alarms: Alarms, site: Site, image: Image) -> I8:
    """The memberships that a zone must look at: of points that are lost, out of service, or seen.

    One pass over the points and one over the memberships; few are left of both.
    """
    stirred = image.bits & _LOST
    stirred |= alarms.flags & _OUT_OF_SERVICE
    stirred |= alarms.effective & _SEEN
    stirred |= alarms.inner
    return np.flatnonzero(((stirred != 0) | alarms.vote).take(site.member_point))


def _stands_for_long(zones: Zones, site: Site, live: I8, mono_ns: int) -> Bools:
    """[z] where a first knock is fire by now. live: the zones with a fire that is there."""
    present = np.zeros(len(site.zone_needed), np.bool_)
    present[live] = True
    zones.knock_ns = np.where(present, np.minimum(zones.knock_ns, mono_ns), FOREVER_NS)
    return present & (mono_ns - zones.knock_ns >= site.zone_window_ns)


def _mark_inner(flags: U4, zone: I8, inner: U4, vote: Bools) -> None:
    """What points [m] of zones [m] are in that only effects see; DELAY is seen by all."""
    held = zone[vote & (inner & np.uint32(INVESTIGATED) != 0)]
    flags[held] |= np.uint32(INVESTIGATED | int(Flag.DELAY))
    flags[zone[inner & np.uint32(TEST_ALARM) != 0]] |= np.uint32(TEST_ALARM)


def _records(zones: Zones, site: Site, before: U4, after: U4, mono_ns: int) -> list[Record]:
    """Of zones whose published flags changed, [z] before and after."""
    new = np.flatnonzero((before ^ after) & _PUBLISHED)
    columns = (new, before[new] & _PUBLISHED, after[new] & _PUBLISHED, zones.votes[new],
               site.zone_needed[new], zones.healthy[new])  # fmt: skip
    out, plans = [], site.plan.zones
    for z, was, now, votes, needed, healthy in zip(*(c.tolist() for c in columns), strict=True):
        name = plans[z].name
        body = {"name": name, "from": was, "to": now, "votes": votes, "needed": needed,
                "healthy": healthy}  # fmt: skip
        out.append(record_of((records.lane_of(was, now), f"zone/{name}", "zone", mono_ns, body)))
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
