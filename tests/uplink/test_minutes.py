"""Summaries: what was added up comes back, and any bytes give figures or one typed error."""

from __future__ import annotations

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.types import ClockState, Now
from agent.record.summary import Summing
from agent.uplink import cbor
from agent.uplink.columns import PollSamples
from agent.uplink.errors import UplinkError
from agent.uplink.minutes import Minute, decode_minutes

STEPS = {1: np.array([0.1, 0.0, 2.0]), 4: np.array([0.0]), 9: np.array([1.0, 0.5])}
Row = list[tuple[float, int]]
SAMPLE = st.tuples(
    st.sampled_from([0.0, -3.5, 20.0, 1e30, math.inf, math.nan]) | st.floats(-1e6, 1e6),
    st.sampled_from([0, 0, 0, 2, 3]),
)


def samples(poll: int, rows: list[Row]) -> PollSamples:
    value = np.array([[v for v, _ in row] for row in rows])
    quality = np.array([[q for _, q in row] for row in rows], np.uint8)
    return PollSamples(poll, np.arange(len(rows), dtype=np.int64), value, quality)


def blocks(width: int) -> st.SearchStrategy[list[list[Row]]]:
    row = st.lists(SAMPLE, min_size=width, max_size=width)
    return st.lists(st.lists(row, min_size=1, max_size=4), min_size=1, max_size=3)


@given(one=blocks(3), four=blocks(1), nine=blocks(2))
def test_the_figures_are_those_of_the_good_samples(
    one: list[list[Row]], four: list[list[Row]], nine: list[list[Row]]
) -> None:
    summing = Summing(STEPS)
    rows = {1: one, 4: four, 9: nine}
    for poll, parts in rows.items():
        for part in parts:
            summing.add([samples(poll, part)], 5, Now(7, 8, ClockState.HOLDOVER))
    made = summing.take()
    assert (made.mono_first_ns, made.last.mono_ns, len(summing)) == (5, 7, 0)
    found = {minute.poll: minute for minute in decode_minutes(made.data, STEPS.get)}
    assert sorted(found) == [1, 9], "a poll of floats alone has no summary"
    for poll, minute in found.items():
        flat = [row for part in rows[poll] for row in part]
        assert minute.samples == len(flat)
        for p, step in enumerate(STEPS[poll]):
            good = [
                round(row[p][0] / step)
                for row in flat
                if step and row[p][1] == 0 and abs(row[p][0]) < 1e12
            ]
            assert minute.good[p] == len(good)
            if not good:
                assert math.isnan(minute.mean[p])
                continue
            assert minute.minimum[p] == min(good) * step
            assert minute.maximum[p] == max(good) * step
            assert minute.mean[p] == pytest.approx(sum(good) / len(good) * step, abs=0.51 * step)


def decoded(data: bytes) -> list[Minute]:
    """The figures, none where the one typed error says that there are none."""
    with contextlib.suppress(UplinkError):
        return decode_minutes(data, STEPS.get)
    return []


@given(st.binary(max_size=64), st.integers(0, 5), st.integers(0, 255))
def test_any_bytes_give_figures_or_one_error(noise: bytes, part: int, byte: int) -> None:
    summing = Summing(STEPS)
    summing.add(
        [samples(9, [[(1.0, 0), (2.0, 0)], [(4.0, 0), (9e5, 0)]])], 0, Now(1, 1, ClockState.UNSET)
    )
    whole = summing.take().data
    fields = cbor.decode(whole)
    fields[part] = [noise]
    changed = bytearray(whole)
    changed[byte % len(changed)] ^= 1 + part
    for data in (noise, cbor.encode(fields), bytes(changed)):
        minutes = decoded(data)
        for minute in minutes:
            good = minute.good > 0
            assert np.all(minute.minimum[good] <= minute.mean[good])
            assert np.all(minute.mean[good] <= minute.maximum[good])


def test_ten_thousand_points_cost_less_than_two_bytes_each() -> None:
    rng = np.random.default_rng(1)
    steps = {poll: np.full(100, 0.1) for poll in range(100)}
    summing = Summing(steps)
    for poll in steps:
        value = rng.integers(150, 400, 100) + np.cumsum(rng.integers(-1, 2, (60, 100)), axis=0)
        quality = np.zeros(value.shape, np.uint8)
        summing.add(
            [
                PollSamples(
                    poll, np.arange(60, dtype=np.int64), (value * 0.1).astype(np.float64), quality
                )
            ],
            0,
            Now(1, 1, ClockState.UNSET),
        )
    size = len(summing.take().data) / 10_000
    assert size < 2.0, size
