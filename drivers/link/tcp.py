"""A TCP connection to a device, gateway or serial server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable

from config.limits import CONNECT_TIMEOUT_NS, MS, TCP_UNACKNOWLEDGED_NS_MAX, S
from config.plan import Line
from config.system_error import reason
from drivers.link.stream import DescriptorStream, LinkError

_KEEPALIVE = (
    (socket.TCP_KEEPIDLE, 5),  # seconds of silence before the first probe
    (socket.TCP_KEEPINTVL, 2),
    (socket.TCP_KEEPCNT, 3),
)


def watch_peer(peer: socket.socket) -> None:
    """Have the kernel notice within a bounded time that the other side is gone."""
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, seconds in _KEEPALIVE:
        peer.setsockopt(socket.IPPROTO_TCP, option, seconds)
    limit_ms = TCP_UNACKNOWLEDGED_NS_MAX // MS
    peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, limit_ms)


class TcpLink(DescriptorStream):
    """Opens with a deadline; a peer that vanished without a word is noticed by the kernel within
    TCP_UNACKNOWLEDGED_NS_MAX of the first unanswered byte."""

    def __init__(
        self, line: Line, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        super().__init__(on_bytes, on_lost)
        self._host = line.host
        self._port = line.tcp_port

    async def open(self) -> None:
        """Connect. Raises LinkError after at most CONNECT_TIMEOUT_NS."""
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_NS / S):
                peer = await self._connect()
        except TimeoutError as e:
            wait_ms = CONNECT_TIMEOUT_NS // MS
            raise LinkError(
                f"{self._where()}: no connection within {wait_ms} ms",
                f"{self._where()}：{wait_ms} 毫秒内未能连接",
            ) from e
        except (OSError, UnicodeError) as e:  # UnicodeError: a host name that cannot be one
            why = reason(e) if isinstance(e, OSError) else str(e)
            raise LinkError(f"{self._where()}: {why}", f"{self._where()}：连接失败：{why}") from e
        self.attach(peer.fileno(), peer.close)

    def _where(self) -> str:
        return f"tcp {self._host} port {self._port}"

    async def _connect(self) -> socket.socket:
        loop = asyncio.get_running_loop()
        # A literal address needs no resolver; getaddrinfo would start a thread to find that out.
        try:
            socket.inet_pton(socket.AF_INET, self._host)
        except OSError:
            found = await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
            family, address = found[0][0], found[0][4]
        else:
            family, address = socket.AF_INET, (self._host, self._port)
        peer = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            watch_peer(peer)
            await loop.sock_connect(peer, address)
            if peer.getsockname() == peer.getpeername():
                # A closed port of our own machine can answer itself (simultaneous open).
                raise ConnectionRefusedError("connected to itself")
        except BaseException:
            peer.close()
            raise
        return peer
