"""The window of a courier: wider with what the platform takes, narrow when it is silent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.record.offers import Courier, Flight, Stream
from agent.record.ring import Entry, Ring
from agent.record.sealer import EpochPlace, Number, Sealed
from agent.record.shelf import Shelf
from agent.record.store import Row
from config.limits import (
    COURIER_ACK_WAIT_NS,
    COURIER_FIRE_WINDOW,
    COURIER_FLIGHT_BYTES_MAX,
    COURIER_UNSENT_BYTES_MAX,
    COURIER_WINDOW,
    COURIER_WINDOW_MAX,
    OFFER_WAIT_NS,
)
from config.words import Lane


class Socket:
    """The courier's end of the record's socket."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.unsent_bytes = 0
        self.keeps = 0  # of each message, not taken by the other end
        self.refuse_after = 10**9

    def send(self, message: dict[str, Any]) -> bool:
        if len(self.messages) >= self.refuse_after:
            return False
        self.messages.append(message)
        self.unsent_bytes += self.keeps
        return True


def backlog(count: int, size: int, *, unsigned: bool = False) -> tuple[Courier, Socket]:
    place = EpochPlace(0, b"epoch--0", bytes(32))
    shelf, ring = Shelf([place], [], 0), Ring()
    for seq in range(count):
        number = Number(Lane.EVENT, 0, seq)
        entry = Entry(Sealed(number, b"epoch--0", bytes(size), seq.to_bytes(32, "big"), 0), 0)
        ring.add(entry)
        shelf.added(number)
        entry.durable = True
    courier, socket = Courier("platform", shelf, ring, [], unsigned=unsigned), Socket()
    courier.follow(socket)
    return courier, socket


def no_store(_stream: Stream, _after: int, _done: object) -> None:
    raise AssertionError("everything is in memory")


def under_way(socket: Socket, acked: int) -> int:
    return len(socket.messages) - acked


def test_a_backlog_leaves_ever_faster_and_never_more_than_the_widest_window() -> None:
    courier, socket = backlog(3_000, 10)
    courier.pump(0, no_store)
    assert under_way(socket, 0) == COURIER_WINDOW
    acked, seen = 0, []
    while acked < 3_000:
        acked = len(socket.messages)
        courier.acknowledged(Number(Lane.EVENT, 0, acked - 1))
        courier.pump(acked, no_store)
        seen.append(under_way(socket, acked))
    assert seen[:4] == [32, 64, 128, 256]
    assert max(seen) == COURIER_WINDOW_MAX
    assert [m["seq"] for m in socket.messages] == list(range(3_000))


def test_a_platform_that_falls_silent_is_not_given_more() -> None:
    courier, socket = backlog(1_000, 10)
    courier.pump(0, no_store)
    for acked in (16, 48, 112):
        courier.acknowledged(Number(Lane.EVENT, 0, acked - 1))
        courier.pump(1, no_store)
    assert under_way(socket, 112) == 128
    courier.pump(COURIER_ACK_WAIT_NS + 1, no_store)
    courier.acknowledged(Number(Lane.EVENT, 0, 229))
    courier.pump(COURIER_ACK_WAIT_NS + 2, no_store)
    assert under_way(socket, 230) == COURIER_WINDOW + 118 < 2 * 128


def test_large_batches_are_bounded_by_their_bytes() -> None:
    size = COURIER_FLIGHT_BYTES_MAX // 8
    courier, socket = backlog(100, size)
    courier.pump(0, no_store)
    assert under_way(socket, 0) == 8
    courier.acknowledged(Number(Lane.EVENT, 0, 7))
    courier.pump(1, no_store)
    assert under_way(socket, 8) == 8


