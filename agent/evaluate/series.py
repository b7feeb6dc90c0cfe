"""A recording's course for a plot: the lowest and the highest value of each bin, a bounded number
of bins that grow with the recording.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config.desk_limits import EVALUATE_LINES_PLOTTED_MAX, EVALUATE_PLOT_BINS


class Series:
    """At most EVALUATE_LINES_PLOTTED_MAX columns; after finish(): ns [b], low and high [b, c]."""

    def __init__(self, wanted: Sequence[str], shown: Sequence[int]) -> None:
        self.columns = list(shown[:EVALUATE_LINES_PLOTTED_MAX])
        self.names = [wanted[c] for c in self.columns]
        self.left_off = len(shown) - len(self.columns)
        self.ns: list[int] = []
        self.low: list[NDArray[np.float64]] = []
        self.high: list[NDArray[np.float64]] = []
        self._slot = np.full(len(wanted), -1, np.int32)
        self._slot[self.columns] = np.arange(len(self.columns))
        self._stride = 1
        self._filled = 0

    def add(self, ns: int, column: NDArray[np.int32], value: NDArray[np.float64]) -> None:
        """Take a frame."""
        row = np.full(len(self.columns), np.nan)
        slot = self._slot[column]
        shown = slot >= 0
        row[slot[shown]] = value[shown]
        row[~np.isfinite(row)] = np.nan
        if self._filled == 0:
            self.ns.append(ns)
            self.low.append(row)
            self.high.append(row)
        else:
            self.low[-1] = np.fmin(self.low[-1], row)
            self.high[-1] = np.fmax(self.high[-1], row)
        self._filled = (self._filled + 1) % self._stride
        if self._filled == 0 and len(self.ns) >= 2 * EVALUATE_PLOT_BINS:
            self._halve()

    def finish(self) -> None:
        """No more frames come."""
        while len(self.ns) > EVALUATE_PLOT_BINS:
            self._halve()

    def _halve(self) -> None:
        odd = len(self.ns) % 2
        pairs = range(0, len(self.ns) - odd, 2)
        low = [np.fmin(self.low[i], self.low[i + 1]) for i in pairs]
        high = [np.fmax(self.high[i], self.high[i + 1]) for i in pairs]
        if odd:
            low.append(self.low[-1])
            high.append(self.high[-1])
        self.ns, self.low, self.high = self.ns[::2], low, high
        self._stride *= 2
