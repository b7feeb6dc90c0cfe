"""The simulator as its masters see it: mbpoll and pymodbus over TCP, mbpoll over a serial line."""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
import tempfile
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import serial
from pymodbus.client import AsyncModbusTcpClient
from simulated_site import Port, crc, make_plan, mbpoll, polled, rtu_plan

from config.plan import Device, Line, Plan
from config.words import Flag, LineKind
from drivers.simulator.building import Building, CoilEvent, Options
from drivers.simulator.fields import SimulatorError
from drivers.simulator.server import TcpLine

TIOCGEXCL = 0x8004_5440
"""asm-generic/ioctls.h: whether the terminal is exclusive."""


@asynccontextmanager
async def served(plan: Plan, options: Options | None = None) -> AsyncIterator[Building]:
    building = Building(plan, options)
    await building.start()
    try:
        yield building
    finally:
        await building.stop()


def port_of(building: Building) -> int:
    line = building.lines["control"]
    assert isinstance(line, TcpLine)
    return line.port


@pytest.fixture
def port_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "ttyS9"


def test_mbpoll_reads_all_tables_and_writes_over_tcp() -> None:
    async def world() -> None:
        async with served(make_plan()) as building:
            building.set_point("sensor1.heat", -12.3)
            building.set_point("panel.leak", 123.456)
            building.set_point("panel.smoke", 3.25)
            building.set_flags("panel.contact", Flag.FIRE)
            building.set_flags("panel.loop2", Flag.FIRE)
            port = str(port_of(building))
            tcp = ("-m", "tcp", "-p", port)
            here = "127.0.0.1"
            assert polled(await mbpoll(*tcp, "-a", "11", "-r", "0", "-t", "3", here)) == [
                "65413 (-123)"
            ]
            out = await mbpoll(*tcp, "-a", "1", "-r", "12", "-t", "3:int", "-B", here)
            assert polled(out) == ["123456"]
            out = await mbpoll(*tcp, "-a", "1", "-r", "14", "-t", "3:float", "-B", here)
            assert polled(out) == ["3.25"]
            assert polled(await mbpoll(*tcp, "-a", "1", "-r", "3", "-t", "1", here)) == ["1"]
            out = await mbpoll(*tcp, "-a", "1", "-r", "1", "-t", "4:hex", here)
            assert int(polled(out)[0], 16) & 0x08FF == 0x0810
            out = await mbpoll(*tcp, "-a", "9", "-r", "0", "-t", "0", here, values=["1"])
            assert "Written 1 references" in out
            assert building.output_on("stair_b")
            event = building.writes.get_nowait()
            assert (event.device, event.coil, event.on, event.output) == (
                "relays", 0, True, "stair_b",
            )  # fmt: skip
            out = await mbpoll(*tcp, "-a", "9", "-r", "0", "-t", "0", "-c", "2", here)
            assert polled(out) == ["1", "0"]
            out = await mbpoll(*tcp, "-a", "1", "-r", "3", "-t", "4", here, values=["77", "78"])
            assert "Written 2 references" in out
            out = await mbpoll(*tcp, "-a", "1", "-r", "3", "-t", "4", "-c", "2", here)
            assert polled(out) == ["77", "78"]
            out = await mbpoll(*tcp, "-a", "1", "-r", "500", "-t", "4", here)
            assert "Illegal data address" in out

    asyncio.run(world())


@pytest.mark.parametrize("parity", ["none", "even"])
def test_mbpoll_reads_all_tables_and_writes_over_a_serial_line(
    port_path: Path, parity: str
) -> None:
    async def world() -> None:
        async with served(rtu_plan(str(port_path))) as building:
            building.set_point("sensor2.heat", 57.5)
            building.set_flags("panel.contact", Flag.FIRE)
            rtu = ("-m", "rtu", "-b", "9600", "-P", parity)
            here = str(port_path)
            out = await mbpoll(*rtu, "-a", "12", "-r", "0", "-t", "3", here)
            assert polled(out) == ["575"]
            assert polled(await mbpoll(*rtu, "-a", "1", "-r", "3", "-t", "1", here)) == ["1"]
            out = await mbpoll(*rtu, "-a", "9", "-r", "1", "-t", "0", here, values=["1"])
            assert "Written 1 references" in out
            assert building.output_on("hall")
            out = await mbpoll(*rtu, "-a", "9", "-r", "0", "-t", "0", "-c", "2", here)
            assert polled(out) == ["0", "1"]
            out = await mbpoll(*rtu, "-a", "1", "-r", "5", "-t", "4", here, values=["8192"])
            assert "Written 1 references" in out
            assert building.value("panel.mains") == 1

    asyncio.run(world())


