"""A monitoring centre, the gateway's real processes, and a site with a buzzer."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from plain_centre import PlainCentre

from agent.compile import plan_file
from agent.ipc import Client, IpcError, Refused
from config.plan import decode_plan
from drivers.simulator.building import Building, Options

SITE = """
site: {{id: centre-test, name: Test, region: cn}}
links:
  control: {{kind: tcp, host: 127.0.0.1, port: {bus}}}
devices:
  inputs:
    link: control
    unit: 1
    poll: 100ms
    points:
      knock: {{register: discrete 0, kind: contact, state: fire, active: 1}}
  relays: {{link: control, unit: 9, profile: relay-8}}
zones:
  hall: {{points: [inputs.knock], alarm: any}}
sirens:
  stair: {{device: relays, coil: 2}}
effects:
  - {{when: {{zone: hall, state: fire}}, sound: [stair], pattern: evacuate}}
signals:
  duty_tone: {{kind: buzzer, device: relays, coil: 0, means: [duty]}}
  fault_tone: {{kind: buzzer, device: relays, coil: 1, means: [fault]}}
couriers:
  city: {{kind: gb26875, host: 127.0.0.1, port: {centre}, source: 889, destination: 88888,
         reply_timeout: 1s}}
"""


class Site:
    """Field, record and courier, each its own process."""

    def __init__(self, home: Path, centre: PlainCentre, building: Building) -> None:
        self.home, self.centre, self.building = home, centre, building
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """All of them at once, as the service manager does."""
        keys = self.home / "keys"
        keys.mkdir(mode=0o700)
        key = keys / "device.key"
        key.touch(mode=0o600)
        key.write_bytes(
            Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
            )
        )
        common = ["--plan", str(self.home / "plan.cbor"), "--run", str(self.home)]
        for args in (
            ["field", *common],
            ["record", *common, "--state", str(self.home / "state"), "--keys", str(keys)],
            ["courier", "city", *common],
        ):
            with (self.home / "log").open("ab") as log:
                self._processes.append(
                    subprocess.Popen(
                        [sys.executable, "-m", "agent.cli.main", *args], stdout=log, stderr=log
                    )
                )

    def end(self) -> None:
        for process in self._processes:
            process.send_signal(signal.SIGKILL)
            process.wait()

    async def ask(self, where: str, verb: str, **args: Any) -> Any:
        """One request; None while nobody answers."""
        with contextlib.suppress(IpcError, Refused, TimeoutError):
            client = await Client.connect(self.home / f"{where}.sock")
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

    async def all_is_well(self) -> Any:
        reply = await self.ask("field", "status")
        status = reply and reply["status"]
        return status and not status["flags"] and not status["not_ready"] and not status["faults"]

    async def on_record(self, *states: tuple[str, str]) -> bool:
        """Whether the record holds these (source, word of state or event)."""
        reply = await self.ask("record", "log", lane="event")
        said = {
            (r[1], r[7].get("state") or r[7].get("event") or str(r[7].get("fault")))
            for row in (reply or {"rows": []})["rows"]
            for r in row["records"]
        }
        return set(states) <= said


@contextlib.asynccontextmanager
async def site() -> AsyncIterator[Site]:
    home = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        bus = s.getsockname()[1]
    centre = PlainCentre()
    await centre.start()
    (home / "site.yaml").write_text(SITE.format(bus=bus, centre=centre.port))
    checked = plan_file(home / "site.yaml", home / "plan.cbor")
    assert not checked.problems, checked.problems
    (home / "state").mkdir(mode=0o700)
    building = Building(decode_plan((home / "plan.cbor").read_bytes()), Options())
    await building.start()
    made = Site(home, centre, building)
    try:
        made.start()
        async with asyncio.timeout(40):
            yield made
    except TimeoutError as e:
        raise AssertionError((home / "log").read_text()[-4_000:]) from e
    finally:
        made.end()
        centre.vanish()
        await building.stop()
        shutil.rmtree(home)


def test_the_centre_asks_who_is_on_duty_and_a_lost_path_is_heard() -> None:
    async def story() -> None:
        async with site() as s:
            await s.until(s.all_is_well)
            assert not s.building.output_on("duty_tone")
            s.centre.order(7, b"\x5b\x01\x0a")  # within ten minutes
            await s.building.wait_output("duty_tone", on=True)
            assert (3, 7, b"") in s.centre.came, "the order is confirmed with its own number"
            assert not s.centre.units(24)
            assert await s.ask("field", "duty") is not None
            answer = await s.centre.heard(24)
            assert answer[:3] == b"\x18\x01\x20", "one operation: bit 5, the answer"
            await s.building.wait_output("duty_tone", on=False)

            s.centre.vanish()
            await s.building.wait_output("fault_tone", on=True)
            status = (await s.ask("field", "status"))["status"]
            assert [f["source"] for f in status["faults"]] == ["courier.city"]
            s.building.set_point("inputs.knock", 1)
            await s.until(lambda: burns(s))
            await s.centre.start()
            fire = await s.centre.heard(2)
            assert fire[9] & 2, "the fire of the time without a path"
            await s.until(lambda: restored(s))
            await s.building.wait_output("fault_tone", on=False)
            await s.until(lambda: s.on_record(
                ("duty/city", "asked"), ("duty/city", "answered"),
                ("system/courier.city", "True"), ("system/courier.city", "False"),
            ))  # fmt: skip

    asyncio.run(story())


async def burns(s: Site) -> bool:
    return "fire" in (await s.ask("field", "status"))["status"]["flags"]


async def restored(s: Site) -> bool:
    return not (await s.ask("field", "status"))["status"]["faults"]
