"""A broker that cuts the connection at every byte, refuses, and a platform that says odd things.

Record, courier and sockets are real; the broker follows a script. Whatever it does, once it behaves
every event is at the platform exactly once, in order, in whole chains.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from brokers import Peer, Script
from checker import Ledger, check_journal, check_receiver
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from suites import share, tell
from world_record import (
    GATEWAY,
    PLATFORM_KEY,
    FieldEnd,
    InLoop,
    World,
    call,
    device_trust,
    event_at,
    verify,
)

from agent.courier.main import Courier, Task
from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import Opened, hash_of, open_batch
from agent.uplink.cose import Signer
from agent.uplink.history import History, Kind
from config.limits import MS

DOWN = f"embergate/1/{GATEWAY}/down/ack"


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The waits of a courier, a hundred times shorter."""
    monkeypatch.setattr("agent.courier.main.COURIER_RECONNECT_NS_MIN", 100_000)
    monkeypatch.setattr("agent.courier.main.COURIER_RECONNECT_NS_MAX", 2 * MS)
    monkeypatch.setattr("agent.courier.main.COURIER_TICK_NS", 10 * MS)
    for name, value_ms in (
        ("ACK_WAIT", 100), ("FIRE_ACK_WAIT", 30), ("FIRE_RESEND", 100), ("RESEND", 200),
        ("RECONNECT", 5),
    ):  # fmt: skip
        suffix = "_MAX" if name.endswith("RESEND") else "_MIN" if name == "RECONNECT" else ""
        full = f"agent.courier.window.COURIER_{name}_NS{suffix}"
        monkeypatch.setattr(full, value_ms * MS)


class Scissors:
    """A reader that lets so many bytes through, and then the connection is cut."""

    def __init__(self, reader: asyncio.StreamReader, left: int) -> None:
        self._reader = reader
        self._left = left
        self.seen = 0

    async def readexactly(self, size: int) -> bytes:
        data = await self._reader.readexactly(min(size, self._left - self.seen))
        self.seen += len(data)
        if len(data) < size:
            raise ConnectionResetError("cut")
        return data


@dataclass
class Platform:
    """Holds what comes, as a receiver does, and acknowledges."""

    history: History = field(default_factory=History)
    held: dict[tuple[bytes, str, int], bytes] = field(default_factory=dict)
    order: list[Opened] = field(default_factory=list)
    errors: list[Any] = field(default_factory=list)
    signer: Signer = field(default_factory=lambda: Signer(PLATFORM_KEY))

    def take(self, message: bytes) -> list[bytes]:
        """The acknowledgements that are due for a batch."""
        opened = open_batch(message, device_trust())
        batch = opened.batch
        key = (batch.epoch, batch.lane, batch.seq)
        held = self.held.get(key)
        verdict = self.history.offer(opened, None if held is None else hash_of(held))
        self.errors += [f for f in verdict.findings if f.error]
        if verdict.kind is Kind.NEW:
            self.held[key] = message
            self.order.append(opened)
        lanes = {batch.lane}
        if batch.lane == "epoch":
            lanes = {o.batch.lane for o in self.order if o.batch.epoch == batch.epoch}
        acks = []
        for lane in sorted(lanes):
            found = self.history.acknowledge(batch.epoch, lane)
            if found is not None:
                acks.append(self.ack(batch.epoch, lane, *found))
        return acks

    def ack(self, epoch: bytes, lane: str, seq: int, own_hash: bytes) -> bytes:
        return seal_ack(Ack(GATEWAY, epoch, lane, seq, own_hash, 1), self.signer)


class Scene:
    """A record with events, its courier, and what the platform got."""

    def __init__(self, loop: InLoop, script: Script, platform: Platform) -> None:
        self.loop = loop
        self.script = script
        self.platform = platform
        self.ledger = Ledger()
        self.field = FieldEnd()
        self.said = 0

    async def say(self, lane: str) -> None:
        self.said += 1
        self.ledger.said[self.field.session, self.said] = lane
        await call(self.field, "submit", events=[event_at(self.loop.clock, self.said, lane)])

    async def settled(self) -> None:
        """Everything is stored, and acknowledged by the platform."""
        await self.loop.until(
            lambda: (
                self.field.durable == self.said
                and self.loop.service.status_of("platform")["waiting"] == 0
            ),
            20,
        )
        self.ledger.promise(self.field.session, self.field.durable, 0)


@contextlib.asynccontextmanager
async def scene(
    world: World, play: Callable[[Peer, Platform], Awaitable[None]]
) -> AsyncIterator[Scene]:
    platform = Platform()

    async def broker(peer: Peer) -> None:
        await play(peer, platform)

    script = Script(broker)
    await script.start()
    settings = {"url": f"mqtt://127.0.0.1:{script.port}", "insecure": True}
    courier = Courier(Task("platform", GATEWAY, settings), world.socket, random.Random(1))
    stop = asyncio.Event()
    async with InLoop(world) as loop:
        made = Scene(loop, script, platform)
        await made.field.join(world)
        running = asyncio.create_task(courier.run(stop))
        ticking = asyncio.create_task(_tick(loop))
        try:
            yield made
        finally:
            stop.set()
            ticking.cancel()
            await asyncio.gather(running, ticking, return_exceptions=True)
            await script.stop()


async def _tick(loop: InLoop) -> None:
    while True:
        loop.clock.move(0.02)
        loop.service.tick()
        await asyncio.sleep(0.002)


