"""Replays a recorded line on a pseudo-terminal: its devices, or everything that was said on it.

As devices, each recorded request is answered as it was then and as late, in the order of the file
and again from its beginning; what was never asked, or never answered, stays unanswered. As a line,
all bytes pass in their own time, as a passive listener would hear them.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from config.desk_limits import LISTEN_FRAME_GAP_NS
from config.limits import LINE_BUFFER_BYTES_MAX, S
from drivers.modbus.line_file import Chunk
from drivers.modbus.listen import Listener
from drivers.simulator.fields import SimulatorError
from drivers.simulator.terminal import Terminal


class Replay:
    """One recorded line on `path`. `answered` counts the replies that were given."""

    def __init__(self, path: Path, chunks: Sequence[Chunk], *, speed: float = 1.0) -> None:
        self.path = path
        self._chunks = chunks
        self._speed = speed
        self._terminal: Terminal | None = None
        self._buffer = b""
        self._last_s = 0.0
        self._known = recorded_replies(chunks)
        self._next: dict[bytes, int] = {}
        self.answered = 0
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def requests(self) -> int:
        """How many different requests the recording can answer."""
        return len(self._known)

    async def start(self, *, serve: bool) -> None:
        """Open the port; with `serve` answer what is asked. Raises SimulatorError."""
        if serve and not self._known:
            raise SimulatorError("the recording has no request with its reply: nothing to answer")
        self._terminal = Terminal(self.path)
        if serve:
            asyncio.get_running_loop().add_reader(self._terminal.fd, self._readable)

    async def stop(self) -> None:
        """Close the port."""
        if self._terminal is None:
            return
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        asyncio.get_running_loop().remove_reader(self._terminal.fd)
        self._terminal.close()
        self._terminal = None

    async def play(self) -> None:
        """Say everything once, in its time."""
        begun = asyncio.get_running_loop().time()
        for chunk in self._chunks:
            wait_s = begun + chunk.t_ns / S / self._speed - asyncio.get_running_loop().time()
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            self._write(chunk.data)

    def _readable(self) -> None:
        assert self._terminal is not None
        try:
            data = os.read(self._terminal.fd, LINE_BUFFER_BYTES_MAX)
        except BlockingIOError:
            return
        self._terminal.release()
        loop = asyncio.get_running_loop()
        if loop.time() - self._last_s > LISTEN_FRAME_GAP_NS / S:
            self._buffer = b""
        self._last_s = loop.time()
        self._buffer = (self._buffer + data)[-LINE_BUFFER_BYTES_MAX:]
        known = self._known.get(self._buffer)
        if known is None:
            return
        turn = self._next.get(self._buffer, 0)
        self._next[self._buffer] = (turn + 1) % len(known)
        self._buffer = b""
        wait_ns, reply = known[turn]
        timer: asyncio.TimerHandle

        def say() -> None:
            self._timers.discard(timer)
            self.answered += 1
            self._write(reply)

        timer = loop.call_later(wait_ns / S / self._speed, say)
        self._timers.add(timer)

    def _write(self, data: bytes) -> None:
        if self._terminal is None:
            return
        try:
            os.write(self._terminal.fd, data)
        except BlockingIOError:
            return  # nobody reads: bytes on a wire are gone


def recorded_replies(chunks: Sequence[Chunk]) -> dict[bytes, list[tuple[int, bytes]]]:
    """Request frame to its replies in order: (wait in ns, frame)."""
    listener = Listener()
    found = [e for c in chunks for e in listener.feed(c.data, c.t_ns)]
    out: dict[bytes, list[tuple[int, bytes]]] = {}
    for exchange in [*found, *listener.finish()]:
        if exchange.answered:
            reply = (exchange.round_trip_ns, exchange.reply)
            out.setdefault(exchange.request, []).append(reply)
    return out
