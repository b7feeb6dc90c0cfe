"""A unit whose replies dribble in, behind a gateway or a serial server that it shares."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from modbus_peers import (
    DeviceMemory,
    Send,
    Sink,
    make_plan,
    make_poll,
    mbap,
    rtu,
    running,
    tcp_peer,
)

from config.limits import MS
from config.plan import Device, Line
from drivers.modbus.frame import MbapMatcher, RtuMatcher, read_query
from drivers.modbus.master import BusMaster
from drivers.reading import Failure

UNITS = [Device(f"u{n}", 0, n) for n in range(1, 5)]


def test_a_unit_that_never_ends_its_reply_does_not_keep_the_line() -> None:
    """Behind a gateway nothing is answered before the rest of a slow reply has come."""

    async def main() -> None:
        memory = DeviceMemory()
        slow = True

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            reply = mbap(tid, unit, memory.answer(pdu))
            if unit == 1 and slow:
                for byte in reply:
                    await send(bytes([byte]))
                    await asyncio.sleep(0.06)  # 29 bytes: 1.7 s
                return
            await send(reply)

        async with tcp_peer(script) as peer:
            sink = Sink()
            polls = [
                make_poll(0, 10, device=n, interval_ms=100, first_point=10 * n, alarm=n == 0)
                for n in range(4)
            ]
            line = peer.line(reply_timeout_ns=100 * MS)
            master = BusMaster(make_plan([line], UNITS, polls), 0, sink)
            async with running(master):
                await sink.until(lambda: master.counters[1].incomplete >= 2)
                before, begun_ns = Counter(b.poll for b in sink.blocks), sink.failures[-1].mono_ns
                await sink.until(lambda: len(sink.of(3)) >= 16)
                span_ns = sink.blocks[-1].mono_ns - begun_ns
                counts = Counter(b.poll for b in sink.blocks)
                for poll in (1, 2, 3):
                    share = (counts[poll] - before[poll]) / (span_ns / (100 * MS))
                    assert share >= 0.5, (poll, share)
                slow = False
                await sink.until(lambda: sink.of(0), wait_s=10)
        assert {f.why for f in sink.failures if f.poll == 0} == {Failure.INCOMPLETE}
        assert master.counters[2].incomplete == 0
        assert [state.up for state in sink.lines if not state.up] == [], "nobody pulled a plug"

    asyncio.run(main())


def test_the_rest_of_a_slow_reply_is_waited_for_and_taken_for_nobodys() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        requests: list[int] = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while frame := await reader.read(8):
                requests.append(frame[0])
                reply = rtu(frame[0], memory.answer(frame[1:6]))
                if frame[0] == 1 and requests.count(1) == 1:
                    for byte in reply:
                        writer.write(bytes([byte]))
                        await asyncio.sleep(0.02)  # 9 bytes: 180 ms
                else:
                    writer.write(reply)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        line = Line("far", "rtu_tcp", host="127.0.0.1", tcp_port=port, reply_timeout_ns=100 * MS)
        sink = Sink()
        polls = [make_poll(10 * n, 2, device=n, first_point=2 * n) for n in range(2)]
        master = BusMaster(make_plan([line], UNITS, polls), 0, sink)
        async with running(master):
            await sink.until(lambda: len(sink.of(0)) >= 3 and len(sink.of(1)) >= 3)
        server.close()
        await server.wait_closed()
        assert {tuple(v) for v in sink.values(0)} == {(0, 1)}
        assert {tuple(v) for v in sink.values(1)} == {(10, 11)}
        assert master.counters[1].incomplete == 1
        assert master.counters[2].timeouts == master.counters[2].malformed == 0

    asyncio.run(main())


@pytest.mark.parametrize("size", range(1, 25))
def test_how_much_of_a_reply_is_missing(size: int) -> None:
    query = read_query(9, 3, 0, 10)
    reply = rtu(9, b"\x03\x14" + bytes(range(20)))
    matcher = RtuMatcher()
    matcher.expect(query)
    assert matcher.feed(b"\xfe" + reply[:size]) is None
    assert matcher.missing == 25 - size
    assert matcher.feed(reply[size:]) == bytes(range(20))
    assert matcher.missing == 0
    stream = MbapMatcher()
    stream.expect(query)
    reply = mbap(1, 9, b"\x03\x14" + bytes(range(20)))
    assert stream.feed(b"\xfe" + reply[:size]) is None
    assert stream.missing == (29 - size if size > 1 else 0)


def test_what_is_no_reply_lacks_nothing() -> None:
    matcher, stream = RtuMatcher(), MbapMatcher()
    assert matcher.missing == stream.missing == 0
    for one in (matcher, stream):
        one.expect(read_query(9, 3, 0, 10))
        one.feed(b"\xfe\xfe\xfe")
        assert one.missing == 0
