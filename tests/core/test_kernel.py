"""What the kernel says of samples: levels, two of three, deadband, trend, bad samples, time."""

from __future__ import annotations

import math
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from core_world import HEAT, LEVELS_ONLY, PRESSURE, params
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import kernels as k
from agent.core.kernel_loader import load_kernel
from agent.core.rows import prepare
from agent.core.step import step
from config.words import Flag, Mode, Quality

S = 10**9


@dataclass
class Points:
    """n points of one kind."""

    mode: Mode
    row: dict[str, float]
    n: int = 1
    kernel: Callable[..., int] = step
    t: int = 100 * S
    words: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.words = np.zeros((self.n, k.WORDS), np.uint32)
        self.words[:, k.MODE] = self.mode
        self.words[:, k.QUALITY] = Quality.NOT_READY
        self.stamps = np.full((self.n, k.STAMPS), k.NEVER, np.int64)
        self.state = np.zeros((self.n, k.STATES))
        self.state[:, k.BASELINE] = np.nan
        self.params = prepare(np.array([params(self.row)]))
        self.changed = np.zeros(max(self.n, 64), np.int32)

    def feed(
        self, value: float, quality: Quality = Quality.GOOD, *, dt_ns: int = S, at: int = 0
    ) -> int:
        """One sample of point 0; its bits."""
        self.t = at or self.t + dt_ns
        self.block(np.zeros(1, np.int32), np.array([value]), np.array([quality], np.uint8), self.t)
        return int(self.words[0, k.BITS])

    def block(self, idx: np.ndarray, value: np.ndarray, quality: np.ndarray, t: int) -> list[int]:
        count = self.kernel(
            idx, value, quality, t, self.words, self.stamps, self.state, self.params, self.changed
        )
        assert count >= 0
        return [int(k) for k in self.changed[:count]]


def heat(row: dict[str, float] = LEVELS_ONLY) -> Points:
    return Points(Mode.ANALOGUE, row)


def test_one_sample_above_the_fire_level_is_no_fire() -> None:
    p = heat()
    bits = [p.feed(v) for v in (20, 20, 20, 150, 20, 20, 20, 150, 20, 20)]
    assert not any(b & (k.FIRE | k.PREALARM) for b in bits)


@pytest.mark.parametrize("values", [(20, 20, 60, 60), (20, 60, 20, 60), (60, 60), (60, 20, 60)])
def test_two_of_the_last_three_are_fire_also_right_after_start(values: tuple[float, ...]) -> None:
    p = heat()
    bits = [p.feed(v) for v in values]
    assert bits[-1] & k.FIRE
    assert not any(b & k.FIRE for b in bits[:-1])


@pytest.mark.parametrize("lost", [math.nan, math.inf, -math.inf, 1260.5, -300.0, 1e300])
def test_impossible_values_are_bad_and_do_not_break_two_of_three(lost: float) -> None:
    p = heat()
    p.feed(60)
    p.feed(lost)
    assert p.words[0, k.QUALITY] == Quality.BAD
    assert p.feed(60) & k.FIRE


def test_fire_level_holds_in_the_deadband_and_clears_below_it() -> None:
    p = heat()
    p.feed(60)
    p.feed(60)
    for _ in range(5):
        bits = p.feed(55)
        assert bits & k.FIRE
        assert not bits & k.BELOW_CLEAR
    assert p.feed(53) & k.FIRE  # one sample is not two of three
    bits = p.feed(53)
    assert not bits & k.FIRE
    assert bits & k.BELOW_CLEAR


def test_a_missing_clear_level_means_the_level_itself() -> None:
    p = heat({"fire_level": 57.0})
    p.feed(60)
    p.feed(60)
    assert not p.feed(57) & k.BELOW_CLEAR
    p.feed(56)
    assert p.feed(56) & k.BELOW_CLEAR


def test_prealarm_comes_before_fire_and_goes_with_its_own_deadband() -> None:
    p = heat()
    p.feed(48)
    assert p.feed(48) & (k.PREALARM | k.FIRE) == k.PREALARM
    assert p.feed(45) & k.PREALARM
    p.feed(43)
    assert not p.feed(43) & k.PREALARM


def test_low_level_is_supervisory_likewise() -> None:
    p = Points(Mode.ANALOGUE, PRESSURE)
    assert not p.feed(140) & k.SUPERVISORY
    assert p.feed(140) & k.SUPERVISORY
    p.feed(155)
    assert p.feed(155) & k.SUPERVISORY  # between level and clear
    p.feed(170)
    assert not p.feed(170) & k.SUPERVISORY


