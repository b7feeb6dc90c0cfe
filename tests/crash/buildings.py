"""A record on a disk that loses power, with the two that talk to it, over many lives."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from checker import EVENTS, Ledger, check_journal, check_receiver, events_of
from disk import EVERY_KIND, Control, Disk
from world_record import (
    ROOT,
    CourierEnd,
    FieldEnd,
    block_row,
    device_trust,
    event_row,
    make_plan,
    verify,
    write_keys,
)

from agent.ipc import Client, IpcError, Refused
from agent.record.alarm_state import UNREADABLE
from agent.uplink.batch import Opened, open_batch
from agent.uplink.events import EventRecord
from config.plan import encode_plan

MEMORY = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path("/tmp")
"""Where buildings stand: what a disk keeps is the model's business; a real one only takes time."""


class Nursery:
    """Forks records from one process that has imported everything, with the shim in it."""

    def __init__(self, shim: Path) -> None:
        self._shim = shim
        self._process: asyncio.subprocess.Process | None = None
        self._born: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self._ends: dict[int, asyncio.Future[int]] = {}
        self._reading: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()

    async def __aenter__(self) -> Nursery:
        path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        environ = {**os.environ, "LD_PRELOAD": str(self._shim), "PYTHONPATH": path}
        environ["OPENBLAS_NUM_THREADS"] = "1"
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).with_name("zygote.py")),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environ, cwd=ROOT,
        )  # fmt: skip
        self._reading = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._process is not None
        assert self._reading is not None
        for pid in [pid for pid, end in self._ends.items() if not end.done()]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        await self._process.wait()
        self._reading.cancel()

    async def start(self, order: dict[str, Any]) -> tuple[int, asyncio.Future[int]]:
        """(pid, future of the exit status)."""
        assert self._process is not None
        assert self._process.stdin is not None
        async with self._turn:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            return await self._born.get()

    async def _read(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            message = json.loads(line)
            if "status" not in message:
                pid = message["pid"]
                self._ends[pid] = asyncio.get_running_loop().create_future()
                self._born.put_nowait((pid, self._ends[pid]))
                continue
            self._ends.pop(message["pid"]).set_result(message["status"])


class Broken(AssertionError):
    """The record broke a promise."""


class Building:
    """One gateway's record, its disk, its field process and its platform."""

    def __init__(self, nursery: Nursery, seed: int, state: Path | None = None) -> None:
        self.nursery = nursery
        self.rng = random.Random(seed)
        self.seed = seed
        self.root = Path(tempfile.mkdtemp(dir=MEMORY, prefix="egc"))
        self.state, self.run, self.keys = (self.root / n for n in ("state", "run", "keys"))
        self.state = state or self.state
        for directory in (self.state, self.run, self.keys):
            directory.mkdir(mode=0o700)
        (self.root / "plan.cbor").write_bytes(encode_plan(make_plan()))
        write_keys(self.keys)
        self.control = Control.at(self.root / "page")
        self.disk = Disk(self.state)
        self.ledger = Ledger()
        self.platform = CourierEnd()
        self.session = self.rng.randbytes(16)
        self.said = self.blocks = self.states = self.states_kept = 0
        self.pid = 0
        self.ended: asyncio.Future[int] | None = None
        self.field: FieldEnd | None = None

    # --- the process ----------------------------------------------------------------------------

    async def start(
        self, *, kill_at: int = 0, fail_at: int = 0, fail_count: int = 0, fail_errno: int = 0,
        fail_kinds: int = EVERY_KIND, fresh: bool = True,
    ) -> None:  # fmt: skip
        """A record, that ends instead of making call number kill_at on its disk.

        From call fail_at on so many fail. fresh: else what was ordered of the disk goes on.
        """
        page = self.control
        if fresh:
            page.calls, page.kill_at, page.failed = 0, kill_at, 0
            page.fail_at, page.fail_count = fail_at, fail_count
            page.fail_errno, page.fail_kinds = fail_errno, fail_kinds
        (self.root / "calls").unlink(missing_ok=True)
        paths = {"plan": self.root / "plan.cbor", "state": self.state, "run": self.run}
        paths["keys"] = self.keys
        argv = [word for name, path in paths.items() for word in (f"--{name}", str(path))]
        disk = [str(self.state), str(self.root / "page"), str(self.root / "calls")]
        order = {"argv": argv, "log": str(self.root / "log"), "disk": disk}
        self.pid, self.ended = await self.nursery.start(order)

    async def connect(self, on_event: Callable[[dict[str, Any]], None] | None = None) -> Client:
        """A client as soon as the record listens. Raises IpcError when it ended."""
        assert self.ended is not None
        deadline = time.monotonic() + 45
        while True:
            try:
                return await Client.connect(self.run / "record.sock", on_event)
            except IpcError:
                if self.ended.done() or time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.002)

    async def kill(self) -> int:
        """SIGKILL, if it still runs; what it did reaches the model. Its exit status."""
        assert self.ended is not None
        if not self.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        return await self._gone()

    async def stop(self) -> int:
        """SIGTERM; its exit status."""
        assert self.ended is not None
        os.kill(self.pid, signal.SIGTERM)
        return await self._gone()

    async def _gone(self) -> int:
        assert self.ended is not None
        async with asyncio.timeout(20):
            status = await self.ended
        for end in (self.field, self.platform):
            if end is not None and end.client is not None:
                end.client.close()
        if self.field is not None:
            field = self.field
            self.ledger.promise(field.session, field.durable, field.telemetry_durable)
        log = self.root / "calls"
        self.disk.play(log.read_bytes() if log.exists() else b"")
        return status

    def power_cut(self) -> None:
        """The disk keeps what it must and of the rest what it likes; the run directory is gone."""
        self.disk.cut(self.rng)
        shutil.rmtree(self.run)
        self.run.mkdir(mode=0o700)
        self.session = self.rng.randbytes(16)
        self.said = self.blocks = 0

    def log(self) -> str:
        path = self.root / "log"
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)

    # --- lives ----------------------------------------------------------------------------------

    async def life(self, *, kill_at: int, steps: int = 12) -> bool:
        """Start, talk, be killed. Whether the record lived to be talked to."""
        await self.start(kill_at=kill_at)
        lived = False
        with contextlib.suppress(IpcError, TimeoutError):
            await self.join()
            lived = True
            for _ in range(steps):
                await self.talk()
        await self.kill()
        return lived

    async def join(self, *, patient: bool = False) -> None:
        """Hello, with what the record must remember; and the courier follows.

        patient: the disk may not have answered yet, and then nothing is known.
        """
        self.field = field = FieldEnd(self.session)
        fires = {"fires": 1} if patient else {}
        reply = await field.join(self, **fires)  # type: ignore[arg-type]  # -- all that is needed of a world
        unknown = patient or self.control.fail_at
        told = 0 if unknown else self.ledger.durable.get(self.session, 0)
        if reply["durable"] < told:
            raise Broken(f"{told} were promised, {reply['durable']} are there")
        told = 0 if unknown else self.ledger.telemetry.get(self.session, 0)
        if reply["telemetry_durable"] < told:
            raise Broken(f"{told} blocks were promised, {reply['telemetry_durable']} are there")
        field.telemetry_durable = self.blocks = reply["telemetry_durable"]
        self.said = reply["durable"]
        if self.states_kept and not unknown and not self._recalls(reply["state"]):
            raise Broken(f"alarm state {self.states_kept} was kept, {reply['state']!r} is recalled")
        await self.platform.join(self)  # type: ignore[arg-type]  # -- as above

    def _recalls(self, state: bytes | None) -> bool:
        return (
            state is not None
            and state != UNREADABLE
            and self.states_kept <= int(state.split()[1]) <= self.states
        )

    async def talk(self, lane: str = "") -> None:
        """One submission (all of one lane, or of any), telemetry, now and then an alarm state."""
        assert self.field is not None
        assert self.field.client is not None
        client = self.field.client
        rows = []
        for _ in range(self.rng.randint(1, 4)):
            self.said += 1
            # What was said and not promised is said again, and it is the same event.
            chosen = lane or str(self.rng.choice(EVENTS))
            chosen = self.ledger.said.setdefault((self.session, self.said), chosen)
            rows.append(event_row(self.said, chosen))
        reply = await client.call("submit", events=rows)
        self.said = max(self.said, reply["taken"])  # it may have more of us than it has on disk
        for _ in range(2):
            self.blocks += 1
            row = block_row(self.blocks, self.blocks % 2)
            row[4] = self.blocks // 2 % 2  # the clock state flips: a batch ends
            await client.call("telemetry", blocks=[row], dropped={})
        if not lane and self.rng.random() < 0.3:
            self.states += 1
            number = self.states
            with contextlib.suppress(Refused):
                await client.call("alarm_state", state=b"state %d" % number)
                self.states_kept = number
        await asyncio.sleep(self.rng.random() * 0.004)

    def events_in(self, opened: Opened) -> list[EventRecord]:
        """The events of one batch."""
        return [record for _, record in events_of([opened])]

    async def finish(self) -> None:
        """A life in peace: everything is said, promised, acknowledged; then all is judged."""
        await self.start()
        await self.join()
        assert self.field is not None
        assert self.field.client is not None
        names = sorted(n for (s, n) in self.ledger.said if s == self.session and n > self.said)
        rest = [event_row(n, self.ledger.said[self.session, n]) for n in names]
        if rest:
            await self.field.client.call("submit", events=rest)
        await self.talk()
        last = max(self.said, *names) if names else self.said
        field = self.field
        await field.until(lambda: field.durable >= last, 20)
        await self.delivered()
        status = await self.stop()
        if status != 0:
            raise Broken(f"it ended with {status}: {self.log()[-2000:]}")
        self.judge()

    async def delivered(self, wait_s: float = 15) -> None:
        """Until the platform has acknowledged everything."""
        assert self.field is not None
        assert self.field.client is not None
        end = time.monotonic() + wait_s
        while (said := await self.field.client.call("status"))["couriers"][0]["waiting"]:
            if time.monotonic() > end:
                findings = [*self.platform.findings, *self.platform.history.problems()]
                raise Broken(f"seed {self.seed}: the platform never got all: {said} {findings}")
            await asyncio.sleep(0.005)

    def judge(self, *, damaged: bool = False) -> None:
        """Hold the journal, the receiver and `embergate verify` against what was promised."""
        stored = stored_in(self.state / "record")
        problems = [] if damaged else check_journal(self.ledger, stored)
        if not damaged:
            problems += self._telemetry_lost()
            # Events of a session that ended with the power are gone unless they were promised.
            problems += check_receiver(self.ledger, stored, self.platform.order, all_said=False)
        code, said = verify(self.state, "--trust", str(self.keys / "device.pub"))
        if code:
            problems.append(f"verify: {said['problems']} {said['gateways']}"[:3000])
        if problems:
            raise Broken("\n".join([f"seed {self.seed}", *problems[:20]]))

    def _telemetry_lost(self) -> list[str]:
        db = sqlite3.connect(self.state / "record" / "telemetry.db")
        try:
            found = dict(db.execute("SELECT session, max(mark) FROM batch GROUP BY session"))
        finally:
            db.close()
        return [
            f"{told} blocks of telemetry were promised, {found.get(session)} are there"
            for session, told in self.ledger.telemetry.items()
            if told > (found.get(session) or 0)
        ]


def stored_in(record: Path) -> list[Opened]:
    """Every batch of a journal whose process is gone, in the order of storing."""
    out: list[Opened] = []
    for name in ("events.db", "telemetry.db"):
        if not (record / name).exists():
            continue
        db = sqlite3.connect(record / name)
        try:
            for (data,) in db.execute("SELECT bytes FROM batch ORDER BY id"):
                out.append(open_batch(bytes(data), device_trust()))
        finally:
            db.close()
    return out


@contextlib.asynccontextmanager
async def building(nursery: Nursery, seed: int, *, quiet: bool = False) -> AsyncIterator[Building]:
    """One, and its directory gone after it; what it said is shown when it broke a promise."""
    made = Building(nursery, seed)
    try:
        yield made
    except BaseException:
        if not quiet:
            sys.stderr.write(f"seed {seed}: {made.log()[-3000:]}\n")
        raise
    finally:
        if made.ended is not None and not made.ended.done():
            with contextlib.suppress(ProcessLookupError):
                os.kill(made.pid, signal.SIGKILL)
        made.close()
