"""The summary that is being made: what every point did since the last one was sealed. Pure.

Takes whole telemetry batches, a few array operations a poll, and holds 28 bytes a point.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from agent.core.types import Now
from agent.uplink.columns import F64, PollSamples
from agent.uplink.minutes import WHOLE_MAX, PollSummary, encode_minutes
from agent.uplink.planes import I64
from config.limits import SUMMARY_NS


@dataclass(slots=True)
class _Sums:
    """Of one poll, (points,). Whole numbers of the resolution; float64 holds them exactly."""

    samples: int
    good: I64
    low: F64
    high: F64
    total: F64


@dataclass(frozen=True, slots=True)
class Summary:
    """A batch's worth: `data` is codec SUMMARY; `last` is the time of its last sample."""

    data: bytes
    mono_first_ns: int
    last: Now


class Summing:
    """Adds up until somebody takes it. resolutions: poll -> float64 (points,), 0: no summary."""

    def __init__(self, resolutions: Mapping[int, F64]) -> None:
        self._resolutions = resolutions
        self._sums: dict[int, _Sums] = {}
        self._first_ns = 0
        self._last: Now | None = None

    def __len__(self) -> int:
        return len(self._sums)

    def due(self, now_ns: int) -> bool:
        """Whether a minute is together, or began two minutes before now and nothing more came."""
        if self._last is None:
            return False
        whole = self._last.mono_ns - self._first_ns >= SUMMARY_NS
        return whole or now_ns - self._first_ns >= 2 * SUMMARY_NS

    def drop(self) -> None:
        """Forget what is together."""
        self._sums = {}
        self._last = None

    def add(self, samples: Sequence[PollSamples], first_ns: int, last: Now) -> None:
        """Take in the samples of a telemetry batch, from first_ns to `last`."""
        for poll in samples:
            step = self._resolutions[poll.poll]
            if step.any():
                self._add(poll, step)
        if self._sums:
            self._first_ns = first_ns if self._last is None else min(self._first_ns, first_ns)
            self._last = last

    def _add(self, poll: PollSamples, step: F64) -> None:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            number = np.rint(poll.value / step)
            usable = (np.abs(number) <= WHOLE_MAX) & (poll.quality == 0)  # False for NaN
        if usable.all():
            low, high, total = number.min(axis=0), number.max(axis=0), number.sum(axis=0)
        else:
            low = np.where(usable, number, np.inf).min(axis=0)
            high = np.where(usable, number, -np.inf).max(axis=0)
            total = np.where(usable, number, 0.0).sum(axis=0)
        good = usable.sum(axis=0)
        sums = self._sums.get(poll.poll)
        if sums is None:
            self._sums[poll.poll] = _Sums(len(number), good, low, high, total)
            return
        sums.samples += len(number)
        sums.good += good
        np.minimum(sums.low, low, out=sums.low)
        np.maximum(sums.high, high, out=sums.high)
        sums.total += total

    def take(self) -> Summary:
        """What is together, encoded; the next one begins. Only when there is something."""
        assert self._last is not None, "nothing was added"
        parts = [_figures(poll, sums) for poll, sums in sorted(self._sums.items())]
        out = Summary(encode_minutes(parts, self._resolutions.get), self._first_ns, self._last)
        self.drop()
        return out


def _figures(poll: int, sums: _Sums) -> PollSummary:
    some = sums.good > 0
    low = np.where(some, sums.low, 0.0)
    high = np.where(some, sums.high, 0.0)
    mean = np.clip(np.rint(sums.total / np.maximum(sums.good, 1)), low, high)
    whole = [column.astype(np.int64) for column in (low, high, np.where(some, mean, 0.0))]
    return PollSummary(poll, sums.samples, sums.good, *whole)
