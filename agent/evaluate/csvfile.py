"""A recording in a CSV or CSV.gz file: one header row, a time column, one column a point.

Rows are streamed, so that a recording of months costs no memory. An empty cell is a sensor that
said nothing at that stamp; `nan` is a value that cannot be read, which the gateway calls BAD.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import hashlib
import math
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from agent.evaluate.messages import Place
from agent.evaluate.source import BadRecording, Frame, usual_step_ns
from agent.evaluate.stamps import SECONDS, TIMESTAMP, BadStamp, Stamps
from config.desk_limits import (
    EVALUATE_BYTES_MAX,
    EVALUATE_LINE_CHARS_MAX,
    EVALUATE_ROWS_MAX,
    RECORDING_COLUMNS_MAX,
)
from config.limits import S
from config.words import Quality

SUFFIXES = (".csv", ".csv.gz")
_FIRST_ROWS = 1_000  # that the usual step is taken from
_NUMBER_WITH_A_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_FOREIGN = re.compile("[\ud800-\udfff]")  # what surrogateescape makes of bytes
_SEPARATORS = {";": "';'", "\t": "'\\t'", "|": "'|'"}
_BAD_WORDS = frozenset({"nan", "na", "n/a", "null", "none", "-"})


class CsvRecording:
    """One file. Raises BadRecording when it is opened, or while it is read."""

    translated = False

    def __init__(self, path: Path, name: str) -> None:
        self._path = path
        self.name = name
        with self._rows() as (header, rows):
            self._time = _time_column(name, header)
            self.columns = tuple(c for i, c in enumerate(header) if i != self._time)
            stamps = Stamps(header[self._time])
            first: list[int] = []
            heard: list[list[int]] = [[] for _ in header]
            for number, cells in rows:
                first.append(self._stamp(stamps, number, cells))
                for column, cell in zip(heard, cells, strict=True):
                    if cell:
                        column.append(first[-1])
                if len(first) == _FIRST_ROWS:
                    break
        if not first:
            raise BadRecording(Place(name, 2), "rows.none")
        self.interval_ns = usual_step_ns(first, S)
        span = max(self.interval_ns, max(first) - min(first))  # heard once: nobody knows how often
        self.steps_ns = {
            c: usual_step_ns(heard[i], span) for i, c in enumerate(header) if i != self._time
        }
        self.zero_ns = first[0] if header[self._time] == TIMESTAMP else 0
        self.start = ""
        if header[self._time] == TIMESTAMP:
            self.start = str(np.datetime64(first[0], "ns").astype("datetime64[s]"))
        self._header = header
        self.digest = _digest(path)

    def frames(self, wanted: Sequence[str]) -> Iterator[Frame]:
        """See Source."""
        places = [self._header.index(column) for column in wanted]
        every = np.arange(len(places), dtype=np.int32)
        good = np.full(len(places), Quality.GOOD, np.uint8)
        with self._rows() as (header, rows):
            stamps = Stamps(header[self._time])
            for number, cells in rows:
                ns = self._stamp(stamps, number, cells)
                picked = [cells[i] for i in places]
                try:
                    value = np.array([float(c) for c in picked])
                except ValueError:
                    yield self._partial(number, ns, picked, wanted)
                    continue
                if "_" in "".join(picked):  # Python would read 1_000
                    yield self._partial(number, ns, picked, wanted)
                elif np.isnan(value).any():
                    quality = np.where(np.isnan(value), Quality.BAD, Quality.GOOD)
                    yield Frame(ns, every, value, quality.astype(np.uint8))
                else:
                    yield Frame(ns, every, value, good)

    def _partial(self, number: int, ns: int, cells: list[str], wanted: Sequence[str]) -> Frame:
        """A row in which some cells are no numbers."""
        at: list[int] = []
        values: list[float] = []
        for i, cell in enumerate(cells):
            text = cell.strip()
            if not text:
                continue
            at.append(i)
            if text.lower() in _BAD_WORDS:
                values.append(math.nan)
                continue
            try:
                values.append(float(text) if "_" not in text else _refuse())
            except ValueError:
                what = "number.comma" if _NUMBER_WITH_A_COMMA.fullmatch(text) else "number"
                where = Place(self.name, number, wanted[i])
                raise BadRecording(where, what, found=cell[:60]) from None
        value = np.array(values, np.float64)
        quality = np.where(np.isnan(value), np.uint8(Quality.BAD), np.uint8(Quality.GOOD))
        return Frame(ns, np.array(at, np.int32), value, quality)

    def _stamp(self, stamps: Stamps, number: int, cells: list[str]) -> int:
        try:
            return stamps.read(cells[self._time])
        except BadStamp as e:
            where = Place(self.name, number, stamps.column)
            raise BadRecording(where, e.what, **e.details) from None

    @contextlib.contextmanager
    def _rows(self) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
        """(header, rows with their numbers); every way to fail is a BadRecording."""
        rows = _Rows(self.name)
        try:
            with _open(self._path) as text:
                reader = csv.reader(rows.capped(text))
                yield rows.header(reader), rows.checked(reader)
        except (gzip.BadGzipFile, EOFError, zlib.error) as e:
            raise BadRecording(rows.here, "archive", reason=e) from None
        except OSError as e:
            raise BadRecording(Place(self.name), "unreadable", reason=e.strerror or e) from None
        except csv.Error as e:
            raise BadRecording(rows.here, "csv", reason=e) from None


def _refuse() -> float:
    raise ValueError


def _time_column(name: str, header: list[str]) -> int:
    doubled = sorted({c for c in header if header.count(c) > 1})
    if doubled:
        raise BadRecording(Place(name, 1, doubled[0]), "name.twice")
    found = [c for c in (SECONDS, TIMESTAMP) if c in header]
    if not found:
        for mark, word in _SEPARATORS.items():
            if {SECONDS, TIMESTAMP} & {c.strip() for c in ",".join(header).split(mark)}:
                raise BadRecording(Place(name, 1), "separator", found=word)
        raise BadRecording(Place(name, 1), "time.missing", found=", ".join(header[:8])[:200])
    if len(found) == 2:
        raise BadRecording(Place(name, 1, TIMESTAMP), "time.both")
    return header.index(found[0])


class _Rows:
    """Rows with their numbers, and where reading is. A row that cannot be read is the next one."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.row = 0  # the last that was read
        self._size = 0

    @property
    def here(self) -> Place:
        """The row that is being read."""
        return Place(self.name, self.row + 1)

    def header(self, reader: Iterator[list[str]]) -> list[str]:
        cells = [cell.strip() for cell in next(reader, [])]
        if len(cells) > RECORDING_COLUMNS_MAX:
            most = RECORDING_COLUMNS_MAX
            raise BadRecording(self.here, "columns.many", count=len(cells), most=most)
        self._size = len(cells)
        self.row = 1
        return cells

    def checked(self, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
        for cells in reader:
            if self.row >= EVALUATE_ROWS_MAX:
                raise BadRecording(self.here, "rows.many", most=EVALUATE_ROWS_MAX)
            self.row += 1
            if not cells:
                continue
            if len(cells) != self._size:
                where = Place(self.name, self.row, str(min(len(cells), self._size) + 1))
                raise BadRecording(where, "cells", count=self._size, found=len(cells))
            yield self.row, cells

    def capped(self, text: IO[str]) -> Iterator[str]:
        left = EVALUATE_BYTES_MAX
        while line := text.readline(EVALUATE_LINE_CHARS_MAX):
            left -= len(line)
            if left < 0:
                raise BadRecording(self.here, "size", most=EVALUATE_BYTES_MAX)
            if len(line) == EVALUATE_LINE_CHARS_MAX:
                raise BadRecording(self.here, "line.long", most=EVALUATE_LINE_CHARS_MAX)
            if not line.isascii() and _FOREIGN.search(line):
                raise BadRecording(self.here, "encoding")
            yield line


def _open(path: Path) -> IO[str]:
    """Text whose bytes that are no UTF-8 are left in it: only the line can say in which row."""
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", errors="surrogateescape", newline="")
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as f:
            return hashlib.file_digest(f, "sha256").hexdigest()
    except OSError as e:
        raise BadRecording(Place(path.name), "unreadable", reason=e.strerror) from None
