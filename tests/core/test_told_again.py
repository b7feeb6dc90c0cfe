"""What is read, told, ordered or pressed before the memory of the life before it comes."""

from __future__ import annotations

from core_world import CONTACT, FIRE, TEST, A, World, normal, of
from signal_world import BUZZER, SignalWorld
from test_fires_told import begun, raised, status
from test_investigation import burning, held
from test_investigation import world as by_day
from test_matrix_general import ALL, cn
from test_panel_book import tell, world

from agent.core.delay import Phase as Waiting
from agent.core.types import Verb
from config.limits import PANEL_ALARMS_MAX, S
from config.words import Flag
from drivers.reading import PanelEvent, PanelKind


def told(w: World, address: str, *, clears: bool = False) -> None:
    w.ns += 1
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, address, "text", clears=clears),))


def test_a_fire_that_a_panel_tells_again_is_the_one_that_it_was() -> None:
    w = raised("panel")
    w.verb(Verb.ACKNOWLEDGE)
    w.verb(Verb.SILENCE)
    after = SignalWorld(start_ns=w.ns + S)
    told(after, "1")
    assert after.on[BUZZER] == "tone-fire", "nobody may have seen it: it does not wait"
    after.run(recalled=w.saved)
    shown = status(after)
    assert (shown["alarms"], shown["alarm_count"], shown["unacknowledged"]) == (1, 1, 0)
    assert [row["number"] for row in shown["last_alarms"]] == [1]
    assert shown["silenced"]
    assert after.on.get(BUZZER) != "tone-fire"
    told(after, "2")
    shown = status(after)
    assert (shown["alarm_count"], shown["unacknowledged"], shown["silenced"]) == (2, 1, False)
    assert after.on[BUZZER] == "tone-fire"


def test_another_fire_that_a_panel_told_meanwhile_is_a_new_one() -> None:
    w = raised("panel")
    w.verb(Verb.ACKNOWLEDGE)
    w.verb(Verb.SILENCE)
    after = SignalWorld(start_ns=w.ns + S)
    told(after, "2")
    after.run(recalled=w.saved)
    shown = status(after)
    assert (shown["alarms"], shown["alarm_count"], shown["unacknowledged"]) == (2, 2, 1)
    assert not shown["silenced"]
    assert after.on[BUZZER] == "tone-fire"


def test_what_a_panel_took_back_meanwhile_does_not_come_back() -> None:
    for how in ("one", "all"):
        w = world()
        tell(w, FIRE, "1")
        after = type(w)(w.plan, start_ns=w.ns + S, held=frozenset(w.on))
        if how == "one":
            tell(after, FIRE, "1", clears=True)
        else:
            tell(after, FIRE, "", clears=True, kind=PanelKind.CLEAR_ALL)
        after.run(recalled=w.saved)
        assert not after.state.book.standing, how
        tell(after, FIRE, "1")
        assert after.on == {0: "evacuate"}, "the next one counts"
        again = type(w)(w.plan, start_ns=after.ns + S)
        again.run(recalled=after.saved)
        assert again.on == {0: "evacuate"}, "and is remembered"


def test_a_fire_that_a_full_book_has_under_the_panel_outlives_a_restart() -> None:
    w = world()
    for n in range(PANEL_ALARMS_MAX):
        w.state.book.standing[1, f"a{n}"] = int(Flag.SUPERVISORY)
    tell(w, FIRE, "one more")
    assert w.state.book.votes == {(1, ""): False}
    w.order(Verb.ACKNOWLEDGE)
    after = type(w)(w.plan, start_ns=w.ns + S)
    after.run(recalled=w.saved)
    assert after.on == {0: "evacuate"}
    assert status(after)["alarms"] == 1
    assert len(after.state.book.standing) == PANEL_ALARMS_MAX + 1


def test_whoever_acknowledged_a_system_has_not_seen_its_component() -> None:
    w = cn()
    tell(w, FIRE, "1.1")
    w.order(Verb.ACKNOWLEDGE)
    record, *_ = of(tell(w, FIRE, "1.1/10-2"), "panel/panel/1.1/10-2")
    assert record.body["number"] == 2
    assert status(w)["unacknowledged"] == 1
    assert w.on != ALL, "one device all the same"


