"""A disk that is slow or damaged at the start is not a building without a fire."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from world_record import InLoop, World

from agent.clock import boot_id
from agent.core.memory import MemoryDamagedError, decode
from agent.core.types import Command, Delivery, DutyCheck, Notice
from agent.field.recordlink import RecordLink
from agent.record.alarm_state import AlarmStateFiles


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def run(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 30))


class Hearer:
    def __init__(self) -> None:
        self.states: list[bytes] = []
        self.notices: list[Notice] = []

    def recalled(self, alarm_state: bytes) -> None:
        self.states.append(alarm_state)

    def notice(self, notice: Notice) -> None:
        self.notices.append(notice)

    def delivery(self, delivery: Delivery) -> None:
        """Not of interest here."""

    def duty(self, check: DutyCheck) -> None:
        """Nobody asks."""

    def command(self, command: Command) -> None:
        """Nobody orders."""


def test_a_disk_that_answers_late_still_tells_of_the_fire_before_the_power_cut(
    world: World,
) -> None:
    directory = world.state / "record"
    directory.mkdir()
    AlarmStateFiles(directory).write(b"fire on the third floor")
    whole = (directory / "alarm-state.a").read_bytes()
    for name in ("alarm-state.a", "alarm-state.b"):
        (directory / name).unlink()
    os.mkfifo(directory / "alarm-state.a")  # whoever opens it waits, as with a disk that hangs

    async def test() -> None:
        async with InLoop(world) as loop:
            hearer = Hearer()
            link = RecordLink(world.socket, os.urandom(16), boot_id(), hearer, loop.clock.mono_ns)
            task = asyncio.create_task(link.run())
            await loop.until(lambda: link.connected)
            link.keep(b"nothing known of any fire")
            status = await (await world.connect()).call("status")
            assert status["ok"]
            assert hearer.states == []  # neither a fire nor none
            await asyncio.to_thread((directory / "alarm-state.a").write_bytes, whole)
            await loop.until(lambda: bool(hearer.states))
            assert hearer.states == [b"fire on the third floor"]
            # Only now does what the field knows replace it.
            await loop.until((directory / "alarm-state.b").exists)
            assert AlarmStateFiles(directory).read() == b"nothing known of any fire"
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    run(test)


def test_both_copies_damaged_is_a_fault_that_says_what_may_be_forgotten(world: World) -> None:
    directory = world.state / "record"
    directory.mkdir()
    AlarmStateFiles(directory).write(b"fire on the third floor")
    for name in ("alarm-state.a", "alarm-state.b"):
        _flip(directory / name)

    async def test() -> None:
        async with InLoop(world):
            client = await world.connect()
            hello = await client.call("hello", session=os.urandom(16), boot=boot_id())
            with pytest.raises(MemoryDamagedError):
                decode(hello["state"])
            status = await client.call("status")
            assert "check the building" in status["faults"]["record.recall"]

    run(test)


def test_one_whole_copy_is_enough(world: World) -> None:
    directory = world.state / "record"
    directory.mkdir()
    AlarmStateFiles(directory).write(b"fire on the third floor")
    _flip(directory / "alarm-state.a")
    assert AlarmStateFiles(directory).read() == b"fire on the third floor"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
