"""Several receivers on one PostgreSQL: any batch to any of them, in any order, whoever dies."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from brokers import mosquitto, short_dir, until
from databases import PostgreSqlServer
from gateways import Gateway, platform_key

from agent.courier.broker import address
from agent.courier.mqtt import Dial, Link, Listener, connect
from agent.receiver.export import Selection, export_rows
from agent.receiver.ingest import ChainId, Ingest, Message, Note
from agent.receiver.postgresql import PostgreSql
from agent.receiver.report import report
from agent.receiver.store import Store, StoreFailed, StoreProblem, open_store
from agent.receiver.trust import read_signer, read_trust
from agent.uplink.ack import open_ack
from agent.uplink.batch import hash_of
from agent.uplink.cose import Trust, TrustedKey
from config.limits import S

WALL_NS = 1_795_000_000 * S
DAY_NS = 24 * 3_600 * S


class Platform:
    """Receivers that share a database, and gateways that they trust."""

    def __init__(self, url: str, directory: Path, receivers: int, gateways: int = 1) -> None:
        self.url, self.directory, self.now_ns = url, directory, WALL_NS
        self.public = platform_key(directory / "platform")
        self.gateways = [Gateway(f"gw-{n}", seed=n + 1) for n in range(gateways)]
        for gateway in self.gateways:
            gateway.trust(directory / "trust.json")
        self.notes: list[Note] = []
        self.stores = [open_store(url) for _ in range(receivers)]
        self.receivers = [self.ingest(store) for store in self.stores]

    def ingest(self, store: Store) -> Ingest:
        trust = read_trust(self.directory / "trust.json")
        signer = read_signer(self.directory / "platform")
        return Ingest(store, trust, signer, lambda: self.now_ns, self.notes.append)

    def seqs(self, acks: dict[ChainId, Message]) -> dict[tuple[str, str], int]:
        trust = Trust([TrustedKey(self.public)])
        opened = [open_ack(ack.payload, trust) for ack in acks.values()]
        return {(ack.gateway, ack.lane): ack.seq for ack in opened}

    def report(self) -> dict[str, Any]:
        return report(self.stores[0])

    def close(self) -> None:
        for store in self.stores:
            store.close()


def take(receiver: Ingest, *messages: tuple[str, bytes]) -> dict[ChainId, Message]:
    return receiver.take([Message(*m) for m in messages])


def work(gateway: Gateway, rounds: int) -> list[tuple[str, bytes]]:
    """What a gateway seals: two epochs of events, fires and telemetry."""
    sent = []
    for _ in range(2):
        sent += [gateway.epoch(), gateway.table()]
        for n in range(rounds):
            sent += [gateway.events("event", f"e{n}"), gateway.telemetry(3)]
            sent += [gateway.events("fire", f"f{n}")]
    return sent


def test_out_of_order_over_two_receivers_is_joined_and_only_then_acknowledged(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 2)
    (g,), (one, two) = p.gateways, p.receivers
    epoch, a, b, c = g.epoch(), *(g.events("event", w) for w in "abc")
    assert p.seqs(take(one, epoch)) == {("gw-0", "epoch"): 0}
    assert p.seqs(take(two, c)) == {}, "two before it are missing"
    assert p.seqs(take(one, a)) == {("gw-0", "event"): 0}
    assert [f["code"] for f in p.report()["findings"]] == ["gap"]
    assert p.seqs(take(two, b)) == {("gw-0", "event"): 2}, "what another one took counts too"
    found = p.report()
    assert (found["events"], found["findings"]) == (3, [])
    assert [(r["code"], r["count"]) for r in found["remarks"]] == [("reordered", 1)]
    assert p.seqs(take(one, c)) == {("gw-0", "event"): 2}, "a duplicate is acknowledged again"
    p.close()


def test_every_batch_is_kept_once_while_receivers_work_at_the_same_time(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 3, gateways=4)
    sent = [m for g in p.gateways for m in work(g, 12)]
    rng = random.Random(6)
    mixed = [*sent, *rng.sample(sent, len(sent) // 3)]  # and a third of it twice
    rng.shuffle(mixed)
    shares: list[list[tuple[str, bytes]]] = [mixed[n::3] for n in range(3)]
    acks: list[dict[tuple[str, str], int]] = []

    def receive(receiver: Ingest, share: Sequence[tuple[str, bytes]]) -> None:
        groups = [share[at : at + 7] for at in range(0, len(share), 7)]
        acks.extend(p.seqs(take(receiver, *group)) for group in groups)

    threads = [
        threading.Thread(target=receive, args=pair)
        for pair in zip(p.receivers, shares, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    found = p.report()
    assert found["findings"] == []
    assert (found["batches"], found["events"]) == (len(sent), 4 * 2 * 12 * 2)
    assert found["readings"] == 4 * 2 * 12 * 3 * 2
    rows = p.stores[0].rows("select hash, count(*) as n from batches group by hash")
    assert {bytes(r["hash"]) for r in rows} == {hash_of(m) for _, m in sent}
    assert {r["n"] for r in rows} == {1}
    assert max(seqs.get(("gw-2", "event"), -1) for seqs in acks) == 11
    for gateway in p.gateways:
        chains = p.stores[1].history(gateway.name)
        assert chains.acknowledge(b"\1" * 8, "telemetry") is not None
    assert len(list(export_rows(p.stores[0], "readings", Selection("gw-1")))) == 2 * 12 * 6
    p.close()


def test_a_fork_at_another_receiver_is_seen(postgresql: PostgreSqlServer, tmp_path: Path) -> None:
    p = Platform(postgresql.database(), tmp_path, 2)
    (g,), (one, two) = p.gateways, p.receivers
    clone = Gateway(g.name, seed=1)
    take(one, g.epoch(), g.events("event", "a"), g.events("event", "b"))
    clone.epoch()
    for at in ("in the middle", "at the head"):
        assert take(two, clone.events("event", at)) == {}
    found = p.report()
    assert [f["code"] for f in found["findings"]] == ["fork", "fork"]
    assert len(p.stores[0].rows("select * from evidence")) == 2
    p.close()


def test_heartbeats_that_come_to_different_receivers_show_a_withheld_tail(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 3)
    g = p.gateways[0]
    take(p.receivers[0], g.epoch())
    g.events("fire", "withheld")
    for n, receiver in enumerate(p.receivers):
        assert p.report()["findings"] == []
        take(receiver, g.heartbeat(60 * (n + 1)))
    assert [f["code"] for f in p.report()["findings"]] == ["tail_missing"]
    p.close()


def test_nothing_acknowledged_is_lost_when_the_database_dies_and_comes_back(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 1)
    (g,), (one,) = p.gateways, p.receivers
    first = [g.epoch(), g.events("event", "a")]
    take(one, *first)
    postgresql.halt()
    second = g.events("event", "b")
    try:
        for _ in range(2):
            with pytest.raises(StoreFailed):
                take(one, second)
    finally:
        postgresql.start()
    assert p.seqs(take(one, second)) == {("gw-0", "event"): 1}
    assert (p.report()["batches"], p.report()["findings"]) == (3, [])
    p.close()


def test_a_commit_that_was_not_let_wait_for_its_standby_is_not_acknowledged(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 1)
    gateway = p.gateways[0]
    first, second = gateway.epoch(), gateway.events("fire", "ALARM")
    take(p.receivers[0], first)
    came: list[dict[ChainId, Message] | Exception] = []

    def commit() -> None:
        try:
            came.append(take(p.receivers[0], second))
        except StoreFailed as e:
            came.append(e)

    with psycopg.connect(p.url, autocommit=True) as operator:
        operator.execute("alter system set synchronous_standby_names = 'a_standby'")
        operator.execute("select pg_reload_conf()")
        try:
            committing = threading.Thread(target=commit)
            committing.start()
            # Again until it is over: each of its transactions waits, for a standby that is away.
            deadline = time.monotonic() + 20
            while committing.is_alive() and time.monotonic() < deadline:
                operator.execute(
                    "select pg_cancel_backend(pid) from pg_stat_activity "
                    "where wait_event = 'SyncRep'"
                )
                committing.join(0.02)
        finally:
            operator.execute("alter system reset synchronous_standby_names")
            operator.execute("select pg_reload_conf()")
    committing.join(20)
    assert isinstance(came[0], StoreFailed), came
    assert "synchronous replication" in str(came[0])
    acks = take(p.receivers[0], second)  # it was kept here after all: only now it is certain
    assert p.seqs(acks) == {("gw-0", "fire"): 0}
    assert [f["what"] for f in p.report()["fires"]] == ["ALARM"]
    p.close()


def test_what_fails_half_way_leaves_nothing_and_is_not_remembered(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 2)
    (g,), (one, two) = p.gateways, p.receivers
    sent = [g.epoch(), g.events("event", "a")]
    broken = "alter table chains add constraint full_disk check (lane <> 'event')"
    p.stores[1].engine.change(broken, ())
    with pytest.raises(StoreFailed):
        take(one, *sent)
    assert p.stores[1].rows("select count(*) as n from batches") == [{"n": 0}]
    p.stores[1].engine.change("alter table chains drop constraint full_disk", ())
    assert p.seqs(take(two, *sent)) == {("gw-0", "epoch"): 0, ("gw-0", "event"): 0}
    p.close()


def test_partitions_are_made_ahead_and_dropped_by_age(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    p = Platform(postgresql.database(), tmp_path, 2)
    (g,), (one, two) = p.gateways, p.receivers
    take(one, g.epoch(), g.table(), g.telemetry())
    for _ in range(3):
        p.now_ns += DAY_NS
        take(two, g.telemetry(), g.events("event", "a"))
    assert p.report()["findings"] == []
    engine = p.stores[0].engine
    assert isinstance(engine, PostgreSql)
    dropped = engine.forget("batches_bulk", p.now_ns - DAY_NS)
    assert len(dropped) == 2
    assert engine.forget("batches_bulk", p.now_ns - DAY_NS) == []
    lanes = {r["lane"]: r["n"] for r in p.stores[0].rows(
        "select lane, count(*) as n from batches group by lane")}  # fmt: skip
    assert lanes == {"epoch": 1, "table": 1, "telemetry": 2, "event": 3}
    assert p.report()["findings"] == [], "what was dropped was acknowledged: it is no gap"
    p.close()


def test_an_address_that_does_not_serve_is_one_problem(postgresql: PostgreSqlServer) -> None:
    with pytest.raises(StoreProblem, match="PostgreSQL"):
        open_store("postgresql://embergate@/nothing_there?host=/nowhere")
    with pytest.raises(StoreProblem, match="receiver's database"):
        open_store(postgresql.database(), read_only=True)


def test_processes_on_a_shared_subscription_carry_on_when_one_is_killed(
    postgresql: PostgreSqlServer,
) -> None:
    url = postgresql.database()

    async def scene(directory: Path) -> None:
        gateways = [Gateway(f"gw-{n}", seed=n + 1) for n in range(3)]
        for gateway in gateways:
            gateway.trust(directory / "trust.json")
        public = platform_key(directory / "platform")
        async with mosquitto(directory) as broker:
            processes: list[asyncio.subprocess.Process] = []
            logs = [directory / f"{n}.log" for n in range(2)]
            try:
                processes += [await receiver(directory, broker.port, url, x) for x in logs]
                await until(lambda: all("connected" in x.read_text() for x in logs), "both")
                sender = await Sender.of(broker.port)
                sent = [m for g in gateways for m in work(g, 8)]
                random.Random(2).shuffle(sent)
                half = len(sent) // 2
                for message in sent[:half]:
                    sender.publish(*message)
                await until(lambda: all('"batch"' in x.read_text() for x in logs), "both to work")
                processes[0].kill()
                for message in sent[half:]:
                    sender.publish(*message)
                await processes[0].wait()
                for message in sent:  # what the dead one had taken comes again
                    sender.publish(*message)
                expected = {(g.name, lane, 7) for g in gateways for lane in ("event", "telemetry")}

                def acked() -> set[tuple[str, str, int]]:
                    trust = Trust([TrustedKey(public)])
                    acks = [open_ack(raw, trust) for raw in sender.acks]
                    return {(a.gateway, a.lane, a.seq) for a in acks if a.epoch == b"\2" * 8}

                await until(lambda: expected <= acked(), "acknowledgements of everything")
                store = open_store(url, read_only=True)
                found = report(store)
                store.close()
                assert found["findings"] == []
                assert (found["batches"], found["events"]) == (len(sent), 3 * 2 * 8 * 2)
                await sender.close()
            finally:
                for process in processes:
                    if process.returncode is None:
                        process.kill()
                    await process.wait()

    with short_dir() as directory:
        asyncio.run(scene(directory))


async def receiver(directory: Path, port: int, url: str, log: Path) -> asyncio.subprocess.Process:
    with log.open("wb") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "agent.cli.main", "receive", "--broker",
            f"mqtt://127.0.0.1:{port}", "--trust", str(directory / "trust.json"), "--keys",
            str(directory / "platform"), "--db", url, "--group", "city", "--json",
            stdout=out, stderr=out,
        )  # fmt: skip


class Sender:
    """Publishes for all gateways, and hears every acknowledgement."""

    _link: Link

    def __init__(self) -> None:
        self.acks: list[bytes] = []

    @classmethod
    async def of(cls, port: int) -> Sender:
        self = cls()
        self._link = await connect(
            Dial(address({"url": f"mqtt://127.0.0.1:{port}", "insecure": True}), "sender",
                 ("embergate/1/+/down/ack",), 1 << 21),
            Listener(lambda _t, raw: self.acks.append(raw), lambda *_: None, lambda: None,
                     lambda _why: None),
        )  # fmt: skip
        return self

    def publish(self, topic: str, payload: bytes) -> None:
        self._link.publish_once(topic, payload)

    async def close(self) -> None:
        self._link.close()
        await self._link.gone()


@pytest.mark.parametrize("password", ["sec%zzret", "s3c ret", "se@cr@t"])
def test_an_address_that_cannot_be_read_is_not_quoted(password: str) -> None:
    with pytest.raises(StoreProblem) as caught:
        open_store(f"postgresql://embergate:{password}@127.0.0.1:1/received")
    assert "cannot be read" in str(caught.value)
    assert not any(part in str(caught.value) for part in ("sec", "s3c", "ret", "cr@t"))
