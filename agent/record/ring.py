"""What is sealed and not yet on disk, in order, and a little of what is. Pure and byte bounded.

Nothing that is sealed leaves the ring before it is durable, so a chain never gets a hole. When
the disk is gone for too long the ring says so before sealing: telemetry is then dropped and
counted, events stay with the field process, and fire has a reserve.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import StrEnum

from agent.record.sealer import Number, Sealed
from config.limits import (
    COMMIT_BYTES_MAX,
    RING_BYTES_MAX,
    RING_DURABLE_BYTES_MAX,
    RING_FIRE_RESERVE_BYTES,
    RING_SUMMARY_RESERVE_BYTES,
    RING_TELEMETRY_BYTES_MAX,
)
from config.words import Lane


class Db(StrEnum):
    """Which file a lane is kept in: damage or fullness of one does not touch the other."""

    EVENTS = "events"
    TELEMETRY = "telemetry"


def db_of(lane: str) -> Db:
    """The file of a lane."""
    return Db.TELEMETRY if lane in (Lane.TELEMETRY, Lane.SUMMARY) else Db.EVENTS


@dataclass(slots=True, eq=False)
class Entry:
    """A sealed batch in memory.

    session, mark: with this batch on disk, everything of the field's session up to `mark` is.
    closes: a transaction may end after it; events of one submission are never torn apart.
    """

    sealed: Sealed
    sealed_ns: int
    session: bytes = b""
    mark: int = 0
    closes: bool = True
    durable: bool = False


class Ring:
    """Entries in the order of sealing."""

    def __init__(self) -> None:
        self._entries: OrderedDict[Number, Entry] = OrderedDict()
        self._pending: dict[Db, OrderedDict[Number, Entry]] = {db: OrderedDict() for db in Db}
        self._pending_bytes = dict.fromkeys(Db, 0)
        self._durable: OrderedDict[Number, Entry] = OrderedDict()
        self._durable_bytes = 0

    def room(self, lane: str) -> bool:
        """Whether one more batch of this lane may be sealed."""
        waiting = sum(self._pending_bytes.values())
        if lane in (Lane.TELEMETRY, Lane.SUMMARY):
            reserve = RING_SUMMARY_RESERVE_BYTES if lane == Lane.SUMMARY else 0
            return self._pending_bytes[Db.TELEMETRY] < RING_TELEMETRY_BYTES_MAX + reserve
        if lane == Lane.FIRE:
            return waiting < RING_BYTES_MAX
        return waiting < RING_BYTES_MAX - RING_FIRE_RESERVE_BYTES

    def add(self, entry: Entry) -> None:
        """Take in a batch that was just sealed."""
        number = entry.sealed.number
        assert number not in self._entries, "a number is used once"
        db = db_of(number.lane)
        self._entries[number] = entry
        self._pending[db][number] = entry
        self._pending_bytes[db] += len(entry.sealed.data)

    def commit_group(self, db: Db) -> list[Entry]:
        """The oldest entries of one transaction: whole submissions, about COMMIT_BYTES_MAX."""
        group: list[Entry] = []
        size = 0
        for entry in self._pending[db].values():
            group.append(entry)
            size += len(entry.sealed.data)
            if entry.closes and size >= COMMIT_BYTES_MAX:
                break
        assert not group or group[-1].closes, "a submission is added whole"
        return group

    def made_durable(self, entries: list[Entry]) -> None:
        """These are on disk. The oldest durable ones beyond what couriers may need are let go."""
        for entry in entries:
            number = entry.sealed.number
            db = db_of(number.lane)
            del self._pending[db][number]
            self._pending_bytes[db] -= len(entry.sealed.data)
            self._durable_bytes += len(entry.sealed.data)
            entry.durable = True
            self._durable[number] = entry
        while self._durable_bytes > RING_DURABLE_BYTES_MAX and len(self._durable) > 1:
            number, entry = self._durable.popitem(last=False)
            del self._entries[number]
            self._durable_bytes -= len(entry.sealed.data)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, number: Number) -> Entry | None:
        """The batch with this number, if it is in memory."""
        return self._entries.get(number)

    def pending(self, db: Db) -> int:
        """How many batches are not yet on disk."""
        return len(self._pending[db])

    def pending_bytes(self) -> int:
        """How many bytes are not yet on disk."""
        return sum(self._pending_bytes.values())
