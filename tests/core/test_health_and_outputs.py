"""Silence as a fault, once; outputs, orders and read-backs."""

from __future__ import annotations

import numpy as np
import pytest
from core_world import (
    CONTACT,
    FAULT,
    FIRE,
    PANEL1,
    PANEL2,
    PRE,
    A,
    B,
    C,
    World,
    normal,
    of,
    plan_of,
)

from agent.core.types import Notice, Record, Verb
from config.limits import READBACK_WAIT_NS, S
from config.plan import Effect
from config.words import Flag, Mode, Quality
from drivers.reading import Failure, LineState, PanelEvent, PollFailure


def faults(records: list[Record], what: str = "") -> list[tuple[str, bool]]:
    return [
        (r.source, r.body["fault"])
        for r in records
        if "fault" in r.body and (not what or r.what == what)
    ]


def without(*points: int) -> dict[int, float]:
    return {k: v for k, v in normal().items() if k not in points}


def test_one_silent_point_is_its_own_fault_and_its_end() -> None:
    w = World()
    w.quiet()
    out = w.sample(without(A), 10)
    assert [r.body["to"] for r in of(out, "point/101")] == [FAULT]
    assert of(out, "point/101")[0].body["quality"] == Quality.STALE
    assert faults(out) == []
    out = w.quiet(3)
    assert [r.body["to"] for r in of(out, "point/101")] == [0]


def test_a_silent_device_is_one_fault_not_one_a_point() -> None:
    w = World()
    w.quiet()
    w.run(failures=(PollFailure(1, w.ns, Failure.TIMEOUT),))
    out = w.sample(without(PANEL1, PANEL2), 60)
    assert faults(out) == [("device/panel", True)]
    assert "timeout" in of(out, "device/panel")[0].body["text"]
    assert [r for r in out if r.what == "point"] == []
    assert w.state.image.quality[PANEL1] == Quality.STALE
    out = w.quiet(5)
    assert faults(out) == [("device/panel", False)]


def test_a_line_that_is_down_covers_its_devices() -> None:
    w = World()
    w.quiet()
    out = w.run(lines=(LineState(0, w.ns, up=False, text="unplugged"),))
    assert faults(out) == [("line/riser", True)]
    out = w.sample({PANEL1: 0, PANEL2: 0}, 30)
    assert out == []
    assert w.state.image.quality[A] == Quality.STALE
    out = w.run(lines=(LineState(0, w.ns, up=False, text="again"),))
    assert out == []
    out = w.run(lines=(LineState(0, w.ns, up=True),))
    assert faults(out) == [("line/riser", False)]
    out = w.quiet(5)
    assert faults(out) == []


def test_a_device_that_stays_silent_after_its_line_is_back_is_a_fault_of_its_own() -> None:
    w = World()
    w.quiet()
    w.run(lines=(LineState(0, w.ns, up=False),))
    w.sample({PANEL1: 0, PANEL2: 0}, 30)
    w.run(lines=(LineState(0, w.ns, up=True),))
    out = w.sample({PANEL1: 0, PANEL2: 0}, 30)
    assert sorted(faults(out)) == [("device/inputs", True), ("device/sensors", True)]


def test_a_device_fault_does_not_end_because_its_line_went_down_or_came_up() -> None:
    w = World()
    w.quiet()
    w.sample(without(PANEL1, PANEL2), 10)
    out = w.run(lines=(LineState(1, w.ns, up=False),))
    out += w.sample(without(PANEL1, PANEL2), 5)
    out += w.run(lines=(LineState(1, w.ns, up=True),))
    out += w.sample(without(PANEL1, PANEL2), 5)
    assert faults(out) == [("line/control", True), ("line/control", False)]
    assert faults(w.quiet(2)) == [("device/panel", False)]


def test_a_crowd_of_stale_points_of_a_living_device_is_one_fault() -> None:
    points = [(f"p{i}", 0, "heat", Mode.ANALOGUE, {"fire_level": 57.0}) for i in range(100)]
    w = World(plan_of(points, zones=(), effects=()))
    w.sample(dict.fromkeys(range(100), 20.0), 3)
    out = w.sample({0: 20.0}, 10)
    assert faults(out) == [("device/sensors", True)]
    body = of(out, "device/sensors")[0].body
    assert body["points"] == 99
    assert len(body["names"]) == 16
    assert [r for r in out if r.what == "point"] == []
    out = w.sample(dict.fromkeys(range(100), 20.0), 3)
    assert faults(out) == [("device/sensors", False)]


