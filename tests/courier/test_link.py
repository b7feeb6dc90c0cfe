"""One connection against a broker that follows a script: versions, cuts, odd packets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from brokers import Packet, Peer, Script, until

from agent.courier.broker import address
from agent.courier.mqtt import V5, V311, Dial, Dialer, Link, LinkError, Listener, Will, connect
from config.limits import MQTT_LEGACY_NS

ACK_TOPIC = "embergate/1/g/down/ack"


class Ears:
    """What a connection tells."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self.pubacks: list[tuple[int, int]] = []
        self.ended: list[str] = []

    @property
    def listener(self) -> Listener:
        return Listener(
            lambda topic, payload: self.messages.append((topic, payload)),
            lambda mid, reason: self.pubacks.append((mid, reason)),
            lambda: None,
            self.ended.append,
        )


def dial(port: int, packet_bytes_max: int = 4_096) -> Dial:
    return Dial(
        address({"url": f"mqtt://127.0.0.1:{port}", "insecure": True}),
        "embergate-g-test",
        (ACK_TOPIC,),
        packet_bytes_max,
        Will("embergate/1/g/up/link", b"offline"),
    )


def play(
    broker: Callable[[Peer], Awaitable[None]], client: Callable[[Script], Awaitable[Any]]
) -> None:
    """Run both; anything that reaches the loop's exception handler fails the test."""

    async def both() -> None:
        stray: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _l, c: stray.append(c))
        script = Script(broker)
        await script.start()
        try:
            await client(script)
        finally:
            await script.stop()
            await asyncio.sleep(0)
        assert not stray, stray

    asyncio.run(both())


async def linger(peer: Peer) -> None:
    """Answer pings and take what comes until the end."""
    while True:
        packet = await peer.packet()
        if packet.kind == 12:
            peer.send(b"\xd0\x00")


def test_version_5_comes_first_with_a_clean_start_our_limits_and_a_will() -> None:
    async def broker(peer: Peer) -> None:
        await peer.welcome(bytes([0x21, 0, 7, 0x27, 0, 0, 8, 0]))
        await linger(peer)

    async def client(script: Script) -> None:
        link = await connect(dial(script.port), Ears().listener)
        assert (link.version, link.receive_max, link.packet_max) == (V5, 7, 2_048)
        hello = script.peers[0].packets[0].body
        assert hello[:7] == b"\x00\x04MQTT\x05"
        assert hello[7] == 0b0010_1110  # will retained at QoS 1, clean start
        assert b"\x21\x00\x14" in hello  # Receive Maximum 20
        assert b"\x27\x00\x00\x10\x00" in hello  # Maximum Packet Size 4,096
        assert b"embergate/1/g/up/link" in hello
        link.close()
        await link.gone()

    play(broker, client)


@pytest.mark.parametrize(
    "refusal", [b"\x20\x03\x00\x84\x00", b"\x20\x02\x00\x01", b"\x20\x02\x00\x84", b""]
)
def test_an_older_broker_gets_3_1_1_at_the_same_place(refusal: bytes) -> None:
    async def broker(peer: Peer) -> None:
        hello = await peer.packet()
        if hello.level == 5:
            peer.send(refusal)
            await peer.writer.drain()
            peer.writer.close()
            return
        peer.send(b"\x20\x02\x00\x00")
        subscribe = await peer.packet()
        peer.send(b"\x90\x03" + subscribe.body[:2] + b"\x01")
        await linger(peer)

    async def client(script: Script) -> None:
        link = await connect(dial(script.port), Ears().listener)
        assert link.version == V311
        assert [p.packets[0].level for p in script.peers] == [5, 4]
        link.close()
        await link.gone()

    play(broker, client)


@pytest.mark.parametrize("reason", [0x80, 0x85, 0x86, 0x87, 0x89, 0x8A, 0x97, 0x9F])
def test_another_refusal_is_no_reason_for_an_older_version(reason: int) -> None:
    async def broker(peer: Peer) -> None:
        await peer.packet()
        peer.send(bytes([0x20, 3, 0, reason, 0]))
        await linger(peer)

    async def client(script: Script) -> None:
        with pytest.raises(LinkError, match="the broker refused"):
            await connect(dial(script.port), Ears().listener)
        assert len(script.peers) == 1

    play(broker, client)


