"""k of n, coincidence lost, agreement of trends, lost in alarm."""

from __future__ import annotations

import pytest
from core_world import (
    BUTTON,
    FAULT,
    FIRE,
    HEAT,
    LEVELS_ONLY,
    POINTS,
    PRE,
    A,
    B,
    C,
    World,
    normal,
    of,
    plan_of,
)

from config.limits import S
from config.plan import Effect, Zone
from config.words import Flag, Lane, Mode, Quality

TWO = 1  # the zone that needs two of B and C


def test_the_first_knock_is_a_prealarm_the_second_is_fire() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), C: 60.0}, 2)
    assert w.zone(TWO) == PRE
    assert 1 not in w.on
    out = w.sample({**normal(), C: 60.0, B: 60.0}, 2)
    assert w.zone(TWO) & FIRE
    assert w.on[1] == "evacuate"
    record = of(out, "zone/two")[-1]
    assert record.lane is Lane.FIRE
    assert (record.body["votes"], record.body["needed"], record.body["healthy"]) == (2, 2, 2)


def test_with_one_healthy_detector_left_a_single_knock_counts_and_that_is_a_fault() -> None:
    w = World()
    w.quiet()
    out = w.sample({**normal(), B: float("nan")}, 3)
    lost = of(out, "zone/two/coincidence")
    assert [r.body["fault"] for r in lost] == [True]
    assert "coincidence lost" in lost[0].body["text"]
    assert w.zone(TWO) == FAULT
    w.sample({**normal(), B: float("nan"), C: 60.0}, 2)
    assert w.zone(TWO) & FIRE
    out = w.sample({**normal(), C: 60.0}, 4)
    assert [r.body["fault"] for r in of(out, "zone/two/coincidence")] == [False]
    assert w.zone(TWO) & FIRE, "a healthy neighbour does not take the fire back"


def test_detectors_that_are_not_ready_yet_do_not_weaken_coincidence() -> None:
    w = World()
    w.sample({C: 60.0}, 2)  # B was never read
    assert w.flags(C) & FIRE
    assert not w.zone(TWO) & FIRE


def test_a_zone_fire_ends_with_the_last_fire_of_its_points_only() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), C: 60.0, B: 60.0}, 2)
    w.sample({**normal(), C: 60.0}, 3)
    w.order_reset()
    assert not w.flags(B) & FIRE
    assert w.zone(TWO) & FIRE
    w.quiet()
    w.order_reset()
    assert w.zone(TWO) == 0


def test_a_manual_call_point_never_waits_for_a_second() -> None:
    w = World(plan_of(zones=(Zone("z", (BUTTON, A), 2),), effects=(Effect("zone", 0, FIRE, (0,)),)))
    w.quiet()
    w.sample({**normal(), BUTTON: FIRE | Flag.MANUAL}, 1)
    assert w.zone(0) & FIRE
    assert 0 in w.on


def warm(w: World, *points: int, seconds: int = 60, per_s: float = 0.4) -> None:
    """These points rise from 20 degrees at 24 K/min, until they have a trend below 47 degrees."""
    for second in range(1, seconds + 1):
        w.sample({**normal(), **dict.fromkeys(points, 20.0 + per_s * second)})
        if all(w.flags(k) & (PRE | FIRE) for k in points):
            return
    raise AssertionError("no trend")


def test_one_trend_is_a_prealarm_and_sounds_no_evacuation() -> None:
    w = World()
    w.quiet(30)
    warm(w, A)
    assert w.flags(A) == PRE
    assert w.state.image.value[A] < HEAT["prealarm_level"]
    assert w.on == {1: "alert"}


def test_two_trends_in_one_zone_are_fire() -> None:
    w = World()
    w.quiet(30)
    warm(w, A, B)
    assert w.flags(A) & FIRE
    assert w.flags(B) & FIRE
    assert of(w.records, "point/101")[-1].body["why"] == "agreed"
    assert w.on[0] == "evacuate"
    w.quiet(60)
    assert w.flags(A) == FIRE, "it latches like any fire"
    w.order_reset()
    assert w.flags(A) == 0


def test_trends_in_different_zones_do_not_agree() -> None:
    w = World()
    w.quiet(30)
    warm(w, A, C)
    assert w.flags(A) == PRE
    assert w.flags(C) == PRE


@pytest.mark.parametrize("lost_by", ["bad", "stale"])
def test_a_point_lost_while_rising_keeps_its_prealarm_and_is_a_fault(lost_by: str) -> None:
    w = World()
    w.quiet(30)
    warm(w, A)
    rest = {k: v for k, v in normal().items() if k != A}
    for _ in range(5):
        w.sample(rest if lost_by == "stale" else {**rest, A: float("nan")})
    assert w.flags(A) == PRE | FAULT
    w.quiet(60)
    assert w.flags(A) == PRE, "latched until reset"
    w.order_reset()
    assert w.flags(A) == 0


def test_lost_while_rising_is_fire_when_a_neighbour_rises() -> None:
    w = World()
    w.quiet(30)
    warm(w, A)
    value = 20.0
    for _ in range(60):
        value += 0.4
        w.sample({**normal(), A: float("nan"), B: value})
        if w.flags(A) & FIRE:
            break
    assert w.flags(A) & FIRE
    assert w.flags(B) & FIRE
    assert value < HEAT["prealarm_level"]