def test_a_device_that_never_answered_is_a_fault_after_its_time() -> None:
    w = World()
    out = w.tick(10)
    assert sorted(faults(out, "device")) == [
        ("device/inputs", True), ("device/panel", True), ("device/sensors", True),
    ]  # fmt: skip
    assert faults(w.tick(100)) == []


def test_an_exception_reply_is_named() -> None:
    w = World()
    w.quiet()
    w.run(failures=(PollFailure(1, w.ns, Failure.EXCEPTION, 2),))
    out = w.sample(without(PANEL1, PANEL2), 10)
    assert "exception 2" in of(out, "device/panel")[0].body["text"]


def test_a_silent_device_can_be_a_cause() -> None:
    w = World(plan_of(effects=(Effect("device", 1, FAULT, (1,), "pulse"),)))
    w.quiet()
    w.sample(without(PANEL1, PANEL2), 5)
    assert w.on == {1: "pulse"}
    w.quiet(2)
    assert w.on == {}


def test_notices_are_recorded_when_they_begin_and_end() -> None:
    w = World()
    w.tick()
    full = Notice("record.disk", fault=True, text="disk full")
    assert faults(w.run(notices=(full,))) == [("system/record.disk", True)]
    assert w.run(notices=(full,)) == []
    done = Notice("record.disk", fault=False, text="disk is writable")
    assert faults(w.run(notices=(done,))) == [("system/record.disk", False)]
    assert w.run(notices=(done,)) == []


# --- outputs ---------------------------------------------------------------------------------


def sounding() -> World:
    w = World()
    w.quiet()
    w.sample({**normal(), PANEL1: FIRE}, 1)
    assert set(w.on) == {0, 1}
    return w


def orders(w: World) -> list[tuple[int, bool]]:
    assert w.last is not None
    return [(o.output, o.on) for o in w.last.orders]


def test_orders_come_on_change_only() -> None:
    w = sounding()
    w.sample({**normal(), PANEL1: FIRE}, 1)
    assert orders(w) == []


def test_the_more_urgent_pattern_wins_and_a_change_of_pattern_is_an_order() -> None:
    rows = (
        Effect("point", A, PRE, (0,), "alert"),
        Effect("point", CONTACT, FIRE, (0,), "pulse"),
        Effect("point", A, FIRE, (0,), "evacuate"),
    )
    w = World(plan_of(effects=rows))
    w.quiet()
    w.sample({**normal(), CONTACT: FIRE}, 1)
    assert w.on == {0: "pulse"}
    w.sample({**normal(), A: 50.0}, 2)
    assert w.on == {0: "alert"}
    w.sample({**normal(), A: 60.0}, 2)
    assert w.on == {0: "evacuate"}


def test_a_read_back_proves_an_order_once() -> None:
    w = sounding()
    w.ns += S // 10
    out = w.read_back(0, True, written=True)
    assert of(out, "output/stair_a")[0].body == {"name": "stair_a", "on": True, "read_back": True}
    assert w.read_back(0, True) == []


def test_an_output_that_does_not_read_back_is_a_fault_after_its_time_and_ends() -> None:
    w = sounding()
    w.read_back(0, True)
    w.read_back(1, None)
    w.ns += READBACK_WAIT_NS
    assert faults(w.run(), "output") == []
    w.ns += 1
    assert faults(w.run(), "output") == [("output/stair_b/fault", True)]
    assert faults(w.tick(5), "output") == []
    out = w.read_back(1, True)
    assert faults(out, "output") == [("output/stair_b/fault", False)]


def test_a_coil_that_lost_its_state_is_ordered_again() -> None:
    w = sounding()
    w.read_back(0, True)
    w.ns += S
    w.read_back(0, False)
    assert orders(w) == [(0, True)]


def test_a_read_back_from_before_the_order_says_nothing() -> None:
    w = sounding()
    w.ns -= S
    out = w.read_back(0, False)
    assert orders(w) == []
    assert out == []


def test_what_the_latch_holds_stays_on_until_its_cause_is_known_to_be_gone() -> None:
    w = World(held=frozenset({0}))
    w.quiet(5)
    w.read_back(0, True)
    assert orders(w) == []
    w.run(recalled=b"")
    w.ns += S
    w.run()
    assert orders(w) == [(0, False)]


