"""Every fault, as bytes on the wire."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from simulated_site import Port, crc, make_plan, rtu_plan

from config.plan import Plan
from drivers.simulator.building import Building
from drivers.simulator.faults import Fault, FaultKind
from drivers.simulator.fields import SimulatorError
from drivers.simulator.server import RtuLine, TcpLine

ASK = bytes.fromhex("0a0b 0000 0006 0b 04 0000 0001")  # sensor1.heat
GOOD = bytes.fromhex("0a0b 0000 0005 0b 04 02 00c8")  # 20.0 °C
OTHER = bytes.fromhex("0001 0000 0006 0c 04 0000 0001")  # sensor2.heat, on the same line
COIL_ON = bytes.fromhex("0002 0000 0006 09 05 0000 ff00")
COIL_READ = bytes.fromhex("0003 0000 0006 09 01 0000 0001")
RTU_ASK = bytes.fromhex("0b 04 0000 0001")
RTU_ASK += crc(RTU_ASK)
RTU_GOOD = bytes.fromhex("0b 04 02 00c8")
RTU_GOOD += crc(RTU_GOOD)


class Peer:
    """A raw master."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, request: bytes, count: int) -> bytes:
        self.writer.write(request)
        async with asyncio.timeout(5):
            return await self.reader.readexactly(count)


@asynccontextmanager
async def served(plan: Plan | None = None) -> AsyncIterator[Building]:
    building = Building(plan or make_plan())
    await building.start()
    try:
        yield building
    finally:
        await building.stop()


@asynccontextmanager
async def connected(building: Building) -> AsyncIterator[Peer]:
    line = building.lines["control"]
    assert isinstance(line, TcpLine)
    reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()


@pytest.fixture
def port_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "ttyS9"


def fault(building: Building, kind: FaultKind, device: str = "sensor1", **more: Any) -> Fault:
    return Fault(building.device(device), kind, **more)  # -- by name


@pytest.mark.parametrize(
    ("kind", "more", "spoilt"),
    [
        (FaultKind.WRONG_UNIT, {}, GOOD[:6] + b"\x0c" + GOOD[7:]),
        (FaultKind.TRANSACTION, {}, bytes.fromhex("6465") + GOOD[2:]),
        (FaultKind.TRUNCATED, {"count": 3}, GOOD[:-3]),
        (FaultKind.EXCEPTION, {"code": 6}, bytes.fromhex("0a0b 0000 0003 0b 84 06")),
    ],
)
def test_spoilt_replies_of_one_unit_over_tcp(
    kind: FaultKind, more: dict[str, Any], spoilt: bytes
) -> None:
    async def world() -> None:
        async with served() as building, connected(building) as peer:
            assert await peer.ask(ASK, len(GOOD)) == GOOD
            await building.inject(fault(building, kind, **more))
            assert await peer.ask(ASK, len(spoilt)) == spoilt
            # The other unit on the line is well; its reply comes right after, so nothing followed.
            assert (await peer.ask(OTHER, 11))[:7] == OTHER[:4] + b"\0\x05\x0c"
            await building.clear_faults()
            assert await peer.ask(ASK, len(GOOD)) == GOOD

    asyncio.run(world())


def test_silence_neither_acts_nor_answers_and_a_lost_reply_acts() -> None:
    async def world() -> None:
        async with served() as building, connected(building) as peer:
            for kind, acts in ((FaultKind.SILENCE, False), (FaultKind.LOST, True)):
                await building.inject(fault(building, kind, "relays"))
                assert (await peer.ask(COIL_ON + ASK, len(GOOD))) == GOOD  # the first thing to come
                assert building.output_on("stair_b") is acts
                await building.clear_faults()

    asyncio.run(world())


def test_a_late_reply_comes_after_one_that_was_asked_for_later() -> None:
    async def world() -> None:
        async with served() as building, connected(building) as peer:
            await building.inject(fault(building, FaultKind.LATE, delay_ms=30))
            begun_ns = building._mono_ns()
            found = await peer.ask(ASK + OTHER, 22)
            assert found[11:] == GOOD
            assert building._mono_ns() - begun_ns >= 30_000_000

    asyncio.run(world())


def test_frozen_values_stay_and_writes_are_still_obeyed() -> None:
    async def world() -> None:
        async with served() as building, connected(building) as peer:
            await building.inject(fault(building, FaultKind.FROZEN))
            await building.inject(fault(building, FaultKind.FROZEN, "relays"))
            building.set_point("sensor1.heat", 70.0)
            assert await peer.ask(ASK, len(GOOD)) == GOOD
            assert await peer.ask(COIL_ON, 12) == COIL_ON
            assert (await peer.ask(COIL_READ, 10))[-1] == 0
            assert building.output_on("stair_b")
            await building.clear_faults()
            assert (await peer.ask(ASK, len(GOOD)))[-2:] == (700).to_bytes(2, "big")
            assert (await peer.ask(COIL_READ, 10))[-1] == 1

    asyncio.run(world())


