"""A random walk of one least significant digit on all measured points at once.

Every step moves the raw number of each point by -1, 0 or +1 with equal chance, and never farther
than `span` steps from where the point was last set. Cost: a few numpy statements whatever the
number of points. Bits, states and dead sensors stand still.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.plan import Plan
from config.value_types import NO_BIT
from config.words import Mode
from drivers.simulator.fields import RAW_LIMITS, Field, base_type, raw_of
from drivers.simulator.registers import Registers

WALK_SPAN = 40


class Walk:
    """Walks the memory of `registers`; seeded. Columns have one element a walking point."""

    def __init__(self, plan: Plan, registers: Registers, seed: int, span: int = WALK_SPAN) -> None:
        self._registers = registers
        self._rng = np.random.default_rng(seed)
        self._span = span
        points = [p for p in range(len(plan.points)) if _walks(registers, p)]
        fields = [registers.fields(p)[0] for p in points]
        self._position = {p: i for i, p in enumerate(points)}
        self._fields = fields
        resolution = np.frombuffer(plan.points.resolutions, "<f8")
        n = len(fields)
        self._step: NDArray[np.float64] = np.ones(n)
        self._floor: NDArray[np.float64] = np.full(n, -np.inf)
        self._ceiling: NDArray[np.float64] = np.full(n, np.inf)
        self._low_word: NDArray[np.int64] = np.zeros(n, np.int64)
        self._high_word: NDArray[np.int64] = np.zeros(n, np.int64)
        for i, (point, f) in enumerate(zip(points, fields, strict=True)):
            first, last = f.word, f.word + f.width - 1
            low_first = f.type.endswith("_le")
            self._low_word[i] = first if low_first else last
            self._high_word[i] = last if low_first else first
            base = base_type(f.type)
            if base == "float32":
                self._step[i] = abs(float(resolution[point]) / f.scale) or 0.01
            else:  # the extremes are sentinels: the walk stays off them
                self._floor[i] = RAW_LIMITS[base][0] + (RAW_LIMITS[base][0] < 0)
                self._ceiling[i] = RAW_LIMITS[base][1] - 1
        types = [base_type(f.type) for f in fields]
        self._float = np.flatnonzero([t == "float32" for t in types])
        self._wide = np.flatnonzero([t in ("int32", "uint32") for t in types])
        self._narrow = np.flatnonzero([t in ("int16", "uint16") for t in types])
        self._centre: NDArray[np.float64] = np.zeros(n)
        self._offset: NDArray[np.int64] = np.zeros(n, np.int64)
        self._walking: NDArray[np.int64] = np.ones(n, np.int64)
        for point in points:
            self.recentre(point, measured=True)

    def __len__(self) -> int:
        return len(self._fields)

    def recentre(self, point: int, *, measured: bool) -> None:
        """Begin anew where the point is now; stand still when that is not a measurement."""
        i = self._position.get(point)
        if i is None:
            return
        f = self._fields[i]
        raw = raw_of(f, self._registers.memory[f.word : f.word + f.width])
        finite = bool(np.isfinite(raw))
        self._walking[i] = measured and finite
        self._centre[i] = raw if finite else 0.0
        self._offset[i] = 0

    def step(self) -> None:
        """Move every walking point once."""
        n = len(self._fields)
        self._offset += self._rng.integers(-1, 2, n) * self._walking
        np.clip(self._offset, -self._span, self._span, out=self._offset)
        raw = np.clip(self._centre + self._offset * self._step, self._floor, self._ceiling)
        moving = self._walking.astype(bool)
        memory = self._registers.memory
        at = self._narrow[moving[self._narrow]]
        memory[self._low_word[at]] = (raw[at].astype(np.int64) & 0xFFFF).astype(np.uint16)
        at = self._wide[moving[self._wide]]
        self._write_wide(at, raw[at].astype(np.int64))
        at = self._float[moving[self._float]]
        self._write_wide(at, raw[at].astype(np.float32).view(np.uint32).astype(np.int64))

    def _write_wide(self, at: NDArray[np.int64], bits: NDArray[np.int64]) -> None:
        memory = self._registers.memory
        memory[self._low_word[at]] = (bits & 0xFFFF).astype(np.uint16)
        memory[self._high_word[at]] = ((bits >> 16) & 0xFFFF).astype(np.uint16)


_WALKERS = ("int16", "uint16", "int32", "uint32", "float32")
"""Types that walk; points of the others stand where they were set."""


def _walks(registers: Registers, point: int) -> bool:
    fields: tuple[Field, ...] = registers.fields(point)
    if len(fields) != 1 or registers.mode(point) is Mode.STATE:
        return False
    plain = not fields[0].type.endswith("_bs") and base_type(fields[0].type) in _WALKERS
    return plain and fields[0].bit == NO_BIT
