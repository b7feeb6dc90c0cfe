"""What panels tell as events: one address, all addresses, silence, notes and their clocks."""

from __future__ import annotations

from typing import Any

import pytest
from core_world import DISABLED, FAULT, FIRE, PRE, World, of, plan_of

from agent.core import memory, view
from config.limits import INPUTS_PER_CYCLE_MAX, PANEL_ALARMS_MAX
from config.plan import Effect, Panel
from config.words import Lane
from drivers.reading import LineState, PanelEvent, PanelKind

PANEL = 1  # the device of core_world that two effects watch for fire


def world(*effects: Effect) -> World:
    plan = plan_of(effects=(Effect("device", PANEL, FIRE, (0,)), *effects))
    port = Panel(PANEL, "printer", "text", "ascii", 0, "line", b"", b"", "", "2", "", "", ())
    object.__setattr__(plan, "panels", (port,))
    made = World(plan)
    made.run()
    return made


def tell(w: World, flags: int, address: str = "1", **more: Any) -> list[Any]:
    w.ns += 1
    return w.run(panel_events=(PanelEvent(PANEL, w.ns, flags, address, "text", **more),))


def test_a_reset_clears_all_addresses_of_its_panel_and_only_what_it_names() -> None:
    w = world()
    for address in ("1", "2"):
        tell(w, FIRE | FAULT, address)
    w.run(panel_events=(PanelEvent(0, w.ns, FIRE, "1", "another panel"),))
    assert w.on == {0: "evacuate"}
    out = tell(w, FIRE | PRE, "", clears=True, kind=PanelKind.CLEAR_ALL)
    assert w.state.book.standing == {(PANEL, "1"): FAULT, (PANEL, "2"): FAULT, (0, "1"): FIRE}
    assert [r.lane for r in of(out, "panel/panel/1")] == [Lane.FIRE]
    assert of(out, "panel/panel/clear_all")[0].body["event"] == "clear_all"
    assert w.on == {}


def test_a_reset_is_in_the_record_even_when_nothing_stood() -> None:
    (record,) = tell(world(), FIRE, "", clears=True, kind=PanelKind.CLEAR_ALL)
    assert (record.lane, record.what) == (Lane.EVENT, "panel")


def test_the_panels_silence_holds_until_its_next_fire() -> None:
    w = world()
    tell(w, FIRE, "1")
    tell(w, 0, "", kind=PanelKind.SILENCE)
    assert w.on == {}
    tell(w, FAULT, "2")
    assert w.on == {}
    tell(w, FIRE, "3")
    assert w.on == {0: "evacuate"}
    tell(w, 0, "", kind=PanelKind.SILENCE)
    tell(w, 0, "", kind=PanelKind.SOUND)
    assert w.on == {0: "evacuate"}
    assert view.status(w.state, w.now())["panels"][0]["silenced"] is False


def test_a_silence_at_the_panel_leaves_our_own_detectors_alone() -> None:
    w = world(Effect("zone", 0, FIRE, (1,)))
    tell(w, FIRE, "1")
    w.quiet()
    w.sample({0: 70.0}, 3)
    assert set(w.on) == {0, 1}
    tell(w, 0, "", kind=PanelKind.SILENCE)
    assert set(w.on) == {1}


def test_notes_and_clocks_are_records_and_no_states() -> None:
    w = world()
    (note,) = tell(w, 0, "", kind=PanelKind.NOTE, panel_time="08:35")
    assert (note.body["event"], note.body["panel_time"]) == ("note", "08:35")
    (clock,) = tell(w, 0, "clock", kind=PanelKind.CLOCK, skew_s=312)
    assert clock.body["skew_s"] == 312
    assert w.state.book.standing == {}
    assert w.on == {}


def test_a_disabled_address_calls_nobody() -> None:
    w = world()
    tell(w, DISABLED, "1")
    tell(w, FIRE, "1")
    assert w.on == {}
    tell(w, FIRE, "2")
    assert w.on == {0: "evacuate"}


def test_a_lost_panel_is_a_fault_that_effects_see_and_its_fire_stands() -> None:
    w = world(Effect("device", PANEL, FAULT, (1,)))
    tell(w, FIRE, "1")
    w.run(lines=(LineState(1, w.ns, up=False, text="unplugged"),))
    assert set(w.on) == {0, 1}
    row = view.status(w.state, w.now())["panels"][0]
    assert (row["lost"], row["supervised"], row["told"]) == (True, False, 1)
    w.run(lines=(LineState(1, w.ns, up=True),))
    assert set(w.on) == {0}


def test_a_flood_of_addresses_is_bounded_and_loses_no_fire() -> None:
    w = world()
    events = [PanelEvent(PANEL, w.ns, FAULT, f"a{i}", "") for i in range(2 * PANEL_ALARMS_MAX)]
    events.append(PanelEvent(PANEL, w.ns, FIRE, "new", ""))
    for at in range(0, len(events), INPUTS_PER_CYCLE_MAX):
        w.run(panel_events=tuple(events[at : at + INPUTS_PER_CYCLE_MAX]))
    assert len(w.state.book.standing) <= PANEL_ALARMS_MAX + 1
    assert w.state.book.standing[PANEL, ""] & FIRE
    assert w.on == {0: "evacuate"}
    assert w.saved is not None
    assert len(memory.decode(w.saved).panel) == len(w.state.book.standing)
    tell(w, FIRE | FAULT, "", clears=True, kind=PanelKind.CLEAR_ALL)
    assert w.state.book.standing == {}


@pytest.mark.parametrize("kind", list(PanelKind))
def test_every_kind_is_taken(kind: PanelKind) -> None:
    w = world()
    tell(w, FIRE, "1", kind=kind)
    assert w.on == ({0: "evacuate"} if kind is PanelKind.STATE else {})
