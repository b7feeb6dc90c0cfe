"""The courier process between a record and a real broker: each goes and comes, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import cbor2
import pytest
from amqtt.broker import Broker
from brokers import (
    GATEWAY,
    CourierProcess,
    Mosquitto,
    Peer,
    RecordPeer,
    Script,
    ack_message,
    free_port,
    mosquitto,
    refuse,
    short_dir,
    until,
    write_plan,
)

from agent.courier.broker import address
from agent.courier.main import main
from agent.courier.mqtt import Dial, Link, LinkError, Listener, connect

EPOCH = b"12345678"


class Platform:
    """Whoever reads the gateway's up topics. Answers with acknowledgements when told to."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.batches: list[tuple[str, bytes]] = []
        self.link_hints: list[bytes] = []
        self.answer: Callable[[str, bytes], bytes | None] = lambda _lane, _data: None
        self._link: Link | None = None

    async def start(self) -> None:
        listener = Listener(self._message, lambda *_: None, lambda: None, lambda _: None)
        where = address({"url": f"mqtt://127.0.0.1:{self.port}", "insecure": True})
        dial = Dial(where, f"platform-{os.getpid()}", ("embergate/1/+/up/#",), 2_000_000)
        for _ in range(100):  # a broker that was just started may not yet be listening
            with contextlib.suppress(LinkError):
                self._link = await connect(dial, listener)
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the platform cannot reach the broker")

    def say(self, message: bytes) -> None:
        assert self._link
        self._link.publish(f"embergate/1/{GATEWAY}/down/ack", message)

    def seen(self, lane: str) -> list[bytes]:
        return [data for at, data in self.batches if at == lane]

    def stop(self) -> None:
        if self._link is not None:
            self._link.close()

    def _message(self, topic: str, payload: bytes) -> None:
        lane = topic.rpartition("/")[2]
        if lane == "link":
            self.link_hints.append(payload)
            return
        self.batches.append((lane, payload))
        answer = self.answer(lane, payload)
        if answer is not None:
            self.say(answer)


class World:
    """A record, a broker, a platform, and one courier process."""

    def __init__(self, directory: Path, broker: Mosquitto) -> None:
        self.broker = broker
        self.record = RecordPeer(directory / "record.sock")
        self.platform = Platform(broker.port)
        url = f"mqtt://127.0.0.1:{broker.port}"
        self.courier = CourierProcess(directory, {"url": url, "insecure": "trusted-network"})

    def said(self, connected: bool, text: str = "") -> bool:
        return any(c == connected and text in t for c, t in self.record.states)


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    with short_dir() as directory:
        async with mosquitto(directory) as broker:
            w = World(directory, broker)
            await w.record.start()
            await w.platform.start()
            try:
                yield w
            finally:
                w.courier.stop()
                w.platform.stop()
                await w.record.stop()


