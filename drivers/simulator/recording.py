"""Recorded measurements: a CSV or CSV.gz with one header row and a column `t_s` in seconds.

A value holds until the next row; nothing is interpolated, for a sensor did not say more than it
said. An empty cell, `nan`, `na` or `null` is NaN: the sensor said nothing. The building then
shows what a dead sensor shows (its sentinel); `blank="hold"` keeps the last number instead, for
files whose columns were sampled at different rates.
"""

from __future__ import annotations

import contextlib
import csv
import gzip
import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

import numpy as np
from numpy.typing import NDArray

from config.desk_limits import RECORDING_BYTES_MAX, RECORDING_COLUMNS_MAX, RECORDING_ROWS_MAX
from drivers.simulator.fields import SimulatorError

TIME_COLUMN = "t_s"
_BLANK = frozenset({"", "nan", "na", "n/a", "null"})
_LINE_MAX = 1024 * 1024
Blank = Literal["sentinel", "hold"]


class RecordingError(SimulatorError):
    """A recording cannot be used. The text names file, row (the header is row 1) and column."""


@dataclass(frozen=True, slots=True)
class Recording:
    """t_s: float64[rows], rising. values: float64[rows, columns], NaN where nothing was said."""

    t_s: NDArray[np.float64]
    columns: tuple[str, ...]
    values: NDArray[np.float64]

    @property
    def first_s(self) -> float:
        """Time of the first row."""
        return float(self.t_s[0])

    @property
    def last_s(self) -> float:
        """Time of the last row."""
        return float(self.t_s[-1])

    def at(self, t_s: float) -> NDArray[np.float64]:
        """float64[columns] at a time: the last row that is not later; before the first, it."""
        row = int(np.searchsorted(self.t_s, t_s, side="right")) - 1
        return np.asarray(self.values[max(row, 0)])


def read_recording(path: Path, columns: Sequence[str], *, blank: Blank = "sentinel") -> Recording:
    """Read the named columns. Raises RecordingError."""
    try:
        with _open(path) as text:
            t_s, values = _read_rows(path, text, columns)
    except (OSError, EOFError, zlib.error) as e:
        raise RecordingError(f"{path}: cannot be read: {e}") from e
    except UnicodeDecodeError as e:
        raise RecordingError(f"{path}: expected UTF-8 text, found other bytes") from e
    except csv.Error as e:
        raise RecordingError(f"{path}: not a CSV file: {e}") from e
    if blank == "hold":
        _fill(values)
    return Recording(t_s, tuple(columns), values)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[Iterator[str]]:
    """Lines of text; ends with an error, not with the machine's memory, when there are too many."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as packed:
            yield _capped(path, packed)
    else:
        with path.open(encoding="utf-8-sig", newline="") as plain:
            yield _capped(path, plain)


def _capped(path: Path, text: IO[str]) -> Iterator[str]:
    left = RECORDING_BYTES_MAX
    while line := text.readline(_LINE_MAX):
        left -= len(line)
        if left < 0:
            raise RecordingError(f"{path}: longer than {RECORDING_BYTES_MAX} characters")
        if len(line) == _LINE_MAX:
            raise RecordingError(f"{path}: a line is longer than {_LINE_MAX} characters")
        yield line


def _read_rows(
    path: Path, text: Iterator[str], columns: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    reader = csv.reader(text)
    header = [cell.strip() for cell in next(reader, [])]
    places = _places(path, header, columns)
    rows: list[list[float]] = []
    for number, cells in enumerate(reader, 2):
        if not cells:
            continue
        if len(rows) >= RECORDING_ROWS_MAX:
            raise RecordingError(f"{path}: row {number}: more than {RECORDING_ROWS_MAX} rows")
        if len(cells) != len(header):
            raise RecordingError(
                f"{path}: row {number}: expected {len(header)} cells, found {len(cells)}"
            )
        row = [_number(path, number, header[i], cells[i]) for i in places]
        if not math.isfinite(row[0]) or (rows and row[0] < rows[-1][0]):
            raise RecordingError(
                f"{path}: row {number}, column {TIME_COLUMN}: expected a time that is not before "
                f"that of the row above, found {cells[places[0]]!r}"
            )
        rows.append(row)
    if not rows:
        raise RecordingError(f"{path}: expected rows below the header, found none")
    table = np.array(rows, np.float64)
    return table[:, 0].copy(), table[:, 1:].copy()


def _places(path: Path, header: list[str], columns: Sequence[str]) -> list[int]:
    if len(header) > RECORDING_COLUMNS_MAX:
        raise RecordingError(f"{path}: row 1: more than {RECORDING_COLUMNS_MAX} columns")
    places = []
    for name in (TIME_COLUMN, *columns):
        if header.count(name) != 1:
            found = "none" if name not in header else f"{header.count(name)}"
            raise RecordingError(
                f"{path}: row 1: expected one column {name!r}, found {found}; "
                f"the columns are {', '.join(header[:40]) or '(nothing)'}"
            )
        places.append(header.index(name))
    return places


def _number(path: Path, row: int, column: str, cell: str) -> float:
    cell = cell.strip()
    if cell.lower() in _BLANK:
        return math.nan
    try:
        value = float(cell)
    except ValueError:
        value = math.inf
    if not math.isfinite(value):
        raise RecordingError(
            f"{path}: row {row}, column {column}: expected a number, found {cell!r}"
        )
    return value


def _fill(values: NDArray[np.float64]) -> None:
    """Forward fill, in place, a column at a time."""
    for column in values.T:
        known = np.where(np.isnan(column), 0, np.arange(len(column)))
        column[:] = column[np.maximum.accumulate(known)]
