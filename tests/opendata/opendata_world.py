"""The field socket of a small site, and the courier's own process beside it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from control_world import ControlWorld, control_world

from agent.field import fanout
from agent.ipc import Policy, Role, Server
from agent.opendata import mqtt_json
from agent.opendata.known import known_of
from config.limits import MS
from config.plan import Courier, Plan, encode_plan
from config.words import Mode, Quality
from drivers.reading import ReadingBlock

SITE = """
site: {id: dock-9, name: '九号码头 "A"', region: eu}
links:
  control: {kind: tcp, host: 127.0.0.1, port: 1502}
devices:
  泵房:
    link: control
    unit: 1
    poll: 100ms
    points:
      感温: {register: input 0, type: int16, scale: 0.1, unit: °C, kind: heat, class: A1}
      pressure: {register: input 1, type: int16, unit: kPa, kind: water_pressure, low: 150kPa}
      humidity: {register: input 2, type: int16, unit: "%RH", kind: measure}
      knock: {register: discrete 0, kind: contact, state: fire, active: 1}
      valve: {register: discrete 1, kind: contact, state: supervisory, active: 1}
  relays: {link: control, unit: 9, profile: relay-8}
zones:
  一层: {points: [泵房.感温, 泵房.knock], alarm: any}
sirens:
  stair_b: {device: relays, coil: 0}
effects:
  - {when: {zone: 一层, state: fire}, sound: [stair_b]}
"""
RECORD = {
    "gateway": "dock-9",
    "ordinal": 3,
    "faults": {"courier.platform": "no answer"},
    "lanes": {"fire": 4, "event": 17},
    "store": {"trouble": "", "not_durable": {"events": 2}, "not_durable_bytes": 900,
              "written_bytes": 123_456, "written_day_bytes": 87_000_000},
    "malformed": 0,
    "couriers": [
        {"name": "platform", "following": True, "connected": False, "text": "no answer",
         "waiting": 12, "under_way": 3},
    ],
}  # fmt: skip
SECONDS = 15


class World:
    """What the tests turn."""

    def __init__(self, control: ControlWorld) -> None:
        self.control = control
        self.plan: Plan = control.plan
        self.home: Path = control.path.parent
        self.process: subprocess.Popen[bytes] | None = None
        self.record = dict(RECORD)
        self._record_server: Server | None = None
        self._here: asyncio.Future[None] | None = None

    def id_of(self, name: str) -> int:
        ids = np.frombuffer(self.plan.points.ids, "<u4")
        return int(ids[self.plan.points.names.index(name)])

    def read(self, quality: Quality = Quality.GOOD, **values: float) -> None:
        """A sample of points of the pump room, a second later, by their names there."""
        self.control.clock.move(1)
        points = [self.plan.points.names.index(f"泵房.{name}") for name in values]
        for k, value in zip(points, values.values(), strict=True):
            poll = next(
                i for i, p in enumerate(self.plan.polls)
                if k in np.frombuffer(p.points, "<u4").tolist()
            )  # fmt: skip
            self.control.runtime.block(
                ReadingBlock(poll, self.control.clock.mono_ns, np.array([k], np.int32),
                             np.array([value], np.float64), np.array([quality], np.uint8))
            )  # fmt: skip
        self.control.runtime.run_cycle()

    async def start_record(self) -> None:
        verbs: Any = {"status": (Role.VIEW, lambda *_: self.record)}
        self._record_server = Server(self.home / "record.sock", verbs, Policy({}))
        await self._record_server.start()

    async def start_here(self, courier: Courier, plan: Plan | None = None) -> None:
        """The courier in this process, with the times that a test gives it."""
        whole = plan or self.plan
        data = encode_plan(replace(whole, couriers=(*whole.couriers, courier)))
        known = known_of(data, courier.name, "mqtt-json")
        self._stop = asyncio.Event()
        board = mqtt_json.Board(known, self.home / "record.sock", random.Random(1))
        self._here = asyncio.ensure_future(board.run(self._stop))

    async def stop_here(self) -> None:
        """As by SIGTERM. Whatever went wrong in it goes wrong here."""
        if self._here is not None:
            self._stop.set()
            here, self._here = self._here, None
            await here

    async def start(self, courier: Courier, plan: Plan | None = None) -> None:
        """The process, with a plan of its own."""
        path = self.home / "plan.cbor"
        whole = plan or self.plan
        path.write_bytes(encode_plan(replace(whole, couriers=(*whole.couriers, courier))))
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent.courier.main", courier.name,
                 "--plan", str(path), "--run", str(self.home)],
                stdout=log, stderr=log, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )  # fmt: skip

    @property
    def log(self) -> str:
        return (self.home / "log").read_text(errors="replace")

    def memory_kb(self) -> int:
        """Resident now, of the process."""
        assert self.process is not None
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(x.split()[1] for x in text.splitlines() if x.startswith("VmRSS")))

    async def stop(self) -> int:
        """SIGTERM; the exit status."""
        if self.process is None:
            return 0
        self.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(self.process.wait, SECONDS)
        self.process = None
        return status

    async def close(self) -> None:
        await self.stop_here()
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        if self._record_server is not None:
            await self._record_server.stop()


@contextlib.asynccontextmanager
async def open_world(site: str = SITE) -> AsyncIterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fanout, "FANOUT_NS", 100 * MS)  # pictures as fast as a test likes them
        async with control_world(Role.VIEW, site=site) as control:
            world = World(control)
            try:
                yield world
            finally:
                await world.close()


def modes(plan: Plan) -> list[Mode]:
    return [Mode(m) for m in plan.points.modes]