def test_ready_needs_two_valid_samples_and_an_analogue_point_says_nothing_before() -> None:
    p = heat()
    assert not p.feed(20) & k.READY
    assert p.feed(20) & k.READY


def test_not_ready_from_the_device_takes_ready_away_and_is_no_fault() -> None:
    p = heat()
    p.feed(20)
    p.feed(20)
    for _ in range(10):
        assert not p.feed(0, Quality.NOT_READY) & (k.READY | k.INVALID)
    assert p.feed(20) & k.READY


def test_three_bad_samples_are_a_faulty_sensor_three_good_ones_end_it() -> None:
    p = heat()
    p.feed(20)
    p.feed(20)
    bits = [p.feed(0, Quality.BAD) for _ in range(3)]
    assert [bool(b & k.INVALID) for b in bits] == [False, False, True]
    assert not bits[-1] & k.READY
    bits = [p.feed(20) for _ in range(3)]
    assert [bool(b & k.INVALID) for b in bits] == [True, True, False]
    assert bits[-1] & k.READY


def test_bad_samples_hold_the_level_and_forbid_a_reset() -> None:
    p = heat()
    p.feed(60)
    p.feed(60)
    for _ in range(5):
        bits = p.feed(math.nan)
        assert bits & k.FIRE
        assert not bits & k.BELOW_CLEAR


@pytest.mark.parametrize("dt_ns", [0, -1, -100 * S])
def test_a_sample_that_is_not_newer_is_ignored(dt_ns: int) -> None:
    p = heat(HEAT)
    for v in (20, 20, 20, 20):
        p.feed(v)
    before = (p.words.copy(), p.stamps.copy(), p.state.copy())
    p.feed(150, at=p.t + dt_ns)
    for was, now in zip(before, (p.words, p.stamps, p.state), strict=True):
        np.testing.assert_array_equal(was, now)


def test_a_duplicated_spike_is_one_spike() -> None:
    p = heat()
    p.feed(20)
    p.feed(150)
    t = p.t
    assert not p.feed(150, at=t) & k.FIRE


def ramp(p: Points, per_s: float, seconds: int, dt_s: float = 1.0) -> int | None:
    """Seconds until a trend; None when there is none. Starts from a settled 20 degrees."""
    for _ in range(600):
        p.feed(20)
    value, t = 20.0, 0.0
    while t < seconds:
        t += dt_s
        value += per_s * dt_s
        if p.feed(value, dt_ns=int(dt_s * S)) & k.TREND:
            return int(t)
    return None


def test_a_fast_rise_is_a_trend_before_the_prealarm_level_would_be_reached() -> None:
    at = ramp(heat(HEAT), 20 / 60, 200)
    assert at is not None
    assert 20 + at * 20 / 60 < 47


def test_a_slow_rise_is_no_trend() -> None:
    assert ramp(heat(HEAT), 3 / 60, 500) is None


@pytest.mark.parametrize("dt_s", [0.25, 1.0, 5.0])
def test_the_trend_does_not_depend_on_the_sampling_interval(dt_s: float) -> None:
    at = ramp(heat(HEAT), 20 / 60, 300, dt_s)
    reference = ramp(heat(HEAT), 20 / 60, 300)
    assert at is not None
    assert reference is not None
    assert abs(at - reference) <= 2 * dt_s + 1


def test_one_spike_never_makes_a_trend() -> None:
    p = heat(HEAT)
    for _ in range(50):
        for v in (20, 20, 199, 20):
            assert not p.feed(v) & k.TREND


def test_a_long_gap_leaves_the_filters_finite_and_the_slope_small() -> None:
    p = heat(HEAT)
    for _ in range(10):
        p.feed(20)
    p.feed(40, dt_ns=3600 * S)
    assert not p.feed(40) & k.TREND
    assert np.isfinite(p.state).all()
    assert abs(p.state[0, k.SLOPE]) < 1.0


def test_state_points_carry_their_flags_at_once() -> None:
    p = Points(Mode.STATE, {})
    assert p.feed(int(Flag.FIRE | Flag.MANUAL)) & k.FLAG_MASK == Flag.FIRE | Flag.MANUAL
    bits = p.feed(0)
    assert bits & (k.FLAG_MASK | k.READY | k.BELOW_CLEAR) == k.READY | k.BELOW_CLEAR


