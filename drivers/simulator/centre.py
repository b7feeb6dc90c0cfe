"""A simulated monitoring centre that speaks GB/T 26875.3 over TCP and UDP: it confirms, denies,
stays silent, and asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from config.desk_limits import SIMULATOR_CENTRE_FRAMES_KEPT
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import (
    STANDARD,
    Command,
    Dialect,
    Frame,
    FrameDecoder,
    Stamp,
    encode_frame,
)

MODES = ("confirm", "deny", "silent")
Send = Callable[[bytes], None]


class Centre:
    """One centre. `mode` and `ignore` (so many frames stay unanswered) may change at any time."""

    def __init__(
        self, address: int = 88_888, *, mode: str = "confirm", dialect: Dialect = STANDARD,
        tell: Callable[[Frame], None] = lambda _: None,
    ) -> None:  # fmt: skip
        assert mode in MODES
        self.mode = mode
        self.ignore = 0
        self.address = address
        self.port = 0
        self.frames: list[Frame] = []  # the latest, as they came
        self.connections = 0
        self.errors = 0
        self._dialect = dialect
        self._tell = tell
        self._serial = 0
        self._peer = 0
        self._senders: dict[Any, Send] = {}
        self._servers: list[Any] = []

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> None:
        """Listen, TCP and UDP on the same port."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Stream(self), host, port)
        self.port = server.sockets[0].getsockname()[1]
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Datagrams(self), local_addr=(host, self.port)
        )
        self._servers = [server, transport]

    def stop(self) -> None:
        """Stop listening and drop everybody."""
        for server in self._servers:
            server.close()
        self.drop()

    def drop(self) -> None:
        """End all connections."""
        for key in list(self._senders):
            if isinstance(key, asyncio.Transport):
                key.abort()

    def units(self, kind: int | None = None) -> list[Any]:
        """Objects that were sent or answered, of one type or of all, resends included."""
        found: list[Any] = []
        for frame in self.frames:
            if frame.data:
                unit = gb.decode_unit(frame.data, self._dialect)
                if kind in (None, unit.type):
                    found += unit.objects
        return found

    def ask(self, command: Command, unit: gb.Unit) -> int:
        """Send a request or an order to everybody; its serial."""
        serial, self._serial = self._serial, (self._serial + 1) & 0xFFFF
        data = gb.encode_unit(unit, self._dialect)
        frame = Frame(serial, self.address, self._peer, command, data, Stamp(0, 0, 0, 1, 1, 26))
        for send in self._senders.values():
            send(encode_frame(frame, self._dialect))
        return serial

    def came(self, key: Any, send: Send) -> None:
        """Somebody is there."""
        self.connections += key not in self._senders
        self._senders[key] = send

    def left(self, key: Any) -> None:
        """Somebody is gone."""
        self._senders.pop(key, None)

    def take(self, decoder: FrameDecoder, data: bytes, send: Send) -> None:
        """Bytes from a gateway."""
        for found in decoder.feed(data):
            if not isinstance(found, Frame):
                self.errors += 1
                continue
            self._peer = found.source
            self.frames = [*self.frames[-SIMULATOR_CENTRE_FRAMES_KEPT:], found]
            self._tell(found)
            if found.command != Command.SEND or self.mode == "silent":
                continue
            if self.ignore:
                self.ignore -= 1
                continue
            answer = Command.CONFIRM if self.mode == "confirm" else Command.DENY
            reply = Frame(found.serial, self.address, found.source, answer, b"", found.time)
            send(encode_frame(reply, self._dialect))

    def decoder(self) -> FrameDecoder:
        """For one connection or datagram."""
        return FrameDecoder(self._dialect)


class _Stream(asyncio.Protocol):
    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._decoder = centre.decoder()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._centre.came(transport, transport.write)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._centre.take(self._decoder, data, self._transport.write)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio's signature
        self._centre.left(self._transport)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, centre: Centre) -> None:
        self._centre = centre
        self._transport: Any = None  # Python 3.11 has no common class of what it hands out

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        transport = self._transport
        assert transport is not None

        def send(reply: bytes) -> None:
            transport.sendto(reply, addr)

        self._centre.came(addr, send)
        self._centre.take(self._centre.decoder(), data, send)