def test_nobody_there_is_an_error_and_no_second_try() -> None:
    async def client(script: Script) -> None:
        port = script.port
        await script.stop()
        with pytest.raises(LinkError, match="Connection refused"):
            await connect(dial(port), Ears().listener)

    play(linger, client)


def test_silence_is_perhaps_an_older_broker_and_ends_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.courier.mqtt.MQTT_CONNACK_WAIT_NS", 200_000_000)

    async def client(script: Script) -> None:
        with pytest.raises(LinkError, match=r"no CONNACK within 0\.2 s"):
            await connect(dial(script.port), Ears().listener)
        assert [p.packets[0].level for p in script.peers] == [5, 4]

    play(linger, client)


def test_an_older_broker_is_remembered_for_a_while_only() -> None:
    async def broker(peer: Peer) -> None:
        if (await peer.packet()).level == 5:
            peer.send(b"\x20\x02\x00\x01")
            return
        peer.send(b"\x20\x02\x00\x00")
        subscribe = await peer.packet()
        peer.send(b"\x90\x03" + subscribe.body[:2] + b"\x01")
        await linger(peer)

    async def client(script: Script) -> None:
        now_ns = 0
        dialer = Dialer(lambda: now_ns)
        for at_ns in (0, 1, MQTT_LEGACY_NS - 1, MQTT_LEGACY_NS):
            now_ns = at_ns
            link = await dialer.connect(dial(script.port), Ears().listener)
            link.close()
            await link.gone()
        assert [p.packets[0].level for p in script.peers] == [5, 4, 4, 4, 5, 4]

    play(broker, client)


def test_a_refused_subscription_is_an_error() -> None:
    async def broker(peer: Peer) -> None:
        await peer.packet()
        peer.send(b"\x20\x03\x00\x00\x00")
        subscribe = await peer.packet()
        peer.send(b"\x90\x04" + subscribe.body[:2] + b"\x00\x87")
        await linger(peer)

    async def client(script: Script) -> None:
        with pytest.raises(LinkError, match="refused to subscribe: Not authorized"):
            await connect(dial(script.port), Ears().listener)

    play(broker, client)


def test_a_topic_that_is_only_wanted_may_be_refused() -> None:
    """Fires go out also through a broker that does not let the gateway read."""

    async def broker(peer: Peer) -> None:
        await peer.packet()
        peer.send(b"\x20\x03\x00\x00\x00")
        subscribe = await peer.packet()
        assert b"down/ack" in subscribe.body
        assert b"down/command" in subscribe.body
        peer.send(b"\x90\x05" + subscribe.body[:2] + b"\x00\x01\x87")
        await linger(peer)

    async def client(script: Script) -> None:
        command = "embergate/1/g/down/command"
        link = await connect(replace(dial(script.port), wanted=(command,)), Ears().listener)
        assert link.refused == {command: "Not authorized"}
        link.close()
        await link.gone()

    play(broker, client)


def test_a_broker_that_retains_nothing_is_used_without() -> None:
    async def broker(peer: Peer) -> None:
        hello = await peer.packet()
        if hello.body[7] & 0x20:
            peer.send(b"\x20\x03\x00\x9a\x00")
            await linger(peer)
        peer.send(b"\x20\x05\x00\x00\x02\x25\x00")
        subscribe = await peer.packet()
        peer.send(b"\x90\x04" + subscribe.body[:2] + b"\x00\x01")
        await linger(peer)

    async def client(script: Script) -> None:
        link = await connect(dial(script.port), Ears().listener)
        assert [p.packets[0].body[7] & 0x24 for p in script.peers] == [0x24, 0x04], "a will in both"
        link.publish_once("embergate/1/g/up/link", b"online", retain=True)
        link.publish("embergate/1/g/up/link", b"online", retain=True)
        packets = script.peers[1].packets
        await until(lambda: len(packets) == 4, "both")
        assert [p.first for p in packets[2:]] == [0x30, 0x32]
        link.close()
        await link.gone()

    play(broker, client)


