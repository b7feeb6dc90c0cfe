"""The record is told which routing is disabled: on change, and after every hello."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path

from agent.core.types import Command, Delivery, DutyCheck, Notice
from agent.field.recordlink import RecordLink
from agent.ipc import Connection, Message, Policy, Role, Server


class Hearer:
    def recalled(self, alarm_state: bytes) -> None:
        assert alarm_state == b""

    def notice(self, notice: Notice) -> None:
        raise AssertionError(notice)

    def delivery(self, delivery: Delivery) -> None:
        raise AssertionError(delivery)

    def command(self, command: Command) -> None:
        raise AssertionError(command)

    def duty(self, check: DutyCheck) -> None:
        raise AssertionError(check)


def test_a_new_record_is_told_again() -> None:
    async def story(home: Path) -> None:
        told: asyncio.Queue[list[str]] = asyncio.Queue()
        connections: list[Connection] = []

        def hello(connection: Connection, _: Message) -> Message:
            connections.append(connection)
            return {"durable": 0, "telemetry_durable": 0, "state": None}

        def routing(_: Connection, message: Message) -> Message:
            told.put_nowait(message["disabled"])
            return {}

        verbs = {"hello": (Role.FIELD, hello), "routing": (Role.FIELD, routing)}
        server = Server(home / "record.sock", verbs, Policy({}))
        await server.start()
        link = RecordLink(server.path, os.urandom(16), os.urandom(16), Hearer(), lambda: 0)
        task = asyncio.create_task(link.run())
        async with asyncio.timeout(10):
            while not link.connected:
                await asyncio.sleep(0.01)
            link.route({"city", "brigade"})
            assert await told.get() == ["brigade", "city"]
            link.route({"brigade", "city"})
            connections[0].close()
            assert await told.get() == ["brigade", "city"], "once, and once more after the hello"
            link.route(())
            assert await told.get() == []
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await server.stop()

    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        asyncio.run(story(Path(d)))
