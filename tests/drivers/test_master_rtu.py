"""The bus master on RTU: pseudo-terminals, another stack, hostile units, timing, unplugging."""

from __future__ import annotations

import asyncio
import os
import tty
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
from modbus_peers import (
    DeviceMemory,
    PtyPeer,
    Script,
    Send,
    Sink,
    honest,
    make_plan,
    make_poll,
    pty_peer,
    rtu,
    running,
)
from pymodbus.server import ModbusSerialServer
from pymodbus.simulator import DataType, SimData, SimDevice

from config.limits import MS, S
from config.plan import Device, Line, Output, Poll
from drivers.link.serial import SerialLink
from drivers.link.stream import LinkError
from drivers.modbus.master import BusMaster
from drivers.modbus.timing import LineTiming
from drivers.reading import Failure

UNITS = [Device(f"u{n}", 0, n) for n in range(1, 10)]


def _master(
    line: Line, polls: Iterable[Poll], sink: Sink, outputs: Iterable[Output] = ()
) -> BusMaster:
    return BusMaster(make_plan([line], UNITS, list(polls), list(outputs)), 0, sink)


class Bridge:
    """Joins two pseudo-terminals, so that each side opens a serial port of its own."""

    def __init__(self) -> None:
        self.ends = [os.openpty(), os.openpty()]
        self.ports = [os.ttyname(slave) for _, slave in self.ends]
        for master, slave in self.ends:
            tty.setraw(slave)
            os.set_blocking(master, False)
        loop = asyncio.get_running_loop()
        (a, _), (b, _) = self.ends
        loop.add_reader(a, lambda: os.write(b, os.read(a, 4096)))
        loop.add_reader(b, lambda: os.write(a, os.read(b, 4096)))

    def close(self) -> None:
        for master, slave in self.ends:
            asyncio.get_running_loop().remove_reader(master)
            os.close(master)
            os.close(slave)


def test_another_stack_on_a_serial_line() -> None:
    async def main() -> None:
        bridge = Bridge()
        devices = [
            SimDevice(
                unit,
                simdata=(
                    [SimData(0, count=16, values=False, datatype=DataType.BITS)],
                    [SimData(0, count=16, values=True, datatype=DataType.BITS)],
                    [SimData(0, values=[unit, 2, 3], datatype=DataType.REGISTERS)],
                    [SimData(0, values=[40000 + unit], datatype=DataType.REGISTERS)],
                ),
            )
            for unit in (1, 2)
        ]
        server = ModbusSerialServer(devices, port=bridge.ports[1], baudrate=115_200)
        await server.serve_forever(background=True)
        try:
            sink = Sink()
            line = Line("riser", "rs485", serial_port=bridge.ports[0], baud=115_200)
            polls = [
                make_poll(0, 3, function=3),
                make_poll(0, 3, device=1, function=3, first_point=3),
                make_poll(0, 1, device=1, function=4, first_point=6, value_type="int16"),
                make_poll(0, 9, function=2, first_point=7),
            ]
            master = _master(line, polls, sink, [Output("siren", 1, 4, readback_ns=100 * MS)])
            async with running(master):
                await sink.until(lambda: all(sink.of(poll) for poll in range(4)))
                master.order(0, True)
                await sink.until(lambda: any(r.written and r.on for r in sink.read_backs))
            assert sink.values(0)[0] == [1, 2, 3]
            assert sink.values(1)[0] == [2, 2, 3]
            assert sink.values(2)[0] == [40002 - 65536]
            assert sink.values(3)[0] == [1] * 9
            assert master.counters[1].crc_errors == 0
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]  # -- theirs
            bridge.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("kind", "counter"),
    [
        ("stale", "stale_discarded"),
        ("foreign", "foreign_discarded"),
        ("crc", "crc_errors"),
        ("noise", "garbage_bytes"),
        ("echo", "garbage_bytes"),
        ("truncated", "garbage_bytes"),
    ],
)
def test_only_the_right_reply_is_taken(kind: str, counter: str) -> None:
    async def main() -> None:
        memory = DeviceMemory()

        async def script(_: int, unit: int, pdu: bytes, send: Send) -> None:
            good = rtu(unit, memory.answer(pdu))
            flipped = bytearray(good)
            flipped[4] ^= 0x40
            first = {
                "stale": rtu(unit, b"\x03\x02\xde\xad"),
                "foreign": rtu(unit + 1, b"\x03\x06" + b"\xde\xad" * 3),
                "crc": bytes(flipped),
                "noise": b"\xfe\x01\x03\x00",
                "echo": rtu(unit, pdu),
                "truncated": good[:6],
            }[kind]
            await send(first)
            await send(good)

        async with pty_peer(script) as peer:
            sink = Sink()
            master = _master(peer.line(), [make_poll(7, 3)], sink)
            async with running(master):
                await sink.until(lambda: len(sink.blocks) >= 5)
            assert {tuple(v) for v in sink.values(0)} == {(7, 8, 9)}
            assert not sink.failures
            assert getattr(master.counters[1], counter) >= 4

    asyncio.run(main())


