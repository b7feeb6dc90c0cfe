"""`embergate receive` as its own process, at a real broker, behind a real courier."""

from __future__ import annotations

import asyncio
import contextlib
import csv
import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any

import typer
from brokers import CourierProcess, Mosquitto, RecordPeer, mosquitto, short_dir, until
from gateways import Gateway, json_lines, platform_key
from typer.testing import CliRunner, Result

from agent.cli import received
from agent.cli.receive import register
from agent.courier.broker import address
from agent.courier.mqtt import Dial, Link, Listener, connect
from agent.ipc import Refused
from agent.uplink.ack import open_ack
from agent.uplink.cose import Trust, TrustedKey
from agent.uplink.errors import UplinkError

PROGRAM = (
    "import typer; from agent.cli.receive import register; "
    "app = typer.Typer(); register(app); app()"
)


def command(*args: str) -> Result:
    """`embergate receive` in this process, for what ends by itself."""
    app = typer.Typer()
    register(app)
    received.register(app)
    return CliRunner().invoke(app, args)


class Platform:
    """Files and process of one receiver."""

    def __init__(self, directory: Path, port: int) -> None:
        self.db = directory / "received.db"
        self.trust = directory / "trust.json"
        self.keys = directory / "platform"
        self.public = platform_key(self.keys)
        self._url = f"mqtt://127.0.0.1:{port}"
        self._log_path = directory / "receive.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable, "-c", PROGRAM, "--broker", self._url, "--trust",
                    str(self.trust), "--keys", str(self.keys), "--db", str(self.db), "--json",
                ],
                stdout=log,
                stderr=log,
            )  # fmt: skip

    def kill(self) -> None:
        assert self._process
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        if self._process is None:
            return -1
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(15)
        except subprocess.TimeoutExpired:
            self.kill()
            return -9

    @property
    def log(self) -> str:
        return self._log_path.read_text(errors="replace")

    def connected(self) -> int:
        return self.log.count(": connected")

    def said(self, what: str) -> list[dict[str, Any]]:
        return [row for row in json_lines(self.log) if row.get("what") == what]

    def ask(self, *args: str) -> str:
        done = command(*args, "--db", str(self.db))
        assert done.exit_code == 0, done.output
        return done.stdout

    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.ask("receive", "--report", "--json"))
        return found


class World:
    """Gateway bytes, a record that believes only the platform's key, courier, broker, receiver."""

    def __init__(self, directory: Path, broker: Mosquitto) -> None:
        self.broker = broker
        self.gateway = Gateway()
        self.platform = Platform(directory, broker.port)
        self.gateway.trust(self.platform.trust)
        self.record = RecordPeer(directory / "record.sock", judge=self._judge)
        self.acked: dict[str, int] = {}
        url = f"mqtt://127.0.0.1:{broker.port}"
        self.courier = CourierProcess(directory, {"url": url, "insecure": True})

    def offer(self, topic_and_message: tuple[str, bytes], seq: int = 0) -> None:
        topic, message = topic_and_message
        self.record.offer(topic.rpartition("/")[2], seq, message, self.gateway.epoch_id)

    def _judge(self, message: bytes) -> dict[str, Any]:
        try:
            ack = open_ack(message, Trust([TrustedKey(self.platform.public)]))
        except UplinkError as e:
            raise Refused(e.code, e.text) from None
        self.acked[ack.lane] = max(ack.seq, self.acked.get(ack.lane, -1))
        return {"advanced": 1}


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    with short_dir() as directory:
        async with mosquitto(directory) as broker:
            w = World(directory, broker)
            await w.record.start()
            try:
                yield w
            finally:
                w.courier.stop()
                w.platform.stop()
                await w.record.stop()