def test_a_paced_line_is_as_slow_as_its_baud_rate(port_path: Path) -> None:
    """The bytes on the line take 48 ms at 4,800 baud; nothing can be faster than that."""

    async def world() -> None:
        plan = rtu_plan(str(port_path), baud=4800)
        async with served(plan, Options(pace=True)) as building:
            building.set_point("sensor1.heat", 40.0)
            request = bytes.fromhex("0b 04 00 00 00 01")
            port = Port(port_path)
            begun_ns = building._mono_ns()
            reply = await port.ask(request + crc(request), 7)
            took_ms = (building._mono_ns() - begun_ns) / 1e6
            port.close()
            assert reply[:5] == bytes.fromhex("0b 04 02 01 90")
            # 8 characters, 3.5 of silence, 7 characters of 10 bits
            assert took_ms >= (8 + 3.5 + 7) * 10 / 4.8

            events: list[CoilEvent] = []
            building.on_coil.append(events.append)
            write, read = bytes.fromhex("09 05 0000 ff00"), bytes.fromhex("09 01 0000 0002")
            port = Port(port_path)
            begun_ns = building._mono_ns()
            await port.ask(write + crc(write), 8)
            asked_ns = building._mono_ns()
            await port.ask(read + crc(read), 6)
            port.close()
            assert [(e.coil, e.on, e.read_back) for e in events] == [
                (0, True, False),
                (0, True, True),
            ]
            # The write acts when its last byte is in; it is read back when the reply's is out.
            assert events[0].mono_ns - begun_ns >= 8 * 10 / 4800 * 1e9
            assert events[1].mono_ns - asked_ns >= (8 + 3.5 + 6) * 10 / 4800 * 1e9

    asyncio.run(world())


def test_pymodbus_client_agrees() -> None:
    async def world() -> None:
        async with served(make_plan()) as building:
            building.set_point("sensor1.heat", 61.5)
            client = AsyncModbusTcpClient("127.0.0.1", port=port_of(building))
            assert await client.connect()
            read = await client.read_input_registers(0, count=1, device_id=11)
            assert read.registers == [615]
            assert not (await client.write_coils(0, [True, True], device_id=9)).isError()
            coils = await client.read_coils(0, count=2, device_id=9)
            assert coils.bits[:2] == [True, True]
            assert not (await client.write_register(5, 0x2000, device_id=1)).isError()
            assert building.value("panel.mains") == 1
            assert not (await client.write_registers(3, [5, 6], device_id=1)).isError()
            far = await client.read_holding_registers(0, count=1, device_id=77)
            assert far.exception_code == 11
            client.close()

    asyncio.run(world())