def test_a_late_reply_is_never_taken_for_that_of_the_next_request() -> None:
    """RTU has no transaction id: the late reply has the shape of the next request's."""

    async def main() -> None:
        memory = DeviceMemory()
        held: list[bytes] = []

        async def script(_: int, unit: int, pdu: bytes, send: Send) -> None:
            reply = rtu(unit, memory.answer(pdu))
            if not held and unit == 1:
                held.append(reply)  # comes when unit 2 is asked, long after its deadline
                return
            if len(held) == 1 and unit == 2:
                held.append(reply)
                await send(held[0])
            await send(reply)

        async with pty_peer(script) as peer:
            sink = Sink()
            polls = [
                make_poll(100, 2),
                make_poll(200, 2, first_point=2),
                make_poll(300, 2, device=1, first_point=4),
            ]
            master = _master(peer.line(reply_timeout_ns=100 * MS), polls, sink)
            async with running(master):
                await sink.until(lambda: all(len(sink.of(poll)) >= 5 for poll in range(3)))
            assert {tuple(v) for v in sink.values(0)} == {(100, 101)}
            assert {tuple(v) for v in sink.values(1)} == {(200, 201)}
            assert {tuple(v) for v in sink.values(2)} == {(300, 301)}
            assert len(held) == 2
            assert sum(unit.foreign_discarded for unit in master.counters.values()) == 1

    asyncio.run(main())


def test_a_dead_unit_among_healthy_ones_costs_them_little() -> None:
    async def main() -> None:
        units = {n: DeviceMemory() for n in range(1, 9) if n != 4}
        async with pty_peer(honest(units, "rtu")) as peer:
            sink = Sink()
            polls = [
                make_poll(0, 10, device=n, interval_ms=200, first_point=10 * n) for n in range(8)
            ]
            line = peer.line(reply_timeout_ns=100 * MS)
            master = _master(line, polls, sink)
            async with running(master):
                await sink.until(lambda: len(sink.of(0)) >= 15)
                span_ns = sink.of(0)[-1].mono_ns - sink.of(0)[0].mono_ns
                due = span_ns / (200 * MS)
                counts = Counter(block.poll for block in sink.blocks)
                for poll in (0, 1, 2, 4, 5, 6, 7):
                    assert counts[poll] >= 0.85 * due, (poll, counts, due)
                assert counts[3] == 0
                assert 2 <= master.counters[4].timeouts <= 6
                # It comes back by itself.
                units[4] = DeviceMemory()
                await sink.until(lambda: sink.of(3), wait_s=10)

    asyncio.run(main())