def run(test: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    async def inside() -> None:
        async with world() as w:
            await test(w)

    asyncio.run(inside())


async def stranger(port: int) -> Link:
    """Somebody else at the broker."""
    where = address({"url": f"mqtt://127.0.0.1:{port}", "insecure": True})
    listener = Listener(lambda *_: None, lambda *_: None, lambda: None, lambda _: None)
    return await connect(Dial(where, f"stranger-{os.getpid()}", ("nothing",), 2_000_000), listener)


def test_from_sealed_bytes_to_rows_and_a_believed_acknowledgement() -> None:
    async def scene(w: World) -> None:
        w.platform.start()
        await until(lambda: w.platform.connected() == 1, "the receiver")
        w.courier.start()
        g = w.gateway
        for message in (g.epoch(), g.table(), g.events("fire", "zone"), g.telemetry(4)):
            w.offer(message)
        await until(lambda: len(w.acked) == 4, "all acknowledgements")
        assert w.acked == {"epoch": 0, "table": 0, "fire": 0, "telemetry": 0}
        known = w.platform.report()
        assert (known["batches"], known["events"], known["readings"]) == (4, 1, 8)
        assert known["findings"] == known["remarks"] == []
        assert known["fires"][0]["to"] == ["fire"]
        lanes = {lane["lane"]: lane["acknowledged"] for lane in known["gateways"][0]["lanes"]}
        assert lanes == w.acked
        rows = list(csv.DictReader(io.StringIO(w.platform.ask("export", "readings"))))
        assert len(rows) == 8
        assert (rows[0]["name"], rows[0]["value"]) == ("a.heat", "20.0")
        assert "nothing is missing, forked or forged" in w.platform.ask("receive", "--report")
        assert w.platform.stop() == 0

    run(scene)


def test_a_killed_receiver_acknowledges_again_what_comes_again() -> None:
    async def scene(w: World) -> None:
        w.platform.start()
        await until(lambda: w.platform.connected() == 1, "the receiver")
        w.courier.start()
        g = w.gateway
        w.offer(g.epoch())
        w.offer(g.events("fire", "a"))
        await until(lambda: w.acked == {"epoch": 0, "fire": 0}, "the first acknowledgements")
        w.platform.kill()
        w.offer(g.events("fire", "b"), 1)
        w.platform.start()
        await until(lambda: w.acked.get("fire") == 1, "the second fire")
        w.courier.kill()  # it sends everything the record offers again
        w.courier.start()
        await until(lambda: len(w.platform.said("duplicate")) >= 3, "duplicates")
        known = w.platform.report()
        assert (known["batches"], known["events"], known["findings"]) == (3, 2, [])

    run(scene)


def test_what_strangers_send_is_counted_and_stops_nothing() -> None:
    async def scene(w: World) -> None:
        w.platform.start()
        await until(lambda: w.platform.connected() == 1, "the receiver")
        link = await stranger(w.broker.port)
        junk = [
            ("embergate/1/test-0417/up/fire", b""),
            ("embergate/1/test-0417/up/fire", bytes(100_000)),
            ("embergate/1/test-0417/up/fire", b"\xd2" + b"\x84" * 100),
            ("embergate/1/nobody/up/a/b/c/d", b"x"),
            ("embergate/1/\u706b/up/link", b"\xff" * 10),
            ("embergate/1/test-0417/up/event", os.urandom(2_000)),
            ("embergate/1/test-0417/up/event", bytes(1_500_000)),
            Gateway("test-0417", seed=9).epoch(),
        ]
        for topic, payload in junk:
            assert link.publish(topic, payload) is not None
        w.courier.start()
        w.offer(w.gateway.epoch())
        await until(lambda: w.acked == {"epoch": 0}, "the acknowledgement")
        assert w.platform.connected() == 1, w.platform.log
        known = w.platform.report()
        assert known["batches"] == 1
        found = {(f["gateway"], f["code"]) for f in known["findings"]}
        assert found == {("test-0417", "malformed"), ("test-0417", "unknown_key"), ("?", "topic")}
        link.close()
        await link.gone()

    run(scene)


def test_an_acknowledgement_by_another_key_is_refused_by_the_record() -> None:
    async def scene(w: World) -> None:
        w.platform.start()
        await until(lambda: w.platform.connected() == 1, "the receiver")
        mine = w.platform.public
        w.platform.public = Gateway(seed=77).signer.public  # the record has pinned another one
        w.courier.start()
        w.offer(w.gateway.epoch())
        await until(
            lambda: any("refused by the record: unknown_key" in t for _, t in w.record.states),
            "the refusal",
        )
        assert w.acked == {}
        w.platform.public = mine
        w.courier.kill()
        w.courier.start()
        await until(lambda: w.acked == {"epoch": 0}, "the acknowledgement")

    run(scene)


def test_a_gateway_is_believed_as_soon_as_the_trust_list_has_it() -> None:
    async def scene(w: World) -> None:
        other = Gateway("other", seed=5)
        w.platform.start()
        await until(lambda: w.platform.connected() == 1, "the receiver")
        link = await stranger(w.broker.port)
        epoch = other.epoch()
        link.publish(*epoch)
        await until(lambda: len(w.platform.said("finding")) == 1, "the unknown key")
        other.trust(w.platform.trust)
        await until(lambda: "read again" in w.platform.log, "the list is read again")
        link.publish(*epoch)
        await until(lambda: len(w.platform.said("batch")) == 1, "the batch")
        assert {g["gateway"] for g in w.platform.report()["gateways"]} == {"?", "other"}
        link.close()
        await link.gone()

    run(scene)


def test_what_cannot_work_is_said_at_once(tmp_path: Path) -> None:
    def refused(*args: str) -> str:
        verb = [] if args[0] in ("export", "forget") else ["receive"]
        done = command(*verb, *args, "--db", str(tmp_path / "db"))
        assert done.exit_code == 1, done.output
        assert isinstance(done.exception, SystemExit)
        return done.stderr

    keys, trust = tmp_path / "k", tmp_path / "trust.json"
    common = ("--trust", str(trust), "--keys", str(keys))
    assert "plain text" in refused("--broker", "mqtt://192.0.2.1", *common)
    assert "platform-keys" in refused("--broker", "mqtt://127.0.0.1", *common)
    assert "are needed" in refused("--broker", "mqtts://a")
    assert "receiver's database" in refused("--report")
    assert "receiver's database" in refused("export", "events")
    assert "a time like" in refused("export", "events", "--since", "yesterday")
    assert "--lane" in refused("export", "readings", "--lane", "fire")
    assert "only PostgreSQL" in refused("forget", "--bulk-days", "30")
    platform_key(keys)
    assert "name without" in refused("--broker", "mqtt://127.0.0.1", *common, "--group", "a/b")
    assert "embergate-fw public" in refused("--broker", "mqtt://127.0.0.1", *common)
