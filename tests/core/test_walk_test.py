"""Walk tests: every row of both tables, what is no test, and what outlives a restart."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from core_world import (
    BUTTON,
    CONTACT,
    FIRE,
    PANEL1,
    TEST,
    A,
    B,
    World,
    normal,
    of,
    plan_of,
)
from test_disablement import crash, power_cut

from agent.core import kernels, view, walktest
from agent.core.alarms import TEST_ALARM
from agent.core.types import Record, Verb
from agent.core.walktest import (
    POINT_TABLE,
    WALK_TABLE,
    Act,
    Event,
    Phase,
    PointAct,
    PointEvent,
    PointPhase,
)
from config.limits import WALK_IDLE_NS, WALK_NS_MAX, WALK_OUTLAST_NS, WALK_RESET_NS, S
from config.plan import WalkGroup
from config.words import Flag, Lane
from drivers.reading import PanelEvent

RESET_S, OUTLAST_S = WALK_RESET_NS // S, WALK_OUTLAST_NS // S


def begun(target: str = "zone/contacts", **more: Any) -> World:
    w = World(replace(plan_of(), test_groups=(WalkGroup("ground", (0, 2)),)))
    w.quiet()
    out = w.order(Verb.TEST, target=target, **more)
    assert "error" not in out[0].body
    return w


def hold(w: World, seconds: int, **more: float) -> list[Record]:
    return w.sample({**normal(), CONTACT: FIRE}, seconds)


def said(records: list[Record]) -> list[str]:
    return [r.body["event"] for r in records if r.what == "test"]


def test_the_tables_are_complete() -> None:
    assert set(WALK_TABLE) == set(itertools.product(Phase, Event))
    assert set(POINT_TABLE) == set(itertools.product(PointPhase, PointEvent))


@pytest.mark.parametrize(("row", "outcome"), sorted(WALK_TABLE.items()))
def test_each_row_of_the_test_in_a_running_gateway(
    row: tuple[Phase, Event], outcome: tuple[Phase, Act]
) -> None:
    phase, event = row
    w = World()
    w.quiet()
    if phase is not Phase.NONE:
        w = begun()
    if phase is Phase.ENDING:
        hold(w, 2)
        w.order(Verb.TEST)
    assert w.state.walk.phase is phase
    before = len(w.records)
    if event is Event.START:
        w.order(Verb.TEST, target="zone/contacts")
    elif event is Event.STOP:
        w.order(Verb.TEST)
    elif event is Event.IDLE:
        w.ns += WALK_IDLE_NS if phase is not Phase.ENDING else S
        w.run()
    elif event is Event.REAL:
        w.sample({**normal(), BUTTON: FIRE | int(Flag.MANUAL)}, 1)
    elif event is Event.QUIET:
        w.sample(normal(), RESET_S + 1)
    else:
        w = power_cut(w)
        before = 0
    out = w.records[before:]
    # Without a detector in alarm the drain is over in the same cycle.
    drained = outcome[1] is Act.DRAIN
    assert w.state.walk.phase is (Phase.NONE if drained else outcome[0])
    ends = outcome[1] is Act.DRAIN or (outcome[1] is Act.RELEASE and phase is Phase.RUNNING)
    assert ("ends" in said(out)) == ends
    assert ("begins" in said(out)) == (outcome[1] is Act.BEGIN)
    assert bool(w.flags(CONTACT) & TEST) == (w.state.walk.phase is not Phase.NONE)


@pytest.mark.parametrize(("row", "outcome"), sorted(POINT_TABLE.items()))
def test_each_row_of_a_point_in_a_running_gateway(
    row: tuple[PointPhase, PointEvent], outcome: tuple[PointPhase, PointAct]
) -> None:
    phase, event = row
    w = begun()
    if phase is not PointPhase.WAITING:
        hold(w, 1)
    if phase is PointPhase.RESET:
        hold(w, RESET_S)
    alarm = w.state.walk.alarms.get(CONTACT)
    assert (alarm.phase if alarm is not None else PointPhase.WAITING) is phase
    tested = len(w.state.walk.tested)
    if event is PointEvent.RISES:
        hold(w, 1)
    elif event is PointEvent.GONE:
        w.sample(normal(), 1)
    elif event is PointEvent.RESET_TIME:
        if phase is PointPhase.WAITING:
            w.sample(normal(), RESET_S)
        else:
            hold(w, RESET_S - 1 if phase is PointPhase.RESET else RESET_S)
    elif event is PointEvent.OUTLASTS:
        if phase is PointPhase.WAITING:
            w.sample(normal(), RESET_S + OUTLAST_S)
        else:
            w.state.walk.alarms[CONTACT].phase = phase  # however late the reset was
            w.ns = w.state.walk.alarms[CONTACT].since_ns + WALK_RESET_NS + WALK_OUTLAST_NS - S
            hold(w, 1)
    elif phase is PointPhase.WAITING:
        w.sample({**normal(), CONTACT: FIRE | int(Flag.MANUAL)}, 1)
    else:
        w.sample({**normal(), CONTACT: FIRE | int(Flag.MANUAL)}, 1)
    if outcome[1] is PointAct.REAL:
        assert w.state.walk.phase is Phase.NONE
        assert w.state.alarms.vote[CONTACT]
        assert 1 in w.on
        return
    alarm = w.state.walk.alarms.get(CONTACT)
    assert (alarm.phase if alarm is not None else PointPhase.WAITING) is outcome[0]
    assert len(w.state.walk.tested) - tested == (outcome[1] is PointAct.TESTED)
    pulses = outcome[0] is PointPhase.ALARM
    assert bool(w.state.alarms.effective[CONTACT] & TEST_ALARM) == pulses
    assert bool(w.state.zones.flags[2] & TEST_ALARM) == pulses
    assert not w.state.alarms.vote.any()
    assert w.on == {}


def test_a_walk_from_start_to_end() -> None:
    w = begun("group/ground")
    (begins,) = [r for r in w.records if r.what == "test"]
    assert begins.body == {
        "event": "begins", "group": "group/ground", "who": "eve", "source": "test", "points": 3,
    }  # fmt: skip
    assert w.zone(0) & TEST
    out = w.sample({**normal(), A: 80.0}, 3)
    record = of(out, "point/101")[-1]
    assert record.lane is Lane.EVENT
    assert record.body["gated"] is True
    (tested,) = of(out, "test/point/101")
    assert (tested.body["name"], tested.body["tested"], tested.body["of"]) == ("heat_a", 1, 3)
    assert all(r.body["to"] < 1 << 16 for r in out if "to" in r.body), "inner bits never leave"
    assert w.on == {}
    w.sample(normal(), RESET_S + 2)
    row = view.status(w.state, w.now())["test"]
    assert (row["tested"], row["untested"], row["in_alarm"]) == (
        ["heat_a"], ["heat_b", "contact"], [],
    )  # fmt: skip
    out = w.order(Verb.TEST)
    ends = of(out, "test")[-1].body
    assert (ends["why"], ends["tested"], ends["untested"]) == (
        "ended by eve", ["heat_a"], ["heat_b", "contact"],
    )  # fmt: skip
    assert view.status(w.state, w.now())["test"] is None
    assert w.state.alarms.count == 0
    assert view.status(w.state, w.now())["flags"] == []


def test_the_last_detector_may_still_be_hot_when_the_test_ends() -> None:
    w = begun()
    hold(w, 2)
    w.order(Verb.TEST)
    assert w.on == {}
    assert w.flags(CONTACT) & TEST
    hold(w, 5)
    w.sample(normal(), RESET_S)
    assert w.flags(CONTACT) == 0
    assert w.state.alarms.count == 0


def test_what_outlasts_after_the_end_is_real_too() -> None:
    w = begun()
    hold(w, 2)
    w.order(Verb.TEST)
    hold(w, RESET_S + OUTLAST_S)
    assert w.state.alarms.vote[CONTACT]
    assert 1 in w.on


@pytest.mark.parametrize("what", ["outside", "button", "panel", "evacuate", "manual"])
def test_what_is_no_test_ends_it_and_counts(what: str) -> None:
    w = begun()
    before = len(w.records)
    if what == "outside":
        w.sample({**normal(), A: 80.0}, 3)
        assert w.state.alarms.vote[A]
    elif what == "button":
        w.sample({**normal(), BUTTON: FIRE}, 1)
        assert w.state.alarms.vote[BUTTON]
    elif what == "panel":
        w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "L1D9", "fire"),))
    else:
        w.order(Verb.EVACUATE if what == "evacuate" else Verb.MANUAL)
    assert w.state.walk.phase is Phase.NONE
    assert said(w.records[before:]) == ["ends"]
    hold(w, 1)
    assert w.state.alarms.vote[CONTACT], "no test any more"


def test_a_level_far_above_fire_is_real() -> None:
    w = begun("zone/any")
    w.sample({**normal(), A: 80.0}, 3)
    assert w.on == {}
    w.state.image.words[A, kernels.BITS] |= kernels.HEAVY
    w.tick()
    assert w.state.alarms.vote[A]
    assert 0 in w.on


def test_it_ends_when_nothing_happens_for_too_long() -> None:
    w = begun(duration_ns=WALK_NS_MAX)
    w.ns += WALK_IDLE_NS - 10 * S
    hold(w, 2)
    w.ns += WALK_IDLE_NS - 10 * S
    w.sample(normal(), 2)
    assert w.state.walk.phase is Phase.RUNNING, "a point was tested in between"
    w.ns += 10 * S
    out = w.sample(normal(), 1)
    assert of(out, "test")[0].body["why"] == "nothing happened for too long"


def test_it_ends_after_its_time() -> None:
    w = begun(duration_ns=60 * S)
    out = w.sample(normal(), 60)
    assert of(out, "test")[0].body["why"] == "its time is over"


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("zone/nowhere", "expected group/NAME"),
        ("point/contact", "expected group/NAME"),
        ("zone/buttons", "no point that can be tested"),
        ("zone/contacts", "one fire stands"),
    ],
)
def test_a_test_that_makes_no_sense_is_refused(target: str, word: str) -> None:
    zones = (*plan_of().zones, replace(plan_of().zones[0], name="buttons", points=(BUTTON,)))
    w = World(replace(plan_of(), zones=zones))
    w.quiet()
    if "fire" in word:
        w.sample({**normal(), PANEL1: FIRE}, 1)
        word = "a fire stands"
    out = w.order(Verb.TEST, target=target)
    assert word in out[0].body["error"]
    assert w.state.walk.phase is Phase.NONE


def test_a_stop_without_a_test_is_refused() -> None:
    w = World()
    w.quiet()
    assert w.order(Verb.TEST)[0].body["error"] == "no test runs"


def test_a_disabled_point_of_the_group_is_not_tested_and_ends_nothing() -> None:
    w = begun()
    w.order(Verb.DISABLE, target="point/contact")
    hold(w, RESET_S + OUTLAST_S + 2)
    assert w.state.walk.phase is Phase.RUNNING
    assert not w.state.walk.tested
    assert w.on == {}


def test_it_goes_on_after_a_crash() -> None:
    w = begun()
    hold(w, RESET_S + 10)
    since_ns = w.state.walk.alarms[CONTACT].since_ns
    w = crash(w)
    assert w.state.walk.phase is Phase.RUNNING
    assert list(w.state.walk.tested) == [CONTACT]
    assert w.state.walk.alarms[CONTACT].since_ns == since_ns
    hold(w, 10)
    assert w.on == {}
    hold(w, OUTLAST_S)
    assert w.state.alarms.vote[CONTACT], "it outlasts all the same"


def test_a_power_cut_ends_it_with_an_event() -> None:
    w = begun()
    hold(w, 2)
    w = power_cut(w)
    (ends,) = [r.body for r in w.records if r.what == "test"]
    assert (ends["why"], ends["tested"]) == ("a power cut", ["contact"])
    hold(w, 1)
    assert 1 in w.on


@pytest.mark.parametrize(
    "kept", [None, [], [1] * 10, [1, "zone/any", "", "", 1, 2, 3, 4, [[1]], []], "x" * 10]
)
def test_a_damaged_test_is_none(kept: object) -> None:
    w = World()
    w.run()
    assert walktest.restore(w.state, kept, w.now(), same_boot=True) == []
    assert w.state.walk.phase is Phase.NONE


def test_only_the_tested_group_is_in_test() -> None:
    w = begun("zone/any")
    assert w.flags(B) & TEST
    assert not w.flags(CONTACT) & TEST
    assert not w.zone(2) & TEST
