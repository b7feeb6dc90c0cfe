"""Replies on a line that is known to be noisy: taken when a second read says the same. Pure.

The checksum of RTU has 16 bits: of all replies that noise rewrites beyond three bits, one in
65,536 passes. On a sound line that is never; on one that spoils every fifth reply it is a wrong
value every few days. So after a spoilt reply the next NOISY_REPLIES of that unit are believed
when they repeat what was believed before, or when two reads of three agree. A number that moves
between the reads is the one in the middle: with one wrong reply of three, it is never beyond two
true ones. No alarm waits for that longer than CONFIRM_NS_MAX.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from config.limits import CONFIRM_NS_MAX, DOUBT_NS_MAX
from drivers.modbus.values import PollDecoder, Qualities, Values

_READS_MAX = 3

Alarms = Callable[[Values, Qualities], NDArray[np.int64]]


class Doubt:
    """What one poll read and does not believe yet.

    number: bool[n], the values that have an order. alarms: the alarm flags of a poll's values.
    """

    def __init__(self, decoder: PollDecoder, number: NDArray[np.bool_], alarms: Alarms) -> None:
        self._decoder = decoder
        self._number = number
        self._alarms = alarms
        self._reads: list[bytes] = []
        self._first_ns = 0

    def asks_again(self, payload: bytes, believed: bytes, now_ns: int, cost_ns: int) -> bool:
        """Whether `payload` needs another read. If not, `decided` has the values.

        believed: the last payload that was, b"" for none. cost_ns: what another read takes.
        """
        if payload == believed or payload in self._reads:
            self._reads = [payload]
            return False
        if now_ns - self._first_ns > DOUBT_NS_MAX:
            self._reads = []
        if not self._reads:
            self._first_ns = now_ns
        self._reads.append(payload)
        if len(self._reads) >= _READS_MAX:
            return False
        late = now_ns + cost_ns - self._first_ns > CONFIRM_NS_MAX
        if late and self._is_news(payload, believed):
            self._reads = [payload]
            return False
        return True

    def believed(self, payload: bytes) -> tuple[Values, Qualities]:
        """The values of a reply on a line that is not noisy: nothing is in doubt any more."""
        self._reads = []
        return self._decoder.decode(payload)

    def decided(self) -> tuple[Values, Qualities]:
        """The values that are believed now; nothing is in doubt any more."""
        reads, self._reads = self._reads, []
        if len(reads) < _READS_MAX:
            return self._decoder.decode(reads[0])
        pairs = [self._decoder.decode(read) for read in reads]
        value, quality = np.stack([v for v, _ in pairs]), np.stack([q for _, q in pairs])

        def same(a: int, b: int) -> NDArray[np.bool_]:
            alike: NDArray[np.bool_] = quality[a] == quality[b]
            alike &= (value[a] == value[b]) | (np.isnan(value[a]) & np.isnan(value[b]))
            return alike

        whole = self._number & ~np.isnan(value).any(axis=0)
        middle = np.where(whole, np.argsort(value, axis=0, kind="stable")[1], _READS_MAX - 1)
        pick = np.where(same(0, 1) | same(0, 2), 0, np.where(same(1, 2), 1, middle))
        at = np.arange(len(pick))
        return value[pick, at], quality[pick, at]

    def given_up(
        self, believed: bytes, next_ns: int
    ) -> tuple[int, tuple[Values, Qualities]] | None:
        """No reply came; the next try is at `next_ns`. (when it was read, an alarm in doubt).

        An alarm that cannot be read again in time is told; what else is in doubt stays so.
        """
        if not self._reads or next_ns - self._first_ns <= CONFIRM_NS_MAX:
            return None
        for payload in reversed(self._reads):
            if self._is_news(payload, believed):
                self._reads = []
                return self._first_ns, self._decoder.decode(payload)
        return None

    def _is_news(self, payload: bytes, believed: bytes) -> bool:
        flags = self._alarms(*self._decoder.decode(payload))
        if believed:
            flags = flags & ~self._alarms(*self._decoder.decode(believed))
        return bool(flags.any())
