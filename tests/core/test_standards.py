"""Properties of the detectors over sweeps: EN 54-5 windows, EN 54-7 drift, chatter, bad samples."""

from __future__ import annotations

import math
import random
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from core_world import params
from test_kernel import Points, S

from agent.core import kernels as k
from agent.core.kernel_loader import load_kernel
from config.kinds import resolve
from config.plan import PARAMS
from config.words import Mode, Quality

# s, [recalled] but for what a first-order sensor reproduces: rate K/min -> (lower, upper)
A1 = {1: (1740, 2420), 3: (433, 820), 5: (249, 500), 10: (60, 260), 20: (30, 140), 30: (20, 100)}
A2 = {1: (1740, 2760), 3: (433, 960), 5: (249, 600), 10: (120, 330), 20: (60, 193), 30: (40, 145)}
CLASSES = {"A1": (A1, 25.0, 20.0), "A2": (A2, 25.0, 60.0), "B": (A2, 40.0, 60.0)}


@pytest.fixture(scope="module")
def fast(
    built_kernel: tuple[Path, subprocess.CompletedProcess[str]],
) -> Callable[..., int]:
    loaded = load_kernel(built_kernel[0], only="aot")
    assert loaded.path == "aot", loaded.fault_text
    return loaded.kernel


def point(
    kernel: Callable[..., int], kind: str, class_name: str, unit: str, **given: float
) -> Points:
    row = resolve(kind, class_name, unit, tuple(sorted(given.items()))).params
    return Points(Mode.ANALOGUE, dict(zip(PARAMS, row, strict=True)), kernel=kernel)


@pytest.mark.parametrize("class_name", ["A1", "A2", "B", "A1R", "A2S", "BS"])
@pytest.mark.parametrize("dt_s", [1.0, 5.0])
@pytest.mark.parametrize("lagged", [False, True])
def test_fire_comes_within_the_window_of_its_class_at_every_heating_rate(
    fast: Callable[..., int], class_name: str, dt_s: float, lagged: bool
) -> None:
    limits, start, tau = CLASSES[class_name.rstrip("RS")]
    for rate, (lower, upper) in limits.items():
        p = point(fast, "heat", class_name, "°C")
        for _ in range(30):
            p.feed(start, dt_ns=int(dt_s * S))
        t, sensor = 0.0, start
        while True:
            t += dt_s
            room = start + rate / 60 * t
            sensor = sensor + (room - sensor) * dt_s / (tau + dt_s) if lagged else room
            if p.feed(sensor, dt_ns=int(dt_s * S)) & k.FIRE:
                break
            assert t <= upper, (class_name, rate, "no fire")
        assert lower <= t <= upper, (class_name, rate, t)


@pytest.mark.parametrize("class_name", ["A1S", "A2S", "BS"])
def test_suffix_s_has_no_trend(fast: Callable[..., int], class_name: str) -> None:
    p = point(fast, "heat", class_name, "°C")
    assert not any(p.feed(20 + 0.5 * s) & (k.TREND | k.PREALARM) for s in range(60))


@pytest.mark.parametrize("a", [1.0, 3.0, 6.0])
def test_drift_compensation_never_hides_growing_smoke(fast: Callable[..., int], a: float) -> None:
    for rate_per_h in np.geomspace(a / 4, 500 * a, 12):
        p = point(fast, "smoke", "", "%/m", fire_level=a, prealarm_level=0.75 * a)
        for _ in range(60):
            p.feed(0.0)
        limit = 1.6 * a / rate_per_h * 3600 + 100
        dt = max(1.0, limit / 4000)
        t = 0.0
        while not p.feed(rate_per_h / 3600 * t, dt_ns=int(dt * S)) & k.FIRE:
            t += dt
            assert t <= limit, (a, rate_per_h)


def test_drift_is_followed_so_far_and_no_further(fast: Callable[..., int]) -> None:
    p = point(fast, "smoke", "", "%/m")
    bits = 0
    for hour in range(24 * 200):
        bits = p.feed(min(1.5, 0.02 * hour / 24), dt_ns=3600 * S)
        assert not bits & (k.FIRE | k.PREALARM)
    assert p.state[0, k.BASELINE] == pytest.approx(1.5, abs=0.1)
    for hour in range(24 * 300):
        bits = p.feed(1.5 + 0.02 * hour / 24, dt_ns=3600 * S)
    assert bits & k.FIRE
    assert p.state[0, k.BASELINE] <= 1.8


