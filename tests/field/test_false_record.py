"""What listens in the record's place need not be the record."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from agent.core.types import Command, Delivery, DutyCheck, Notice
from agent.field.recordlink import RecordLink
from agent.ipc import Connection, Message, Policy, Role, Server


class Hearer:
    def recalled(self, alarm_state: bytes) -> None:
        raise AssertionError("nothing was recalled")

    def notice(self, notice: Notice) -> None:
        raise AssertionError(notice)

    def delivery(self, delivery: Delivery) -> None:
        raise AssertionError(delivery)

    def command(self, command: Command) -> None:
        raise AssertionError(command)

    def duty(self, check: DutyCheck) -> None:
        raise AssertionError(check)


@pytest.mark.parametrize(
    "answer", [{}, {"durable": "many", "telemetry_durable": 0}, {"durable": None}, {"durable": -1}]
)
def test_a_hello_that_is_none_does_not_end_the_field_process(answer: dict[str, Any]) -> None:
    async def story(home: Path) -> None:
        asked = asyncio.Event()
        times = 0

        def hello(_: Connection, __: Message) -> Message:
            nonlocal times
            times += 1
            if times == 2:
                asked.set()
            return answer

        server = Server(home / "record.sock", {"hello": (Role.FIELD, hello)}, Policy({}))
        await server.start()
        link = RecordLink(server.path, os.urandom(16), os.urandom(16), Hearer(), lambda: 0)
        task = asyncio.create_task(link.run())
        waiting = asyncio.create_task(asked.wait())
        await asyncio.wait([task, waiting], timeout=10, return_when=asyncio.FIRST_COMPLETED)
        assert not task.done()
        assert asked.is_set(), "it tries again"
        assert not link.connected
        for work in (task, waiting):
            work.cancel()
        await asyncio.gather(task, waiting, return_exceptions=True)
        await server.stop()

    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        asyncio.run(story(Path(d)))
