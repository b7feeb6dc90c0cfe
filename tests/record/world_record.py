"""A record process, real or in this loop, with a small plan, keys, and the two that talk to it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import typer
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from typer.testing import CliRunner

from agent.cli.verify import register
from agent.clock import boot_id
from agent.core.types import ClockState, Now
from agent.ipc import Client, IpcError, Server, system_policy
from agent.record.keys import load_commander, load_platform, load_signer
from agent.record.plan_table import site_of
from agent.record.reserve import free_bytes
from agent.record.ring import Ring
from agent.record.service import Service
from agent.record.settings import Settings
from agent.record.store import Store
from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import Opened, hash_of, open_batch
from agent.uplink.cose import Signer, Trust, TrustedKey
from agent.uplink.heartbeat import Heartbeat, open_heartbeat
from agent.uplink.history import History, Kind
from config.limits import RECORD_FOLLOW_WAIT_NS
from config.plan import (
    PLAN_VERSION,
    Courier,
    Device,
    Line,
    Plan,
    PointTable,
    Poll,
    Zone,
    encode_plan,
)

ROOT = Path(__file__).resolve().parents[2]
DEVICE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PLATFORM_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))
GATEWAY = "tj-test-0001"


def make_plan(polls: int = 2, width: int = 5, couriers: tuple[str, ...] = ("platform",)) -> Plan:
    """`polls` polls of `width` points each, resolution 0.1."""
    count = polls * width
    index = np.arange(count, dtype="<u4")
    points = PointTable(
        ids=(index + 100).astype("<u4").tobytes(),
        names=tuple(f"d{i // width}.p{i % width}" for i in range(count)),
        devices=(index // width).astype("<u2").tobytes(),
        kinds=("heat",) * count,
        units=("°C",) * count,
        modes=np.ones(count, "u1").tobytes(),
        resolutions=np.full(count, 0.1).tobytes(),
        stale_ns=np.full(count, 10**10, "<i8").tobytes(),
        params=b"",
    )
    rows = tuple(
        Poll(
            device=p, function=4, address=0, count=width, interval_ns=10**9, alarm=True,
            points=index[p * width : (p + 1) * width].tobytes(), offsets=b"", types=b"", bits=b"",
            scales=b"", biases=b"", rules=b"",
        )
        for p in range(polls)
    )  # fmt: skip
    return Plan(
        version=PLAN_VERSION, digest=bytes(32),
        site_id=GATEWAY, site_name="Test", region="cn", points=points,
        lines=(Line("riser", "tcp"),), devices=tuple(Device(f"d{p}", 0, p) for p in range(polls)),
        polls=rows, rules=(), zones=(Zone("room", (0,)),), outputs=(), effects=(),
        couriers=tuple(Courier(name, "mqtt") for name in couriers),
    )  # fmt: skip


class World:
    """Directories, keys and a plan; `start` runs the process for real."""

    def __init__(self, plan: Plan | None = None) -> None:
        self.root = Path(tempfile.mkdtemp(dir="/tmp", prefix="egr"))
        self.state, self.run, self.keys = (self.root / n for n in ("state", "run", "keys"))
        for directory in (self.state, self.run, self.keys):
            directory.mkdir(mode=0o700)
        self.plan_path = self.root / "plan.cbor"
        self.plan_bytes = encode_plan(plan or make_plan())
        self.plan_path.write_bytes(self.plan_bytes)
        write_keys(self.keys)
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> Path:
        return self.run / "record.sock"

    def start(self, *, limit_bytes: int | None = None) -> None:
        """Start the process. limit_bytes: no file may grow beyond this (RLIMIT_FSIZE)."""
        args = ["--plan", str(self.plan_path), "--state", str(self.state), "--run", str(self.run)]
        command = [
            sys.executable,
            "-m",
            "agent.cli.main",
            "record",
            *args,
            "--keys",
            str(self.keys),
        ]
        if limit_bytes is not None:
            blocks = limit_bytes // 512
            shell = f"trap '' XFSZ; ulimit -f {blocks}; exec \"$@\""
            command = ["/bin/sh", "-c", shell, "sh", *command]
        # A limit on files is one on this log too: the limited process writes none.
        with Path("/dev/null" if limit_bytes is not None else self.root / "log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, stderr=log, stdout=log)

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(10)

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.root, ignore_errors=True)

    async def connect(self, on_event: Callable[[dict[str, Any]], None] | None = None) -> Client:
        """A client as soon as the process listens."""
        deadline = time.monotonic() + 15
        while True:
            try:
                return await Client.connect(self.socket, on_event)
            except IpcError:
                died = self.process is not None and self.process.poll() is not None
                if died or time.monotonic() > deadline:
                    raise AssertionError((self.root / "log").read_text()) from None
            await asyncio.sleep(0.01)


def write_keys(directory: Path) -> None:
    key = directory / "device.key"
    key.touch(mode=0o600)
    key.write_bytes(DEVICE_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    for name, private in (("device", DEVICE_KEY), ("platform", PLATFORM_KEY)):
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (directory / f"{name}.pub").write_bytes(pem)


def device_trust() -> Trust:
    return Trust([TrustedKey(DEVICE_KEY.public_key().public_bytes_raw(), GATEWAY)])


def event_row(seq: int, lane: str = "event", source: str = "point/101") -> list[Any]:
    now = time.monotonic_ns()
    body = {"state": "fire" if lane == "fire" else "fault", "value": 61.5}
    return [seq, lane, source, "point", now, time.time_ns(), 1, 0, body]


def block_row(seq: int, poll: int, width: int = 5, value: float = 20.0) -> list[Any]:
    values = np.full(width, value, "<f8").tobytes()
    return [seq, poll, time.monotonic_ns(), time.time_ns(), 1, values, b""]


class FieldEnd:
    """Talks as the field process does and remembers what was confirmed."""

    def __init__(self, session: bytes | None = None) -> None:
        self.session = session or os.urandom(16)
        self.durable = 0
        self.telemetry_durable = 0
        self.notices: list[dict[str, Any]] = []
        self.told: list[dict[str, Any]] = []
        self.changed = asyncio.Event()
        self.client: Client | None = None

    async def join(self, world: World, **more: Any) -> dict[str, Any]:
        self.client = await world.connect(self._event)
        reply = await self.client.call(
            "hello", RECORD_FOLLOW_WAIT_NS, session=self.session, boot=boot_id(), **more
        )
        self.durable = max(self.durable, reply["durable"])
        return reply

    def _event(self, message: dict[str, Any]) -> None:
        match message["e"]:
            case "durable":
                self.durable = message["seq"]
            case "telemetry_durable":
                self.telemetry_durable = message["seq"]
            case "notice":
                self.notices.append(message)
            case "delivery" | "duty" | "order":
                self.told.append(message)
        self.changed.set()

    async def until(self, true: Callable[[], bool], wait_s: float = 10) -> None:
        async with asyncio.timeout(wait_s):
            while not true():
                self.changed.clear()
                await self.changed.wait()


class CourierEnd:
    """Talks as a courier and a platform do: verifies, judges, acknowledges."""

    def __init__(self, *, acknowledge: bool = True) -> None:
        self.history = History()
        self.batches: dict[tuple[bytes, str, int], bytes] = {}
        self.order: list[Opened] = []
        self.offers: list[dict[str, Any]] = []
        self.heartbeats: list[Heartbeat] = []
        self.findings: list[Any] = []
        self.changed = asyncio.Event()
        self.acknowledge = acknowledge
        self._due: dict[tuple[bytes, str], None] = {}
        self.client: Client | None = None
        self._trust = device_trust()
        self._signer = Signer(PLATFORM_KEY)

    async def join(self, world: World, name: str = "platform") -> dict[str, Any]:
        self.client = await world.connect(self._event)
        return await self.client.call("follow", RECORD_FOLLOW_WAIT_NS, courier=name)

    def _event(self, message: dict[str, Any]) -> None:
        if message["e"] == "heartbeat":
            self.heartbeats.append(open_heartbeat(message["bytes"], self._trust))
            self.changed.set()
            return
        assert message["e"] == "batch"
        self.offers.append(message)
        opened = open_batch(message["bytes"], self._trust)
        batch = opened.batch
        key = (batch.epoch, batch.lane, batch.seq)
        assert key == (message["epoch"], message["lane"], message["seq"])
        held = self.batches.get(key)
        verdict = self.history.offer(opened, None if held is None else hash_of(held))
        self.findings += [f for f in verdict.findings if f.error]
        if verdict.kind is Kind.NEW:
            self.batches[key] = message["bytes"]
            self.order.append(opened)
        if self.acknowledge:
            opens = batch.lane == "epoch"  # what came before its epoch can be acknowledged now
            for lane in {b.batch.lane for b in self.order if b.batch.epoch == batch.epoch}:
                if opens or lane == batch.lane:
                    self._due[batch.epoch, lane] = None
            asyncio.get_running_loop().call_soon(self._ack_due)
        self.changed.set()

    def _ack_due(self) -> None:
        """One acknowledgement a chain for all that came at once, as a platform does."""
        due, self._due = self._due, {}
        for key in due:
            self.ack(*key)

    def ack(self, epoch: bytes, lane: str) -> None:
        found = self.history.acknowledge(epoch, lane)
        if found is not None and self.client is not None:
            self.client.send("ack", message=self.sealed_ack(epoch, lane, *found))

    def sealed_ack(
        self, epoch: bytes, lane: str, seq: int, own_hash: bytes, gateway: str = GATEWAY
    ) -> bytes:
        return seal_ack(Ack(gateway, epoch, lane, seq, own_hash, 1), self._signer)

    async def until(self, true: Callable[[], bool], wait_s: float = 10) -> None:
        async with asyncio.timeout(wait_s):
            while not true():
                self.changed.clear()
                await self.changed.wait()


class FakeClock:
    """Time that the test moves."""

    def __init__(self) -> None:
        self.boot_id = boot_id()
        self.mono = 1_000_000_000_000
        self.wall = 1_790_000_000_000_000_000
        self.state = ClockState.SYNCHRONISED

    def mono_ns(self) -> int:
        return self.mono

    def now(self) -> Now:
        return Now(self.mono, self.wall, self.state)

    def move(self, seconds: float) -> None:
        self.mono += int(seconds * 1e9)
        self.wall += int(seconds * 1e9)


class InLoop:
    """The service in the test's loop, behind its real socket, with the test's clock and store."""

    def __init__(
        self,
        world: World,
        make_store: Callable[[Path], Store] = Store,
        platform: bool = True,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self.world = world
        self.clock = FakeClock()
        directory = world.state / "record"
        directory.mkdir(exist_ok=True)
        self.service = Service(Settings(
            site=site_of(world.plan_bytes),
            signer=load_signer(world.keys, {}),
            platform=load_platform(world.keys) if platform else Trust([]),
            commander=load_commander(world.keys),
            directory=directory,
            run_dir=world.run,
            clock=self.clock,
            chance=os.urandom,
            make_store=make_store,
            free=free,
        ))  # fmt: skip

    async def __aenter__(self) -> InLoop:
        await self.service.start()
        self.server = Server(self.world.socket, self.service.verbs(), system_policy())
        await self.server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.server.stop()
        await self.service.stop()

    async def until(self, true: Callable[[], bool], wait_s: float = 10) -> None:
        """Tick until it holds: the workers' threads answer in their own time."""
        async with asyncio.timeout(wait_s):
            while not true():
                self.service.tick()
                await asyncio.sleep(0.002)

    @property
    def ring(self) -> Ring:
        return self.service.journal.ring


