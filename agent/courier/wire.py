"""Bytes between asyncio and the MQTT library: what paho takes for a socket.

The library is used for its packets and its state, never for its sockets or its thread: asyncio
connects, shakes hands and waits, and each has a deadline; there is no thread that can die unseen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from config.limits import MQTT_CLOSE_NS, MQTT_UNSENT_BYTES_MAX, S

_PUBLISH_AT_QOS_2 = 0x34  # 3.3.1: type 3, and QoS in bits 2 and 1; 3 is malformed, and as bad


class PacketTooLarge(Exception):  # noqa: N818 -- the name says it
    """A packet announces more bytes than are ever expected here."""


class PacketNotAskedFor(Exception):  # noqa: N818 -- the name says it
    """A packet that no broker sends us that keeps to what was subscribed."""


class PacketGuard:
    """Follows the fixed headers of a stream of MQTT packets and refuses a large one.

    MQTT 5, 2.1.4: a variable byte integer of at most four bytes after the first byte. Without
    this a broker, or whoever sits there, could make the library gather 256 MB. Nothing is
    subscribed at QoS 2, and what comes at it anyway the library would keep until it is released:
    65,535 messages of that size.
    """

    def __init__(self, packet_bytes_max: int) -> None:
        self._max = packet_bytes_max
        self._body = 0  # bytes left of the packet under way
        self._length = 0
        self._digits = -1  # -1: the first byte comes next

    def feed(self, data: bytes) -> None:
        """Follow some bytes. Raises PacketTooLarge, PacketNotAskedFor."""
        at = 0
        while at < len(data):
            if self._body:
                step = min(self._body, len(data) - at)
                self._body -= step
                at += step
                continue
            byte = data[at]
            at += 1
            if self._digits < 0:
                if byte & 0xF4 == _PUBLISH_AT_QOS_2:
                    raise PacketNotAskedFor("a message at QoS 2")
                self._digits = self._length = 0
                continue
            self._length |= (byte & 0x7F) << (7 * self._digits)
            self._digits += 1
            if self._length > self._max or self._digits > 4:
                raise PacketTooLarge(f"a packet of more than {self._max} bytes")
            if not byte & 0x80:
                self._body, self._digits = self._length, -1


class Wire(asyncio.Protocol):
    """One connection: an asyncio protocol on one side, a non-blocking socket on the other."""

    def __init__(self, packet_bytes_max: int) -> None:
        self._guard = PacketGuard(packet_bytes_max)
        self._transport: asyncio.Transport | None = None
        self._inbox = bytearray()
        self._lost = False
        self._patience: asyncio.TimerHandle | None = None
        self.on_bytes: Callable[[], None] | None = None
        self.on_lost: Callable[[str], None] | None = None
        self.writable = True
        self.gone = asyncio.Event()

    # --- asyncio's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands, TLS included."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Bytes for the library."""
        try:
            self._guard.feed(data)
        except (PacketTooLarge, PacketNotAskedFor) as e:
            self._end(f"the broker sent {e}")
            return
        self._inbox += data
        if self.on_bytes is not None:
            self.on_bytes()

    def connection_lost(self, exc: Exception | None) -> None:
        """The other end is gone."""
        self.gone.set()
        if self._patience is not None:
            self._patience.cancel()
        why = str(exc) or type(exc).__name__ if exc else "the broker closed the connection"
        self._end(why)

    def pause_writing(self) -> None:
        """The network takes no more for now."""
        self.writable = False

    def resume_writing(self) -> None:
        """The network takes more again."""
        self.writable = True
        if self.on_bytes is not None:
            self.on_bytes()

    @property
    def pending(self) -> int:
        """Bytes that the library has not read yet."""
        return len(self._inbox)

    def _end(self, why: str) -> None:
        if self._lost:
            return
        self._lost = True
        if self._transport is not None:
            self._transport.abort()
        if self.on_lost is not None:
            self.on_lost(why)

    # --- the library's side: as much of a socket as it uses ---

    def recv(self, size: int) -> bytes:
        """As a non-blocking socket: BlockingIOError when there is nothing, b"" at the end."""
        if not self._inbox:
            if self._lost:
                return b""
            raise BlockingIOError
        data = bytes(self._inbox[:size])
        del self._inbox[:size]
        return data

    def send(self, data: bytes) -> int:
        """All of it is taken: how much is under way is bounded by the window.

        What a broker makes us answer is not: one that sends on and on and reads nothing is left.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionError("the connection is closed")
        if self._transport.get_write_buffer_size() > MQTT_UNSENT_BYTES_MAX:
            raise ConnectionError("the broker does not read")
        self._transport.write(bytes(data))
        return len(data)

    def setblocking(self, flag: bool) -> None:
        """Never blocks."""

    def fileno(self) -> int:
        """No descriptor is handed out: nobody but asyncio waits on it."""
        return -1

    def close(self) -> None:
        """Flush what was written and close; what does not go out in time is thrown away.

        A peer that vanished without a word takes nothing: each connection to it would stay, with
        all that was written to it, for as long as the kernel tries.
        """
        self._lost = True
        if self._transport is not None and self._patience is None and not self.gone.is_set():
            self._transport.close()
            loop = asyncio.get_running_loop()
            self._patience = loop.call_later(MQTT_CLOSE_NS / S, self._transport.abort)
