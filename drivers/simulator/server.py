"""Serves a line: a TCP listener, or an RTU slave on a pseudo-terminal. Many units on one line.

The asyncio shell around `Responder`; what the bytes mean is decided there, when they pass on a
paced line is computed in `pacing`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

from config.desk_limits import SIMULATOR_CLIENTS_MAX, SIMULATOR_FRAME_GAP_NS
from config.limits import LINE_BUFFER_BYTES_MAX, S
from drivers.simulator.fields import SimulatorError
from drivers.simulator.pacing import Pace, PacedWriter
from drivers.simulator.responder import CoilHook, Delivery, Garbage, Request, Responder
from drivers.simulator.terminal import Terminal


class Inbox:
    """Bytes of one client until they are requests. Bounded."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._buffer = b""
        self._last_ns = 0
        self.begun_ns = 0

    def feed(self, data: bytes, now_ns: int) -> list[Request] | Garbage:
        """The requests that are complete now, or that what came is none."""
        if self._responder.rtu and now_ns - self._last_ns > SIMULATOR_FRAME_GAP_NS:
            self._buffer = b""  # its rest never came
        if not self._buffer:
            self.begun_ns = now_ns
        self._last_ns = now_ns
        self._buffer += data
        requests: list[Request] = []
        while self._buffer:
            found = self._responder.decode(self._buffer)
            if isinstance(found, Garbage) or len(self._buffer) > LINE_BUFFER_BYTES_MAX:
                self._buffer = b""
                return Garbage()
            if found is None:
                break
            requests.append(found)
            self._buffer = self._buffer[found.used :]
        return requests


class _Client(asyncio.Protocol):
    """One TCP connection."""

    def __init__(self, line: TcpLine) -> None:
        self._line = line
        self._inbox = Inbox(line.responder)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self._line.clients) >= SIMULATOR_CLIENTS_MAX:
            transport.abort()
            return
        self._transport = transport
        self._line.clients.add(self)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio.Protocol
        self._line.clients.discard(self)
        self._transport = None

    def data_received(self, data: bytes) -> None:
        if self._transport is None:  # one client too many
            return
        requests = self._inbox.feed(data, self._line.mono_ns())
        if isinstance(requests, Garbage):
            if not self._line.responder.rtu:
                self.abort()  # nothing tells where the next request begins
            return
        for request in requests:
            delivery = self._line.responder.respond(request)
            if delivery is None:
                continue
            if delivery.hang_up:
                self.abort()
                return
            if delivery.delay_ns:
                loop = asyncio.get_running_loop()
                loop.call_later(delivery.delay_ns / S, self._send, delivery)
            else:
                self._send(delivery)

    def _send(self, delivery: Delivery) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(delivery.data)
        self._line.delivered(delivery)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None
            self._line.clients.discard(self)


class TcpLine:
    """A listener on one address. Port 0 takes a free one; `address` tells which."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        responder: Responder,
        on_read_back: CoilHook,
        mono_ns: Callable[[], int],
    ) -> None:
        self.responder = responder
        self.mono_ns = mono_ns
        self.clients: set[_Client] = set()
        self._host = host
        self._port = port
        self._on_read_back = on_read_back
        self._server: asyncio.Server | None = None

    @property
    def address(self) -> str:
        """host:port as served."""
        return f"{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The port as served."""
        return self._port

    async def start(self) -> None:
        """Listen. Raises SimulatorError when the address cannot be had."""
        loop = asyncio.get_running_loop()
        try:
            self._server = await loop.create_server(
                lambda: _Client(self), self._host, self._port, reuse_address=True
            )
        except OSError as e:
            raise SimulatorError(
                f"{self.address}: cannot listen here: {os.strerror(e.errno or 0)}; is another "
                "program using the port, or is this no address of this machine?"
            ) from e
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Close the listener and all connections: whoever connects is refused."""
        if self._server is not None:
            self._server.close()
            for client in list(self.clients):
                client.abort()
            await self._server.wait_closed()
            self._server = None

    def delivered(self, delivery: Delivery) -> None:
        """The reply is in the kernel's hands."""
        if delivery.read_back:
            now_ns = self.mono_ns()
            for device, coil, on in delivery.read_back:
                self._on_read_back(device, coil, on, now_ns)


