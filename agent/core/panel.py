"""Alarms that a panel tells as events, with its own addresses instead of our points.

They follow the panel: they end when the panel takes them back. Losing the link clears nothing, nor
does the panel's word that the address is disabled now; a fire that is told of a disabled address
counts when the panel enables it. A panel says a fire of a component at its system too, and at
itself (`1.1/10-2`, `1.1`, and the whole): those are one fire, not three.
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
from drivers.reading import PANEL_WHOLE, PanelEvent, PanelKind

FIRE, MANUAL = int(Flag.FIRE), int(Flag.MANUAL)
_GATES = int(Flag.DISABLED | Flag.TEST)
SOUNDED = int(Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY)
Key = tuple[int, str]
"""Device, address."""
_ALL_WORDS = 0
for _flag in Flag:
    _ALL_WORDS |= int(_flag)


@dataclass(slots=True)
class PanelBook:
    """(device, address) -> standing words.Flag. At most PANEL_ALARMS_MAX entries + one a device.

    votes: fires that count, and whether somebody acknowledged them; parts: how many of them are
    parts of this address. silenced: devices whose panel said that its sounders were silenced; a new
    fire there, or the panel's word, ends it. ended, ended_all: what panels took back, of an address
    and of all, before the memory of it came.
    """

    standing: dict[Key, int] = field(default_factory=dict)
    votes: dict[Key, bool] = field(default_factory=dict)
    parts: dict[Key, int] = field(default_factory=dict)
    silenced: set[int] = field(default_factory=set)
    fresh: set[int] = field(default_factory=set)  # devices that told a fire since the start
    recalled: bool = False  # what stood before the start is known
    ended: dict[Key, int] = field(default_factory=dict)
    ended_all: dict[int, int] = field(default_factory=dict)


def take(
    book: PanelBook, alarms: Alarms, site: Site, event: PanelEvent, wall_ns: int
) -> list[Record]:
    """Enter one event; records of what changed, and of what is worth one by itself."""
    if event.kind is PanelKind.STATE:
        return _enter(book, alarms, site, event, wall_ns)
    out = [_note(site, event)]
    if event.kind is PanelKind.CLEAR_ALL:
        if not book.recalled:
            before = book.ended_all.get(event.device, 0)
            book.ended_all[event.device] = before | int(event.flags)
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
    if event.clears and not book.recalled and len(book.ended) < PANEL_ALARMS_MAX:
        book.ended[key] = book.ended.get(key, 0) | flags
    after = before & ~flags if event.clears else before | flags
    if after == before:
        return []
    if after:
        book.standing[key] = after
    else:
        del book.standing[key]
    counted = key in book.votes
    new = bool(after & FIRE) and not counted and not after & _GATES
    if new:
        vote(book, key, acked=_parts_seen(book, key))
    elif not after & FIRE:
        unvote(book, key)
    alarms.touched = True
    alarms.unsaved = True
    name = site.plan.devices[event.device].name
    source = f"panel/{name}/{key[1]}"
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
    if new and not book.parts.get(key):
        book.silenced.discard(event.device)
        book.fresh.add(event.device)
        alarms.silenced = False
        if not _told_whole(book, key):
            alarms.count += 1
            alarms.last.append(PastAlarm(alarms.count, source, f"{name} {key[1]}", wall_ns))
            body["number"] = alarms.count
        if alarms.first is None:
            alarms.first = FirstAlarm(source, f"{name} {key[1]}", event.mono_ns, wall_ns)
    counts = new or counted
    lane = Lane.FIRE if new else records.lane_of(before, after, gated=not counts)
    return [Record(lane, source, "panel", event.mono_ns, body)]


def _above(key: Key) -> list[Key]:
    """What this address is a part of."""
    device, address = key
    out = []
    while "/" in address:
        address = address.rpartition("/")[0]
        out.append((device, address))
    return out if key[1] == PANEL_WHOLE else [*out, (device, PANEL_WHOLE)]


def _parts_seen(book: PanelBook, key: Key) -> bool:
    """Whether a whole is told of parts that were told before, and that somebody acknowledged."""
    if not book.parts.get(key):
        return False
    return all(acked for part, acked in book.votes.items() if key in _above(part))


def _told_whole(book: PanelBook, key: Key) -> bool:
    """Whether this fire was counted already, as what it is a part of, before any part was named.

    Whoever acknowledged that one has not seen this: then it is a new alarm.
    """
    return any(book.votes.get(k) is False and book.parts[k] == 1 for k in _above(key))


def vote(book: PanelBook, key: Key, *, acked: bool = False) -> None:
    """From now on this fire counts."""
    if key not in book.votes:
        for above in _above(key):
            book.parts[above] = book.parts.get(above, 0) + 1
    book.votes[key] = acked


def unvote(book: PanelBook, key: Key) -> None:
    """The fire is over, if it counted."""
    if book.votes.pop(key, None) is None:
        return
    for above in _above(key):
        book.parts[above] -= 1
        if not book.parts[above]:
            del book.parts[above]


def fires(book: PanelBook) -> list[Key]:
    """The fires that stand by the panels' words, each once."""
    return [key for key in book.votes if not book.parts.get(key)]