def test_hang_up_and_refuse() -> None:
    async def world() -> None:
        async with served() as building:
            await building.inject(fault(building, FaultKind.HANG_UP))
            async with connected(building) as peer:
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    await peer.ask(ASK, 1)
            await building.clear_faults()
            async with connected(building) as peer:
                assert await peer.ask(ASK, len(GOOD)) == GOOD
                await building.inject(fault(building, FaultKind.REFUSE))
                await building.inject(fault(building, FaultKind.REFUSE, "relays"))
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    await peer.ask(ASK, 1)
            with pytest.raises(ConnectionRefusedError):
                async with connected(building):
                    pass
            await building.remove_fault(building.device("relays"), FaultKind.REFUSE)
            with pytest.raises(ConnectionRefusedError):  # the other unit still holds it
                async with connected(building):
                    pass
            await building.clear_faults()
            async with connected(building) as peer:
                assert await peer.ask(ASK, len(GOOD)) == GOOD

    asyncio.run(world())


def test_crc_and_noise_on_a_serial_line(port_path: Path) -> None:
    async def world() -> None:
        async with served(rtu_plan(str(port_path))) as building:
            port = Port(port_path)
            assert await port.ask(RTU_ASK, 7) == RTU_GOOD
            await building.inject(fault(building, FaultKind.CRC))
            assert await port.ask(RTU_ASK, 7) == RTU_GOOD[:-1] + bytes([RTU_GOOD[-1] ^ 0xFF])
            await building.clear_faults()
            await building.inject(fault(building, FaultKind.NOISE, count=5))
            noisy = await port.ask(RTU_ASK, 12)
            assert len(noisy) == 12
            assert noisy[5:] == RTU_GOOD
            port.close()

    asyncio.run(world())


@pytest.mark.parametrize("kind", [FaultKind.HANG_UP, FaultKind.REFUSE])
def test_a_serial_adapter_that_is_pulled_out(port_path: Path, kind: FaultKind) -> None:
    async def world() -> None:
        async with served(rtu_plan(str(port_path))) as building:
            port = Port(port_path)
            assert await port.ask(RTU_ASK, 7) == RTU_GOOD
            await building.inject(fault(building, kind))
            with pytest.raises(OSError, match=r"Input/output error|gone"):
                await port.ask(RTU_ASK, 1)
            port.close()
            assert port_path.exists() == (kind is FaultKind.HANG_UP)  # replugged, or gone
            await building.clear_faults()
            port = Port(port_path)
            assert await port.ask(RTU_ASK, 7) == RTU_GOOD
            port.close()

    asyncio.run(world())


def test_half_a_request_does_not_spoil_the_next(port_path: Path) -> None:
    async def world() -> None:
        now_ns = 10**12
        building = Building(rtu_plan(str(port_path)), mono_ns=lambda: now_ns)
        await building.start()
        port = Port(port_path)
        port.send(RTU_ASK[:5])
        line = next(iter(building.lines.values()))
        assert isinstance(line, RtuLine)
        while not line.inbox.begun_ns:  # the kernel hands pseudo-terminal bytes over in its time
            await asyncio.sleep(0.001)
        now_ns += 200_000_000
        assert await port.ask(RTU_ASK, 7) == RTU_GOOD
        port.close()
        await building.stop()

    asyncio.run(world())


def test_a_probability_is_drawn_from_the_seed() -> None:
    async def world() -> list[bool]:
        async with served() as building, connected(building) as peer:
            await building.inject(fault(building, FaultKind.EXCEPTION, probability=0.5))
            found = []
            for _ in range(60):
                head = await peer.ask(ASK, 8)
                found.append(head[7] == 0x84)
                await peer.ask(b"", 1 if found[-1] else 3)
            return found

    first, second = asyncio.run(world()), asyncio.run(world())
    assert first == second
    assert 15 < sum(first) < 45


def test_faults_that_make_no_sense_are_refused(port_path: Path) -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({"kind": FaultKind.LATE}, "needs delay_ms"),
        ({"kind": FaultKind.LATE, "delay_ms": 1e9}, "expected delay_ms from 0 to"),
        ({"kind": FaultKind.CRC, "probability": 0.0}, "expected a probability"),
        ({"kind": FaultKind.FROZEN, "probability": 0.5}, "cannot have a probability"),
        ({"kind": FaultKind.NOISE, "count": 10_000}, "expected count from 1 to 256"),
        ({"kind": FaultKind.EXCEPTION, "code": 0}, "expected an exception code"),
    )
    for bad, says in cases:
        with pytest.raises(SimulatorError, match=says):
            Fault(0, **bad)  # -- bad on purpose

    async def world() -> None:
        tcp, rtu = Building(make_plan()), Building(rtu_plan(str(port_path)))
        with pytest.raises(SimulatorError, match="TCP has no CRC"):
            await tcp.inject(fault(tcp, FaultKind.CRC))
        with pytest.raises(SimulatorError, match="RTU has no transaction id"):
            await rtu.inject(fault(rtu, FaultKind.TRANSACTION))
        with pytest.raises(SimulatorError, match="no device is called 'boiler'"):
            tcp.device("boiler")

    asyncio.run(world())
