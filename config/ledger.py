"""The ledger of point ids: a small text file beside the site file, `<site>.ids`.

A point's id is what leaves the gateway, so it survives renaming and reordering. A point is found
again by name and place together, then by its physical place, then by its name. The id of a point
that is gone stays in the file, retired, and is never given again. Keep the file with the site file.

One line an entry, tab-separated: id, name, place; `retired` in a fourth column.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path as FilePath

from config.limits import LEDGER_BYTES_MAX, LEDGER_ENTRIES_MAX
from config.model import Device, Point, Site, Text
from config.problems import Problem, Problems, Span
from config.registers import short_form
from config.whole_file import write_whole

HEADER = "# embergate point ids 1"
_NOTE = (
    "# Kept by 'embergate plan'; keep it beside the site file and under version control.\n"
    "# id, name, place; an id is never changed and never given again.\n"
)
_ENTRY = re.compile(r"([1-9]\d{0,9})\t([^\t]{1,200})\t([^\t]{1,300})(\tretired)?")
_ID_MAX = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Entry:
    """One id for ever."""

    id: int
    name: str  # "device.point"
    place: str  # link/unit/table address[.bit]
    retired: bool = False


@dataclass(frozen=True, slots=True)
class Ledger:
    """All entries, by id."""

    entries: tuple[Entry, ...] = ()

    def text(self) -> str:
        """The file's content."""
        rows = (
            f"{e.id}\t{e.name}\t{e.place}" + ("\tretired" if e.retired else "")
            for e in self.entries
        )
        return f"{HEADER}\n{_NOTE}" + "".join(f"{row}\n" for row in rows)

    def ids(self) -> dict[str, int]:
        """Living points: name to id."""
        return {e.name: e.id for e in self.entries if not e.retired}


def ledger_path(site_path: FilePath) -> FilePath:
    """`tower.yaml` keeps its ids in `tower.ids`."""
    return site_path.with_suffix(".ids")


def place_text(device: Device, point: Point | Text) -> str:
    """Where a point is, whatever it is called: `riser/3/input 0`, `riser/3/holding 4.7`."""
    bit = "" if point.bit is None else f".{point.bit}"
    return f"{device.link}/{device.unit}/{short_form(point.function, point.address)}{bit}"


def parse_ledger(data: bytes, file: str, problems: Problems) -> Ledger | None:
    """A ledger's entries, or None and at least one problem. Any bytes."""
    before = len(problems)
    if len(data) > LEDGER_BYTES_MAX:
        problems.add(Problem("file.too_large", Span(file), args={"limit": str(LEDGER_BYTES_MAX)}))
        return None
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as e:
        line = data.count(b"\n", 0, e.start) + 1
        problems.add(Problem("file.encoding", Span(file, line, 1), hint="ledger"))
        return None
    if lines[0] != HEADER:
        args = {"expected": HEADER}
        problems.add(
            Problem("ledger.version", Span(file, 1, 1, len(lines[0]), lines[0]), (), "ledger", args)
        )
        return None
    if len(lines) > LEDGER_ENTRIES_MAX:
        problems.add(Problem("ledger.size", Span(file), args={"limit": str(LEDGER_ENTRIES_MAX)}))
        return None
    entries: list[Entry] = []
    at: dict[int, int] = {}
    for number, text in enumerate(lines, 1):
        if not text or text.startswith("#"):
            continue
        match = _ENTRY.fullmatch(text)
        span = Span(file, number, 1, len(text), text)
        if match is None or int(match[1]) > _ID_MAX:
            problems.add(Problem("ledger.form", span, (), "ledger"))
        elif (first := at.setdefault(int(match[1]), number)) != number:
            args = {"value": match[1], "line": str(first)}
            problems.add(Problem("ledger.twice", span, (), "ledger", args))
        else:
            entries.append(Entry(int(match[1]), match[2], match[3], match[4] is not None))
    return Ledger(tuple(entries)) if len(problems) == before else None


def read_ledger(path: FilePath, problems: Problems) -> Ledger | None:
    """The ledger beside a site file; an empty one when there is no file yet."""
    try:
        with path.open("rb") as f:
            data = f.read(LEDGER_BYTES_MAX + 1)
    except FileNotFoundError:
        return Ledger()
    except OSError as e:
        reason = e.strerror or type(e).__name__
        problems.add(Problem("file.unreadable", Span(path.name), (), "", {"reason": reason}))
        return None
    return parse_ledger(data, path.name, problems)


def update(ledger: Ledger, site: Site) -> Ledger:
    """The ledger with an id for every point and text of the site; pure."""
    points = [
        (f"{device.name}.{point.name}", place_text(device, point))
        for device in site.devices
        for point in device.entries
    ]
    living = [e for e in ledger.entries if not e.retired]
    found: dict[int, Entry] = {}  # position in points -> entry
    left: dict[int, Entry] = {e.id: e for e in living}
    for key in (_both, _place, _name):
        known = {key(e.name, e.place): e for e in left.values()}
        for i, (name, place) in enumerate(points):
            if i not in found and (entry := known.pop(key(name, place), None)) is not None:
                found[i] = entry
                del left[entry.id]
    following = max((e.id for e in ledger.entries), default=0) + 1
    out = [e for e in ledger.entries if e.retired]
    out += [Entry(e.id, e.name, e.place, retired=True) for e in left.values()]
    for i, (name, place) in enumerate(points):
        if i in found:
            out.append(Entry(found[i].id, name, place))
        else:
            out.append(Entry(following, name, place))
            following += 1
    return Ledger(tuple(sorted(out, key=lambda e: e.id)))


def write_ledger(path: FilePath, ledger: Ledger) -> None:
    """Replace the file in one step, durable when this returns; not touched when it is the same.

    Raises OSError.
    """
    text = ledger.text().encode()
    try:
        if path.read_bytes() == text:
            return
    except FileNotFoundError:
        pass  # the first plan of a site makes it
    write_whole(path, text)


def _both(name: str, place: str) -> Sequence[str]:
    return (name, place)


def _place(_name: str, place: str) -> Sequence[str]:
    return place


def _name(name: str, _place: str) -> Sequence[str]:
    return name
