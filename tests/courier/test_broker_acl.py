"""The broker's access list that we ship, at a real mosquitto with client certificates."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from authorities import LOOPBACK, Authority
from brokers import Mosquitto, short_dir, until

from agent.courier.broker import address
from agent.courier.mqtt import Dial, Link, LinkError, Listener, connect

BROKER = Path(__file__).parents[2] / "docs" / "broker"
DENIED = 0x87
OURS = ("require_certificate", "use_identity_as_username", "allow_anonymous", "tls_version",
        "set_tcp_nodelay", "max_inflight_messages", "max_queued_messages", "max_packet_size",
        "per_listener_settings")  # fmt: skip


class Client:
    """Somebody with a certificate."""

    def __init__(self, world: World, name: str, *topics: str) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.answers: dict[int, int] = {}
        self._world, self._name, self._topics = world, name, topics
        self.link: Link

    async def __aenter__(self) -> Client:
        cert, key = self._world.ours.issue(self._name.replace("/", "_"), common=self._name)
        given = {"url": f"mqtts://127.0.0.1:{self._world.broker.port}", "ca":
                 str(self._world.ours.path), "cert": str(cert), "key": str(key)}  # fmt: skip
        dial = Dial(address(given), f"client-{self._name}", self._topics, 65_536)
        listener = Listener(
            lambda topic, raw: self.heard.append((topic, raw)),
            lambda mid, reason: self.answers.update({mid: reason}),
            lambda: None,
            lambda _why: None,
        )
        self.link = await connect(dial, listener)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.link.close()
        await self.link.gone()

    async def publish(self, topic: str, payload: bytes) -> int:
        """The reason code of the PUBACK."""
        mid = self.link.publish(topic, payload)
        assert mid is not None
        await until(lambda: mid in self.answers, f"PUBACK for {topic}")
        return self.answers[mid]


class World:
    """The broker with our file, and the authority of all certificates."""

    def __init__(self, directory: Path) -> None:
        self.ours = Named(directory, "ours")
        cert, key = self.ours.issue("broker", LOOPBACK)
        acl = directory / "acl"
        shutil.copy(BROKER / "acl", acl)
        acl.chmod(0o644)
        example = (BROKER / "mosquitto.conf.example").read_text().splitlines()
        lines = [line for line in example if line.split(" ")[0] in OURS]
        assert len(lines) == len(OURS), "the test runs with the settings of the example"
        self.broker = Mosquitto(
            directory, f"cafile {self.ours.path}", f"certfile {cert}", f"keyfile {key}",
            f"acl_file {acl}", *lines,
        )  # fmt: skip


class Named(Authority):
    """Issues certificates whose name is no file name."""

    def issue(self, name: str, *more: Any, common: str = "", **days: Any) -> tuple[Path, Path]:
        self._common = common or name
        return super().issue(name, *more, **days)

    def _build(self, name: str, *more: Any, **days: Any) -> Any:
        return super()._build(getattr(self, "_common", name) or name, *more, **days)


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with short_dir() as directory:
        directory.chmod(0o755)  # mosquitto gives up root at once
        yield World(directory)


def run(world: World, scene: Coroutine[Any, Any, None]) -> None:
    async def inside() -> None:
        await world.broker.start()
        try:
            await scene
        finally:
            world.broker.stop()

    asyncio.run(inside())


def test_a_gateway_writes_its_own_up_and_reads_its_own_down_and_nothing_else(world: World) -> None:
    async def scene() -> None:
        down = tuple(f"embergate/1/{g}/down/ack" for g in ("one", "two"))
        async with (
            Client(world, "embergate-receiver", "$share/city/embergate/1/+/up/#") as platform,
            Client(world, "one", *down, "embergate/1/+/up/#", "#") as one,
            Client(world, "two", "embergate/1/two/down/ack") as two,
        ):
            assert await one.publish("embergate/1/one/up/fire", b"mine") == 0
            await until(lambda: len(platform.heard) == 1, "the batch at the platform")
            for topic in (
                "embergate/1/two/up/fire", "embergate/1/one/down/ack", "embergate/1/two/down/ack",
                "embergate/2/one/up/fire", "elsewhere", "$share/city/embergate/1/one/up/fire",
            ):  # fmt: skip
                if not topic.startswith("$"):
                    assert await one.publish(topic, b"not mine") == DENIED, topic
            assert await platform.publish("embergate/1/two/down/ack", b"for two") == 0
            assert await platform.publish("embergate/1/one/down/ack", b"for one") == 0
            await until(lambda: bool(two.heard and one.heard), "acknowledgements")
            assert await two.publish("embergate/1/two/up/event", b"two") == 0
            await until(lambda: len(platform.heard) == 2, "the other's batch")
            # Everything above was ordered through one broker: what was to come has come.
            assert one.heard == [("embergate/1/one/down/ack", b"for one")] * len(one.heard)
            assert two.heard == [("embergate/1/two/down/ack", b"for two")]
            assert await platform.publish("embergate/1/one/up/fire", b"forged") == DENIED
            assert await platform.publish("embergate/1/one/down/command", b"") == DENIED
            assert [raw for _, raw in platform.heard] == [b"mine", b"two"]

    run(world, scene())


def test_a_name_with_wildcards_stands_for_nobody(world: World) -> None:
    async def scene() -> None:
        async with Client(world, "one", "embergate/1/one/down/ack") as one:
            for name in ("+", "#", "one/up"):
                async with Client(world, name, "embergate/1/+/down/ack", "#") as odd:
                    assert await odd.publish("embergate/1/one/up/fire", b"x") == DENIED
                    async with Client(world, "embergate-receiver", "t") as platform:
                        before = len(one.heard)
                        await platform.publish("embergate/1/one/down/ack", b"for one")
                        await until(lambda: len(one.heard) > before, "it")  # noqa: B023 -- awaited here
                    assert odd.heard == []

    run(world, scene())


def test_without_a_certificate_nobody_gets_in(world: World) -> None:
    async def scene() -> None:
        given = {"url": f"mqtts://127.0.0.1:{world.broker.port}", "ca": str(world.ours.path)}
        listener = Listener(lambda *_: None, lambda *_: None, lambda: None, lambda _: None)
        with pytest.raises(LinkError):
            await connect(Dial(address(given), "nobody", ("t",), 65_536), listener)

    run(world, scene())
