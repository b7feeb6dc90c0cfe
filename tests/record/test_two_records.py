"""Two records on one journal would fork its chains: the second does not start."""

from __future__ import annotations

import asyncio

from world_record import World


def test_a_second_record_leaves_the_first_its_journal_and_its_socket() -> None:
    async def story(world: World) -> None:
        world.start()
        (await world.connect()).close()
        first = world.process
        inode = world.socket.stat().st_ino
        try:
            world.start()
            assert world.process is not None
            assert world.process.wait(10) == 1
            assert "another record process" in (world.root / "log").read_text()
        finally:
            second, world.process = world.process, first
            if second is not None and second is not first and second.poll() is None:
                second.kill()
                second.wait()
        assert world.socket.stat().st_ino == inode
        (await world.connect()).close()

    world = World()
    try:
        asyncio.run(asyncio.wait_for(story(world), 30))
    finally:
        world.close()
