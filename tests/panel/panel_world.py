"""A simulated building with panels on their own ports, and a gateway's field loops beside it."""

from __future__ import annotations

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agent.clock import SystemClock
from agent.compile import check_file
from agent.core import view
from agent.core.cycle import new_state
from agent.field.latch import Latch
from agent.field.main import _masters
from agent.field.recordlink import RecordLink
from agent.field.runtime import Runtime
from agent.notify import Notifier
from config.plan import Plan
from drivers.panel.client import PanelClient
from drivers.simulator.building import Building
from drivers.simulator.control import Control

WAIT_S = 10


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(s.getsockname()[1]) for s in held]
    for s in held:
        s.close()
    return ports


def site_text(
    folder: Path, dialect: str, *, serial: bool, listens: bool = False, more: str = ""
) -> str:
    """A panel and a relay board with one siren."""
    relays, panel = free_ports(2)
    link = f"{{kind: tcp, host: 127.0.0.1, port: {panel}}}"
    if listens:
        link = f"{{kind: tcp_listen, from: 127.0.0.1, port: {panel}}}"
    if serial:
        link = f"{{kind: serial, port: {folder}/tty, baud: 9600, parity: none}}"
    return (
        "site: {id: demo, name: Demo}\n"
        f"links:\n  l: {{kind: tcp, host: 127.0.0.1, port: {relays}}}\n  p: {link}\n"
        "devices:\n  relays: {link: l, unit: 9, profile: relay-8}\n"
        f"  fip: {{link: p, panel: {dialect}{more}}}\n"
        "sirens:\n  bell: {device: relays, coil: 0}\n"
        "effects:\n  - {when: {device: fip, state: fire}, sound: [bell]}\n"
    )


class PanelWorld:
    """What a test sees of it."""

    def __init__(self, plan: Plan, building: Building, runtime: Runtime) -> None:
        self.plan = plan
        self.building = building
        self.runtime = runtime
        self.client: PanelClient | None = None
        self.said: list[dict[str, Any]] = []
        self._control = Control(building, self.said.append)

    async def say(self, **message: Any) -> None:
        """A control message to the panel."""
        await self._control.handle({"panel": "fip", **message})
        assert self.said[-1]["event"] == "panel", self.said[-1]

    async def order(self, **message: Any) -> None:
        """Any control message."""
        await self._control.handle(message)
        assert self.said[-1]["event"] != "error", self.said[-1]

    async def siren(self, on: bool) -> None:
        """Wait until the siren is on, or off."""
        async with asyncio.timeout(WAIT_S):
            await self.building.wait_output("bell", on)

    def panel(self) -> dict[str, Any]:
        """The panel's row of the status."""
        row: dict[str, Any] = self.status()["panels"][0]
        return row

    def status(self) -> dict[str, Any]:
        return view.status(self.runtime.state, self.runtime.clock.now())

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait for a condition that only the passing loop can bring about."""
        async with asyncio.timeout(WAIT_S):
            while not true():
                await turn()


def turn() -> Awaitable[None]:
    """A short turn of the loop."""
    return asyncio.sleep(0.01)


@asynccontextmanager
async def panel_world(
    dialect: str, *, serial: bool = False, listens: bool = False, more: str = ""
) -> AsyncIterator[PanelWorld]:
    """Everything runs until the block ends."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        (folder / "site.yaml").write_text(
            site_text(folder, dialect, serial=serial, listens=listens, more=more)
        )
        checked = check_file(folder / "site.yaml")
        assert checked.plan is not None, [p.text() for p in checked.problems]
        plan = checked.plan
        building = Building(plan)
        clock = SystemClock()
        latch = Latch(folder / "latch.cbor", clock.boot_id, plan.digest)
        runtime = Runtime(plan, new_state(plan, clock.boot_id), clock, latch)
        world = PanelWorld(plan, building, runtime)
        masters = _masters(plan, runtime, clock)
        world.client = next(m for m in masters if isinstance(m, PanelClient))
        link = RecordLink(folder / "none", bytes(16), clock.boot_id, runtime, clock.mono_ns)
        runtime.attach(masters, link, {})
        await building.start()
        tasks = [asyncio.create_task(m.run()) for m in masters]
        tasks.append(asyncio.create_task(runtime.run_timer(Notifier({}), lambda: "")))
        try:
            served = building.panel("fip")
            client = world.client
            await world.until(lambda: bool(served.clients) if not serial else client.up)
            yield world
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            await building.stop()
            assert [e for e in ended if not isinstance(e, asyncio.CancelledError)] == []