def event_at(clock: FakeClock, seq: int, lane: str = "event") -> list[Any]:
    body = {"to": 1, "value": 61.5}
    return [seq, lane, f"point/{100 + seq % 7}", "point", clock.mono, clock.wall, 2, 0, body]


def block_at(clock: FakeClock, seq: int, poll: int = 0, value: float = 20.0) -> list[Any]:
    values = np.full(5, value, "<f8").tobytes()
    return [seq, poll, clock.mono, clock.wall, 2, values, b""]


def verify(path: Path, *options: str) -> tuple[int, dict[str, Any]]:
    """`embergate verify PATH --json`, in this process: (exit status, what it says)."""
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, [str(path), "--json", *options])
    assert done.exit_code in (0, 1), done.output
    return done.exit_code, json.loads(done.stdout)


def run(test: Callable[[], Any], wait_s: float = 80) -> None:
    """A coroutine function, within a time."""
    asyncio.run(asyncio.wait_for(test(), wait_s))


async def both(loop: InLoop, **courier: Any) -> tuple[FieldEnd, CourierEnd]:
    field, end = FieldEnd(), CourierEnd(**courier)
    await field.join(loop.world)
    await end.join(loop.world)
    return field, end


def lanes(end: CourierEnd) -> list[tuple[str, int]]:
    return [(o.batch.lane, o.batch.seq) for o in end.order]


async def call(field: FieldEnd, verb: str, **args: Any) -> dict[str, Any]:
    assert field.client is not None
    return await field.client.call(verb, **args)
