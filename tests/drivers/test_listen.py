"""Listening to a line that another master drives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from config.limits import LINE_BUFFER_BYTES_MAX
from drivers.modbus.frame import read_query, rtu_frame, write_coil_query
from drivers.modbus.line_file import Chunk
from drivers.modbus.listen import Exchange, Listener
from drivers.simulator.replay import recorded_replies

MS = 1_000_000


def ask(unit: int, function: int, address: int, count: int) -> bytes:
    return rtu_frame(unit, read_query(unit, function, address, count).pdu)


def reply(unit: int, function: int, data: bytes) -> bytes:
    return rtu_frame(unit, bytes((function, len(data))) + data)


def heard(*chunks: bytes) -> list[Exchange]:
    listener = Listener()
    out = [e for k, c in enumerate(chunks) for e in listener.feed(c, k * 5 * MS)]
    return out + listener.finish()


def test_a_read_and_its_reply() -> None:
    (e,) = heard(ask(3, 4, 10, 2), reply(3, 4, b"\x12\x34\x00\x05"))
    assert (e.unit, e.function, e.address, e.count, e.words) == (3, 4, 10, 2, (0x1234, 5))
    assert e.answered
    assert e.round_trip_ns == 5 * MS


def test_a_reply_that_is_as_long_as_a_request() -> None:
    """Eight bytes of three registers' reply and of a request look alike but for the checksum."""
    found = heard(ask(1, 1, 0, 24), reply(1, 1, b"\x00\x00\x03"), ask(1, 3, 7, 1),
                  reply(1, 3, b"\x00\x01"))  # fmt: skip
    assert [(e.function, e.data) for e in found] == [(1, b"\x00\x00\x03"), (3, b"\x00\x01")]


def test_silence_exception_and_writes() -> None:
    on = write_coil_query(9, 2, True)
    many = bytes.fromhex("0f0000000a02ff03")  # ten coils at once: a master that is not ours
    found = heard(
        ask(1, 3, 0, 1),
        ask(2, 3, 0, 1), rtu_frame(2, b"\x83\x02"),
        rtu_frame(9, on.pdu), rtu_frame(9, on.pdu),
        rtu_frame(9, many), rtu_frame(9, many[:5]),
    )  # fmt: skip
    assert [(e.unit, e.function, e.exception, e.answered) for e in found] == [
        (1, 3, 0, False), (2, 3, 2, True), (9, 5, 0, True), (9, 15, 0, True),
    ]  # fmt: skip
    assert found[2].data == b"\xff\x00"


def test_noise_between_frames_is_counted_and_costs_nothing_else() -> None:
    listener = Listener()
    out = listener.feed(b"\xff\x00\x13" + ask(1, 3, 0, 1) + reply(1, 3, b"\x00\x07"), 0)
    assert [e.words for e in out] == [(7,)]
    assert listener.garbage_bytes == 3


def test_half_a_frame_is_forgotten_after_a_gap() -> None:
    listener = Listener()
    assert listener.feed(ask(1, 3, 0, 1)[:5], 0) == []
    out = listener.feed(ask(1, 3, 5, 1), 1000 * MS)
    out += listener.feed(reply(1, 3, b"\x00\x01"), 1005 * MS)
    assert [e.address for e in out] == [5]
    assert listener.garbage_bytes == 5


@given(st.lists(st.binary(max_size=300), max_size=30))
def test_any_bytes_are_bounded(chunks: list[bytes]) -> None:
    listener = Listener()
    total = 0
    for k, chunk in enumerate(chunks):
        total += len(chunk)
        for e in listener.feed(chunk, k * MS):
            assert e.request
        assert len(listener._buffer) <= LINE_BUFFER_BYTES_MAX
    listener.finish()
    assert listener.garbage_bytes <= total


@given(st.data())
def test_any_chunks_give_the_same_exchanges(data: st.DataObject) -> None:
    said = b""
    for unit in (1, 2, 3):
        said += ask(unit, 3, unit, 2) + reply(unit, 3, bytes((unit, 0, 0, unit)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(said)), max_size=12)))
    parts = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
    listener = Listener()
    found = [e for p in parts for e in listener.feed(p, 0)] + listener.finish()
    assert [(e.unit, e.words) for e in found] == [(u, (u << 8, u)) for u in (1, 2, 3)]
    assert listener.garbage_bytes == 0


def test_recorded_replies_keep_their_order_and_their_time() -> None:
    chunks = [Chunk(0, ask(1, 3, 0, 1)), Chunk(7 * MS, reply(1, 3, b"\x00\x01")),
              Chunk(20 * MS, ask(1, 3, 0, 1)), Chunk(31 * MS, reply(1, 3, b"\x00\x02")),
              Chunk(50 * MS, ask(4, 3, 0, 1))]  # fmt: skip
    assert recorded_replies(chunks) == {
        ask(1, 3, 0, 1): [(7 * MS, reply(1, 3, b"\x00\x01")), (11 * MS, reply(1, 3, b"\x00\x02"))]
    }