def seen_flags(book: PanelBook) -> dict[Key, int]:
    """What effects see of each address: a gate hides all but a fire that counted before."""
    out = {}
    for key, flags in book.standing.items():
        gates = flags & _GATES
        counts = FIRE | MANUAL if key in book.votes else 0
        out[key] = gates | flags & counts if gates else flags
    return out


def unseen(book: PanelBook) -> int:
    """How many fires nobody has acknowledged."""
    return sum(1 for key in fires(book) if not book.votes[key])


def acknowledge(book: PanelBook) -> int:
    """Somebody has seen them all; how many were new."""
    fresh = unseen(book)
    book.votes = dict.fromkeys(book.votes, True)
    return fresh


def reset(book: PanelBook, alarms: Alarms, site: Site, mono_ns: int) -> list[Record]:
    """Our reset ends the fires of addresses that the panel disabled since: it will not take them
    back. All others follow the panel."""
    out: list[Record] = []
    for key in [k for k in book.votes if book.standing[k] & _GATES]:
        event = PanelEvent(key[0], mono_ns, Flag.FIRE, key[1], "", clears=True)
        out += _enter(book, alarms, site, event, 0)
        out[-1].body["why"] = "reset"
    return out


def marks(book: PanelBook) -> bytes:
    """For the snapshot, a byte for each that stands: 1, a fire that counts in spite of a gate; 2,
    it was acknowledged. Empty when there is no such thing."""
    out = bytes(
        (key in book.votes and bool(flags & _GATES)) + 2 * book.votes.get(key, False)
        for key, flags in book.standing.items()
    )
    return out if any(out) else b""


def not_ended(book: PanelBook, key: Key, flags: int) -> int:
    """What of the flags before a restart its panel has not taken back since."""
    return flags & ~book.ended.get(key, 0) & ~book.ended_all.get(key[0], 0)


def recall(book: PanelBook, key: Key, flags: int, mark: int) -> tuple[Key, int]:
    """What stood before a restart stands; the fire that it had counts if it did then.

    Returns where that is now, and what was there before: a full book keeps it under the panel as a
    whole, which nobody has acknowledged then.
    """
    acked = bool(mark & 2)
    if key not in book.standing and len(book.standing) >= PANEL_ALARMS_MAX:
        key, acked = (key[0], ""), False
    elif key in book.votes:  # told again since the start
        acked |= book.votes[key]
    before = book.standing.get(key, 0)
    book.standing[key] = before | flags
    if flags & FIRE and (mark & 1 or key in book.votes or not flags & _GATES):
        vote(book, key, acked=acked)
    return key, before


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