def test_what_the_broker_finds_too_large_is_not_said_once() -> None:
    async def broker(peer: Peer) -> None:
        await peer.welcome(bytes([0x27, 0, 0, 0, 64]))
        await linger(peer)

    async def client(script: Script) -> None:
        link = await connect(dial(script.port), Ears().listener)
        for size in (64, 8):
            link.publish_once("embergate/1/g/up/heartbeat", bytes(size))
        packets = script.peers[0].packets
        await until(lambda: len(packets) == 3, "the small one")
        assert packets[2].publish(v5=True)[2] == bytes(8)
        link.close()
        await link.gone()

    play(broker, client)


@pytest.mark.parametrize("first", [0x34, 0x3D, 0x36])
def test_a_message_at_qos_2_ends_the_connection(first: int) -> None:
    """Nothing is subscribed at it; the library would keep each until it is released."""

    async def broker(peer: Peer) -> None:
        await peer.welcome()
        await peer.batch()
        peer.send(bytes([first, 6, 0, 1, 97, 0, 1, 0]))
        await linger(peer)

    async def client(script: Script) -> None:
        ears = Ears()
        link = await connect(dial(script.port), ears.listener)
        link.publish("embergate/1/g/up/event", b"x")
        await until(lambda: bool(ears.ended), "the end")
        assert ears.ended == ["the broker sent a message at QoS 2"]

    play(broker, client)


def test_a_cut_at_every_byte_of_connect_is_an_error() -> None:
    async def broker(peer: Peer) -> None:
        cut = peer.number // 2 + 1  # two connections a cut: 5 and 3.1.1
        head = await peer.reader.readexactly(min(cut, 2))
        if cut > 2:
            await peer.reader.readexactly(min(cut - 2, head[1] - 1))
        peer.cut()

    async def client(script: Script) -> None:
        for _ in range(70):
            with pytest.raises(LinkError):
                await connect(dial(script.port), Ears().listener)

    play(broker, client)


def test_a_cut_at_every_byte_of_the_answers_is_an_error() -> None:
    answers = b"\x20\x03\x00\x00\x00" + b"\x90\x04\x00\x01\x00\x01"
    cuts = iter(range(1, len(answers)))

    async def broker(peer: Peer) -> None:
        if (await peer.packet()).level != 5:
            return
        cut = next(cuts)
        peer.send(answers[: min(cut, 5)])
        await peer.writer.drain()
        if cut > 5:
            await peer.packet()
            peer.send(answers[5:cut])
            await peer.writer.drain()
        peer.writer.close()

    async def client(script: Script) -> None:
        for _ in range(1, len(answers)):
            with pytest.raises(LinkError):
                await connect(dial(script.port), Ears().listener)

    play(broker, client)


def test_reason_codes_of_pubacks_reach_the_listener() -> None:
    reasons = [0, 0x10, 0x80, 0x87, 0x97, 0x99]

    async def broker(peer: Peer) -> None:
        await peer.welcome()
        for reason in reasons:
            _, mid, _ = await peer.batch()
            peer.puback(mid, reason)
            peer.puback(mid, reason)  # twice: only the first counts
        peer.puback(999)
        await linger(peer)

    async def client(script: Script) -> None:
        ears = Ears()
        link = await connect(dial(script.port), ears.listener)
        mids = [link.publish("embergate/1/g/up/event", b"x") for _ in reasons]
        await until(lambda: len(ears.pubacks) == len(reasons), "every PUBACK")
        assert ears.pubacks == list(zip(mids, reasons, strict=True))
        assert ears.ended == []
        link.close()
        await link.gone()

    play(broker, client)


