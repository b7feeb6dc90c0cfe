"""A monitoring centre by the letter of GB/T 26875.3, which shares no code with the gateway."""

from __future__ import annotations

import asyncio
import struct
from typing import Any

ADDRESS, GATEWAY = 88_888, 889
CONTROL, SEND, CONFIRM = 1, 2, 3


def frame(serial: int, source: int, destination: int, command: int, data: bytes = b"") -> bytes:
    body = struct.pack("<H", serial) + b"\x01\x01" + bytes([0, 30, 9, 1, 7, 26])
    body += source.to_bytes(6, "little") + destination.to_bytes(6, "little")
    body += struct.pack("<HB", len(data), command) + data
    return b"@@" + body + bytes([sum(body) & 0xFF]) + b"##"


class PlainCentre:
    """Confirms everything, and keeps (command, serial, data) of what came."""

    def __init__(self) -> None:
        self.came: list[tuple[int, int, bytes]] = []
        self.port = 0
        self._writer: asyncio.StreamWriter | None = None
        self._news = asyncio.Event()
        self._server: Any = None

    async def start(self) -> None:
        """Listen, on the same port as before."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def vanish(self) -> None:
        """Neither a connection nor anybody who would take one."""
        self._server.close()
        if self._writer is not None:
            self._writer.transport.abort()

    def order(self, serial: int, data: bytes) -> None:
        """A control command."""
        assert self._writer is not None
        self._writer.write(frame(serial, ADDRESS, GATEWAY, CONTROL, data))

    def units(self, kind: int) -> list[bytes]:
        """Data of what was sent to it, of one type."""
        return [
            data for command, _, data in self.came if command == SEND and data[:1] == bytes([kind])
        ]

    async def heard(self, kind: int) -> bytes:
        """The first unit of a type; the test's own deadline bounds it."""
        while not self.units(kind):
            self._news.clear()
            await self._news.wait()
        return self.units(kind)[0]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        try:
            while True:
                head = await reader.readexactly(27)
                (size,) = struct.unpack_from("<H", head, 24)
                rest = await reader.readexactly(size + 3)
                assert head[:2] == b"@@"
                assert rest[-2:] == b"##"
                data = rest[:-3]
                assert rest[-3] == sum(head[2:] + data) & 0xFF
                (serial,) = struct.unpack_from("<H", head, 2)
                self.came.append((head[26], serial, data))
                self._news.set()
                if head[26] == SEND:
                    writer.write(frame(serial, ADDRESS, GATEWAY, CONFIRM))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()
