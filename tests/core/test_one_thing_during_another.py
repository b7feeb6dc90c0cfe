"""What happens while something else runs: an expiry in an alarm, a clock that goes, a restart."""

from __future__ import annotations

from dataclasses import replace

import pytest
from core_world import (
    BOOT,
    CONTACT,
    FIRE,
    PANEL1,
    TEST,
    A,
    B,
    C,
    World,
    normal,
    of,
    plan_of,
)
from test_disablement import crash, power_cut
from test_investigation import ALWAYS, DELAY, T1, T2, burning, held
from test_investigation import world as by_day
from test_matrix_general import ALL, cn
from test_walk_test import begun, hold, said

from agent.core import view
from agent.core.delay import Phase as Waiting
from agent.core.types import ClockState, Command, Verb
from agent.core.walktest import Phase as Walking
from config.limits import RESOUND_NS, WALK_OUTLAST_NS, WALK_RESET_NS, S
from config.plan import DayHours, Effect
from config.words import Flag, Lane
from drivers.reading import PanelEvent, PanelKind

BURNS = {**normal(), CONTACT: FIRE}
OTHER_BOOT = b"another boot id."


def restarted(w: World, how: str) -> World:
    """The same gateway after nothing, a crash, or a power cut of a second; its clock goes on."""
    if how == "runs on":
        return w
    if how == "power cut":
        return power_cut(w)
    after = World(w.plan, start_ns=w.ns + S, held=frozenset(w.on))
    after.on, after.saved, after.wall0 = dict(w.on), w.saved, w.wall0
    after.run(recalled=w.saved or b"")
    return after


def again(w: World, how: str) -> World:
    """The same, and read."""
    after = restarted(w, how)
    after.sample(BURNS, 2)
    return after


RESTARTS = pytest.mark.parametrize("how", ["runs on", "crash", "power cut"])

# --- an investigation, and ... ----------------------------------------------------------------


def test_one_healthy_detector_of_two_is_looked_for_and_then_counts_alone() -> None:
    w = by_day()
    values = {k: v for k, v in normal().items() if k != B}
    w.sample(values, 8)
    w.sample({**values, C: 80.0}, 3)
    assert held(w, C, 1)
    assert w.zone(1) & FIRE, "k is 1 of the one that is left"
    assert w.on == {}
    w.sample({**values, C: 80.0}, T1)
    assert w.state.delay.phase is Waiting.NONE
    assert w.on == {1: "evacuate"}


def test_a_second_detector_that_is_lost_during_it_ends_nothing_and_hides_nothing() -> None:
    w = by_day()
    w.sample({**normal(), C: 80.0}, 3)
    assert held(w, C, 1)
    assert not w.zone(1) & FIRE, "a first knock"
    values = {k: v for k, v in normal().items() if k != B}
    w.sample({**values, C: 80.0}, 8)
    assert w.zone(1) & FIRE
    assert w.zone(1) & DELAY
    assert w.on == {}
    w.sample({**values, C: 80.0}, T1)
    assert w.on == {1: "evacuate"}


@RESTARTS
def test_a_first_knock_that_nobody_ended_in_time_is_a_fire_of_its_zone(how: str) -> None:
    w = by_day()
    burns = {**normal(), C: 80.0}
    w.sample(burns, 3)
    assert held(w, C, 1)
    w.sample(burns, T1 + 1)
    assert w.on == {1: "evacuate"}
    assert w.zone(1) & FIRE
    w = restarted(w, how)
    w.sample(burns, 3)
    assert w.on == {1: "evacuate"}
    w.order(Verb.RESET)
    assert w.on == {1: "evacuate"}, "it still burns"


def test_cn_a_fire_whose_time_is_over_is_confirmed_after_a_restart_too() -> None:
    plan = by_day().plan
    w = World(replace(plan, effects=(Effect("zone", 2, FIRE, (1,), region="cn"),)))
    w.quiet()
    w.sample(BURNS, T1 + 2)
    assert view.status(w.state, w.now())["effects"]["general"] == "time"
    w = crash(w)
    w.sample(BURNS, 2)
    w.order(Verb.RESET)
    assert w.on == {1: "evacuate"}, "a reset that clears nothing ends nothing"


