"""How sure a figure is: percentiles, bootstrap intervals, and intervals of rare counts.

Recordings are few and are drawn again as wholes. The seed is fixed and each figure draws anew, so
that the same recordings give the same interval whatever else is in the report.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from config.desk_limits import EVALUATE_RESAMPLES

_SEED = 20_260_131
_TAIL = 0.025  # on each side of an interval of 95 %
_AT_ONCE = 200  # resamples, for memory
_STEPS = 200  # halvings of a bisection; more than a float has


def percentile(ordered: Sequence[float], share: float) -> float:
    """Of rising values, by linear interpolation."""
    at = share * (len(ordered) - 1)
    low = math.floor(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)


def spread(values: Sequence[float]) -> dict[str, Any] | None:
    """Median, 10th and 90th percentile, least and greatest; None of nothing.

    median_95, p90_95: [low, high] of the bootstrap; None below two values.
    """
    if not values:
        return None
    ordered = sorted(values)
    return {
        "median": percentile(ordered, 0.5),
        "p10": percentile(ordered, 0.1),
        "p90": percentile(ordered, 0.9),
        "least": ordered[0],
        "greatest": ordered[-1],
        "median_95": _bootstrap(ordered, 0.5),
        "p90_95": _bootstrap(ordered, 0.9),
    }


def _bootstrap(ordered: Sequence[float], share: float) -> list[float] | None:
    """Percentiles of resampled percentiles."""
    n = len(ordered)
    if n < 2:
        return None
    rng = np.random.Generator(np.random.PCG64(_SEED))
    values = np.array(ordered, np.float64)
    at = share * (n - 1)
    low = math.floor(at)
    high = min(low + 1, n - 1)
    found: list[float] = []
    while len(found) < EVALUATE_RESAMPLES:
        drawn = rng.integers(0, n, (min(_AT_ONCE, EVALUATE_RESAMPLES - len(found)), n))
        drawn = np.partition(drawn, (low, high), axis=1)
        first, second = values[drawn[:, low]], values[drawn[:, high]]
        found += (first + (second - first) * (at - low)).tolist()
    found.sort()
    return [percentile(found, _TAIL), percentile(found, 1 - _TAIL)]


def rate_95(count: int, days: float) -> list[float] | None:
    """[low, high] of a rate per day when `count` rare events came in `days` (exact, Garwood).

    Nothing seen is no proof of nothing: no event in 100 days is a rate of up to 0.037.
    """
    if not days > 0.0:
        return None
    low = _mean_where(count, 1 - _TAIL) if count else 0.0
    return [low / days, _mean_where(count + 1, _TAIL) / days]


def _mean_where(count: int, share: float) -> float:
    """The mean of a Poisson count for which fewer than `count` has this probability."""
    low, high = 0.0, 10.0 + 3.0 * count
    for _ in range(_STEPS):
        middle = (low + high) / 2
        logs = [k * math.log(middle) - middle - math.lgamma(k + 1) for k in range(count)]
        top = max(logs)
        below = math.exp(top) * sum(math.exp(v - top) for v in logs)
        low, high = (middle, high) if below > share else (low, middle)
        if high - low <= 1e-12 * high:
            break
    return (low + high) / 2
