"""What the platform's own broker and database cost: mosquitto with mutual TLS, and PostgreSQL."""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from bench.figures import Figures

sys.path.insert(0, str(Path(__file__).parents[1] / "courier"))
sys.path.insert(0, str(Path(__file__).parents[1] / "receiver"))

import psycopg
from authorities import LOOPBACK, Authority
from brokers import Mosquitto
from databases import PostgreSqlServer
from gateways import Gateway, platform_key

from agent.receiver.ingest import Ingest, Message
from agent.receiver.store import open_store
from agent.receiver.trust import read_signer, read_trust
from agent.uplink.batch import Codec
from agent.uplink.columns import PollSamples, encode_columns
from agent.uplink.table import Table, encode_table, split_table, table_hash
from config.limits import MS, S

GATEWAYS = 20
ROUNDS = 84  # batches of a gateway: twelve minutes, 6 of telemetry and 1 more each
GROUP = 64
POINTS = 1_000
CLIENTS = 1_000
PUBLISHED = 6  # batches of each client
AT_ONCE = 200
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def measure(figures: Figures) -> None:
    """Both, one after the other."""
    batch = _database(figures)
    with tempfile.TemporaryDirectory(prefix="eb-", dir="/tmp") as home:
        Path(home).chmod(0o755)  # mosquitto gives up root before it reads its files
        asyncio.run(_broker(figures, Path(home), batch))


# --- PostgreSQL ---


def _telemetry(rng: np.random.Generator) -> bytes:
    """Ten seconds of a thousand points, each a random walk of one least significant digit."""
    mono = np.arange(10, dtype=np.int64) * 1_000 * MS
    steps = rng.integers(-1, 2, (10, POINTS)).astype(np.float64)
    walk = 20 + 0.1 * np.cumsum(steps, axis=0)
    samples = PollSamples(3, mono, walk, np.zeros((10, POINTS), np.uint8))
    return encode_columns([samples], {3: np.full(POINTS, 0.1)}.get, 0)


def _sealed(gateways: list[Gateway]) -> list[tuple[str, bytes]]:
    ids = tuple(range(1, POINTS + 1))
    names = tuple(f"d.p{n}" for n in ids)
    table = encode_table(
        Table(ids, names, ("heat",) * POINTS, ("°C",) * POINTS, (0.1,) * POINTS, {3: ids})
    )
    rng = np.random.default_rng(6)
    data = [_telemetry(rng) for _ in range(20)]
    sent = [g.epoch() for g in gateways]
    for g in gateways:
        g._table = table_hash(table)
        sent += [g._next("table", Codec.TABLE_PART, part) for part in split_table(table)]
    for n in range(ROUNDS):
        for k, g in enumerate(gateways):
            if n % 7 == 6:
                sent.append(g.events("event", "a"))
            else:
                sent.append(g._next("telemetry", Codec.COLUMNS, data[(n + k) % 20]))
    return sent


def _seconds(pid: int) -> float:
    """Processor time of a process and of those it began, dead or alive."""
    total = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended: its parent has its time
        if int(stat.parent.name) == pid:
            total += sum(map(int, fields[11:15]))
        elif int(fields[1]) == pid:
            total += sum(map(int, fields[11:13]))
    return total * _TICK_S


def _database(figures: Figures) -> bytes:
    """Gives one of the batches, for the broker."""
    server = PostgreSqlServer("shared_buffers=128MB")
    with tempfile.TemporaryDirectory(prefix="eb-", dir="/tmp") as home:
        try:
            server.start()
            return _ingest(figures, server, Path(home))
        finally:
            server.stop()