@pytest.mark.parametrize("value", [-1.0, 65536.0, math.nan, 1e12])
def test_a_state_that_is_no_word_is_bad_and_holds_the_flags(value: float) -> None:
    p = Points(Mode.STATE, {})
    p.feed(int(Flag.FIRE))
    bits = p.feed(value)
    assert p.words[0, k.QUALITY] == Quality.BAD
    assert bits & k.FIRE


def test_telemetry_never_alarms() -> None:
    p = Points(Mode.TELEMETRY, HEAT)
    assert not any(p.feed(v) & k.FLAG_MASK for v in (20, 150, 150, 150))


def test_only_changes_leave_the_kernel() -> None:
    p = Points(Mode.ANALOGUE, LEVELS_ONLY, n=5)
    idx, good = np.arange(5, dtype=np.int32), np.zeros(5, np.uint8)
    p.block(idx, np.full(5, 20.0), good, 1)
    assert p.block(idx, np.full(5, 20.0), good, 2) == [0, 1, 2, 3, 4]  # ready
    assert p.block(idx, np.full(5, 20.0), good, 3) == []
    hot = np.array([20.0, 60.0, 20.0, 60.0, 20.0])
    p.block(idx, hot, good, 4)
    assert p.block(idx, hot, good, 5) == [1, 3]


@pytest.mark.parametrize("bad", [-1, 5, 2**31 - 1, -(2**31)])
def test_an_index_that_is_no_point_is_refused(
    bad: int, built_kernel: tuple[Path, subprocess.CompletedProcess[str]]
) -> None:
    for kernel in (step, load_kernel(built_kernel[0], only="aot").kernel):
        p = Points(Mode.ANALOGUE, LEVELS_ONLY, n=5)
        count = kernel(
            np.array([bad], np.int32), np.zeros(1), np.zeros(1, np.uint8), 1,
            p.words, p.stamps, p.state, p.params, p.changed,
        )  # fmt: skip
        assert count == -1


# --- the twin and the compiled forms -----------------------------------------------------------

VALUES = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1e300, -61.0, 57.0, 47.0, 65535.0]),
    st.floats(-100, 250),
    st.floats(),
)
PARAM_ROWS = st.one_of(
    st.sampled_from([params(HEAT), params(LEVELS_ONLY), params(PRESSURE), params({})]),
    st.lists(VALUES, min_size=k.PARAM_COLUMNS, max_size=k.PARAM_COLUMNS),
)
BLOCK = st.tuples(
    st.integers(-2, 40),  # tenths of a second since the block before
    st.lists(st.tuples(st.integers(0, 3), VALUES, st.integers(0, 4)), max_size=8),
)


@settings(max_examples=150, deadline=None)
@given(
    modes=st.lists(st.sampled_from([0, 1, 1, 1, 2]), min_size=4, max_size=4),
    rows=st.lists(PARAM_ROWS, min_size=4, max_size=4),
    blocks=st.lists(BLOCK, max_size=25),
)
def test_twin_ahead_and_jit_are_bit_identical(
    compiled: list[Callable[..., int]],
    modes: list[int],
    rows: list[list[float]],
    blocks: list[tuple[int, list[tuple[int, float, int]]]],
) -> None:
    worlds = []
    for kernel in (step, *compiled):
        p = Points(Mode.ANALOGUE, {}, n=4, kernel=kernel)
        p.words[:, k.MODE] = np.array(modes) | np.arange(4) << k.ROW_SHIFT
        p.params = prepare(np.array(rows, np.float64))
        worlds.append(p)
    t = 50 * S
    for dt, samples in blocks:
        t += dt * S // 10
        idx = np.array([s[0] for s in samples], np.int32)
        value = np.array([s[1] for s in samples], np.float64)
        quality = np.array([s[2] for s in samples], np.uint8)
        with np.errstate(all="ignore"):
            changed = [p.block(idx, value, quality, t) for p in worlds]
        for p, c in zip(worlds[1:], changed[1:], strict=True):
            assert c == changed[0]
            assert p.words.tobytes() == worlds[0].words.tobytes()
            assert p.stamps.tobytes() == worlds[0].stamps.tobytes()
            np.testing.assert_array_equal(p.state, worlds[0].state)


@pytest.fixture(scope="session")
def compiled(
    built_kernel: tuple[Path, subprocess.CompletedProcess[str]],
) -> list[Callable[..., int]]:
    """The two compiled forms, from the real build."""
    loaded = [load_kernel(built_kernel[0], only=path) for path in ("aot", "cached-jit")]
    assert [x.path for x in loaded] == ["aot", "cached-jit"]
    return [x.kernel for x in loaded]
