"""Exchanges with a centre, time in the test's hand; what records become in the centre's words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.courier.gb26875_book import Book, Component, Message, Style, status_word
from agent.courier.gb26875_session import Calls, Session, Settings
from agent.courier.window import BatchId
from agent.uplink.events import EventRecord
from config.limits import S
from config.words import Flag
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import Command, Dialect, Frame, FrameDecoder, Stamp, encode_frame

WALL_NS = 1_795_000_000 * S
COMPONENTS = {
    "point/7": Component(0x0011_0003, 31, "pumps.room_heat", "°C"),
    "point/8": Component(8, 42, "泵房烟感"),
}
ONE, TWO = BatchId(b"e" * 8, "fire", 0), BatchId(b"e" * 8, "event", 0)


def record(seq: int, source: str, what: str, **body: Any) -> EventRecord:
    return EventRecord(b"s" * 16, seq, source, what, seq * S, WALL_NS + seq * S, 2, 0, body)


class World:
    """A session, its book, and a wire whose other end is the test."""

    def __init__(self, **settings: Any) -> None:
        self.now_ns = 0
        self.sent: list[tuple[int, Frame]] = []
        self.drops: list[str] = []
        self.done: list[BatchId] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.duties: list[int] = []
        self.book = Book(COMPONENTS, Style(values=True))
        settings = {"heartbeat": "none", **settings}
        self.settings = Settings(889, 88_888, **settings)
        self.session = Session(
            self.settings, self.book,
            Calls(
                send=self._send, drop=self._drop, confirmed=self.done.append,
                event=lambda e, b: self.events.append((e, b)), duty=self.duties.append,
                wall_ns=lambda: WALL_NS + self.now_ns,
            ),
        )  # fmt: skip
        self.session.connected(0)

    def _send(self, data: bytes) -> bool:
        (frame,) = FrameDecoder(self.settings.dialect).feed(data)
        assert isinstance(frame, Frame)
        self.sent.append((self.now_ns, frame))
        return True

    def _drop(self, why: str) -> None:
        self.drops.append(why)
        self.session.disconnected()
        self.session.connected(self.now_ns)

    def run(self, seconds: float) -> None:
        end = self.now_ns + int(seconds * S)
        while self.now_ns < end:
            self.now_ns += S // 10
            self.session.tick(self.now_ns)

    def answer(self, command: Command = Command.CONFIRM, index: int = -1) -> None:
        self.hear(self.sent[index][1].serial, command)

    def hear(self, serial: int, command: Command, unit: gb.Unit | None = None) -> None:
        data = b"" if unit is None else gb.encode_unit(unit, self.settings.dialect)
        frame = Frame(serial, 88_888, 889, command, data, Stamp(0, 0, 0, 1, 1, 26))
        self.session.received(encode_frame(frame, self.settings.dialect), self.now_ns)

    def drain(self) -> None:
        """Confirm everything, in order."""
        at = 0
        while at < len(self.sent):
            if self.sent[at][1].command == Command.SEND:
                self.answer(index=at)
            at += 1

    def tell(self, *records: EventRecord, batch: BatchId = ONE) -> None:
        for message in self.book.take(records):
            self.session.tell(message, batch)
        self.session.tick(self.now_ns)

    def last(self) -> Any:
        return gb.decode_unit(self.sent[-1][1].data, self.settings.dialect).objects[0]


FIRE = record(1, "point/7", "point", **{"from": 0, "to": 1, "value": 61.5})


def test_a_fire_is_tried_four_times_within_ten_seconds_the_very_same_bytes() -> None:
    w = World()
    w.tell(FIRE)
    w.run(9.9)
    times = [t / S for t, f in w.sent if f.serial == 0]
    assert times == [0.0, 2.5, 5.0, 7.5]
    assert len({f for _, f in w.sent if f.serial == 0}) == 1
    assert w.drops == ["the centre does not answer"], "the third try went over a new connection"
    assert not w.session.path[0] or w.now_ns < 10 * S
    w.run(0.2)
    assert w.session.path == (False, "the centre does not confirm what it is sent")
    assert w.sent[-1][0] == 10 * S, "the next round begins at once"
    w.answer()
    assert w.done == [ONE]
    assert w.session.path[0]


def test_fire_waits_for_nothing_else() -> None:
    w = World()
    fault = record(1, "point/8", "point", **{"from": 0, "to": 8})
    w.tell(fault, batch=TWO)
    w.tell(FIRE)
    kinds = [gb.decode_unit(f.data).type for _, f in w.sent]
    made = w.last()
    assert kinds == [2, 2], "the fault under way, and the fire at once"
    assert (made.component, made.number, made.status) == (31, 0x0011_0003, 3)
    w.answer(index=1)
    assert gb.decode_unit(w.sent[-1][1].data).type == 1, "then the whole system's fire"
    assert w.last().status == gb.STATUS_NORMAL | gb.STATUS_FIRE | gb.STATUS_FAULT


def test_a_denied_event_is_given_up_and_a_denied_fire_is_not() -> None:
    w = World()
    w.tell(record(1, "point/8", "point", **{"from": 0, "to": 8}), batch=TWO)
    for _ in range(4):
        w.answer(Command.DENY)
    assert w.session.counters.given_up == 1
    assert w.done == [TWO]
    assert w.events == [("denied", {"fire": False, "beat": False})]

    w = World()
    w.tell(FIRE)
    for _ in range(4):
        w.answer(Command.DENY, index=0)
    assert w.done == []
    before = len([1 for _, f in w.sent if f.serial == 0])
    assert before == 4
    w.run(11)
    assert len([1 for _, f in w.sent if f.serial == 0]) > before
    w.answer(index=0)
    assert ONE in w.done


def test_heartbeats_find_a_lost_path_and_its_return() -> None:
    w = World(heartbeat="empty", stream=False)
    assert w.sent[0][1].data == b""
    w.answer()
    up, _ = w.session.path
    assert up
    w.run(20.5)
    assert len(w.sent) == 2
    w.run(10)
    up, _ = w.session.path
    assert not up
    w.run(10)
    w.answer()
    assert w.session.path[0]


def test_a_pre_alarm_never_sets_the_fire_bit() -> None:
    w = World()
    w.tell(record(1, "point/8", "point", **{"from": 0, "to": 2}))
    assert w.last().status == gb.STATUS_NORMAL | gb.STATUS_SUPERVISORY
    assert w.last().text == "预警 泵房烟感"


@given(st.integers(0, 1023), st.booleans(), st.booleans())
def test_the_fire_bit_is_a_fire_that_counts_and_nothing_else(
    flags: int, gated: bool, prealarm: bool
) -> None:
    word = status_word(flags, gated=gated, prealarm=prealarm)
    assert bool(word & gb.STATUS_FIRE) == (bool(flags & Flag.FIRE) and not gated)
    assert bool(word & gb.STATUS_NORMAL) == (not flags & Flag.TEST)
    assert word < 256


def test_every_request_is_answered_or_denied() -> None:
    w = World()
    w.tell(FIRE, record(2, "operator", "operator", verb="silence", who="a"))
    w.drain()
    assert len(w.done) == 5, "component, value, operation, system, device"
    asked = {
        61: gb.ReadSystem(1, 1), 62: gb.ReadComponent(1, 1, 0x0011_0003),
        63: gb.ReadComponent(1, 1, 0x0011_0003), 64: gb.ReadOperations(1, 1, 10, Stamp()),
        65: gb.ReadSystem(1, 1), 66: gb.ReadSystem(1, 1), 67: gb.ReadComponent(1, 1, 8),
        68: gb.ReadSystem(1, 1), 81: gb.ReadDevice(), 85: gb.ReadDevice(), 86: gb.ReadDevice(),
        88: gb.ReadDevice(),
    }  # fmt: skip
    for kind, ask in asked.items():
        w.hear(500 + kind, Command.REQUEST, gb.Unit(kind, (ask,)))
        frame = w.sent[-1][1]
        assert (frame.serial, frame.command) == (500 + kind, Command.RESPONSE), kind
        assert gb.decode_unit(frame.data).type == kind - 60
        if kind == 63:
            assert (w.last().quantity, w.last().value) == (3, 615)
        if kind == 62:
            assert w.last().status == 3
    for unit in (gb.Unit(62, (gb.ReadComponent(1, 1, 999),)), gb.Unit(61, (gb.ReadSystem(1, 9),)),
                 gb.Unit(84, (gb.ReadDeviceOperations(5, Stamp()),))):  # fmt: skip
        w.hear(900, Command.REQUEST, unit)
        assert w.sent[-1][1].command == Command.DENY


def test_orders_touch_this_session_only_and_are_told() -> None:
    w = World()
    w.hear(1, Command.CONTROL, gb.Unit(90, (gb.DeviceTime(Stamp(0, 0, 0, 1, 1, 30)),)))
    assert w.sent[-1][1].command == Command.CONFIRM
    (event,) = w.events
    assert event[0] == "clock"
    assert event[1]["skew_ms"] > 10**10
    w.tell(FIRE)
    assert w.sent[-1][1].time.year == 30, "its frames are labelled with the centre's time"
    w.hear(2, Command.CONTROL, gb.Unit(89, (gb.ReadDevice(),)))
    w.tell(record(3, "point/8", "point", **{"from": 0, "to": 1}))
    w.drain()
    assert w.sent[-1][1].time.year == 26
    assert w.events[-1][0] == "initialise"


def test_a_duty_check_is_asked_on_the_site_and_answered_or_missed() -> None:
    w = World()
    for serial in (1, 2):
        w.hear(serial, Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
    assert w.duties == [10, 10]
    w.session.answer_duty(w.now_ns)
    assert gb.decode_unit(w.sent[-1][1].data).type == 24
    assert w.last().flags == gb.OPERATION_DUTY_ANSWER
    assert w.duties[-1] == 0
    w.answer()
    w.hear(3, Command.CONTROL, gb.Unit(91, (gb.DutyCheck(1),)))
    w.run(61)
    assert [e for e, _ in w.events][-1] == "duty_missed"


def test_an_order_that_comes_again_is_confirmed_and_not_carried_out_again() -> None:
    w = World()
    for _ in range(3):
        w.hear(7, Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
        w.hear(7, Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
    assert [f.command for _, f in w.sent] == [Command.CONFIRM] * 6
    assert w.duties == [10], "our confirmation was lost, nothing else"
    w.run(41)
    w.hear(7, Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
    assert w.duties == [10, 10], "so much later it is another one"


def test_an_answer_to_the_centre_waits_for_no_backlog() -> None:
    w = World()
    for i in range(50):
        w.tell(record(i + 1, "point/8", "point", **{"from": 0, "to": 8 * (i % 2)}), batch=TWO)
    w.hear(1, Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
    w.session.answer_duty(w.now_ns)
    w.answer(index=0)
    assert gb.decode_unit(w.sent[-1][1].data).type == 24, "next, behind what was under way"


def test_what_goes_along_with_a_fire_passes_a_backlog() -> None:
    w = World()
    for i in range(50):
        w.tell(record(i + 1, "point/8", "point", **{"from": 0, "to": 8 * (i % 2)}), batch=TWO)
    w.tell(FIRE)
    made = 4  # the component, its value, the system, the device
    at = 0
    while w.done.count(ONE) < made:
        w.answer(index=at)
        at += 1
    assert w.done.count(TWO) == 1, "the one that was under way"


def test_numbers_and_times_are_those_of_sending() -> None:
    w = World()
    w.session.disconnected()
    for i in range(5):
        w.tell(record(i + 1, "point/8", "point", **{"from": 0, "to": 8 * (i % 2)}), batch=TWO)
    w.tell(FIRE)
    w.now_ns += 3_600 * S
    w.session.connected(w.now_ns)
    w.drain()
    assert [f.serial for _, f in w.sent] == list(range(len(w.sent))), "one more for each message"
    assert gb.decode_unit(w.sent[0][1].data).objects[0].number == 0x0011_0003, "the fire first"
    sent_ns = w.sent[0][1].time.wall_ns(w.settings.offset_s)
    assert sent_ns == WALL_NS + 3_600 * S, "not that of an hour ago"


@pytest.mark.parametrize(
    ("source", "destination", "counts"),
    [
        (88_888, 889, True),
        (88_888, 0, True),
        (889, 88_888, True),  # the addresses as they came: some centres do that
        (88_888, 890, False),
        (889 << 8, 889 << 8, False),
    ],
)
def test_a_confirmation_for_somebody_else_confirms_nothing(
    source: int, destination: int, counts: bool
) -> None:
    w = World()
    w.tell(FIRE)
    reply = Frame(w.sent[0][1].serial, source, destination, Command.CONFIRM)
    w.session.received(encode_frame(reply), 0)
    assert w.done == [ONE] * counts


@pytest.mark.parametrize("command", [0, 7, 127, 128, 255])
def test_an_unknown_command_is_denied(command: int) -> None:
    w = World()
    w.session.received(encode_frame(Frame(77, 88_888, 889, command)), 0)
    assert [(f.command, f.serial) for _, f in w.sent] == [(Command.DENY, 77)]


def test_a_fire_that_the_centre_denies_is_a_lost_path() -> None:
    w = World()
    w.tell(FIRE)
    for _ in range(3):
        w.answer(Command.DENY, index=0)
        assert w.session.path[0], "it may be a wrong sum"
    w.answer(Command.DENY, index=0)
    assert w.session.path == (False, "the centre denies a fire")
    w.run(11)
    w.answer(index=0)
    assert w.session.path == (True, "")


@pytest.mark.parametrize("more", [{"prealarm": False}, {"gated": True}])
def test_a_pre_alarm_that_calls_nobody_is_not_called_one(more: dict[str, bool]) -> None:
    book = Book(COMPONENTS, Style(prealarm=more.get("prealarm", True)))
    body = {"from": 0, "to": 2, "gated": more.get("gated", False)}
    made = book.take([record(1, "point/8", "point", **body)])[0].made
    assert (made.status, made.text) == (gb.STATUS_NORMAL, "泵房烟感")


_WHATS = ("point", "zone", "panel", "output", "manual", "operator", "input", "line", "device",
          "system", "duty", "text")  # fmt: skip
_SOURCES = ("point/7", "point/8", "zone/hall", "panel/a", "output/siren", "manual/button",
            "system/start", "system/courier.city", "input/mains", "line/riser")  # fmt: skip


@given(
    st.lists(
        st.tuples(
            st.sampled_from(_WHATS), st.sampled_from(_SOURCES), st.integers(0, 1023),
            st.integers(0, 1023), st.booleans(), st.booleans(), st.booleans(),
            st.sampled_from(["", "silence", "reset", "acknowledge", "duty"]),
        ),
        max_size=12,
    ),
    st.booleans(),
)  # fmt: skip
def test_without_a_fire_no_event_of_any_kind_sets_a_fire_bit(
    told: list[tuple[str, str, int, int, bool, bool, bool, str]], prealarm: bool
) -> None:
    components = {s: Component(i, 0, s, "°C") for i, s in enumerate(_SOURCES)}
    book = Book(components, Style(prealarm=prealarm, values=True))
    for seq, (what, source, before, after, gated, fault, on, verb) in enumerate(told):
        body = {
            "from": before & ~int(Flag.FIRE), "to": (after | int(Flag.PREALARM)) & ~int(Flag.FIRE),
            "gated": gated, "fault": fault, "on": on, "verb": verb, "value": 61.5,
            "role": "mains", "name": "火警",
        }  # fmt: skip
        for message in book.take([record(seq, source, what, **body)]):
            if message.type in (1, 2):
                assert not message.made.status & gb.STATUS_FIRE
            if message.type == 21:
                assert not message.made.status & gb.DEVICE_FIRE
            if message.type == 24:
                assert not message.made.flags & gb.OPERATION_MANUAL_ALARM
            assert not message.urgent
    assert not book.system_word() & gb.STATUS_FIRE
    assert not book.device_byte() & gb.DEVICE_FIRE


@given(
    st.lists(st.integers(0x21, 0x10_FFFF).map(chr), max_size=60).map("".join),
    st.sampled_from([b" ", b"\0"]),
)
def test_a_description_is_cut_between_characters(text: str, pad: bytes) -> None:
    status = gb.ComponentStatus(1, 1, 0, 1, 1, text, Stamp(0, 0, 0, 1, 1, 26))
    raw = gb.encode_unit(gb.Unit(2, (status,)), Dialect(pad=pad))
    assert len(raw) == 48
    said = raw[11:42].decode("gb18030").rstrip(pad.decode())  # a half of a character fails here
    whole = text.encode("gb18030", "replace").decode("gb18030")
    assert whole.startswith(said)
    one_more = whole[: len(said) + 1].encode("gb18030")
    assert said == whole or len(one_more) > gb.TEXT_BYTES, "as much as there is room for"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("消" * 16, "消" * 15),
        ("𠀀" * 8, "𠀀" * 7),  # four bytes each: 28 of 31
        ("a" + "𠀀" * 8, "a" + "𠀀" * 7),
        ("abcdefghijklmnopqrstuvwxyz1234消", "abcdefghijklmnopqrstuvwxyz1234"),
        ("㐀泵房é\ud800", "㐀泵房é?"),
    ],
)
def test_four_byte_characters(text: str, said: str) -> None:
    raw = gb.clip(text, gb.TEXT_BYTES)
    assert raw.decode("gb18030") == said


@pytest.mark.parametrize(
    ("at", "value"), [(0, 0x41), (1, 0x00), (-1, 0x24), (-2, 0x00), (-3, 0x00), (25, 0x05)]
)
def test_each_error_of_a_frame_is_denied_by_its_number(at: int, value: int) -> None:
    w = World()
    raw = bytearray(encode_frame(Frame(77, 88_888, 889, Command.REQUEST, b"\x51\x01\x00")))
    raw[at] = value
    w.session.received(bytes(raw), 0)
    assert [(f.command, f.serial) for _, f in w.sent] == [(Command.DENY, 77)]
    w.hear(78, Command.REQUEST, gb.Unit(81, (gb.ReadDevice(),)))
    assert (w.sent[-1][1].command, w.sent[-1][1].serial) == (Command.RESPONSE, 78)


def test_wrong_frames_are_denied_and_a_stranger_is_hung_up() -> None:
    w = World()
    raw = bytearray(encode_frame(Frame(77, 88_888, 889, Command.REQUEST, b"\x51\x01\x00")))
    raw[-3] ^= 1
    w.session.received(bytes(raw), 0)
    assert (w.sent[-1][1].command, w.sent[-1][1].serial) == (Command.DENY, 77)
    for _ in range(40):
        w.session.received(bytes(raw), 0)
    assert "what comes is no GB/T 26875.3" in w.drops


@given(st.lists(st.binary(max_size=80), max_size=6))
def test_any_bytes_leave_the_session_whole(parts: list[bytes]) -> None:
    w = World()
    w.tell(FIRE)
    for part in parts:
        w.session.received(part, w.now_ns)
    w.session.received(bytes(1_100), w.now_ns)
    w.answer(index=0)
    assert w.done[:1] == [ONE]


def test_dialect_of_the_field() -> None:
    w = World(dialect=Dialect(bcd=True, tags_everywhere=True, user_version=3, data_bytes_max=512))
    w.session.tell(Message(21, w.book.device_status(WALL_NS), urgent=False), None)
    w.session.tick(0)
    assert w.sent[-1][1].user_version == 3
    assert w.last().time.month <= 12


def test_a_start_says_normal_of_what_is_not_said_again() -> None:
    w = World()
    w.book.take([FIRE, record(2, "point/8", "point", **{"from": 0, "to": 8})])
    messages = w.book.take([record(3, "system/start", "system", site="x")])
    assert [(m.type, m.made.number, m.made.status) for m in messages if m.type == 2] == [(2, 8, 1)]
    assert w.book.system_word() & gb.STATUS_FIRE
