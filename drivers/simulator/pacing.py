"""When the bytes of an RTU line pass, computed. Nothing here waits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from config.limits import MS, S

FAST_BAUD = 19_200
FAST_GAP_NS = 1_750_000
"""Above 19,200 baud the silence between frames is a fixed 1.75 ms (MODBUS over Serial Line V1.02,
2.5.1.1); below it is 3.5 characters."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The speed of a line. A character is 1 start, 8 data, the parity and the stop bits."""

    char_ns: int
    gap_ns: int

    @classmethod
    def of_line(cls, baud: int, parity: str, stop_bits: int) -> Pace:
        """Pace of a line as the plan describes it. parity: N, E or O."""
        bits = 1 + 8 + (parity != "N") + stop_bits
        char_ns = round(bits * S / baud)
        return cls(char_ns, FAST_GAP_NS if baud > FAST_BAUD else round(3.5 * char_ns))

    def received_ns(self, begun_ns: int, count: int) -> int:
        """When `count` bytes, of which the first began at `begun_ns`, have passed."""
        return begun_ns + count * self.char_ns

    def reply_begins_ns(self, received_ns: int) -> int:
        """The soonest that a reply may begin: after the silence that ends the request."""
        return received_ns + self.gap_ns

    def passed(self, begun_ns: int, now_ns: int, count: int) -> int:
        """How many of `count` bytes have passed by now."""
        return min(max((now_ns - begun_ns) // self.char_ns, 0), count)


class Later(Protocol):
    """What `call_later` gives back."""

    def cancel(self) -> None:
        """Call it no more."""


CallLater = Callable[[float, Callable[[], None]], Later]
"""asyncio's loop.call_later: seconds from now, and what to call."""

WAKE_NS_MIN = 2 * MS  # bytes that pass within this leave together; the last one is on time


class PacedWriter:
    """Writes a frame byte by byte as its bytes pass on the line. One frame at a time."""

    def __init__(
        self,
        pace: Pace,
        write: Callable[[bytes], None],
        mono_ns: Callable[[], int],
        call_later: CallLater,
    ) -> None:
        self._pace = pace
        self._write = write
        self._mono_ns = mono_ns
        self._call_later = call_later
        self._pending: Later | None = None

    def send(self, data: bytes, begin_ns: int, done: Callable[[], None]) -> None:
        """Let `data` pass from `begin_ns` on; `done` is called after its last byte was written.

        A frame still on its way is cut off, as two talkers on one pair do to each other.
        """
        self.cancel()
        self._next(data, 0, begin_ns, done)

    def cancel(self) -> None:
        """Stop in the middle."""
        if self._pending is not None:
            self._pending.cancel()
            self._pending = None

    def _next(self, data: bytes, sent: int, begin_ns: int, done: Callable[[], None]) -> None:
        now_ns = self._mono_ns()
        due = self._pace.passed(begin_ns, now_ns, len(data))
        if due > sent:
            self._write(data[sent:due])
        if due >= len(data):
            self._pending = None
            done()
            return
        step = max(1, WAKE_NS_MIN // self._pace.char_ns)
        wake_ns = begin_ns + min(due + step, len(data)) * self._pace.char_ns
        self._pending = self._call_later(
            max(wake_ns - now_ns, 0) / S, lambda: self._next(data, due, begin_ns, done)
        )
