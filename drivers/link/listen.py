"""A device that connects to us: one connection, from the address that the site names.

Transmission devices dial out; here the gateway is what they dial. Of several connections the
newest counts: a device that was switched off and on again cannot end its old one.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from ipaddress import ip_address

from config.limits import CONNECT_TIMEOUT_NS, LISTEN_BACKLOG, LISTEN_PAUSE_NS, S
from config.plan import Line
from drivers.link.stream import DescriptorStream, LinkError
from drivers.link.tcp import watch_peer


class ListenLink(DescriptorStream):
    """Opens when the device connects. Others are closed at once, without a byte."""

    def __init__(
        self, line: Line, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        super().__init__(on_bytes, on_lost)
        self._peer = line.host
        self._port = line.tcp_port
        self._server: socket.socket | None = None
        self._arrived: asyncio.Future[None] | None = None
        self._waiting: socket.socket | None = None
        self._turned_away = ""  # who came last and is not the device

    async def open(self) -> None:
        """Wait for the device. Raises LinkError after at most CONNECT_TIMEOUT_NS."""
        self._listen()
        if self._waiting is None:
            self._arrived = asyncio.get_running_loop().create_future()
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_NS / S):
                    await self._arrived
            except TimeoutError as e:
                raise LinkError(self._nobody()) from e
            finally:
                self._arrived = None
        peer, self._waiting = self._waiting, None
        assert peer is not None
        self.attach(peer.fileno(), peer.close)

    def _nobody(self) -> str:
        text = f"tcp port {self._port}: {self._peer} has not connected"
        if self._turned_away:
            return f"{text}; {self._turned_away} did and was turned away: is 'from' right?"
        return f"{text}: set the device's centre address and port to this gateway"

    def close(self) -> None:
        """End the connection and stop listening."""
        super().close()
        if self._waiting is not None:
            self._waiting.close()
            self._waiting = None
        if self._server is not None:
            asyncio.get_running_loop().remove_reader(self._server.fileno())
            self._server.close()
            self._server = None

    def _listen(self) -> None:
        if self._server is not None:
            return
        family = socket.AF_INET6 if ":" in self._peer else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("", self._port))
            server.listen(LISTEN_BACKLOG)
        except OSError as e:
            server.close()
            raise LinkError(f"tcp port {self._port}: cannot listen there: {e.strerror}") from e
        self._server = server
        self._watch(server)

    def _watch(self, server: socket.socket) -> None:
        if server is self._server:
            asyncio.get_running_loop().add_reader(server.fileno(), self._accept)

    def _accept(self) -> None:
        assert self._server is not None
        try:
            peer, (host, *_) = self._server.accept()
        except (BlockingIOError, ConnectionError):
            return  # it is gone again already
        except OSError:
            # No descriptors are left: the caller stays in the queue, and this must not be asked
            # again at every turn of the loop that has the sirens to write.
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._server.fileno())
            loop.call_later(LISTEN_PAUSE_NS / S, self._watch, self._server)
            return
        if ip_address(host) != ip_address(self._peer):
            self._turned_away = host
            peer.close()
            return
        peer.setblocking(False)
        with contextlib.suppress(OSError):  # gone already: the first read tells
            watch_peer(peer)
        if self._waiting is not None:
            self._waiting.close()
        self._waiting = peer
        if self.up:
            self._lost_soon("the device connected anew")
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)
