"""Frames: known vectors, and any bytes in any chunks never raise and never pass for a reply."""

from __future__ import annotations

import struct
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from modbus_peers import mbap, rtu
from pymodbus.framer.rtu import FramerRTU

from config.limits import LINE_BUFFER_BYTES_MAX
from drivers.modbus.frame import (
    Matcher,
    MbapMatcher,
    Query,
    RtuMatcher,
    crc16,
    read_query,
    rtu_frame,
    write_coil_query,
)

READ = read_query(17, 3, 0x6B, 3)
REPLY = bytes.fromhex("0306022b00000064")  # V1.1b3, 6.3: the example's reply
DATA = REPLY[2:]


def test_the_examples_of_the_specification() -> None:
    assert READ.pdu == bytes.fromhex("03006b0003")
    assert write_coil_query(1, 0xAC, True).pdu == bytes.fromhex("0500acff00")  # 6.5
    assert read_query(1, 1, 0x13, 0x13).reply_bytes == 2 + 3  # 6.1: 19 coils in three bytes


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_another_stack(data: bytes) -> None:
    assert crc16(data).to_bytes(2, "little") == FramerRTU.compute_CRC(data).to_bytes(2, "big")


class Wire:
    """One framing: how a reply looks, and a matcher that waits for it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def expecting(self, query: Query) -> tuple[Matcher, int]:
        if self.name == "rtu":
            matcher: Matcher = RtuMatcher()
            assert matcher.expect(query) == rtu(query.unit, query.pdu)
            return matcher, 0
        matcher = MbapMatcher(transaction=40)
        assert matcher.expect(query) == mbap(41, query.unit, query.pdu)
        return matcher, 41

    def frame(self, tid: int, unit: int, pdu: bytes) -> bytes:
        return rtu(unit, pdu) if self.name == "rtu" else mbap(tid, unit, pdu)


@pytest.fixture(params=["rtu", "tcp"])
def wire(request: pytest.FixtureRequest) -> Wire:
    return Wire(request.param)


def test_a_reply_byte_by_byte(wire: Wire) -> None:
    matcher, tid = wire.expecting(READ)
    frame = wire.frame(tid, 17, REPLY)
    assert [matcher.feed(frame[i : i + 1]) for i in range(len(frame) - 1)] == [None] * (
        len(frame) - 1
    )
    assert matcher.feed(frame[-1:]) == DATA
    assert not matcher.settle().any()


def test_an_exception_is_its_code(wire: Wire) -> None:
    matcher, tid = wire.expecting(READ)
    assert matcher.feed(wire.frame(tid, 17, b"\x83\x02")) == 2
    assert not matcher.settle().any()


def test_a_write_is_confirmed_by_its_repetition_only(wire: Wire) -> None:
    query = write_coil_query(9, 4, True)
    matcher, tid = wire.expecting(query)
    assert matcher.feed(wire.frame(tid, 9, write_coil_query(9, 4, False).pdu)) is None
    assert matcher.feed(wire.frame(tid, 9, write_coil_query(9, 5, True).pdu)) is None
    assert matcher.feed(wire.frame(tid, 9, query.pdu)) == b""
    assert matcher.settle().stale == 2


@pytest.mark.parametrize(
    ("before", "count"),
    [
        pytest.param(lambda w, t: w.frame(t, 18, REPLY), ("foreign", 1), id="another unit"),
        pytest.param(lambda w, t: w.frame(t, 17, b"\x04" + REPLY[1:]), ("stale", 1), id="function"),
        pytest.param(lambda w, t: w.frame(t, 17, b"\x03\x02\x00\x01"), ("stale", 1), id="shorter"),
        pytest.param(
            lambda w, t: w.frame(t, 17, b"\x03\x08" + bytes(8)), ("stale", 1), id="longer"
        ),
        pytest.param(lambda w, t: w.frame(t, 17, b"\x81\x02"), ("stale", 1), id="other exception"),
        pytest.param(lambda w, t: b"\xff\x00\x11\x11", ("garbage_bytes", 4), id="noise"),
        pytest.param(
            lambda w, t: w.frame(t, 17, REPLY)[:7], ("garbage_bytes", 7), id="truncated reply"
        ),
        pytest.param(lambda w, t: w.frame(t, 18, b"\x03\xfa")[:5], None, id="a long frame's start"),
    ],
)
@pytest.mark.parametrize("chunk", [1, 3, 1000])
def test_the_good_reply_is_found_behind(
    wire: Wire, before: Callable[[Wire, int], bytes], count: str | None, chunk: int
) -> None:
    matcher, tid = wire.expecting(READ)
    stream = before(wire, tid) + wire.frame(tid, 17, REPLY)
    verdicts = [matcher.feed(stream[i : i + chunk]) for i in range(0, len(stream), chunk)]
    assert verdicts[-1] == DATA
    assert set(verdicts[:-1]) <= {None}
    discards = matcher.settle()
    if count is not None:
        assert getattr(discards, count[0]) == count[1]


def test_a_reply_to_the_transaction_before_is_stale() -> None:
    matcher, tid = Wire("tcp").expecting(READ)
    stale = mbap(tid - 1, 17, b"\x03\x06" + b"\xee" * 6)
    assert matcher.feed(stale + mbap(tid, 17, REPLY)) == DATA
    assert matcher.settle().stale == 1


def test_a_flipped_bit_in_an_rtu_reply_is_a_crc_error() -> None:
    frame = bytearray(rtu(17, REPLY))
    frame[5] ^= 0x10
    matcher, _ = Wire("rtu").expecting(READ)
    assert matcher.feed(bytes(frame)) is None
    assert matcher.feed(rtu(17, REPLY)) == DATA
    assert matcher.settle().crc_errors == 1


def test_our_own_echo_is_not_a_reply() -> None:
    matcher = RtuMatcher()
    echo = matcher.expect(READ)
    assert matcher.feed(echo + rtu(17, REPLY)) == DATA


def test_bytes_between_transactions_are_counted_and_never_used(wire: Wire) -> None:
    matcher, tid = wire.expecting(READ)
    assert matcher.feed(wire.frame(tid, 17, REPLY)) == DATA
    assert matcher.feed(wire.frame(tid, 17, REPLY)) is None
    matcher.expect(READ)
    assert matcher.feed(wire.frame(tid + 1, 17, b"\x03\x06" + bytes(6))) == bytes(6)
    assert matcher.settle().stale == 1


def _chunks(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    edges = [0, *cuts, len(stream)]
    return [stream[a:b] for a, b in pairwise(edges)]


@st.composite
def _hostile(draw: st.DrawFn) -> tuple[str, int, list[bytes]]:
    """Chunks made of noise, wrong frames and pieces of right ones, but no right frame."""
    name = draw(st.sampled_from(["rtu", "tcp"]))
    wire = Wire(name)
    frame = wire.frame(41, 17, REPLY)

    def flip(at: int, bit: int) -> bytes:
        data = bytearray(frame)
        data[at] ^= 1 << bit
        return bytes(data)

    # On TCP a flipped data bit cannot be told (TCP has a checksum of its own): flip the head.
    last = len(frame) - 1 if name == "rtu" else 8
    piece = st.one_of(
        st.binary(max_size=40),
        st.builds(lambda n: frame[:n], st.integers(0, len(frame) - 1)),
        st.builds(flip, st.integers(0, last), st.integers(0, 7)),
        st.builds(lambda u: wire.frame(41, u, REPLY), st.integers(18, 247)),
        st.builds(lambda n: wire.frame(41, 17, bytes([3, n]) + bytes(n)), st.integers(7, 250)),
        st.builds(lambda f: wire.frame(41, 17, bytes([f]) + REPLY[1:]), st.sampled_from([1, 2, 4])),
    )
    stream = b"".join(draw(st.lists(piece, max_size=12)))
    return name, len(frame), _chunks(draw, stream)


def _holds_reply(name: str, stream: bytes) -> bool:
    """Whether chance has put a right frame into the noise: an independent look at every offset."""
    if name == "tcp":
        head = struct.pack(">HHHB", 41, 0, 9, 17) + REPLY[:2]
        return head in stream or struct.pack(">HHHBB", 41, 0, 3, 17, 0x83) in stream
    for at in range(len(stream)):
        for size in (5, 11):
            body = stream[at : at + size - 2]
            if (
                len(stream) >= at + size
                and body[0] == 17
                and (body[1:3] == REPLY[:2] if size == 11 else body[1] == 0x83)
                and rtu(17, body[1:]) == stream[at : at + size]
            ):
                return True
    return False


@settings(max_examples=150, deadline=None)
@given(_hostile())
def test_nothing_but_the_reply_is_accepted(world: tuple[str, int, list[bytes]]) -> None:
    name, _, chunks = world
    assume(not _holds_reply(name, b"".join(chunks)))
    matcher, tid = Wire(name).expecting(READ)
    for chunk in chunks:
        assert matcher.feed(chunk) is None
    if name == "rtu":
        # Behind all of it the good reply is still found, whatever lies in front.
        assert matcher.feed(Wire(name).frame(tid, 17, REPLY)) == DATA
    matcher.settle()


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(["rtu", "tcp"]),
    st.lists(st.binary(max_size=4096), max_size=6),
    st.integers(1, 125),
)
def test_any_bytes_give_no_exception_and_memory_is_bounded(
    name: str, chunks: list[bytes], count: int
) -> None:
    matcher, _ = Wire(name).expecting(read_query(1, 3, 0, count))
    for chunk in chunks:
        verdict = matcher.feed(chunk)
        assert verdict is None or isinstance(verdict, int) or len(verdict) == 2 * count
        assert isinstance(matcher, RtuMatcher | MbapMatcher)
        assert len(matcher._buffer) <= LINE_BUFFER_BYTES_MAX  # the promise is about this buffer
    matcher.settle()
    assert matcher.feed(b"") is None


def test_a_line_that_babbles_our_own_head_stays_cheap() -> None:
    """A jammed line that keeps beginning our reply costs a bounded number of checksums."""
    query = read_query(3, 3, 0, 1)
    matcher = RtuMatcher()
    matcher.expect(query)
    for _ in range(100):
        assert matcher.feed(bytes.fromhex("0303020303020303") * 500) is None
    assert matcher.settle().crc_errors <= 64


def test_the_frame_sent_is_whole() -> None:
    assert rtu_frame(17, READ.pdu) == bytes.fromhex("1103006b00037687")  # serial line V1.02 example
