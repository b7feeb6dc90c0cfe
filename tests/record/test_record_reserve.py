"""A disk that something else filled: events go on from the reserve, telemetry waits for room."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

from world_record import FieldEnd, InLoop, World, block_at, event_at

from agent.record.ring import Db, Entry
from agent.record.sealer import EpochPlace
from agent.record.store import Store
from config.limits import RESERVE_BYTES, RESERVE_LOOK_NS, S


class Disk:
    """So many bytes for one directory, as a file system of its own would have."""

    def __init__(self, size: int) -> None:
        self.size = size

    def free(self, directory: Path) -> int:
        return self.size - sum(file.stat().st_size for file in directory.iterdir())

    def store(self, path: Path) -> Store:
        disk = self

        class Full(Store):
            def append(self, entries: Sequence[Entry], epochs: Iterable[EpochPlace] = ()) -> None:
                if disk.free(self.path.parent) <= 0:
                    error = sqlite3.OperationalError("database or disk is full")
                    error.sqlite_errorcode = sqlite3.SQLITE_FULL
                    raise error
                super().append(entries, epochs)

        return Full(path)


def test_events_go_on_when_the_disk_is_full_and_telemetry_when_there_is_room_again(
    world: World,
) -> None:
    async def run() -> None:
        disk, field = Disk(4 * RESERVE_BYTES), FieldEnd()
        reserve = world.state / "record" / "reserve"
        filler = world.state / "record" / "filler"
        async with InLoop(world, disk.store, free=disk.free) as loop:
            await field.join(world)
            assert field.client is not None
            await loop.until(reserve.exists)
            assert reserve.stat().st_blocks * 512 >= RESERVE_BYTES, "room, not a hole"
            with filler.open("wb") as file:
                file.truncate(disk.free(filler.parent))
            await field.client.call("submit", events=[event_at(loop.clock, 1, "fire")])
            await loop.until(lambda: field.durable == 1)
            assert not reserve.exists()
            assert "reserve keeps events" in loop.service.faults["record.disk"]

            await field.client.call("telemetry", blocks=[block_at(loop.clock, 1)], dropped={})
            loop.clock.move(11)
            await field.client.call("submit", events=[event_at(loop.clock, 2)])
            await loop.until(lambda: field.durable == 2)
            assert loop.ring.pending(Db.TELEMETRY) == 1, "what is left is for events"

            loop.clock.move(RESERVE_LOOK_NS / S)
            await field.client.call("submit", events=[event_at(loop.clock, 3)])
            await loop.until(lambda: field.durable == 3)
            assert not reserve.exists(), "there is no room for it yet"

            filler.unlink()
            loop.clock.move(RESERVE_LOOK_NS / S)
            await loop.until(lambda: field.telemetry_durable == 1)
            assert reserve.exists()
            assert "record.disk" not in loop.service.faults

    asyncio.run(run())