def _ingest(figures: Figures, server: PostgreSqlServer, home: Path) -> bytes:
    platform_key(home / "platform")
    gateways = [Gateway(f"gw-{n}", seed=n + 1) for n in range(GATEWAYS)]
    for gateway in gateways:
        gateway.trust(home / "trust.json")
    messages = [Message(*m) for m in _sealed(gateways)]
    url = server.database()
    store = open_store(url)
    trust, signer = read_trust(home / "trust.json"), read_signer(home / "platform")
    ingest = Ingest(store, trust, signer, time.time_ns, lambda _note: None)
    ingest.take(messages[: 2 * GATEWAYS])
    measured = messages[2 * GATEWAYS :]
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("checkpoint")
        wal = _one(admin, "select pg_current_wal_lsn()")
        before, ours, begun = _seconds(server.pid), time.process_time(), time.perf_counter()
        for at in range(0, len(measured), GROUP):
            ingest.take(measured[at : at + GROUP])
        took, ours = time.perf_counter() - begun, time.process_time() - ours
        cpu = _seconds(server.pid) - before
        written = float(_one(admin, "select pg_wal_lsn_diff(pg_current_wal_lsn(), %s)", wal))
        disk = sum(int(_one(admin, _SIZE, t)) for t in ("batches_bulk", "batches_record"))
    store.close()
    count = len(measured)
    sealed = sum(len(m.payload) for m in measured)
    how = (
        f"{count} batches ({sealed / count:.0f} bytes each) of {GATEWAYS} gateways of {POINTS} "
        f"points in groups of {GROUP}, one receiver, synchronous_commit=on, fsync on"
    )
    for name, value, unit, what in (
        ("cpu", cpu * 1e3 / count, "ms a batch", f"all its processes; {how}"),
        ("receiver_cpu", ours * 1e3 / count, "ms a batch", "the receiver's own, beside it"),
        ("rate", count / took, "batches/s", "both on the same two cores"),
        ("wal", written / count, "B/batch", "from a checkpoint on, page images included"),
        ("disk", disk / count, "B/batch", "batches with TOAST and indexes, before any vacuum"),
    ):
        figures.add(f"postgresql_{name}", value, unit, what)
    _drop(figures, url)
    return max((m.payload for m in measured), key=len)


_SIZE = (
    "select sum(pg_total_relation_size(inhrelid)) from pg_inherits where inhparent = %s::regclass"
)


def _one(admin: psycopg.Connection[Any], sql: str, *values: Any) -> Any:
    row = admin.execute(sql.encode(), values).fetchone()
    assert row
    return row[0]


def _drop(figures: Figures, url: str) -> None:
    begun = time.perf_counter()
    store = open_store(url)
    dropped = store.engine.forget("batches_bulk", time.time_ns() + 10 * 86_400 * S)
    store.close()
    took_ms = (time.perf_counter() - begun) * 1e3
    figures.add("postgresql_drop", took_ms, "ms", f"connect, drop {len(dropped)} days of telemetry")


# --- mosquitto ---


class _Client:
    """As much of MQTT 5 as a load needs."""

    def __init__(self, name: str) -> None:
        self.name, self._mid = name, 0
        self.acked = asyncio.Event()

    async def connect(self, port: int, context: ssl.SSLContext, topic: str) -> None:
        self._reader, self._writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=context, server_hostname="127.0.0.1"
        )
        self._send(0x10, b"\x00\x04MQTT\x05\x02\xff\xff\x00" + _text(self.name))
        assert (await self._packet())[0] == 0x20
        self._send(0x82, b"\x00\x01\x00" + _text(topic) + b"\x01")
        assert (await self._packet())[0] == 0x90

    def _send(self, first: int, body: bytes) -> None:
        head, left = bytearray([first]), len(body)
        while True:
            left, digit = left >> 7, left & 0x7F
            head.append(digit | (0x80 if left else 0))
            if not left:
                break
        self._writer.write(bytes(head) + body)

    async def _packet(self) -> tuple[int, bytes]:
        first = (await self._reader.readexactly(1))[0]
        size = shift = 0
        while True:
            digit = (await self._reader.readexactly(1))[0]
            size |= (digit & 0x7F) << shift
            shift += 7
            if not digit & 0x80:
                return first, await self._reader.readexactly(size)

    def publish(self, topic: str, payload: bytes) -> None:
        self._mid = self._mid % 65_535 + 1
        self._send(0x32, _text(topic) + self._mid.to_bytes(2, "big") + b"\x00" + payload)

    async def read(self, answers: bytes = b"") -> None:
        """Acknowledge what comes; a receiver answers each batch with one acknowledgement."""
        while True:
            first, body = await self._packet()
            if first >> 4 != 3:
                continue
            size = int.from_bytes(body[:2], "big")
            topic = body[2 : 2 + size].decode()
            self._send(0x40, body[2 + size : 4 + size])
            if answers:
                self.publish(f"embergate/1/{topic.split('/')[2]}/down/ack", answers)
            else:
                self.acked.set()

    def close(self) -> None:
        self._writer.transport.abort()


