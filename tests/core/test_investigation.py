"""Investigation delays: every row, day and night, and what never waits."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from core_world import (
    BUTTON,
    CONTACT,
    FIRE,
    PANEL1,
    A,
    B,
    World,
    normal,
    of,
    plan_of,
)
from test_disablement import crash, power_cut

from agent.core import delay, kernels, view
from agent.core.alarms import INVESTIGATED
from agent.core.delay import DELAY_TABLE, Act, Event, Phase
from agent.core.types import ClockState, Now, Verb
from config.limits import S
from config.plan import DayHours
from config.words import Flag, Lane

ALWAYS = DayHours(127, 0, 0)
T1, T2 = 60, 300
DELAY = int(Flag.DELAY)


def world(day: tuple[DayHours, ...] = (ALWAYS,)) -> World:
    plan = plan_of()
    zones = tuple(replace(z, acknowledge_ns=T1 * S, investigate_ns=T2 * S) for z in plan.zones)
    w = World(replace(plan, zones=zones, day=day))
    w.quiet()
    return w


def burning(w: World) -> World:
    w.sample({**normal(), CONTACT: FIRE}, 1)
    return w


def held(w: World, k: int = CONTACT, z: int = 2) -> bool:
    """Whether effects are told to wait; the point and its zone always agree."""
    bit = bool(w.state.alarms.effective[k] & INVESTIGATED)
    assert bit == bool(w.zone(z) & INVESTIGATED)
    assert bit == bool(w.flags(k) & DELAY) == bool(w.zone(z) & DELAY)
    return bit


def test_the_table_is_complete() -> None:
    assert set(DELAY_TABLE) == set(itertools.product(Phase, Event))


@pytest.mark.parametrize(("row", "outcome"), sorted(DELAY_TABLE.items()))
def test_each_row_in_a_running_gateway(
    row: tuple[Phase, Event], outcome: tuple[Phase, Act]
) -> None:
    phase, event = row
    w = world()
    fire = {**normal(), CONTACT: FIRE}
    if phase is not Phase.NONE:
        burning(w)
    if phase is Phase.SOUGHT:
        w.order(Verb.ACKNOWLEDGE)
    assert w.state.delay.phase is phase
    until_ns = w.state.delay.until_ns
    if event is Event.FIRST_FIRE:
        w.sample(fire, 2)
    elif event is Event.SEEN:
        w.order(Verb.ACKNOWLEDGE)
    elif event is Event.TIME:
        w.sample(fire if phase is not Phase.NONE else normal(), T2 if phase is Phase.SOUGHT else T1)
    elif event is Event.NO_WAIT:
        if phase is Phase.NONE:
            w.order(Verb.EVACUATE)
        else:
            w.sample({**fire, A: 80.0}, 3)
    elif event is Event.NIGHT:
        w.clock = ClockState.UNSET
        w.tick()
    else:
        w.sample(normal(), 1)
        w.order(Verb.RESET)
    assert w.state.delay.phase is outcome[0]
    if phase is not Phase.NONE or event is Event.FIRST_FIRE:
        assert held(w) == (outcome[0] is not Phase.NONE)
    if outcome[1] is Act.NONE and phase is not Phase.NONE:
        assert w.state.delay.until_ns == until_ns


def test_the_call_to_the_centre_does_not_wait() -> None:
    w = world()
    out = w.sample({**normal(), CONTACT: FIRE}, 1)
    assert of(out, "point/109")[0].lane is Lane.FIRE
    assert of(out, "zone/contacts")[0].lane is Lane.FIRE
    record = of(out, "delay")[0]
    assert record.body == {
        "event": "begins", "why": "first fire", "id": 109, "name": "contact", "left_s": T1,
    }  # fmt: skip
    assert all(r.body["to"] < 1 << 16 for r in out if "to" in r.body), "inner bits never leave"
    assert view.status(w.state, w.now())["delay"] == {
        "name": "contact", "phase": "acknowledge", "left_s": T1,
    }  # fmt: skip


def test_both_times_are_counted_from_their_own_beginning() -> None:
    w = burning(world())
    fire = {**normal(), CONTACT: FIRE}
    w.sample(fire, T1 - 5)
    w.order(Verb.ACKNOWLEDGE)
    w.sample(fire, T2 - 5)
    assert held(w)
    w.sample(fire, 10)
    assert not held(w)


@pytest.mark.parametrize("what", ["button", "manual flag", "heavy"])
def test_what_never_waits(what: str) -> None:
    w = world()
    if what == "button":
        w.sample({**normal(), BUTTON: FIRE}, 1)
        assert not held(w, BUTTON)
    elif what == "manual flag":
        w.sample({**normal(), CONTACT: FIRE | int(Flag.MANUAL)}, 1)
        assert not held(w)
    else:
        w.sample({**normal(), A: 80.0}, 3)
        assert held(w, A, 0)
        w.state.image.words[A, kernels.BITS] |= kernels.HEAVY
        w.state.alarms.touched = True
        w.tick()
        assert not held(w, A, 0)


def test_a_panel_point_outside_of_zones_never_waits() -> None:
    w = world()
    w.sample({**normal(), PANEL1: FIRE}, 1)
    assert w.state.delay.phase is Phase.NONE


def test_a_point_waits_only_when_all_its_zones_do() -> None:
    w = world()
    zones = (*w.plan.zones[:1], replace(w.plan.zones[1], acknowledge_ns=0), w.plan.zones[2])
    w = World(replace(w.plan, zones=zones))
    w.quiet()
    w.sample({**normal(), B: 80.0}, 3)
    assert w.state.delay.phase is Phase.NONE


@pytest.mark.parametrize("verb", [Verb.EVACUATE, Verb.MANUAL])
def test_a_person_ends_it(verb: Verb) -> None:
    w = burning(world())
    w.order(verb)
    assert not held(w)


def test_two_at_once_do_not_wait_and_a_second_one_later_ends_it() -> None:
    w = world()
    w.sample({**normal(), CONTACT: FIRE, PANEL1: FIRE}, 1)
    assert w.state.delay.phase is Phase.NONE
    w = burning(world())
    assert held(w)
    w.sample({**normal(), CONTACT: FIRE, PANEL1: FIRE}, 1)
    assert not held(w)


def now_at(iso_minute: int, *, offset_s: int = 0, clock: ClockState = ClockState.HOLDOVER) -> Now:
    """iso_minute: since Monday 2026-01-05 00:00 UTC."""
    return Now(1, (1_767_571_200 + 60 * iso_minute) * S, clock, offset_s)


@pytest.mark.parametrize(
    ("minute", "offset_s", "day"),
    [
        (8 * 60 - 1, 0, False),
        (8 * 60, 0, True),  # Monday
        (18 * 60 - 1, 0, True),
        (18 * 60, 0, False),
        (0, 8 * 3600, True),  # 08:00 in Tianjin
        (5 * 1440 + 9 * 60, 0, False),  # Saturday
        (4 * 1440 + 9 * 60, 0, True),  # Friday
        (5 * 1440 + 5 * 60, -9 * 3600, False),  # still Friday there, 20:00
    ],
)
def test_the_hours_of_the_day(minute: int, offset_s: int, day: bool) -> None:
    plan = replace(plan_of(), day=(DayHours(0b11111, 8 * 60, 18 * 60),))
    assert delay.is_day(plan, now_at(minute, offset_s=offset_s)) is day


@pytest.mark.parametrize(
    ("minute", "day"),
    [(21 * 60, False), (22 * 60, True), (1440 + 5 * 60, True), (1440 + 6 * 60, False),
     (1440 + 22 * 60, False), (5 * 60, False)],
)  # fmt: skip
def test_hours_over_midnight_belong_to_the_day_on_which_they_begin(minute: int, day: bool) -> None:
    plan = replace(plan_of(), day=(DayHours(1, 22 * 60, 6 * 60),))
    assert delay.is_day(plan, now_at(minute)) is day


def test_with_the_clock_unset_it_is_night() -> None:
    plan = replace(plan_of(), day=(ALWAYS,))
    assert delay.is_day(plan, now_at(0))
    assert not delay.is_day(plan, now_at(0, clock=ClockState.UNSET))
    assert not delay.is_day(plan_of(), now_at(0)), "a site without hours has no day"
    w = world()
    w.clock = ClockState.UNSET
    burning(w)
    assert w.state.delay.phase is Phase.NONE
    assert view.status(w.state, w.now())["mode"] == "night"


def test_it_goes_on_after_a_crash_and_a_power_cut_with_the_time_that_is_left() -> None:
    w = burning(world())
    w.sample({**normal(), CONTACT: FIRE}, 20)
    w = crash(w)
    w.sample({**normal(), CONTACT: FIRE}, 1)
    assert held(w)
    assert view.status(w.state, w.now())["delay"]["left_s"] == T1 - 22
    w = power_cut(w, later_ns=10 * S)
    w.sample({**normal(), CONTACT: FIRE}, 2)
    assert held(w)
    w.sample({**normal(), CONTACT: FIRE}, T1 - 34)
    assert not held(w)


@pytest.mark.parametrize("how", ["late", "unset"])
def test_a_delay_whose_time_is_over_or_unknown_is_over(how: str) -> None:
    w = burning(world())
    clock = ClockState.UNSET if how == "unset" else ClockState.SYNCHRONISED
    w = power_cut(w, clock=clock, later_ns=3_600 * S if how == "late" else S)
    assert not held(w)
    assert w.state.alarms.vote[CONTACT]
    assert 1 in w.on


@pytest.mark.parametrize("kept", [None, [], [109, 1, "x", 3], [1, 1, 1, 1], [109, 9, 10**15, 0]])
def test_a_damaged_delay_is_none(kept: object) -> None:
    w = world(())
    burning(w)
    delay.restore(w.state, kept, w.now(), same_boot=True)
    assert w.state.delay.phase is Phase.NONE
