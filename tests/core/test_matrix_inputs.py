"""Rows of the gateway's own inputs: a cabinet that is opened, a supply that fails, a key."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from core_world import FAULT, normal, of
from matrix_world import rule
from signal_world import BATTERY, DOOR, KEY, MAINS, RELAY, SIREN_A, SIREN_B, SignalWorld

from agent.core import view
from agent.core.cycle import new_state
from agent.core.types import Verb
from config.limits import INPUT_STUCK_NS, S
from config.plan import OFF_RESET, Effect
from config.words import Flag

ACTIVATED = int(Flag.ACTIVATED)


def by(k: int, state: int, outputs: tuple[int, ...] = (), **more: Any) -> Effect:
    return Effect(**rule(1, ("input", k, state, "")), outputs=outputs, **more)


def world(*effects: Effect) -> SignalWorld:
    w = SignalWorld()
    w.plan = replace(w.plan, effects=effects)
    w.state = new_state(w.plan, w.state.boot_id)
    w.run(recalled=b"")
    w.quiet(4)
    return w


def test_an_open_cabinet_sounds_and_says_so_while_it_is_open() -> None:
    w = world(by(DOOR, FAULT, (SIREN_A,), pattern="alert", message="The cabinet is open"))
    assert SIREN_A not in w.on
    w.sample({**normal(), 8: ACTIVATED}, 2)  # the contact of the door
    assert w.on[SIREN_A] == "alert"
    (said,) = view.status(w.state, w.now())["effects"]["messages"]
    assert said["text"] == "The cabinet is open"
    w.quiet(2)
    assert SIREN_A not in w.on
    assert [r.body["on"] for r in of(w.records, "effect/1")] == [True, False]


def test_a_supply_that_fails_for_a_while_switches_and_latches() -> None:
    mains = by(MAINS, FAULT, after_ns=5 * S, off=OFF_RESET, switches=(RELAY,))
    w = world(mains, by(BATTERY, FAULT, (SIREN_B,)))
    w.level(MAINS, True)
    w.quiet(3)
    assert RELAY not in w.on
    w.quiet(3)
    assert w.on[RELAY] == "steady"
    w.level(MAINS, False)
    assert w.on[RELAY] == "steady"
    w.verb(Verb.RESET)
    assert not {RELAY, SIREN_B} & set(w.on)


def test_a_key_is_activated_while_it_is_down_and_a_fault_when_it_is_stuck_or_lost() -> None:
    w = world(by(KEY["duty"], ACTIVATED, switches=(RELAY,)), by(KEY["duty"], FAULT, (SIREN_B,)))
    w.level(KEY["duty"], False)
    w.level(KEY["duty"], True)
    assert w.on[RELAY] == "steady"
    assert SIREN_B not in w.on
    w.wait(INPUT_STUCK_NS // S + 1)
    assert SIREN_B in w.on
    w.level(KEY["duty"], False)
    assert not {RELAY, SIREN_B} & set(w.on)
    w.level(KEY["duty"], None)
    assert SIREN_B in w.on


def test_an_input_is_no_fire_and_starts_no_general_alarm() -> None:
    w = world(by(DOOR, FAULT, (SIREN_A,), region="cn"))
    w.sample({**normal(), 8: ACTIVATED}, 2)
    assert w.on[SIREN_A] == "alert"
    assert view.status(w.state, w.now())["alarms"] == 0
