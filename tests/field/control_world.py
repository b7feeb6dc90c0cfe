"""The field socket in this loop: a real runtime and server, without lines and record."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

from field_world import SITE

from agent.compile import plan_file
from agent.core.cycle import new_state
from agent.core.types import ClockState, Now
from agent.field.control import Control
from agent.field.latch import Latch
from agent.field.recordlink import RecordLink
from agent.field.runtime import Runtime
from agent.ipc import Client, Peer, Policy, Refused, Role, Server
from config import pin
from config.limits import S
from config.plan import Person, Plan, decode_plan
from drivers.modbus.schedule import Unit

PIN = "314159"
COURIER = """
couriers:
  platform: {kind: mqtt, url: "mqtt://127.0.0.1:1883", insecure: trusted-network}
"""


def cheap(digits: str) -> str:
    """A hash that costs a test nothing."""
    return pin.make(digits, b"s" * 16, log2_n=2, parallel=1).text()


PEOPLE = (
    Person("li", "operate", cheap(PIN)),
    Person("wang", "acknowledge", cheap("271828")),
    Person("chief", "configure", cheap("161803")),
)


class Hand:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.mono_ns = 1_000 * S

    def now(self) -> Now:
        return Now(self.mono_ns, 1_800_000_000 * S + self.mono_ns, ClockState.SYNCHRONISED)

    def move(self, seconds: float) -> None:
        self.mono_ns += round(seconds * S)


class As(Policy):
    """Under this policy the tests' own user has just the roles that it says."""

    def roles(self, peer: Peer) -> Role:
        return self.by_uid.get(peer.uid, Role.NONE)


@functools.cache
def compiled(site: str) -> Plan:
    """The plan of a site, with a courier."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "site.yaml").write_text(site + COURIER)
        checked = plan_file(directory / "site.yaml", directory / "plan.cbor")
        assert not checked.problems
        return decode_plan((directory / "plan.cbor").read_bytes())


class ControlWorld:
    """A server with people, as seen by users of one role."""

    def __init__(self, home: Path, roles: Role, people: tuple[Person, ...], site: str | None):
        self.path = home / "field.sock"
        self.clock = Hand()
        plan = compiled(site or SITE.format(port=1502))
        self.plan = replace(plan, people=people)
        latch = Latch(home / "latch", b"b" * 16, plan.digest)
        self.runtime = Runtime(self.plan, new_state(self.plan, b"b" * 16), self.clock, latch)
        self._link = RecordLink(
            home / "record.sock", b"s" * 16, b"b" * 16, self.runtime, lambda: self.clock.mono_ns
        )
        self._rows: list[Any] = []
        self.runtime.attach([Line() for _ in plan.lines], self._link, {})
        self.control = Control(self.runtime, lambda: {"lines": []})
        self.server = Server(self.path, self.control.verbs(), As({os.getuid(): roles}), guests=True)

    @property
    def operators(self) -> list[dict[str, Any]]:
        """Bodies of the operators' records that wait for the record process."""
        self._rows += self._link.events.take()
        return [row[8] for row in self._rows if row[3] == "operator"]

    async def client(self, on_event: Callable[[dict[str, Any]], None] | None = None) -> Client:
        return await Client.connect(self.path, on_event)

    async def refused(self, client: Client, verb: str, **args: Any) -> str:
        try:
            await client.call(verb, **args)
        except Refused as e:
            return e.code
        return ""


class Line:
    """A line whose link is up and on which nothing is asked."""

    up = True
    last_attempt_ns = 0
    jams = 0
    counters: ClassVar[dict[int, Unit]] = {}

    def order(self, output: int, on: bool) -> None:
        """Nobody listens there."""

    def rewrite(self, output: int) -> None:
        """Nor again."""


@contextlib.asynccontextmanager
async def control_world(
    roles: Role = Role.VIEW,
    people: tuple[Person, ...] = PEOPLE,
    site: str | None = None,
) -> AsyncIterator[ControlWorld]:
    with tempfile.TemporaryDirectory(dir="/tmp") as home:
        world = ControlWorld(Path(home), roles, people, site)
        await world.server.start()
        try:
            async with asyncio.timeout(20):
                yield world
        finally:
            world.control.stop()
            await world.server.stop()