def run(test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        async with world() as w:
            await test(w)

    asyncio.run(inside())


def number_of(data: bytes) -> int:
    return int(data.split(b"-")[1])


def acknowledge_all(lane: str, data: bytes) -> bytes:
    return ack_message(lane, number_of(data))


def test_batches_reach_the_platform_and_its_word_reaches_the_record() -> None:
    async def scene(w: World) -> None:
        w.platform.answer = acknowledge_all
        w.courier.start()
        w.record.offer("event", 0, b"event-0-")
        w.record.offer("fire", 0, b"fire-0-" + bytes(100_000))
        await until(lambda: len(w.record.acks) == 2, "both acknowledgements")
        assert set(w.record.acks) == {ack_message("event", 0), ack_message("fire", 0)}
        assert w.platform.seen("fire") == [b"fire-0-" + bytes(100_000)]
        await until(lambda: w.said(True), "the state")
        rss_kb = _rss_kb(w.courier.pid)
        assert rss_kb < 45_000, rss_kb
        assert w.courier.stop() == 0
        await until(lambda: w.platform.link_hints[-1:] == [b"offline"], "the goodbye")
        assert w.platform.link_hints == [b"online", b"offline"]

    run(scene)


def test_a_killed_courier_loses_nothing_and_sends_the_same_bytes() -> None:
    async def scene(w: World) -> None:
        for n in range(5):
            w.record.offer("event", n, b"event-%d-" % n + os.urandom(50))
        w.courier.start()
        await until(lambda: len(w.platform.seen("event")) == 5, "all batches")
        w.courier.kill()
        await until(lambda: w.platform.link_hints[-1:] == [b"offline"], "the broker's will")
        w.platform.answer = acknowledge_all
        w.courier.start()
        await until(lambda: len(w.record.acks) == 5, "all acknowledgements")
        sent = w.platform.seen("event")
        assert sent[5:] == sent[:5] == [b["bytes"] for b in w.record.batches]

    run(scene)


def test_a_broker_that_goes_and_comes_loses_nothing() -> None:
    async def scene(w: World) -> None:
        w.courier.start()
        w.record.offer("event", 0, b"event-0-a")
        await until(lambda: len(w.platform.seen("event")) == 1, "the first batch")
        w.broker.stop()
        w.platform.stop()
        await until(lambda: w.said(False), "the loss is told")
        w.record.offer("event", 1, b"event-1-b")
        w.record.offer("fire", 0, b"fire-0-c")
        await w.broker.start()
        w.platform.answer = acknowledge_all
        await w.platform.start()
        await until(lambda: len(w.record.acks) >= 3, "all acknowledgements")
        assert w.platform.seen("fire") == [b"fire-0-c"]
        assert w.platform.seen("event") == [b"event-0-a", b"event-0-a", b"event-1-b"]
        assert w.record.follows == 1, "the record's side did not notice"

    run(scene)


def test_a_record_that_goes_and_comes_is_followed_again_and_gets_the_acknowledgement() -> None:
    async def scene(w: World) -> None:
        w.courier.start()
        w.record.offer("fire", 0, b"fire-0-ring")
        await until(lambda: len(w.platform.seen("fire")) == 1, "the fire")
        await w.record.stop()
        w.record.batches.clear()  # it died before its disk had it
        w.platform.say(ack_message("fire", 0))  # and nobody is there to hear
        await w.record.start()
        await until(lambda: w.record.follows == 2, "the second follow")
        w.record.judge = refuse("unknown")
        w.record.offer("event", 0, b"event-0-")
        await until(lambda: len(w.platform.seen("event")) == 1, "the new batch")
        w.platform.say(ack_message("fire", 0))
        await until(lambda: len(w.record.acks) >= 1, "the acknowledgement")

    run(scene)


def test_a_forged_acknowledgement_changes_nothing() -> None:
    async def scene(w: World) -> None:
        w.record.judge = refuse("forged")
        w.record.offer("event", 0, b"event-0-x")
        w.platform.answer = acknowledge_all
        w.courier.start()
        await until(lambda: len(w.record.acks) == 1, "the forged acknowledgement")
        await until(lambda: w.said(True, "refused by the record: forged"), "it is told")
        w.broker.stop()
        w.record.judge = lambda _message: {"advanced": 1}
        await w.broker.start()
        await w.platform.start()
        await until(lambda: len(w.platform.seen("event")) == 2, "the same batch again")
        await until(lambda: len(w.record.acks) == 2, "an acknowledgement that is believed")

    run(scene)


def test_a_platform_that_is_away_is_told_and_the_batch_is_kept() -> None:
    async def scene(w: World) -> None:
        w.platform.stop()
        await until(
            lambda: "received DISCONNECT" in w.broker.log.lower() or "disconnected" in w.broker.log,
            "it is gone",
        )
        w.record.offer("fire", 0, b"fire-0-")
        w.courier.start()
        await until(lambda: w.said(False, "nobody who listens"), "the state")
        w.platform.answer = acknowledge_all
        await w.platform.start()
        await until(lambda: len(w.record.acks) == 1, "the fire's acknowledgement")
        await until(lambda: w.record.states[-1] == (True, ""), "the end of the trouble")

    run(scene)


@pytest.mark.parametrize(
    "junk", [b"", b"\xd2", b"junk", bytes(4_000), ack_message("event", 0)[:-1]]
)
def test_any_bytes_as_an_acknowledgement_are_for_the_record_to_judge(junk: bytes) -> None:
    async def scene(w: World) -> None:
        w.record.judge = refuse("malformed")
        w.record.offer("event", 0, b"event-0-")
        w.courier.start()
        await until(lambda: len(w.platform.seen("event")) == 1, "the batch")
        w.platform.say(junk)
        await until(lambda: len(w.record.acks) == 1, "the junk")
        w.platform.say(bytes(5_000))  # larger than any: not even handed on
        w.record.judge = lambda _message: {"advanced": 1}
        w.platform.say(ack_message("event", 0))
        await until(lambda: len(w.record.acks) == 2, "the good one")
        assert w.record.acks == [junk, ack_message("event", 0)]

    run(scene)


def test_a_broker_of_3_1_1_only_is_served() -> None:
    async def inside() -> None:
        with short_dir() as directory:
            port = free_port()
            plugins = {
                "amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}
            }
            listeners = {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}}
            broker = Broker({"listeners": listeners, "plugins": plugins})
            await broker.start()
            record, platform = RecordPeer(directory / "record.sock"), Platform(port)
            url = f"mqtt://127.0.0.1:{port}"
            courier = CourierProcess(directory, {"url": url, "insecure": True})
            await record.start()
            try:
                await platform.start()
                platform.answer = acknowledge_all
                record.offer("fire", 0, b"fire-0-")
                courier.start()
                await until(lambda: record.acks == [ack_message("fire", 0)], "the acknowledgement")
                assert courier.stop() == 0
            finally:
                courier.stop()
                platform.stop()
                await record.stop()
                # Its handler of the version 5 attempt waits for bytes for ever; shutdown() would
                # wait for it in turn.
                for handler in asyncio.all_tasks() - {asyncio.current_task()}:
                    handler.cancel()

    asyncio.run(inside())


