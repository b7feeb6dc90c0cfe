"""The window: slots, fire's own, identical resends, and that only the record's word forgets."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.courier.acks import covered
from agent.courier.backoff import Backoff
from agent.courier.window import Batch, BatchId, Offer, Place, Window
from config.limits import COURIER_ACK_WAIT_NS, S

EPOCH = b"epoch--1"


def batch(lane: str, seq: int, *, epoch: bytes = EPOCH, durable: bool = True) -> Batch:
    return Batch(BatchId(epoch, lane, seq), f"{lane}{seq}".encode(), durable)


def names(batches: list[Batch]) -> list[str]:
    return [f"{b.id.lane}{b.id.seq}" for b in batches]


def test_bulk_never_takes_the_slots_of_fire() -> None:
    window = Window(slots=4, fire_slots=2)
    for n in range(8):
        window.offer(batch("telemetry", n))
    assert names(window.due(0)) == [f"telemetry{n}" for n in range(4)]
    for n in range(3):
        assert window.offer(batch("fire", n)) is Offer.NEW
    assert names(window.due(0)) == ["fire0", "fire1"]
    window.broker_took(BatchId(EPOCH, "fire", 0), 0)
    assert names(window.due(0)) == ["fire2"]


def test_urgent_lanes_go_first_in_the_order_of_the_record() -> None:
    window = Window(slots=8, fire_slots=2)
    for lane in ("telemetry", "event", "epoch", "table", "fire"):
        window.offer(batch(lane, 0))
    assert names(window.due(0)) == ["epoch0", "table0", "fire0", "telemetry0", "event0"]


def test_puback_is_not_delivery_and_the_resend_has_identical_bytes() -> None:
    window = Window()
    first = batch("event", 0)
    window.offer(first)
    assert window.due(0) == [first]
    window.broker_took(first.id, 5)
    assert window.tick(5 + COURIER_ACK_WAIT_NS - 1)
    assert window.due(5 + COURIER_ACK_WAIT_NS - 1) == []
    assert window.tick(5 + COURIER_ACK_WAIT_NS)
    again = window.due(5 + COURIER_ACK_WAIT_NS)
    assert again[0].data is first.data
    assert window.acknowledged(EPOCH, "event", 0) == 1
    assert len(window) == 0


@pytest.mark.parametrize(
    ("lane", "seconds"), [("event", [10, 20, 40, 60, 60]), ("fire", [3, 6, 10, 10, 10])]
)
def test_resends_wait_longer_and_are_bounded(lane: str, seconds: list[int]) -> None:
    window = Window()
    window.offer(batch(lane, 0))
    now, waits = 0, []
    for _ in seconds:
        assert len(window.due(now)) == 1
        window.broker_took(BatchId(EPOCH, lane, 0), now)
        since = now
        while window._entries[BatchId(EPOCH, lane, 0)].place is not Place.WAITING:
            now += S
            assert window.tick(now)
        waits.append((now - since) // S)
    assert waits == seconds


def test_the_first_batch_that_finds_somebody_brings_the_others_along() -> None:
    window = Window()
    for n in range(3):
        window.offer(batch("event", n))
    window.offer(batch("fire", 0))
    window.due(0)
    for b in window:
        window.broker_took(b.id, 0, nobody=True)
    assert window.due(0) == []
    window.tick(3 * S)
    assert names(window.due(3 * S)) == ["fire0"]
    window.broker_took(BatchId(EPOCH, "fire", 0), 3 * S)
    assert names(window.due(3 * S)) == ["event0", "event1", "event2"]


def test_a_missing_puback_condemns_the_connection_not_the_batch() -> None:
    window = Window()
    window.offer(batch("event", 0))
    window.due(0)
    assert window.tick(COURIER_ACK_WAIT_NS - 1)
    assert not window.tick(COURIER_ACK_WAIT_NS)
    assert window.due(COURIER_ACK_WAIT_NS) == []  # never twice on one connection
    window.disconnected()
    assert names(window.due(COURIER_ACK_WAIT_NS)) == ["event0"]


def test_a_refused_publish_backs_off_and_stays() -> None:
    window = Window()
    window.offer(batch("event", 0))
    window.due(0)
    window.broker_refused(BatchId(EPOCH, "event", 0), 0)
    assert window.due(S - 1) == []
    assert names(window.due(S)) == ["event0"]
    window.broker_refused(BatchId(EPOCH, "event", 0), S)
    assert window.due(3 * S - 1) == []
    assert names(window.due(3 * S)) == ["event0"]


def test_acknowledgements_are_cumulative_by_lane_and_epoch() -> None:
    window = Window()
    for b in (
        batch("event", 0),
        batch("event", 1),
        batch("fire", 0),
        batch("event", 0, epoch=b"2"),
    ):
        window.offer(b)
    assert window.acknowledged(EPOCH, "event", 7) == 2
    assert sorted(names(list(window))) == ["event0", "fire0"]
    assert window.acknowledged(b"unknown!", "event", 7) == 0


def test_the_receive_maximum_of_the_broker_holds() -> None:
    window = Window(slots=16, fire_slots=3)
    window.limit_sent(5)
    for n in range(16):
        window.offer(batch("telemetry", n))
    assert len(window.due(0)) == 2
    for n in range(5):
        window.offer(batch("fire", n))
    assert names(window.due(0)) == ["fire0", "fire1", "fire2"]
    window.limit_sent(1)
    window.disconnected()
    assert len(window.due(0)) == 1
    assert window.due(0) == []


def test_a_fork_is_reported_and_the_running_records_word_is_kept() -> None:
    window = Window()
    window.offer(batch("event", 0))
    assert window.offer(batch("event", 0)) is Offer.KNOWN
    other = Batch(BatchId(EPOCH, "event", 0), b"other")
    assert window.offer(other) is Offer.FORKED
    assert list(window) == [other]


def test_a_record_that_forgot_a_fire_does_not_make_the_courier_forget() -> None:
    window = Window()
    fire = batch("fire", 0, durable=False)
    window.offer(fire)
    window.followed()
    assert names(window.due(0)) == ["fire0"]
    assert window.disowned(EPOCH, "event", 9) == 0
    assert window.disowned(EPOCH, "fire", 0) == 1


def test_what_the_record_vouches_for_only_its_belief_forgets() -> None:
    window = Window()
    window.offer(batch("fire", 0))
    assert window.disowned(EPOCH, "fire", 0) == 0
    window.followed()
    window.offer(batch("fire", 0))
    assert window.disowned(EPOCH, "fire", 0) == 0
    assert len(window) == 1


def test_a_full_window_gives_up_durable_leftovers_before_what_only_it_has() -> None:
    window = Window(slots=2, fire_slots=1)
    window.offer(batch("fire", 0, durable=False))
    window.offer(batch("event", 0))
    window.followed()
    for n in range(window.capacity - 2):
        assert window.offer(batch("telemetry", n)) is Offer.NEW
    assert window.offer(batch("telemetry", 9_000)) is Offer.NEW
    assert "event0" not in names(list(window))
    assert "fire0" in names(list(window))
    assert window.offer(batch("telemetry", 9_001)) is Offer.NEW
    assert window.offer(batch("telemetry", 9_002)) is Offer.FULL


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 25))
def test_any_history_delivers_everything_and_never_exceeds_a_limit(seed: int, limit: int) -> None:
    """A record that offers its window, a broker that takes, refuses, cuts; a platform that acks."""
    rng = random.Random(seed)
    window = Window(slots=4, fire_slots=2)
    window.limit_sent(limit)
    todo = [batch(rng.choice(["telemetry", "event", "fire"]), n) for n in range(30)]
    offered: dict[BatchId, Batch] = {}
    sent: set[BatchId] = set()
    taken: set[BatchId] = set()
    now = 0
    for _ in range(3_000):
        now += rng.randrange(2 * S)
        while todo and len(offered) < 6:
            b = todo.pop(0)
            offered[b.id] = b
            assert window.offer(b) is Offer.NEW
        for b in window.due(now):
            assert b.data == offered[b.id].data
            assert b.id not in sent
            sent.add(b.id)
        assert len(sent) <= min(limit, 6)
        assert len(window) == len(offered)
        match rng.randrange(6):
            case 0 if sent:
                i = rng.choice(sorted(sent, key=str))
                window.broker_refused(i, now)
                sent.discard(i)
            case 1:
                window.disconnected()
                sent.clear()
            case 2:
                if not window.tick(now):
                    window.disconnected()
                    sent.clear()
            case 3 if taken:
                i = rng.choice(sorted(taken, key=str))
                window.acknowledged(i.epoch, i.lane, i.seq)
                gone = [j for j in offered if j.lane == i.lane and j.seq <= i.seq]
                for j in gone:
                    del offered[j]
                    sent.discard(j)
                    taken.discard(j)
            case _ if sent:
                i = rng.choice(sorted(sent, key=str))
                window.broker_took(i, now)
                sent.discard(i)
                taken.add(i)
        if not todo and not offered:
            break
    assert not todo
    assert not offered


@given(st.integers())
def test_backoff_stays_within_its_bounds_and_starts_again(seed: int) -> None:
    backoff = Backoff(random.Random(seed), 1 * S, 60 * S)
    last = S
    for _ in range(50):
        wait = backoff.next_ns()
        assert S <= wait <= min(60 * S, 3 * last)
        last = wait
    backoff.reset()
    assert backoff.next_ns() <= 3 * S


def test_backoffs_of_two_gateways_differ() -> None:
    one, two = (Backoff(random.Random(n), S, 60 * S) for n in (1, 2))
    assert [one.next_ns() for _ in range(5)] != [two.next_ns() for _ in range(5)]


@given(st.binary(max_size=200))
def test_any_bytes_are_an_acknowledgement_or_nothing(data: bytes) -> None:
    assert covered(data) is None
    assert covered(b"\xd2" + data) is None
