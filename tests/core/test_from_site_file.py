"""From the words of a site file to what the core does with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from core_world import FIRE, World, of

from agent.compile import check_file
from agent.core.types import ClockState, Verb
from config.limits import S
from config.plan import DayHours, WalkGroup, Zone, decode_plan, encode_plan

SITE = Path(__file__).parents[1] / "sites" / "good_hours" / "site.yaml"
HALL, OFFICE = 0, 1
MONDAY_NOON_NS = (1_767_571_200 + 12 * 3_600) * S


@pytest.fixture
def world() -> World:
    plan = check_file(SITE).plan
    assert plan is not None
    w = World(decode_plan(encode_plan(plan)), start_ns=0)
    w.wall0 = MONDAY_NOON_NS
    w.clock = ClockState.HOLDOVER
    w.sample({HALL: 20.0, OFFICE: 20.0}, 3)
    return w


def test_the_plan_says_what_the_file_says(world: World) -> None:
    plan = world.plan
    assert plan.day == (DayHours(0b11111, 480, 1080), DayHours(127, 1320, 360))
    assert plan.test_groups == (WalkGroup("ground", (0, 1)),)
    assert plan.zones[0] == Zone("hall", (HALL,), 1, acknowledge_ns=60 * S, investigate_ns=300 * S)
    assert plan.zones[1].acknowledge_ns == 0


def test_a_fire_in_the_hall_is_investigated_by_day_and_one_in_the_office_is_not(
    world: World,
) -> None:
    out = world.sample({HALL: 80.0, OFFICE: 20.0}, 3)
    assert of(out, "delay")[0].body["left_s"] == 60
    out = world.order(Verb.ACKNOWLEDGE)
    assert of(out, "delay")[0].body["left_s"] == 300
    out = world.sample({HALL: 80.0, OFFICE: 80.0}, 3)
    assert of(out, "delay")[0].body["event"] == "alarm"


def test_the_group_is_tested_as_a_whole(world: World) -> None:
    world.order(Verb.TEST, target="group/ground")
    world.sample({HALL: 80.0, OFFICE: 20.0}, 3)
    world.sample({HALL: 20.0, OFFICE: 80.0}, 3)
    ends = of(world.order(Verb.TEST), "test")[0].body
    assert ends["tested"] == ["rooms.hall", "rooms.office"]
    assert ends["untested"] == []
    assert world.on == {}


def test_a_disabled_zone_of_the_file(world: World) -> None:
    out = world.order(Verb.DISABLE, target="zone/office", why="hot work")
    assert of(out, "disablement/zone/office")[0].body["why"] == "hot work"
    world.sample({HALL: 20.0, OFFICE: 80.0}, 3)
    assert world.on == {}
    world.order(Verb.DISABLE, target="point/rooms.hall")
    assert world.records[-2].source == "disablement/point/1"
    assert world.flags(OFFICE) & FIRE