class RtuLine:
    """An RTU slave on a pseudo-terminal at `path`. With `pace`, bytes pass at the baud rate."""

    def __init__(
        self,
        *,
        path: Path,
        responder: Responder,
        on_read_back: CoilHook,
        mono_ns: Callable[[], int],
        pace: Pace | None,
    ) -> None:
        self.address = str(path)
        self._responder = responder
        self._on_read_back = on_read_back
        self._mono_ns = mono_ns
        self._pace = pace
        self.inbox = Inbox(responder)
        self._terminal: Terminal | None = None
        self._writer: PacedWriter | None = None
        self._timers: set[asyncio.TimerHandle] = set()

    async def start(self) -> None:
        """Open the pair and link it. Raises SimulatorError."""
        self._open()

    async def stop(self) -> None:
        """Remove the link and close the pair, as an adapter that is pulled out."""
        self._close()

    def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._terminal = Terminal(Path(self.address))
        loop.add_reader(self._terminal.fd, self._readable)
        if self._pace is not None:
            self._writer = PacedWriter(self._pace, self._write, self._mono_ns, loop.call_later)

    def _close(self) -> None:
        if self._terminal is None:
            return
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        if self._writer is not None:
            self._writer.cancel()
        asyncio.get_running_loop().remove_reader(self._terminal.fd)
        self._terminal.close()
        self._terminal = None

    def _readable(self) -> None:
        assert self._terminal is not None
        try:
            data = os.read(self._terminal.fd, LINE_BUFFER_BYTES_MAX)
        except BlockingIOError:
            return
        now_ns = self._mono_ns()
        self._terminal.release()
        requests = self.inbox.feed(data, now_ns)
        if isinstance(requests, Garbage):
            return
        for request in requests:
            if self._pace is None:
                self._respond(request, now_ns)
                continue
            # The client's bytes came at once; on the wire the last one passes only then.
            received_ns = self._pace.received_ns(self.inbox.begun_ns, request.used)
            self._at(received_ns, partial(self._respond, request, received_ns))

    def _respond(self, request: Request, received_ns: int) -> None:
        delivery = self._responder.respond(request)
        if delivery is None:
            return
        if delivery.hang_up:
            self._close()
            self._open()
            return
        begin_ns = received_ns + delivery.delay_ns
        if self._pace is not None:
            begin_ns = self._pace.reply_begins_ns(begin_ns)
        self._at(begin_ns, partial(self._send, delivery, begin_ns))

    def _at(self, when_ns: int, call: Callable[[], None]) -> None:
        """Call at a moment, at once when it is past; not any more when the line closes."""
        wait_ns = when_ns - self._mono_ns()
        if wait_ns <= 0:
            call()
            return
        timer: asyncio.TimerHandle

        def ring() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(wait_ns / S, ring)
        self._timers.add(timer)

    def _send(self, delivery: Delivery, begin_ns: int) -> None:
        if self._terminal is None:
            return
        if self._writer is None:
            self._write(delivery.data)
            self._delivered(delivery)
        else:
            self._writer.send(delivery.data, begin_ns, partial(self._delivered, delivery))

    def _write(self, data: bytes) -> None:
        assert self._terminal is not None
        try:
            os.write(self._terminal.fd, data)
        except BlockingIOError:
            return  # nobody listens and the kernel's buffer is full: bytes on a wire are gone

    def _delivered(self, delivery: Delivery) -> None:
        if delivery.read_back:
            now_ns = self._mono_ns()
            for device, coil, on in delivery.read_back:
                self._on_read_back(device, coil, on, now_ns)


def check_loopback(line: str, host: str) -> None:
    """Raises SimulatorError unless `host` can only be reached from this machine."""
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise SimulatorError(
            f"link '{line}': {host} can be reached from the network: a simulated panel there "
            "could be taken for a real one; use a 127.x.x.x host, or allow it with --listen-any"
        )
