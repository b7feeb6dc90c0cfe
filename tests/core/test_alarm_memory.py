"""Alarm state across restarts and power cuts, its bytes, and what people see."""

from __future__ import annotations

import json

import cbor2
import pytest
from core_world import (
    BOOT,
    CONTACT,
    DISABLED,
    FIRE,
    PANEL1,
    PRE,
    A,
    B,
    C,
    World,
    normal,
    of,
    plan_of,
)
from hypothesis import example, given
from hypothesis import strategies as st

from agent.core import memory, view
from agent.core.types import Verb
from config.limits import ALARM_STATE_BYTES_MAX
from config.words import Lane, Quality
from drivers.reading import PanelEvent


def on_fire() -> World:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 60.0}, 2)
    w.sample({**normal(), A: 60.0, PANEL1: FIRE}, 1)
    assert w.saved is not None
    return w


def restarted(w: World) -> World:
    """A new life after a power cut: nothing but the persisted bytes."""
    again = World(w.plan, boot=b"another boot id!")
    again.run(recalled=w.saved)
    return again


def test_a_quiet_gateway_persists_nothing() -> None:
    w = World()
    w.quiet(10)
    assert w.saved is None


def test_a_power_cut_does_not_clear_a_fire() -> None:
    w = on_fire()
    after = restarted(w)
    assert after.flags(A) & FIRE
    assert after.flags(PANEL1) & FIRE
    assert after.zone(0) & FIRE
    assert set(after.on) == {0, 1}
    assert after.state.alarms.count == w.state.alarms.count
    record = of(after.records, "point/101")[0]
    assert record.lane is Lane.FIRE
    assert record.body["why"] == "recalled"


def test_a_recalled_fire_needs_a_good_reading_before_a_reset_may_clear_it() -> None:
    after = restarted(on_fire())
    after.order(Verb.RESET)
    assert after.flags(A) & FIRE
    after.quiet()
    assert after.flags(A) & FIRE
    after.order(Verb.RESET)
    assert after.flags(A) == 0


def test_a_recalled_panel_fire_ends_when_the_panel_reads_clear() -> None:
    after = restarted(on_fire())
    after.quiet(1)
    assert not after.flags(PANEL1) & FIRE


def test_a_silence_survives_and_a_new_alarm_breaks_it() -> None:
    w = on_fire()
    w.order(Verb.SILENCE)
    after = restarted(w)
    assert after.on == {}
    after.sample({**normal(), A: 60.0, PANEL1: FIRE}, 3)
    assert after.on == {}
    after.sample({**normal(), A: 60.0, PANEL1: FIRE, CONTACT: FIRE}, 1)
    assert set(after.on) == {0, 1}


def test_a_late_recall_adds_and_never_clears() -> None:
    w = on_fire()
    w.order(Verb.SILENCE)
    late = World(boot=b"another boot id!")
    late.quiet()
    late.sample({**normal(), CONTACT: FIRE}, 1)
    late.run(recalled=w.saved)
    assert late.flags(CONTACT) & FIRE
    assert late.flags(A) & FIRE
    assert late.state.alarms.count == w.state.alarms.count + 1
    assert late.on, "the old silence knew nothing of the new alarm"


def test_a_second_recall_of_our_own_state_changes_nothing() -> None:
    w = restarted(on_fire())
    count, saved = w.state.alarms.count, w.saved
    w.run(recalled=w.saved)
    assert w.state.alarms.count == count
    assert w.saved == saved


def test_acknowledgement_order_and_first_alarm_survive() -> None:
    w = on_fire()
    w.sample({**normal(), A: 60.0, PANEL1: FIRE, CONTACT: FIRE}, 1)
    w.order(Verb.ACKNOWLEDGE)
    after = restarted(w)
    assert list(after.state.alarms.order) == list(w.state.alarms.order)
    assert after.state.alarms.acked[A]
    first, was = after.state.alarms.first, w.state.alarms.first
    assert first is not None
    assert was is not None
    assert (first.name, first.wall_ns, first.mono_ns) == (was.name, was.wall_ns, 0)


def test_a_disabled_fire_does_not_sound_before_it_was_read() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), PANEL1: FIRE | DISABLED}, 1)
    after = restarted(w)
    assert after.flags(PANEL1) & FIRE
    assert after.on == {}
    after.sample({**normal(), PANEL1: FIRE | DISABLED}, 2)
    assert after.on == {}


def test_a_zone_fire_with_two_votes_survives_with_one_left() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), B: 60.0, C: 60.0}, 2)
    w.sample({**normal(), C: 60.0}, 3)
    w.order(Verb.RESET)
    assert restarted(w).zone(1) & FIRE


def test_lost_in_alarm_survives() -> None:
    w = World()
    w.quiet()
    w.sample({**normal(), A: 48.0}, 2)
    w.sample({**normal(), A: float("nan")}, 4)
    after = restarted(w)
    assert after.flags(A) & PRE


def test_panel_events_survive() -> None:
    w = World()
    w.quiet()
    w.run(panel_events=(PanelEvent(1, w.ns, FIRE, "L1", "x"),))
    after = restarted(w)
    assert set(after.on) == {0, 1}
    after.run(panel_events=(PanelEvent(1, after.ns, FIRE, "L1", "x", clears=True),))
    assert after.on == {}


