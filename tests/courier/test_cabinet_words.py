"""The gateway's own manual alarm and supplies, in the words of both kinds of centres."""

from __future__ import annotations

from itertools import count
from typing import Any

from agent.courier import dc09_book, gb26875_book
from agent.uplink.events import EventRecord
from config.words import Flag
from drivers.panel import gb26875_units as gb

NUMBER = count(1)
FIRE = int(Flag.FIRE | Flag.MANUAL)


def record(source: str, what: str, **body: Any) -> EventRecord:
    return EventRecord(
        b"s" * 16, next(NUMBER), source, what, 1, 1_700_000_000_000_000_000, 2, 0, body
    )


PRESSED = record("manual", "manual", **{"from": 0, "to": FIRE, "name": "input key"})
CLEARED = record("manual", "manual", **{"from": FIRE, "to": 0, "name": "input key"})
RECALLED = record("manual", "manual", **{"from": 0, "to": FIRE, "name": "k", "why": "recalled"})
MAINS = record("input/mains", "input", fault=True, text="gone", name="mains", role="mains")
MAINS_BACK = record("input/mains", "input", fault=False, text="back", name="mains", role="mains")
STUCK = record("input/mains/lost", "input", fault=True, text="x", name="mains", role="mains")


def test_a_centre_of_gb26875_hears_the_manual_alarm_first_and_the_fire_bit() -> None:
    book = gb26875_book.Book({}, gb26875_book.Style())
    told = book.take([PRESSED])
    assert [m.type for m in told] == [24, 1, 21]
    assert told[0].made.flags == gb.OPERATION_MANUAL_ALARM
    assert told[0].urgent
    assert told[1].urgent
    assert told[2].made.status & gb.DEVICE_FIRE
    assert [m.type for m in book.take([CLEARED])] == [1, 21]
    assert [m.type for m in book.take([RECALLED])] == [1, 21], "not pressed anew"


def test_a_centre_of_gb26875_hears_of_the_supplies() -> None:
    book = gb26875_book.Book({}, gb26875_book.Style())
    book.take([MAINS])
    assert book.device_byte() & gb.DEVICE_MAINS_FAULT
    book.take([MAINS_BACK])
    assert book.device_byte() == gb.DEVICE_NORMAL
    book.take([STUCK])
    assert not book.device_byte() & gb.DEVICE_MAINS_FAULT
    assert book.device_byte() & gb.DEVICE_FAULT


def test_a_receiver_of_dc09_hears_the_same() -> None:
    book = dc09_book.Book({}, prealarm=True)
    events = book.take([PRESSED, CLEARED, MAINS, MAINS_BACK])
    assert [e.contact_id() for e in events] == [
        "1115 01 000", "3115 01 000", "1301 01 000", "3301 01 000",
    ]  # fmt: skip
    assert [e.urgent for e in events] == [True, True, False, False]
    assert events[0].place.name == "input key"