@pytest.mark.parametrize("seen", [Verb.SILENCE, Verb.ACKNOWLEDGE])
def test_a_fire_that_comes_back_sounds_and_is_not_looked_for_again(seen: Verb) -> None:
    w = burning(by_day())
    w.sample(BURNS, T1)
    assert w.on == {1: "pulse"}
    w.order(seen)
    w.sample(normal(), RESOUND_NS // S + 1)
    out = w.sample(BURNS, 1)
    assert of(out, "point/109")[0].body["number"] == 2
    assert w.state.delay.phase is Waiting.NONE
    assert w.on == {1: "pulse"}


@pytest.mark.parametrize("verb", [Verb.MANUAL, Verb.EVACUATE])
def test_the_next_fire_waits_for_nobody_until_the_general_alarm_is_reset(verb: Verb) -> None:
    w = by_day()
    w.order(verb)
    w.order(Verb.SILENCE)
    assert w.on == {}
    burning(w)
    assert w.state.delay.phase is Waiting.NONE
    assert w.on == {0: "evacuate", 1: "evacuate"}, "a silence ends with the next alarm"
    w.sample(normal(), 2)
    w.order(Verb.RESET)
    assert w.on == {}
    burning(w)
    assert held(w), "all was clear: this is a first fire again"


def test_a_disablement_of_its_point_leaves_it_and_its_time() -> None:
    w = burning(by_day())
    w.order(Verb.DISABLE, target="point/contact", duration_ns=20 * S)
    w.sample(BURNS, 30)
    assert w.flags(CONTACT) & FIRE
    assert held(w)
    assert w.state.alarms.count == 1
    w.sample(BURNS, T1 - 25)
    assert w.on == {1: "pulse"}


@pytest.mark.parametrize("phase", [Waiting.UNSEEN, Waiting.SOUGHT])
@RESTARTS
def test_night_comes_while_it_runs(phase: Waiting, how: str) -> None:
    w = by_day((DayHours(127, 8 * 60, 18 * 60),))
    midnight = (w.wall0 + w.ns) // (86_400 * S) * 86_400 * S
    w.wall0 = midnight + (18 * 3_600 - 20) * S - w.ns
    burning(w)
    if phase is Waiting.SOUGHT:
        w.order(Verb.ACKNOWLEDGE)
    assert w.state.delay.phase is phase
    w = restarted(w, how)
    w.sample(BURNS, 10)
    assert w.state.delay.phase is phase
    w.sample(BURNS, 15)
    assert w.state.delay.phase is Waiting.NONE
    assert w.on == {1: "pulse"}


def test_day_that_comes_makes_no_fire_wait() -> None:
    w = by_day(())
    burning(w)
    assert w.on == {1: "pulse"}
    w.state.site = replace(w.state.site, plan=replace(w.plan, day=(ALWAYS,)))
    w.sample(BURNS, 2)
    assert w.on == {1: "pulse"}


@pytest.mark.parametrize("phase", [Waiting.UNSEEN, Waiting.SOUGHT])
def test_a_clock_that_is_lost_ends_it_and_one_that_comes_back_starts_none(phase: Waiting) -> None:
    w = burning(by_day())
    if phase is Waiting.SOUGHT:
        w.order(Verb.ACKNOWLEDGE)
    w.clock = ClockState.UNSET
    w.tick()
    assert w.on == {1: "pulse"}
    w.clock = ClockState.SYNCHRONISED
    w.sample(BURNS, 2)
    assert w.state.delay.phase is Waiting.NONE
    assert w.on == {1: "pulse"}


@pytest.mark.parametrize("phase", [Waiting.UNSEEN, Waiting.SOUGHT])
def test_a_clock_set_back_before_a_power_cut_gives_no_more_than_the_site_allows(
    phase: Waiting,
) -> None:
    w = burning(by_day())
    if phase is Waiting.SOUGHT:
        w.order(Verb.ACKNOWLEDGE)
    before = World(w.plan, boot=OTHER_BOOT, start_ns=w.ns + S)
    before.wall0 = w.wall0 - T2 * S
    before.run(recalled=w.saved or b"")
    before.sample(BURNS, 1)
    assert before.state.delay.phase is Waiting.NONE
    assert before.on == {1: "pulse"}


def late(w: World, boot: bytes = BOOT) -> World:
    """A restart after which the point is read before the record tells what stood."""
    after = World(w.plan, boot=boot, start_ns=w.ns + S)
    after.sample(BURNS, 5)
    after.run(recalled=w.saved or b"")
    return after


@pytest.mark.parametrize("boot", [BOOT, OTHER_BOOT])
def test_restarts_give_no_time_anew(boot: bytes) -> None:
    w = burning(by_day())
    w.sample(BURNS, 20)
    left_s = view.status(w.state, w.now())["delay"]["left_s"]
    after = late(w, boot)
    assert view.status(after.state, after.now())["delay"]["left_s"] == left_s - 6
    assert held(after)
    w.order(Verb.ACKNOWLEDGE)
    after = late(w, boot)
    assert after.state.delay.phase is Waiting.SOUGHT


@pytest.mark.parametrize("boot", [BOOT, OTHER_BOOT])
def test_a_fire_whose_time_was_over_does_not_wait_after_a_restart(boot: bytes) -> None:
    w = burning(by_day())
    w.sample(BURNS, T1)
    assert w.on == {1: "pulse"}
    after = late(w, boot)
    assert after.state.delay.phase is Waiting.NONE
    assert after.on == {1: "pulse"}


def test_a_restart_before_any_fire_leaves_a_first_fire_its_time() -> None:
    after = late(by_day())
    assert held(after)
    assert after.state.delay.phase is Waiting.UNSEEN


# --- a disablement that ends in an alarm ------------------------------------------------------


@pytest.mark.parametrize("target", ["point/contact", "zone/contacts", "output/stair_b"])
@RESTARTS
def test_a_disablement_that_expires_in_an_alarm_sounds_it_at_once(target: str, how: str) -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target=target, duration_ns=60 * S)
    w.sample(BURNS, 20)
    assert w.on == {}
    w = again(w, how)
    assert w.on == {}
    w.sample(BURNS, 40)
    assert w.on == {1: "pulse"}
    assert w.state.alarms.count == 1
    (ends,) = [r for r in w.records if r.what == "disablement" and r.body["event"] == "ends"]
    assert ends.body["how"] == "expired"
    assert [r.lane for r in of(w.records, "point/109")].count(Lane.FIRE) >= 1