def test_alarms_of_points_that_are_gone_are_said() -> None:
    w = on_fire()
    row = cbor2.loads(w.saved or b"")
    row["points"][0][0] = 999_999
    other = World()
    out = other.run(recalled=cbor2.dumps(row))
    assert "not in this plan" in of(out, "system/recall")[0].body["text"]


def test_the_snapshot_is_canonical_and_decodes_to_what_it_says() -> None:
    w = on_fire()
    assert w.saved is not None
    assert cbor2.dumps(cbor2.loads(w.saved), canonical=True) == w.saved
    found = memory.decode(w.saved)
    assert found.boot == BOOT
    assert [p.point_id for p in found.points] == [101, 106]


_NEW = World().state
GOOD = memory.encode(BOOT, _NEW.alarms, _NEW.zones, _NEW.book, _NEW.site)


@given(st.one_of(st.binary(max_size=200), st.integers(0, len(GOOD) - 1).map(lambda i: GOOD[:i])))
@example(b"\x9f" * 5000)
@example(b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff")
@example(cbor2.dumps({"v": True}))
@example(cbor2.dumps({"v": 2}))
@example(bytes(ALARM_STATE_BYTES_MAX + 1))
def test_any_bytes_are_a_memory_or_one_typed_error(data: bytes) -> None:
    try:
        memory.decode(data)
    except memory.MemoryDamagedError as e:
        assert str(e)  # noqa: PT017 -- that nothing else is raised is the point


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**64)
    | st.binary(max_size=4)
    | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=7),
    max_leaves=12,
)


@given(st.sampled_from(["boot", "count", "silenced", "first", "points", "zones", "panel"]), VALUES)
def test_any_value_of_any_key_is_taken_or_refused_whole(key: str, value: object) -> None:
    row = cbor2.loads(GOOD)
    row[key] = value
    w = World()
    w.tick()
    out = w.run(recalled=cbor2.dumps(row))
    for record in of(out, "system/recall"):
        assert record.body["fault"] is True
    assert w.tick() is not None


@pytest.mark.parametrize("data", [b"garbage", cbor2.dumps([1]), cbor2.dumps({"v": 1})])
def test_damaged_bytes_are_a_fault_and_the_gateway_goes_on(data: bytes) -> None:
    w = World()
    w.tick()
    out = w.run(recalled=data)
    assert "damaged" in of(out, "system/recall")[0].body["text"]
    w.quiet()
    w.sample({**normal(), CONTACT: FIRE}, 1)
    assert w.on


# --- the view -----------------------------------------------------------------------------------


def test_a_damaged_memory_does_not_take_a_held_siren_off_but_an_operator_does() -> None:
    world = World(held=frozenset({0}))
    world.run(recalled=b"\xff")
    world.read_back(0, True)
    world.quiet(20)
    assert 0 not in world.state.effects.commanded
    world.order(Verb.SILENCE)
    assert world.state.effects.commanded[0].on is False


def test_the_status_says_what_stands_in_words() -> None:
    w = on_fire()
    found = view.status(w.state, w.now())
    assert found["flags"][0] == "fire"
    assert found["counts"]["fire"] == 2
    assert found["first_alarm"]["name"] == "heat_a"
    assert [row["name"] for row in found["active"]] == ["heat_a", "l1d1"]
    assert found["zones"][0]["flags"][0] == "fire"
    assert found["outputs"][0] == {
        "name": "stair_a", "kind": "siren", "on": True, "pattern": "evacuate", "read_back": None,
        "proven": False, "fault": False, "disabled": False,
    }  # fmt: skip
    json.dumps(found)
    assert cbor2.loads(cbor2.dumps(found)) == found


def test_a_normal_gateway_has_no_flags_and_faults_are_listed() -> None:
    w = World()
    w.quiet()
    assert view.status(w.state, w.now())["flags"] == []
    w.tick(10)
    found = view.status(w.state, w.now())
    assert found["flags"] == ["fault"]
    assert {f["source"] for f in found["faults"]} == {
        "device/sensors", "device/panel", "device/inputs",
    }  # fmt: skip


def test_before_the_first_cycle_everything_is_not_ready() -> None:
    w = World()
    found = view.status(w.state, w.now())
    assert found["not_ready"] == found["points"] == 9
    row = view.points(w.state, w.now(), 0, 1)[0]
    assert (row["value"], row["age_s"], row["quality"], row["detector"]) == (
        None, None, "not_ready", "not_ready",
    )  # fmt: skip


def test_points_are_paged_in_order_of_id_and_never_nan() -> None:
    w = World()
    w.quiet()
    w.sample({A: float("nan")})
    rows = view.points(w.state, w.now(), 0, 4) + view.points(w.state, w.now(), 4, 100)
    assert [r["id"] for r in rows] == list(range(101, 110))
    assert rows[A]["value"] is None
    assert rows[A]["quality"] == Quality.BAD.name.lower()
    assert view.points(w.state, w.now(), 9, 5) == []
    json.dumps(rows, allow_nan=False)


def test_an_empty_plan_runs() -> None:
    w = World(plan_of([], zones=(), effects=()))
    w.tick(10)
    assert view.status(w.state, w.now())["points"] == 0
