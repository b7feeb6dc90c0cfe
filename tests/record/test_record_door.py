"""The record's socket while its disk does not answer: a fire is not kept waiting."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator

import pytest
from test_slow_recall import Hearer
from world_record import CourierEnd, InLoop, World, run

from agent.boot import boot_id
from agent.core.types import ClockState, Now, Record
from agent.field.recordlink import RecordLink
from agent.ipc import Refused
from agent.record.process import listen
from agent.record.store import Store
from agent.record.survey import Survey
from config.words import Lane


class HungStore(Store):
    """A file that opens when it is let."""

    let = threading.Event()

    def open(self, *, check: bool = True) -> Survey:
        assert self.let.wait(20)
        return super().open(check=check)


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    HungStore.let = threading.Event()
    yield made
    HungStore.let.set()
    made.close()


def test_a_disk_that_hangs_from_the_start_holds_no_fire_back_and_is_waited_for_without_one(
    world: World,
) -> None:
    async def test() -> None:
        loop, hearer, end = InLoop(world, HungStore), Hearer(), CourierEnd()
        opening = asyncio.create_task(listen(loop.service))
        link = RecordLink(world.socket, os.urandom(16), boot_id(), hearer, time.monotonic_ns)
        linking = asyncio.create_task(link.run())
        following = asyncio.create_task(end.join(world))
        person = await world.connect()
        with pytest.raises(Refused, match="has not answered"):
            await person.call("status")
        assert not opening.done()  # nothing urgent: the disk has its time

        began = time.monotonic()
        now = Now(time.monotonic_ns(), time.time_ns(), ClockState.SYNCHRONISED)
        link.events.add(Record(Lane.FIRE, "point/101", "point", now.mono_ns, {"to": 1}), now)
        server = await opening
        await following
        await loop.until(lambda: any(o.batch.lane == "fire" for o in end.order))
        assert time.monotonic() - began < 1.0
        assert link.events.fires == 1  # told, and not durable: it is kept
        status = await person.call("status")
        assert any(source.startswith("record.") for source in status["faults"])

        # The disk comes to life: this record ends, and the next one waits for it, fire or not.
        HungStore.let.set()
        await loop.until(loop.service.ended.is_set)
        linking.cancel()
        await asyncio.gather(linking, return_exceptions=True)
        await server.stop()
        await loop.service.stop()
        HungStore.let = threading.Event()
        again = InLoop(world, HungStore)
        opening = asyncio.create_task(listen(again.service))
        field = await world.connect()
        hello = asyncio.create_task(
            field.call("hello", session=os.urandom(16), boot=boot_id(), fires=1)
        )
        done, _ = await asyncio.wait((opening,), timeout=0.8)
        assert not done
        HungStore.let.set()
        server = await opening
        assert (await hello)["durable"] == 0
        assert not again.service.faults
        await server.stop()
        await again.service.stop()

    run(test)
