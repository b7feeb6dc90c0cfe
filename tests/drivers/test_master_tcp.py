"""The bus master on TCP, against another Modbus stack and against hostile peers."""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Iterable

import pytest
from modbus_peers import (
    DeviceMemory,
    Send,
    Sink,
    TcpPeer,
    honest,
    make_plan,
    make_poll,
    mbap,
    running,
    tcp_peer,
)
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from config.limits import LINE_BUFFER_BYTES_MAX, LINK_SILENCE_NS_MAX, MS, S
from config.plan import Device, Line, Output, Poll
from config.words import Quality
from drivers.modbus.frame import MbapMatcher
from drivers.modbus.master import BusMaster
from drivers.reading import Failure


def _master(
    peer: TcpPeer, polls: Iterable[Poll], sink: Sink, outputs: Iterable[Output] = (), **line: int
) -> BusMaster:
    plan = make_plan(
        [peer.line(**line)], [Device("a", 0, 1), Device("b", 0, 2)], list(polls), list(outputs)
    )
    return BusMaster(plan, 0, sink)


def test_another_stack_serves_all_four_tables_and_the_coil() -> None:
    async def main() -> None:
        device = SimDevice(
            1,
            simdata=(
                [SimData(0, count=16, values=False, datatype=DataType.BITS)],
                [SimData(0, values=[True, False, True, True] * 4, datatype=DataType.BITS)],
                [SimData(0, values=[17, 65535, 300], datatype=DataType.REGISTERS)],
                [SimData(0, values=[21.5], datatype=DataType.FLOAT32)],
            ),
        )
        server = ModbusTcpServer(device, address=("127.0.0.1", 0))
        await server.serve_forever(background=True)
        port = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # -- a server
        try:
            plan = make_plan(
                [Line("net", "tcp", host="127.0.0.1", tcp_port=port)],
                [Device("a", 0, 1)],
                [
                    make_poll(0, 3, function=3, value_type="int16"),
                    make_poll(0, 2, function=4, first_point=3),
                    make_poll(0, 4, function=2, first_point=5),
                    make_poll(0, 4, function=1, first_point=9),
                ],
                [Output("siren", 0, 2, readback_ns=50 * MS)],
            )
            sink = Sink()
            master = BusMaster(plan, 0, sink)
            async with running(master):
                await sink.until(lambda: all(sink.of(poll) for poll in range(4)))
                assert sink.values(0)[0] == [17, -1, 300]
                assert struct.pack(">2H", *map(int, sink.values(1)[0])) == struct.pack(">f", 21.5)
                assert sink.values(2)[0] == [1, 0, 1, 1]
                assert sink.values(3)[0] == [0, 0, 0, 0]
                master.order(0, True)
                await sink.until(lambda: any(r.written and r.on for r in sink.read_backs))
                await sink.until(lambda: sink.values(3)[-1] == [0, 0, 1, 0])
                assert not sink.failures
                assert master.counters[1].timeouts == 0
        finally:
            await server.shutdown()  # type: ignore[no-untyped-call]  # -- theirs

    asyncio.run(main())


