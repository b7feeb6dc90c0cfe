"""The record's socket before its disk has answered: whoever comes waits, and a fire waits least.

A disk is given its time, because what it holds decides what comes next. A field process with a fire
to tell is not kept waiting by a disk that hangs: then the record begins without it, in memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
from functools import partial

from agent.ipc import Connection, Handler, Message, Refused, Role
from config.limits import DISK_OPEN_LOOK_NS, RECORD_RETRY_NS, S

_LOOKS = {
    "status": Role.VIEW, "log": Role.VIEW, "proposals": Role.VIEW,
    "proposal": Role.CONFIGURE, "decide": Role.CONFIGURE,
}  # fmt: skip


class Door:
    """The verb table until the record is open. `hurry` is set when a fire waits."""

    def __init__(self) -> None:
        self.hurry = asyncio.Event()
        self._open = asyncio.Event()
        self._verbs: Mapping[str, tuple[Role, Handler]] = {}

    def verbs(self) -> Mapping[str, tuple[Role, Handler]]:
        """Hello and follow wait; people wait for a moment and are told why there is nothing yet."""
        return {
            "hello": (Role.FIELD, self._hello),
            "follow": (Role.COURIER, partial(self._pass, "follow")),
            **{verb: (role, partial(self._look, verb)) for verb, role in _LOOKS.items()},
        }

    def open(self, verbs: Mapping[str, tuple[Role, Handler]]) -> None:
        """The record is there: those who wait are answered by it."""
        self._verbs = verbs
        self._open.set()

    async def _hello(self, connection: Connection, message: Message) -> Message:
        """{fires}: how many the field process holds. With none it is sent away after a moment and
        asks again, so that it can say so when there is one."""
        fires = message.get("fires")
        if isinstance(fires, int) and fires > 0:
            self.hurry.set()
        elif fires == 0:
            await self._within(RECORD_RETRY_NS)
        return await self._pass("hello", connection, message)

    async def _look(self, verb: str, connection: Connection, message: Message) -> Message:
        await self._within(DISK_OPEN_LOOK_NS)
        return await self._pass(verb, connection, message)

    async def _pass(self, verb: str, connection: Connection, message: Message) -> Message:
        await self._open.wait()
        result = self._verbs[verb][1](connection, message)
        return await result if isinstance(result, Awaitable) else result

    async def _within(self, wait_ns: int) -> None:
        try:
            await asyncio.wait_for(self._open.wait(), wait_ns / S)
        except TimeoutError:
            raise Refused("opening", "the record's disk has not answered yet") from None
