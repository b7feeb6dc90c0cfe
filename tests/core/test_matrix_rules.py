"""Every rule of docs/cause-and-effect.md, one test each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from core_world import (
    BOOT,
    BUTTON,
    CONTACT,
    FAULT,
    FIRE,
    PANEL1,
    PRE,
    WALL0,
    A,
    B,
    C,
    World,
    normal,
    of,
)
from matrix_world import (
    CAUSE,
    RESET,
    SILENCE,
    any_of,
    clear,
    fire,
    point,
    row,
    rows,
    rule,
    seconds,
    with_rows,
)

from agent.core import effects, memory, view
from agent.core.alarms import INVESTIGATED, TEST_ALARM
from agent.core.effects_memory import read_kept
from agent.core.types import ClockState, Inputs, Now, Order, Verb
from config.limits import TEST_PULSE_NS, S
from config.plan import Effect, decode_plan, encode_plan
from config.words import Flag
from drivers.reading import PanelEvent, PanelKind

MANUAL = int(Flag.MANUAL)


# --- inputs ---------------------------------------------------------------------------------


def test_all_needs_every_input() -> None:
    w = rows(Effect(**rule(2, point(A), point(CONTACT)), outputs=(0,)))
    fire(w, A)
    assert not w.on
    fire(w, A, CONTACT)
    assert w.on == {0: "evacuate"}


@pytest.mark.parametrize("together", [(A, B), (A, CONTACT), (B, CONTACT)])
def test_k_of_n(together: tuple[int, ...]) -> None:
    w = rows(Effect(**rule(2, point(A), point(B), point(CONTACT)), outputs=(0,)))
    fire(w, together[0])
    assert not w.on
    fire(w, *together)
    assert w.on == {0: "evacuate"}


def test_counts_within_counts() -> None:
    inner = ("of", 2, (point(A), point(B)))
    w = rows(Effect(**rule(1, inner, point(CONTACT)), outputs=(0,)))
    fire(w, A)
    assert not w.on
    fire(w, A, B)
    assert w.on
    w = rows(Effect(**rule(1, inner, point(CONTACT)), outputs=(0,)))
    fire(w, CONTACT)
    assert w.on


def test_a_kind_anywhere_and_in_one_zone() -> None:
    w = rows(
        Effect(**any_of(("kind", "heat", FIRE, -1)), outputs=(0,)),
        Effect(**any_of(("kind", "heat", FIRE, 0)), outputs=(1,)),
    )
    fire(w, C)
    assert set(w.on) == {0}
    fire(w, C, B)
    assert set(w.on) == {0, 1}


@pytest.mark.parametrize(
    ("written", "told", "sounds"),
    [("L1 D1", "L1 D1", True), ("L1 D1", "L1 D12", False), ("L1 *", "L1 D12", True),
     ("L2 *", "L1 D12", False), ("*", "anything", True)],
)  # fmt: skip
def test_an_address_that_a_panel_tells(written: str, told: str, sounds: bool) -> None:
    w = rows(Effect(**any_of(("address", 1, FIRE, written)), outputs=(0,)))
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, told, ""),))
    assert bool(w.on) == sounds
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, told, "", clears=True),))
    assert not w.on


def test_states_beyond_fire() -> None:
    w = rows(row(A, PRE, (0,), pattern="alert"), row(PANEL1, int(Flag.ACTIVATED), (1,)))
    w.sample({**normal(), A: 49.0}, 3)
    assert w.on == {0: "alert"}
    w.sample({**normal(), PANEL1: int(Flag.ACTIVATED)}, 2)
    assert 1 in w.on


# --- outputs ----------------------------------------------------------------------------------


def test_the_more_urgent_pattern_wins() -> None:
    w = rows(row(A, pattern="alert"), row(CONTACT, pattern="evacuate"), row(B, pattern="pulse"))
    fire(w, B)
    assert w.on == {0: "pulse"}
    fire(w, A, B)
    assert w.on == {0: "alert"}
    fire(w, A, B, CONTACT)
    assert w.on == {0: "evacuate"}


def test_a_switched_output_is_not_silenced() -> None:
    w = rows(row(A, outputs=(0,), switches=(1,)))
    fire(w, A)
    assert w.on == {0: "evacuate", 1: "steady"}
    w.order(Verb.SILENCE)
    assert w.on == {1: "steady"}
    clear(w)
    assert not w.on


def test_a_message_is_on_record_and_shown() -> None:
    w = rows(row(A, outputs=(), message="call the caretaker", off=CAUSE, text="point a fire"))
    fire(w, A)
    (shown,) = view.status(w.state, w.now())["effects"]["messages"]
    assert shown == {"row": 1, "name": "point a fire", "text": "call the caretaker"}
    clear(w)
    told = [r.body for r in of(w.records, "effect/1")]
    assert [b["on"] for b in told] == [True, False]
    assert told[0]["text"] == "call the caretaker"
    assert view.status(w.state, w.now())["effects"]["messages"] == []


# --- what switches off --------------------------------------------------------------------------


def state_row(off: int, **more: Any) -> World:
    """A row of a state that does not latch by itself."""
    return rows(row(PANEL1, int(Flag.SUPERVISORY), off=off, **more))


def supervise(w: World, on: bool) -> None:
    w.sample({**normal(), PANEL1: int(Flag.SUPERVISORY) if on else 0}, 2)


def test_off_with_the_cause() -> None:
    w = state_row(CAUSE)
    supervise(w, True)
    w.order(Verb.SILENCE)
    assert w.on, "no silence here"
    supervise(w, False)
    assert not w.on


def test_off_with_a_silence_only() -> None:
    w = state_row(SILENCE)
    supervise(w, True)
    supervise(w, False)
    w.order_reset()
    assert w.on, "it stays until somebody silences it"
    w.order(Verb.SILENCE)
    assert not w.on
    w.tick(3)
    assert not w.on


def test_off_with_a_reset_only() -> None:
    w = state_row(RESET)
    supervise(w, True)
    w.order_reset()
    assert w.on, "the cause stands"
    supervise(w, False)
    w.order(Verb.SILENCE)
    assert w.on, "neither its end nor a silence"
    w.order_reset()
    assert not w.on


def test_off_with_either() -> None:
    w = state_row(SILENCE | RESET)
    supervise(w, True)
    supervise(w, False)
    assert w.on
    w.order(Verb.SILENCE)
    assert not w.on
    w = state_row(SILENCE | RESET)
    supervise(w, True)
    supervise(w, False)
    w.order_reset()
    assert not w.on


def test_the_panels_silence_is_for_rows_that_a_silence_ends() -> None:
    w = rows(Effect("device", 1, FIRE, (0,)), Effect("device", 1, FIRE, (1,), off=CAUSE))
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "L1 D1", ""),))
    assert set(w.on) == {0, 1}
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.NONE, "", "", kind=PanelKind.SILENCE),))
    assert set(w.on) == {1}
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.NONE, "", "", kind=PanelKind.SOUND),))
    assert set(w.on) == {0, 1}


# --- delays -------------------------------------------------------------------------------------


def test_a_delay_starts_with_the_cause_and_ends_with_it() -> None:
    w = rows(row(A, after_ns=30 * S), row(PANEL1, FAULT, (1,), after_ns=10 * S))
    fire(w, A)
    assert not w.on
    assert view.status(w.state, w.now())["effects"]["delays"][0]["left_s"] <= 30
    w.tick(28)
    assert not w.on
    w.tick(3)
    assert w.on == {0: "evacuate"}
    w.sample({**normal(), PANEL1: FAULT}, 2)
    w.quiet(2)
    w.tick(15)
    assert 1 not in w.on, "the cause was gone before its time"


def test_a_manual_call_point_never_waits() -> None:
    w = rows(Effect("zone", 2, FIRE, (0,), after_ns=600 * S))
    fire(w, CONTACT)
    assert not w.on
    w.sample({**normal(), CONTACT: FIRE, BUTTON: FIRE | MANUAL}, 1)
    assert w.on == {0: "evacuate"}
    w = rows(Effect("device", 1, FIRE, (0,), after_ns=600 * S))
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE | Flag.MANUAL, "L1 M1", ""),))
    assert w.on


def restarted(w: World, gap_ns: int, *, boot: bytes, clock: ClockState) -> World:
    new = World(w.plan, boot=boot, start_ns=w.ns + gap_ns)
    new.run(recalled=w.saved or b"")
    del clock
    return new


def test_a_delay_goes_on_after_a_restart() -> None:
    w = rows(row(A, after_ns=60 * S))
    fire(w, A)
    w.tick(10)
    same = restarted(w, 5 * S, boot=BOOT, clock=ClockState.SYNCHRONISED)
    assert not same.on
    same.tick(35)
    assert not same.on
    same.tick(20)
    assert same.on
    other = restarted(w, 5 * S, boot=b"another boot 123", clock=ClockState.SYNCHRONISED)
    assert not other.on
    other.tick(55)
    assert other.on, "the wall clock places it"


def test_a_delay_that_nothing_can_place_is_over() -> None:
    w = rows(row(A, after_ns=600 * S))
    fire(w, A)
    new = World(w.plan, boot=b"another boot 123", start_ns=S)
    found = memory.decode(w.saved or b"")
    assert len(found.effects.delays) == 1
    now = Now(S, WALL0, ClockState.UNSET)
    outcome = effects_cycle(new, w.saved or b"", now)
    assert [o.output for o in outcome] == [0]


def effects_cycle(w: World, recalled: bytes, now: Now) -> list[Order]:
    from agent.core.cycle import cycle  # noqa: PLC0415 -- by hand, with a clock that is not set

    return list(cycle(w.state, Inputs(recalled=recalled), now).orders)


def test_latched_rows_and_the_general_alarm_outlive_a_power_cut() -> None:
    w = rows(row(PANEL1, FAULT, off=RESET), row(A, outputs=(1, 2)))
    w.sample({**normal(), PANEL1: FAULT}, 2)
    w.quiet(2)
    assert w.on == {0: "evacuate"}
    w.order(Verb.EVACUATE)
    new = restarted(w, S, boot=b"another boot 123", clock=ClockState.SYNCHRONISED)
    assert new.on == dict.fromkeys((0, 1, 2), "evacuate")
    new.quiet(2)
    new.order_reset()
    assert not new.on
    assert memory.decode(new.saved or b"").effects == read_kept(None)


@pytest.mark.parametrize(
    "damaged",
    [[], {"latched": 1}, {"latched": [b"short"]}, {"delays": [[b"12345678", 1]]},
     {"delays": [[b"12345678", True, 1]]}, {"general": "because"}, {"evacuate": 1},
     {"latched": [b"12345678"] * 3000}],
)  # fmt: skip
def test_a_damaged_memory_is_one_error(damaged: object) -> None:
    with pytest.raises(ValueError, match="expected"):
        read_kept(damaged)


# --- investigation and walk test ----------------------------------------------------------------


def held(w: World, bit: int, k: int = A) -> None:
    """What alarm management says of a point, and of its zone."""
    w.state.alarms.effective[k] |= bit
    w.state.zones.flags[0] |= bit


def look_now(w: World) -> None:
    """One pass, without the points' own evaluation."""
    from agent.core.look import Scene  # noqa: PLC0415 -- used here alone

    assert w.state.health is not None
    scene = Scene(w.state.alarms, w.state.zones, w.state.health, w.state.book)
    orders, records = effects.decide(w.state.effects, scene, w.state.site, w.now())
    for order in orders:
        w.on[order.output] = order.pattern if order.on else ""
        if not order.on:
            del w.on[order.output]
    w.records += records