def test_the_line_falls_silent_between_transactions() -> None:
    """Seen from the line: at 1,200 baud our own frame takes 67 ms and 3.5 characters are 29 ms."""

    async def main() -> None:
        async with pty_peer(honest({1: DeviceMemory()}, "rtu")) as peer:
            sink = Sink()
            polls = [make_poll(n, 1, first_point=n, interval_ms=50) for n in range(4)]
            line = peer.line(1200, turnaround_ns=5 * MS)
            master = _master(line, polls, sink)
            async with running(master):
                await sink.until(lambda: len(sink.blocks) >= 12)
            starts = [when for when, _, _ in peer.requests]
        # The pseudo-terminal passes a frame at once and the peer answers at once, so each request
        # may follow the end of the one before, at the line's speed, plus silence and turnaround.
        # Over the whole run, because a busy machine stamps a single request late.
        apart_s = 8 * 10 / 1200 + 3.5 * 10 / 1200 + 0.005
        assert starts[-1] - starts[0] >= (len(starts) - 1) * apart_s - 0.02
        assert master.jams == 0

    asyncio.run(main())


@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits", "silence_us"),
    [
        (9600, "N", 1, 3645),
        (9600, "E", 1, 4010),
        (19200, "N", 2, 2005),
        (38400, "N", 1, 1750),
        (115200, "E", 1, 1750),
    ],
)
def test_the_silence_is_that_of_the_standard(
    baud: int, parity: str, stop_bits: int, silence_us: int
) -> None:
    line = Line("r", "rs485", serial_port="x", baud=baud, parity=parity, stop_bits=stop_bits)
    assert LineTiming(line).silence_ns // 1000 == pytest.approx(silence_us, abs=1)


def test_a_babbling_line_stops_neither_the_siren_nor_the_master() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        babbling = True

        async def script(_: int, unit: int, pdu: bytes, send: Send) -> None:
            await send(rtu(unit, memory.answer(pdu)))

        async with pty_peer(script) as peer:
            sink = Sink()
            line = peer.line(1200, reply_timeout_ns=50 * MS)  # 29 ms would be silence
            master = _master(line, [make_poll(0, 2)], sink, [Output("s", 1, 0)])
            loop = asyncio.get_running_loop()

            def babble() -> None:
                if babbling and peer.master >= 0:
                    os.write(peer.master, b"\x55\xaa")
                    loop.call_later(0.002, babble)

            babble()
            master.order(0, True)
            async with running(master):
                await sink.until(lambda: memory.coils[0] and master.jams >= 1)
                before = master.last_attempt_ns
                await sink.until(lambda: master.last_attempt_ns > before)
                await sink.until(lambda: any(state.jammed for state in sink.lines))
                babbling = False
                await sink.until(lambda: sink.blocks)
            assert {tuple(v) for v in sink.values(0)} == {(0, 1)}

    asyncio.run(main())


def test_unplugged_and_plugged_in_again(tmp_path: Path) -> None:
    async def main() -> None:
        script: Script = honest({1: DeviceMemory()}, "rtu")
        port = tmp_path / "ttyUSB0"  # what udev would call it
        first = PtyPeer(script)
        first.start()
        port.symlink_to(first.port)
        sink = Sink()
        line = Line("riser", "rs485", serial_port=str(port), baud=115_200)
        master = _master(line, [make_poll(0, 2)], sink)
        async with running(master):
            await sink.until(lambda: len(sink.blocks) >= 3)
            await first.stop()
            port.unlink()
            await sink.until(lambda: any(not state.up for state in sink.lines))
            assert [f.why for f in sink.failures] == [Failure.LINK_DOWN]
            seen = len(sink.blocks)
            async with pty_peer(script) as second:
                port.symlink_to(second.port)
                await sink.until(lambda: len(sink.blocks) >= seen + 3)
        assert [state.up for state in sink.lines] == [True, False, True]

    asyncio.run(main())


