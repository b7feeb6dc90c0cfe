"""Field and record, real, killed in the middle of an alarm: what people did to it stays done."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from field_world import SITE, FieldWorld, field_world

from firmware_tools.keys import create_keys

WITH_HANDS = (
    SITE.replace(
        "  relays:",
        "  rooms:\n    link: control\n    unit: 2\n    poll: 100ms\n    points:\n"
        "      cellar: {{register: discrete 0, kind: contact, state: fire, active: 1}}\n"
        "      attic: {{register: discrete 1, kind: contact, state: fire, active: 1}}\n"
        "      ack: {{register: discrete 2, kind: contact, state: activated, active: 1}}\n"
        "  relays:",
    )
    .replace("sirens:", "  cellar: {{points: [rooms.cellar], alarm: any}}\n"
             "  attic: {{points: [rooms.attic], alarm: any}}\nsirens:")
    + "  - {{when: {{zone: cellar, state: fire}}, sound: [stair_b]}}\n"
    "  - {{when: {{zone: attic, state: fire}}, sound: [stair_b]}}\n"
    "signals:\n  buzzer: {{kind: buzzer, device: relays, coil: 2, means: fire}}\n"
    "inputs:\n  ack: {{role: acknowledge, point: rooms.ack}}\n"
)  # fmt: skip


class Gateway:
    """A field process with its record."""

    def __init__(self, world: FieldWorld) -> None:
        self.world = world
        self.building = world.building
        self.record: asyncio.subprocess.Process | None = None

    async def start_record(self) -> None:
        home = str(self.world.home)
        self.record = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.cli.main", "record", "--plan", f"{home}/plan.cbor",
            "--run", home, "--state", f"{home}/state", "--keys", f"{home}/keys",
            env={k: v for k, v in os.environ.items() if k != "NOTIFY_SOCKET"},
        )  # fmt: skip

    async def kill_record(self) -> None:
        if self.record is not None and self.record.returncode is None:
            self.record.kill()
            await self.record.wait()

    async def status(self, so: Callable[[dict[str, Any], dict[str, Any]], Any]) -> dict[str, Any]:
        """The status when `so(status, gateway)` holds."""

        async def look() -> dict[str, Any] | None:
            reply = await self.world.ask("status")
            if reply is None or not so(reply["status"], reply["gateway"]):
                return None
            found: dict[str, Any] = reply["status"]
            return found

        found: dict[str, Any] = await self.world.until(look)
        return found

    async def kept(self) -> None:
        """Until the record has all that the field process said, and the state of its alarms."""
        await self.status(
            lambda _, g: g["record_connected"] and g["alarm_state_kept"] and not g["events_waiting"]
        )

    async def again(self, so: Callable[[dict[str, Any], dict[str, Any]], Any]) -> dict[str, Any]:
        """The field process killed and started: the status when it knows all, and `so` holds."""
        await self.world.kill()
        await self.world.start()
        return await self.status(
            lambda s, g: g["record_connected"] and not s["not_ready"] and so(s, g)
        )


@contextlib.asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    async with field_world(WITH_HANDS) as world:
        (world.home / "state").mkdir()
        create_keys(world.home / "keys", "device")
        one = Gateway(world)
        try:
            await one.start_record()
            await world.start()
            await world.normal()
            await one.kept()
            yield one
        finally:
            await one.kill_record()


def story(tell: Callable[[Gateway], Awaitable[None]], wait_s: float = 40) -> None:
    async def run() -> None:
        async with asyncio.timeout(wait_s), gateway() as one:
            await tell(one)

    asyncio.run(run())


def ordered(status: dict[str, Any]) -> dict[str, Any]:
    return {o["name"]: o["pattern"] for o in status["outputs"] if o["on"]}


async def _seen_and_silenced(one: Gateway) -> None:
    """A fire, acknowledged with the key on the wall while the record is dead, and silenced."""
    building, world = one.building, one.world
    await world.ask("disable", target="zone/attic", duration_ns=3_600 * 10**9, why="welding")
    building.set_point("inputs.knock", 1)
    await building.wait_output("stair_a", on=True)
    await building.wait_output("buzzer", on=True)
    await one.kept()
    await one.kill_record()
    building.set_point("rooms.ack", 1)
    await one.status(lambda s, _: s["unacknowledged"] == 0)
    building.set_point("rooms.ack", 0)
    assert (await world.ask("silence"))["record"]["verb"] == "silence"
    await building.wait_output("stair_a", on=False)
    await building.wait_output("buzzer", on=False)
    await one.start_record()
    await one.kept()

    status = await one.again(lambda s, _: s["alarms"] and s["disabled"])
    assert status["silenced"]
    assert status["first_alarm"]["name"] == "inputs.knock"
    assert (status["unacknowledged"], status["alarm_count"]) == (0, 1)
    assert [(d["target"], d["why"]) for d in status["disabled"]] == [("zone/attic", "welding")]
    assert ordered(status) == {}


async def _the_next_one(one: Gateway) -> None:
    """What is disabled sounds nothing; the next fire sounds everything again."""
    building, world = one.building, one.world
    building.set_point("rooms.attic", 1)
    building.set_point("rooms.cellar", 1)
    await building.wait_output("stair_b", on=True)
    status = await one.status(lambda s, _: s["alarms"] == 2)
    assert set(ordered(status)) == {"stair_a", "stair_b", "buzzer"}
    assert status["unacknowledged"] == 1
    for point in ("inputs.knock", "rooms.cellar"):
        building.set_point(point, 0)
    await world.until(lambda: _cleared(world))


async def _cleared(world: FieldWorld) -> bool:
    """A reset that found everything well."""
    reply = await world.ask("reset")
    return bool(reply) and reply["status"]["alarms"] == 0


async def _manual(one: Gateway) -> None:
    """A manual alarm that was seen: its sirens sound on, its buzzer does not ring again."""
    building, world = one.building, one.world
    reply = await world.ask("manual", why="smoke on the stairs")
    assert reply["record"]["why"] == "smoke on the stairs"
    await building.wait_output("buzzer", on=True)
    await world.ask("acknowledge")
    await building.wait_output("buzzer", on=False)
    await one.kept()
    status = await one.again(lambda s, _: s["manual"])
    assert set(ordered(status)) == {"stair_a", "stair_b"}
    assert status["unacknowledged"] == 0


@pytest.mark.timeout(60)
def test_what_people_did_stays_done_over_kills_of_record_and_field() -> None:
    async def tell(one: Gateway) -> None:
        await _seen_and_silenced(one)
        await _the_next_one(one)
        await _manual(one)

    story(tell)
