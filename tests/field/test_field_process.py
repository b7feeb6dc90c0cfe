"""The field process, real: sirens over a kill, without a record, with hostile neighbours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from field_world import FieldWorld, field_world

from config.limits import SAFE_MODE_CRASHES


def in_world(story: Callable[[FieldWorld], Awaitable[None]], wait_s: float = 30) -> None:
    async def run() -> None:
        async with field_world() as world:
            async with asyncio.timeout(wait_s):
                await story(world)

    asyncio.run(run())


async def burning(world: FieldWorld) -> None:
    await world.start()
    await world.normal()
    world.building.set_point("inputs.knock", 1)
    await world.building.wait_output("stair_a", on=True)
    await world.building.wait_output("stair_b", on=True)


def test_a_contact_sounds_the_sirens_with_no_record_at_all() -> None:
    async def story(world: FieldWorld) -> None:
        await burning(world)
        assert "fire" in await world.flags()

    in_world(story)


def test_it_tells_the_service_manager_that_it_is_ready_and_alive() -> None:
    async def story(world: FieldWorld) -> None:
        await world.start()
        await world.told("READY=1")
        await world.told("WATCHDOG=1")
        await world.told("WATCHDOG=1")

    in_world(story)


def test_a_siren_sounds_again_after_a_kill_and_a_board_that_forgot() -> None:
    async def story(world: FieldWorld) -> None:
        await burning(world)
        await world.kill()
        # The board lost its power too, and the cause is gone: only the latch can know.
        world.building.set_point("inputs.knock", 0)
        board = world.building.device("relays")
        assert world.building.registers.write(board, 1, 0, [0, 0])
        await world.start()
        await world.building.wait_output("stair_a", on=True)
        await world.building.wait_output("stair_b", on=True)

    in_world(story)


def test_silence_stops_the_sirens_keeps_the_fire_and_a_new_alarm_sounds_again() -> None:
    async def story(world: FieldWorld) -> None:
        await burning(world)
        await world.ask("silence")
        await world.building.wait_output("stair_a", on=False)
        assert "fire" in await world.flags()
        world.building.set_point("inputs.heat", 90.0)
        await world.building.wait_output("stair_a", on=True)

    in_world(story)


def test_reset_is_refused_by_what_still_burns_and_clears_what_does_not() -> None:
    async def story(world: FieldWorld) -> None:
        await burning(world)
        await world.ask("reset")
        assert "fire" in await world.flags()
        world.building.set_point("inputs.knock", 0)

        async def cleared() -> bool:
            reply = await world.ask("reset")
            return bool(reply) and "fire" not in reply["status"]["flags"]

        await world.until(cleared)
        await world.building.wait_output("stair_a", on=False)

    in_world(story)


def test_a_start_after_too_many_crashes_is_safe_mode_and_still_sounds() -> None:
    async def story(world: FieldWorld) -> None:
        for _ in range(SAFE_MODE_CRASHES):
            await world.start()
            await world.until(lambda: world.ask("status"))
            await world.kill()
        await world.start()
        reply = await world.until(lambda: world.ask("status"))
        assert reply["gateway"]["safe_mode"]
        world.building.set_point("inputs.knock", 1)
        await world.building.wait_output("stair_a", on=True)

    in_world(story, wait_s=60)


def test_hostile_bytes_and_requests_on_the_control_socket_do_not_touch_the_siren() -> None:
    async def story(world: FieldWorld) -> None:
        await world.start()
        await world.normal()
        path = str(world.home / "field.sock")
        for data in (b"\xff" * 64, b"\x00\x00\x00\x03\xff\xff\xff", b"\x7f\xff\xff\xff" * 4):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(data)
            await writer.drain()
        for args in ({"first": -1}, {"count": 10**9}, {"first": "x"}):
            assert await world.ask("points", **args) is None
        world.building.set_point("inputs.knock", 1)
        await world.building.wait_output("stair_a", on=True)

    in_world(story)
