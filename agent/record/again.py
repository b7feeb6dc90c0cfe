"""Batches that a platform asked for once more: read from the store, sent beside what is new."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from agent.record.store import Row
from config.limits import RESENDS_WAITING_MAX

Fetch = Callable[[tuple[str, int], int, Callable[[list[Row] | None], None]], None]
"""Have the store read a stream after a number; the rows, or None, come to the last argument."""


class Again:
    """Ranges of one courier, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._ranges: deque[tuple[tuple[str, int], int, int]] = deque()  # stream, next, last
        self._rows: deque[Row] = deque()
        self._reading = False

    def ask(self, stream: tuple[str, int], first: int, last: int) -> bool:
        """Whether there was room for one more range."""
        if len(self._ranges) >= RESENDS_WAITING_MAX:
            return False
        self._ranges.append((stream, first, last))
        return True

    def next(self, fetch: Fetch) -> Row | None:
        """The next batch; None when there is none, or it has to be read first."""
        while self._ranges:
            stream, first, last = self._ranges[0]
            if self._rows and self._rows[0].seq <= last:
                row = self._rows.popleft()
                self._ranges[0] = (stream, row.seq + 1, last)
                return row
            if self._rows or first > last:
                self._done()
            elif not self._reading:
                self._reading = True
                fetch(stream, first - 1, self._fetched)
                return None
            else:
                return None
        return None

    def back(self, row: Row) -> None:
        """The batch of `next` did not leave: it is the next one again."""
        self._rows.appendleft(row)
        stream, _, last = self._ranges[0]
        self._ranges[0] = (stream, row.seq, last)

    def _fetched(self, rows: list[Row] | None) -> None:
        """The store's answer; without one, or with nothing left of it, the range is over."""
        self._reading = False
        if rows:
            self._rows = deque(rows)
        elif self._ranges:
            self._done()

    def _done(self) -> None:
        self._ranges.popleft()
        self._rows.clear()