async def ask(building: Building, *frames: str, count: int) -> bytes:
    """Send raw bytes on one connection and read `count` bytes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(building))
    for frame in frames:
        writer.write(bytes.fromhex(frame))
        await writer.drain()
    async with asyncio.timeout(5):
        data = await reader.readexactly(count)
    writer.close()
    return data


@pytest.mark.parametrize(
    ("request_hex", "reply_hex"),
    [
        ("0001 0000 0006 01 2b 0e 01 00 00", "0001 0000 0003 01 ab 01"),  # illegal function
        ("0002 0000 0006 01 03 0000 0000", "0002 0000 0003 01 83 03"),  # a count of 0
        ("0003 0000 0006 01 03 0000 007e", "0003 0000 0003 01 83 03"),  # 126 registers
        ("0004 0000 0006 01 03 0006 0001", "0004 0000 0003 01 83 02"),  # nobody polls it
        ("0005 0000 0006 09 05 0000 0001", "0005 0000 0003 09 85 03"),  # neither 0 nor FF00
        ("0006 0000 0006 09 05 0009 ff00", "0006 0000 0003 09 85 02"),
        ("0007 0000 0009 01 10 0003 0001 04 0001", "0007 0000 0003 01 90 03"),  # wrong length
        ("0008 0000 0006 09 05 0001 ff00", "0008 0000 0006 09 05 0001 ff00"),
    ],
)
def test_raw_requests_and_exceptions(request_hex: str, reply_hex: str) -> None:
    async def world() -> None:
        async with served(make_plan()) as building:
            reply = bytes.fromhex(reply_hex)
            assert await ask(building, request_hex, count=len(reply)) == reply

    asyncio.run(world())


def test_torn_and_pipelined_requests() -> None:
    async def world() -> None:
        async with served(make_plan()) as building:
            building.set_point("sensor1.heat", 25.6)
            one = "0001 0000 0006 0b 04 0000 0001"
            two = "0002 0000 0006 0b 04 0000 0001"
            answers = "0001 0000 0005 0b 04 02 0100 0002 0000 0005 0b 04 02 0100"
            want = bytes.fromhex(answers)
            assert await ask(building, one + two, count=22) == want
            assert await ask(building, one[:9], one[9:] + two[:17], two[17:], count=22) == want

    asyncio.run(world())


def test_what_is_no_modbus_closes_the_connection() -> None:
    async def world() -> None:
        async with served(make_plan()) as building:
            for garbage in ("474554202f20485454502f312e31", "0001 0000 ffff 0b 04 0000 0001"):
                with pytest.raises((asyncio.IncompleteReadError, ConnectionResetError)):
                    await ask(building, garbage, count=1)
            assert len(await ask(building, "0001 0000 0006 0b 04 0000 0001", count=11)) == 11

    asyncio.run(world())


def test_rtu_frames_through_a_serial_server() -> None:
    async def world() -> None:
        line = Line("control", LineKind.RTU_TCP, "127.0.0.1", 0)
        async with served(make_plan(lines=(line,))) as building:
            building.set_point("sensor1.heat", 25.6)
            request = bytes.fromhex("0b 04 0000 0001")
            reply = bytes.fromhex("0b 04 02 0100")
            found = await ask(building, (request + crc(request)).hex(), count=7)
            assert found == reply + crc(reply)

    asyncio.run(world())


def test_a_broadcast_is_obeyed_and_not_answered(port_path: Path) -> None:
    async def world() -> None:
        async with served(rtu_plan(str(port_path))) as building:
            with serial.Serial(str(port_path), 9600, timeout=0) as line:
                everyone = bytes.fromhex("00 05 0001 ff00")
                line.write(everyone + crc(everyone))
                async with asyncio.timeout(5):
                    await building.wait_output("hall", True)
                assert line.read(1) == b""

    asyncio.run(world())


def test_the_port_of_a_real_device_is_never_overwritten(port_path: Path) -> None:
    async def refused(says: str) -> None:
        with pytest.raises(SimulatorError, match=says):
            async with served(rtu_plan(str(port_path))):
                pass

    port_path.write_text("precious")
    asyncio.run(refused("a real device or file"))
    assert port_path.read_text() == "precious"
    port_path.unlink()
    port_path.symlink_to("/dev/null")
    asyncio.run(refused("found a link to /dev/null"))
    assert str(port_path.readlink()) == "/dev/null"


def test_a_link_left_behind_is_taken_over_and_a_live_one_is_not(port_path: Path) -> None:
    async def world() -> None:
        async with served(rtu_plan(str(port_path))):
            link = str(port_path.readlink())
            with pytest.raises(SimulatorError, match="another simulator serves this port"):
                async with served(rtu_plan(str(port_path))):
                    pass
            assert str(port_path.readlink()) == link
        assert not port_path.is_symlink()
        port_path.symlink_to(link)  # as a killed simulator leaves it
        async with served(rtu_plan(str(port_path))):
            assert os.path.realpath(port_path).startswith("/dev/pts/")

    asyncio.run(world())


def test_a_port_can_be_opened_again_after_an_exclusive_client(port_path: Path) -> None:
    async def world() -> None:
        async with served(rtu_plan(str(port_path))):
            request = bytes.fromhex("0b 04 0000 0001")
            for _ in range(2):
                port = Port(port_path)
                fcntl.ioctl(port.fd, termios.TIOCEXCL)
                assert len(await port.ask(request + crc(request), 7)) == 7
                port.close()
            # Root may open it whatever the flag says; so look at the flag itself.
            port = Port(port_path)
            await port.ask(request + crc(request), 7)
            flag = struct.unpack("i", fcntl.ioctl(port.fd, TIOCGEXCL, bytes(4)))
            port.close()
            assert flag == (0,)

    asyncio.run(world())


def test_only_loopback_is_served_unless_it_is_asked_for() -> None:
    line = Line("control", LineKind.TCP, "0.0.0.0", 0)
    with pytest.raises(SimulatorError, match=r"0\.0\.0\.0 can be reached from the network"):
        Building(make_plan(lines=(line,)))

    async def world() -> None:
        async with served(make_plan(lines=(line,)), Options(listen_any=True)) as building:
            assert len(await ask(building, "0001 0000 0006 0b 04 0000 0001", count=11)) == 11

    asyncio.run(world())


def test_an_address_in_use_is_a_clear_error_and_leaves_nothing_open(port_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        lines = (
            Line("riser", LineKind.RS485, serial_port=str(port_path)),
            Line("control", LineKind.TCP, "127.0.0.1", taken.getsockname()[1]),
        )
        devices = (Device("panel", 1, 1), Device("sensor1", 0, 11), Device("sensor2", 0, 12),
                   Device("relays", 0, 9))  # fmt: skip

        async def world() -> None:
            with pytest.raises(SimulatorError, match="cannot listen here: Address already in use"):
                async with served(make_plan(lines=lines, devices=devices)):
                    pass

        asyncio.run(world())
    assert not port_path.is_symlink()
