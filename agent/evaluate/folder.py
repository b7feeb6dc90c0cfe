"""A folder of recordings, and what its index.json says of them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from agent.evaluate.csvfile import SUFFIXES, CsvRecording
from agent.evaluate.messages import Place
from agent.evaluate.record import recordings_of_a_record
from agent.evaluate.source import BadRecording, Source
from config.desk_limits import EVALUATE_FILES_MAX, EVALUATE_INDEX_BYTES_MAX, EVALUATE_LEAD_NS_MAX
from config.evaluation import NAME_MAX, Truth
from config.limits import S

INDEX = "index.json"
UNKNOWN = Truth("", "unlisted", None, known=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """A recording that was not opened yet, and what is known of it."""

    name: str
    path: Path
    truth: Truth

    def open(self) -> Source:
        """Raises BadRecording."""
        return CsvRecording(self.path, self.name)


@dataclass(frozen=True, slots=True)
class Replayable:
    """A recording of the gateway's own record."""

    name: str
    source: Source
    truth: Truth

    def open(self) -> Source:
        """The recording, which is open already."""
        return self.source


def list_recordings(folder: Path, truths: Sequence[Truth]) -> list[Listed | Replayable]:
    """Every recording of a folder by name, or of a record. Raises BadRecording."""
    own = recordings_of_a_record(folder)
    if own is not None:
        return [Replayable(s.name, s, truth_of(s.name, {}, truths)) for s in own]
    if not folder.is_dir():
        raise BadRecording(Place(folder.name), "folder")
    index = _index(folder / INDEX)
    names = sorted(
        p.name for p in folder.iterdir() if p.name.endswith(SUFFIXES) and p.is_file()
    )  # fmt: skip
    if len(names) > EVALUATE_FILES_MAX:
        most = EVALUATE_FILES_MAX
        raise BadRecording(Place(folder.name), "folder.many", count=len(names), most=most)
    for missing in sorted(set(index) - set(names)):
        raise BadRecording(Place(INDEX), "index.stranger", file=missing)
    if not names:
        wanted = ", ".join(f"*{s}" for s in SUFFIXES)
        raise BadRecording(Place(folder.name), "folder.empty", wanted=wanted)
    return [Listed(n, folder / n, truth_of(n, index, truths)) for n in names]


def truth_of(name: str, index: dict[str, Truth], truths: Sequence[Truth]) -> Truth:
    """What index.json says, else the first pattern of the site file, else nothing is known."""
    if name in index:
        return index[name]
    return next((t for t in truths if fnmatchcase(name, t.pattern)), UNKNOWN)


def _index(path: Path) -> dict[str, Truth]:
    try:
        with path.open("rb") as f:
            data = f.read(EVALUATE_INDEX_BYTES_MAX + 1)
    except FileNotFoundError:
        return {}
    except OSError as e:
        raise BadRecording(Place(INDEX), "unreadable", reason=e.strerror) from None
    if len(data) > EVALUATE_INDEX_BYTES_MAX:
        raise BadRecording(Place(INDEX), "index.size", most=EVALUATE_INDEX_BYTES_MAX)
    try:
        rows = json.loads(data)
    except (ValueError, RecursionError) as e:
        raise BadRecording(Place(INDEX), "index.json", reason=e) from None
    if not isinstance(rows, list):
        raise BadRecording(Place(INDEX), "index.list")
    out: dict[str, Truth] = {}
    for number, row in enumerate(rows):
        truth = _entry(number, row)
        if truth.pattern in out:
            raise BadRecording(_place(number), "index.twice", file=truth.pattern)
        out[truth.pattern] = truth
    return out


def _entry(number: int, row: Any) -> Truth:
    if not isinstance(row, dict):
        raise BadRecording(_place(number), "index.map")
    for key in ("file", "kind"):
        if not isinstance(row.get(key), str) or not 0 < len(row[key]) <= NAME_MAX:
            found = f"{row.get(key)!r:.60}"
            raise BadRecording(_place(number), "index.text", key=key, found=found)
    ignition = row.get("ignition_t_s", "")
    if ignition is None:
        return Truth(row["file"], row["kind"])
    if (
        isinstance(ignition, bool)
        or not isinstance(ignition, int | float)
        or not math.isfinite(ignition)
        or abs(ignition) * S > EVALUATE_LEAD_NS_MAX
    ):
        raise BadRecording(_place(number), "index.ignition", found=f"{ignition!r:.60}")
    return Truth(row["file"], row["kind"], round(ignition * S))


def _place(number: int) -> Place:
    return Place(INDEX, number, unit="entry")