def test_days_of_chatter_are_one_fault_and_few_onsets(fast: Callable[..., int]) -> None:
    p = point(fast, "heat", "A1", "°C")
    rng = random.Random(5)
    was, faults, fires, late = 0, 0, 0, 0
    for second in range(2 * 86_400):
        hot = second % 300 < 60 and rng.random() < 0.5
        bits = p.feed(122.0 if hot else 50.0)
        faults += bool(bits & ~was & k.CHATTER)
        if bits & ~was & k.FIRE:
            fires += 1
            late += bool(was & k.CHATTER)
        was = bits
    assert faults == 1
    assert was & k.CHATTER
    assert fires - late <= 3, "one alarm: it latches"
    assert late <= 50, "only ten unbroken seconds count"
    onset = next(s for s in range(1, 60) if p.feed(90.0) & k.FIRE)
    assert onset <= 12


def test_chatter_ends_after_a_quiet_day(fast: Callable[..., int]) -> None:
    p = point(fast, "heat", "A1", "°C")
    for second in range(60):
        p.feed(122.0 if second % 2 else 20.0)
    assert p.words[0, k.BITS] & k.CHATTER
    assert p.feed(20.0, dt_ns=3600 * S) & k.CHATTER
    assert not p.feed(20.0, dt_ns=24 * 3600 * S) & k.CHATTER


def test_gaps_nan_and_old_stamps_cost_one_valid_sample(fast: Callable[..., int]) -> None:
    for seed in range(40):
        rng = random.Random(seed)
        clean, dirty = (point(fast, "heat", "A1", "°C") for _ in range(2))
        fire_at: int | None = None
        valid_since = 0
        for second in range(400):
            value = 25.0 + max(0, second - 60) * 0.4
            if clean.feed(value) & k.FIRE and fire_at is None:
                fire_at = second
            clean_t = clean.t
            chance = rng.random()
            if chance < 0.05:
                dirty.feed(math.nan, at=clean_t)
                continue
            if chance < 0.07:
                continue
            bits = dirty.feed(value, at=clean_t)
            dirty.feed(150.0, at=clean_t - rng.randrange(3) * S)
            valid_since += fire_at is not None
            if bits & k.FIRE:
                break
        assert fire_at is not None
        assert valid_since <= 2


def test_levels_above_and_below_with_two_stages(fast: Callable[..., int]) -> None:
    p = point(fast, "tank_level", "", "%", low_low_level=5.0, low_level=10.0, high_level=80.0,
              high_high_level=90.0)  # fmt: skip
    seen: dict[float, list[tuple[bool, bool]]] = {}
    for value in (50.0, 85.0, 95.0, 50.0, 9.0, 3.0, 50.0):
        for _ in range(3):
            bits = p.feed(value)
        seen.setdefault(value, []).append(
            (bool(bits & k.SUPERVISORY), bool(bits & k.SECOND))
        )  # fmt: skip
    assert seen[50.0] == [(False, False)] * 3
    assert seen[85.0] == seen[9.0] == [(True, False)]
    assert seen[95.0] == seen[3.0] == [(True, True)]


def test_a_slow_fall_is_supervisory_and_recovers(fast: Callable[..., int]) -> None:
    row = {"trend_tau_s": 30.0, "baseline_tau_s": 86_400.0, "fall_allow": 20.0,
           "fall_limit_s": 12_000.0}  # fmt: skip
    p = Points(Mode.ANALOGUE, row, kernel=fast)
    for _ in range(60):
        p.feed(400.0)
    assert not p.words[0, k.BITS] & k.FALLING
    for minute in range(240):
        bits = p.feed(400.0 - minute / 3, dt_ns=60 * S)
    assert bits & k.FALLING
    assert bits & k.SUPERVISORY
    for _ in range(60):
        bits = p.feed(400.0, dt_ns=60 * S)
    assert not bits & (k.FALLING | k.SUPERVISORY)


def test_a_stuck_sensor_and_a_loose_contact_are_faults(fast: Callable[..., int]) -> None:
    p = Points(Mode.ANALOGUE, {"flat_band": 0.05, "flat_s": 600.0}, kernel=fast)
    bits = [p.feed(20.0) for _ in range(700)]
    assert not bits[590] & k.FLAT
    assert bits[-1] & k.FLAT
    assert not p.feed(20.2) & k.FLAT
    p = point(fast, "heat", "A1", "°C")
    bits = [p.feed(45.0 if s % 5 < 2 else 5.0) for s in range(40)]
    assert bits[-1] & k.STEPS
    assert not bits[-1] & k.FIRE


def test_delays_hold_a_level_back_and_on(fast: Callable[..., int]) -> None:
    p = Points(
        Mode.ANALOGUE, {"fire_level": 50.0, "on_delay_s": 5.0, "off_delay_s": 8.0}, kernel=fast
    )
    for _ in range(5):
        p.feed(20.0)
    bits = [p.feed(60.0) for _ in range(8)]
    assert [bool(b & k.FIRE) for b in bits] == [False] * 5 + [True] * 3
    bits = [p.feed(20.0) for _ in range(12)]
    assert [bool(b & k.FIRE) for b in bits].count(True) == 8
    assert params({})  # the row above names columns of the plan
    assert p.words[0, k.QUALITY] == Quality.GOOD