# --- brokers that follow a script -------------------------------------------------------------


def scripted(
    broker: Callable[[Peer], Coroutine[Any, Any, None]],
    scene: Callable[[Script, RecordPeer], Coroutine[Any, Any, None]],
) -> None:
    async def inside() -> None:
        with short_dir() as directory:
            script, record = Script(broker), RecordPeer(directory / "record.sock")
            await script.start()
            await record.start()
            url = f"mqtt://127.0.0.1:{script.port}"
            courier = CourierProcess(directory, {"url": url, "insecure": True})
            try:
                courier.start()
                await scene(script, record)
            finally:
                courier.stop()
                await script.stop()
                await record.stop()

    asyncio.run(inside())


@pytest.mark.parametrize(("reason", "words"), [(0x87, "not authorized"), (0x97, "quota exceeded")])
def test_a_refused_publish_is_told_and_sent_again_on_the_same_connection(
    reason: int, words: str
) -> None:
    async def broker(peer: Peer) -> None:
        await peer.welcome()
        first = await peer.batch()
        peer.puback(first[1], reason)
        again = await peer.batch()
        assert again[0] == first[0]
        assert again[2] == first[2]
        peer.puback(again[1])
        peer.publish(f"embergate/1/{GATEWAY}/down/ack", ack_message("event", 0))
        await peer.batch()

    async def scene(script: Script, record: RecordPeer) -> None:
        record.offer("event", 0, b"event-0-")
        await until(lambda: len(record.acks) == 1, "the acknowledgement")
        assert len(script.peers) == 1
        assert any(not c and words in t for c, t in record.states)

    scripted(broker, scene)


def test_a_broker_that_never_acknowledges_gets_no_more_than_the_window() -> None:
    seen: dict[int, list[bytes]] = {}

    async def broker(peer: Peer) -> None:
        await peer.welcome()
        while True:
            packet = await peer.packet()
            if packet.kind == 3:
                topic, _, payload = packet.publish(v5=True)
                if not topic.endswith("/link"):
                    seen.setdefault(peer.number, []).append(payload)
                    if peer.number < 2 and len(seen[peer.number]) == 19:
                        peer.cut()

    async def scene(script: Script, record: RecordPeer) -> None:
        for n in range(16):
            record.offer("telemetry", n, b"telemetry-%d-" % n)
        for n in range(3):
            record.offer("fire", n, b"fire-%d-" % n)
        await until(lambda: len(seen.get(2, [])) == 19, "three connections")
        for sent in seen.values():
            assert sorted(sent) == sorted(b["bytes"] for b in record.batches)
        # From the second connection on the whole window is there at its start: fire goes first.
        assert seen[1][:3] == seen[2][:3] == [b"fire-0-", b"fire-1-", b"fire-2-"]

    scripted(broker, scene)


