"""Record, courier and a receiver of SIA DC-09 that nobody here wrote, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from pysiaalarm.account import SIAAccount
from pysiaalarm.aio.server import SIAServerTCP, SIAServerUDP
from pysiaalarm.event import SIAEvent
from pysiaalarm.utils.counter import Counter
from world_record import FieldEnd, InLoop, World, make_plan, run

from agent.courier import dc09, post
from agent.courier.broker import SettingsProblem
from config.limits import POST_RECONNECT_NS_MIN
from config.plan import Courier, encode_plan

KEY = "0123456789ABCDEF"
SETTINGS = {
    "account": "1234", "receiver": "", "line": "0", "format": "sia-dcs", "transport": "tcp",
    "reply_ns": 10**9, "tries": 1, "supervise_ns": 60 * 10**9, "text": True, "prealarm": "near",
    "zones": {"d0.p1": 17, "room": 100}, "key_file": "",
}  # fmt: skip


class Datagrams(SIAServerUDP):
    """Its own check of the transport's class fails on this Python."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport


class Receiver:
    """One receiver; what it was told, signs of life left out."""

    def __init__(self, *, udp: bool, key: str | None) -> None:
        self.events: list[SIAEvent] = []
        self.port = 0
        accounts = {"1234": SIAAccount("1234", key)}
        kind = Datagrams if udp else SIAServerTCP
        self.server: Any = kind(accounts, self._told, Counter())
        self._end: Any = None

    async def _told(self, event: SIAEvent) -> None:
        if event.code != "RP":
            self.events.append(event)

    async def start(self, port: int = 0) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(self.server, SIAServerUDP):
            self._end, _ = await loop.create_datagram_endpoint(
                lambda: self.server, local_addr=("127.0.0.1", port)
            )
            self.port = self._end.get_extra_info("sockname")[1]
        else:
            self._end = await asyncio.start_server(self.server.handle_line, "127.0.0.1", port)
            self.port = self._end.sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.shutdown_flag = True
        self._end.close()

    def codes(self) -> list[str | None]:
        return [e.code for e in self.events]


class Site:
    """A record in this loop and its courier."""

    def __init__(self, loop: InLoop, field: FieldEnd) -> None:
        self.loop, self.field = loop, field
        self._seq = 0

    async def say(self, lane: str, source: str, what: str, **body: Any) -> None:
        self._seq += 1
        clock = self.loop.clock
        row = [self._seq, lane, source, what, clock.mono, clock.wall, 2, 0, body]
        assert self.field.client is not None
        await self.field.client.call("submit", events=[row])

    def status(self) -> dict[str, Any]:
        return self.loop.service.status_of("arc")


@contextlib.asynccontextmanager
async def site(world: World, ports: list[int], **settings: Any) -> AsyncIterator[Site]:
    receivers = tuple(("127.0.0.1", port) for port in ports)
    given = {**SETTINGS, "receivers": receivers, **settings}
    plan = dataclasses.replace(make_plan(), couriers=(Courier("arc", "dc09", given),))
    world.plan_bytes = encode_plan(plan)
    world.plan_path.write_bytes(world.plan_bytes)
    async with InLoop(world) as loop:
        field = FieldEnd()
        await field.join(world)
        stop = asyncio.Event()
        courier = dc09.Courier(
            dc09.read_task(world.plan_path, "arc"), world.socket, random.Random(1)
        )
        running = asyncio.create_task(courier.run(stop))
        try:
            yield Site(loop, field)
        finally:
            stop.set()
            await running


@pytest.mark.parametrize(
    ("transport", "form", "key"),
    [("tcp", "sia-dcs", ""), ("tcp", "adm-cid", KEY), ("udp", "sia-dcs", KEY)],
)
def test_a_fire_is_received_and_the_place_moves(
    transport: str, form: str, key: str, tmp_path: Path
) -> None:
    key_file = tmp_path / "arc.key"
    key_file.write_text(key.encode().hex() + "\n")

    async def test() -> None:
        world = World()
        receiver = Receiver(udp=transport == "udp", key=key or None)
        await receiver.start()
        given = {"transport": transport, "format": form, "key_file": str(key_file) if key else ""}
        async with site(world, [receiver.port], **given) as s:
            await s.loop.until(lambda: s.status()["connected"], 15)
            await s.say("fire", "point/101", "point", **{"from": 0, "to": 1, "value": 61.5})
            await s.say("event", "point/102", "point", **{"from": 0, "to": 8})
            await s.loop.until(lambda: s.status()["waiting"] == 0, 15)
            codes = receiver.codes()
            assert codes[0] in ("FA", "KA")
            assert len(codes) == 2
            first = receiver.events[0]
            zone = first.ri if form == "adm-cid" else (first.message or "")[:4]
            assert zone is not None
            assert int(zone) == 17
            assert first.encrypted == bool(key)
        receiver.stop()
        world.close()

    run(test, 40)


def test_the_stand_by_receiver_takes_the_fire_when_the_main_one_is_gone() -> None:
    async def test() -> None:
        world = World()
        main, stand_by = Receiver(udp=False, key=None), Receiver(udp=False, key=None)
        await main.start()
        await stand_by.start()
        async with site(world, [main.port, stand_by.port]) as s:
            await s.loop.until(lambda: s.status()["connected"], 15)
            main.stop()
            await s.say("fire", "point/101", "point", **{"from": 0, "to": 1})
            await s.loop.until(lambda: s.status()["waiting"] == 0, 15)
            assert stand_by.codes() in (["KA"], ["FA"]) or main.codes()
            assert len(stand_by.codes()) + len(main.codes()) == 1
        stand_by.stop()
        world.close()

    run(test, 40)


def test_two_receivers_that_are_gone_are_one_fault_with_one_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And not another one with every attempt."""
    monkeypatch.setattr(post, "POST_RECONNECT_NS_MAX", POST_RECONNECT_NS_MIN)
    monkeypatch.setattr(post, "POST_GRACE_NS", 0)
    came: list[bool] = []

    async def closes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        came.append(True)
        await reader.read(65_536)
        writer.close()

    async def test() -> None:
        world = World()
        stand_by = await asyncio.start_server(closes, "127.0.0.1", 0)
        port = stand_by.sockets[0].getsockname()[1]
        gone = Receiver(udp=False, key=None)
        await gone.start()
        gone.stop()
        async with site(world, [gone.port, port]) as s:
            await s.loop.until(lambda: len(came) == 6, 20)
            texts = [n["text"] for n in s.field.notices if n["source"] == "courier.arc"]
            assert 1 <= len(texts) <= 4, "the courier's absence, and as each is met at first"
            assert f":{port}: the other end closed the connection" in texts[-1]
            assert texts[-1].count("127.0.0.1:") >= 2, "both of them"
            said = s.loop.service._couriers._said._waiting
            assert said[("arc", "failover")][1] == 2, said
        stand_by.close()
        world.close()

    run(test, 40)


def test_a_key_file_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(SettingsProblem, match="cannot be read"):
        dc09.read_key(str(tmp_path / "missing"))
    bad = tmp_path / "bad.key"
    bad.write_text("00" * 15)
    with pytest.raises(SettingsProblem, match="32, 48 or 64"):
        dc09.read_key(str(bad))
