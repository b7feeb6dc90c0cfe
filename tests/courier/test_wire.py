"""The guard that follows MQTT's fixed headers, and the socket that the library is given."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.courier import wire
from agent.courier.post import unreached
from agent.courier.wire import PacketGuard, PacketNotAskedFor, PacketTooLarge, Wire
from config.limits import MQTT_UNSENT_BYTES_MAX, MS


def packet(body: int) -> bytes:
    out = bytearray([0x30])
    left = body
    while True:
        left, digit = left >> 7, left & 0x7F
        out.append(digit | (0x80 if left else 0))
        if not left:
            return bytes(out) + bytes(body)


@given(st.lists(st.integers(0, 3_000), max_size=8), st.integers(1, 700))
def test_whole_packets_pass_in_any_pieces(bodies: list[int], step: int) -> None:
    guard = PacketGuard(3_000)
    stream = b"".join(packet(n) for n in bodies)
    for at in range(0, len(stream), step):
        guard.feed(stream[at : at + step])
    with pytest.raises(PacketTooLarge):
        guard.feed(packet(3_001)[:4])


@given(st.integers(1_001, 2**28 - 1), st.integers(1, 5))
def test_a_large_packet_is_refused_by_its_header_alone(body: int, step: int) -> None:
    guard = PacketGuard(1_000)
    head = packet(0) + bytes([0x30]) + _varint(body)
    assert _refused(guard, [head[at : at + step] for at in range(0, len(head), step)])


def test_a_length_without_end_is_refused() -> None:
    with pytest.raises(PacketTooLarge):
        PacketGuard(1_000).feed(b"\x30" + b"\x80" * 5)


@given(st.binary(max_size=2_000))
def test_any_bytes_pass_or_are_refused(data: bytes) -> None:
    guard = PacketGuard(100)
    whole = _refused(guard, [data])
    assert whole == _refused(PacketGuard(100), [data[i : i + 1] for i in range(len(data))])


def test_a_broker_that_never_reads_is_left() -> None:
    async def test() -> None:
        async def never_reads(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await gate.wait()

        server = await asyncio.start_server(never_reads, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        wire = Wire(1_000)
        await asyncio.get_running_loop().create_connection(lambda: wire, host, port)
        for _ in range(MQTT_UNSENT_BYTES_MAX >> 20):
            wire.send(bytes(1 << 20))  # the most that the window has under way
        with pytest.raises(ConnectionError, match="does not read"):
            _send_on(wire)
        gate.set()
        wire._end("over")  # what is unsent is of no use
        server.close()

    gate = asyncio.Event()
    asyncio.run(test())


def _send_on(wire: Wire) -> None:
    for _ in range(MQTT_UNSENT_BYTES_MAX >> 20):
        wire.send(bytes(1 << 20))


def _refused(guard: PacketGuard, pieces: list[bytes]) -> bool:
    try:
        for piece in pieces:
            guard.feed(piece)
    except (PacketTooLarge, PacketNotAskedFor):
        return True
    return False


def _varint(value: int) -> bytes:
    out = bytearray()
    while True:
        value, digit = value >> 7, value & 0x7F
        out.append(digit | (0x80 if value else 0))
        if not value:
            return bytes(out)


def test_a_destination_that_does_not_answer_is_a_fault_with_a_reason() -> None:
    assert unreached("192.0.2.20", 5200, TimeoutError()) == "192.0.2.20:5200: no answer"
    refused = ConnectionRefusedError(111, "Connection refused")
    assert "Connection refused" in unreached("192.0.2.20", 5200, refused)


def test_a_connection_to_a_peer_that_vanished_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It takes nothing more and says nothing: what was written is not kept for it."""
    monkeypatch.setattr(wire, "MQTT_CLOSE_NS", 50 * MS)

    async def story() -> None:
        async def vanished(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.transport.pause_reading()  # type: ignore[attr-defined]  # -- a socket has it
            peers.append(writer)

        peers: list[asyncio.StreamWriter] = []
        server = await asyncio.start_server(vanished, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        made = Wire(4_096)
        await asyncio.get_running_loop().create_connection(lambda: made, "127.0.0.1", port)
        for _ in range(12):
            made.send(bytes(1 << 20))
        made.close()
        async with asyncio.timeout(5):
            await made.gone.wait()
        for peer in peers:
            peer.transport.abort()
        server.close()

    asyncio.run(story())
