"""Percentiles of round trips in a fixed amount of memory. Pure."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from config.limits import MS, REPLY_TIMEOUT_NS_MAX

_STEP = 2**0.25  # a percentile is told at most 19 % too high


def _edges() -> tuple[int, ...]:
    edges = [MS // 4]
    while edges[-1] < 2 * REPLY_TIMEOUT_NS_MAX:
        edges.append(int(edges[-1] * _STEP))
    return tuple(edges)


_EDGES = _edges()


@dataclass(slots=True)
class RoundTrips:
    """A histogram of logarithmic classes; what is longer than the last counts as the last."""

    counts: list[int] = field(default_factory=lambda: [0] * len(_EDGES))

    def add(self, round_trip_ns: int) -> None:
        """One more."""
        self.counts[min(bisect_left(_EDGES, round_trip_ns), len(_EDGES) - 1)] += 1

    def percentile_ns(self, percent: int) -> int:
        """The upper edge of the class in which the percentile lies; 0 before the first one."""
        rank = -(-sum(self.counts) * percent // 100)
        for edge, count in zip(_EDGES, self.counts, strict=True):
            rank -= count
            if rank <= 0:
                return edge if count else 0
        return _EDGES[-1]
