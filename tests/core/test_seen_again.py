"""What people had seen is no news to them after a restart; what they were told is what was said."""

from __future__ import annotations

from core_world import CONTACT, FIRE, A, normal
from signal_world import BUZZER, LAMP, SignalWorld
from test_signals import well

from agent.core import view
from agent.core.types import Verb

HOT = {A: 70.0}


def burning() -> SignalWorld:
    w = well()
    w.sample({**normal(), **HOT}, 4)
    assert w.on[BUZZER] == "tone-fire"
    return w


def restarted(w: SignalWorld, *, read_first: bool) -> SignalWorld:
    """The process was killed; its readings come before the record's word, or after it."""
    new = SignalWorld(start_ns=w.ns)
    if read_first:
        new.sample({**normal(), **HOT}, 4)
        assert new.on[BUZZER] == "tone-fire", "nobody may have seen it: it does not wait"
    new.run(recalled=w.saved)
    new.sample({**normal(), **HOT}, 4)
    return new


def test_a_fire_that_was_seen_is_the_same_one_after_a_restart() -> None:
    for verb in (Verb.ACKNOWLEDGE, Verb.SILENCE):
        for read_first in (False, True):
            w = burning()
            w.verb(verb)
            assert w.on.get(BUZZER) != "tone-fire"
            new = restarted(w, read_first=read_first)
            status = view.status(new.state, new.now())
            assert new.on.get(BUZZER) != "tone-fire", (verb, read_first)
            assert (status["alarms"], status["alarm_count"]) == (1, 1)
            assert [a["number"] for a in status["last_alarms"]] == [1]
            assert status["unacknowledged"] == int(verb is Verb.SILENCE)
            new.sample({**normal(), **HOT, CONTACT: FIRE}, 4)
            assert new.on[BUZZER] == "tone-fire", "the next one sounds again"


def test_a_fire_that_nobody_saw_sounds_on_after_a_restart() -> None:
    for read_first in (False, True):
        new = restarted(burning(), read_first=read_first)
        assert new.on[BUZZER] == "tone-fire"
        assert view.status(new.state, new.now())["unacknowledged"] == 1


def test_a_fire_that_began_in_the_restart_sounds_beside_one_that_was_seen() -> None:
    w = burning()
    w.verb(Verb.ACKNOWLEDGE)
    new = SignalWorld(start_ns=w.ns)
    new.sample({**normal(), **HOT, CONTACT: FIRE}, 4)
    new.run(recalled=w.saved)
    new.sample({**normal(), **HOT, CONTACT: FIRE}, 4)
    status = view.status(new.state, new.now())
    assert new.on[BUZZER] == "tone-fire"
    assert (status["alarms"], status["alarm_count"], status["unacknowledged"]) == (2, 2, 1)


def test_a_manual_alarm_is_not_acknowledged_before_somebody_does() -> None:
    w = well()
    w.verb(Verb.MANUAL, why="smoke in the hall")
    said = [r.body for r in w.records if r.what == "operator"]
    assert said[0]["why"] == "smoke in the hall"
    status = view.status(w.state, w.now())
    assert status["unacknowledged"] == 1
    assert status["effects"]["general"] == "own"
    w.verb(Verb.ACKNOWLEDGE)
    said = [r.body for r in w.records if r.what == "operator"]
    assert (said[1]["points"], said[1]["others"]) == (0, 1)
    assert view.status(w.state, w.now())["unacknowledged"] == 0
    new = SignalWorld(start_ns=w.ns)
    new.run(recalled=w.saved)
    assert new.state.signals.manual is not None
    assert LAMP["fire"] in new.on
    assert BUZZER not in new.on


def test_every_order_is_on_record_with_what_was_said() -> None:
    w = well()
    w.verb(Verb.SIREN_TEST, target="output/siren_a", duration_ns=3 * 10**9)
    w.verb(Verb.EVACUATE, why="the guard saw flames")
    said = [r.body for r in w.records if r.what == "operator"]
    assert said[0]["target"] == "output/siren_a"
    assert said[0]["duration_s"] == 3
    assert said[1]["why"] == "the guard saw flames"


def test_what_does_not_count_is_no_fire_of_the_place() -> None:
    """A detector in a walk test, or a disabled one, shows its fire at its own row only."""
    for verb, target, word in (
        (Verb.TEST, "zone/contacts", "test"),
        (Verb.DISABLE, "zone/contacts", "disabled"),
    ):
        w = well()
        w.verb(verb, target=target)
        w.sample({**normal(), CONTACT: FIRE}, 3)
        status = view.status(w.state, w.now())
        assert word in status["flags"]
        assert "fire" not in status["flags"], status["flags"]
        assert any("fire" in row["flags"] for row in status["active"])