def test_what_is_asked_for_again_leaves_once_and_whole_whatever_has_no_room() -> None:
    courier, socket = backlog(8, 10)
    courier.acknowledged(Number(Lane.EVENT, 0, 7))
    rows = [Row(seq, Lane.EVENT, 0, seq, 0, bytes([seq])) for seq in range(8)]

    def store(_stream: Stream, after: int, take: Callable[[list[Row] | None], None]) -> None:
        take(rows[after + 1 :])

    assert courier.again.ask((Lane.EVENT, 0), 2, 6)
    socket.keeps = COURIER_UNSENT_BYTES_MAX + 1
    for now_ns in range(3):
        courier.pump(now_ns, store)
    assert [m["seq"] for m in socket.messages] == [2], "there was room for one"
    socket.unsent_bytes = socket.keeps = 0
    socket.refuse_after = 2
    courier.pump(4, store)
    assert [m["seq"] for m in socket.messages] == [2, 3]
    assert not courier.follows, "it hung up at the third"
    another = Socket()
    courier.follow(another)
    for now_ns in range(6, 12):
        courier.pump(now_ns, store)
    assert [m["seq"] for m in another.messages] == [4, 5, 6]
    assert [m["bytes"] for m in another.messages] == [b"\4", b"\5", b"\6"]


def test_fires_that_a_centre_does_not_take_hold_up_no_other_fire() -> None:
    place = EpochPlace(0, b"epoch--0", bytes(32))
    shelf, ring = Shelf([place], [], 0), Ring()

    def add(lane: str, seq: int) -> None:
        number = Number(lane, 0, seq)
        entry = Entry(Sealed(number, b"epoch--0", b"x", seq.to_bytes(32, "big"), 0), 0)
        ring.add(entry)
        shelf.added(number)
        entry.durable = True

    for seq in range(40):
        add(Lane.EVENT, seq)
    for unsigned, most in ((True, 20), (False, COURIER_FIRE_WINDOW)):
        courier, socket = Courier("city", shelf, ring, [], unsigned=unsigned), Socket()
        courier.follow(socket)
        courier.pump(0, no_store)
        for seq in range(20 if unsigned else 0):
            add(Lane.FIRE, seq)
        courier.pump(1, no_store)
        lanes = [m["lane"] for m in socket.messages]
        assert lanes.count(Lane.EVENT) <= COURIER_WINDOW
        assert lanes.count(Lane.FIRE) >= most, "however many wait to be confirmed"


def test_a_flood_of_fires_leaves_events_their_slots_and_memory_its_bounds() -> None:
    place = EpochPlace(0, b"epoch--0", bytes(32))
    shelf, ring = Shelf([place], [], 0), Ring()
    size = COURIER_FLIGHT_BYTES_MAX // 64
    for lane, count in ((Lane.FIRE, 1_000), (Lane.EVENT, 40)):
        for seq in range(count):
            number = Number(lane, 0, seq)
            data = bytes(size) if lane == Lane.FIRE else b"x"
            ring.add(Entry(Sealed(number, b"epoch--0", data, seq.to_bytes(32, "big"), 0), 0))
            shelf.added(number)
    courier, socket = Courier("city", shelf, ring, [], unsigned=True), Socket()
    courier.follow(socket)
    for taken in range(100):  # the centre confirms one fire after the other, and they never end
        courier.pump(10 * OFFER_WAIT_NS + taken, no_store)
        under_way = [m["lane"] for m in socket.messages].count(Lane.FIRE) - taken
        assert COURIER_FIRE_WINDOW <= under_way <= 64
        courier.acknowledged(Number(Lane.FIRE, 0, taken))
    assert [m["lane"] for m in socket.messages].count(Lane.EVENT) == COURIER_WINDOW


def test_a_destination_without_signatures_keeps_its_narrow_window() -> None:
    courier, socket = backlog(200, 10, unsigned=True)
    courier._acked.clear()
    courier.pump(0, no_store)
    courier.acknowledged(Number(Lane.EVENT, 0, 15))
    courier.pump(1, no_store)
    assert under_way(socket, 16) == COURIER_WINDOW


def test_counts_of_what_is_under_way_return_to_nothing() -> None:
    flight = Flight()
    for n in range(30):
        lane = (Lane.FIRE, Lane.TELEMETRY, Lane.EVENT)[n % 3]
        flight.add(Number(lane, 0, n), bytes(32), 7)
    assert (flight.fire, flight.bulk, flight.bytes, len(flight)) == (10, 10, 210, 30)
    fires: Callable[[Number], bool] = lambda n: n.lane == Lane.FIRE  # noqa: E731 -- a word for it
    assert flight.landed(fires) == 10 > COURIER_FIRE_WINDOW
    assert flight.landed(lambda n: True) == 20
    assert (flight.fire, flight.bulk, flight.bytes, len(flight)) == (0, 0, 0, 0)
