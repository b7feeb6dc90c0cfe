"""Serves a simulated panel: a TCP listener, or a pseudo-terminal as the panel's serial port."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from config.desk_limits import SIMULATOR_CLIENTS_MAX
from config.limits import LINE_BUFFER_BYTES_MAX, MS, S
from config.plan import Line
from config.words import LineKind
from drivers.simulator.fields import SimulatorError
from drivers.simulator.panel_words import SimulatedPanel, Telling
from drivers.simulator.terminal import Terminal

_TICK_NS = 50 * MS
_DIAL_NS = 200 * MS


class _Client(asyncio.Protocol):
    """One TCP connection to the panel."""

    def __init__(self, line: PanelLine) -> None:
        self._line = line
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        if len(self._line.clients) >= SIMULATOR_CLIENTS_MAX:
            transport.abort()
            return
        self.transport = transport
        self._line.clients.add(self)
        self._line.joined.set()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 -- asyncio.Protocol
        self._line.clients.discard(self)

    def data_received(self, data: bytes) -> None:
        self._line.received(data)


class PanelLine:
    """One panel on its port. While `silent`, it neither sends nor listens, as with a cut cable."""

    def __init__(self, line: Line, panel: SimulatedPanel, *, mono_ns: Callable[[], int]) -> None:
        self.silent = False
        self.clients: set[_Client] = set()
        self.joined = asyncio.Event()  # somebody is connected; a pseudo-terminal cannot tell
        self._serial = line.kind == LineKind.SERIAL
        self._dials = line.kind == LineKind.TCP_LISTEN
        self._dialling: asyncio.Task[None] | None = None
        self._path = line.serial_port
        self._host, self._port = line.host, line.tcp_port
        self._panel = panel
        self._mono_ns = mono_ns
        self._server: asyncio.Server | None = None
        self._terminal: Terminal | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def address(self) -> str:
        """As served."""
        return self._path if self._serial else f"{self._host}:{self._port}"

    @property
    def port(self) -> int:
        """The TCP port as served."""
        return self._port

    async def start(self) -> None:
        """Open the port. Raises SimulatorError."""
        loop = asyncio.get_running_loop()
        if self._serial:
            self._terminal = Terminal(Path(self._path))
            loop.add_reader(self._terminal.fd, self._readable)
        elif self._dials:
            self._dialling = asyncio.create_task(self._dial())
        else:
            try:
                self._server = await loop.create_server(
                    lambda: _Client(self), self._host, self._port, reuse_address=True
                )
            except OSError as e:
                raise SimulatorError(f"{self.address}: cannot listen here: {e.strerror}") from e
            self._port = self._server.sockets[0].getsockname()[1]
        self._tick()

    async def _dial(self) -> None:
        """Connect to the gateway, again and again."""
        loop = asyncio.get_running_loop()
        while True:
            if not self.clients:
                with contextlib.suppress(OSError):
                    await loop.create_connection(lambda: _Client(self), self._host, self._port)
            await asyncio.sleep(_DIAL_NS / S)

    async def stop(self) -> None:
        """Close the port and all connections, as a panel that is switched off."""
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
            self._dialling = None
            for client in list(self.clients):
                if client.transport is not None:
                    client.transport.abort()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._terminal is not None:
            asyncio.get_running_loop().remove_reader(self._terminal.fd)
            self._terminal.close()
            self._terminal = None
        if self._server is not None:
            self._server.close()
            for client in list(self.clients):
                if client.transport is not None:
                    client.transport.abort()
            self.clients.clear()
            self.joined.clear()
            await self._server.wait_closed()
            self._server = None

    def tell(self, telling: Telling, now: datetime) -> int:
        """Something happened at the panel; the monotonic ns. Raises SimulatorError."""
        self.send(self._panel.tell(telling, now))
        if not self.silent:
            self.send(self._panel.tick(self._mono_ns()))
        return self._mono_ns()

    def send(self, data: bytes) -> None:
        """Raw bytes onto the line."""
        if not data or self.silent:
            return
        for client in list(self.clients):
            if client.transport is not None:
                client.transport.write(data)
        if self._terminal is not None:
            try:
                os.write(self._terminal.fd, data)
            except BlockingIOError:
                return  # nobody listens and the kernel's buffer is full: bytes on a wire are gone

    def received(self, data: bytes) -> None:
        """The gateway sent something."""
        if not self.silent:
            self.send(self._panel.receive(data, self._mono_ns()))

    def _readable(self) -> None:
        assert self._terminal is not None
        try:
            data = os.read(self._terminal.fd, LINE_BUFFER_BYTES_MAX)
        except BlockingIOError:
            return
        self.received(data)

    def _tick(self) -> None:
        if self._terminal is not None:
            self._terminal.release()
        if not self.silent:
            self.send(self._panel.tick(self._mono_ns()))
        self._timer = asyncio.get_running_loop().call_later(_TICK_NS / S, self._tick)
