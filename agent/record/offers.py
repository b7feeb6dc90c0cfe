"""What a courier is offered, and what its acknowledgements move.

The window is the record's: so many batches under way, some of it closed to bulk, and slots that
only fire may use. Epochs go first, since nothing can be verified without them, then fire. The
open epoch goes before older ones, so live data flow while a backlog drains. The window widens by
one for each batch that the platform acknowledges, and is narrow again when it falls silent: a
backlog leaves as fast as it is taken, and a platform that is overrun is not given more.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Protocol

from agent.record.again import Again, Fetch
from agent.record.ring import Ring
from agent.record.sealer import Number
from agent.record.shelf import Shelf
from agent.record.store import Row
from agent.record.survey import Place
from agent.uplink.batch import hash_of
from config.limits import (
    COURIER_ACK_WAIT_NS,
    COURIER_BULK_WINDOW,
    COURIER_FIRE_WINDOW,
    COURIER_FLIGHT_BYTES_MAX,
    COURIER_UNSENT_BYTES_MAX,
    COURIER_WINDOW,
    COURIER_WINDOW_MAX,
    OFFER_WAIT_NS,
)
from config.words import Lane

Stream = tuple[str, int]
"""(lane, ordinal of the epoch)."""

_BULK = (Lane.TELEMETRY, Lane.SUMMARY)
_AT_ONCE = (Lane.EPOCH, Lane.FIRE)
_UNSIGNED = (Lane.FIRE, Lane.EVENT)
"""What a destination without signatures is told: it cannot check a chain, nor read columns."""
_ORDER = (Lane.EPOCH, Lane.FIRE, Lane.TABLE, Lane.EVENT, Lane.SUMMARY, Lane.TELEMETRY)


class Outlet(Protocol):
    """The courier's end of the socket."""

    def send(self, message: dict[str, Any]) -> bool: ...
    @property
    def unsent_bytes(self) -> int: ...


class Flight:
    """What is under way: the hash of each batch, counted by kind so that nothing is searched."""

    def __init__(self) -> None:
        self._batches: dict[Number, tuple[bytes, int]] = {}
        self.fire = self.bulk = self.bytes = self.fire_bytes = 0

    def __len__(self) -> int:
        return len(self._batches)

    def hash(self, number: Number) -> bytes | None:
        """The hash of a batch, None when it is not under way."""
        found = self._batches.get(number)
        return None if found is None else found[0]

    def add(self, number: Number, digest: bytes, size: int) -> None:
        """A batch left."""
        self._batches[number] = (digest, size)
        self._count(number.lane, 1, size)

    def landed(self, which: Callable[[Number], bool]) -> int:
        """Nobody waits for these any more; how many there were."""
        done = [number for number in self._batches if which(number)]
        for number in done:
            _, size = self._batches.pop(number)
            self._count(number.lane, -1, -size)
        return len(done)

    def _count(self, lane: str, one: int, size: int) -> None:
        self.bytes += size
        if lane == Lane.FIRE:
            self.fire += one
            self.fire_bytes += size
        self.bulk += one * (lane in _BULK)


