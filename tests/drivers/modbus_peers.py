"""Worlds for the driver tests: plans, a sink that can be waited on, and scripted devices.

The scripted devices speak Modbus through code of their own (the checksum is pymodbus'), so that a
mistake of ours is not mirrored on the other side.
"""

from __future__ import annotations

import asyncio
import os
import struct
import tty
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pymodbus.framer.rtu import FramerRTU

from config.limits import MS
from config.plan import (
    NO_RULE,
    PARAMS,
    PLAN_VERSION,
    Device,
    Line,
    Output,
    Plan,
    PointTable,
    Poll,
    WordRule,
)
from config.value_types import NO_BIT, VALUE_TYPES
from drivers.modbus.master import BusMaster
from drivers.reading import LineState, PollFailure, ReadBack, ReadingBlock, TextReading

WAIT_S = 10.0


def make_poll(
    address: int = 0,
    count: int = 1,
    *,
    device: int = 0,
    function: int = 3,
    interval_ms: int = 50,
    alarm: bool = False,
    first_point: int = 0,
    value_type: str = "uint16",
    rule: int = NO_RULE,
) -> Poll:
    """A poll whose points are its registers (or bits), one after the other."""
    n = count
    code = VALUE_TYPES.index("bit" if function in (1, 2) else value_type)
    return Poll(
        device, function, address, count, interval_ms * MS, alarm,
        np.arange(first_point, first_point + n, dtype="<u4").tobytes(),
        np.arange(n, dtype="<u2").tobytes(),
        bytes([code]) * n, bytes([NO_BIT]) * n,
        np.ones(n, "<f8").tobytes(), np.zeros(n, "<f8").tobytes(),
        np.full(n, rule, "<u2").tobytes(),
    )  # fmt: skip


def make_plan(
    lines: list[Line],
    devices: list[Device],
    polls: list[Poll],
    outputs: list[Output] | None = None,
    rules: tuple[WordRule, ...] = (),
) -> Plan:
    """A plan with as many points as the polls name."""
    count = max((max(np.frombuffer(p.points, "<u4")) + 1 for p in polls), default=0)
    points = PointTable(
        np.arange(count, dtype="<u4").tobytes(),
        tuple(f"p{i}" for i in range(count)),
        bytes(2 * count), ("x",) * count, ("",) * count, bytes(count), bytes(8 * count),
        bytes(8 * count), bytes(8 * count * len(PARAMS)),
    )  # fmt: skip
    return Plan(
        PLAN_VERSION, bytes(32), "site", "Site", "eu", points, tuple(lines), tuple(devices),
        tuple(polls), rules, (), tuple(outputs or ()), (), (),
    )  # fmt: skip


