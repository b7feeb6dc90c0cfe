"""The loops around a session whose destination signs nothing: the record on one side, a TCP
connection or a UDP socket on the other. A centre of GB/T 26875.3 and a receiver of SIA DC-09 differ
in their sessions only.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from agent.courier.backoff import Backoff
from agent.courier.follower import Follower, Take
from agent.courier.window import BatchId
from agent.notify import Notifier
from agent.uplink.events import EventRecord
from config.centre_limits import POST_FIRE_RECONNECT_NS, POST_GRACE_NS
from config.limits import (
    POST_CONNECT_NS,
    POST_RECONNECT_NS_MAX,
    POST_RECONNECT_NS_MIN,
    POST_TICK_NS,
    POST_UNSENT_BYTES_MAX,
    S,
)
from config.system_error import reason


class Session(Protocol):
    """What the loops need of a session. Pure: it is told the time and never waits."""

    @property
    def path(self) -> tuple[bool, str]:
        """Whether the destination answers, and what is to be said of it."""

    @property
    def urgent(self) -> bool:
        """Whether a fire waits for the destination."""

    def connected(self, now_ns: int) -> None:
        """A fresh connection; with UDP, the socket."""

    def disconnected(self) -> None:
        """The connection is gone."""

    def unreachable(self) -> None:
        """The connection could not be made."""

    def received(self, data: bytes, now_ns: int) -> None:
        """Bytes of the connection, or one datagram."""

    def tick(self, now_ns: int) -> None:
        """Time passed."""


class Post:
    """Runs a session. `session` is set before `run`; `place` says where to, at each attempt."""

    session: Session

    def __init__(
        self, name: str, gateway: str, record_socket: Path, rng: random.Random, *, stream: bool,
        place: Callable[[], tuple[str, int]], take: Take,
        prime: Callable[[list[EventRecord]], None],
    ) -> None:  # fmt: skip
        self._stream = stream
        self._place = place
        self._backoff = Backoff(rng, POST_RECONNECT_NS_MIN, POST_RECONNECT_NS_MAX)
        self.follower = Follower(name, gateway, record_socket, rng, take, prime)
        self._wire: _Wire | None = None
        self._gone = asyncio.Event()
        self._at = ("", 0)
        # Why each place is not reached, until it says something: where two are tried in turn, one
        # text says both, and does not change with every attempt.
        self._troubles: dict[tuple[str, int], str] = {}
        self._good_ns = time.monotonic_ns()  # when the path was last good; a start is no loss
        self._notifier = Notifier()

    async def run(self, stop: asyncio.Event) -> None:
        """All loops until `stop`; a loop that fails is an error of ours and ends the process."""
        self._notifier.ready("started")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self.follower.run()),
                group.create_task(self._serve()),
                group.create_task(self._ticks()),
            ]
            await stop.wait()
            self._notifier.stopping()
            for task in tasks:
                task.cancel()
        if self._wire is not None:
            self._wire.close()

    # --- what a session calls ---

    def confirmed(self, batch: BatchId) -> None:
        """The destination has a message of the batch."""
        self._backoff.reset()
        self.follower.confirmed(batch)

    def send(self, data: bytes) -> bool:
        """False when the network does not take it."""
        return self._wire is not None and self._wire.send(data)

    def drop(self, why: str) -> None:
        """End the connection; another one follows."""
        wire = self._wire
        if wire is not None:
            self._troubles[self._at] = self._named(why)
            wire.close()
            self._wire = None
            self.session.disconnected()
            self._gone.set()

    # --- the destination ---

    async def _serve(self) -> None:
        while True:
            self._gone.clear()
            self._at = host, port = self._place()
            try:
                async with asyncio.timeout(POST_CONNECT_NS / S):
                    self._wire = await self._connect(host, port)
            except (OSError, TimeoutError) as e:
                self._troubles[self._at] = unreached(host, port, e)
                self.session.unreachable()
            else:
                self.session.connected(time.monotonic_ns())
                await self._gone.wait()
                self._wire = None
                self.session.disconnected()
            self._tell()
            await self._pause(self._backoff.next_ns())

    async def _pause(self, wait_ns: int) -> None:
        """Before the next attempt; a fire that comes meanwhile shortens it."""
        begun_ns = time.monotonic_ns()
        while (passed_ns := time.monotonic_ns() - begun_ns) < wait_ns:
            if self.session.urgent:
                wait_ns = min(wait_ns, POST_FIRE_RECONNECT_NS)
            await asyncio.sleep(min(POST_TICK_NS, max(0, wait_ns - passed_ns)) / S)

    async def _connect(self, host: str, port: int) -> _Wire:
        loop = asyncio.get_running_loop()
        made = _Wire(self._received, self._lost, stream=self._stream)
        if self._stream:
            await loop.create_connection(lambda: made, host, port)
        else:
            await loop.create_datagram_endpoint(lambda: made, remote_addr=(host, port))
        return made

    def _received(self, data: bytes) -> None:
        self._troubles.pop(self._at, None)
        self.session.received(data, time.monotonic_ns())
        if self.session.path[0]:
            self._backoff.reset()

    def _lost(self, wire: _Wire, why: str) -> None:
        if wire is self._wire:
            self._troubles[self._at] = self._named(why)
            self._gone.set()

    def _named(self, why: str) -> str:
        host, port = self._at
        return f"{host}:{port}: {why}"

    # --- time and words ---

    async def _ticks(self) -> None:
        while True:
            self.session.tick(time.monotonic_ns())
            self._tell()
            self._notifier.watchdog()
            await asyncio.sleep(POST_TICK_NS / S)

    def _tell(self) -> None:
        connected, text = self.session.path
        now_ns = time.monotonic_ns()
        if connected:
            self._good_ns = now_ns
            self._troubles.clear()
        elif now_ns - self._good_ns < POST_GRACE_NS:
            return  # a connection that was closed and is made again
        words = [*self._troubles.values(), *([] if self._at in self._troubles else [text])]
        self.follower.state(connected, "; ".join(words))


def unreached(host: str, port: int, error: OSError) -> str:
    """Why a destination was not reached, for people: a time that ran out has no text of its own."""
    return f"{host}:{port}: {reason(error)}"


class _Wire(asyncio.Protocol, asyncio.DatagramProtocol):
    """One TCP connection, or one UDP socket."""

    def __init__(self, received: Any, lost: Any, *, stream: bool) -> None:
        self._stream = stream
        self._received = received
        self._lost = lost
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 -- the peer's, set
        self._received(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there now: the resend rules decide what that means."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self, str(exc or "the other end closed the connection"))

    def send(self, data: bytes) -> bool:
        """False when the network does not take it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > POST_UNSENT_BYTES_MAX:
            return False
        if self._stream:
            transport.write(data)
        else:
            transport.sendto(data)
        return True

    def close(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()
