"""`embergate courier NAME` of kind gb26875: to an existing monitoring centre, over TCP or UDP.

It speaks GB/T 26875.3; it is no certified transmission device. It dials out and never listens.
The protocol has no authentication: what a centre orders is put on record and changes nothing but
this process's own session.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.boot import boot_id
from agent.courier.broker import SettingsProblem
from agent.courier.gb26875_book import COMPONENT_TYPES, SOUNDER, UNITS, Book, Component, Style
from agent.courier.gb26875_session import Calls, Session, Settings
from agent.courier.post import Post
from agent.courier.sources import sources_of
from agent.courier.until_told import until_told
from agent.courier.window import BatchId
from agent.uplink.batch import Batch
from agent.uplink.events import EventRecord
from config.limits import GB26875_ASKS_MAX
from config.plan import PointTable, read_plan, section
from drivers.panel.gb26875 import Dialect


@dataclass(frozen=True, slots=True)
class Task:
    """What this courier is to do, from the plan."""

    name: str
    gateway: str
    host: str
    port: int
    settings: Settings
    style: Style
    components: Mapping[str, Component]
    values: Mapping[int, tuple[str, int, int]] = field(default_factory=dict)
    """Component number -> source, poll, place in it."""


def read_task(plan: Path, name: str) -> Task:
    """This courier's lines of the plan. Raises PlanError, SettingsProblem."""
    data = read_plan(plan)
    courier = next((c for c in section(data, "couriers") if c.name == name), None)
    if courier is None or courier.kind != "gb26875":
        raise SettingsProblem(f"no courier of kind gb26875 is called {name!r}")
    given: Mapping[str, Any] = courier.settings
    try:
        components = components_of(data, given["addresses"])
        return Task(
            name=name,
            gateway=str(section(data, "site_id")),
            host=given["host"],
            port=given["port"],
            settings=_settings(given),
            style=Style(
                system=given["system_type"],
                address=given["system"],
                offset_s=given["offset_s"],
                prealarm=given["prealarm"] == "supervisory",
                values=given["values"],
            ),
            components=components,
            values=values_of(data, components),
        )
    except KeyError as e:
        raise SettingsProblem(f"courier {name!r}: the plan lacks {e}; compile it again") from e


def _settings(given: Mapping[str, Any]) -> Settings:
    return Settings(
        source=given["source"],
        destination=given["destination"],
        dialect=Dialect(
            user_version=given["user_version"],
            bcd=given["time_tags"] == "bcd",
            tags_everywhere=given["tags"] == "everywhere",
            data_bytes_max=given["frame_bytes"],
            pad=b" " if given["pad"] == "space" else b"\0",
        ),
        stream=given["transport"] == "tcp",
        reply_ns=given["reply_ns"],
        resends=given["resends"],
        heartbeat=given["beat"],
        beat_ns=given["beat_ns"],
        offset_s=given["offset_s"],
    )


def components_of(plan: bytes, addresses: Mapping[str, int]) -> dict[str, Component]:
    """Source of records -> component. Every point has an address: the one that is given, else its
    stable id, which no other point ever had. Zones and sirens only where one is given."""
    given = set(addresses.values())
    out = {}
    for s in sources_of(plan, addresses):
        number = s.number
        if number is None:  # never one address for two
            number = s.stable | 0x8000_0000 if s.stable in given else s.stable
        kind = SOUNDER if s.what == "output" else COMPONENT_TYPES.get(s.kind, 0)
        out[s.key] = Component(number, kind, s.name, s.unit)
    return out


def values_of(plan: bytes, components: Mapping[str, Component]) -> dict[int, tuple[str, int, int]]:
    """Where the value of each component is found that has one: number -> source, poll, place."""
    points: PointTable = section(plan, "points")
    ids = struct.unpack(f"<{len(points)}I", points.ids)
    out = {}
    for number, poll in enumerate(section(plan, "polls")):
        for at, k in enumerate(struct.unpack(f"<{len(poll.points) // 4}I", poll.points)):
            source = f"point/{ids[k]}"
            component = components.get(source)
            if component is not None and component.unit in UNITS:
                out[component.number] = (source, number, at)
    return out


async def run(task: Task, record_socket: Path) -> None:
    """Carry fire and events until SIGTERM or SIGINT."""
    courier = Courier(task, record_socket, random.Random())  # noqa: S311 -- jitter, not a secret
    await until_told(courier.run)


class Courier:
    """A session with a centre, and who on the site is on duty."""

    def __init__(self, task: Task, record_socket: Path, rng: random.Random) -> None:
        self._post = Post(
            task.name, task.gateway, record_socket, rng, stream=task.settings.stream,
            place=lambda: (task.host, task.port), take=self._take, prime=self._prime,
        )  # fmt: skip
        self._post.follower.duty_answered = self._duty_answered
        self._post.follower.recalled = self._duty_recalled
        self._book = Book(task.components, task.style)
        self._values = task.values
        self._asking: set[asyncio.Task[None]] = set()
        self._boot = boot_id()
        self._duty_asked_ns = 0
        self.session = self._post.session = Session(
            task.settings,
            self._book,
            Calls(
                send=self._post.send, drop=self._post.drop, confirmed=self._post.confirmed,
                event=lambda event, body: self._post.follower.event(event, **body),
                duty=self._duty, wall_ns=time.time_ns, measure=self._measure,
            ),
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop`."""
        await self._post.run(stop)

    def _prime(self, records: list[EventRecord]) -> None:
        self._book.prime(records)

    def _take(self, batch_id: BatchId, batch: Batch, records: list[EventRecord]) -> int:
        messages = self._book.take(records)
        for message in messages:
            self.session.tell(message, batch_id)
        if self._duty_asked_ns and batch.boot == self._boot:
            for record in records:
                answers = record.what == "operator" and record.body.get("verb") == "duty"
                if answers:
                    self._duty_answered(record.mono_ns)
        self.session.tick(time.monotonic_ns())
        return len(messages)

    def _duty_answered(self, mono_ns: int) -> None:
        if self._duty_asked_ns and mono_ns >= self._duty_asked_ns:
            self.session.answer_duty(time.monotonic_ns())

    def _measure(self, numbers: list[int], go_on: Callable[[], None]) -> None:
        if len(self._asking) >= GB26875_ASKS_MAX:
            go_on()  # with what is known
            return
        task = asyncio.get_running_loop().create_task(self._measured(numbers, go_on))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _measured(self, numbers: list[int], go_on: Callable[[], None]) -> None:
        """What the record took in last; a value that is not good is none."""
        wanted = [self._values[n] for n in numbers if n in self._values]
        found = await self._post.follower.latest(sorted({poll for _, poll, _ in wanted}))
        for source, poll, at in wanted:
            wall_ns, values, qualities = found.get(poll, (0, b"", b""))
            if len(values) >= 8 * (at + 1) and not (qualities and qualities[at]):
                self._book.measured(source, struct.unpack_from("<d", values, 8 * at)[0], wall_ns)
        go_on()
        self._book.forget_measured()

    def _duty(self, minutes: int) -> None:
        self._duty_asked_ns = time.monotonic_ns() if minutes else 0
        text = f"the centre asks who is on duty: answer within {minutes} min"
        memory = {"asked_ns": self._duty_asked_ns, **self.session.duty}
        self._post.follower.notice("duty", text if minutes else "", memory if minutes else {})

    def _duty_recalled(self, _topic: str, memory: dict[str, Any]) -> None:
        """The centre's question stands, and it was this courier's process that ended."""
        self._duty_asked_ns = int(memory.get("asked_ns", 0))
        self.session.recall_duty(memory)
