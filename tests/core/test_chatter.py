"""Chatter is a fault and costs ten seconds: contacts, trends, days of it, slow sampling."""

from __future__ import annotations

import math
import random

import pytest
from core_world import World, of, plan_of
from test_kernel import Points, S

from agent.core import kernels as k
from config.kinds import resolve
from config.plan import PARAMS
from config.words import Flag, Mode

CONTACT = dict(zip(PARAMS, resolve("contact", "", "", ()).params, strict=True))
HEAT = dict(zip(PARAMS, resolve("heat", "A1", "°C", (("range_max", 200.0),)).params, strict=True))
FIRE = int(Flag.FIRE)


def test_days_of_a_bouncing_contact_are_one_alarm_and_one_fault() -> None:
    point = ("contact", 0, "contact", Mode.STATE, CONTACT)
    world = World(plan_of([point], zones=(), effects=(), stale_ns=300 * S))
    rng = random.Random(3)
    for minute in range(2 * 24 * 60):
        closed = minute % 90 < 60 and rng.random() < 0.5
        world.sample({0: FIRE if closed else 0}, step_ns=60 * S)
    mine = of(world.records, "point/101")
    assert sum(bool(r.body.get("number")) for r in mine) == 1
    assert sum("chatter" in r.body.get("detail", ()) for r in mine) == 1
    assert len(mine) <= 3


@pytest.mark.parametrize("flag", [Flag.SUPERVISORY, Flag.FAULT, Flag.PREALARM])
def test_what_only_warns_stays_while_the_contact_chatters(flag: Flag) -> None:
    p = Points(Mode.STATE, CONTACT)
    changes = 0
    was = 0
    for second in range(4000):
        bits = p.feed(float(flag) if second % 40 < 20 else 0.0)
        changes += bool((bits ^ was) & k.FLAG_MASK)
        was = bits
    assert was & k.CHATTER
    assert changes <= 9


def test_a_chattering_contact_costs_ten_unbroken_seconds() -> None:
    p = Points(Mode.STATE, CONTACT)
    for second in range(40):
        p.feed(FIRE if second % 2 else 0)
    for _ in range(15):
        bits = p.feed(0)
    assert bits & k.CHATTER
    assert not bits & k.FIRE
    assert bits & k.BELOW_CLEAR
    onset = next(s for s in range(30) if p.feed(FIRE) & k.FIRE)
    assert onset == 10


def test_a_manual_call_point_never_waits_even_when_it_chatters() -> None:
    p = Points(Mode.STATE, {**CONTACT, "chatter_hold_s": 0.0})
    for second in range(40):
        p.feed(0 if second % 2 else FIRE)
    assert p.feed(0) & k.CHATTER
    assert p.feed(int(Flag.FIRE | Flag.MANUAL)) & k.FIRE


def chattering() -> Points:
    """A heat point that has crossed 57 °C for an hour and is now at rest at 20 °C."""
    p = Points(Mode.ANALOGUE, HEAT)
    for second in range(900):
        p.feed(60.0 if second % 20 in (3, 4, 5) else 20.0)
    assert p.words[0, k.BITS] & k.CHATTER
    for _ in range(300):
        p.feed(20.0)
    return p


def test_a_trend_of_a_chattering_point_comes_ten_seconds_later_at_most() -> None:
    calm = Points(Mode.ANALOGUE, HEAT)
    for _ in range(1200):
        calm.feed(20.0)
    late = chattering()
    first: dict[str, int] = {}
    for second in range(200):
        value = 20 + 0.4 * second
        for name, p in (("calm", calm), ("late", late)):
            if p.feed(value) & k.TREND:
                first.setdefault(name, second)
    assert 0 <= first["late"] - first["calm"] <= 11


def test_chatter_alone_makes_no_trend_and_no_storm() -> None:
    p = Points(Mode.ANALOGUE, HEAT)
    rng = random.Random(9)
    was = trends = reports = 0
    for second in range(8000):
        hot = second % 300 < 90 and rng.random() < 0.4
        bits = p.feed(rng.uniform(57, 70) if hot else 50 + rng.uniform(-1, 1))
        trends += bool(bits & ~was & k.TREND)
        reports += bool((bits ^ was) & (k.TREND | k.PREALARM | k.CHATTER))
        was = bits
    assert was & k.CHATTER
    assert trends == 0
    assert reports <= 12


def test_chatter_is_seen_when_sampling_is_slower_than_its_memory() -> None:
    p = Points(Mode.ANALOGUE, {**HEAT, "trend_tau_s": math.nan})
    for n in range(40):
        bits = p.feed(60.0 if n % 4 < 2 else 20.0, dt_ns=2 * 3600 * S)
    assert bits & k.CHATTER


def test_one_sample_over_the_fire_level_and_then_nothing_readable_is_lost_in_alarm() -> None:
    heat = ("heat", 0, "heat", Mode.ANALOGUE, HEAT)
    world = World(plan_of([heat], zones=(), effects=()))
    world.sample({0: 20.0}, 5)
    world.sample({0: 150.0})
    world.sample({0: 900.0}, 20)
    assert world.flags(0) & (Flag.FIRE | Flag.PREALARM | Flag.FAULT) == Flag.PREALARM | Flag.FAULT
    world.sample({0: 20.0}, 5)
    assert world.flags(0) & Flag.PREALARM, "until a reset"


def test_a_spike_before_a_calm_sample_leaves_only_the_fault() -> None:
    heat = ("heat", 0, "heat", Mode.ANALOGUE, HEAT)
    world = World(plan_of([heat], zones=(), effects=()))
    world.sample({0: 20.0}, 5)
    world.sample({0: 150.0})
    world.sample({0: 20.0})
    world.sample({0: 900.0}, 20)
    assert world.flags(0) & (Flag.FIRE | Flag.PREALARM | Flag.FAULT) == Flag.FAULT


@pytest.mark.parametrize("gap_s", [60, 3600, 86_400, 30 * 86_400])
def test_after_a_long_gap_two_valid_samples_are_a_fire(gap_s: int) -> None:
    p = Points(Mode.ANALOGUE, HEAT)
    for _ in range(30):
        p.feed(20.0)
    assert not p.feed(150.0, dt_ns=gap_s * S) & k.FIRE
    assert p.feed(150.0) & k.FIRE
