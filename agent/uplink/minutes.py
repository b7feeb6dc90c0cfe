"""Summaries (codec 3): minimum, maximum and mean of every point over about a minute.

A column is one point of one poll whose resolution is not 0, in the order of telemetry. Values are
whole numbers of the resolution. Minima differ little from neighbour to neighbour, and most points
move by a few steps in a minute, so a point costs one to two bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.uplink import cbor, check
from agent.uplink.columns import F64, Resolutions
from agent.uplink.errors import UplinkError
from agent.uplink.planes import I64, decode_planes, encode_planes, unzigzag, zigzag
from config.limits import POINTS_MAX, SUMMARY_SAMPLES_MAX, TELEMETRY_READINGS_MAX

WHOLE_MAX = 2**53


@dataclass(frozen=True, slots=True)
class PollSummary:
    """One poll over the time of its batch; arrays have one entry a point of the poll, (points,).

    samples: how often the poll was read. good: how many of them are in the figures. minimum,
    maximum, mean: whole numbers of the resolution (int64), filler where good is 0.
    """

    poll: int
    samples: int
    good: I64
    minimum: I64
    maximum: I64
    mean: I64


@dataclass(frozen=True, slots=True)
class Minute:
    """As PollSummary, in engineering units; NaN where nothing good was measured."""

    poll: int
    samples: int
    good: I64
    minimum: F64
    maximum: F64
    mean: F64


def encode_minutes(parts: Sequence[PollSummary], resolutions: Resolutions) -> bytes:
    """The data of a summary batch. Every poll at most once."""
    keeps = [_steps(resolutions, part.poll) > 0 for part in parts]

    def column(name: str) -> I64:
        rows = [getattr(p, name)[keep] for p, keep in zip(parts, keeps, strict=True)]
        return np.concatenate([np.zeros(0, dtype=np.int64), *rows])

    samples = np.repeat([p.samples for p in parts], [int(keep.sum()) for keep in keeps])
    good, low = column("good"), column("minimum")
    assert np.all((good >= 0) & (good <= samples)), "good samples are some of the samples"
    some = good > 0
    low = _hold(low, some)
    span = np.where(some, column("maximum") - low, 0)
    rise = np.where(some, column("mean") - low, 0)
    assert np.all((rise >= 0) & (rise <= span)), "a mean lies between minimum and maximum"
    return cbor.encode(
        [
            [p.poll for p in parts],
            [p.samples for p in parts],
            encode_planes((samples - good).astype(np.uint64)),
            encode_planes(zigzag(np.diff(low, prepend=np.int64(0)))),
            encode_planes(span.astype(np.uint64)),
            encode_planes(rise.astype(np.uint64)),
        ]
    )


def decode_minutes(data: bytes, resolutions: Resolutions) -> list[Minute]:
    """The figures of a summary batch. Raises UplinkError "malformed" or "unknown_table"."""
    parts = check.array(cbor.decode(data, items_max=4 * POINTS_MAX + 64), "summary", 6)
    polls = [check.uint(p, "poll", 2**32 - 1) for p in check.array(parts[0], "polls")]
    counts = check.array(parts[1], "samples", len(polls))
    samples = [check.uint(c, "samples", SUMMARY_SAMPLES_MAX) for c in counts]
    if len(set(polls)) != len(polls) or len(polls) > POINTS_MAX or 0 in samples:
        raise UplinkError("malformed", "summary: expected each poll once, with a sample")
    steps = [_steps(resolutions, poll) for poll in polls]
    if sum(len(step) for step in steps) > TELEMETRY_READINGS_MAX:
        raise UplinkError("too_large", f"more than {TELEMETRY_READINGS_MAX} points")
    keeps = [step > 0 for step in steps]
    cuts = np.cumsum([0, *(int(keep.sum()) for keep in keeps)])
    total = int(cuts[-1])
    bad, low, span, rise = _numbers(parts, total)
    out: list[Minute] = []
    for k, (a, b) in enumerate(pairwise(cuts)):
        if np.any(bad[a:b] > samples[k]):
            raise UplinkError("malformed", "summary: more bad samples than samples")
        good = np.zeros(len(keeps[k]), dtype=np.int64)
        good[keeps[k]] = samples[k] - bad[a:b]
        figures = [
            _figure(numbers[a:b], steps[k], keeps[k], good)
            for numbers in (low, low + span, low + rise)
        ]
        out.append(Minute(polls[k], samples[k], good, *figures))
    return out


def _numbers(parts: Sequence[Any], total: int) -> tuple[I64, I64, I64, I64]:
    bad = decode_planes(parts[2], total).view(np.int64)
    low = np.cumsum(unzigzag(decode_planes(parts[3], total)))
    span = decode_planes(parts[4], total).view(np.int64)
    rise = decode_planes(parts[5], total).view(np.int64)
    if np.any(bad < 0) or np.any((low < -WHOLE_MAX) | (low > WHOLE_MAX)):
        raise UplinkError("malformed", "summary: a number is out of range")
    if np.any((span < 0) | (span > 2 * WHOLE_MAX) | (rise < 0) | (rise > span)):
        raise UplinkError("malformed", "summary: expected minimum <= mean <= maximum")
    return bad, low, span, rise


def _figure(numbers: I64, step: F64, keep: NDArray[np.bool_], good: I64) -> F64:
    out = np.full(len(step), np.nan)
    out[keep] = numbers * step[keep]
    out[good == 0] = np.nan
    return out


def _hold(values: I64, some: NDArray[np.bool_]) -> I64:
    """Where there is nothing, the value of the column before: its difference is 0."""
    at = np.maximum.accumulate(np.where(some, np.arange(1, len(values) + 1), 0))
    return np.concatenate([np.zeros(1, dtype=np.int64), values])[at]


def _steps(resolutions: Resolutions, poll: int) -> F64:
    step = resolutions(poll)
    if step is None:
        raise UplinkError("unknown_table", f"poll {poll} is not in the table")
    return step
