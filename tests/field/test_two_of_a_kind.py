"""A second process started by mistake must not take anything from the first."""

from __future__ import annotations

import asyncio

from field_world import field_world


def test_a_second_field_process_leaves_the_first_its_socket_and_its_sirens() -> None:
    async def story() -> None:
        async with field_world() as world, asyncio.timeout(30):
            await world.start()
            await world.normal()
            world.building.set_point("inputs.knock", 1)
            await world.building.wait_output("stair_a", on=True)
            first = world.process
            assert first is not None
            inode = (world.home / "field.sock").stat().st_ino
            await world.start()
            second, world.process = world.process, first
            assert second is not None
            try:
                assert await asyncio.wait_for(second.wait(), 10) == 1
            finally:
                if second.returncode is None:
                    second.kill()
            assert (world.home / "field.sock").stat().st_ino == inode
            assert "fire" in await world.flags()
            await world.kill()  # the dead holder's lock is nobody's
            await world.start()
            while "fire" not in await world.flags():  # until it has polled
                await asyncio.sleep(0.02)

    asyncio.run(story())