def test_a_system_that_is_told_after_its_component_was_acknowledged_hides_no_other() -> None:
    w = SignalWorld()
    w.quiet()
    told(w, "1.1/10-2")
    w.verb(Verb.ACKNOWLEDGE)
    told(w, "1.1")
    assert (status(w)["unacknowledged"], status(w)["alarm_count"]) == (0, 1)
    told(w, "1.1/10-2", clears=True)
    assert (status(w)["unacknowledged"], status(w)["alarms"]) == (0, 1)
    assert w.on.get(BUZZER) != "tone-fire"
    told(w, "1.1/10-3")
    assert (status(w)["unacknowledged"], status(w)["alarm_count"]) == (1, 2)
    assert w.on[BUZZER] == "tone-fire"


def test_an_alarm_that_was_acknowledged_before_the_memory_came_stays_so() -> None:
    w = raised("point")
    w.verb(Verb.ACKNOWLEDGE)
    after = SignalWorld(start_ns=w.ns + S)
    told(after, "2")
    after.verb(Verb.ACKNOWLEDGE)
    after.run(recalled=w.saved)
    assert after.on.get(BUZZER) != "tone-fire"
    last = begun(after.saved, b"another boot id.")
    assert status(last)["unacknowledged"] == 0
    assert last.on.get(BUZZER) != "tone-fire"


def test_a_recalled_investigation_does_not_hold_back_the_general_alarm_ordered_since() -> None:
    for verb in (Verb.EVACUATE, Verb.MANUAL):
        w = burning(by_day())
        assert w.state.delay.phase is not Waiting.NONE
        after = World(w.plan, start_ns=w.ns + S)
        after.wall0 = w.wall0
        after.order(verb)
        after.run(recalled=w.saved)
        assert after.state.delay.phase is Waiting.NONE, verb
        assert after.state.alarms.vote[CONTACT]
        assert not held(after)


def test_a_disabled_contact_that_is_quiet_again_is_no_alarm_after_a_restart() -> None:
    w = World()
    w.quiet()
    w.order(Verb.DISABLE, target="point/contact")
    w.sample({**normal(), CONTACT: FIRE}, 2)
    after = World(start_ns=w.ns + S)
    after.quiet(1)
    after.run(recalled=w.saved)
    assert after.state.alarms.count == 0
    assert after.on == {}


def test_a_fire_that_was_gone_and_is_back_before_the_memory_of_it_is_a_new_alarm() -> None:
    w = World()
    w.sample({**normal(), CONTACT: FIRE}, 2)
    w.order(Verb.ACKNOWLEDGE)
    w.order(Verb.SILENCE)
    w.quiet(2)
    after = World(start_ns=w.ns + S)
    after.sample({**normal(), CONTACT: FIRE}, 1)
    after.run(recalled=w.saved)
    assert after.on == {1: "pulse"}
    assert not after.state.alarms.acked[CONTACT]
    assert status(after)["alarm_count"] == 2


def test_alarms_of_before_stand_before_those_that_were_read_first() -> None:
    w = World()
    w.sample({**normal(), A: 80.0}, 4)
    after = World(start_ns=w.ns + S)
    after.sample({**normal(), CONTACT: FIRE}, 1)
    after.run(recalled=w.saved)
    assert list(after.state.alarms.order) == [A, CONTACT]


def test_a_fire_that_was_read_before_the_memory_of_a_walk_test_ends_that_test() -> None:
    w = World()
    w.quiet()
    w.order(Verb.TEST, target="zone/contacts")
    after = World(start_ns=w.ns + S)
    after.sample({**normal(), CONTACT: FIRE}, 1)
    after.run(recalled=w.saved)
    assert status(after)["test"] is None
    assert after.state.alarms.vote[CONTACT]
    assert not after.flags(CONTACT) & TEST
    (ends,) = [r.body for r in after.records if r.what == "test"]
    assert ends["why"] == "a fire since the start"
