"""Where the parts meet: disablement and lamps, tests and the manual alarm, delays and regions."""

from __future__ import annotations

from dataclasses import replace

from core_world import A, World, normal, of, plan_of
from signal_world import BUZZER, LAMP, SIREN_A, TROUBLE, SignalWorld

from agent.core.types import Verb
from config.limits import S
from config.plan import DayHours, SelfTest

HOT = 70.0


def pattern(world: SignalWorld, output: int) -> str:
    """What an output of our own shows."""
    return world.state.signals.driven.commanded[output].pattern


def test_a_disabled_siren_lights_the_lamp_and_a_disabled_buzzer_is_off() -> None:
    w = SignalWorld()
    w.quiet()
    w.order(Verb.DISABLE, target="output/stair_a", why="repair")
    w.tick()
    assert pattern(w, LAMP["disabled"]) == "steady"
    w.order(Verb.DISABLE, target="output/buzzer", why="night")
    w.order(Verb.LAMP_TEST)
    w.tick()
    assert pattern(w, BUZZER) == ""
    assert pattern(w, LAMP["fire"]) == "steady"


def test_the_fault_output_cannot_be_disabled() -> None:
    w = SignalWorld()
    w.quiet()
    out = w.order(Verb.DISABLE, target="output/trouble", why="noise")
    assert "fault output" in of(out, "operator")[0].body["error"]
    assert TROUBLE not in w.state.effects.barred


def test_the_manual_alarm_can_be_classified_and_no_test_begins_while_it_stands() -> None:
    w = SignalWorld()
    w.quiet()
    w.order(Verb.MANUAL)
    out = w.order(Verb.TEST, target="zone/any")
    assert "a fire stands" in of(out, "operator")[0].body["error"]
    w.order(Verb.CLASSIFY, target="alarm/1", word="false", why="a child")
    assert w.state.alarms.last[-1].word == "false"


def test_the_week_of_the_audible_test_outlives_a_restart() -> None:
    test = SelfTest(0, 0, 8 * 60, 0, 3 * S)
    w = SignalWorld(test)
    w.quiet()
    w.state.signals.trials.audible_week = 2900
    w.state.alarms.unsaved = True
    w.tick()
    assert w.saved is not None
    again = SignalWorld(test)
    again.run(recalled=w.saved)
    assert again.state.signals.trials.audible_week == 2900


def waiting(region: str) -> World:
    """One zone that waits by day, all day long."""
    plan = plan_of()
    zones = tuple(replace(z, acknowledge_ns=60 * S, investigate_ns=60 * S) for z in plan.zones)
    effects = tuple(replace(e, region=region) for e in plan.effects)
    days = (DayHours(127, 0, 0),)
    w = World(replace(plan, zones=zones, effects=effects, day=days))
    w.quiet()
    return w


def test_in_cn_the_general_alarm_follows_when_nobody_looks_in_time() -> None:
    w = waiting("cn")
    w.sample({**normal(), A: HOT}, 3)
    assert w.state.delay.point == A
    assert w.state.effects.commanded[SIREN_A].pattern == "alert"
    w.sample({**normal(), A: HOT}, 62)
    assert w.state.effects.general == "time"
    assert w.state.effects.commanded[SIREN_A].pattern == "evacuate"


def test_who_orders_the_general_alarm_is_heard_without_any_row_of_fire() -> None:
    w = World(replace(plan_of(), effects=()))
    w.quiet()
    w.order(Verb.EVACUATE)
    assert w.state.effects.commanded[SIREN_A].pattern == "evacuate"
