"""Alarms that a panel tells as events, with its own addresses instead of our points.

They follow the panel: they end when the panel takes them back. Losing the link clears nothing.
The book is bounded; when it is full, what does not fit is kept under the panel as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.core import records
from agent.core.alarms import Alarms, FirstAlarm, PastAlarm
from agent.core.site import Site
from agent.core.types import Record
from config.limits import PANEL_ADDRESS_CHARS_MAX, PANEL_ALARMS_MAX
from config.words import Flag, Lane
from drivers.reading import PanelEvent, PanelKind

FIRE = int(Flag.FIRE)
_GATES = int(Flag.DISABLED | Flag.TEST)
SOUNDED = int(Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY)
_ALL_WORDS = 0
for _flag in Flag:
    _ALL_WORDS |= int(_flag)


@dataclass(slots=True)
class PanelBook:
    """(device, address) -> standing words.Flag. At most PANEL_ALARMS_MAX entries + one a device.

    silenced: devices whose panel said that its sounders were silenced; a new fire there, or the
    panel's word, ends it.
    """

    standing: dict[tuple[int, str], int] = field(default_factory=dict)
    silenced: set[int] = field(default_factory=set)
    fresh: set[int] = field(default_factory=set)  # devices that told a fire since the start


def take(
    book: PanelBook, alarms: Alarms, site: Site, event: PanelEvent, wall_ns: int
) -> list[Record]:
    """Enter one event; records of what changed, and of what is worth one by itself."""
    if event.kind is PanelKind.STATE:
        return _enter(book, alarms, site, event, wall_ns)
    out = [_note(site, event)]
    if event.kind is PanelKind.CLEAR_ALL:
        told = [k for k, f in book.standing.items() if k[0] == event.device and f & event.flags]
        for device, address in told:
            out += _enter(book, alarms, site, _cleared(event, device, address), wall_ns)
        _hush(book, alarms, event.device, silent=False)
    elif event.kind in (PanelKind.SILENCE, PanelKind.SOUND):
        _hush(book, alarms, event.device, silent=event.kind is PanelKind.SILENCE)
        if event.kind is PanelKind.SOUND:
            book.fresh.add(event.device)
    return out


def _cleared(event: PanelEvent, device: int, address: str) -> PanelEvent:
    return PanelEvent(device, event.mono_ns, event.flags, address, event.text, clears=True)


def _hush(book: PanelBook, alarms: Alarms, device: int, *, silent: bool) -> None:
    if silent == (device in book.silenced):
        return
    book.silenced ^= {device}
    alarms.touched = True
    alarms.unsaved = True


def _note(site: Site, event: PanelEvent) -> Record:
    """What the panel said that is no state of a point: reset, silence, its clock, a note."""
    name = site.plan.devices[event.device].name
    body: dict[str, Any] = {
        "name": name,
        "address": event.address[:PANEL_ADDRESS_CHARS_MAX],
        "event": event.kind.value,
        "text": event.text,
        "why": "panel",
    }
    if event.panel_time:
        body["panel_time"] = event.panel_time
    if event.kind is PanelKind.CLOCK:
        body["skew_s"] = event.skew_s
    source = f"panel/{name}/{event.kind.value}"
    return Record(Lane.EVENT, source, "panel", event.mono_ns, body)


def _enter(
    book: PanelBook, alarms: Alarms, site: Site, event: PanelEvent, wall_ns: int
) -> list[Record]:
    """Set or clear flags at one address."""
    key = (event.device, event.address[:PANEL_ADDRESS_CHARS_MAX])
    if key not in book.standing and len(book.standing) >= PANEL_ALARMS_MAX and not event.clears:
        key = (event.device, "")
    before = book.standing.get(key, 0)
    flags = int(event.flags) & _ALL_WORDS
    after = before & ~flags if event.clears else before | flags
    if after == before:
        return []
    if after:
        book.standing[key] = after
    else:
        del book.standing[key]
    alarms.touched = True
    alarms.unsaved = True
    name = site.plan.devices[event.device].name
    source = f"panel/{name}/{key[1]}"
    gated = bool(after & _GATES)
    body: dict[str, Any] = {
        "name": name,
        "address": key[1],
        "from": before,
        "to": after,
        "text": event.text,
        "why": "panel",
    }
    if event.panel_time:
        body["panel_time"] = event.panel_time
    if after & FIRE and not before & FIRE and not gated:
        book.silenced.discard(event.device)
        book.fresh.add(event.device)
        alarms.count += 1
        alarms.silenced = False
        alarms.last.append(PastAlarm(alarms.count, source, f"{name} {key[1]}", wall_ns))
        body["number"] = alarms.count
        if alarms.first is None:
            alarms.first = FirstAlarm(source, f"{name} {key[1]}", event.mono_ns, wall_ns)
    lane = records.lane_of(before, after, gated=gated)
    return [Record(lane, source, "panel", event.mono_ns, body)]


def fires(book: PanelBook) -> int:
    """How many fires stand by the panels' words."""
    return sum(1 for f in book.standing.values() if f & FIRE and not f & _GATES)


def dump(book: PanelBook, site: Site) -> list[str]:
    """For the snapshot: panels whose sounders were silenced at the panel."""
    return [site.plan.devices[device].name for device in sorted(book.silenced)]


def restore(book: PanelBook, site: Site, kept: Any) -> None:
    """A panel's silence from before a restart holds while its fires are those of then.

    Called after the book itself was recalled: a fire that the panel told since the start, and that
    was not known then, sounds.
    """
    names = kept if isinstance(kept, list) else []
    for device, row in enumerate(site.plan.devices):
        if row.name in names and device not in book.fresh:
            book.silenced.add(device)