def _text(text: str) -> bytes:
    return len(text).to_bytes(2, "big") + text.encode()


async def _broker(figures: Figures, home: Path, batch: bytes, clients: int = CLIENTS) -> None:
    ours = Authority(home, "ours")
    cert, key = ours.issue("broker", LOOPBACK)
    mine = ours.issue("gateways")
    broker = Mosquitto(
        home, f"cafile {ours.path}", f"certfile {cert}", f"keyfile {key}",
        "require_certificate true", "set_tcp_nodelay true", "max_inflight_messages 1000",
        "max_queued_messages 20000", quiet=True,
    )  # fmt: skip
    context = ssl.create_default_context(cafile=str(ours.path))
    context.load_cert_chain(*mine)
    await broker.start()
    try:
        empty = _rss(broker.pid)
        gateways = [_Client(f"gw-{n}") for n in range(clients)]
        begun = _seconds(broker.pid)
        for first in range(0, clients, 50):
            await asyncio.gather(
                *(g.connect(broker.port, context, f"embergate/1/{g.name}/down/#")
                  for g in gateways[first : first + 50])
            )  # fmt: skip
        connecting = _seconds(broker.pid) - begun
        full = _rss(broker.pid)
        receivers = [_Client(f"receiver-{n}") for n in range(2)]
        for r in receivers:
            await r.connect(broker.port, context, "$share/city/embergate/1/+/up/#")
        readers = [asyncio.ensure_future(r.read(bytes(200))) for r in receivers]
        readers += [asyncio.ensure_future(g.read()) for g in gateways]
        room = asyncio.Semaphore(AT_ONCE)

        async def work(g: _Client) -> None:
            for _ in range(PUBLISHED):
                async with room:
                    g.acked.clear()
                    g.publish(f"embergate/1/{g.name}/up/telemetry", batch)
                    await g.acked.wait()

        started, at = _seconds(broker.pid), time.perf_counter()
        async with asyncio.timeout(120):
            await asyncio.gather(*(work(g) for g in gateways))
        relayed, took = _seconds(broker.pid) - started, time.perf_counter() - at
        for reader in readers:
            reader.cancel()
        for client in (*gateways, *receivers):
            client.close()
    finally:
        broker.stop()
    count = clients * PUBLISHED
    how = f"mosquitto, {clients} clients with TLS 1.3 and certificates of their own (P-256)"
    figures.add("mosquitto_memory", (full - empty) / clients, "kB a client", f"VmRSS; {how}")
    figures.add(
        "mosquitto_connect", connecting * 1e3 / clients, "ms a client", f"processor time; {how}"
    )
    figures.add(
        "mosquitto_cpu", relayed * 1e6 / count, "us a batch",
        f"processor time to relay {len(batch)} bytes to one of two receivers of a shared "
        f"subscription and 200 bytes back, QoS 1 both ways, {AT_ONCE} at a time, "
        f"{count / took:.0f}/s with the clients on the same two cores; {how}",
    )  # fmt: skip


def _rss(pid: int) -> int:
    text = Path(f"/proc/{pid}/status").read_text()
    return int(next(x.split()[1] for x in text.splitlines() if x.startswith("VmRSS")))
