"""Bytes written a day: the kernel's count at the pace of the last day."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from world_record import FieldEnd, InLoop, World, call, event_at, run

from agent.record.wear import Wear, written_bytes
from config.limits import WEAR_LOOK_NS, WEAR_LOOKS_KEPT, S

DAY_NS = 86_400 * S


def test_the_pace_is_that_of_the_last_day() -> None:
    count = 5_000
    wear = Wear(0, lambda: count)
    wear.look(0)
    assert wear.status(S) == {"written_bytes": 5_000, "written_day_bytes": 0}
    for n in range(1, 3 * 144 + 1):
        count += 1_000 if n > 200 else 50_000
        wear.look(n * WEAR_LOOK_NS)
    said = wear.status(3 * DAY_NS)
    assert said["written_bytes"] == count
    assert said["written_day_bytes"] == 144_000
    assert WEAR_LOOKS_KEPT * WEAR_LOOK_NS >= DAY_NS


def test_where_nobody_counts_nothing_is_claimed() -> None:
    wear = Wear(0, lambda: None)
    wear.look(0)
    assert wear.status(DAY_NS) == {"written_bytes": 0, "written_day_bytes": 0}


def test_the_kernel_counts_what_is_written_to_a_disk() -> None:
    before = written_bytes()
    assert before is not None
    with tempfile.NamedTemporaryFile(dir=Path(__file__).parent) as file:
        file.write(bytes(1 << 20))
        file.flush()
        os.fsync(file.fileno())
    after = written_bytes()
    assert after is not None
    assert after >= before


def test_the_status_says_it(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            await call(field, "submit", events=[event_at(loop.clock, 1)])
            await loop.until(lambda: field.durable == 1)
            loop.clock.move(WEAR_LOOK_NS / S)
            store = (await call(field, "status"))["store"]
            assert {"written_bytes", "written_day_bytes"} <= store.keys()
            assert store["written_day_bytes"] >= 0

    run(test)
