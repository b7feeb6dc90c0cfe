"""Record, courier and a simulated centre over real sockets: a fire gets there, and is told once."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import random
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
import pytest
from world_record import ROOT, FieldEnd, InLoop, World, block_at, make_plan, verify

from agent.courier import gb26875
from agent.ipc import Client, Refused, Server, system_policy
from config.plan import Courier
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import Command
from drivers.simulator.centre import Centre

SETTINGS = {
    "host": "127.0.0.1", "source": 889, "destination": 88_888, "transport": "tcp",
    "beat": "empty", "beat_ns": 20 * 10**9, "reply_ns": 10**9, "resends": 3, "user_version": 1,
    "system_type": 1, "system": 1, "offset_s": 28_800, "time_tags": "binary", "tags": "standard",
    "frame_bytes": 1024, "pad": "zero", "prealarm": "supervisory", "values": False,
    "addresses": {"d0.p1": 0x0011_0003, "room": 0x0011_0000},
}  # fmt: skip


class Site:
    """A record in this loop, with a centre and its courier."""

    def __init__(self, loop: InLoop, centre: Centre, field: FieldEnd) -> None:
        self.loop, self.centre, self.field = loop, centre, field
        self._seq = 0
        self._stop = asyncio.Event()
        self._running: asyncio.Task[None] | None = None

    def start_courier(self) -> None:
        task = gb26875.read_task(self.loop.world.plan_path, "city")
        self._stop = asyncio.Event()
        self.courier = gb26875.Courier(task, self.loop.world.socket, random.Random(1))
        self._running = asyncio.create_task(self.courier.run(self._stop))

    async def stop_courier(self) -> None:
        self._stop.set()
        if self._running is not None:
            await self._running

    async def say(self, lane: str, source: str, what: str, mono_ns: int = 0, **body: Any) -> None:
        self._seq += 1
        clock = self.loop.clock
        row = [self._seq, lane, source, what, mono_ns or clock.mono, clock.wall, 2, 0, body]
        assert self.field.client is not None
        await self.field.client.call("submit", events=[row])

    def numbers(self, status: int) -> list[int]:
        return [o.number for o in self.centre.units(2) if o.status == status]

    async def until(self, true: Callable[[], bool]) -> None:
        await self.loop.until(true, 15)

    def status(self) -> dict[str, Any]:
        return self.loop.service.status_of("city")


@contextlib.asynccontextmanager
async def site(world: World, centre: Centre, **settings: Any) -> AsyncIterator[Site]:
    await centre.start()
    given = {**SETTINGS, "port": centre.port, **settings}
    couriers = (Courier("platform", "mqtt"), Courier("city", "gb26875", given))
    plan = dataclasses.replace(make_plan(), couriers=couriers)
    world.plan_bytes = gb26875_plan(plan)
    world.plan_path.write_bytes(world.plan_bytes)
    async with InLoop(world) as loop:
        field = FieldEnd()
        await field.join(world)
        made = Site(loop, centre, field)
        made.start_courier()
        try:
            yield made
        finally:
            await made.stop_courier()
            centre.stop()


def gb26875_plan(plan: Any) -> bytes:
    from config.plan import encode_plan  # noqa: PLC0415 -- beside its use

    return encode_plan(plan)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_fire_reaches_the_centre_and_only_its_own_place_moves(transport: str) -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre(), transport=transport) as s:
            await s.until(lambda: s.status()["connected"])
            await s.say("fire", "point/101", "point", 0, **{"from": 0, "to": 1, "value": 61.5})
            await s.say("event", "point/102", "point", 0, **{"from": 0, "to": 2})
            await s.until(lambda: s.status()["waiting"] == 0)
            assert s.numbers(gb.STATUS_NORMAL | gb.STATUS_FIRE) == [0x0011_0003]
            assert s.numbers(gb.STATUS_NORMAL | gb.STATUS_SUPERVISORY) == [102]
            assert s.loop.service.status_of("platform")["waiting"] > 0
            held = s.loop.service.status_of("platform")["waiting"]

            # Another courier process, and another record: nothing is told a second time.
            told = len(s.centre.units(2))
            await s.stop_courier()
            s.start_courier()
            await s.until(lambda: s.status()["connected"])
            await s.say("event", "point/103", "point", 0, **{"from": 0, "to": 8})
            await s.until(lambda: s.status()["waiting"] == 0)
            assert len(s.centre.units(2)) == told + 1
            assert s.loop.service.status_of("platform")["waiting"] > held
        async with InLoop(world) as again:
            assert again.service.status_of("city")["waiting"] == 0
            assert again.service.status_of("platform")["waiting"] > 0
        assert verify(world.state)[0] == 0
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_a_silent_centre_is_a_fault_and_the_fire_gets_there_when_it_answers() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre(mode="silent")) as s:
            await s.say("fire", "point/101", "point", 0, **{"from": 0, "to": 1})
            fault = "does not"
            await s.until(lambda: any(
                n["source"] == "courier.city" and n["fault"] and fault in n["text"]
                for n in s.field.notices
            ))  # fmt: skip
            s.centre.mode = "confirm"
            await s.until(lambda: s.status()["waiting"] == 0 and s.status()["connected"])
            assert set(s.numbers(3)) == {0x0011_0003}
            assert s.field.notices[-1]["fault"] is False
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_a_connection_that_the_centre_closes_is_made_again_and_no_fault() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"] and bool(s.centre.frames))
            s.centre.frames = []
            s.centre.drop()
            await s.until(lambda: s.centre.connections == 2 and bool(s.centre.frames))
            await s.say("event", "point/102", "point", **{"from": 0, "to": 8})
            await s.until(lambda: s.status()["waiting"] == 0)
            assert not [n for n in s.field.notices if n["source"] == "courier.city" and n["fault"]]
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_a_fire_does_not_wait_for_the_next_attempt_to_connect() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            post = s.courier._post
            s.centre.stop()
            pause = asyncio.create_task(post._pause(3_600 * 10**9))
            await asyncio.sleep(0)
            assert not pause.done()
            await s.say("fire", "point/101", "point", **{"from": 0, "to": 1})
            await s.until(pause.done)
            await pause
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_the_answer_of_the_site_passes_a_backlog() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            s.centre.ask(Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
            await s.until(lambda: "city" in s.loop.service.told.duty)
            s.centre.mode = "silent"  # to what is sent; the backlog stays
            for number in range(40):
                await s.say("event", "point/102", "point", **{"from": 0, "to": 8 * (number % 2)})
            s.centre.mode = "confirm"
            source, later_ns = "duty/city", 2**62
            await s.say("event", source, "duty", later_ns, name="city", state="answered")
            await s.until(lambda: s.status()["waiting"] == 0)
            kinds = [f.data[0] for f in s.centre.frames if f.command == Command.SEND and f.data]
            assert kinds.count(2) >= 40
            assert kinds.index(24) < 10
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_the_centre_asks_and_the_site_answers() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            s.centre.ask(Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
            asked = s.loop.service.told.duty
            await s.until(lambda: "city" in asked)
            s.centre.ask(Command.REQUEST, gb.Unit(62, (gb.ReadComponent(1, 1, 0x0011_0003),)))
            await s.until(lambda: 1 in [o.status for o in s.centre.units(2)])
            await s.say("event", "operator", "operator", 1, verb="duty", who="old")
            assert "city" in asked, "an answer from before the question is none"
            later_ns = 2**62
            await s.say("event", "operator", "operator", later_ns, verb="duty", who="guard")
            await s.until(lambda: not asked)
            await s.until(lambda: bool(s.centre.units(24)))
            assert s.centre.units(24)[-1].flags == gb.OPERATION_DUTY_ANSWER
            await s.until(lambda: s.field.durable == 2 and s.status()["waiting"] == 0)
            s.loop.clock.move(11)
            assert s.field.client is not None
            said: set[str] = set()
            async with asyncio.timeout(10):
                while not {"duty_check", "duty_answered"} <= said:
                    s.loop.service.tick()
                    await asyncio.sleep(0.01)
                    try:
                        rows = (await s.field.client.call("log", lane="event"))["rows"]
                    except Refused:  # a write was under way when the test's clock leapt
                        continue
                    said = {r[7].get("event", "") for row in rows for r in row["records"]}
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_a_question_of_the_centre_outlives_the_courier_that_passed_it_on() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            s.centre.ask(Command.CONTROL, gb.Unit(91, (gb.DutyCheck(10),)))
            asked = s.loop.service.told.duty
            await s.until(lambda: "city" in asked)
            text = asked["city"]
            await s.stop_courier()
            await s.until(lambda: not asked)
            s.start_courier()
            await s.until(lambda: asked.get("city") == text)
            await s.say("event", "duty/city", "duty", 2**62, name="city", state="answered")
            await s.until(lambda: bool(s.centre.units(24)))
            assert s.centre.units(24)[-1].flags == gb.OPERATION_DUTY_ANSWER
            await s.until(lambda: not asked)
            await s.stop_courier()
            s.start_courier()
            await s.until(lambda: s.status()["connected"])
            assert not asked, "it is over"
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_a_centre_that_asks_for_a_value_gets_what_was_read_last() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            await s.say("event", "point/101", "point", 0, **{"from": 0, "to": 2, "value": 61.5})
            await s.until(lambda: s.status()["waiting"] == 0)
            block = block_at(s.loop.clock, 1)
            block[5] = np.array([20.0, 23.5, 24.0, 25.0, 26.0], "<f8").tobytes()
            block[6] = bytes([0, 0, 2, 0, 0])
            assert s.field.client is not None
            await s.field.client.call("telemetry", blocks=[block], dropped={})
            asks = tuple(gb.ReadComponent(1, 1, n) for n in (0x0011_0003, 102, 103))
            s.centre.ask(Command.REQUEST, gb.Unit(63, asks))
            await s.until(lambda: bool(s.centre.units(3)))
            # 102 is not good and never had a value; 103 was never in a record, and is read.
            told = [(o.number, o.value) for o in s.centre.units(3)]
            assert told == [(0x0011_0003, 235), (103, 250)]
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_what_a_centre_does_while_the_record_is_away_is_put_on_record_later() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            await s.loop.server.stop()
            await s.until(lambda: not s.status()["following"])
            s.centre.ask(Command.CONTROL, gb.Unit(89, (gb.ReadDevice(),)))
            await s.until(lambda: len(s.courier._post.follower._events) > 0)
            s.loop.server = Server(world.socket, s.loop.service.verbs(), system_policy())
            await s.loop.server.start()
            await s.until(lambda: ("city", "initialise") in s.loop.service._couriers._said._waiting)
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_the_word_of_a_courier_moves_no_place_that_must_be_signed() -> None:
    async def test() -> None:
        world = World()
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            epoch = s.loop.service._place.epoch
            client = await Client.connect(world.socket)
            await client.call("follow", courier="platform")
            for lane, code in (("epoch", "signed"), ("fire", "signed")):
                with pytest.raises(Refused) as refused:
                    await client.call("delivered", epoch=epoch, lane=lane, seq=0)
                assert refused.value.code == code
            client.close()
            await s.stop_courier()
            client = await Client.connect(world.socket)
            await client.call("follow", courier="city")
            for place, code in (((epoch, "fire", 5), "future"), ((b"x" * 8, "fire", 0), "unknown")):
                with pytest.raises(Refused) as refused:
                    await client.call("delivered", epoch=place[0], lane=place[1], seq=place[2])
                assert refused.value.code == code
            with pytest.raises(Refused) as refused:
                await client.call("ack", message=b"")
            assert refused.value.code == "unsigned"
            with pytest.raises(Refused):
                await client.call("courier_event", event="x" * 99, body={})
            with pytest.raises(Refused):
                await client.call("courier_notice", topic="siren", text="")
            client.close()
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_a_new_centre_does_not_hear_of_old_fires() -> None:
    async def test() -> None:
        world = World()
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            clock = loop.clock
            row = [1, "fire", "point/101", "point", clock.mono, clock.wall, 2, 0,
                   {"from": 0, "to": 1}]  # fmt: skip
            assert field.client is not None
            await field.client.call("submit", events=[row])
            await loop.until(lambda: field.durable == 1)
        async with site(world, Centre()) as s:
            await s.until(lambda: s.status()["connected"])
            await s.say("event", "point/103", "point", 0, **{"from": 0, "to": 8})
            await s.until(lambda: s.status()["waiting"] == 0)
            assert [o.number for o in s.centre.units(2)] == [103]
            s.centre.ask(Command.REQUEST, gb.Unit(61, (gb.ReadSystem(1, 1),)))
            await s.until(lambda: len(s.centre.units(1)) > 1)
            assert s.centre.units(1)[-1].status & gb.STATUS_FIRE, "but what stands it may ask for"
        world.close()

    asyncio.run(asyncio.wait_for(test(), 40))


def test_the_process_has_no_cryptography_no_numpy_and_no_database() -> None:
    code = (
        "import sys, agent.courier.gb26875; "
        "print([m for m in ('cryptography', 'numpy', 'sqlite3', 'paho') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, timeout=30
    )
    assert done.stdout.decode().strip() == "[]"
