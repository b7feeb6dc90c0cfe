"""Sweeps of parameters: which values a parameter takes, and all combinations of several."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass

from config.desk_limits import EVALUATE_SWEEP_VALUES_MAX


@dataclass(frozen=True, slots=True)
class Sweep:
    """A grid: each of `parameters` (plan.PARAMS) with its own `values`, in the point's unit."""

    parameters: tuple[str, ...]
    values: tuple[tuple[float, ...], ...]

    def __len__(self) -> int:
        return math.prod(len(v) for v in self.values)

    def combinations(self) -> Iterator[tuple[float, ...]]:
        """Every combination; the last parameter changes fastest."""
        return itertools.product(*self.values)


def values_of(text: str) -> tuple[float, ...]:
    """`50,54,57`, or `50:60:2`: first, last, step. Empty when it is neither.

    At most one more than EVALUATE_SWEEP_VALUES_MAX, so that too many can be told.
    """
    try:
        if ":" in text:
            first, last, step = (float(v) for v in text.split(":"))
            size = math.floor((last - first) / step + 1e-9) + 1
            values = [first + k * step for k in range(min(size, EVALUATE_SWEEP_VALUES_MAX + 1))]
        else:
            values = [float(v) for v in text.split(",")[: EVALUATE_SWEEP_VALUES_MAX + 1]]
    except (ValueError, ZeroDivisionError, OverflowError):
        return ()
    if not all(math.isfinite(v) for v in values):
        return ()
    return tuple(float(f"{v:.12g}") for v in values)