def test_an_investigated_fire_waits_where_the_row_waits() -> None:
    w = World(with_rows(
        Effect("zone", 0, FIRE, (0,)),
        Effect("zone", 0, FIRE, (1,), "alert", investigation="acts"),
        Effect("device", 0, FIRE, (2,)),
    ))  # fmt: skip
    w.quiet()
    w.state.alarms.effective[A] |= FIRE
    w.state.zones.flags[0] |= FIRE
    held(w, INVESTIGATED)
    look_now(w)
    assert w.on == {1: "alert"}
    w.state.alarms.effective[C] |= FIRE
    look_now(w)
    assert w.on == {1: "alert", 2: "evacuate"}, "another fire of the device is not investigated"
    w.state.alarms.effective[A] ^= INVESTIGATED
    w.state.zones.flags[0] ^= INVESTIGATED
    look_now(w)
    assert set(w.on) == {0, 1, 2}


def test_a_walk_test_is_one_pulse_where_the_row_says_so() -> None:
    w = World(with_rows(
        Effect("zone", 0, FIRE, (0,), in_test="pulse"), Effect("zone", 0, FIRE, (1,))
    ))  # fmt: skip
    w.quiet()
    held(w, TEST_ALARM)
    look_now(w)
    assert w.on == {0: "pulse"}
    assert effects.due(w.state.effects, w.ns + TEST_PULSE_NS)
    w.ns += TEST_PULSE_NS
    look_now(w)
    assert not w.on
    assert not effects.due(w.state.effects, w.ns + 3600 * S), "one pulse"


