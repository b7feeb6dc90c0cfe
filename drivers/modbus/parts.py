"""A merged read that a device refuses, taken apart only where it must be. Pure.

Registers that nobody asked for are read along when that is cheaper (`planner`). A device may not
have them and answer ILLEGAL DATA ADDRESS. Then every wanted span is read by itself, and one gap a
round is tried again: what reads well stays merged, and only the gap that is refused stays open.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from config.plan import Poll
from config.value_types import VALUE_TYPES
from drivers.modbus.frame import Query, read_query
from drivers.modbus.values import value_width

ILLEGAL_DATA_ADDRESS = 2  # V1.1b3, 7
_BIT_FUNCTIONS = (1, 2)


class _Gap(Enum):
    JOINED = auto()
    OPEN = auto()  # not yet tried by itself
    REFUSED = auto()


class Parts:
    """The requests of one poll: one, until a device refuses it.

    A round is one poll. `query` is the next request; after `took` or `refused` answers True the
    round is over and `payload` and `missing` say what came of it.
    """

    def __init__(self, unit: int, poll: Poll) -> None:
        self._unit, self._poll = unit, poll
        self._whole = read_query(unit, poll.function, poll.address, poll.count)
        self._spans, self._span_of = _spans(poll)
        self._gaps = [_Gap.JOINED] * (len(self._spans) - 1)
        self._bits = poll.function in _BIT_FUNCTIONS
        self._round: deque[tuple[int, int]] = deque()  # (first span, last span), the head in flight
        self._trial = -1  # the gap that the head of the round tries
        self._failed: dict[int, int] = {}  # span -> exception code, of this round
        self._refused: set[int] = set()  # spans of the last round
        self._words: NDArray[np.uint16] = np.zeros(0, np.uint16)
        self.code = 0  # when nothing at all could be read
        self.payload = b""
        self.missing: NDArray[np.bool_] | None = None  # [n values], None when all are there
        self.query = self._whole

    @property
    def requests(self) -> int:
        """How many requests a poll takes now."""
        return len(self._runs())

    def took(self, payload: bytes) -> bool:
        """A reply to `query`. Whether the round is over."""
        if not self._round and self.query is self._whole:
            self.payload, self.missing = payload, None
            return True
        first, last = self._round.popleft()
        self._put(first, last, payload)
        if self._trial >= 0:
            self._gaps[self._trial] = _Gap.JOINED
            self._trial = -1
        return self._next()

    def refused(self, code: int) -> bool:
        """An exception answered `query`. Whether the round is over; `code` is 0 when values came.

        A refusal of the whole read with several spans in it begins to take it apart.
        """
        if not self._round:
            if code != ILLEGAL_DATA_ADDRESS or not self._gaps:
                self.code, self.payload = code, b""
                return True
            self._begin()
        first, last = self._round.popleft()
        if self._trial >= 0:
            if code == ILLEGAL_DATA_ADDRESS:
                self._gaps[self._trial] = _Gap.REFUSED
            self._round.extendleft([(self._trial + 1, last), (first, self._trial)])
            self._trial = -1
        elif first < last and code == ILLEGAL_DATA_ADDRESS:
            self._gaps[first:last] = [_Gap.OPEN] * (last - first)
            self._round.extendleft((span, span) for span in range(last, first - 1, -1))
        else:
            self._failed.update(dict.fromkeys(range(first, last + 1), code))
        return self._next()

    def abandon(self) -> None:
        """The round ends without an answer; the next one begins anew."""
        self._round.clear()
        self._trial = -1
        self._arrange()

    def _runs(self) -> list[tuple[int, int]]:
        runs: list[tuple[int, int]] = []
        first = 0
        for gap, state in enumerate(self._gaps):
            if state is not _Gap.JOINED:
                runs.append((first, gap))
                first = gap + 1
        return [*runs, (first, len(self._spans) - 1)]

    def _begin(self) -> None:
        """Start a round: every run by itself, but for one gap that is tried."""
        self._failed = {}
        self._words = np.zeros(self._poll.count, np.uint16)
        runs = self._runs()
        for at, (left, right) in enumerate(pairwise(runs)):
            gap = left[1]
            sound = not self._refused & {*range(left[0], right[1] + 1)}
            if self._gaps[gap] is _Gap.OPEN and sound:
                # The trial is the first of the round; what it does not cover follows.
                self._trial = gap
                runs = [(left[0], right[1]), *runs[:at], *runs[at + 2 :]]
                break
        self._round = deque(runs)

    def _next(self) -> bool:
        if self._round:
            self.query = self._query_of(*self._round[0])
            return False
        self._refused = set(self._failed)
        if len(self._failed) == len(self._spans):
            self.code, self.payload = next(iter(self._failed.values())), b""
        else:
            self.code = 0
            self.payload = _packed(self._words, self._bits)
            failed = np.zeros(len(self._spans), np.bool_)
            failed[list(self._failed)] = True
            self.missing = failed[self._span_of] if self._failed else None
        self._arrange()
        return True

    def _arrange(self) -> None:
        """Prepare the next round."""
        if all(state is _Gap.JOINED for state in self._gaps):
            self.query = self._whole
            return
        self._begin()
        self.query = self._query_of(*self._round[0])

    def _query_of(self, first: int, last: int) -> Query:
        start, end = self._spans[first][0], self._spans[last][1]
        poll = self._poll
        return read_query(self._unit, poll.function, poll.address + start, end - start)

    def _put(self, first: int, last: int, payload: bytes) -> None:
        start, end = self._spans[first][0], self._spans[last][1]
        if self._bits:
            octets = np.frombuffer(payload, np.uint8)
            self._words[start:end] = np.unpackbits(octets, bitorder="little")[: end - start]
        else:
            self._words[start:end] = np.frombuffer(payload, ">u2")


def _spans(poll: Poll) -> tuple[list[tuple[int, int]], NDArray[np.intp]]:
    """Wanted spans without a gap inside (offsets; the end is behind), and the span of each value.

    What lies before the first and behind the last wanted one belongs to them: there is none in a
    plan that the planner made.
    """
    offsets = np.frombuffer(poll.offsets, "<u2").astype(int)
    bits = poll.function in _BIT_FUNCTIONS
    widths = [1 if bits else value_width(VALUE_TYPES[code]) for code in poll.types]
    spans: list[tuple[int, int]] = []
    for start, width in sorted(zip(offsets.tolist(), widths, strict=True)):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(spans[-1][1], start + width))
        else:
            spans.append((start, start + width))
    starts = np.array([start for start, _ in spans])
    of_value: NDArray[np.intp] = np.searchsorted(starts, offsets, side="right") - 1
    return spans, of_value


def _packed(words: NDArray[np.uint16], bits: bool) -> bytes:
    if bits:
        return np.packbits(words.astype(np.uint8), bitorder="little").tobytes()
    return words.astype(">u2").tobytes()
