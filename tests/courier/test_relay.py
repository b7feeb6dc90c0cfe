"""Between record and broker with a clock of the test's own: patience, resends, words, recovery."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest
from brokers import ack_message

from agent.courier.relay import Relay
from agent.ipc import IpcError, Refused
from config.limits import (
    BATCH_BYTES_MAX,
    COURIER_ACK_WAIT_NS,
    COURIER_ACKS_PENDING_MAX,
    COURIER_PROGRESS_NS,
    MQTT_ACK_BYTES_MAX,
    S,
)

EPOCH = b"12345678"


@dataclass
class Wire:
    """What a connection to a broker looks like from here: it keeps what is published."""

    is_up: bool = True
    writable: bool = True
    receive_max: int = 65_535
    packet_max: int = 1 << 28
    refused: dict[str, str] = field(default_factory=dict)
    sent: list[tuple[str, bytes]] = field(default_factory=list)
    once: list[tuple[str, bytes]] = field(default_factory=list)

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None:
        self.sent.append((topic, payload))
        return len(self.sent)

    def takes(self, topic: str, payload: bytes) -> bool:
        return len(payload) < self.packet_max

    def publish_once(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        self.once.append((topic, payload))


@dataclass
class RecordEnd:
    """The record's answers, in order: a reply, or what it refuses or breaks with."""

    answers: list[Exception | None] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    async def call(self, verb: str, **args: Any) -> dict[str, Any]:
        self.heard.append(args["message"])
        answer = self.answers.pop(0) if self.answers else None
        if answer is not None:
            raise answer
        return {"advanced": 1}

    def send(self, verb: str, **args: Any) -> bool:
        return True


class World:
    def __init__(self) -> None:
        self.now_ns = 0
        self.drops: list[str] = []
        self.progressed = 0
        self.resyncs = 0
        self.record = RecordEnd()
        self.relay = Relay(
            "g", lambda: self.now_ns, drop=self._drop, progress=self._progress, resync=self._resync
        )
        self.relay.record = self.record
        self.wire = Wire()

    def _drop(self, why: str) -> None:
        self.drops.append(why)
        self.relay.link_down(why)

    def _progress(self) -> None:
        self.progressed += 1

    def _resync(self) -> None:
        self.resyncs += 1

    def connect(self) -> Wire:
        self.wire = Wire()
        self.relay.link_up(self.wire)
        return self.wire

    def offer(self, lane: str, seq: int, data: bytes = b"data") -> None:
        self.relay.on_record_event(
            {"e": "batch", "epoch": EPOCH, "lane": lane, "seq": seq, "bytes": data, "durable": True}
        )

    def take_all(self) -> None:
        for mid in range(1, len(self.wire.sent) + 1):
            self.relay.on_puback(mid, 0)

    def acks(self, *messages: bytes) -> None:
        """Acknowledgements arrive and are handed on until none waits."""

        async def hand_on() -> None:
            for message in messages:
                self.relay.on_message("embergate/1/g/down/ack", message)
            task = asyncio.ensure_future(self.relay.forward_acks())
            for _ in range(3 * len(messages) + 3):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

        asyncio.run(hand_on())

    def pass_time(self, seconds: int, *, broker_takes: bool = False) -> None:
        for _ in range(seconds):
            if broker_takes:
                self.take_all()
            self.now_ns += S
            self.relay.tick()


