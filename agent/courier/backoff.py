"""Waiting between attempts, with jitter: a city of gateways shall not come back at once."""

from __future__ import annotations

import random


class Backoff:
    """Each wait is drawn between the minimum and three times the last one, and capped.

    The shape is the one AWS published as "decorrelated jitter" (Exponential Backoff And Jitter,
    2015): it grows like a doubling and spreads like a uniform draw.
    """

    def __init__(self, rng: random.Random, min_ns: int, max_ns: int) -> None:
        assert 0 < min_ns <= max_ns
        self._rng = rng
        self._min_ns = min_ns
        self._max_ns = max_ns
        self._last_ns = min_ns

    def next_ns(self) -> int:
        """How long to wait now."""
        self._last_ns = min(self._max_ns, self._rng.randint(self._min_ns, 3 * self._last_ns))
        return self._last_ns

    def reset(self) -> None:
        """Something worked: the next wait is short again."""
        self._last_ns = self._min_ns
