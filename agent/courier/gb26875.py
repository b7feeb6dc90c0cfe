"""`embergate courier NAME` of kind gb26875: to an existing monitoring centre, over TCP or UDP.

It speaks GB/T 26875.3; it is no certified transmission device. It dials out and never listens.
The protocol has no authentication: what a centre orders is put on record and changes nothing but
this process's own session.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.boot import boot_id
from agent.courier.backoff import Backoff
from agent.courier.broker import SettingsProblem
from agent.courier.follower import Follower
from agent.courier.gb26875_book import COMPONENT_TYPES, SOUNDER, Book, Component, Style
from agent.courier.gb26875_session import Calls, Session, Settings
from agent.courier.window import BatchId
from agent.notify import Notifier
from agent.uplink.batch import Batch
from agent.uplink.events import EventRecord
from config.limits import (
    GB26875_CONNECT_NS,
    GB26875_RECONNECT_NS_MAX,
    GB26875_RECONNECT_NS_MIN,
    GB26875_TICK_NS,
    GB26875_UNSENT_BYTES_MAX,
    S,
)
from config.plan import PointTable, read_plan, section
from drivers.panel.gb26875 import Dialect

log = logging.getLogger("embergate.courier")


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


def read_task(plan: Path, name: str) -> Task:
    """This courier's lines of the plan. Raises PlanError, SettingsProblem."""
    data = read_plan(plan)
    courier = next((c for c in section(data, "couriers") if c.name == name), None)
    if courier is None or courier.kind != "gb26875":
        raise SettingsProblem(f"no courier of kind gb26875 is called {name!r}")
    given: Mapping[str, Any] = courier.settings
    try:
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
            components=components_of(data, given["addresses"]),
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
    points: PointTable = section(plan, "points")
    ids = struct.unpack(f"<{len(points)}I", points.ids)
    out = {}
    given = set(addresses.values())
    for i, name, kind, unit in zip(ids, points.names, points.kinds, points.units, strict=True):
        number = addresses.get(name, i | 0x8000_0000 if i in given else i)  # never one for two
        out[f"point/{i}"] = Component(number, COMPONENT_TYPES.get(kind, 0), name, unit)
    for what, kind_of in (("zone", 0), ("output", SOUNDER)):
        for row in section(plan, f"{what}s"):
            if row.name in addresses:
                out[f"{what}/{row.name}"] = Component(addresses[row.name], kind_of, row.name)
    return out