def test_a_broker_that_takes_one_message_at_a_time_gets_one_at_a_time() -> None:
    """Its limit holds for everything at QoS 1: the status of the link must not take the place."""
    waiting: list[int] = []
    seen: list[str] = []

    async def broker(peer: Peer) -> None:
        await peer.welcome(bytes([0x21, 0, 1]))
        while True:
            packet = await peer.packet()
            if packet.kind == 3 and packet.first & 6:
                topic, mid, _ = packet.publish(v5=True)
                waiting.append(mid)
                seen.append(topic.rsplit("/", 1)[1])

    async def scene(script: Script, record: RecordPeer) -> None:
        for n in range(8):
            record.offer("fire" if n > 5 else "event", n, b"data-%d-" % n)
        while len(seen) < 8:
            await until(lambda: bool(waiting), "the next")
            assert len(waiting) == 1
            script.peers[0].puback(waiting.pop())
        assert len(script.peers) == 1
        assert sorted(seen) == ["event"] * 6 + ["fire"] * 2

    scripted(broker, scene)


def test_acknowledgements_that_may_not_be_read_are_told_and_batches_leave_all_the_same() -> None:
    seen: list[bytes] = []

    async def broker(peer: Peer) -> None:
        await peer.packet()
        peer.send(b"\x20\x03\x00\x00\x00")
        subscribe = await peer.packet()
        peer.send(b"\x90\x04" + subscribe.body[:2] + b"\x00\x87")
        while True:
            seen.append((await peer.batch())[2])

    async def scene(script: Script, record: RecordPeer) -> None:
        record.offer("fire", 0, b"fire-0-")
        await until(lambda: seen == [b"fire-0-"], "the fire")
        words = "does not let this gateway read its acknowledgements: Not authorized"
        await until(lambda: any(not up and words in t for up, t in record.states), "the state")

    scripted(broker, scene)


def test_receive_maximum_and_packet_size_of_the_broker_are_kept() -> None:
    seen: list[bytes] = []

    async def broker(peer: Peer) -> None:
        await peer.welcome(bytes([0x21, 0, 4, 0x27, 0, 0, 4, 0]))
        while True:
            seen.append((await peer.batch())[2])

    async def scene(script: Script, record: RecordPeer) -> None:
        record.offer("event", 0, b"event-0-" + bytes(1_024))
        await until(lambda: any("maximum packet size" in t for _, t in record.states), "the state")
        for n in range(8):
            record.offer("telemetry", n, b"telemetry-%d-" % n)
            record.offer("fire", n, b"fire-%d-" % n)
        await until(lambda: len(seen) == 4, "a full window")
        assert b"fire-2-" in seen
        assert all(len(data) < 1_024 for data in seen)

    scripted(broker, scene)


# --- what cannot start ------------------------------------------------------------------------


def test_exit_78_says_what_is_wrong_with_the_plan(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    plan = tmp_path / "plan.cbor"
    write_plan(plan, {"url": "mqtts://a"})
    args = ["--plan", str(plan), "--run", str(tmp_path)]
    assert main(["other", *args]) == 78
    assert "no courier is called 'other'; the plan has: platform" in caplog.text
    write_plan(plan, {"url": "mqtts://a"}, gateway="a/+")
    assert main(["platform", *args]) == 78
    assert "a topic can carry" in caplog.text
    plan.write_bytes(cbor2.dumps({"version": 9}))
    assert main(["platform", *args]) == 78
    plan.unlink()
    assert main(["platform", *args]) == 78


def _rss_kb(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise AssertionError("no VmRSS")