def judge(world: World, made: Scene) -> None:
    """After the record has ended: what the journal and the platform have is what was said."""
    from buildings import stored_in  # noqa: PLC0415 -- it needs what is imported above

    stored = stored_in(world.state / "record")
    problems = check_journal(made.ledger, stored)
    problems += check_receiver(made.ledger, stored, made.platform.order)
    assert problems == []
    assert made.platform.errors == []
    assert verify(world.state, "--trust", str(world.keys / "device.pub"))[0] == 0


async def serve(peer: Peer, answer: Callable[[int, bytes], Awaitable[None]]) -> None:
    """CONNECT, SUBSCRIBE and whatever comes; version 5 only."""
    connect = await peer.packet()
    if connect.level != 5:
        peer.send(b"\x20\x02\x00\x01")
        return
    peer.send(b"\x20\x03\x00\x00\x00")
    subscribe = await peer.packet()
    peer.send(b"\x90\x04" + subscribe.body[:2] + b"\x00\x01")
    while True:
        packet = await peer.packet()
        if packet.kind == 12:
            peer.send(b"\xd0\x00")
        elif packet.kind == 3 and packet.first & 6:
            topic, mid, payload = packet.publish(v5=True)
            if topic.endswith("/link"):
                peer.puback(mid)
            else:
                await answer(mid, payload)


@pytest.mark.parametrize("direction", ["to the broker", "from the broker"])
def test_a_cut_at_every_byte(world: World, direction: str) -> None:
    """CONNECT, SUBSCRIBE, PUBLISH one way; CONNACK, SUBACK, PUBACK, acknowledgements the other."""
    last = 1_500 if direction == "to the broker" else 400
    cuts = share(range(1, last), 20)[::-1]
    count = len(cuts)

    async def play(peer: Peer, platform: Platform) -> None:
        cut = cuts.pop() if cuts else 0
        sent = 0

        def send(data: bytes) -> None:
            nonlocal sent
            peer.writer.write(data[: cut - sent])
            sent += len(data)
            if sent >= cut:
                raise ConnectionResetError("cut")

        if cut and direction == "to the broker":
            peer.reader = Scissors(peer.reader, cut)  # type: ignore[assignment]  # -- all it reads with
        elif cut:
            peer.send = send  # type: ignore[method-assign]  # -- of this connection

        async def answer(mid: int, payload: bytes) -> None:
            peer.puback(mid)
            for ack in platform.take(payload):
                peer.publish(DOWN, ack)

        try:
            await serve(peer, answer)
        except ConnectionResetError:
            with contextlib.suppress(ConnectionError):
                await peer.writer.drain()

    async def test() -> None:
        async with scene(world, play) as made:
            spare = 0
            while cuts and spare < 20_000:
                spare += 1
                if spare % 2 == 0 and made.said < 2_000:
                    await made.say("fire" if made.said % 3 == 0 else "event")
                await asyncio.sleep(0.003)
            assert not cuts, "each was reached"
            await made.say("fire")
            await made.settled()
        judge(world, made)
        tell(f"{count} cuts {direction}, {made.said} events, 0 lost")

    asyncio.run(asyncio.wait_for(test(), 100))


async def odd_answer(
    odd: str, ack: bytes, payload: bytes, peer: Peer, platform: Platform, late: list[bytes]
) -> None:
    """One acknowledgement, as a platform sends it that is not well."""
    batch = open_batch(payload, device_trust()).batch
    match odd:
        case "well" | "twice":
            for _ in range(1 if odd == "well" else 2):
                peer.publish(DOWN, ack)
        case "late":
            late.append(ack)
        case "future":
            peer.publish(DOWN, platform.ack(batch.epoch, batch.lane, 10**6, bytes(32)))
        case "forged":
            peer.publish(DOWN, ack[:-1] + bytes([ack[-1] ^ 1]))
        case "stranger":
            signer = Signer(Ed25519PrivateKey.generate())
            last = Ack(GATEWAY, batch.epoch, batch.lane, batch.seq, hash_of(payload), 1)
            peer.publish(DOWN, seal_ack(last, signer))
        case "cut":
            peer.publish(DOWN, ack)
            raise ConnectionResetError("cut")


@pytest.mark.parametrize("seed", share(range(20), 1))
def test_a_broker_and_a_platform_that_answer_anything(world: World, seed: int) -> None:
    """0x10, 0x87, 0x97 or nothing; acknowledged twice, late, for the future, forged, not at all."""
    rng = random.Random(seed)
    late: list[bytes] = []
    told: set[str] = set()
    honest = asyncio.Event()

    async def play(peer: Peer, platform: Platform) -> None:
        async def answer(mid: int, payload: bytes) -> None:
            if honest.is_set():
                peer.puback(mid)
                for ack in [*late, *platform.take(payload)]:
                    peer.publish(DOWN, ack)
                late.clear()
                return
            reason = rng.choice((0, 0, 0, 0x10, 0x87, 0x97))
            peer.puback(mid, reason)
            told.add(f"{reason:#x}")
            if reason:
                return  # the platform got nothing
            acks = platform.take(payload)
            odd = rng.choice(("well", "twice", "late", "future", "forged", "stranger", "cut", "no"))
            told.add(odd)
            for ack in acks:
                await odd_answer(odd, ack, payload, peer, platform, late)

        await serve(peer, answer)

    async def test() -> None:
        async with scene(world, play) as made:
            for n in range(90):
                if n % 3 == 0:
                    await made.say("fire" if n % 2 else "event")
                await asyncio.sleep(0.008)
            honest.set()
            await made.say("fire")
            await made.settled()
        judge(world, made)
        assert {"0x10", "0x87", "0x97"} <= told
        assert {"twice", "late", "future", "forged"} <= told

    asyncio.run(asyncio.wait_for(test(), 60))
