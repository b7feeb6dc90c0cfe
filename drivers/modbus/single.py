"""One request at a time on a line that nobody polls: for scan, probe and single writes.

The bus master's own links and matchers, without a schedule. The silence before each request is
kept; a reply is taken only when it answers the request in flight.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from config.limits import MS, S
from config.plan import Line
from config.words import LineKind
from drivers.link.opening import open_link
from drivers.link.stream import LinkError
from drivers.modbus.frame import Matcher, MbapMatcher, Query, RtuMatcher
from drivers.modbus.timing import LineTiming


@dataclass(frozen=True, slots=True)
class Answer:
    """The payload of a reply, or an exception's code, or neither: silence.

    spoilt: bytes came that answer nothing (a wrong baud rate or parity looks so).
    """

    payload: bytes | None = None
    exception: int = 0
    spoilt: bool = False

    @property
    def answered(self) -> bool:
        """Whether a unit spoke."""
        return self.payload is not None or bool(self.exception)


class SingleAsker:
    """Opens a line, hears whether it is quiet, asks. Raises LinkError from `open` and `ask`."""

    def __init__(self, line: Line, *, mono_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self.line = line
        self._mono_ns = mono_ns
        self._timing = LineTiming(line)
        tcp = line.kind == LineKind.TCP
        self._matcher: Matcher = MbapMatcher() if tcp else RtuMatcher()
        self._link = open_link(line, self._on_bytes, self._on_lost)
        self._came = asyncio.Event()
        self._verdict: bytes | int | None = None
        self._waiting = False
        self._heard = 0
        self._last_rx_ns = 0
        self._lost = ""

    async def open(self) -> None:
        """Open the link. Raises LinkError; a port in use by another process is one."""
        self._lost = ""
        await self._link.open()

    def close(self) -> None:
        """Close the link."""
        self._link.close()

    async def listen(self, wait_ns: int) -> int:
        """How many bytes came in this time although nobody of us asked; ends early after some."""
        self._heard = 0
        until_ns = self._mono_ns() + wait_ns
        while not self._heard and not self._gone() and (left := until_ns - self._mono_ns()) > 0:
            await self._wait(left)
        return self._heard

    async def ask(self, query: Query, wait_ns: int) -> Answer:
        """Send a request and wait for its reply, for `wait_ns` and the time of the bytes."""
        await self._silence()
        frame = self._matcher.expect(query)
        self._verdict, self._heard, self._waiting = None, 0, True
        bytes_ns = (len(frame) + query.reply_bytes + 3) * self._timing.char_ns
        until_ns = self._mono_ns() + wait_ns + bytes_ns
        self._link.write(frame)
        while self._verdict_now() is None and (left := until_ns - self._mono_ns()) > 0:
            if self._gone():
                break
            await self._wait(left)
        self._waiting = False
        self._matcher.settle()
        if self._gone():
            raise LinkError(self._lost)
        verdict = self._verdict_now()
        if verdict is None:
            return Answer(spoilt=bool(self._heard))
        return Answer(exception=verdict) if isinstance(verdict, int) else Answer(payload=verdict)

    def _verdict_now(self) -> bytes | int | None:
        return self._verdict

    def _gone(self) -> bool:
        return bool(self._lost)

    async def _silence(self) -> None:
        """Wait for the gap between frames, for at most a tenth of a second."""
        self._link.drain()
        until_ns = self._mono_ns() + 100 * MS
        while (now_ns := self._mono_ns()) < until_ns:
            quiet_at_ns = self._last_rx_ns + self._timing.quiet_ns
            if quiet_at_ns <= now_ns:
                return
            await asyncio.sleep((quiet_at_ns - now_ns) / S)

    async def _wait(self, left_ns: int) -> None:
        self._came.clear()
        try:
            async with asyncio.timeout(left_ns / S):
                await self._came.wait()
        except TimeoutError:
            return  # the caller looks at its deadline

    def _on_bytes(self, data: bytes) -> None:
        self._last_rx_ns = self._mono_ns()
        self._heard += len(data)
        if self._waiting:
            verdict = self._matcher.feed(data)
            if self._verdict is None:
                self._verdict = verdict
        self._came.set()

    def _on_lost(self, text: str) -> None:
        self._lost = text
        self._came.set()
