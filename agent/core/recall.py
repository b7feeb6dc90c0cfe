"""Merging a recalled snapshot: it adds fires, it never clears one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from agent.core import alarms as points
from agent.core import kernels, panel, records
from agent.core.alarms import Alarms, Phase
from agent.core.image import Image
from agent.core.memory import Memory, PointMemory
from agent.core.panel import FIRE, Key, PanelBook
from agent.core.site import Site
from agent.core.types import Now, Record
from agent.core.zones import Zones
from config.words import Mode

Told = dict[Key, tuple[int, int]]
"""What a panel told at an address, and the mark of it (agent.core.panel.marks)."""
_CLEAR, _STATE = int(Phase.CLEAR), int(Mode.STATE)  # numbers: see agent.core.alarms


@dataclass(frozen=True, slots=True)
class Holders:
    """Where a snapshot goes."""

    alarms: Alarms
    zones: Zones
    book: PanelBook
    site: Site
    image: Image


def merge(memory: Memory, holders: Holders, boot: bytes, now: Now, *, again: bool) -> list[Record]:
    """Add what the snapshot holds. `again`: not the first merge, so counts are not added twice."""
    alarms, site = holders.alarms, holders.site
    remembered = [site.index_of.get(old.point_id, -1) for old in memory.points]
    known = {k for k, old in zip(remembered, memory.points, strict=True) if _stood(old)}
    told = _still_told(holders, memory)
    news = bool(alarms.order.keys() - known) or any(
        flags & ~told.get(key, (0, 0))[0] for key, flags in holders.book.standing.items()
    )
    out: list[Record] = []
    twice = 0 if again else _told_twice(holders, memory, told)
    for old in memory.points:
        k = site.index_of.get(old.point_id)
        if k is not None:
            out += _point(holders, k, old, now)
    alarms.order = {k: alarms.order[k] for k in remembered if k in alarms.order} | alarms.order
    out += _panel(holders, told, now)
    if again:
        alarms.count = max(alarms.count, memory.count)
    else:
        alarms.count += memory.count - twice
        # A silence holds only when nothing sounds that it did not know of.
        alarms.silenced = memory.silenced and not news
    if memory.first is not None:
        same_boot = memory.boot == boot
        alarms.first = memory.first if same_boot else replace(memory.first, mono_ns=0)
    names = set(memory.zones)
    holders.zones.recalled |= np.array([z.name in names for z in site.plan.zones], np.bool_)
    alarms.touched = True
    alarms.unsaved = True
    if -1 in remembered:
        text = "points that stood in alarm before the restart are not in this plan any more"
        out.append(
            records.fault_record("system/recall", "system", now.mono_ns, fault=True, text=text)
        )
    return out


def _stood(old: PointMemory) -> bool:
    """Whether its fire was there, and counted: one that is there now is the same."""
    return old.vote and old.phase == Phase.LIVE


def _told_twice(holders: Holders, memory: Memory, told: Told) -> int:
    """Fires that were read or told again before the memory of them came: each is the one alarm that
    it was, with what people did to it. How many.
    """
    alarms, site = holders.alarms, holders.site
    sources = set()
    for old in memory.points:
        k = site.index_of.get(old.point_id)
        if k is None or not _stood(old) or not alarms.vote[k]:
            continue
        alarms.acked[k] |= old.acked
        alarms.order[k] = old.wall_ns
        sources.add(f"point/{old.point_id}")
    names = {device: row.name for device, row in enumerate(site.plan.devices)}
    panels = {
        f"panel/{names[device]}/{address}"
        for (device, address), (flags, _) in told.items()
        if flags & FIRE and (device, address) in holders.book.votes
    }
    sources |= panels & {past.source for past in alarms.last}  # a part is counted with its whole
    fresh = [past for past in alarms.last if past.source not in sources]
    alarms.last = deque(fresh, alarms.last.maxlen)
    return len(sources)


def _still_told(holders: Holders, memory: Memory) -> Told:
    """What panels told before the restart and have not taken back since."""
    devices = {d.name: i for i, d in enumerate(holders.site.plan.devices)}
    kept = memory.more.get("told")
    if not isinstance(kept, bytes) or len(kept) != len(memory.panel):
        kept = bytes(len(memory.panel))
    out: Told = {}
    for (name, address, flags), mark in zip(memory.panel, kept, strict=True):
        if name not in devices:
            continue
        key = devices[name], address
        left = panel.not_ended(holders.book, key, flags)
        if left:
            out[key] = left, mark
    return out


def _point(holders: Holders, k: int, old: PointMemory, now: Now) -> list[Record]:
    alarms, site, image = holders.alarms, holders.site, holders.image
    read = bool(image.bits[k] & np.uint32(kernels.READY | kernels.FIRE))
    if not old.vote and not old.lost_in_alarm and (read or site.modes[k] != _STATE):
        return []  # it never counted: it was disabled or in test, and is read again soon, or was
    if old.phase != _CLEAR and alarms.phase[k] == _CLEAR:
        # Whether the condition is still there is not known before the point is read.
        alarms.phase[k] = Phase.LIVE
    alarms.lost_in_alarm[k] |= old.lost_in_alarm
    if old.vote and not alarms.vote[k] and alarms.phase[k] != _CLEAR:
        alarms.vote[k] = True
        alarms.acked[k] = old.acked
        alarms.order[k] = old.wall_ns
    stamp = (now.mono_ns, now.wall_ns)
    out = points.publish(alarms, site, image, k, stamp, "recalled")
    return out + points.settle(alarms, site, image, k, points.fire_event(int(image.bits[k])), stamp)


def _panel(holders: Holders, told: Told, now: Now) -> list[Record]:
    out: list[Record] = []
    for old, (flags, mark) in told.items():
        key, before = panel.recall(holders.book, old, flags, mark)
        if before | flags == before:
            continue
        name, address = holders.site.plan.devices[key[0]].name, key[1]
        body = {
            "name": name,
            "address": address,
            "from": before,
            "to": before | flags,
            "why": "recalled",
        }
        gated = key not in holders.book.votes
        lane = records.lane_of(before, before | flags, gated=gated)
        out.append(Record(lane, f"panel/{name}/{address}", "panel", now.mono_ns, body))
    return out
