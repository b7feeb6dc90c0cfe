"""The random walk: one digit at a time, seeded, everywhere at once."""

from __future__ import annotations

import math

import numpy as np
from simulated_site import Clock, P, make_plan

from drivers.simulator.building import Building, Options
from drivers.simulator.walk import WALK_SPAN

WALKERS = (
    P("panel.a", 3, 0, "int16", 0.1),
    P("panel.b", 3, 1, "uint16", 1.0, kind="other", unit=""),
    P("panel.c", 3, 2, "int32", 0.01),
    P("panel.d", 3, 4, "uint32_le", 0.5),
    P("panel.e", 3, 6, "float32_le", 0.1),
    P("panel.bit", 3, 8, "uint16", 1.0, bit=3, kind="contact", unit=""),
)


def walk(seed: int, steps: int) -> np.ndarray:
    clock = Clock()
    building = Building(make_plan(WALKERS), Options(walk=True, seed=seed), mono_ns=clock)
    rows = []
    for _ in range(steps):
        building.tick(clock())
        rows.append([building.value(i) for i in range(len(WALKERS))])
        clock.pass_s(1.0)
    return np.array(rows)


def test_every_number_moves_by_at_most_one_digit_and_does_move() -> None:
    rows = walk(seed=1, steps=300)
    steps = np.abs(np.diff(rows, axis=0))
    digits = np.array([0.1, 1.0, 0.01, 0.5, 0.1, 1.0])
    assert np.all(steps <= digits * 1.01)
    moved = np.mean(steps > digits * 0.9, axis=0)
    assert np.all((moved[:5] > 0.5) & (moved[:5] < 0.85))
    assert np.all(rows[:, 5] == rows[0, 5])
    assert np.all(np.abs(rows - rows[0]) <= (2 * WALK_SPAN + 1) * digits)


def test_the_seed_decides() -> None:
    assert np.array_equal(walk(7, 50), walk(7, 50))
    assert not np.array_equal(walk(7, 50), walk(8, 50))


def test_a_point_that_is_set_walks_from_there_and_a_dead_one_stands_still() -> None:
    clock = Clock()
    building = Building(make_plan(WALKERS), Options(walk=True), mono_ns=clock)
    building.set_point("panel.a", 61.5)
    building.set_point("panel.b", math.nan)
    building.set_point("panel.c", -5.0)
    for _ in range(20):
        clock.pass_s(1.0)
        building.tick(clock())
    assert abs(building.value("panel.a") - 61.5) <= 2.05
    assert building.value("panel.b") == 0xFFFF
    assert abs(building.value("panel.c") + 5.0) <= 0.205
    building.set_point("panel.b", 500)
    clock.pass_s(1.0)
    building.tick(clock())
    assert abs(building.value("panel.b") - 500) <= 1


def test_it_steps_at_its_own_interval() -> None:
    clock = Clock()
    options = Options(walk=True, walk_interval_ns=500_000_000)
    building = Building(make_plan(WALKERS), options, mono_ns=clock)
    before = building.registers.memory.copy()
    building.tick(clock())
    first = building.registers.memory.copy()
    assert not np.array_equal(before, first)
    clock.pass_s(0.4)
    building.tick(clock())
    assert np.array_equal(building.registers.memory, first)
    clock.pass_s(0.1)
    building.tick(clock())
    assert not np.array_equal(building.registers.memory, first)