def _noisy(tid: int, unit: int, pdu: bytes, reply: bytes) -> dict[str, bytes]:
    good = mbap(tid, unit, reply)
    wrong = reply[:2] + b"\xde\xad" * ((len(reply) - 2) // 2)
    return {
        "stale": mbap(tid - 1 & 0xFFFF, unit, wrong) + good,
        "future": mbap(tid + 1 & 0xFFFF, unit, wrong) + good,
        "unit": mbap(tid, unit + 1, wrong) + good,
        "function": mbap(tid, unit, bytes([4]) + wrong[1:]) + good,
        "length": mbap(tid, unit, b"\x03\x02\xde\xad") + good,
        "noise": b"\x00\xff\x00garbage" + good,
        "twice": good + good,
        "plain": good,
    }


@pytest.mark.parametrize(
    "kind", ["stale", "future", "unit", "function", "length", "noise", "twice"]
)
def test_only_the_right_reply_is_taken(kind: str) -> None:
    async def main() -> None:
        memory = DeviceMemory()

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            await send(_noisy(tid, unit, pdu, memory.answer(pdu))[kind])

        async with tcp_peer(script) as peer:
            sink = Sink()
            master = _master(peer, [make_poll(7, 3, interval_ms=50)], sink)
            async with running(master):
                await sink.until(lambda: len(sink.blocks) >= 5)
            assert {tuple(v) for v in sink.values(0)} == {(7, 8, 9)}
            assert not sink.failures
            unit = master.counters[1]
            counted = {
                "unit": unit.foreign_discarded,
                "noise": unit.garbage_bytes,
            }.get(kind, unit.stale_discarded)
            assert counted >= 4

    asyncio.run(main())


def test_a_reply_byte_by_byte_is_taken_and_one_too_late_is_not() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        late = asyncio.Event()
        turn = 0

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            nonlocal turn
            turn += 1
            reply = mbap(tid, unit, memory.answer(pdu))
            if turn == 1:
                for n in range(len(reply)):
                    await send(reply[n : n + 1])
            elif turn == 2:
                await send(reply[:-1])  # the last byte comes after the deadline
                await late.wait()
                memory.registers[0] = 4711
                await send(reply[-1:])
            else:
                await send(mbap(tid, unit, memory.answer(pdu)))

        async with tcp_peer(script) as peer:
            sink = Sink()
            polls = [make_poll(0, 2, interval_ms=50)]
            master = _master(peer, polls, sink, reply_timeout_ns=100 * MS)
            async with running(master):
                await sink.until(lambda: sink.failures)
                assert sink.failures[0].why is Failure.INCOMPLETE
                late.set()
                await sink.until(lambda: len(sink.blocks) >= 3)
            assert sink.values(0)[0] == [0, 1]
            assert all(v == [4711, 1] for v in sink.values(0)[1:])

    asyncio.run(main())


def test_silence_is_a_timeout_and_an_exception_is_told_with_its_code() -> None:
    async def main() -> None:
        script = honest({1: DeviceMemory()}, "tcp")
        async with tcp_peer(script) as peer:
            sink = Sink()
            polls = [
                make_poll(0, 2),
                make_poll(990, 20, first_point=2),  # beyond the device's registers
                make_poll(0, 2, device=1, first_point=22),  # nobody there
            ]
            master = _master(peer, polls, sink, reply_timeout_ns=50 * MS)
            async with running(master):
                await sink.until(lambda: len(sink.of(0)) >= 20)
                await sink.until(lambda: {f.poll for f in sink.failures} == {1, 2})
                assert master.up
            refused = [f for f in sink.failures if f.poll == 1]
            assert {(f.why, f.exception_code) for f in refused} == {(Failure.EXCEPTION, 2)}
            assert len(refused) >= 10  # still asked, at its rate
            silent = [f for f in sink.failures if f.poll == 2]
            assert {f.why for f in silent} == {Failure.TIMEOUT}
            assert len(silent) <= 4  # backed off
            assert master.counters[2].timeouts == len(silent)
            assert peer.connections == 1

    asyncio.run(main())


def test_a_connection_lost_in_the_middle_of_a_reply_comes_back() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        turn = 0
        peer = TcpPeer(honest({}, "tcp"))

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            nonlocal turn
            turn += 1
            reply = mbap(tid, unit, memory.answer(pdu))
            if turn == 3:
                await send(reply[:9])
                peer.writers[-1].transport.abort()
            else:
                await send(reply)

        peer.script = script
        await peer.start()
        try:
            sink = Sink()
            master = _master(peer, [make_poll(0, 2)], sink)
            async with running(master):
                await sink.until(lambda: len(sink.blocks) >= 6)
            assert [state.up for state in sink.lines] == [True, False, True]
            assert sink.lines[1].text
            assert [f.why for f in sink.failures] == [Failure.LINK_DOWN]
            assert {tuple(v) for v in sink.values(0)} == {(0, 1)}
        finally:
            await peer.stop()

    asyncio.run(main())


def test_a_device_that_is_not_there_yet_is_found_when_it_comes() -> None:
    async def main() -> None:
        peer = TcpPeer(honest({1: DeviceMemory()}, "tcp"))
        await peer.start()
        port = peer.port
        await peer.stop()
        sink = Sink()
        outputs = [Output("siren", 0, 3)]
        master = _master(peer, [make_poll(0, 2)], sink, outputs)
        master.order(0, True)
        before = master.last_attempt_ns
        async with running(master):
            await sink.until(lambda: sink.lines)
            assert not sink.lines[0].up
            assert str(port) in sink.lines[0].text
            assert sink.failures[0].why is Failure.LINK_DOWN
            assert sink.read_backs[0].on is None
            assert master.last_attempt_ns > before
            await peer.start(port)
            try:
                await sink.until(lambda: sink.blocks)
                await sink.until(lambda: any(r.written and r.on for r in sink.read_backs))
                assert [state.up for state in sink.lines] == [False, True]
            finally:
                await peer.stop()

    asyncio.run(main())


def test_an_order_waits_for_at_most_the_transaction_in_flight() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        log: list[tuple[int, bytes]] = []
        gate = asyncio.Event()
        asked = asyncio.Event()

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            log.append((unit, pdu))
            if len(log) == 3:
                asked.set()
                await gate.wait()
            await send(mbap(tid, unit, memory.answer(pdu)))

        async with tcp_peer(script) as peer:
            sink = Sink()
            polls = [make_poll(n, 1, first_point=n, interval_ms=50, alarm=True) for n in range(20)]
            outputs = [Output("s0", 1, 0), Output("s1", 1, 1)]
            master = _master(peer, polls, sink, outputs, reply_timeout_ns=2 * S)
            async with running(master):
                await asyncio.wait_for(asked.wait(), 10)
                master.order(0, True)
                master.order(1, True)
                master.order(1, False)  # the last one wins
                master.order(1, True)
                gate.set()
                await sink.until(
                    lambda: sum(bool(r.written and r.on) for r in sink.read_backs) == 2
                )
            assert [(unit, pdu[0]) for unit, pdu in log[3:6]] == [(2, 5), (2, 5), (2, 1)]
            assert memory.writes == [(0, True), (1, True)]

    asyncio.run(main())


def test_an_order_given_from_the_sink_leaves_before_the_next_poll() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        log: list[bytes] = []

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            log.append(pdu)
            await send(mbap(tid, unit, memory.answer(pdu)))

        async with tcp_peer(script) as peer:
            sink = Sink()
            polls = [make_poll(n, 1, first_point=n, alarm=True) for n in range(5)]
            master = _master(peer, polls, sink, [Output("s", 0, 9)])
            sink.on_block = lambda block: master.order(0, True) if block.poll == 2 else None
            async with running(master):
                await sink.until(lambda: any(r.written and r.on for r in sink.read_backs))
            trigger = next(n for n, pdu in enumerate(log) if pdu[:3] == b"\x03\x00\x02")
            assert log[trigger + 1] == bytes.fromhex("050009ff00")

    asyncio.run(main())


def test_a_board_that_forgets_its_coils_is_written_again() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        async with tcp_peer(honest({1: memory}, "tcp")) as peer:
            sink = Sink()
            master = _master(peer, [], sink, [Output("s", 0, 0, readback_ns=50 * MS)])
            master.order(0, True)
            async with running(master):
                await sink.until(lambda: any(r.written and r.on for r in sink.read_backs))
                memory.coils[0] = False
                await sink.until(lambda: any(r.on is False for r in sink.read_backs))
                await sink.until(
                    lambda: sum(bool(r.written and r.on) for r in sink.read_backs) >= 2
                )
                assert memory.coils[0] is True

    asyncio.run(main())


def test_a_reply_behind_a_flood_of_noise_is_found_and_memory_stays_bounded() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        noise = random.Random(5).randbytes(200_000)

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            await send(noise)
            await send(mbap(tid, unit, memory.answer(pdu)))

        async with tcp_peer(script) as peer:
            sink = Sink()
            master = _master(peer, [make_poll(7, 3)], sink)
            async with running(master):
                await sink.until(lambda: len(sink.blocks) >= 3)
                matcher = master._matcher
                assert isinstance(matcher, MbapMatcher)
                assert len(matcher._buffer) <= LINE_BUFFER_BYTES_MAX
            assert {tuple(v) for v in sink.values(0)} == {(7, 8, 9)}
            assert master.counters[1].garbage_bytes > 300_000

    asyncio.run(main())


def test_a_connection_that_never_answers_is_renewed() -> None:
    """The other end was replaced behind a device that keeps its connections open."""

    async def main() -> None:
        memory = DeviceMemory()
        skew_ns = 0
        peer = TcpPeer(honest({}, "tcp"))

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            if peer.connections > 1:
                await send(mbap(tid, unit, memory.answer(pdu)))

        peer.script = script
        await peer.start()
        try:
            sink = Sink()
            plan = make_plan(
                [peer.line(reply_timeout_ns=50 * MS)], [Device("a", 0, 1)], [make_poll(0, 2)]
            )
            master = BusMaster(plan, 0, sink, mono_ns=lambda: time.monotonic_ns() + skew_ns)
            async with running(master):
                await sink.until(lambda: sink.failures)
                skew_ns += LINK_SILENCE_NS_MAX
                await sink.until(lambda: sink.blocks)
            assert [state.up for state in sink.lines] == [True, False, True]
            assert "no reply to any request" in sink.lines[1].text
        finally:
            await peer.stop()

    asyncio.run(main())


def test_a_sink_that_fails_ends_the_master_with_its_own_error() -> None:
    """A defect of ours must not be swallowed by the event loop: it ends the process."""

    async def main() -> None:
        async with tcp_peer(honest({1: DeviceMemory()}, "tcp")) as peer:
            sink = Sink()

            def broken(_: object) -> None:
                raise ZeroDivisionError

            sink.on_block = broken
            master = _master(peer, [make_poll(0, 2)], sink)
            with pytest.raises(ZeroDivisionError):
                await asyncio.wait_for(master.run(), 10)
            assert not master.up

    asyncio.run(main())


def test_twenty_devices_have_a_prompt_first_round() -> None:
    async def main() -> None:
        async with tcp_peer(honest({1: DeviceMemory()}, "tcp")) as peer:
            sink = Sink()
            plan = make_plan(
                [peer.line() for _ in range(20)],
                [Device(f"d{n}", n, 1) for n in range(20)],
                [make_poll(0, 100, device=n, interval_ms=1000) for n in range(20)],
            )
            masters = [BusMaster(plan, n, sink) for n in range(20)]
            start_ns = time.monotonic_ns()
            tasks = [asyncio.create_task(master.run()) for master in masters]
            await sink.until(lambda: len({block.poll for block in sink.blocks}) == 20)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            firsts: dict[int, int] = {}
            for block in sink.blocks:
                firsts.setdefault(block.poll, block.mono_ns)
            # The aim is half a second; other work on this machine gets some slack.
            assert max(firsts.values()) - start_ns < S
            assert (sink.blocks[0].quality == Quality.GOOD).all()

    asyncio.run(main())
