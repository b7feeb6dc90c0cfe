"""Worlds for the courier's tests: a real mosquitto, a broker that follows a script, a record.

The record stand-in is a peer of the socket protocol, served by the product's own `agent.ipc`; it
is no part of the courier. Waiting is always for an event, with a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cbor2

from agent.ipc import Connection, Policy, Refused, Role, Server
from config.plan import PLAN_VERSION, Courier, Plan, PointTable, encode_plan

DEADLINE_S = 30.0
GATEWAY = "test-0417"


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def short_dir() -> Iterator[Path]:
    """A directory whose path leaves room for a socket's name (AF_UNIX: 108 bytes)."""
    path = Path(tempfile.mkdtemp(dir="/tmp"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def until(condition: Callable[[], bool], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition that other processes bring about."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"in vain waited {deadline_s} s for: {what}")
        await asyncio.sleep(0.01)


class Mosquitto:
    """The broker itself, on a loopback port, with a configuration of its own."""

    def __init__(
        self, directory: Path, *lines: str, port: int | None = None, quiet: bool = False
    ) -> None:
        self._quiet = quiet
        self.port = port or free_port()
        self._config = directory / f"mosquitto-{self.port}.conf"
        text = [f"listener {self.port} 127.0.0.1", "persistence false", *lines]
        if not any(line.startswith("allow_anonymous") for line in lines):
            text.append("allow_anonymous true")
        self._config.write_text("\n".join(text) + "\n")
        self._log = directory / f"mosquitto-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
        assert program, "mosquitto is needed for the tests: apt-get install mosquitto"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [program, "-c", str(self._config), *([] if self._quiet else ["-v"])],
                stdout=log,
                stderr=log,
            )
        await until(self._listens, f"mosquitto on port {self.port}: {self._log}")

    def _listens(self) -> bool:
        assert self._process
        assert self._process.poll() is None, self._log.read_text()
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


@contextlib.asynccontextmanager
async def mosquitto(directory: Path, *lines: str) -> AsyncIterator[Mosquitto]:
    broker = Mosquitto(directory, *lines)
    try:
        await broker.start()
        yield broker
    finally:
        broker.stop()


@dataclass
class RecordPeer:
    """Speaks the record's side of record.sock: offers batches, believes what it is told to."""

    path: Path
    batches: list[dict[str, Any]] = field(default_factory=list)
    states: list[tuple[bool, str]] = field(default_factory=list)
    acks: list[bytes] = field(default_factory=list)
    judge: Callable[[bytes], dict[str, Any]] = lambda _message: {"advanced": 1}
    gateway: str = GATEWAY
    followers: list[Connection] = field(default_factory=list)
    follows: int = 0
    _server: Server | None = None

    async def start(self) -> None:
        verbs: Any = {
            "follow": (Role.COURIER, self._follow),
            "ack": (Role.COURIER, self._ack),
            "courier_state": (Role.COURIER, self._state),
        }
        self._server = Server(self.path, verbs, Policy({}))
        await self._server.start()

    async def stop(self) -> None:
        self.followers.clear()
        if self._server is not None:
            await self._server.stop()

    def offer(self, lane: str, seq: int, data: bytes, epoch: bytes = b"12345678") -> None:
        message = {
            "e": "batch",
            "epoch": epoch,
            "lane": lane,
            "seq": seq,
            "bytes": data,
            "durable": True,
        }
        self.batches.append(message)
        for follower in self.followers:
            follower.send(message)

    def _follow(self, connection: Connection, _message: dict[str, Any]) -> dict[str, Any]:
        self.follows += 1
        self.followers.append(connection)
        connection.on_close.append(
            lambda: self.followers.remove(connection) if connection in self.followers else None
        )
        for batch in self.batches:
            connection.send(batch)
        return {"gateway": self.gateway}

    def _ack(self, _connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
        self.acks.append(message["message"])
        return self.judge(message["message"])

    def _state(self, _connection: Connection, message: dict[str, Any]) -> dict[str, Any]:
        self.states.append((message["connected"], message["text"]))
        return {}


def refuse(code: str) -> Callable[[bytes], dict[str, Any]]:
    def judge(_message: bytes) -> dict[str, Any]:
        raise Refused(code, code)

    return judge


def ack_message(lane: str, seq: int, epoch: bytes = b"12345678") -> bytes:
    """An acknowledgement in the contract's shape; who signed it is the record's business."""
    payload = cbor2.dumps({0: 1, 1: GATEWAY, 2: epoch, 3: lane, 4: seq, 5: bytes(32), 6: 0})
    return b"\xd2" + cbor2.dumps([b"protected", {}, payload, bytes(64)])


def write_plan(path: Path, settings: dict[str, Any], gateway: str = GATEWAY) -> None:
    points = PointTable(b"", (), b"", (), (), b"", b"", b"", b"")
    plan = Plan(
        PLAN_VERSION, bytes(32), gateway, "Test", "cn", points, (), (), (), (), (), (), (),
        (Courier("platform", "mqtt", settings),),
    )  # fmt: skip
    path.write_bytes(encode_plan(plan))


class CourierProcess:
    """`embergate courier platform` as its own process."""

    def __init__(self, directory: Path, settings: dict[str, Any]) -> None:
        self._directory = directory
        write_plan(directory / "plan.cbor", settings)
        self.log_path = directory / "courier.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-m", "agent.courier.main", "platform",
                    "--plan", str(self._directory / "plan.cbor"), "--run", str(self._directory),
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self._process is None or self._process.poll() is not None:
            return -1 if self._process is None else int(self._process.returncode)
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return -9

    @property
    def log(self) -> str:
        return self.log_path.read_text(errors="replace")


# --- a broker that follows a script -----------------------------------------------------------


def read_varint(data: bytes, at: int) -> tuple[int, int] | None:
    value = shift = 0
    while at < len(data):
        value |= (data[at] & 0x7F) << shift
        at += 1
        if not data[at - 1] & 0x80:
            return value, at
        shift += 7
    return None


@dataclass
class Packet:
    first: int
    body: bytes

    @property
    def kind(self) -> int:
        return self.first >> 4

    @property
    def level(self) -> int:
        """Protocol level of a CONNECT."""
        return self.body[6]

    def publish(self, v5: bool) -> tuple[str, int, bytes]:
        """(topic, message id, payload) of a PUBLISH; at QoS 0 its id is 0."""
        size = int.from_bytes(self.body[:2], "big")
        topic = self.body[2 : 2 + size].decode()
        at, mid = 2 + size, 0
        if self.first & 6:
            mid, at = int.from_bytes(self.body[at : at + 2], "big"), at + 2
        if v5:
            found = read_varint(self.body, at)
            assert found
            at = found[1] + found[0]
        return topic, mid, self.body[at:]


CONNACK_V5 = bytes([0x20, 3, 0, 0, 0])


@dataclass
class Script:
    """One broker connection after the other, each by its own coroutine."""

    play: Callable[[Peer], Awaitable[None]]
    peers: list[Peer] = field(default_factory=list)
    _server: asyncio.Server | None = None
    port: int = 0

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for peer in self.peers:
            peer.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, len(self.peers))
        self.peers.append(peer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await self.play(peer)
        peer.cut()


@dataclass
class Peer:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    packets: list[Packet] = field(default_factory=list)

    async def packet(self) -> Packet:
        first = (await self.reader.readexactly(1))[0]
        length = shift = 0
        while True:
            digit = (await self.reader.readexactly(1))[0]
            length |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                break
        packet = Packet(first, await self.reader.readexactly(length))
        self.packets.append(packet)
        return packet

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def cut(self) -> None:
        self.writer.transport.abort()

    async def welcome(self, properties: bytes = b"") -> None:
        """CONNECT, CONNACK, SUBSCRIBE, SUBACK of version 5."""
        await self.packet()
        body = bytes([0, 0, len(properties)]) + properties
        self.send(bytes([0x20, len(body)]) + body)
        subscribe = await self.packet()
        self.send(bytes([0x90, 4]) + subscribe.body[:2] + bytes([0, 1]))

    async def batch(self) -> tuple[str, int, bytes]:
        """The next PUBLISH that is not the link status; pings are answered on the way."""
        while True:
            packet = await self.packet()
            if packet.kind == 3:
                topic, mid, payload = packet.publish(v5=True)
                if not topic.endswith("/up/link"):
                    return topic, mid, payload
            elif packet.kind == 12:
                self.send(b"\xd0\x00")

    def puback(self, mid: int, reason: int = 0) -> None:
        if reason:
            self.send(bytes([0x40, 3]) + mid.to_bytes(2, "big") + bytes([reason]))
        else:
            self.send(bytes([0x40, 2]) + mid.to_bytes(2, "big"))

    def publish(self, topic: str, payload: bytes, mid: int = 1) -> None:
        body = len(topic).to_bytes(2, "big") + topic.encode() + mid.to_bytes(2, "big")
        body += b"\x00" + payload
        length = bytearray()
        left = len(body)
        while True:
            left, digit = left >> 7, left & 0x7F
            length.append(digit | (0x80 if left else 0))
            if not left:
                break
        self.send(bytes([0x32]) + bytes(length) + body)
