"""What detection is compared with: one fixed level behind a median of three, without latching.

It has no range check and no drift, as the cheapest detector has none; a channel that never was
below the level (pinned open circuit) does not count as detection.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.source import Frame
from agent.evaluate.watch import Watch


class Reference:
    """found_ns: the first crossing after ignition (or at all, when it is not known).

    fire_free: there was no fire in the whole recording.
    """

    def __init__(self, watch: Watch, ignition_ns: int | None, *, fire_free: bool) -> None:
        n = len(watch.wanted)
        self.found_ns: int | None = None
        self.false = 0  # crossings before ignition
        self._ignition_ns = ignition_ns
        self._fire_free = fire_free
        self._label = watch.label
        self._any = bool(len(watch.reference_columns))
        self._level = np.full(n, np.inf)
        self._level[watch.reference_columns] = watch.reference_levels
        self._last = np.full((2, n), np.nan)
        self._below = np.zeros(n, np.bool_)
        self._above = np.zeros(n, np.bool_)

    def add(self, frame: Frame, value: NDArray[np.float64], quality: NDArray[np.uint8]) -> None:
        """Take the samples of a frame; `value` in the points' units."""
        if self._label >= 0:
            at = np.flatnonzero(frame.column == self._label)
            if at.size and self.found_ns is None and value[at[0]] > 0:
                self.found_ns = frame.ns
            return
        if not self._any:
            return
        column = frame.column
        if quality.any() or not np.isfinite(value).all():
            valid = (quality == 0) & np.isfinite(value)
            column, value = column[valid], value[valid]
        x1, x2 = self._last[0, column], self._last[1, column]
        median = np.maximum(np.minimum(x1, x2), np.minimum(np.maximum(x1, x2), value))
        self._last[1, column] = x1
        self._last[0, column] = value
        level = self._level[column]
        over = median >= level  # NaN before the third sample: neither
        crossed = over & self._below[column] & ~self._above[column]
        self._below[column] |= median < level
        self._above[column] = over
        if crossed.any():
            self._cross(frame.ns, int(np.count_nonzero(crossed)))

    def _cross(self, ns: int, number: int) -> None:
        if self._fire_free or (self._ignition_ns is not None and ns < self._ignition_ns):
            self.false += number
        elif self.found_ns is None:
            self.found_ns = ns
