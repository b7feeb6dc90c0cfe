"""What the field process has to say and the record has not yet made durable. Pure and bounded.

Events wait until the record says that they are durable, so a record that dies or restarts loses
nothing. Of one source at most `OUTBOX_PER_SOURCE` transitions wait unsent and as many sent; after
that the newest unsent one absorbs its predecessor and counts it, so a sensor that chatters for a
week costs four entries and the latest transition is never the one that is lost. What absorbs a
fire is called as one.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import Any

import numpy as np

from agent.core.types import Now, Record
from config.limits import (
    OUTBOX_PER_SOURCE,
    OUTBOX_SUBMIT_EVENTS_MAX,
    OUTBOX_TELEMETRY_BYTES_MAX,
)
from config.words import Lane
from drivers.reading import ReadingBlock

_BLOCK_OVERHEAD_BYTES = 64


class EventOutbox:
    """Events by sequence number, from `add` to `durable`."""

    def __init__(self) -> None:
        self._waiting: dict[int, list[Any]] = {}  # seq -> wire row, in order of seq
        self._submitted: dict[int, list[Any]] = {}  # sent, not yet durable; all before _waiting
        self._by_source: dict[str, deque[int]] = {}
        self._next = 1
        self.folded = 0  # transitions that were absorbed by a later one
        self.let_go = 0  # sent, held by the record in memory only, and given up here

    def __len__(self) -> int:
        return len(self._waiting) + len(self._submitted)

    @property
    def fires(self) -> int:
        """How many that wait, or are not durable yet, are of a fire."""
        return sum(
            row[1] == Lane.FIRE for of in (self._submitted, self._waiting) for row in of.values()
        )

    @property
    def said(self) -> int:
        """How many events were ever queued, without those that a later one absorbed."""
        return self._next - 1 - self.folded

    def add(self, record: Record, now: Now) -> None:
        """Queue a record, stamped; fold when its source has too many waiting."""
        seqs = self._by_source.setdefault(record.source, deque())
        unsent = sum(1 for seq in seqs if seq in self._waiting)
        folded, lane, body = 0, record.lane, record.body
        if unsent >= OUTBOX_PER_SOURCE:
            absorbed = self._waiting.pop(seqs.pop())
            folded = absorbed[7] + 1
            self.folded += 1
            if absorbed[1] == Lane.FIRE and lane is not Lane.FIRE:  # both in one: it is called
                began = {key: absorbed[8][key] for key in ("from",) if key in absorbed[8]}
                lane, body = Lane.FIRE, absorbed[8] | body | began
        elif len(seqs) - unsent > OUTBOX_PER_SOURCE:
            self._submitted.pop(seqs.popleft())
            self.let_go += 1
        seq = self._next
        self._next += 1
        seqs.append(seq)
        self._waiting[seq] = [
            seq,
            lane.value,
            record.source,
            record.what,
            record.mono_ns,
            now.wall_ns,
            int(now.clock),
            folded,
            body,
        ]

    def take(self) -> list[list[Any]]:
        """The next rows to submit, at most OUTBOX_SUBMIT_EVENTS_MAX; they count as sent."""
        rows = list(islice(self._waiting.values(), OUTBOX_SUBMIT_EVENTS_MAX))
        for row in rows:
            self._submitted[row[0]] = self._waiting.pop(row[0])
        return rows

    def durable(self, seq: int) -> int | None:
        """Everything up to `seq` is on disk: forget it. Returns the oldest stamp among it."""
        oldest_ns: int | None = None
        for entries in (self._submitted, self._waiting):
            while entries and (first := next(iter(entries))) <= seq:
                row = entries.pop(first)
                oldest_ns = row[4] if oldest_ns is None else min(oldest_ns, row[4])
                source = row[2]
                seqs = self._by_source[source]
                seqs.remove(first)
                if not seqs:
                    del self._by_source[source]
        return oldest_ns

    def resume(self, seq: int) -> None:
        """A new connection: the record has everything up to `seq`; send the rest again."""
        self.durable(seq)
        self._waiting = self._submitted | self._waiting
        self._submitted = {}


class TelemetryOutbox:
    """Blocks of readings until they are durable; the oldest go first, and are counted by poll."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[int, list[Any]]] = deque()  # bytes, wire row
        self._submitted: deque[tuple[int, list[Any]]] = deque()
        self._bytes = 0
        self._next = 1
        self._dropped: dict[int, int] = {}
        self.dropped_readings = 0

    def add(self, block: ReadingBlock, now: Now) -> None:
        """Queue the values of one reply."""
        values = block.value.tobytes()
        quality = block.quality.tobytes() if np.count_nonzero(block.quality) else b""
        row = [self._next, block.poll, block.mono_ns, now.wall_ns, int(now.clock), values, quality]
        self._next += 1
        size = len(values) + len(quality) + _BLOCK_OVERHEAD_BYTES
        self._waiting.append((size, row))
        self._bytes += size
        while self._bytes > OUTBOX_TELEMETRY_BYTES_MAX:
            # What the record took but cannot make durable goes first: it may still have it, and
            # a count that is too high is the safe error.
            oldest = self._submitted or self._waiting
            lost_size, lost = oldest.popleft()
            self._bytes -= lost_size
            self._count(lost[1], len(lost[5]) // 8)

    def take(self, bytes_max: int) -> tuple[list[list[Any]], dict[int, int]]:
        """The oldest blocks, up to about `bytes_max`, and what was dropped before them by poll."""
        rows: list[list[Any]] = []
        taken = 0
        while self._waiting and taken < bytes_max:
            entry = self._waiting.popleft()
            self._submitted.append(entry)
            taken += entry[0]
            rows.append(entry[1])
        dropped, self._dropped = self._dropped, {}
        return rows, dropped

    def undeclared(self, dropped: dict[int, int]) -> None:
        """The message that carried these counts did not arrive: they are still to be declared."""
        for poll, readings in dropped.items():
            self._dropped[poll] = self._dropped.get(poll, 0) + readings

    def durable(self, seq: int) -> None:
        """Blocks up to `seq` are on disk: forget them."""
        for entries in (self._submitted, self._waiting):
            while entries and entries[0][1][0] <= seq:
                self._bytes -= entries.popleft()[0]

    def resume(self, seq: int) -> None:
        """A new connection: the record has everything up to `seq`; send the rest again."""
        self.durable(seq)
        self._waiting = self._submitted + self._waiting
        self._submitted = deque()

    def _count(self, poll: int, readings: int) -> None:
        self._dropped[poll] = self._dropped.get(poll, 0) + readings
        self.dropped_readings += readings