def test_an_adapter_that_comes_back_under_another_node_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two adapters in /dev/serial/by-id. Ours is pulled and plugged in again while its old node
    is taken by the other one, as happens when both were pulled: by its node it would be mistaken.
    """
    monkeypatch.setattr("drivers.link.port.SERIAL_DIRECTORY", tmp_path)
    by_id = tmp_path / "by-id"
    by_id.mkdir()
    ours = by_id / "usb-FTDI_FT232R_USB_UART_A50285BI-if00-port0"
    other = by_id / "usb-FTDI_FT232R_USB_UART_B77700XX-if00-port0"

    def memory(first: int) -> DeviceMemory:
        made = DeviceMemory()
        made.registers[:2] = [first, first + 1]
        return made

    async def main() -> None:
        script, stranger = honest({1: memory(10)}, "rtu"), honest({1: memory(666)}, "rtu")
        first = PtyPeer(script)
        first.start()
        ours.symlink_to(first.port)
        sink = Sink()
        line = Line("riser", "rs485", serial_port="usb:A50285BI", baud=115_200)
        master = _master(line, [make_poll(0, 2)], sink)
        async with running(master):
            await sink.until(lambda: len(sink.blocks) >= 3)
            await first.stop()
            ours.unlink()
            async with pty_peer(stranger) as taken:  # usually gets the very node that became free
                other.symlink_to(taken.port)
                await sink.until(lambda: any(not state.up for state in sink.lines))
                seen = len(sink.blocks)
                async with pty_peer(script) as second:
                    assert second.port != taken.port
                    ours.symlink_to(second.port)
                    await sink.until(lambda: len(sink.blocks) >= seen + 3)
        assert {tuple(v) for v in sink.values(0)} == {(10, 11)}
        assert [state.up for state in sink.lines] == [True, False, True]
        assert "closed" in sink.lines[1].text or "Input/output" in sink.lines[1].text

    asyncio.run(main())


def test_a_port_has_one_master() -> None:
    async def main() -> None:
        async with pty_peer(honest({}, "rtu")) as peer:
            lost: list[str] = []
            first = SerialLink(peer.line(), lambda _: None, lost.append)
            second = SerialLink(peer.line(), lambda _: None, lost.append)
            await first.open()
            with pytest.raises(LinkError, match="in use by another process"):
                await second.open()
            first.close()
            await second.open()
            second.close()
            assert not lost

    asyncio.run(main())


def test_a_missing_port_says_so() -> None:
    async def main() -> None:
        line = Line("riser", "rs485", serial_port="/dev/ttyNOTHERE", baud=9600)
        with pytest.raises(LinkError, match=r"/dev/ttyNOTHERE: there is no such port"):
            await SerialLink(line, lambda _: None, lambda _: None).open()

    asyncio.run(main())


def test_rtu_through_a_serial_server() -> None:
    async def main() -> None:
        memory = DeviceMemory()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while frame := await reader.read(8):
                writer.write(rtu(frame[0], memory.answer(frame[1:6])))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        line = Line("far", "rtu_tcp", host="127.0.0.1", tcp_port=port)
        sink = Sink()
        master = _master(line, [make_poll(5, 2)], sink, [Output("s", 0, 1)])
        async with running(master):
            master.order(0, True)
            await sink.until(lambda: len(sink.blocks) >= 5 and memory.coils[1])
        server.close()
        await server.wait_closed()
        assert {tuple(v) for v in sink.values(0)} == {(5, 6)}

    asyncio.run(main())


def test_an_order_on_a_slow_line_is_bounded_by_the_transaction_in_flight() -> None:
    async def main() -> None:
        async with pty_peer(honest({2: (relays := DeviceMemory())}, "rtu")) as peer:
            sink = Sink()
            polls = [make_poll(n, 1, first_point=n, alarm=True) for n in range(8)]  # a dead unit
            line = peer.line(9600, reply_timeout_ns=200 * MS)
            master = _master(line, polls, sink, [Output("s", 1, 0, readback_ns=S)])
            async with running(master):
                await sink.until(lambda: sink.failures)
                ordered_ns = sink.failures[-1].mono_ns
                master.order(0, True)
                await sink.until(lambda: any(r.written and r.on for r in sink.read_backs))
                told_ns = next(r.mono_ns for r in sink.read_backs if r.written and r.on)
            assert relays.coils[0]
            in_flight_ns = 200 * MS + 30 * MS
            # Behind the queue of dead polls it would be 1.8 s; the slack is for a busy machine.
            assert told_ns - ordered_ns <= in_flight_ns + 500 * MS

    asyncio.run(main())
