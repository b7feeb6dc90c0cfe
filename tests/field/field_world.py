"""A real field process beside a simulated building in this loop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from agent.compile import plan_file
from agent.ipc import Client, IpcError, Refused
from config.plan import Plan, decode_plan
from drivers.simulator.building import Building, Options

SITE = """
site: {{id: field-test, name: Test, region: eu}}
links:
  control: {{kind: tcp, host: 127.0.0.1, port: {port}}}
devices:
  inputs:
    link: control
    unit: 1
    poll: 100ms
    points:
      knock: {{register: discrete 0, kind: contact, state: fire, active: 1}}
      heat: {{register: input 0, type: int16, scale: 0.1, unit: °C, kind: heat, class: A1}}
  relays: {{link: control, unit: 9, profile: relay-8}}
zones:
  hall: {{points: [inputs.knock, inputs.heat], alarm: any}}
sirens:
  stair_a: {{device: relays, coil: 0}}
  stair_b: {{device: relays, coil: 1}}
effects:
  - {{when: {{zone: hall, state: fire}}, sound: [stair_a, stair_b], pattern: evacuate}}
"""


class FieldWorld:
    """One site, its building, and a field process that can be killed."""

    def __init__(self, home: Path, plan: Plan, building: Building) -> None:
        self.home = home
        self.plan = plan
        self.building = building
        self.process: asyncio.subprocess.Process | None = None
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(home / "notify"))
        self.notify.setblocking(False)

    async def start(self) -> None:
        """Start the field process."""
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.cli.main", "field",
            "--plan", str(self.home / "plan.cbor"), "--run", str(self.home),
            env={**os.environ, "NOTIFY_SOCKET": str(self.home / "notify")},
        )  # fmt: skip

    async def kill(self) -> None:
        """SIGKILL, as a fault of the worst kind."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()

    async def told(self, text: str) -> None:
        """Wait until the process has told the service manager this."""
        loop = asyncio.get_running_loop()
        while text not in (await loop.sock_recv(self.notify, 4_096)).decode():
            pass

    async def ask(self, verb: str, **args: Any) -> Any:
        """One request to the field socket; None while nobody answers."""
        with contextlib.suppress(IpcError, Refused, TimeoutError):
            client = await Client.connect(self.home / "field.sock")
            try:
                return await client.call(verb, **args)
            finally:
                client.close()
        return None

    async def until(self, happened: Callable[[], Awaitable[Any]]) -> Any:
        """Look until it is so; the test's own deadline bounds it."""
        while not (value := await happened()):
            await asyncio.sleep(0.02)
        return value

    async def flags(self) -> set[str]:
        """What stands now."""
        reply = await self.until(lambda: self.ask("status"))
        return set(reply["status"]["flags"])

    async def normal(self) -> None:
        """Wait for a gateway that knows its building and has nothing to say of it."""

        async def quiet() -> bool:
            reply = await self.ask("status")
            status = reply and reply["status"]
            return bool(status) and not set(status["flags"]) and not status["not_ready"]

        await self.until(quiet)


@contextlib.asynccontextmanager
async def field_world(site: str = SITE) -> AsyncIterator[FieldWorld]:
    """The world, ended and removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    (home / "site.yaml").write_text(site.format(port=port))
    checked = plan_file(home / "site.yaml", home / "plan.cbor")
    assert not checked.problems
    plan = decode_plan((home / "plan.cbor").read_bytes())
    building = Building(plan, Options())
    await building.start()
    world = FieldWorld(home, plan, building)
    try:
        yield world
    finally:
        if world.process is not None and world.process.returncode is None:
            await world.kill()
        await building.stop()
        world.notify.close()
        shutil.rmtree(home)
