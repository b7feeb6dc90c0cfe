"""Texts in the core: the last one is shown, a change is an event, none is ever an alarm."""

from __future__ import annotations

from dataclasses import replace

from core_world import World, of, plan_of

from agent.core import view
from config.limits import STALE_INTERVALS, TEXT_EVENT_NS_MIN, S
from config.plan import Text
from config.words import Lane
from drivers.reading import TextReading

TEXT = Text(300, "sensors.name", 0, 3, 100, 8, 10 * S, "ascii", False)


def world() -> World:
    return World(replace(plan_of(), texts=(TEXT, replace(TEXT, id=301, name="sensors.more"))))


def say(w: World, value: str | None, after_ns: int = S) -> list[dict[str, object]]:
    w.ns += after_ns
    records = of(w.run(texts=(TextReading(0, w.ns, value),)), "text/300")
    assert all((r.lane, r.what) == (Lane.EVENT, "text") for r in records)
    return [r.body for r in records]


def test_a_change_is_an_event_and_nothing_else() -> None:
    w = world()
    assert say(w, "V1.0") == [{"id": 300, "name": "sensors.name", "to": "V1.0"}]
    assert say(w, "V1.0") == say(w, None) == say(w, "V1.0") == []
    assert say(w, "V1.1", TEXT_EVENT_NS_MIN) == [
        {"id": 300, "name": "sensors.name", "from": "V1.0", "to": "V1.1"}
    ]
    assert not w.on
    assert not w.state.alarms.order


def test_one_that_never_stands_still_is_recorded_once_a_minute_with_its_latest() -> None:
    w = world()
    told = [body for k in range(181) for body in say(w, f"12:00:{k:03}")]
    assert [body["to"] for body in told] == ["12:00:000", "12:00:060", "12:00:120", "12:00:180"]


def test_texts_are_shown_behind_the_points() -> None:
    w = world()
    size = len(w.plan.points)
    say(w, "三层走廊")
    rows = view.points(w.state, w.now(), 0, 100)
    assert [r["name"] for r in rows[size:]] == ["sensors.name", "sensors.more"]
    assert [(r["text"], r["quality"]) for r in rows[size:]] == [
        ("三层走廊", "good"), (None, "not_ready"),
    ]  # fmt: skip
    assert [r["id"] for r in view.points(w.state, w.now(), size + 1, 5)] == [301]
    assert len(view.points(w.state, w.now(), size - 1, 2)) == 2
    assert view.points(w.state, w.now(), size + 2, 5) == []
    assert view.status(w.state, w.now())["texts"][0]["text"] == "三层走廊"
    w.ns += STALE_INTERVALS * TEXT.interval_ns + 1
    assert view.points(w.state, w.now(), size, 1)[0]["quality"] == "stale"
    say(w, None)
    assert view.points(w.state, w.now(), size, 1)[0]["quality"] == "bad"
