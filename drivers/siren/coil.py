"""Siren coils: what was ordered, what is written, what reads back. Pure: time is an argument.

An order is level-triggered: the last one stands, is written until it is acknowledged, read back,
and written again whenever the coil is found otherwise (a relay board that lost its supply comes
back with its sirens off). A board that lets go of its outputs when no master writes for a while is
written to more often than that. Failures are retried for ever at a bounded pace.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto

from config.limits import (
    MODBUS_READ_BITS_MAX,
    ORDER_RETRY_NS_MAX,
    ORDER_RETRY_NS_MIN,
    REFRESH_PARTS,
)
from config.plan import Output
from drivers.modbus.frame import Query, read_query, write_coil_query
from drivers.modbus.schedule import FOREVER_NS
from drivers.reading import ReadBack


class _Stage(Enum):
    IDLE = auto()  # nothing was ordered yet, or the coil reads as ordered
    WRITE = auto()
    VERIFY = auto()  # written and acknowledged, not yet read back


@dataclass(slots=True, eq=False)
class Coil:
    """One output. `wanted` is None until the first order: such a coil is only read."""

    output: int
    unit: int
    number: int
    inverted: bool = False  # on is a coil that is off
    wanted: bool | None = None
    stage: _Stage = _Stage.IDLE
    failures: int = 0
    retry_ns: int = 0

    def query(self) -> Query:
        """The write of what is wanted now."""
        assert self.wanted is not None
        return write_coil_query(self.unit, self.number, self.wanted != self.inverted)


@dataclass(frozen=True, slots=True, eq=False)
class CoilRun:
    """Neighbouring coils of one unit, read back with one request."""

    unit: int
    first: int
    coils: tuple[Coil, ...]
    query: Query
    interval_ns: int


@dataclass(slots=True)
class _Board:
    """A unit with coils. Silence of one coil is silence of its board."""

    failures: int = 0
    silent_until_ns: int = 0


def _pace_ns(failures: int) -> int:
    return min(ORDER_RETRY_NS_MIN << min(failures - 1, 16), ORDER_RETRY_NS_MAX)


class Coils:
    """All outputs of one line."""

    def __init__(
        self,
        outputs: Sequence[tuple[int, int, Output]],
        timeouts_ns: Mapping[int, int] | None = None,
    ) -> None:
        """outputs: (index in the plan, unit, output). timeouts_ns: of units that have one."""
        timeouts = timeouts_ns or {}
        self._refresh_ns = {
            index: timeouts[unit] // REFRESH_PARTS
            for index, unit, _ in outputs
            if timeouts.get(unit)
        }
        self._refresh_at_ns: dict[int, int] = {}  # of coils that are on and must be written again
        self._coils = {
            index: Coil(index, unit, out.coil, out.inverted) for index, unit, out in outputs
        }
        self._boards = {unit: _Board() for _, unit, _ in outputs}
        self._pending: dict[int, Coil] = {}  # in the order of their orders
        intervals = {index: out.readback_ns for index, _, out in outputs}
        self.runs = _runs(list(self._coils.values()), intervals)
        self._run_of = {coil.output: run for run in self.runs for coil in run.coils}

    def order(self, output: int, on: bool) -> None:
        """From now on `output` shall be `on`. An order that already stands changes nothing."""
        coil = self._coils[output]
        if coil.wanted == on:
            return
        self._refresh_at_ns.pop(output, None)
        coil.wanted = on
        coil.stage = _Stage.WRITE
        coil.failures = 0
        coil.retry_ns = 0
        self._boards[coil.unit].silent_until_ns = 0  # a new order is tried at once
        self._pending[output] = coil

    def rewrite(self, output: int) -> None:
        """Write what stands once more and read it back; nothing when nothing was ordered yet."""
        coil = self._coils[output]
        if coil.wanted is not None and coil.stage is _Stage.IDLE:
            coil.stage = _Stage.WRITE
            self._pending[output] = coil

    def next_ns(self) -> int:
        """When something is to be written or verified; FOREVER_NS when all reads as ordered."""
        refresh_ns = min(self._refresh_at_ns.values(), default=FOREVER_NS)
        if not self._pending:
            return refresh_ns
        return min(refresh_ns, *(self._ready_ns(coil) for coil in self._pending.values()))

    def pick(self, now_ns: int) -> Coil | CoilRun | None:
        """A coil to write, a run to read back, or nothing.

        Writes go before read-backs, so that every siren sounds before the first is verified;
        what failed before goes last, so that a dead board does not hold up another.
        """
        for output in [o for o, at_ns in self._refresh_at_ns.items() if at_ns <= now_ns]:
            del self._refresh_at_ns[output]  # comes back when it is written
            self._coils[output].stage = _Stage.WRITE
            self._pending[output] = self._coils[output]
        best: tuple[bool, bool] | None = None
        chosen: Coil | None = None
        for coil in self._pending.values():
            if self._ready_ns(coil) > now_ns:
                continue
            failing = coil.failures > 0 or self._boards[coil.unit].failures > 0
            rank = (failing, coil.stage is _Stage.VERIFY)
            if best is None or rank < best:
                best, chosen = rank, coil
        if chosen is None:
            return None
        return chosen if chosen.stage is _Stage.WRITE else self._run_of[chosen.output]

    def wrote(self, coil: Coil, on: bool) -> None:
        """The write of `on` was acknowledged."""
        self._answered(coil.unit)
        if coil.wanted == on and coil.stage is _Stage.WRITE:
            coil.stage = _Stage.VERIFY
            coil.retry_ns = 0

    def write_failed(self, coil: Coil, now_ns: int, *, silent: bool) -> ReadBack:
        """The write was not acknowledged (`silent`), or refused with an exception."""
        self._failed(coil, now_ns)
        self._told(coil.unit, now_ns, silent)
        return ReadBack(coil.output, now_ns, None, written=True)

    def read(self, run: CoilRun, payload: bytes, now_ns: int) -> list[ReadBack]:
        """The coils of `run` were read; `payload` is the reply's data."""
        self._answered(run.unit)
        told = []
        for coil in run.coils:
            place = coil.number - run.first
            on = bool(payload[place // 8] >> (place % 8) & 1) != coil.inverted
            verifies = coil.stage is _Stage.VERIFY
            told.append(ReadBack(coil.output, now_ns, on, written=verifies))
            if coil.wanted is None or coil.stage is _Stage.WRITE:
                continue
            if on == coil.wanted:
                coil.stage = _Stage.IDLE
                coil.failures = 0
                self._pending.pop(coil.output, None)
                if on and verifies and coil.output in self._refresh_ns:
                    self._refresh_at_ns[coil.output] = now_ns + self._refresh_ns[coil.output]
            else:
                coil.stage = _Stage.WRITE
                self._pending[coil.output] = coil
                if verifies:
                    self._failed(coil, now_ns)
        return told

    def read_failed(self, run: CoilRun, now_ns: int, *, silent: bool) -> list[ReadBack]:
        """The coils of `run` could not be read."""
        self._told(run.unit, now_ns, silent)
        told = []
        for coil in run.coils:
            verifies = coil.stage is _Stage.VERIFY
            told.append(ReadBack(coil.output, now_ns, None, written=verifies))
            if verifies:
                self._failed(coil, now_ns)
        return told

    def forgive(self) -> None:
        """The line is back: whatever is not yet as ordered is tried at once."""
        for board in self._boards.values():
            board.failures = 0
            board.silent_until_ns = 0
        for coil in self._coils.values():
            coil.failures = 0
            coil.retry_ns = 0

    def _ready_ns(self, coil: Coil) -> int:
        return max(coil.retry_ns, self._boards[coil.unit].silent_until_ns)

    def _failed(self, coil: Coil, now_ns: int) -> None:
        coil.failures += 1
        coil.retry_ns = now_ns + _pace_ns(coil.failures)

    def _told(self, unit: int, now_ns: int, silent: bool) -> None:
        if not silent:
            self._answered(unit)
            return
        board = self._boards[unit]
        board.failures += 1
        board.silent_until_ns = now_ns + _pace_ns(board.failures)

    def _answered(self, unit: int) -> None:
        board = self._boards[unit]
        board.failures = 0
        board.silent_until_ns = 0


def _runs(coils: list[Coil], intervals: dict[int, int]) -> tuple[CoilRun, ...]:
    """Runs without gaps: a coil that nobody configured may not exist, and would fail the read."""
    runs: list[list[Coil]] = []
    for coil in sorted(coils, key=lambda c: (c.unit, c.number, c.output)):
        if (
            runs
            and runs[-1][-1].unit == coil.unit
            and coil.number - runs[-1][-1].number <= 1
            and coil.number - runs[-1][0].number < MODBUS_READ_BITS_MAX
        ):
            runs[-1].append(coil)
        else:
            runs.append([coil])
    made = []
    for run in runs:
        first, count = run[0].number, run[-1].number - run[0].number + 1
        interval_ns = min(intervals[coil.output] for coil in run)
        query = read_query(run[0].unit, 1, first, count)
        made.append(CoilRun(run[0].unit, first, tuple(run), query, interval_ns))
    return tuple(made)
