"""Keys, the manual alarm, duty checks, the call of a fire, tests, as the whole core sees them."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import BUTTON, CONTACT, FIRE, A, normal
from hypothesis import given, settings
from hypothesis import strategies as st
from signal_world import (
    BATTERY,
    BUZZER,
    DOOR,
    KEY,
    KEYS,
    LAMP,
    MAINS,
    RELAY,
    SIREN_A,
    SIREN_B,
    TROUBLE,
    SignalWorld,
)

from agent.core import view
from agent.core.types import ClockState, Notice, Verb
from config.limits import CALL_FAILED_NS, DUTY_WAIT_NS, INPUT_STUCK_NS, LAMP_HOLD_NS, MS, S
from config.plan import SelfTest
from config.words import Flag, Lane
from drivers.reading import InputLevel

MANUAL = int(Flag.MANUAL)


def well(tests: SelfTest | None = None, **more: Any) -> SignalWorld:
    """A gateway that knows its building, with its mains there; the door is closed."""
    w = SignalWorld(tests, **more)
    w.run(recalled=b"")
    w.quiet(4)
    for k in (MAINS, BATTERY):
        w.level(k, False)
    w.reads()
    return w


def said(records: list[Any], what: str) -> list[dict[str, Any]]:
    return [r.body for r in records if r.what == what]


def test_all_is_well_shows_the_mains_and_energises_the_fault_output() -> None:
    w = well()
    assert w.lit() == {"mains"}
    assert set(w.on) == {LAMP["mains"]}
    assert TROUBLE not in w.on


# --- keys -----------------------------------------------------------------------------------


def test_a_key_does_what_its_verb_does_with_its_name_in_the_record() -> None:
    w = well()
    w.sample({**normal(), A: 60.0}, 3)
    assert w.on[SIREN_A] == "evacuate"
    assert w.on[BUZZER] == "tone-fire"
    out = w.press("acknowledge")
    assert said(out, "operator")[0] | {"points": 0} == {
        "verb": "acknowledge", "who": "input acknowledge", "source": "input", "points": 0,
    }  # fmt: skip
    assert BUZZER not in w.on
    assert SIREN_A in w.on
    w.press("silence")
    assert SIREN_A not in w.on
    w.quiet(4)
    w.press("reset")
    assert not w.flags(A) & FIRE


@pytest.mark.parametrize("name", KEYS)
def test_a_bounce_or_a_held_key_presses_once(name: str) -> None:
    w = well()
    k = KEY[name]
    w.level(k, False)
    verbs = []
    for ms in range(0, 40, 4):
        w.ns += 4 * MS
        verbs += said(w.run(levels=(InputLevel(k, w.ns, ms % 8 == 0),)), "operator")
    assert verbs == []
    w.ns += MS
    w.run(levels=(InputLevel(k, w.ns, True),))
    for _ in range(5):
        w.ns += 100 * MS
        verbs += said(w.run(), "operator")
    assert len(verbs) == 1


def test_a_press_between_two_cycles_counts() -> None:
    w = well()
    k = KEY["acknowledge"]
    w.level(k, False)
    t = w.ns
    w.ns += S
    out = w.run(levels=(InputLevel(k, t + 1, True), InputLevel(k, t + 120 * MS, False)))
    assert len(said(out, "operator")) == 1


def test_a_key_that_is_pressed_at_the_start_acts_only_as_the_manual_alarm() -> None:
    for name in KEYS:
        w = well()
        out = w.level(KEY[name], True)
        assert bool(said(out, "operator")) == (name == "manual"), name


def test_a_stuck_key_and_a_lost_input_are_faults_until_they_end() -> None:
    w = well()
    k = KEY["duty"]
    w.level(k, False)
    w.level(k, True)
    w.wait(INPUT_STUCK_NS // S + 1)
    assert "fault" in w.lit()
    assert TROUBLE in w.on
    w.level(k, False)
    assert "fault" not in w.lit()
    out = w.level(k, None)
    assert said(out, "input")[0]["fault"] is True
    assert view.status(w.state, w.now())["inputs"][k]["lost"] is True
    out = w.level(k, False)
    assert said(out, "input")[0]["fault"] is False
    assert said(out, "operator") == []


def test_mains_and_battery_and_the_door() -> None:
    w = well()
    out = w.level(MAINS, True)
    assert said(out, "input")[0]["text"] == "mains lost: the standby supply carries"
    assert w.lit() == {"standby", "fault"}
    assert w.on[BUZZER] == "tone-fault"
    w.verb(Verb.ACKNOWLEDGE)
    assert BUZZER not in w.on
    w.level(MAINS, False)
    assert w.lit() == {"mains"}
    w.level(BATTERY, True)
    assert w.on[BUZZER] == "tone-fault"
    w.level(BATTERY, False)
    w.sample({**normal(), CONTACT: int(Flag.ACTIVATED)}, 3)
    status = view.status(w.state, w.now())
    assert status["inputs"][DOOR]["active"] is True
    assert {"source": "input/door", "text": "the cabinet is open"} in status["faults"]


# --- the manual alarm -----------------------------------------------------------------------


def test_the_manual_alarm_is_a_fire_of_its_own_until_reset() -> None:
    w = well()
    w.level(KEY["manual"], False)
    w.level(KEY["manual"], True)
    (body,) = [r.body for r in w.records if r.lane is Lane.FIRE]
    assert (body["from"], body["to"], body["number"]) == (0, FIRE | MANUAL, 1)
    assert {"fire", "sending"} <= w.lit()
    assert w.on[BUZZER] == "tone-fire"
    status = view.status(w.state, w.now())
    assert status["first_alarm"]["name"] == "input manual"
    assert {"fire", "manual"} <= set(status["flags"])
    w.verb(Verb.RESET)
    assert w.state.signals.manual is not None, "its button is still down"
    w.level(KEY["manual"], False)
    w.verb(Verb.RESET)
    signals = w.state.signals
    assert signals.manual is None
    assert w.state.alarms.first is None
    assert "fire" not in w.lit()


def test_the_manual_alarm_outlives_a_power_cut() -> None:
    w = well()
    w.verb(Verb.MANUAL)
    again = SignalWorld(boot=b"another boot....", start_ns=w.ns)
    again.run(recalled=w.saved)
    assert again.state.signals.manual is not None
    assert again.on[BUZZER] == "tone-fire"
    assert [r.body["why"] for r in again.records if r.what == "manual"] == ["recalled"]


# --- duty checks ----------------------------------------------------------------------------


def test_a_duty_check_sounds_until_it_is_answered() -> None:
    w = well()
    w.asked()
    assert w.lit() == {"mains", "duty"}
    assert w.on[BUZZER] == "tone-duty"
    w.verb(Verb.ACKNOWLEDGE)
    assert w.on[BUZZER] == "tone-duty", "a key of its own answers it"
    out = w.press("duty")
    assert said(out, "operator")[0]["answered"] == ["city"]
    assert said(out, "duty") == [{"name": "city", "state": "answered"}]
    assert BUZZER not in w.on


@pytest.mark.parametrize("how", ["missed", "over"])
def test_a_duty_check_ends_by_itself(how: str) -> None:
    w = well()
    w.asked()
    if how == "over":
        w.asked(asked=False)
    else:
        w.ns += DUTY_WAIT_NS
        w.run()
    assert said(w.records, "duty")[-1] == {"name": "city", "state": how}
    assert w.on.get(BUZZER) != "tone-duty"
    assert "duty" not in w.lit()


def test_a_fire_is_heard_before_a_duty_check() -> None:
    w = well()
    w.asked()
    w.verb(Verb.MANUAL)
    assert w.on[BUZZER] == "tone-fire"
    w.verb(Verb.ACKNOWLEDGE)
    assert w.on[BUZZER] == "tone-duty"


# --- the call of a fire -----------------------------------------------------------------------


def test_a_call_is_sent_arrives_and_is_shown_for_five_minutes_after_its_fire() -> None:
    w = well()
    for name in ("city", "platform"):
        w.delivery(name, 0, 0)
    w.verb(Verb.MANUAL)
    assert "sending" in w.lit(), "before the record said anything"
    w.delivery("city", 1, 1)
    w.delivery("platform", 1, 1)
    w.delivery("city", 1, 0)
    assert {"sending"} == w.lit() & {"sending", "sent", "failed"}
    w.delivery("platform", 1, 0)
    assert {"sent"} == w.lit() & {"sending", "sent", "failed"}
    w.wait(10)
    w.verb(Verb.RESET)
    for name in ("city", "platform"):
        w.delivery(name, 2, 0)
    w.ns += LAMP_HOLD_NS - S
    w.run()
    assert "sent" in w.lit()
    w.ns += 2 * S
    w.run()
    assert "sent" not in w.lit()


@pytest.mark.parametrize("record", [True, False])
def test_a_call_that_does_not_arrive_fails_and_is_heard(record: bool) -> None:
    w = well()
    w.delivery("city", 0, 0)
    w.verb(Verb.MANUAL)
    w.verb(Verb.ACKNOWLEDGE)
    if record:
        w.delivery("city", 1, 1)
    assert "failed" not in w.lit()
    w.wait(CALL_FAILED_NS // S + 1)
    assert {"sending", "failed", "fault"} <= w.lit()
    assert w.on[BUZZER] == "tone-fault"
    w.delivery("city", 1, 1)
    w.delivery("city", 1, 0)
    assert "failed" not in w.lit()
    assert "sent" in w.lit()


# --- the fault output ---------------------------------------------------------------------------


def test_the_fault_output_is_released_by_any_fault_and_by_the_gateways_own() -> None:
    for source in ("field.safe_mode", "field.kernel"):
        w = well()
        w.run(notices=(Notice(source, True, "bad"),))
        assert w.on[TROUBLE] == "steady"
        w.run(notices=(Notice(source, False, "good"),))
        assert TROUBLE not in w.on
    w = well()
    w.tick(10)  # nothing is heard any more: detection is lost
    assert w.on[TROUBLE] == "steady"


def test_a_lamp_that_does_not_follow_is_a_fault_and_gets_no_record_otherwise() -> None:
    w = well()
    w.stuck[LAMP["mains"]] = False
    for _ in range(4):
        w.ns += S
        w.reads(written=False)
        w.run()
    assert "fault" in w.lit()
    assert not [r for r in w.records if r.what == "output" and "fault" not in r.body]


# --- tests of outputs -----------------------------------------------------------------------------


def test_a_siren_test_ends_by_itself_and_says_what_read_back() -> None:
    w = well()
    w.stuck[SIREN_B] = False
    out = w.verb(Verb.SIREN_TEST, duration_ns=5 * S)
    assert said(out, "operator")[0]["outputs"] == 2
    assert {SIREN_A, SIREN_B} <= set(w.on)
    assert not {SIREN_A, SIREN_B} & set(w.kept), "a crash does not sound them again"
    assert "test" in w.lit()
    w.reads()
    w.wait(5)
    assert not {SIREN_A, SIREN_B, RELAY} & set(w.on)
    assert said(w.records, "output_test") == [
        {"name": "stair_a", "test": "siren-test", "passed": True, "who": "eve"},
        {"name": "stair_b", "test": "siren-test", "passed": False, "who": "eve"},
    ]
    w.stuck.clear()
    w.reads()
    w.wait(5)
    w.reads()
    assert w.state.effects.faulted == set()


def test_one_output_by_name_and_with_a_pattern() -> None:
    w = well()
    w.verb(Verb.SIREN_TEST, target="output/relay", word="alert")
    assert w.on[RELAY] == "alert"
    assert SIREN_A not in w.on
    for more in ({"target": "output/attic"}, {"word": "waltz"}):
        assert "refused" in said(w.verb(Verb.SIREN_TEST, **more), "operator")[0]


def test_a_fire_ends_a_test_and_keeps_what_the_matrix_wants() -> None:
    w = well()
    w.verb(Verb.SIREN_TEST, duration_ns=60 * S)
    w.sample({**normal(), A: 60.0}, 3)
    assert w.on[SIREN_A] == "evacuate"
    assert {k for k, on in w.kept.items() if on} == {SIREN_A, SIREN_B} & set(w.on)
    assert w.on[SIREN_B] == "alert", "the matrix wants it for the pre-alarm"
    assert "refused" in said(w.verb(Verb.SIREN_TEST), "operator")[0]


def test_silence_ends_a_test() -> None:
    w = well()
    w.verb(Verb.SIREN_TEST, duration_ns=60 * S)
    w.verb(Verb.SILENCE)
    assert SIREN_A not in w.on
    assert all(body["cut"] for body in said(w.records, "output_test"))


def test_a_lamp_test_lights_everything_but_the_fault_output_and_ends() -> None:
    w = well()
    w.verb(Verb.LAMP_TEST)
    assert set(w.on) == {*LAMP.values(), BUZZER}
    w.wait(11)
    assert set(w.on) == {LAMP["mains"]}


SCHEDULE = SelfTest(silent_ns=24 * 3600 * S, weekday=0, minute=600, duration_ns=3 * S,
                    offset_s=8 * 3600)  # fmt: skip
MONDAY_10_LOCAL = 1_767_578_400 * S  # 2026-01-05 02:00 UTC


def test_the_silent_test_writes_once_more_and_sounds_nothing() -> None:
    w = well(SCHEDULE)
    w.stuck[RELAY] = True
    w.wait(61)
    assert set(w.again) == {SIREN_A, SIREN_B, RELAY}
    w.wait(12)
    assert not {SIREN_A, SIREN_B, RELAY} & set(w.on)
    tests = {body["name"]: body["passed"] for body in said(w.records, "output_test")}
    assert tests == {"stair_a": True, "stair_b": True, "relay": False}


@pytest.mark.parametrize(
    ("late_s", "clock", "sounds"),
    [(0, ClockState.SYNCHRONISED, True), (-30, ClockState.SYNCHRONISED, False),
     (599, ClockState.HOLDOVER, True), (610, ClockState.SYNCHRONISED, False),
     (0, ClockState.UNSET, False), (24 * 3600, ClockState.SYNCHRONISED, False)],
)  # fmt: skip
def test_the_audible_test_comes_once_a_week_by_day_with_a_clock(
    late_s: int, clock: ClockState, sounds: bool
) -> None:
    w = well(SCHEDULE)
    w.clock = clock
    w.wall_ns = MONDAY_10_LOCAL + late_s * S - w.ns - 2 * S
    w.wait(2)
    assert (SIREN_A in w.on) is sounds
    w.wait(6)
    assert SIREN_A not in w.on
    assert len(said(w.records, "output_test")) == (2 if sounds else 0)


# --- whatever happens ---------------------------------------------------------------------

Op = st.one_of(
    st.tuples(st.just("level"), st.integers(0, BATTERY), st.sampled_from([True, False, None])),
    st.tuples(st.just("verb"), st.sampled_from(list(Verb))),
    st.tuples(st.just("fire"), st.booleans()),
    st.tuples(st.just("asked"), st.booleans()),
    st.tuples(st.just("delivery"), st.integers(0, 3), st.integers(0, 2)),
    st.tuples(st.just("reads"), st.booleans()),
    st.tuples(st.just("wait"), st.integers(1, 12)),
    st.just(("restart",)),
)


@settings(max_examples=60)
@given(st.lists(Op, max_size=25))
def test_nothing_sounds_without_a_cause_and_every_fire_is_heard(ops: list[Any]) -> None:
    w = well(SelfTest(silent_ns=3600 * S))
    for op in ops:
        if op[0] == "level":
            w.level(op[1], op[2])
        elif op[0] == "verb":
            w.verb(op[1])
        elif op[0] == "fire":
            w.sample({**normal(), BUTTON: FIRE | MANUAL if op[1] else 0}, 2)
        elif op[0] == "asked":
            w.asked(asked=op[1])
        elif op[0] == "delivery":
            w.delivery("city", op[1], op[2])
        elif op[0] == "reads":
            w.reads(op[1])
        elif op[0] == "wait":
            w.wait(op[1])
        else:
            new = SignalWorld(start_ns=w.ns + S)
            new.saved = w.saved
            new.run(recalled=w.saved or b"")
            w = new
        state, s = w.state, w.state.signals
        fire = s.manual is not None or bool(state.alarms.vote.any())
        tested = {k for k, t in s.trials.running.items() if t.sounds}
        sirens = {SIREN_A, SIREN_B, RELAY} & set(w.on)
        caused = {k for k, c in state.effects.commanded.items() if c.on}
        assert sirens <= tested | caused
        general = state.effects.evacuate
        assert fire or general or not caused or state.alarms.flags.any()
        assert not (tested and fire)
        lamp_test = w.ns < s.lamp_test_ns
        if not lamp_test:
            assert ("fire" in w.lit()) == fire
            assert ("duty" in w.lit()) == bool(s.duty)
            tone = w.on.get(BUZZER, "")
            assert tone in ("", "tone-fire", "tone-duty", "tone-fault")
            assert (tone == "tone-fire") == (fire and s.fire_unseen)
            assert tone != "tone-fault" or "fault" in w.lit()
            assert (TROUBLE in w.on) == ("fault" in w.lit() or not s.watching)