def test_silence_of_the_platform_is_told_and_the_connection_made_anew() -> None:
    w = World()
    w.connect()
    w.offer("event", 0)
    w.pass_time(COURIER_PROGRESS_NS // S - 1, broker_takes=True)
    assert w.relay.state() == (True, "")
    w.pass_time(1, broker_takes=True)
    assert w.relay.state() == (False, "no acknowledgement from the platform for 45 s")
    assert w.drops == []
    w.pass_time(COURIER_PROGRESS_NS // S, broker_takes=True)
    assert w.drops == ["no acknowledgement from the platform"]
    w.connect()
    assert not w.relay.state()[0], "a new connection alone is no progress"
    w.acks(ack_message("event", 0))
    assert w.relay.state() == (True, "")
    assert w.progressed == 1


def test_a_heartbeat_goes_out_at_once_or_never_and_waits_for_nothing() -> None:
    w = World()
    w.relay.on_record_event({"e": "heartbeat", "bytes": b"too early"})
    w.connect()
    w.relay.on_record_event({"e": "heartbeat", "bytes": b"beat"})
    w.relay.on_record_event({"e": "heartbeat", "bytes": "no bytes"})
    assert w.wire.once == [("embergate/1/g/up/heartbeat", b"beat")]
    assert (w.wire.sent, len(w.relay.window)) == ([], 0)
    w.pass_time(2 * COURIER_PROGRESS_NS // S)
    assert w.relay.state() == (True, ""), "nobody owes an acknowledgement for it"


def test_patience_starts_when_there_is_something_to_say() -> None:
    w = World()
    w.connect()
    w.pass_time(1_000)
    assert w.drops == []
    w.offer("event", 0)
    assert w.relay.state() == (True, "")


def test_a_broker_that_owes_a_puback_is_left() -> None:
    w = World()
    w.connect()
    w.offer("fire", 0)
    w.pass_time(COURIER_ACK_WAIT_NS // S)
    assert w.drops == ["the broker does not confirm what it is sent"]
    assert w.connect().sent == [("embergate/1/g/up/fire", b"data")]


def test_a_later_epoch_than_the_record_has_reaches_it_and_a_flood_of_them_does_not() -> None:
    w = World()
    w.connect()
    w.record.answers = [Refused("rolled_back", "")]
    w.acks(*(ack_message("epoch", n, b"another!") for n in range(20)))
    assert len(w.record.heard) == 1
    assert w.relay.state() == (True, "an acknowledgement was refused by the record: rolled_back")
    w.now_ns += S
    w.acks(ack_message("epoch", 9, b"another!"), ack_message("event", 9, b"another!"))
    assert w.record.heard[1:] == [ack_message("epoch", 9, b"another!")]


@pytest.mark.parametrize("code", ["stale", "unknown_batch"])
def test_an_acknowledgement_whose_reply_was_lost_does_not_go_out_for_ever(code: str) -> None:
    w = World()
    w.connect()
    w.offer("event", 0)
    w.record.answers = [TimeoutError(), Refused(code, "")]
    w.acks(ack_message("event", 0))
    assert len(w.relay.window) == 1
    w.acks(ack_message("event", 0))
    assert len(w.relay.window) == 0


@pytest.mark.parametrize("code", ["forged", "unknown_key", "malformed", "unknown", "future"])
def test_no_other_refusal_forgets_what_the_record_vouches_for(code: str) -> None:
    w = World()
    w.connect()
    w.offer("event", 0)
    w.record.answers = [Refused(code, ""), IpcError("gone")]
    w.acks(ack_message("event", 0), ack_message("event", 0))
    assert len(w.relay.window) == 1
    assert w.progressed == 0
    assert w.relay.state() == (True, f"an acknowledgement was refused by the record: {code}")


def test_a_batch_that_finds_no_room_makes_the_record_be_followed_anew() -> None:
    w = World()
    for n in range(w.relay.window.capacity):
        w.offer("event", n)
    assert w.resyncs == 0
    w.offer("fire", 0)
    assert w.resyncs == 1
    w.relay.window.followed()
    w.offer("fire", 0)
    assert w.resyncs == 1
    assert w.connect().sent[0] == ("embergate/1/g/up/fire", b"data")


def test_only_fire_goes_on_while_the_network_takes_nothing() -> None:
    w = World()
    wire = w.connect()
    wire.writable = False
    w.offer("telemetry", 0)
    w.offer("fire", 0)
    assert [topic for topic, _ in wire.sent] == ["embergate/1/g/up/fire"]
    wire.writable = True
    w.relay.pump()
    assert len(wire.sent) == 2


def test_a_flood_of_acknowledgements_is_bounded_and_foreign_ones_are_ignored() -> None:
    w = World()
    w.relay.on_message("embergate/1/other/down/ack", b"x")
    w.relay.on_message("embergate/1/g/down/ack", bytes(MQTT_ACK_BYTES_MAX + 1))
    w.acks(*[b"%d" % n for n in range(3 * COURIER_ACKS_PENDING_MAX)])
    last = 3 * COURIER_ACKS_PENDING_MAX
    assert w.record.heard == [b"%d" % n for n in range(last - COURIER_ACKS_PENDING_MAX, last)]


def test_what_is_said_again_and_again_does_not_hide_what_is_new() -> None:
    w = World()
    w.connect()
    for seq in range(3):
        w.offer("event", seq)
    w.take_all()
    flood = [ack_message("event", 0)] * COURIER_ACKS_PENDING_MAX
    w.acks(*flood, ack_message("event", 2))
    assert len(w.record.heard) == 2, "the first of its kind, and what came after the flood"
    assert len(w.relay.window) == 0


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 7}, {"lane": b"event"}, {"lane": "a/#"}, {"lane": ""}, {"seq": "1"},
        {"bytes": "text"}, {"durable": None},
        {"bytes": bytes(BATCH_BYTES_MAX + 1)}, {"e": "other"}, {"e": None},
    ],
)  # fmt: skip
def test_what_is_no_batch_is_not_taken(change: dict[str, Any]) -> None:
    w = World()
    good = {"e": "batch", "epoch": EPOCH, "lane": "event", "seq": 0, "bytes": b"", "durable": True}
    w.relay.on_record_event({**good, **change})
    assert len(w.relay.window) == 0
    w.relay.on_record_event(good)
    assert len(w.relay.window) == 1


def test_the_courier_is_lean() -> None:
    heavy = ("numpy", "cryptography", "sqlite3", "sqlite_utils", "pydantic", "typer", "yaml")
    code = f"import sys, agent.courier.main; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() == "[]"
