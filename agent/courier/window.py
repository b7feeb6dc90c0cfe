"""What is on its way to the platform: a bounded window of batches. Pure; time is an argument.

A batch is *waiting* until it is published, *sent* until the broker takes it (PUBACK), *taken*
until the platform's own acknowledgement has been believed by the record. Only that last step
forgets it: what a broker says is not delivery. A resend is the very bytes of the first time.

    waiting --due()--> sent --broker_took()--> taken --acknowledged()--> forgotten
       ^                 |                       |
       +-- broker_refused(), disconnected() -----+-- no acknowledgement in time
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum

from config.limits import (
    COURIER_ACK_WAIT_NS,
    COURIER_FIRE_ACK_WAIT_NS,
    COURIER_FIRE_RESEND_NS_MAX,
    COURIER_FIRE_WINDOW,
    COURIER_RECONNECT_NS_MIN,
    COURIER_RESEND_NS_MAX,
    COURIER_WINDOW,
    COURIER_WINDOW_MAX,
)
from config.words import Lane

URGENT = (Lane.EPOCH, Lane.TABLE, Lane.FIRE)
"""Lanes that go first, in the record's order: a fire, and what a receiver needs to read it."""


@dataclass(frozen=True, slots=True)
class BatchId:
    """Which batch, of the gateway that this courier serves."""

    epoch: bytes
    lane: str
    seq: int


@dataclass(frozen=True, slots=True)
class Batch:
    """One sealed batch, as the record gave it."""

    id: BatchId
    data: bytes
    durable: bool = True


class Place(Enum):
    """Where a batch is on its way."""

    WAITING = "waiting"
    SENT = "sent"
    TAKEN = "taken"


class Offer(Enum):
    """What became of an offer."""

    NEW = "new"
    KNOWN = "known"
    FORKED = "forked"  # the same number with other bytes: the record's newer word is kept
    FULL = "full"


@dataclass(slots=True)
class _Entry:
    batch: Batch
    place: Place = Place.WAITING
    due_ns: int = 0  # waiting: not before; sent and taken: patience ends
    tries: int = 0
    vouched: bool = True  # the record that is running now has offered it
    nobody: bool = False  # taken by a broker that had no subscriber for it

    @property
    def bulk(self) -> bool:
        return self.batch.id.lane != Lane.FIRE


def _ack_wait_ns(entry: _Entry) -> int:
    if entry.batch.id.lane == Lane.FIRE:
        first_ns, most_ns = COURIER_FIRE_ACK_WAIT_NS, COURIER_FIRE_RESEND_NS_MAX
    else:
        first_ns, most_ns = COURIER_ACK_WAIT_NS, COURIER_RESEND_NS_MAX
    return min(most_ns, first_ns << min(entry.tries - 1, 8))


