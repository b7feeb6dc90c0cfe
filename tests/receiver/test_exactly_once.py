"""Several receivers, a database that fails at every statement in turn, and a history that is kept.

The gateways here are couriers as the contract wants them: they send again whatever was not
acknowledged, and forget what was. What they forgot has to be in the database, once.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import PostgreSqlServer
from gateways import Gateway, platform_key

from agent.receiver.ingest import Ingest, Message
from agent.receiver.postgresql import PostgreSql
from agent.receiver.report import report
from agent.receiver.store import Store, StoreFailed, open_store
from agent.receiver.trust import read_signer, read_trust
from agent.uplink.ack import open_ack
from agent.uplink.batch import hash_of, open_batch
from agent.uplink.cose import Trust, TrustedKey
from config.limits import S

Sent = tuple[str, bytes]


class Failing(PostgreSql):
    """Ends its session, or has the statement cancelled, at the statements that are told."""

    countdown = -1  # statements until it fails; below 0: never
    after = False  # the statement is carried out, and the answer does not arrive

    def _fail(self, run: Callable[[], Any]) -> Any:
        self.countdown -= 1
        if self.countdown == -1:
            self.countdown = -2
            if self.after:
                run()
            self._connection.close()
        return run()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._fail(lambda: super(Failing, self).execute(sql, values))
        return found

    def change(self, sql: str, values: Sequence[Any]) -> int:
        changed: int = self._fail(lambda: super(Failing, self).change(sql, values))
        return changed

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        self._fail(lambda: super(Failing, self).many(sql, rows))


class Courier:
    """What a gateway still has to bring, by chain and number, and what it may forget."""

    def __init__(self, name: str, seed: int, trust: Trust) -> None:
        self.gateway = Gateway(name, seed)
        self._trust = trust
        self._own = Trust([TrustedKey(self.gateway.signer.public, name)])
        self.waiting: dict[tuple[bytes, str, int], Sent] = {}
        self.forgotten: dict[tuple[bytes, str, int], bytes] = {}

    def seal(self) -> None:
        g = self.gateway
        sent = [g.epoch(), g.table()]
        for n in range(4):
            sent += [g.events("event", f"e{n}"), g.telemetry(2), g.events("fire", f"f{n}")]
        for topic, message in sent:
            b = open_batch(message, self._own).batch
            self.waiting[b.epoch, b.lane, b.seq] = topic, message

    def hear(self, payload: bytes) -> None:
        ack = open_ack(payload, self._trust)
        for epoch, lane, seq in list(self.waiting):
            if (epoch, lane) == (ack.epoch, ack.lane) and seq <= ack.seq:
                _, message = self.waiting.pop((epoch, lane, seq))
                self.forgotten[epoch, lane, seq] = message
        assert hash_of(self.forgotten[ack.epoch, ack.lane, ack.seq]) == ack.hash


def check(store: Store, couriers: Sequence[Courier]) -> None:
    """Every forgotten batch is there, byte for byte and once; every event of it once."""
    held: Counter[bytes] = Counter(
        bytes(r["bytes"]) for r in store.rows("select bytes from batches")
    )
    assert set(held.values()) <= {1}, "a batch is kept twice"
    for courier in couriers:
        assert set(courier.forgotten.values()) <= set(held), "lost after its word"


@pytest.mark.parametrize("after", [False, True])
def test_exactly_once_whatever_statement_fails(
    postgresql: PostgreSqlServer, tmp_path: Path, after: bool
) -> None:
    url = postgresql.database()
    public = Trust([TrustedKey(platform_key(tmp_path / "platform"))])
    couriers = [Courier(f"gw-{n}", n + 1, public) for n in range(3)]
    for courier in couriers:
        courier.gateway.trust(tmp_path / "trust.json")
        courier.seal()
    engines = [Failing(url), Failing(url)]
    signer, trust = read_signer(tmp_path / "platform"), read_trust(tmp_path / "trust.json")
    receivers = [
        Ingest(Store(e), trust, signer, lambda: 1_795_000_000 * S, lambda _: None) for e in engines
    ]
    rng = random.Random(6)
    reader = open_store(url, read_only=True)
    failed = 0
    for at in range(48):
        if not any(c.waiting for c in couriers):
            for courier in couriers:
                courier.seal()  # the next epoch
        engine, receiver = rng.choice(list(zip(engines, receivers, strict=True)))
        engine.countdown, engine.after = (at // 2 % 23 if at % 2 else -2), after
        waiting = [m for c in couriers for m in c.waiting.values()]
        group = rng.choices(waiting[:24], k=9)
        try:
            acks = receiver.take([Message(*m) for m in group])
        except StoreFailed:
            failed += 1
            continue
        lost = rng.random() < 0.3  # acknowledgements that do not arrive
        for (name, _, _), ack in acks.items():
            if not lost:
                next(c for c in couriers if c.gateway.name == name).hear(ack.payload)
    check(reader, couriers)
    assert failed > 12, "it did fail, often"
    assert sum(len(c.forgotten) for c in couriers) > 20
    for engine in engines:
        engine.countdown = -2
    while any(c.waiting for c in couriers):
        for courier in couriers:
            for ack in receivers[0].take([Message(*m) for m in courier.waiting.values()]).values():
                courier.hear(ack.payload)
    check(reader, couriers)
    found = report(reader)
    assert found["findings"] == []
    assert found["batches"] == sum(len(c.forgotten) for c in couriers)
    assert found["events"] == sum(
        1 for c in couriers for _, lane, _ in c.forgotten if lane in ("event", "fire")
    )
    for store in (reader, *(Store(e) for e in engines)):
        store.close()


def test_a_commit_whose_answer_is_lost_is_a_duplicate_and_no_second_batch(
    postgresql: PostgreSqlServer, tmp_path: Path
) -> None:
    """The server ends the session right after it has committed: nobody knows, so it comes again."""
    url = postgresql.database()
    public = Trust([TrustedKey(platform_key(tmp_path / "platform"))])
    courier = Courier("gw-0", 1, public)
    courier.gateway.trust(tmp_path / "trust.json")
    courier.seal()
    engine = PostgreSql(url)
    receiver = Ingest(
        Store(engine), read_trust(tmp_path / "trust.json"), read_signer(tmp_path / "platform"),
        lambda: 1_795_000_000 * S, lambda _: None,
    )  # fmt: skip
    group = [Message(*m) for m in courier.waiting.values()]
    receiver.take(group[:1])
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "create function bye() returns trigger language plpgsql as "
            "$$begin perform pg_terminate_backend(pg_backend_pid()); return null; end$$"
        )
        admin.execute(
            "create constraint trigger bye after insert on events deferrable initially deferred "
            "for each row execute function bye()"
        )
        with pytest.raises(StoreFailed):
            receiver.take(group)
        admin.execute("drop trigger bye on events")
        for ack in receiver.take(group).values():
            courier.hear(ack.payload)
    assert not courier.waiting
    check(Store(engine), [courier])
    assert report(Store(engine))["findings"] == []
    engine.close()
