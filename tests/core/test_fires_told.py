"""Fires that a panel tells: which count, each once; who has seen them; and the buzzer."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from core_world import DISABLED, FIRE, A, normal, of
from matrix_world import fire
from signal_world import BUZZER, SignalWorld
from test_matrix_general import ALL, cn
from test_panel_book import PANEL, tell, world

from agent.core import view
from agent.core.types import Verb
from config.limits import RESOUND_NS, S
from config.words import Flag, Lane
from drivers.reading import PANEL_WHOLE, PanelEvent, PanelKind

MANUAL = int(Flag.MANUAL)


def status(w: Any) -> dict[str, Any]:
    return view.status(w.state, w.now())


# --- one device, told more than once --------------------------------------------------------------


@pytest.mark.parametrize(
    "order",
    [("1.1/10-2", "1.1", PANEL_WHOLE), (PANEL_WHOLE, "1.1", "1.1/10-2"), ("1.1", "1.1/10-2")],
)
def test_a_fire_told_of_a_part_and_of_its_wholes_is_one_device(order: tuple[str, ...]) -> None:
    w = cn()
    for address in order:
        tell(w, FIRE, address)
        assert w.on == {1: "alert"}, address
        assert status(w)["alarms"] == 1
    assert w.state.alarms.count == 1
    assert len(w.state.alarms.last) == 1
    assert all(of(w.records, f"panel/panel/{a}")[0].lane is Lane.FIRE for a in order)
    tell(w, FIRE, "1.1/10-3")
    assert w.on == ALL, "two components are two devices"
    assert (w.state.alarms.count, status(w)["alarms"]) == (2, 2)
    tell(w, FIRE, "1.1/10-3", clears=True)
    assert (len(w.state.book.votes), status(w)["alarms"]) == (len(order), 1)


def test_two_systems_are_two_devices_and_one_beside_a_detector_of_ours_too() -> None:
    w = cn()
    for address in (PANEL_WHOLE, "1.1", "2.1"):
        tell(w, FIRE, address)
    assert w.on == ALL
    w = cn()
    tell(w, FIRE, "1.1")
    tell(w, FIRE, "1.1/10-2")
    assert w.on == {1: "alert"}
    fire(w, A)
    assert w.on == ALL


def test_a_call_point_that_only_the_whole_names_is_one() -> None:
    w = cn()
    tell(w, FIRE, "1.1/10-2")
    tell(w, FIRE | MANUAL, "1.1")
    assert w.on == ALL


def test_the_whole_remains_when_its_parts_are_taken_back() -> None:
    w = cn()
    for address in ("1.1", "1.1/10-2"):
        tell(w, FIRE, address)
    tell(w, FIRE, "1.1/10-2", clears=True)
    assert w.on == {1: "alert"}
    assert status(w)["alarms"] == 1
    tell(w, FIRE, "", clears=True, kind=PanelKind.CLEAR_ALL)
    assert w.on == {}
    assert w.state.book.parts == {}


# --- disabled at the panel ------------------------------------------------------------------------


def test_an_address_that_the_panel_disables_in_fire_stays_a_fire_until_our_reset() -> None:
    w = world()
    tell(w, FIRE, "1")
    tell(w, DISABLED, "1")
    assert w.on == {0: "evacuate"}
    assert status(w)["alarms"] == 1
    after = type(w)(w.plan, start_ns=w.ns + S, boot=b"another boot id.")
    after.run(recalled=w.saved)
    assert after.on == {0: "evacuate"}, "and over a power cut"
    out = after.order(Verb.RESET)
    assert after.on == {}
    (record,) = of(out, "panel/panel/1")
    assert (record.lane, record.body["to"], record.body["why"]) == (Lane.FIRE, DISABLED, "reset")
    assert of(out, "operator")[0].body["cleared"] == 1


def test_a_fire_of_a_disabled_address_counts_when_the_panel_enables_it() -> None:
    w = world()
    tell(w, FIRE | DISABLED, "1")
    assert (w.on, w.state.alarms.count, w.state.alarms.first) == ({}, 0, None)
    record, *_ = tell(w, DISABLED, "1", clears=True)
    assert (record.lane, record.body["number"]) == (Lane.FIRE, 1)
    assert w.on == {0: "evacuate"}
    assert w.state.alarms.first is not None


def test_our_reset_leaves_a_fire_that_the_panel_watches() -> None:
    w = world()
    tell(w, FIRE, "1")
    w.order(Verb.RESET)
    assert w.on == {0: "evacuate"}


# --- who has seen them ----------------------------------------------------------------------------


def begun(saved: bytes | None, boot: bytes) -> SignalWorld:
    w = SignalWorld(boot=boot)
    w.run(recalled=saved or b"")
    w.quiet(2)
    return w


def raised(what: str) -> SignalWorld:
    w = begun(None, b"boot-0123456789a")
    if what == "point":
        w.sample({**normal(), A: 70.0}, 3)
    elif what == "manual":
        w.verb(Verb.MANUAL)
    else:
        w.run(panel_events=(PanelEvent(PANEL, w.ns, Flag.FIRE, "1", "text"),))
    return w


@pytest.mark.parametrize("what", ["point", "panel", "manual"])
def test_every_fire_is_unacknowledged_until_somebody_acknowledges(what: str) -> None:
    w = raised(what)
    assert (status(w)["unacknowledged"], status(w)["alarms"]) == (1, 1)
    assert w.on[BUZZER] == "tone-fire"
    (record,) = of(w.verb(Verb.ACKNOWLEDGE), "operator")
    key = "points" if what == "point" else "others"
    assert record.body[key] == 1
    assert (status(w)["unacknowledged"], status(w)["alarms"]) == (0, 1)
    assert w.on.get(BUZZER, "").startswith("tone-fire") is False
    (again,) = of(w.verb(Verb.ACKNOWLEDGE), "operator")
    assert not again.body.get(key)


@pytest.mark.parametrize("boot", [b"boot-0123456789a", b"another boot id."])
@pytest.mark.parametrize("what", ["point", "panel", "manual"])
@pytest.mark.parametrize("acknowledged", [True, False])
def test_the_buzzer_after_a_restart_is_for_what_nobody_acknowledged(
    what: str, acknowledged: bool, boot: bytes
) -> None:
    w = raised(what)
    if acknowledged:
        w.verb(Verb.ACKNOWLEDGE)
    after = begun(w.saved, boot)
    assert status(after)["alarms"] == 1
    assert status(after)["unacknowledged"] == (not acknowledged)
    assert (after.on.get(BUZZER) == "tone-fire") is (not acknowledged)
    after.run(panel_events=(PanelEvent(PANEL, after.ns, Flag.FIRE, "2", "text"),))
    assert after.on[BUZZER] == "tone-fire", "a new one is heard"


def test_one_that_nobody_acknowledged_among_others_is_heard_after_a_restart() -> None:
    w = raised("point")
    w.verb(Verb.MANUAL)
    w.verb(Verb.ACKNOWLEDGE)
    w.run(panel_events=(PanelEvent(PANEL, w.ns, Flag.FIRE, "1", "text"),))
    after = begun(w.saved, b"another boot id.")
    assert status(after)["unacknowledged"] == 1
    assert after.on[BUZZER] == "tone-fire"


def test_a_manual_alarm_that_is_pressed_again_is_to_be_seen_again() -> None:
    w = raised("manual")
    w.verb(Verb.ACKNOWLEDGE)
    w.verb(Verb.MANUAL)
    assert status(w)["unacknowledged"] == 1
    assert w.on[BUZZER] == "tone-fire"


def test_a_point_that_comes_back_is_to_be_seen_again() -> None:
    w = raised("point")
    w.verb(Verb.ACKNOWLEDGE)
    w.sample(normal(), RESOUND_NS // S + 1)
    w.sample({**normal(), A: 70.0}, 3)
    assert status(w)["unacknowledged"] == 1
    assert w.on[BUZZER] == "tone-fire"


@pytest.mark.parametrize("marks", [b"", b"\x03\x03", "x", None, 7])
def test_damaged_marks_cost_no_fire(marks: object) -> None:

    w = raised("panel")
    w.verb(Verb.ACKNOWLEDGE)
    assert w.saved is not None
    top = cbor2.loads(w.saved)
    assert top["more"]["told"] == b"\x02"
    top["more"]["told"] = marks
    after = begun(cbor2.dumps(top, canonical=True), b"another boot id.")
    assert status(after)["alarms"] == status(after)["unacknowledged"] == 1
