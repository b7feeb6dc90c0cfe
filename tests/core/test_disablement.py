"""Disablements: every row of the table, what they gate, how they end, what outlives a restart."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
from core_world import (
    CONTACT,
    DISABLED,
    FIRE,
    PANEL1,
    A,
    B,
    World,
    normal,
    of,
    plan_of,
)

from agent.core import disable, view
from agent.core.disable import DISABLE_TABLE, Act, Event, Phase
from agent.core.types import ClockState, Record, Verb
from config.limits import (
    DISABLE_NS_DEFAULT,
    DISABLE_NS_MAX,
    DISABLE_REMIND_NS,
    DISABLEMENTS_MAX,
    S,
)
from config.plan import Courier
from config.words import Lane, Mode

HOUR = 3_600 * S
WHY = {"why": "hot work"}


def told(records: list[Record]) -> list[tuple[str, str]]:
    return [(r.body["target"], r.body["event"]) for r in records if r.what == "disablement"]


def power_cut(w: World, *, clock: ClockState = ClockState.SYNCHRONISED, later_ns: int = S) -> World:
    """The next boot: wall time goes on, monotonic time begins anew."""
    after = World(w.plan, boot=b"boot-another-one", start_ns=5 * S)
    after.wall0 = w.wall0 + w.ns + later_ns - after.ns
    after.clock = clock
    after.saved = w.saved
    after.run(recalled=w.saved or b"")
    return after


def crash(w: World) -> World:
    after = World(w.plan, start_ns=w.ns + S, held=frozenset(w.on))
    after.on, after.saved = dict(w.on), w.saved
    after.run(recalled=w.saved or b"")
    return after


def test_the_table_is_complete() -> None:
    assert set(DISABLE_TABLE) == set(itertools.product(Phase, Event))


@pytest.mark.parametrize(("row", "outcome"), sorted(DISABLE_TABLE.items()))
def test_each_row_in_a_running_gateway(
    row: tuple[Phase, Event], outcome: tuple[Phase, Act]
) -> None:
    phase, event = row
    w = World()
    w.quiet()
    if phase is Phase.DISABLED:
        w.order(Verb.DISABLE, target="point/heat_a", duration_ns=DISABLE_NS_MAX)
    if event is Event.DISABLE:
        out = w.order(Verb.DISABLE, target="point/heat_a")
    elif event is Event.ENABLE:
        out = w.order(Verb.ENABLE, target="point/heat_a")
    elif event is Event.EXPIRES:
        w.ns += DISABLE_NS_MAX
        out = w.run()
    elif event is Event.DAY_PASSES:
        w.ns += DISABLE_REMIND_NS
        out = w.run()
    else:
        w = power_cut(w, clock=ClockState.UNSET)
        out = w.records
    said = {Act.NONE: [], Act.BEGIN: ["begins"], Act.PROLONG: ["prolonged"],
            Act.REMIND: ["reminder"], Act.END: ["ends"]}[outcome[1]]  # fmt: skip
    assert [e for _, e in told(out)] == said
    assert bool(w.flags(A) & DISABLED) == (outcome[0] is Phase.DISABLED)
    assert ("point/heat_a" in w.state.disabled.standing) == (outcome[0] is Phase.DISABLED)


def test_a_disabled_point_is_logged_and_acts_on_nothing() -> None:
    w = World()
    w.quiet()
    out = w.order(Verb.DISABLE, target="point/heat_a", **WHY)
    order, record, point = out[0], out[1], out[2]
    assert order.body == {
        "verb": "disable", "who": "eve", "source": "test", "target": "point/heat_a",
        "why": "hot work",
    }  # fmt: skip
    assert record.body | {"since_wall_ns": 0} == {
        "target": "point/heat_a", "event": "begins", "how": "order", "disabled": True,
        "who": "eve", "by": "eve", "why": "hot work", "since_wall_ns": 0,
        "left_s": DISABLE_NS_DEFAULT // S,
    }  # fmt: skip
    assert point.body["to"] == DISABLED
    out = w.sample({**normal(), A: 80.0}, 3)
    record = of(out, "point/101")[0]
    assert record.lane is Lane.EVENT
    assert record.body["gated"] is True
    assert record.body["to"] & FIRE
    assert w.on == {}
    assert w.state.alarms.count == 0
    assert not w.zone(0) & FIRE


def test_what_a_point_sees_when_it_comes_back_counts_and_what_is_over_does_not() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="point/heat_a")
    w.sample({**normal(), A: 80.0}, 3)
    w.quiet()
    assert not w.flags(A) & FIRE
    w.order(Verb.ENABLE, target="point/heat_a")
    assert w.on == {}
    w.order(Verb.DISABLE, target="point/heat_a")
    w.sample({**normal(), A: 80.0}, 3)
    out = w.order(Verb.ENABLE, target="point/heat_a")
    assert of(out, "point/101")[0].lane is Lane.FIRE
    assert 0 in w.on


@pytest.mark.parametrize("target", ["point/heat_a", "zone/any"])
def test_disabling_clears_no_fire_that_counted(target: str) -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 80.0}, 3)
    w.order(Verb.DISABLE, target=target)
    w.sample({**normal(), A: 80.0}, 3)
    assert w.on[0] == "evacuate"
    assert w.zone(0) & FIRE
    w.quiet()
    assert w.on == {0: "evacuate"}, "it latches as it did"
    w.quiet(300)
    w.order(Verb.RESET)
    assert w.on == {}
    assert w.flags(A) == DISABLED


def test_a_lost_fire_is_cleared_by_a_reset_once_it_is_disabled() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 80.0}, 3)
    w.tick(5)
    w.order(Verb.RESET)
    assert w.flags(A) & FIRE
    w.order(Verb.DISABLE, target="point/heat_a")
    assert w.flags(A) & FIRE
    w.order(Verb.RESET)
    assert not w.flags(A) & FIRE
    assert w.on == {}
    w.order(Verb.ENABLE, target="point/heat_a")
    assert w.flags(A) & FIRE, "still nothing readable says that it is gone"


def test_a_disabled_zone_takes_out_what_no_other_zone_watches() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="zone/any")
    assert w.zone(0) & DISABLED
    assert w.flags(A) & DISABLED
    assert not w.flags(B) & DISABLED, "zone two watches it, too"
    w.sample({**normal(), A: 80.0, B: 80.0}, 3)
    assert not w.zone(0) & FIRE
    assert w.state.alarms.vote[B]
    w.order(Verb.DISABLE, target="zone/two")
    w.order(Verb.ENABLE, target="zone/any")
    assert not w.flags(A) & DISABLED
    assert w.zone(0) & FIRE


def test_a_disabled_siren_is_off_and_stays_off() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), PANEL1: FIRE}, 1)
    assert set(w.on) == {0, 1}
    w.order(Verb.DISABLE, target="output/stair_a")
    assert set(w.on) == {1}
    assert view.status(w.state, w.now())["outputs"][0]["disabled"] is True
    w.sample({**normal(), PANEL1: FIRE, CONTACT: FIRE}, 1)
    assert 0 not in w.on
    w.order(Verb.ENABLE, target="output/stair_a")
    assert set(w.on) == {0, 1}


def test_a_courier_can_be_disabled() -> None:
    w = World(replace(plan_of(), couriers=(Courier("city", "gb26875"),)))
    w.order(Verb.DISABLE, target="courier/city")
    assert w.state.disabled.couriers() == {"city"}


@pytest.mark.parametrize(
    ("target", "duration_ns", "word"),
    [
        ("point/nobody", 0, "no point is called"),
        ("zone/heat_a", 0, "no zone is called"),
        ("heat_a", 0, "expected point/NAME"),
        ("", 0, "expected point/NAME"),
        ("point/heat_a", DISABLE_NS_MAX + 1, "30 days"),
        ("point/heat_a", 1, "60 s"),
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_recorded(
    target: str, duration_ns: int, word: str
) -> None:
    w = World()
    w.quiet()
    out = w.order(Verb.DISABLE, target=target, duration_ns=duration_ns)
    assert len(out) == 1
    assert word in out[0].body["error"]
    assert not w.state.disabled.standing


def test_disablements_are_bounded() -> None:
    heat: dict[str, float] = {}
    points = [(f"p{i}", 0, "heat", Mode.ANALOGUE, heat) for i in range(DISABLEMENTS_MAX + 1)]
    w = World(plan_of(points, zones=(), effects=()))
    for i in range(DISABLEMENTS_MAX + 1):
        out = w.order(Verb.DISABLE, target=f"point/p{i}", why="reason" * 100)
    assert "disable whole zones" in out[0].body["error"]
    assert len(w.state.disabled.standing) == DISABLEMENTS_MAX
    assert not w.order(Verb.DISABLE, target="point/p0")[0].body.get("error"), "prolonging is fine"


def test_it_reminds_every_day_and_ends_by_itself() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="point/heat_a", duration_ns=60 * HOUR)
    seen = []
    for _ in range(70):
        w.ns += HOUR
        seen += told(w.run())
    assert [e for _, e in seen] == ["reminder", "reminder", "ends"]
    assert not w.state.disabled.standing


def test_it_survives_a_crash_with_its_time() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="point/heat_a", duration_ns=2 * HOUR)
    w.ns += HOUR
    w = crash(w)
    assert w.flags(A) & DISABLED
    w.sample({**normal(), A: 80.0}, 3)
    assert w.on == {}
    w.ns += HOUR
    w.quiet()
    assert not w.flags(A) & DISABLED


def test_it_survives_a_power_cut_when_the_clock_is_set() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="output/stair_a", duration_ns=4 * HOUR)
    w = power_cut(w, later_ns=HOUR)
    assert disable.output_disabled(w.state, 0)
    assert disable.rows(w.state, w.now())[0]["left_s"] == 3 * 3600
    w.ns += 3 * HOUR
    assert told(w.run()) == [("output/stair_a", "ends")]


@pytest.mark.parametrize("unset", ["before", "after", "back"])
def test_it_ends_with_an_event_when_its_age_is_not_known(unset: str) -> None:
    w = World()
    w.clock = ClockState.UNSET if unset == "before" else ClockState.SYNCHRONISED
    w.quiet()
    w.order(Verb.DISABLE, target="point/heat_a")
    clock = ClockState.UNSET if unset == "after" else ClockState.HOLDOVER
    w = power_cut(w, clock=clock, later_ns=-HOUR if unset == "back" else HOUR)
    ended = [r.body for r in w.records if r.what == "disablement"]
    assert [(b["event"], b["how"]) for b in ended] == [
        ("ends", "its age is not known after a power cut")
    ]
    w.sample({**normal(), A: 80.0}, 3)
    assert 0 in w.on


@pytest.mark.parametrize(
    "kept", [None, 1, [1], [[]], [["point/heat_a"] * 9], [["point/x", "", "", "", 1, 2, 3, 4, 5]]]
)
def test_a_damaged_disablement_is_none(kept: object) -> None:
    w = World()
    w.run()
    assert disable.restore(w.state, kept, w.now(), same_boot=True) == []
    assert not w.state.disabled.standing


def test_the_status_says_who_why_and_for_how_long() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="point/heat_a", **WHY)
    w.tick(60)
    (row,) = view.status(w.state, w.now())["disabled"]
    assert (row["target"], row["who"], row["why"], row["since_s"]) == (
        "point/heat_a", "eve", "hot work", 60,
    )  # fmt: skip
    assert "disabled" in view.status(w.state, w.now())["flags"]
