"""Record, courier, broker and receiver as real processes: each is killed, nothing is lost."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from brokers import GATEWAY, CourierProcess, Mosquitto, short_dir, until

from agent.clock import SystemClock
from agent.ipc import Client, IpcError
from agent.receiver.report import report
from agent.receiver.store import StoreProblem, open_store
from firmware_tools.keys import add_to_trust, create_keys, trust_entry

RECORD = "import sys; from agent.record.main import main; sys.exit(main(sys.argv[1:]))"
RECEIVE = (
    "import typer; from agent.cli.receive import register; "
    "app = typer.Typer(); register(app); app()"
)


class Process:
    """A child that can be killed and started again."""

    def __init__(self, log: Path, *command: str) -> None:
        self.log_path = log
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Field:
    """What the field process does towards the record: hello, submit, keep until durable."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket
        self._client: Client | None = None
        self._session = random.Random(7).randbytes(16)
        self._kept: dict[int, list[Any]] = {}
        self._seq = 0
        self.durable = 0

    def say(self, lane: str, what: str) -> None:
        self._seq += 1
        body = {"to": [what], "number": self._seq}
        self._kept[self._seq] = [
            self._seq, lane, "zone/0", "zone", 10**12 + self._seq, 1_795 * 10**15, 2, 0, body,
        ]  # fmt: skip

    @property
    def said(self) -> int:
        return self._seq

    async def tend(self) -> None:
        """Hand over what is not durable; connect again when the record is another one."""
        while True:
            try:
                await self._hand_over()
            except (IpcError, TimeoutError):
                self._client = None
            await asyncio.sleep(0.05)

    async def _hand_over(self) -> None:
        if self._client is None or self._client.closed.is_set():
            self._client = await Client.connect(self._socket, self._event)
            reply = await self._client.call(
                "hello", session=self._session, boot=SystemClock().boot_id
            )
            self._forget(reply["durable"])
            self._sent = reply["durable"]
        new = [row for seq, row in self._kept.items() if seq > self._sent]
        if new:
            reply = await self._client.call("submit", events=new)
            self._sent = reply["taken"]

    def _event(self, message: dict[str, Any]) -> None:
        if message.get("e") == "durable":
            self._forget(message["seq"])

    def _forget(self, seq: int) -> None:
        self.durable = max(self.durable, seq)
        for old in [n for n in self._kept if n <= seq]:
            del self._kept[old]


class World:
    """All processes in one directory."""

    def __init__(self, directory: Path) -> None:
        self.broker = Mosquitto(directory)
        url = f"mqtt://127.0.0.1:{self.broker.port}"
        self.courier = CourierProcess(directory, {"url": url, "insecure": "trusted-network"})
        keys, platform, plan = directory / "keys", directory / "platform", directory / "plan.cbor"
        trust, self.db = directory / "trust.json", directory / "received.db"
        add_to_trust(trust, trust_entry(create_keys(keys, "device"), GATEWAY))
        create_keys(platform, "platform")
        shutil.copy(platform / "platform.pub", keys / "platform.pub")
        self.record = Process(
            directory / "record.log", sys.executable, "-c", RECORD, "--plan", str(plan),
            "--state", str(directory / "state"), "--run", str(directory), "--keys", str(keys),
        )  # fmt: skip
        self.receiver = Process(
            directory / "receiver.log", sys.executable, "-c", RECEIVE, "--broker", url,
            "--trust", str(trust), "--keys", str(platform), "--db", str(self.db),
        )  # fmt: skip
        self.field = Field(directory / "record.sock")
        self._socket = directory / "record.sock"

    def known(self) -> dict[str, Any]:
        try:
            store = open_store(str(self.db), read_only=True)
        except StoreProblem:
            return {"events": 0}
        try:
            return report(store)
        finally:
            store.close()

    async def status(self) -> dict[str, Any]:
        client = await Client.connect(self._socket)
        try:
            return await client.call("status")
        finally:
            client.close()

    async def waiting(self) -> int:
        with contextlib.suppress(IpcError, TimeoutError):
            return sum(c["waiting"] for c in (await self.status())["couriers"])
        return -1

    async def settled(self) -> None:
        """Everything said is durable, delivered and acknowledged."""
        await until(lambda: self.field.durable == self.field.said, "all is durable")
        await until(lambda: self.known()["events"] == self.field.said, "all events arrived")
        for _ in range(1_500):
            if await self.waiting() == 0:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not all is acknowledged: {await self.status()}")

    async def connected(self) -> None:
        """The record has heard that the courier is connected."""
        for _ in range(500):
            if (await self.status())["couriers"][0]["connected"]:
                return
            await asyncio.sleep(0.02)
        raise AssertionError(f"not connected: {await self.status()}")

    def end(self) -> None:
        self.courier.stop()
        for process in (self.record, self.receiver):
            process.kill()
        self.broker.stop()


def test_every_part_is_killed_and_every_event_arrives_exactly_once() -> None:
    async def inside() -> None:
        with short_dir() as directory:
            w = World(directory)
            tending = asyncio.ensure_future(w.field.tend())
            try:
                await story(w)
            finally:
                tending.cancel()
                w.end()
                await asyncio.gather(tending, return_exceptions=True)

    asyncio.run(inside())


async def story(w: World) -> None:
    await w.broker.start()
    for part in (w.record, w.receiver, w.courier):
        part.start()
    w.field.say("event", "start")
    w.field.say("fire", "fire")
    await w.settled()

    w.broker.stop()
    w.field.say("fire", "fire without a broker")
    await until(lambda: w.field.durable == w.field.said, "durable without a broker")
    w.courier.kill()
    w.courier.start()
    w.field.say("event", "the courier is another one")
    w.record.kill()
    w.field.say("fire", "fire without a record")
    w.record.start()
    await until(lambda: w.field.durable == w.field.said, "durable with the next record")
    await w.broker.start()
    w.receiver.kill()
    w.field.say("event", "the receiver is another one")
    w.receiver.start()
    await w.settled()

    for n in range(3):  # under way in every stage
        for m in range(20):
            w.field.say("fire" if m % 5 == 0 else "event", f"{n}/{m}")
        (w.courier, w.record, w.receiver)[n].kill()
        (w.courier, w.record, w.receiver)[n].start()
    await w.settled()

    known = w.known()
    assert known["findings"] == []
    assert known["events"] == w.field.said
    assert known["epochs"] == 3
    await w.connected()
    numbers = _numbers(w.db)
    assert sorted(numbers) == list(range(1, w.field.said + 1)), "each exactly once"


def _numbers(db: Path) -> list[int]:
    store = open_store(str(db), read_only=True)
    try:
        return [row["seq"] for row in store.rows("select seq from events")]
    finally:
        store.close()