class Window:
    """The batches under way, in the order in which the record offered them."""

    def __init__(self, slots: int = COURIER_WINDOW, fire_slots: int = COURIER_FIRE_WINDOW) -> None:
        assert slots > 0
        assert fire_slots > 0
        self._slots = slots
        self._fire_slots = fire_slots
        self._limit = slots + fire_slots
        self._entries: dict[BatchId, _Entry] = {}
        self._sent_bulk = 0
        self._sent_fire = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Batch]:
        return (e.batch for e in self._entries.values())

    @property
    def capacity(self) -> int:
        """The most batches that are ever kept: the record's widest window, twice.

        Twice, because a record that starts again offers a full window of its own while the
        batches of before, which only this process may still have, wait for their acknowledgement.
        """
        return 2 * (max(self._slots, COURIER_WINDOW_MAX) + self._fire_slots)

    def limit_sent(self, receive_max: int) -> None:
        """The broker's Receive Maximum (MQTT 5, 3.2.2.3.3): never more without their PUBACK."""
        self._limit = max(1, min(self._slots + self._fire_slots, receive_max))

    def followed(self) -> None:
        """A record is about to offer its window anew; until it does, nothing is vouched for."""
        for entry in self._entries.values():
            entry.vouched = False

    def offer(self, batch: Batch) -> Offer:
        """Take a batch from the record."""
        known = self._entries.get(batch.id)
        if known is not None:
            known.vouched = True
            if known.batch.data == batch.data:
                return Offer.KNOWN
            self._move(known, Place.WAITING)
            self._entries[batch.id] = _Entry(batch)
            return Offer.FORKED
        if len(self._entries) >= self.capacity and not self._drop_unvouched():
            return Offer.FULL
        self._entries[batch.id] = _Entry(batch)
        return Offer.NEW

    def due(self, now_ns: int, *, only_fire: bool = False) -> list[Batch]:
        """What to publish now; it counts as sent. Urgent lanes first, fire in slots of its own."""
        bulk_limit = max(1, self._limit - self._fire_slots)
        if self._sent_bulk + self._sent_fire >= self._limit:
            return []
        waiting = [
            e for e in self._entries.values() if e.place is Place.WAITING and e.due_ns <= now_ns
        ]
        waiting.sort(key=lambda e: e.batch.id.lane not in URGENT)  # stable: the record's order
        out: list[Batch] = []
        for entry in waiting:
            if self._sent_bulk + self._sent_fire >= self._limit:
                break
            if entry.bulk and (only_fire or self._sent_bulk >= bulk_limit):
                continue
            self._move(entry, Place.SENT)
            entry.tries += 1
            entry.due_ns = now_ns + COURIER_ACK_WAIT_NS
            out.append(entry.batch)
        return out

    def _move(self, entry: _Entry, place: Place) -> None:
        """The one way from place to place: what is sent is counted, not searched for."""
        change = (place is Place.SENT) - (entry.place is Place.SENT)
        if entry.bulk:
            self._sent_bulk += change
        else:
            self._sent_fire += change
        entry.place = place

    def broker_took(self, batch_id: BatchId, now_ns: int, *, nobody: bool = False) -> None:
        """PUBACK: the broker has it. Now the platform has to say so itself.

        nobody: the broker said that no one subscribes (0x10). The first batch that finds somebody
        brings all those along that found nobody.
        """
        entry = self._entries.get(batch_id)
        if entry is None or entry.place is not Place.SENT:
            return
        self._move(entry, Place.TAKEN)
        entry.nobody = nobody
        if nobody:
            entry.tries = 1  # it asks at a steady pace, so that a platform that is back is found
        entry.due_ns = now_ns + _ack_wait_ns(entry)
        if not nobody:
            for other in self._entries.values():
                if other.nobody and other.place is Place.TAKEN:
                    self._move(other, Place.WAITING)
                    other.nobody, other.due_ns = False, now_ns

    def broker_refused(self, batch_id: BatchId, now_ns: int) -> None:
        """PUBACK with a reason code of 0x80 or more: again, later and later."""
        entry = self._entries.get(batch_id)
        if entry is not None and entry.place is Place.SENT:
            self._move(entry, Place.WAITING)
            wait_ns = COURIER_RECONNECT_NS_MIN << min(entry.tries - 1, 8)
            entry.due_ns = now_ns + min(COURIER_RESEND_NS_MAX, wait_ns)

    def disconnected(self) -> None:
        """The connection is gone: everything is sent again on the next one."""
        for entry in self._entries.values():
            self._move(entry, Place.WAITING)
            entry.due_ns = 0

    def tick(self, now_ns: int) -> bool:
        """Send again what the platform did not acknowledge in time.

        False when the broker itself owes a PUBACK for too long: the connection is worth nothing,
        and on a living one MQTT 5 forbids to send a PUBLISH again (4.4).
        """
        healthy = True
        for entry in self._entries.values():
            if entry.due_ns > now_ns:
                continue
            if entry.place is Place.TAKEN:
                self._move(entry, Place.WAITING)
            elif entry.place is Place.SENT:
                healthy = False
        return healthy

    def awaits(self, epoch: bytes, lane: str, seq: int) -> bool:
        """Whether an acknowledgement of a lane up to `seq` is of any use."""
        return any(i.epoch == epoch and i.lane == lane and i.seq <= seq for i in self._entries)

    def acknowledged(self, epoch: bytes, lane: str, seq: int) -> int:
        """Forget a lane's batches up to and with `seq`. Only for what the record has believed."""
        done = [i for i in self._entries if i.epoch == epoch and i.lane == lane and i.seq <= seq]
        return self._forget(done)

    def disowned(self, epoch: bytes, lane: str, seq: int) -> int:
        """As `acknowledged`, for batches that the running record does not know any more.

        A fire that left from the ring of a record that died before its disk had it: the platform
        has it, and there is nobody left to tell.
        """
        done = [
            i
            for i, e in self._entries.items()
            if not e.vouched and i.epoch == epoch and i.lane == lane and i.seq <= seq
        ]
        return self._forget(done)

    def _forget(self, ids: Iterable[BatchId]) -> int:
        count = 0
        for batch_id in ids:
            self._move(self._entries.pop(batch_id), Place.WAITING)
            count += 1
        return count

    def _drop_unvouched(self) -> bool:
        victims = [i for i, e in self._entries.items() if not e.vouched]
        # What the record has on its disk comes again from there; the rest only we have.
        victims.sort(key=lambda i: not self._entries[i].batch.durable)
        return self._forget(victims[:1]) == 1
