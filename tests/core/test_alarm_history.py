"""The last alarms and what people say of them; alarms that come back; a panel's own silence."""

from __future__ import annotations

import pytest
from core_world import CONTACT, FIRE, A, World, normal, of
from test_disablement import crash, power_cut

from agent.core import classify, view
from agent.core.types import Verb
from config.limits import PAST_ALARMS_MAX, RESOUND_NS, S
from config.words import Flag, Lane
from drivers.reading import PanelEvent, PanelKind


def fire(w: World) -> World:
    w.quiet()
    w.sample({**normal(), CONTACT: FIRE}, 1)
    return w


@pytest.mark.parametrize("target", ["point/contact", "alarm/1"])
@pytest.mark.parametrize("word", classify.WORDS)
def test_an_alarm_is_classified_afterwards(target: str, word: str) -> None:
    w = fire(World())
    w.quiet()
    w.order(Verb.RESET)
    out = w.order(Verb.CLASSIFY, target=target, word=word, why="burnt toast")
    record = of(out, "alarm/1")[0]
    assert record.lane is Lane.EVENT
    assert record.what == "classification"
    assert record.body == {
        "number": 1, "source": "point/109", "name": "contact", "word": word, "was": "",
        "wall_ns": w.state.alarms.last[0].wall_ns, "why": "burnt toast", "who": "eve",
    }  # fmt: skip
    assert view.status(w.state, w.now())["last_alarms"][0]["word"] == word
    assert of(w.order(Verb.CLASSIFY, target=target, word="real"), "alarm/1")[0].body["was"] == word


@pytest.mark.parametrize(
    ("target", "word", "why"),
    [
        ("point/heat_a", "real", "no alarm is known as"),
        ("alarm/2", "real", "no alarm is known as"),
        ("contact", "real", "no alarm is known as"),
        ("alarm/1", "perhaps", "expected one of real, false, test"),
    ],
)
def test_what_cannot_be_classified_is_refused(target: str, word: str, why: str) -> None:
    w = fire(World())
    out = w.order(Verb.CLASSIFY, target=target, word=word)
    assert why in out[0].body["error"]
    assert len(out) == 1


def test_the_last_alarms_are_bounded_in_order_and_outlive_a_power_cut() -> None:
    w = World()
    for _ in range(PAST_ALARMS_MAX + 3):
        fire(w)
        w.quiet()
        w.order(Verb.RESET)
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "L1D9", "fire"),))
    rows = view.status(w.state, w.now())["last_alarms"]
    assert len(rows) == PAST_ALARMS_MAX
    assert [row["number"] for row in rows[:3]] == [104, 103, 102]
    assert rows[0]["name"] == "panel L1D9"
    w.order(Verb.CLASSIFY, target="panel/panel L1D9", word="test")
    again = power_cut(w)
    assert view.status(again.state, again.now())["last_alarms"][0]["word"] == "test"
    assert view.status(again.state, again.now())["last_alarms"][1:] == rows[1:]


@pytest.mark.parametrize("kept", [None, 3, [[]], [[1, 2, 3, 4, 5]], [["1", "", "", 1, ""]]])
def test_damaged_alarms_of_the_past_are_forgotten(kept: object) -> None:
    w = fire(World())
    classify.restore(w.state, kept)
    assert [past.number for past in w.state.alarms.last] == [1]


# --- the same fire again ------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [Verb.SILENCE, Verb.ACKNOWLEDGE])
def test_a_known_fire_that_was_gone_and_comes_back_is_a_new_alarm(verb: Verb) -> None:
    w = fire(World())
    w.order(verb)
    w.quiet(RESOUND_NS // S)
    out = w.sample({**normal(), CONTACT: FIRE}, 1)
    record = of(out, "point/109")[0]
    assert (record.lane, record.body["number"]) == (Lane.FIRE, 2)
    assert 1 in w.on
    assert not w.state.alarms.acked[CONTACT]
    assert w.state.alarms.first is not None
    assert w.state.alarms.first.mono_ns < w.ns - RESOUND_NS, "the first alarm stays frozen"


@pytest.mark.parametrize("how", ["too soon", "unknown to all", "disabled"])
def test_else_it_is_the_same_alarm(how: str) -> None:
    w = fire(World())
    if how != "unknown to all":
        w.order(Verb.SILENCE)
    if how == "disabled":
        w.order(Verb.DISABLE, target="point/contact")
    w.quiet(RESOUND_NS // S - 2 if how == "too soon" else RESOUND_NS // S)
    before = dict(w.on)
    w.sample({**normal(), CONTACT: FIRE}, 1)
    assert w.state.alarms.count == 1
    assert w.on == before
    assert w.state.alarms.vote[CONTACT]


def test_a_second_alarm_keeps_the_first_in_front() -> None:
    w = fire(World())
    w.sample({**normal(), CONTACT: FIRE, A: 80.0}, 3)
    w.order(Verb.SILENCE)
    w.sample({**normal(), A: 80.0}, RESOUND_NS // S)
    w.sample({**normal(), CONTACT: FIRE, A: 80.0}, 1)
    found = view.status(w.state, w.now())
    assert [row["name"] for row in found["active"]][:2] == ["contact", "heat_a"]
    assert found["first_alarm"]["name"] == "contact"
    assert found["alarm_count"] == 3


# --- a panel's own silence ------------------------------------------------------------------------


def silenced_at_the_panel() -> World:
    w = World()
    w.quiet()
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "L1D9", "fire"),))
    assert set(w.on) == {0, 1}
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.NONE, "", "silenced", kind=PanelKind.SILENCE),))
    assert w.on == {}
    return w


@pytest.mark.parametrize("restart", [crash, power_cut])
def test_a_panels_own_silence_outlives_a_restart(restart: object) -> None:
    assert callable(restart)
    w = restart(silenced_at_the_panel())
    w.quiet(5)
    assert w.on == {}
    assert w.state.book.standing
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "L1D8", "fire"),))
    assert set(w.on) == {0, 1}


def test_a_fire_that_the_panel_told_meanwhile_is_not_silenced_by_what_is_recalled() -> None:
    old = silenced_at_the_panel()
    w = World(start_ns=old.ns + S)
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, "L1D8", "fire"),))
    w.run(recalled=old.saved)
    assert set(w.on) == {0, 1}


def test_what_is_not_set_any_more_is_forgotten_in_the_snapshot() -> None:
    w = silenced_at_the_panel()
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.NONE, "", "on", kind=PanelKind.SOUND),))
    assert set(w.on) == {0, 1}
    w = crash(w)
    assert set(w.on) == {0, 1}
    assert not w.state.book.silenced
