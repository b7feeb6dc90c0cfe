"""Compensated baselines over restarts, and the fault when there is nothing left to compensate."""

from __future__ import annotations

import numpy as np
import pytest
from core_world import World, plan_of
from hypothesis import given
from hypothesis import strategies as st

from agent.core import baselines, kernels, memory
from agent.core.alarms import Phase
from config.kinds import resolve
from config.limits import BASELINES_EVERY_NS, S
from config.plan import PARAMS
from config.words import Flag, Mode

SMOKE = dict(zip(PARAMS, resolve("smoke", "", "%/m", ()).params, strict=True))
HEAT = dict(zip(PARAMS, resolve("heat", "A1", "°C", ()).params, strict=True))
PLAN = plan_of(
    [("smoke", 0, "smoke", Mode.ANALOGUE, SMOKE), ("heat", 0, "heat", Mode.ANALOGUE, HEAT)],
    zones=(), effects=(), stale_ns=2 * 3600 * S,
)  # fmt: skip


def drifted(smoke: float, hours: int = 200) -> World:
    world = World(PLAN)
    world.run(recalled=b"")
    for hour in range(hours):
        world.sample({0: min(smoke, 0.05 * hour), 1: 20.0}, step_ns=3600 * S)
    return world


def baseline(world: World, k: int = 0) -> float:
    return float(world.state.image.state[k, kernels.BASELINE])


def test_a_restart_keeps_the_compensation_and_learns_the_rooms_anew() -> None:
    before = drifted(1.5)
    assert baseline(before) > 1.2
    assert before.saved is not None
    after = World(PLAN)
    after.run(recalled=before.saved)
    after.sample({0: 1.5, 1: 30.0}, 5)
    assert baseline(after) == pytest.approx(baseline(before), abs=0.06)
    assert baseline(after, 1) == pytest.approx(30.0)
    fresh = World(PLAN)
    fresh.sample({0: 1.5, 1: 30.0}, 5)
    assert baseline(fresh) < 0.01


def test_recalled_after_the_first_samples_counts_as_well() -> None:
    before = drifted(1.5)
    after = World(PLAN)
    after.sample({0: 1.5, 1: 30.0}, 5)
    after.run(recalled=before.saved)
    assert baseline(after) == pytest.approx(baseline(before), abs=0.06)


def test_a_smoke_detector_is_written_once_an_hour_and_at_a_stop() -> None:
    world = World(PLAN)
    writes = 0
    for second in range(2 * BASELINES_EVERY_NS // (10 * S)):
        world.sample({0: second * 1e-4, 1: 20.0}, step_ns=10 * S)
        writes += world.last is not None and world.last.alarm_state is not None
    assert writes <= 2
    was = world.saved
    world.sample({0: 0.5, 1: 20.0}, 3)
    world.run(stopping=True)
    assert world.saved != was


@given(st.binary(max_size=200))
def test_any_bytes_are_taken(packed: bytes) -> None:
    world = World(PLAN)
    state = world.state
    baselines.recall(state.baselines, state.site, state.image, packed)
    value = baseline(world)
    assert np.isnan(value) or value <= SMOKE["baseline_cap"]


def test_a_snapshot_without_baselines_is_still_read() -> None:
    world = World(PLAN)
    state = world.state
    data = memory.encode(b"boot", state.alarms, state.zones, state.book, state.site)
    assert memory.decode(data).baselines == b""


def test_a_detector_at_the_cap_needs_cleaning_and_still_sees_a_fire() -> None:
    world = drifted(2.0, 24 * 12)
    assert baseline(world) == SMOKE["baseline_cap"]
    assert world.flags(0) & (Flag.FAULT | Flag.FIRE | Flag.PREALARM) == Flag.FAULT
    told = [r for r in world.records if "needs cleaning" in r.body.get("detail", ())]
    assert len(told) == 1
    world.sample({0: 5.0, 1: 20.0}, 3)
    assert world.state.alarms.phase[0] == Phase.LIVE
    world.sample({0: 0.1, 1: 20.0}, 24 * 10, step_ns=3600 * S)
    assert not world.flags(0) & Flag.FAULT


def test_a_hot_room_is_not_dirty() -> None:
    world = World(PLAN)
    world.sample({0: 0.0, 1: 51.0}, 600, step_ns=600 * S)
    assert not world.flags(1) & Flag.FAULT
