"""What the rows of the matrix see in one pass: points, zones, devices, what panels told.

Gates of all kinds are applied here: what our own investigation holds back, what a panel silenced,
what is in a walk test. One look is one evaluation of the matrix; the further ones are made only
when there is such a thing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from agent.core import contacts, matrix, panel
from agent.core.alarms import CONFIRMED, INVESTIGATED, TEST_ALARM, Alarms
from agent.core.health import Health
from agent.core.matrix import FIRE, MANUAL_FIRE, Tables, View
from agent.core.panel import SOUNDED, PanelBook
from agent.core.site import U4, Bools, Site
from agent.core.zones import Zones
from config.words import Flag

_MANUAL, _FAULT = int(Flag.MANUAL), int(Flag.FAULT)


@dataclass(frozen=True, slots=True)
class Scene:
    """The parts of the state that the matrix looks at."""

    alarms: Alarms
    zones: Zones
    health: Health
    book: PanelBook
    inputs: contacts.Panel


@dataclass(frozen=True, slots=True)
class Seen:
    """Of r rows."""

    cause: Bools  # [r] it is there
    heard: Bools  # [r] and not only in what a panel silenced
    manual: Bools  # [r] a manual call point is part of it
    tested: Bools  # [r] part of it is in a walk test and in alarm
    general: (
        str  # why the general alarm is due: "manual", "devices", "zone", "time"; "" when it is not
    )
    general_hushed: bool  # it is due only by what a panel silenced
    fires: bool  # a fire stands anywhere


def look(tables: Tables, scene: Scene, site: Site) -> Seen:
    """Evaluate the matrix."""
    whole = _view(scene, site)
    flags = matrix.vector(tables, site, whole)
    leaves = matrix.leaves(tables, flags)
    plain = matrix.gates(tables, leaves)
    cause = heard = _causes(tables, scene, site, whole, plain)
    if scene.book.silenced:
        standing = _quiet(scene.book)
        quiet = replace(whole, standing=standing, extra=_extra(scene, site, standing))
        heard = cause & _causes(tables, scene, site, quiet, matrix.evaluate(tables, site, quiet))
    none = np.zeros(len(tables.rows), np.bool_)
    tested = flags[tables.slot] & np.uint32(TEST_ALARM) != 0
    why, hushed, fires = _general(tables, scene, site) if tables.warns else ("", False, False)
    return Seen(
        cause=cause,
        heard=heard,
        manual=_manual(tables, site, whole, leaves) if tables.delayed else none,
        tested=matrix.rows_with(tables, tested) if tested.any() else none,
        general=why,
        general_hushed=hushed,
        fires=fires,
    )


def _causes(tables: Tables, scene: Scene, site: Site, view: View, plain: Bools) -> Bools:
    """Rows whose cause is there, given what the view says by itself.

    A fire that our own investigation holds back is none, but for rows that act in spite of it; a
    first knock in a zone is a fire for rows that warn of one device.
    """
    cause = plain
    held = view.points & np.uint32(INVESTIGATED) != 0
    held_zones = view.zones & np.uint32(INVESTIGATED) != 0
    if np.count_nonzero(held) or np.count_nonzero(held_zones):
        acting = replace(view, points=_without_fire(view.points, held),
                         zones=_without_fire(view.zones, held_zones))  # fmt: skip
        acts = tables.acts | tables.confirmed
        cause = np.where(acts, cause, matrix.evaluate(tables, site, acting))
    if tables.warns:
        knock = (scene.zones.votes > 0) & (view.zones & np.uint32(FIRE) == 0)
        if knock.any():
            zones = np.where(knock, view.zones | np.uint32(FIRE), view.zones).astype(np.uint32)
            near = matrix.evaluate(tables, site, replace(view, zones=zones))
            cause = np.where(tables.confirmed, near, cause)
    return cause


def _without_fire(flags: U4, where: Bools) -> U4:
    return np.where(where, flags & np.uint32(~FIRE & 0xFFFFFFFF), flags).astype(np.uint32)


def _view(scene: Scene, site: Site) -> View:
    standing = panel.seen_flags(scene.book)
    extra = _extra(scene, site, standing)
    return View(scene.zones.flags, scene.alarms.effective, extra, scene.inputs.flags, standing)


def _extra(scene: Scene, site: Site, standing: dict[tuple[int, str], int]) -> U4:
    """What a device shows beyond its points: its panel's words, its silence."""
    told = [0] * len(site.plan.devices)
    for (device, _), flags in standing.items():
        told[device] |= flags
    out = np.array(told, np.uint32)
    out[scene.health.silent] |= np.uint32(_FAULT)
    for port in site.plan.panels:
        if scene.health.line_down[site.device_line[port.device]]:
            out[port.device] |= np.uint32(_FAULT)  # its own line: nothing else tells it is lost
    return out


def _quiet(book: PanelBook) -> dict[tuple[int, str], int]:
    """What panels told, without what they silenced."""
    return {
        key: seen & ~SOUNDED if key[0] in book.silenced else seen
        for key, seen in panel.seen_flags(book).items()
    }


def _manual(tables: Tables, site: Site, view: View, true: Bools) -> Bools:
    """Rows whose cause has a pressed call point in it."""
    points = view.points
    pressed = (points & np.uint32(FIRE | _MANUAL)) == (FIRE | _MANUAL)
    told = {k: MANUAL_FIRE for k, f in view.standing.items() if f & FIRE and f & _MANUAL}
    if not pressed.any() and not told:
        return np.zeros(len(tables.rows), np.bool_)
    zones = np.zeros_like(view.zones)
    for k in np.flatnonzero(pressed).tolist():
        zones[list(site.zones_of.get(k, ()))] = MANUAL_FIRE
    extra = np.zeros_like(view.extra)
    for device, _ in told:
        extra[device] = MANUAL_FIRE
    marked = np.where(pressed, np.uint32(MANUAL_FIRE), np.uint32(0))
    marks = View(zones, marked, extra, np.zeros_like(view.inputs), told)
    flags = matrix.vector(tables, site, marks)
    return matrix.rows_with(tables, true & (flags[tables.slot] & np.uint32(MANUAL_FIRE) != 0))


def _general(tables: Tables, scene: Scene, site: Site) -> tuple[str, bool, bool]:
    """(why the general alarm is due, by what a panel silenced only, whether any fire stands)."""
    effective = scene.alarms.effective
    fires = np.flatnonzero(effective & np.uint32(FIRE))
    book = scene.book
    told = panel.fires(book)
    loud = [key for key in told if key[0] not in book.silenced]
    called = {device for (device, a) in book.votes if book.standing[device, a] & _MANUAL}
    manual = bool((effective[fires] & np.uint32(_MANUAL)).any())
    needed = site.zone_needed >= 2
    counted = scene.zones.flags & np.uint32(FIRE | INVESTIGATED) == FIRE
    zone = bool((needed & counted).any())
    late = bool((effective[fires] & np.uint32(CONFIRMED)).any())
    reasons = []
    for entries in (told, loud):
        pressed = manual or any(device in called for device, _ in entries)
        two = len(entries) + bool(fires.size) > 1 or matrix.independent(tables, site, fires)
        reasons.append("manual" if pressed else "devices" if two else "time" if late
                       else "zone" if zone else "")  # fmt: skip
    hushed = bool(reasons[0]) and not reasons[1]
    hushed |= bool(told) and not loud and not fires.size
    return reasons[0], hushed, bool(fires.size or told)