@dataclass
class Sink:
    """Keeps everything, and can be waited on."""

    blocks: list[ReadingBlock] = field(default_factory=list)
    failures: list[PollFailure] = field(default_factory=list)
    read_backs: list[ReadBack] = field(default_factory=list)
    lines: list[LineState] = field(default_factory=list)
    texts: list[TextReading] = field(default_factory=list)
    on_block: Callable[[ReadingBlock], None] | None = None
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def block(self, block: ReadingBlock) -> None:
        self.blocks.append(block)
        if self.on_block is not None:
            self.on_block(block)
        self.changed.set()

    def failed(self, failure: PollFailure) -> None:
        self.failures.append(failure)
        self.changed.set()

    def text(self, reading: TextReading) -> None:
        self.texts.append(reading)
        self.changed.set()

    def read_back(self, read_back: ReadBack) -> None:
        self.read_backs.append(read_back)
        self.changed.set()

    def line(self, state: LineState) -> None:
        self.lines.append(state)
        self.changed.set()

    async def until(self, condition: Callable[[], object], wait_s: float = WAIT_S) -> None:
        """Wait for `condition`, looked at whenever something came."""
        async with asyncio.timeout(wait_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    def of(self, poll: int) -> list[ReadingBlock]:
        return [block for block in self.blocks if block.poll == poll]

    def values(self, poll: int) -> list[list[float]]:
        return [block.value.tolist() for block in self.of(poll)]


@asynccontextmanager
async def running(master: BusMaster) -> AsyncIterator[BusMaster]:
    """Run a master for the length of a block; what it raised fails the test."""
    task = asyncio.create_task(master.run())
    try:
        yield master
    finally:
        if task.done():
            task.result()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class DeviceMemory:
    """One unit: registers and coils, and what it answers."""

    def __init__(self) -> None:
        self.registers = list(range(1000))
        self.coils = [False] * 600
        self.writes: list[tuple[int, bool]] = []

    def answer(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", pdu[:5])
        if function in (1, 2):
            bits = self.coils[address : address + count]
            data = bytearray((count + 7) // 8)
            for number, on in enumerate(bits):
                data[number // 8] |= on << number % 8
            return bytes([function, len(data)]) + data
        if function in (3, 4):
            words = self.registers[address : address + count]
            if len(words) < count:
                return bytes([function | 0x80, 2])
            return struct.pack(f">BB{count}H", function, 2 * count, *words)
        if function == 5:
            self.coils[address] = count == 0xFF00
            self.writes.append((address, self.coils[address]))
            return pdu
        return bytes([function | 0x80, 1])


def crc(data: bytes) -> bytes:
    return FramerRTU.compute_CRC(data).to_bytes(2, "big")


def rtu(unit: int, pdu: bytes) -> bytes:
    body = bytes([unit]) + pdu
    return body + crc(body)


def mbap(tid: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", tid, 0, len(pdu) + 1, unit) + pdu


Send = Callable[[bytes], Awaitable[None]]
Script = Callable[[int, int, bytes, Send], Awaitable[None]]
"""(transaction id, unit, pdu, send): what a scripted device does with a request."""


class TcpPeer:
    """A Modbus TCP server that does what its script says."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.port = 0
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for writer in self.writers:
            writer.close()
        self.writers.clear()
        await self.server.wait_closed()

    def line(self, **words: Any) -> Line:
        return Line("net", "tcp", host="127.0.0.1", tcp_port=self.port, **words)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                tid, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                await self.script(tid, unit, await reader.readexactly(length - 1), send)
        writer.close()


@asynccontextmanager
async def tcp_peer(script: Script) -> AsyncIterator[TcpPeer]:
    peer = TcpPeer(script)
    await peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


class PtyPeer:
    """RTU units on a pseudo-terminal; requests are told apart by their fixed eight bytes."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[tuple[float, int, bytes]] = []  # loop time of the last byte, unit, pdu
        self.master = self.slave = -1
        self.buffer = b""
        self.queue: asyncio.Queue[tuple[int, bytes]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self.master, self.slave = os.openpty()
        tty.setraw(self.slave)
        os.set_blocking(self.master, False)
        self.port = os.ttyname(self.slave)
        asyncio.get_running_loop().add_reader(self.master, self._readable)
        self.task = asyncio.create_task(self._serve())

    def unplug(self) -> None:
        loop = asyncio.get_running_loop()
        if self.master >= 0:
            loop.remove_reader(self.master)
            os.close(self.master)
            os.close(self.slave)
            self.master = self.slave = -1

    async def stop(self) -> None:
        assert self.task is not None
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        self.unplug()

    async def send(self, data: bytes) -> None:
        if self.master >= 0:
            os.write(self.master, data)

    def line(self, baud: int = 115_200, **words: Any) -> Line:
        return Line("riser", "rs485", serial_port=self.port, baud=baud, **words)

    def _readable(self) -> None:
        self.buffer += os.read(self.master, 4096)
        while len(self.buffer) >= 8:
            frame, self.buffer = self.buffer[:8], self.buffer[8:]
            assert crc(frame[:6]) == frame[6:], frame.hex()
            now = asyncio.get_running_loop().time()
            self.requests.append((now, frame[0], frame[1:6]))
            self.queue.put_nowait((frame[0], frame[1:6]))

    async def _serve(self) -> None:
        while True:
            unit, pdu = await self.queue.get()
            await self.script(0, unit, pdu, self.send)


@asynccontextmanager
async def pty_peer(script: Script) -> AsyncIterator[PtyPeer]:
    peer = PtyPeer(script)
    peer.start()
    try:
        yield peer
    finally:
        await peer.stop()


def honest(units: dict[int, DeviceMemory], framing: str) -> Script:
    """Answers for its units, and is silent for all others."""

    async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
        if unit in units:
            reply = units[unit].answer(pdu)
            await send(mbap(tid, unit, reply) if framing == "tcp" else rtu(unit, reply))

    return script