def test_a_message_in_pieces_arrives_whole_and_a_large_one_ends_the_connection() -> None:
    async def broker(peer: Peer) -> None:
        await peer.welcome()
        peer.publish(ACK_TOPIC, b"whole")
        await peer.batch()
        peer.send(b"\x32\xff\xff\xff\x7f")  # a PUBLISH of 256 MB
        await linger(peer)

    async def client(script: Script) -> None:
        ears = Ears()
        link = await connect(dial(script.port), ears.listener)
        await until(lambda: bool(ears.messages), "the message")
        assert ears.messages == [(ACK_TOPIC, b"whole")]
        link.publish("embergate/1/g/up/event", b"go on")
        await until(lambda: bool(ears.ended), "the end of the connection")
        assert "more than 4096 bytes" in ears.ended[0]
        assert not link.is_up
        assert link.publish("t", b"") is None

    play(broker, client)


@pytest.mark.parametrize(
    "packet",
    [
        b"\x32\x08\x00\x03\xff\xfe\xfd\x00\x01\x00",  # a topic that is not text
        b"\x20\x03\x00\x00\x00",  # a second CONNACK
        b"\x40\x01\x00",  # a PUBACK without its message id
        b"\x40\x03\x00\x01\x42",  # a reason code that there is not
        b"\x32\x03\x00\xff\x61",  # a topic longer than its packet
        b"\xe0\x02\x8b\x00",  # DISCONNECT: server shutting down
        b"\xf0\x00",
        b"\x00\x00",
        b"\x30\x80\x80\x80\x80\x80",
    ],
)
def test_an_odd_packet_ends_at_most_the_connection(packet: bytes) -> None:
    async def broker(peer: Peer) -> None:
        await peer.welcome()
        _, mid, _ = await peer.batch()
        peer.send(packet)
        peer.puback(mid)
        await linger(peer)

    async def client(script: Script) -> None:
        ears = Ears()
        link = await connect(dial(script.port), ears.listener)
        link.publish("embergate/1/g/up/event", b"x")
        await until(lambda: bool(ears.ended or ears.pubacks), "an end or a PUBACK")
        assert ears.messages == []
        assert len(ears.ended) <= 1
        link.close()
        await link.gone()

    play(broker, client)


def test_any_bytes_from_a_broker_end_at_most_the_connection() -> None:
    rng = random.Random(26875)

    async def broker(peer: Peer) -> None:
        await peer.welcome()
        await peer.batch()
        kinds = [0x20, 0x30, 0x32, 0x34, 0x40, 0x50, 0x62, 0x70, 0x90, 0xB0, 0xC0, 0xD0, 0xE0]
        for _ in range(30):
            body = rng.randbytes(rng.randrange(12))
            peer.send(bytes([rng.choice(kinds), len(body)]) + body)
        await peer.writer.drain()
        peer.writer.close()

    async def client(script: Script) -> None:
        for _ in range(60):
            ears = Ears()
            link: Link = await connect(dial(script.port), ears.listener)
            link.publish("embergate/1/g/up/event", b"x")
            await until(lambda e=ears: bool(e.ended), "the end")  # type: ignore[misc]  # -- bound now
            assert len(ears.ended) == 1
            assert not link.is_up

    play(broker, client)


def test_a_broker_that_does_not_read_pauses_the_connection_and_lets_it_go_on() -> None:
    go = asyncio.Event()

    async def broker(peer: Peer) -> None:
        await peer.welcome()
        await go.wait()
        for _ in range(12):
            _, mid, _ = await peer.batch()
            peer.puback(mid)
        await linger(peer)

    async def client(script: Script) -> None:
        ears = Ears()
        link = await connect(dial(script.port), ears.listener)
        for _ in range(12):
            assert link.publish("embergate/1/g/up/telemetry", bytes(1 << 20)) is not None
        assert [link.writable] == [False]
        go.set()
        await until(lambda: len(ears.pubacks) == 12, "every PUBACK")
        assert link.writable
        link.close()
        await link.gone()

    play(broker, client)


def test_packet_shapes_of_the_script_itself() -> None:
    packet = Packet(0x32, b"\x00\x01t\x00\x07\x00data")
    assert packet.publish(v5=True) == ("t", 7, b"data")