class Courier:
    """One destination: its places, and its window while it follows.

    unsigned: nothing that its destination says is signed, so the courier's own word moves its
    place (`delivered`); no other place, and nothing is ever removed for it. A destination that is
    new begins with the open epoch: a monitoring centre is not to hear of last year's fires.
    """

    def __init__(
        self, name: str, shelf: Shelf, ring: Ring, places: Iterable[Place], *,
        unsigned: bool = False,
    ) -> None:  # fmt: skip
        self.name = name
        self.unsigned = unsigned
        self.connected = False
        self.disabled = False  # by an operator: fires and events stay here (agent.record.routing)
        self.text = "has not come yet"
        self._shelf = shelf
        self._ring = ring
        self._acked: dict[Stream, int] = {(p[1], p[2]): p[3] for p in places if p[0] == name}
        self._dirty: set[Stream] = set()
        self._outlet: Outlet | None = None
        self._sent: dict[Stream, int] = {}
        self._flight = Flight()
        self._width = COURIER_WINDOW
        self._heard_ns = 0  # when the platform last acknowledged, or had nothing to say
        self._read: dict[Stream, deque[Row]] = {}
        self._reading: set[Stream] = set()
        self.again = Again()
        self._past: list[Stream] = []  # of earlier epochs, and not acknowledged yet
        if unsigned and not self._acked:
            self._begin_now()

    def _begin_now(self) -> None:
        for lane in _UNSIGNED:
            for ordinal in self._shelf.ordinals(lane):
                ends = self._shelf.ends(lane, ordinal)
                if ends is not None and ordinal != self._shelf.now:
                    self._acked[lane, ordinal] = ends[1]
            self._acked.setdefault((lane, self._shelf.now), -1)
        self._dirty.update(self._acked)

    def _lanes(self) -> list[str]:
        known = self._shelf.lanes()
        return [lane for lane in known if lane in _UNSIGNED] if self.unsigned else known

    # --- offering -----------------------------------------------------------------------------

    def follow(self, outlet: Outlet) -> None:
        """A courier connected: it is offered everything from its acknowledged places on."""
        self.leave()
        self._outlet = outlet
        self._past = [
            (lane, ordinal)
            for lane in self._lanes()
            for ordinal in self._shelf.ordinals(lane)
            if ordinal != self._shelf.now
        ]

    def leave(self, outlet: Outlet | None = None) -> None:
        """The courier's connection is gone (or `outlet` is, unless a newer one took its place)."""
        if outlet is not None and outlet is not self._outlet:
            return
        self._outlet = None
        self._sent.clear()
        self._flight = Flight()
        self._width = COURIER_WINDOW
        self._read.clear()

    @property
    def follows(self) -> bool:
        """Whether somebody is there."""
        return self._outlet is not None

    def pump(self, now_ns: int, fetch: Fetch) -> None:
        """Offer what the window has room for."""
        outlet = self._outlet
        if outlet is None:
            return
        if not len(self._flight) or self._heard_ns < 0:
            self._heard_ns = now_ns
        elif now_ns - self._heard_ns >= COURIER_ACK_WAIT_NS:
            self._width = COURIER_WINDOW
        for stream in self._streams():
            lane = stream[0]
            if self.disabled and lane in _UNSIGNED:
                continue
            while self._outlet is outlet and self._room(lane):
                if outlet.unsent_bytes > COURIER_UNSENT_BYTES_MAX:
                    return
                found = self._next(stream, now_ns, fetch)
                if found is None:
                    break
                number, data, own_hash, durable = found
                self._sent[stream] = number.seq
                self._flight.add(number, own_hash, len(data))
                message = {
                    "e": "batch",
                    "epoch": self._shelf.epoch(number.ordinal),
                    "lane": str(number.lane),
                    "seq": number.seq,
                    "bytes": data,
                    "durable": durable,
                }
                if not outlet.send(message):
                    self.leave(outlet)
                    return
        self._pump_again(outlet, fetch)

    def _pump_again(self, outlet: Outlet, fetch: Fetch) -> None:
        """What the platform asked for once more, in the slots that bulk may use."""
        while self._outlet is outlet and self._room(Lane.TELEMETRY):
            if outlet.unsent_bytes > COURIER_UNSENT_BYTES_MAX:
                return
            row = self.again.next(fetch)
            if row is None:
                return
            number = Number(row.lane, row.ordinal, row.seq)
            message = {
                "e": "batch",
                "epoch": self._shelf.epoch(row.ordinal),
                "lane": row.lane,
                "seq": row.seq,
                "bytes": row.data,
                "durable": True,
            }
            if not outlet.send(message):
                self.again.back(row)
                self.leave(outlet)
                return
            self._flight.add(number, hash_of(row.data), len(row.data))

    def tell(self, message: dict[str, Any], *, keeps: bool = False) -> None:
        """Say something that is not a batch: lost when nobody is there, or connected.

        keeps: the courier keeps it until its destination is reached.
        """
        outlet = self._outlet
        if outlet is None or outlet.unsent_bytes > COURIER_UNSENT_BYTES_MAX:
            return
        if not self.connected and not keeps:
            return
        if not outlet.send(message):
            self.leave(outlet)

    def _streams(self) -> Iterator[Stream]:
        """In the order in which they are offered."""
        now = self._shelf.now
        self._past = [stream for stream in self._past if self._unfinished(stream)]
        if self.unsigned:
            for own in _UNSIGNED:
                yield from (stream for stream in self._past if stream[0] == own)
                yield (own, now)
            return
        yield (Lane.EPOCH, now)
        yield (Lane.FIRE, now)
        for lane in (*_ORDER, *(name for name in self._shelf.lanes() if name not in _ORDER)):
            yield (lane, now)
            for stream in self._past:
                if stream[0] == lane:
                    yield (Lane.EPOCH, stream[1])  # nothing is verified without its epoch
                    yield stream

    def _unfinished(self, stream: Stream) -> bool:
        ends = self._shelf.ends(*stream)
        return ends is not None and self._acked.get(stream, -1) < ends[1]

    def _room(self, lane: str) -> bool:
        flight = self._flight
        if lane == Lane.FIRE and flight.fire < COURIER_FIRE_WINDOW:
            return True
        if self.unsigned:
            # A centre may refuse some fires, or take minutes for a batch: the next one does not
            # wait; nor do they take what events have, however many there are.
            if lane == Lane.FIRE:
                return (
                    flight.fire < COURIER_WINDOW_MAX
                    and flight.fire_bytes < COURIER_FLIGHT_BYTES_MAX
                )
            left = flight.bytes - flight.fire_bytes < COURIER_FLIGHT_BYTES_MAX
            return left and len(flight) - flight.fire < self._width
        others = len(flight) - min(flight.fire, COURIER_FIRE_WINDOW)
        if others >= self._width or flight.bytes >= COURIER_FLIGHT_BYTES_MAX:
            return False
        bulk_max = self._width * COURIER_BULK_WINDOW // COURIER_WINDOW
        return lane not in _BULK or flight.bulk < bulk_max

    def _next(
        self, stream: Stream, now_ns: int, fetch: Fetch
    ) -> tuple[Number, bytes, bytes, bool] | None:
        lane, ordinal = stream
        ends = self._shelf.ends(lane, ordinal)
        if ends is None:
            return None
        seq = max(self._acked.get(stream, -1) + 1, self._sent.get(stream, -1) + 1, ends[0])
        if seq > ends[1]:
            return None
        entry = self._ring.get(Number(lane, ordinal, seq))
        if entry is not None:
            waited = now_ns - entry.sealed_ns >= OFFER_WAIT_NS
            if not (entry.durable or waited or lane in _AT_ONCE):
                return None
            return entry.sealed.number, entry.sealed.data, entry.sealed.hash, entry.durable
        rows = self._read.get(stream)
        while rows and rows[0].seq < seq:
            rows.popleft()
        if rows and rows[0].seq == seq:
            data = rows.popleft().data
            return Number(lane, ordinal, seq), data, hash_of(data), True
        if stream not in self._reading:
            self._reading.add(stream)
            fetch(stream, seq - 1, partial(self._fetched, stream))
        return None

    def _fetched(self, stream: Stream, rows: list[Row] | None) -> None:
        """The store's answer; None when it did not answer: asked again at the next occasion."""
        self._reading.discard(stream)
        if rows is not None and self._outlet is not None:
            self._read[stream] = deque(rows)

    # --- acknowledgements ---------------------------------------------------------------------

    def flight_hash(self, number: Number) -> bytes | None:
        """The hash of a batch that is under way."""
        return self._flight.hash(number)

    def offered(self, stream: Stream) -> int:
        """Up to which number a stream was offered since the courier follows, -1 for none."""
        return self._sent.get(stream, -1)

    def acked(self, stream: Stream) -> int:
        """Up to which number a stream is acknowledged, -1 for none."""
        return self._acked.get(stream, -1)

    def seen_again(self, number: Number) -> None:
        """What was sent once more is held at the other end."""
        stream = (number.lane, number.ordinal)
        last = min(number.seq, self._acked.get(stream, -1))
        self._flight.landed(lambda n: (n.lane, n.ordinal) == stream and n.seq <= last)

    def acknowledged(self, number: Number) -> int:
        """Everything of the stream up to this batch is held at the other end; how many that is."""
        stream = (number.lane, number.ordinal)
        before = self._acked.get(stream, -1)
        if number.seq <= before:
            return 0
        ends = self._shelf.ends(*stream)
        self._acked[stream] = number.seq
        self._dirty.add(stream)
        done = self._flight.landed(lambda n: (n.lane, n.ordinal) == stream and n.seq <= number.seq)
        if not self.unsigned:
            self._width = min(COURIER_WINDOW_MAX, self._width + done)
        self._heard_ns = -1  # now; the next look knows the time
        first = max(before + 1, ends[0] if ends else 0)
        return max(1, number.seq - first + 1)

    def evicted(self, lane: str, ordinal: int, seq: int) -> None:
        """Batches are gone: nobody waits for their acknowledgement any more."""
        self._flight.landed(lambda n: n.lane == lane and (n.ordinal, n.seq) <= (ordinal, seq))

    def dirty_places(self) -> list[Place]:
        """Places that moved since they were last taken.

        A batch that was acknowledged before it is on disk waits with its place: without power it
        is gone, and a place beyond the end of a lane says that somebody cut it off.
        """
        out: list[Place] = []
        for stream in list(self._dirty):
            entry = self._ring.get(Number(*stream, self._acked[stream]))
            if entry is None or entry.durable:
                out.append((self.name, str(stream[0]), stream[1], self._acked[stream]))
                self._dirty.discard(stream)
        return out

    def fires(self) -> int:
        """Batches of fire that the destination has not acknowledged, of whatever epoch."""
        waiting = 0
        for ordinal in self._shelf.ordinals(Lane.FIRE):
            first, last = self._shelf.ends(Lane.FIRE, ordinal) or (0, -1)
            waiting += max(0, last - max(first - 1, self._acked.get((Lane.FIRE, ordinal), -1)))
        return waiting

    def status(self) -> dict[str, Any]:
        """For `embergate status`. waiting: batches that are not acknowledged yet."""
        waiting = 0
        for lane in self._lanes():
            for ordinal in self._shelf.ordinals(lane):
                first, last = self._shelf.ends(lane, ordinal) or (0, -1)
                waiting += max(0, last - max(first - 1, self._acked.get((lane, ordinal), -1)))
        return {
            "name": self.name,
            "following": self.follows,
            "connected": self.connected,
            "disabled": self.disabled,
            "text": self.text,
            "waiting": waiting,
            "under_way": len(self._flight),
        }