def test_lost_while_rising_is_fire_when_a_neighbour_is_lost_with_it() -> None:
    w = World()
    w.quiet(30)
    warm(w, A)
    rest = {k: v for k, v in normal().items() if k not in (A, B)}
    out = w.sample(rest, 6)
    assert w.flags(A) & FIRE
    assert any(r.body.get("why") == "lost in alarm" for r in of(out, "point/101"))
    assert not w.flags(B) & FIRE


def test_a_neighbour_that_was_dead_long_before_confirms_nothing() -> None:
    w = World()
    w.quiet(3)
    rest = {k: v for k, v in normal().items() if k != B}
    w.sample(rest, 200)
    for second in range(1, 60):
        w.sample({**rest, A: 20.0 + 0.4 * second})
        if w.flags(A):
            break
    del rest[A]
    w.sample(rest, 6)
    assert w.flags(A) == PRE | FAULT


def test_silence_of_everything_without_a_rise_is_no_fire() -> None:
    w = World()
    w.quiet(30)
    w.tick(30)
    assert not (w.state.alarms.flags & FIRE).any()
    assert w.on == {}


def test_recovery_after_bad_samples_makes_no_trend() -> None:
    w = World()
    w.quiet(30)
    w.sample({A: 20.0}, 30, quality=Quality.BAD, step_ns=S)
    w.quiet(30)
    assert w.flags(A) == 0


def test_telemetry_points_are_no_members_that_vote() -> None:
    points = [("t", 0, "voltage", Mode.TELEMETRY, {}), ("h", 0, "heat", Mode.ANALOGUE, HEAT)]
    w = World(plan_of(points, zones=(Zone("z", (0, 1), 2),), effects=()))
    w.sample({0: 1.0, 1: 60.0}, 3)
    assert w.state.zones.healthy.tolist() == [1]
    assert w.zone(0) & FIRE, "one detector can never be two: it counts alone"


def test_a_point_lost_in_pre_alarm_is_fire_when_its_neighbour_is_hot_without_a_trend() -> None:
    world = World(plan_of(points=[(*p[:4], LEVELS_ONLY) if p[2] == "heat" else p for p in POINTS]))
    world.quiet()
    world.sample({**normal(), A: 49.0, B: 49.0}, 4)
    assert not world.flags(B) & FIRE
    world.sample({**normal(), A: 49.0, B: 49.0}, 3, quality={B: Quality.BAD})
    assert world.flags(B) & FIRE
    assert world.zone(0) & FIRE


SENSES = [
    ("heat", 0, "heat", Mode.ANALOGUE, HEAT),
    ("smoke", 0, "smoke", Mode.ANALOGUE, {"prealarm_level": 2.0, "fire_level": 50.0}),
    ("co", 0, "co", Mode.ANALOGUE, {"prealarm_level": 30.0, "fire_level": 500.0}),
    ("leak", 0, "residual_current", Mode.ANALOGUE, {"prealarm_level": 300.0}),
    ("air", 0, "temperature", Mode.ANALOGUE, {"prealarm_level": 45.0, "high_level": 40.0}),
]


@pytest.mark.parametrize(
    ("values", "fire"),
    [
        ({0: 20.0, 1: 3.0, 2: 40.0, 3: 0.0}, True),  # smoke with CO
        ({0: 50.0, 1: 0.0, 2: 40.0, 3: 0.0}, True),  # temperature with CO
        ({0: 20.0, 1: 3.0, 2: 0.0, 3: 400.0}, False),  # leakage is no second look at a fire
        ({0: 20.0, 1: 0.0, 2: 40.0, 3: 0.0}, False),
        ({0: 20.0, 1: 0.0, 2: 40.0, 3: 0.0, 4: 46.0}, True),  # any temperature with CO
        ({0: 20.0, 1: 0.0, 2: 40.0, 3: 0.0, 4: 42.0}, False),  # too warm is no sign of a fire
    ],
)
def test_two_quantities_that_agree_are_fire(values: dict[int, float], fire: bool) -> None:
    w = World(plan_of(SENSES, zones=(Zone("z", (0, 1, 2, 3, 4)),), effects=()))
    w.sample({0: 20.0, 1: 0.0, 2: 0.0, 3: 0.0, 4: 20.0}, 5)
    w.sample({4: 20.0, **values}, 3)
    assert bool(w.zone(0) & FIRE) == fire
    assert w.zone(0) & PRE or fire


def test_a_first_knock_that_outlasts_the_window_is_fire() -> None:
    zone = Zone("z", (B, C), 2, window_ns=30 * S)
    w = World(plan_of(zones=(zone,), effects=(Effect("zone", 0, FIRE, (0,)),)))
    w.quiet()
    w.sample({**normal(), C: 60.0}, 30)
    assert w.zone(0) == PRE
    w.sample({**normal(), C: 60.0}, 3)
    assert w.zone(0) & FIRE
    assert 0 in w.on


def test_a_first_knock_that_goes_again_is_no_fire() -> None:
    w = World(plan_of(zones=(Zone("z", (B, C), 2, window_ns=30 * S),), effects=()))
    w.quiet()
    w.sample({**normal(), C: 60.0}, 10)
    w.quiet(60)
    assert w.zone(0) == PRE


def test_a_trend_alone_is_fire_where_the_site_says_so_and_tells_when() -> None:
    w = World(plan_of(zones=(Zone("z", (A,), trend_fire=True),), effects=()))
    w.quiet(30)
    warm(w, A)
    assert w.zone(0) & FIRE
    body = of(w.records, "point/101")[-1].body
    assert body["why"] == "trend"
    level, seconds = body["forecast"]
    assert level == 57.0
    assert 10 < seconds < 200
    assert "trend" in body["detail"]
