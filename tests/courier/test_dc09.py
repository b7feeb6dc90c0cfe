"""SIA DC-09: what records become, and the exchange with receivers, time in hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pysiaalarm.event import SIAEvent

from agent.courier.dc09_book import Book, Place
from agent.courier.dc09_frame import (
    Account,
    Format,
    Keys,
    crc16,
    time_text,
)
from agent.courier.dc09_session import Calls, Session, Settings
from agent.courier.window import BatchId
from agent.uplink.events import EventRecord
from config.centre_limits import DC09_FIRES_IN_ROW_MAX
from config.limits import DC09_REFUSED_WAIT_NS, DC09_RETURN_NS, S
from config.words import Flag

WALL_NS = 1_795_000_000 * S
WHO = Account("22334455")
KEY = b"0123456789ABCDEF"
PLACES = {
    "point/7": Place(7, "pumps.room_heat", "heat"),
    "point/8": Place(8, "泵房 hall.smoke", "smoke"),
    "point/9": Place(9, "hall.button", "manual"),
}
ONE, TWO = BatchId(b"e" * 8, "fire", 0), BatchId(b"e" * 8, "event", 0)


def pad(size: int) -> bytes:
    return bytes(size)


def reply(text: str) -> bytes:
    raw = text.encode("latin-1")
    return b"\n%04X%04X" % (crc16(raw), len(raw)) + raw + b"\r"


# --- what records become ----------------------------------------------------------------------


def record(seq: int, source: str, what: str, **body: Any) -> EventRecord:
    return EventRecord(b"s" * 16, seq, source, what, seq * S, WALL_NS + seq * S, 2, 0, body)


PLACES_CODE = (
    Book(PLACES, prealarm=True)
    .take([record(1, "point/8", "point", **{"from": 0, "to": 1})])[0]
    .code
)


def told(*records: EventRecord, prealarm: bool = True) -> list[tuple[str, str]]:
    events = Book(PLACES, prealarm=prealarm).take(records)
    return [(e.contact_id(), e.sia(text=False)) for e in events]


def change(source: str, before: Flag, after: Flag, **more: Any) -> EventRecord:
    return record(1, source, "point", **{"from": int(before), "to": int(after)}, **more)


NONE, FIRE, PRE = Flag.NONE, Flag.FIRE, Flag.PREALARM


@pytest.mark.parametrize(
    ("source", "before", "after", "expected"),
    [
        ("point/7", NONE, FIRE, [("1114 01 007", "Nri1/KA0007")]),
        ("point/8", NONE, FIRE, [("1111 01 008", "Nri1/FA0008")]),
        ("point/9", NONE, FIRE | Flag.MANUAL, [("1115 01 009", "Nri1/FA0009")]),
        ("point/8", FIRE, NONE, [("3111 01 008", "Nri1/FH0008")]),
        ("point/8", NONE, PRE, [("1118 01 008", "Nri1/FS0008")]),
        ("point/8", PRE, FIRE | PRE, [("1111 01 008", "Nri1/FA0008")]),
        ("point/8", NONE, Flag.FAULT, [("1380 01 008", "Nri1/FT0008")]),
        ("point/8", NONE, Flag.DISABLED, [("1571 01 008", "Nri1/FB0008")]),
        ("point/8", Flag.TEST, NONE, [("3604 01 008", "Nri1/FK0008")]),
        ("point/99", NONE, FIRE, []),
    ],
)
def test_words(source: str, before: Flag, after: Flag, expected: list[tuple[str, str]]) -> None:
    assert told(change(source, before, after)) == expected


def test_what_is_gated_calls_nobody_and_a_prealarm_can_be_silent() -> None:
    assert told(change("point/8", NONE, FIRE, gated=True)) == []
    assert told(change("point/8", NONE, PRE), prealarm=False) == []


def test_faults_of_the_gateway_and_a_reset() -> None:
    assert told(
        record(1, "system/record.disk", "system", fault=True, name="record.disk"),
        record(2, "system/inputs.mains", "system", fault=True),
        record(3, "line/riser", "line", fault=False, name="riser"),
        record(4, "operator", "operator", verb="reset", who="guard"),
        record(5, "operator", "operator", verb="silence", who="guard"),
    ) == [
        ("1300 01 000", "Nri1/YX0000"), ("1301 01 000", "Nri1/AT0000"),
        ("3333 01 000", "Nri1/ER0000"), ("1305 01 000", "Nri1/OR0000"),
    ]  # fmt: skip


# --- the exchange -----------------------------------------------------------------------------


class World:
    """A session, and a wire whose other end is the test."""

    def __init__(self, keys: Keys | None = None, **given: Any) -> None:
        self.now_ns = 0
        self.sent: list[bytes] = []
        self.drops: list[str] = []
        self.done: list[BatchId] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.keys = keys
        self.session = Session(
            Settings(WHO, Format.SIA_DCS, **given),
            Calls(
                send=self._send, drop=self._drop, confirmed=self.done.append,
                event=lambda e, b: self.events.append((e, b)),
                wall_ns=lambda: WALL_NS + self.now_ns, padding=pad,
            ),
            keys,
        )  # fmt: skip
        self.session.connected(0)

    def _send(self, data: bytes) -> bool:
        self.sent.append(data)
        return True

    def _drop(self, why: str) -> None:
        self.drops.append(why)
        self.session.disconnected()

    def sequence(self) -> int:
        quote = self.sent[-1].index(b'"', 10)
        return int(self.sent[-1][quote + 1 : quote + 5])

    def answer(self, word: str = "ACK", sequence: int | None = None, tail: str = "[]") -> None:
        number = self.sequence() if sequence is None else sequence
        self.session.received(reply(f'"{word}"{number:04}L0#22334455{tail}'), self.now_ns)

    def later(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)
        self.session.tick(self.now_ns)

    def fire(self, batch: BatchId = ONE, source: str = "point/8") -> None:
        for event in Book(PLACES, prealarm=True).take([change(source, NONE, FIRE)]):
            self.session.tell(event, batch)
        self.session.tick(self.now_ns)

    def fault(self, batch: BatchId = TWO) -> None:
        for event in Book(PLACES, prealarm=True).take([change("point/8", NONE, Flag.FAULT)]):
            self.session.tell(event, batch)


def test_a_sign_of_life_proves_the_path_and_fire_goes_first() -> None:
    world = World()
    assert b'"NULL"0000' in world.sent[0]
    assert world.session.path == (False, "the receiver has not answered yet")
    world.fault()
    world.fault()
    world.fire()
    world.answer()
    assert world.session.path == (True, "")
    assert b"FA0008" in world.sent[-1], "before the faults that came first"
    world.answer(sequence=9)
    assert not world.done, "an answer to something else"
    world.answer()
    assert world.done == [ONE]
    assert b"FT0008" in world.sent[-1]
    world.answer()
    world.answer()
    assert world.done == [ONE, TWO, TWO]
    count = len(world.sent)
    world.later(59)
    assert len(world.sent) == count
    world.later(2)
    assert b'"NULL"' in world.sent[-1]


def test_a_silent_receiver_gives_way_to_the_other_and_the_fire_is_kept() -> None:
    world = World(receivers=2)
    world.answer()
    world.fire()
    number = world.sequence()
    world.later(2.5)
    assert world.sequence() == number, "the same message again"
    world.later(2.5)
    assert world.drops == ["the receiver does not answer"]
    assert world.session.receiver == 1
    assert world.events == [("failover", {"receiver": 2})]
    world.session.connected(world.now_ns)
    assert world.now_ns <= 5 * S
    assert b"FA0008" in world.sent[-1]
    world.answer()
    assert world.done == [ONE]
    assert world.session.path == (True, "on stand-by receiver 2")
    world.later(DC09_RETURN_NS / S)
    assert b'"NULL"' not in world.sent[-1] or world.drops[-1] == "back to the main receiver"
    assert world.session.receiver == 0


@pytest.mark.parametrize(
    ("named", "counts"),
    [
        ("L0#22334455", True), ("L0#0022334455", True), ("L0", True), ("LNone#None", True),
        ("R1L0#22334455", True), ("L0#22334456", False), ("L0#1", False),
    ],
)  # fmt: skip
def test_an_acknowledgement_for_another_account_is_none(named: str, counts: bool) -> None:
    world = World()
    world.answer()
    world.fire()
    world.session.received(reply(f'"ACK"{world.sequence():04}{named}[]'), world.now_ns)
    assert world.done == [ONE] * counts


def test_what_goes_along_with_a_fire_passes_a_backlog() -> None:
    world = World()
    for _ in range(5):
        world.fault()
    both = change("point/8", NONE, FIRE | Flag.FAULT)
    for event in Book(PLACES, prealarm=True).take([both]):
        world.session.tell(event, ONE)
    for _ in range(3):
        world.answer()
    assert world.done == [ONE, ONE], "the record has a place for the next fire"


def test_a_change_of_receivers_is_no_lost_path() -> None:
    world = World(receivers=2)
    paths = []

    def pass_time(*seconds: float) -> None:
        for span in seconds:
            world.later(span)
            paths.append(world.session.path[0])

    world.answer()
    world.fault()
    pass_time(0, 2.5, 2.5)
    for _ in range(2):
        assert world.session.receiver == 1
        world.session.connected(world.now_ns)
        world.answer()
        assert world.session.path == (True, "on stand-by receiver 2")
        pass_time(DC09_RETURN_NS / S)
        assert world.session.receiver == 0, "the main one has its turn again, and is silent"
        world.session.connected(world.now_ns)
        pass_time(0, 2.5, 2.5)
    assert all(paths), "one of them was within reach at all times"
    for _ in range(2):
        world.session.unreachable()
    assert world.session.path == (False, "no receiver answers")


def test_fires_without_end_leave_a_turn_to_what_else_there_is_to_say() -> None:
    world = World()
    world.answer()
    for _ in range(3):
        world.fault()
    for _ in range(60):
        world.fire()
        world.answer()
    assert world.done.count(TWO) == 3
    assert world.done.count(ONE) == 57
    assert world.done.index(TWO, 2) == 2 + DC09_FIRES_IN_ROW_MAX


def test_a_receiver_that_closes_every_connection_has_had_its_turn() -> None:
    world = World(receivers=2)
    world.answer()
    world.session.disconnected()
    world.session.disconnected()
    assert (world.session.receiver, world.session.path[0]) == (0, True), "it answered before"
    world.session.connected(world.now_ns)
    world.session.disconnected()
    world.session.disconnected()  # whoever ends the connection may say so twice
    assert world.session.receiver == 1, "the other one has its turn"
    assert world.session.path[0]
    world.session.connected(world.now_ns)
    world.session.disconnected()
    assert world.session.path == (False, "no receiver answers")
    world.session.connected(world.now_ns)
    world.answer()
    assert world.session.path[0]


@pytest.mark.parametrize("under_way", ["a sign of life", "a fault"])
def test_a_fire_takes_the_place_of_what_nobody_answers(under_way: str) -> None:
    world = World(receivers=2)
    if under_way == "a fault":
        world.answer()
        world.fault()
        world.later(0)
    world.fire()
    assert b"FA0008" not in world.sent[-1], "one message at a time"
    world.later(2.5)
    assert b"FA0008" in world.sent[-1]
    world.later(2.5)
    assert world.session.receiver == 1, "its silence before the fire counts"
    world.session.connected(world.now_ns)
    assert b"FA0008" in world.sent[-1], "at the stand-by within 5 s"
    world.answer()
    assert world.done == [ONE]
    if under_way == "a fault":
        assert b"FT0008" in world.sent[-1], "which was not forgotten"
        world.answer()
        assert world.done == [ONE, TWO]


def test_a_fire_that_no_word_says_is_a_lost_path() -> None:
    world = World()
    world.answer()
    world.fire()
    world.answer("DUH")
    paths = [world.session.path]
    world.answer("DUH")
    paths.append(world.session.path)
    world.later(DC09_REFUSED_WAIT_NS / S)
    paths.append(world.session.path)
    world.answer()
    paths.append(world.session.path)
    plainly, (refused, why), (later, _), at_last = paths
    assert plainly[0], "it is said more plainly"
    assert (refused, why) == (False, "the receiver refuses a fire")
    assert not later
    assert at_last == (True, "")


def test_no_receiver_answers() -> None:
    world = World(receivers=2)
    for _ in range(2):
        world.later(2.5)
        world.later(2.5)
        world.session.connected(world.now_ns)
    assert world.session.path == (False, "no receiver answers")
    world.answer()
    assert world.session.path[0]
    world.session.unreachable()
    world.session.unreachable()
    assert not world.session.path[0]


def test_a_receiver_that_takes_connections_and_ends_them_gives_way_too() -> None:
    world = World(receivers=2)
    world.session.disconnected()
    world.session.disconnected()  # its shell says so twice
    assert world.session.receiver == 1
    world.session.connected(world.now_ns)
    world.answer()
    world.session.disconnected()
    assert world.session.receiver == 1, "it had answered: this one again"
    assert world.events == [("failover", {"receiver": 2})]


def test_a_nak_tells_the_time_and_the_stamp_follows() -> None:
    world = World()
    world.answer()
    world.fire()
    theirs_ns = WALL_NS + 3_600 * S
    world.answer("NAK", 0, f"[]_{time_text(theirs_ns)}")
    assert world.events == [("clock", {"skew_ms": 3_600_000})]
    assert time_text(theirs_ns).encode() in world.sent[-1]
    for _ in range(9):
        world.answer("NAK", 0, "[]")
    assert world.events[-1][0] == "refused", "a clock that cannot be followed ends a round"


def test_a_fire_that_is_not_understood_is_said_more_plainly_and_never_given_up() -> None:
    world = World(text=True)
    world.answer()
    world.fire(source="point/7")
    assert b"KA0007^pumps" in world.sent[-1]
    world.answer("DUH")
    assert b"FA0007]" in world.sent[-1]
    world.answer("DUH")
    world.fault()
    world.later(0)
    assert b"FT0008" in world.sent[-1], "what is refused holds up nothing else"
    world.answer("DUH")
    assert world.done == [TWO], "but a fault that nobody understands is given up"
    world.later(DC09_REFUSED_WAIT_NS / S)
    assert b"FA0007]" in world.sent[-1]
    world.answer()
    assert world.done == [TWO, ONE]


def test_an_event_of_yesterday_says_when_it_was() -> None:
    world = World()
    world.answer()
    world.now_ns = 7_200 * S
    world.fire()
    assert f"[H{time_text(WALL_NS + S)}]_".encode() in world.sent[-1]
    found = SIAEvent.from_line(world.sent[-1].decode().strip())
    assert found.valid_message
    assert found.code == "FA"


def test_with_a_key_only_a_fresh_encrypted_word_counts() -> None:
    world = World(Keys(KEY))
    world.answer()
    assert not world.session.path[0], "anybody on the path can write a plain ACK"

    def sealed(wall_ns: int) -> str:
        text = f"|]_{time_text(wall_ns)}".encode()
        padded = b"0" * (-len(text) % 16) + text
        return "[" + Keys(KEY).encrypt(padded).hex().upper()

    world.answer("*ACK", tail=sealed(WALL_NS - 3_600 * S))
    assert not world.session.path[0], "kept by somebody since an hour"
    world.answer("*ACK", tail=sealed(WALL_NS))
    assert world.session.path[0]


def test_a_receiver_that_speaks_something_else_is_left() -> None:
    world = World()
    world.session.received(b"\nHTTP/1.1 400\r" * 20, 0)
    assert world.drops == ["the receiver speaks something else"]


@given(st.lists(st.tuples(st.sampled_from("abcdefg"), st.integers(0, 4)), max_size=60))
@settings(max_examples=60, deadline=None)
def test_whatever_happens_every_fire_gets_there(steps: list[tuple[str, int]]) -> None:
    world = World(receivers=2)
    fires = 0
    for step, number in steps:
        if step == "a":
            fires += 1
            world.fire()
        elif step == "b":
            world.answer()
        elif step == "c":
            world.answer(("NAK", "DUH", "RSP", "ACK", "*ACK")[number], sequence=number)
        elif step == "d":
            world.session.disconnected()
        elif step == "e":
            world.session.connected(world.now_ns)
        elif step == "f":
            world.session.received(b"\n\x00" * number + b"\r", world.now_ns)
        world.later(number)
    for _ in range(200):
        if world.done.count(ONE) == fires:
            break
        world.session.connected(world.now_ns)
        world.answer()
        world.later(11)
    assert world.done.count(ONE) == fires
