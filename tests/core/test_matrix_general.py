"""The general alarm: of two devices, a call point, a zone that counts itself, and the guard."""

from __future__ import annotations

from core_world import BUTTON, FIRE, PANEL1, PANEL2, A, B, C, World, normal, of
from matrix_world import clear, fire, row, rows

from agent.core import view
from agent.core.types import Verb
from config.plan import Effect
from config.words import Flag
from drivers.reading import PanelEvent, PanelKind

MANUAL = int(Flag.MANUAL)


def cn(*more: Effect) -> World:
    return rows(
        Effect("zone", 0, FIRE, (0,), region="cn"),
        Effect("device", 1, FIRE, (1,), region="cn"),
        Effect("zone", 1, FIRE, (3,), region="cn"),
        Effect("zone", 2, FIRE, (4,), region="cn"),
        *more,
    )


ALL = dict.fromkeys((0, 1, 3, 4), "evacuate")


def test_cn_one_detector_warns_and_two_are_the_general_alarm() -> None:
    w = cn()
    fire(w, A)
    assert w.on == {0: "alert"}
    fire(w, A, PANEL1)
    assert w.on == ALL, "all sirens together"
    starts = {r.mono_ns for r in w.records if r.what == "output" and r.body["pattern"]}
    assert len(starts) == 2
    w.order(Verb.SILENCE)
    assert not w.on, "all stop together"
    fire(w, A, PANEL1, PANEL2)
    assert w.on == ALL, "and sound again with the next"
    w.quiet(90)
    w.order_reset()
    assert not w.on


def test_cn_a_call_point_or_the_guard_is_the_general_alarm() -> None:
    w = cn()
    w.sample({**normal(), BUTTON: FIRE | MANUAL}, 1)
    assert w.on == ALL
    clear(w)
    assert not w.on
    w.order(Verb.EVACUATE)
    assert w.on == ALL
    assert view.status(w.state, w.now())["effects"]["general"] == "guard"
    w.order(Verb.SILENCE)
    assert not w.on
    fire(w, A)
    assert w.on == ALL, "a new alarm ends the silence"
    clear(w)
    assert not w.on
    told = [(r.body["on"], r.body["why"]) for r in of(w.records, "effect/general")]
    assert told == [(True, "manual"), (False, ""), (True, "guard"), (False, "")]


def test_cn_a_first_knock_in_a_zone_of_two_warns() -> None:
    w = cn()
    fire(w, C)
    assert w.on == {3: "alert"}
    fire(w, C, B)
    assert w.on == ALL


def test_cn_a_zone_that_counts_itself_is_confirmed() -> None:
    """One healthy detector is left of two: a single alarm counts, and there is no second."""
    w = cn()
    values = {k: v for k, v in normal().items() if k != B}
    w.sample(values, 8)
    w.sample({**values, C: 70.0}, 3)
    assert w.on == ALL


def test_cn_two_values_of_one_head_are_one_device() -> None:
    w = cn()
    w.state.effects.tables.kind[B] = 99  # another quantity of the same unit
    w.state.effects.tables.own[B] = False
    fire(w, A, B)
    assert w.on[0] == "alert"
    assert w.on[3] == "alert"
    fire(w, A, B, C)
    assert w.on == ALL, "two heat detectors"


def test_cn_a_row_may_say_its_own() -> None:
    w = cn(row(C, outputs=(2,), pattern="evacuate"))
    fire(w, C)
    assert w.on == {2: "evacuate", 3: "alert"}


def test_cn_the_general_alarm_of_a_panel_follows_its_silence() -> None:
    w = cn()
    for at in ("L1 D1", "L1 D2"):
        w.run(panel_events=(PanelEvent(1, w.ns, Flag.FIRE, at, ""),))
    assert w.on == ALL
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.NONE, "", "", kind=PanelKind.SILENCE),))
    assert not w.on
    w.run(panel_events=(PanelEvent(1, w.ns, Flag.NONE, "", "", kind=PanelKind.SOUND),))
    assert w.on == ALL


def test_eu_the_row_as_written() -> None:
    w = rows(Effect("zone", 0, FIRE, (0,)), Effect("device", 1, FIRE, (1,)))
    fire(w, A)
    assert w.on == {0: "evacuate"}
    fire(w, A, PANEL1)
    assert w.on == {0: "evacuate", 1: "evacuate"}
    clear(w)
    w.order(Verb.EVACUATE)
    assert w.on == {0: "evacuate", 1: "evacuate"}
