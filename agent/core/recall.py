"""Merging a recalled snapshot: it adds fires, it never clears one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np

from agent.core import alarms as points
from agent.core import panel, records
from agent.core.alarms import Alarms, Phase
from agent.core.image import Image
from agent.core.memory import Memory, PointMemory
from agent.core.panel import PanelBook
from agent.core.site import Site
from agent.core.types import Now, Record
from agent.core.zones import Zones
from config.limits import PANEL_ALARMS_MAX
from config.words import Mode

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
    remembered = {site.index_of.get(old.point_id, -1) for old in memory.points}
    news = bool(alarms.order.keys() - remembered) or bool(holders.book.standing)
    out: list[Record] = []
    twice = 0 if again else _told_twice(alarms, site, memory)
    for old in memory.points:
        k = site.index_of.get(old.point_id)
        if k is not None:
            out += _point(holders, k, old, now)
    out += _panel(holders, memory, now)
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


def _told_twice(alarms: Alarms, site: Site, memory: Memory) -> int:
    """Fires that were read again before the memory of them came: each is the one alarm that it was,
    with what people did to it. How many.
    """
    names = set()
    for old in memory.points:
        k = site.index_of.get(old.point_id)
        if k is None or not old.vote or not alarms.vote[k]:
            continue
        alarms.acked[k] |= old.acked
        alarms.order[k] = old.wall_ns
        names.add(site.plan.points.names[k])
    fresh = [past for past in alarms.last if past.name not in names]
    alarms.last = deque(fresh, alarms.last.maxlen)
    return len(names)


def _point(holders: Holders, k: int, old: PointMemory, now: Now) -> list[Record]:
    alarms, site, image = holders.alarms, holders.site, holders.image
    if not old.vote and not old.lost_in_alarm and site.modes[k] != _STATE:
        return []  # it never counted: it was disabled or in test, and is read again soon
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


def _panel(holders: Holders, memory: Memory, now: Now) -> list[Record]:
    devices = {d.name: i for i, d in enumerate(holders.site.plan.devices)}
    standing = holders.book.standing
    kept = memory.more.get("told")
    marks = kept if isinstance(kept, bytes) and len(kept) == len(memory.panel) else b""
    out: list[Record] = []
    for i, (name, address, flags) in enumerate(memory.panel):
        device = devices.get(name)
        if device is None or len(standing) >= PANEL_ALARMS_MAX:
            continue
        before = standing.get((device, address), 0)
        panel.recall(holders.book, (device, address), flags, marks[i] if marks else 0)
        if before | flags == before:
            continue
        body = {
            "name": name,
            "address": address,
            "from": before,
            "to": before | flags,
            "why": "recalled",
        }
        gated = (device, address) not in holders.book.votes
        lane = records.lane_of(before, before | flags, gated=gated)
        out.append(Record(lane, f"panel/{name}/{address}", "panel", now.mono_ns, body))
    return out