@pytest.mark.parametrize("target", ["point/contact", "output/stair_b"])
def test_its_time_is_not_the_clocks(target: str) -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target=target, duration_ns=60 * S)
    w.clock = ClockState.UNSET
    w.sample(BURNS, 20)
    w.wall0 += 10**9 * S
    w.clock = ClockState.SYNCHRONISED
    w.sample(BURNS, 20)
    assert w.on == {}
    w.sample(BURNS, 25)
    assert w.on == {1: "pulse"}


# --- a walk test, and ... -----------------------------------------------------------------------


@pytest.mark.parametrize("how", ["runs on", "crash"])
@pytest.mark.parametrize("outlasts", [False, True])
def test_a_test_whose_time_ends_while_a_point_is_in_test_alarm(how: str, outlasts: bool) -> None:
    w = begun(duration_ns=60 * S)
    w.sample(normal(), 55)
    hold(w, 6)
    assert w.state.walk.phase is Walking.ENDING
    assert w.flags(CONTACT) & TEST
    w = again(w, how)
    assert (w.on, w.state.alarms.count) == ({}, 0)
    if not outlasts:
        w.sample(normal(), WALK_RESET_NS // S + 1)
        assert (w.flags(CONTACT), w.on, w.state.alarms.count) == (0, {}, 0)
        return
    hold(w, (WALK_RESET_NS + WALK_OUTLAST_NS) // S)
    assert w.on == {1: "pulse"}


def test_a_test_that_ended_by_a_power_cut_lets_its_alarm_count() -> None:
    w = begun(duration_ns=60 * S)
    w.sample(normal(), 55)
    hold(w, 6)
    w = again(w, "power cut")
    assert w.on == {1: "pulse"}


@pytest.mark.parametrize("by", ["order", "time"])
def test_a_point_that_is_enabled_in_alarm_during_a_test_is_a_test_alarm(by: str) -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="point/contact", duration_ns=60 * S)
    w.sample(BURNS, 2)
    w.order(Verb.TEST, target="zone/contacts")
    if by == "order":
        w.order(Verb.ENABLE, target="point/contact")
    w.sample(BURNS, 61)
    assert list(w.state.walk.tested) == [CONTACT]
    assert w.on == {}
    out = w.sample(BURNS, (WALK_RESET_NS + WALK_OUTLAST_NS) // S)
    assert "ends" in said(out)
    assert w.on == {1: "pulse"}, "and real when it outlasts its reset"


# --- the first alarm ------------------------------------------------------------------------------


def test_a_reset_and_a_new_fire_in_one_cycle_make_a_new_first_alarm() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 70.0}, 3)
    w.quiet(6)
    w.ns += S
    w.run(commands=(Command(Verb.RESET, "eve", "test"),), blocks=tuple(w.block(BURNS)))
    assert w.state.alarms.first is not None
    assert w.state.alarms.first.name == "contact"


def test_a_panel_that_is_reset_and_tells_the_next_fire_in_one_cycle() -> None:
    w = World()
    w.quiet()
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "1", ""),))
    clears = PanelEvent(1, w.ns, Flag.FIRE, "", "", kind=PanelKind.CLEAR_ALL)
    w.run(panel_events=(clears, PanelEvent(1, w.ns, Flag.FIRE, "2", "")))
    assert w.state.alarms.first is not None
    assert w.state.alarms.first.name == "panel 2"
    w.sample({**normal(), PANEL1: FIRE}, 1)
    assert w.state.alarms.first.name == "panel 2", "and it stays in front"


def test_cn_all_of_it_by_night() -> None:
    """The same plan without an investigation: one warns, two are the general alarm."""
    w = cn()
    w.sample({**normal(), A: 70.0}, 3)
    assert w.on == {0: "alert"}
    w.sample({**normal(), A: 70.0, CONTACT: FIRE}, 2)
    assert w.on == ALL
    assert w.plan.zones == plan_of().zones