async def run(task: Task, record_socket: Path) -> None:
    """Carry fire and events until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    courier = Courier(task, record_socket, random.Random())  # noqa: S311 -- jitter, not a secret
    await courier.run(stop)


class Courier:
    """The loops around a session."""

    def __init__(self, task: Task, record_socket: Path, rng: random.Random) -> None:
        self._task = task
        self._backoff = Backoff(rng, GB26875_RECONNECT_NS_MIN, GB26875_RECONNECT_NS_MAX)
        self._follower = Follower(
            task.name, task.gateway, record_socket, rng, self._take, self._prime
        )
        self._book = Book(task.components, task.style)
        self._boot = boot_id()
        self._duty_asked_ns = 0
        self._wire: _Wire | None = None
        self._gone = asyncio.Event()
        self._trouble = "not yet connected"
        self._tried = False
        self._notifier = Notifier()
        self.session = Session(
            task.settings,
            self._book,
            Calls(
                send=self._send, drop=self._drop, confirmed=self._confirmed,
                event=lambda event, body: self._follower.event(event, **body),
                duty=self._duty, wall_ns=time.time_ns,
            ),
        )  # fmt: skip

    async def run(self, stop: asyncio.Event) -> None:
        """All loops until `stop`; a loop that fails is an error of ours and ends the process."""
        self._notifier.ready("started")
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(self._follower.run()),
                group.create_task(self._serve_centre()),
                group.create_task(self._ticks()),
            ]
            await stop.wait()
            self._notifier.stopping()
            for task in tasks:
                task.cancel()
        if self._wire is not None:
            self._wire.close()

    # --- the record ---

    def _prime(self, records: list[EventRecord]) -> None:
        self._book.prime(records)

    def _take(self, batch_id: BatchId, batch: Batch, records: list[EventRecord]) -> int:
        messages = self._book.take(records)
        for message in messages:
            self.session.tell(message, batch_id)
        if self._duty_asked_ns and batch.boot == self._boot:
            for record in records:
                answers = record.what == "operator" and record.body.get("verb") == "duty"
                if answers and record.mono_ns >= self._duty_asked_ns:
                    self.session.answer_duty(time.monotonic_ns())
        self.session.tick(time.monotonic_ns())
        return len(messages)

    def _confirmed(self, batch: BatchId) -> None:
        self._backoff.reset()
        self._follower.confirmed(batch)

    def _duty(self, minutes: int) -> None:
        self._duty_asked_ns = time.monotonic_ns() if minutes else 0
        text = f"the centre asks who is on duty: answer within {minutes} min"
        self._follower.notice("duty", text if minutes else "")

    # --- the centre ---

    async def _serve_centre(self) -> None:
        while True:
            self._gone.clear()
            try:
                async with asyncio.timeout(GB26875_CONNECT_NS / S):
                    self._wire = await self._connect()
            except (OSError, TimeoutError) as e:
                self._trouble = f"{self._task.host}:{self._task.port}: {e or 'no answer'}"
            else:
                self._trouble = ""
                self.session.connected(time.monotonic_ns())
                await self._gone.wait()
                self._wire = None
                self.session.disconnected()
            self._tried = True
            self._tell()
            await asyncio.sleep(self._backoff.next_ns() / S)

    async def _connect(self) -> _Wire:
        loop = asyncio.get_running_loop()
        made = _Wire(self._received, self._lost, stream=self._task.settings.stream)
        if self._task.settings.stream:
            await loop.create_connection(lambda: made, self._task.host, self._task.port)
        else:
            address = (self._task.host, self._task.port)
            await loop.create_datagram_endpoint(lambda: made, remote_addr=address)
        return made

    def _received(self, data: bytes) -> None:
        self.session.received(data, time.monotonic_ns())
        if self.session.path[0]:
            self._backoff.reset()

    def _lost(self, wire: _Wire, why: str) -> None:
        if wire is self._wire:
            self._trouble = self._trouble or why
            self._gone.set()

    def _send(self, data: bytes) -> bool:
        return self._wire is not None and self._wire.send(data)

    def _drop(self, why: str) -> None:
        wire = self._wire
        if wire is not None:
            self._trouble = why
            wire.close()
            self._wire = None
            self.session.disconnected()
            self._gone.set()

    # --- time and words ---

    async def _ticks(self) -> None:
        while True:
            self.session.tick(time.monotonic_ns())
            self._tell()
            self._notifier.watchdog()
            await asyncio.sleep(GB26875_TICK_NS / S)

    def _tell(self) -> None:
        connected, text = self.session.path
        if connected:
            self._tried = True
        if self._tried or not text.startswith("not"):
            self._follower.state(connected, "" if connected else self._trouble or text)


class _Wire(asyncio.Protocol, asyncio.DatagramProtocol):
    """One TCP connection, or one UDP socket."""

    def __init__(self, received: Any, lost: Any, *, stream: bool) -> None:
        self._stream = stream
        self._received = received
        self._lost = lost
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received(data)

    def datagram_received(self, data: bytes, addr: Any) -> None:  # noqa: ARG002 -- the peer's, set
        self._received(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there now: the resend rules decide what that means."""

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost(self, str(exc or "the centre closed the connection"))

    def send(self, data: bytes) -> bool:
        """False when the network does not take it."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > GB26875_UNSENT_BYTES_MAX:
            return False
        if self._stream:
            transport.write(data)
        else:
            transport.sendto(data)
        return True

    def close(self) -> None:
        """End it now."""
        if self._transport is not None:
            self._transport.abort()