# --- what others ask of it ----------------------------------------------------------------


def test_a_disabled_output_stays_off() -> None:
    w = rows(row(A), row(CONTACT, outputs=(1,)))
    w.state.effects.barred = frozenset({0})
    fire(w, A, CONTACT)
    assert w.on == {1: "evacuate"}
    w.state.effects.barred = frozenset()
    w.state.alarms.touched = True
    w.tick()
    assert w.on == {0: "evacuate", 1: "evacuate"}


def test_the_rows_travel_in_the_plan() -> None:
    plan = with_rows(
        Effect(**rule(2, point(A), ("of", 1, (point(B), ("kind", "heat", FIRE, -1)))),
               outputs=(0, 1), after_ns=seconds(3), off=RESET, in_test="pulse", message="m",
               investigation="acts", region="cn", switches=(2,), text="t"),
    )  # fmt: skip
    assert decode_plan(encode_plan(plan)).effects == plan.effects
    assert effects.new_effects(rows().state.site).tables.rows == ()


def test_an_edit_of_one_row_keeps_the_others_latched() -> None:
    w = rows(row(PANEL1, FAULT, off=RESET))
    w.sample({**normal(), PANEL1: FAULT}, 2)
    plan = with_rows(row(A, outputs=(1,)), row(PANEL1, FAULT, off=RESET))
    new = World(replace(plan, digest=b"e" * 32), boot=b"another boot 123", start_ns=w.ns)
    new.run(recalled=w.saved or b"")
    assert new.on == {0: "evacuate"}