def test_a_held_siren_that_somebody_disables_is_off() -> None:
    w = World(held=frozenset({0, 1}))
    w.on = {0: "evacuate", 1: "evacuate"}
    w.order(Verb.DISABLE, target="output/stair_a")
    assert w.on == {1: "evacuate"}
    w.order(Verb.ENABLE, target="output/stair_a")
    assert w.on == {1: "evacuate"}


def test_what_the_latch_holds_waits_for_every_point_that_could_be_its_cause() -> None:
    w = World(held=frozenset({0}))
    w.run(recalled=b"")
    w.sample(without(A), 2)
    assert orders(w) == []
    w.sample(without(A), 3)  # A is stale by now: known to be lost
    assert w.last is not None
    assert (0, False) in [(o.output, o.on) for o in w.last.orders] or 0 in w.state.effects.commanded


@pytest.mark.parametrize("verb", [Verb.SILENCE, Verb.RESET])
def test_an_operator_can_stop_what_the_latch_holds(verb: Verb) -> None:
    w = World(held=frozenset({0}))
    w.tick()
    w.order(verb)
    assert orders(w) == [(0, False)]


def test_a_coil_that_is_on_without_cause_is_ordered_off_once_all_is_known() -> None:
    w = World()
    w.quiet()
    w.run(recalled=b"")
    w.quiet()
    w.read_back(1, True)
    assert orders(w) == [(1, False)]


# --- panel events --------------------------------------------------------------------------------


def test_a_panel_event_sounds_and_ends_with_the_panel() -> None:
    w = World()
    w.quiet()
    event = PanelEvent(1, w.ns, FIRE, "L1 D7", "smoke, stair")
    out = w.run(panel_events=(event,))
    assert set(w.on) == {0, 1}
    assert of(out, "panel/panel/L1 D7")[0].body["number"] == 1
    assert w.run(panel_events=(event,)) == []
    w.order(Verb.RESET)
    assert set(w.on) == {0, 1}
    w.run(panel_events=(PanelEvent(1, w.ns, FIRE, "L1 D7", "", clears=True),))
    assert w.on == {}
    assert w.state.alarms.first is None


def test_a_gated_panel_event_sounds_nothing() -> None:
    w = World()
    w.quiet()
    w.run(panel_events=(PanelEvent(1, w.ns, FIRE | int(Flag.TEST), "L1 D7", ""),))
    assert w.on == {}
    assert w.state.alarms.count == 0


def test_the_book_of_panel_events_is_bounded_and_loses_no_fire() -> None:
    w = World()
    w.quiet()
    for i in range(30):
        w.run(panel_events=tuple(
            PanelEvent(1, w.ns, FAULT, f"{i}/{j}", "") for j in range(100)))  # fmt: skip
    assert len(w.state.book.standing) <= 1024 + len(w.plan.devices)
    w.run(panel_events=(PanelEvent(1, w.ns, FIRE, "new", ""),))
    assert set(w.on) == {0, 1}


def test_a_block_with_an_unknown_point_is_a_programmers_error() -> None:
    w = World()
    w.tick()
    (block,) = w.block({A: 20.0, B: 20.0})
    wrong = type(block)(
        block.poll, block.mono_ns, np.array([0, 99], np.int32), block.value, block.quality
    )
    with pytest.raises(AssertionError, match="poll 0 names a point"):
        w.run(blocks=(wrong,))


def test_a_point_that_warms_up_for_ever_is_a_fault_and_leaves_its_zone() -> None:
    """Neither normal nor silent: without a fault nobody would learn that it watches nothing."""
    world = World()
    world.quiet()
    world.sample(normal(), 590, quality={B: Quality.NOT_READY})
    assert not world.flags(B) & FAULT
    world.sample(normal(), 20, quality={B: Quality.NOT_READY})
    assert world.flags(B) & FAULT
    world.sample({**normal(), C: 70.0}, 3, quality={B: Quality.NOT_READY})
    assert world.zone(1) & FIRE, "one healthy detector is left: a single alarm counts"
    world.quiet(5)
    assert not world.flags(B) & FAULT


def test_a_jammed_line_is_a_fault_of_its_own_said_once() -> None:
    w = World()
    w.quiet()

    def jam(jammed: bool) -> list[tuple[str, bool]]:
        state = LineState(0, w.ns, up=True, text="jammed", jammed=jammed)
        return faults(w.run(lines=(state,)), "line")

    name = w.plan.lines[0].name
    assert jam(True) == [(f"line/{name}/jam", True)]
    assert jam(True) == []
    assert jam(False) == [(f"line/{name}/jam", False)]
