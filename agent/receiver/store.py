"""What a receiver keeps: raw batches by number, decoded events, findings, and the heads of chains.

Everything that one group of batches brings is one transaction, and each insert may happen twice.
The words are those of SQL that SQLite and PostgreSQL share; an engine knows the rest of its own.
Before a gateway's chains are read its row is locked, so that several receivers can work on one
database: whoever has the row sees everything of that gateway, and nobody else adds to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import cbor2

from agent.uplink.batch import Opened
from agent.uplink.clocks import Clocks
from agent.uplink.history import Finding, History
from agent.uplink.table import TablePart
from config.limits import RECEIVER_EVIDENCE_MAX, RECEIVER_FINDINGS_MAX
from config.words import Lane

BULK = (Lane.TELEMETRY, Lane.SUMMARY)
HEARTBEAT = "heartbeat"  # no lane has this name: a gateway's tails are kept under it
BATCH_COLUMNS = (
    "hash", "gateway", "epoch", "lane", "seq", "kid", "boot", "wall_ns", "clock", "codec",
    "received_ns", "readings", "bytes",
)  # fmt: skip
EVENT_COLUMNS = (
    "gateway", "session", "seq", "lane", "epoch", "batch_seq", "source", "what", "mono_ns",
    "wall_ns", "clock", "folded", "body",
)  # fmt: skip
FINDING_COLUMNS = (
    "gateway", "code", "lane", "epoch", "seq", "error", "text", "first_ns", "last_ns", "count",
)  # fmt: skip


class StoreProblem(Exception):  # noqa: N818 -- reaches a person as a problem
    """The database cannot be used. The text says what to do."""


class StoreFailed(Exception):  # noqa: N818 -- an answer: nothing of the transaction is kept
    """The database did not take it. Nothing was acknowledged: all of it comes again."""


class StoreRefused(StoreFailed):
    """The database works and refuses a value: it is what was said that is at fault."""


@dataclass(frozen=True, slots=True)
class Held:
    """A batch as it is kept."""

    gateway: str
    opened: Opened
    message: bytes
    received_ns: int


ChainRow = tuple[str, bytes, str, bytes]
"""(gateway, epoch, lane, state) of a history."""


class Engine(Protocol):
    """A database. Parameters are written `?`; every error of the library becomes StoreFailed."""

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""

    def change(self, sql: str, values: Sequence[Any]) -> int:
        """Run one statement; how many rows it changed."""

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Rows of a query as maps, one after the other: there may be many."""

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, durable when left."""

    def lock(self, gateways: Sequence[str]) -> dict[str, int]:
        """Take the rows of gateways, in this order; the version of each one's history."""

    def news(self, known: Mapping[str, int]) -> Iterable[ChainRow]:
        """Chains that are newer than the version that is known of each gateway; -1: all."""

    def room(self, now_ns: int, gateways: Sequence[str]) -> None:
        """Before a transaction: what batches of now and of these gateways need to have."""

    def forget(self, table: str, before_ns: int) -> list[str]:
        """Drop what was received before a time; the names of what was dropped."""

    def close(self) -> None:
        """Give it up."""


class Store:
    """The tables, on any engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def close(self) -> None:
        """Close the database."""
        self.engine.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when left. Raises StoreFailed."""
        with self.engine.transaction():
            yield

    # --- writing, inside a transaction ---

    def add_batches(self, rows: Sequence[tuple[Held, int | None]]) -> None:
        """Keep batches' bytes, and how many readings each has where that is known; each once."""
        self._insert("batches", BATCH_COLUMNS, [_batch_row(held, n) for held, n in rows])

    def add_events(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Decoded events, in the order of EVENT_COLUMNS; each once, whatever the batch."""
        self._insert("events", EVENT_COLUMNS, rows)

    def add_times(
        self, anchors: Sequence[tuple[str, bytes, int, int]],
        untimed: Sequence[tuple[str, bytes, bytes, int, int]],
    ) -> None:  # fmt: skip
        """Moments on both clocks, (gateway, boot, mono_ns, wall_ns), and events from before the
        clock was set, (gateway, boot, session, seq, mono_ns): whichever comes last, the events get
        their time. Their `clock` stays 0: that says it was given afterwards.
        """
        self._insert("anchors", ("gateway", "boot", "mono_ns", "wall_ns"), anchors)
        columns = ("gateway", "boot", "session", "seq", "mono_ns")
        self._insert("untimed", columns, untimed)
        touched = {(row[0], row[1]) for row in anchors} | {(row[0], row[1]) for row in untimed}
        for gateway, boot in sorted(touched):
            clocks = self.clocks(gateway, boot)
            sql = "select session, seq, mono_ns from untimed where gateway = ? and boot = ?"
            rows = [
                (wall_ns, gateway, bytes(session), seq)
                for session, seq, mono_ns in self.engine.execute(sql, (gateway, boot))
                if (wall_ns := clocks.wall_ns(boot, mono_ns)) is not None and 0 <= wall_ns < 2**63
            ]
            sql = "update events set wall_ns = ? where gateway = ? and session = ? and seq = ?"
            self.engine.many(sql, rows)

    def add_table_part(self, gateway: str, part: TablePart) -> None:
        """A part of a point table."""
        row = (gateway, part.hash, part.index, part.parts, part.body)
        self._insert("table_parts", ("gateway", "hash", "part", "parts", "body"), [row])

    def add_evidence(self, held: Held, code: str) -> None:
        """A signed batch that contradicts what is held; a gateway's first ones are kept."""
        sql = "select count(*) from evidence where gateway = ?"
        ((count,),) = self.engine.execute(sql, (held.gateway,))
        if count < RECEIVER_EVIDENCE_MAX:
            row = (held.opened.hash, held.gateway, code, held.received_ns, held.message)
            self._insert("evidence", ("hash", "gateway", "code", "received_ns", "bytes"), [row])

    def add_finding(self, gateway: str, finding: Finding, now_ns: int, count: int = 1) -> bool:
        """Count a finding; True when it is the first of its kind and number."""
        key = (gateway, finding.code, finding.lane, finding.epoch, finding.seq)
        done = self.engine.change(
            "update findings set count = count + ?, last_ns = ?, text = ? "
            "where gateway = ? and code = ? and lane = ? and epoch = ? and seq = ?",
            (count, now_ns, finding.text, *key),
        )
        if done:
            return False
        sql = "select count(*) from findings where gateway = ?"
        ((known,),) = self.engine.execute(sql, (gateway,))
        if known >= RECEIVER_FINDINGS_MAX:
            return False
        row = (*key, int(finding.error), finding.text, now_ns, now_ns, count)
        self._insert("findings", FINDING_COLUMNS, [row])
        return True

    def save_chains(
        self, changed: Mapping[str, tuple[int, Sequence[tuple[bytes, str, Any]]]], now_ns: int
    ) -> None:
        """What changed of gateways, under their new versions, with what made it change."""
        rows = [
            (gateway, epoch, lane, version, cbor2.dumps(state))
            for gateway, (version, states) in changed.items()
            for epoch, lane, state in states
        ]
        self.engine.many(
            "insert into chains (gateway, epoch, lane, version, state) values (?, ?, ?, ?, ?) "
            "on conflict (gateway, epoch, lane) do update set "
            "version = excluded.version, state = excluded.state",
            rows,
        )
        self.engine.many(
            "update gateways set version = ?, last_ns = ? where gateway = ?",
            [(version, now_ns, gateway) for gateway, (version, _) in changed.items()],
        )

    def _insert(self, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        names, marks = ", ".join(columns), ", ".join("?" * len(columns))
        # Names are this module's own; values go as parameters.
        sql = f"insert into {table} ({names}) values ({marks}) on conflict do nothing"  # noqa: S608 -- as above
        self.engine.many(sql, rows)

    # --- reading ---

    def news(self, known: Mapping[str, int]) -> Iterator[tuple[str, bytes, str, list[Any]]]:
        """(gateway, epoch, lane, state) of chains that changed since a gateway's version."""
        for gateway, epoch, lane, state in self.engine.news(known):
            yield gateway, bytes(epoch), lane, cbor2.loads(state)

    def history(self, gateway: str) -> History:
        """A gateway's chains; empty for one that was never heard."""
        history = History()
        for _, epoch, lane, state in self.news({gateway: -1}):
            if lane != HEARTBEAT:
                history.apply([(epoch, lane, state)])
        return history

    def clocks(self, gateway: str, boot: bytes) -> Clocks:
        """What is known of the clocks of one boot."""
        clocks = Clocks()
        sql = "select mono_ns, wall_ns from anchors where gateway = ? and boot = ? order by mono_ns"
        for mono_ns, wall_ns in self.engine.execute(sql, (gateway, boot)):
            clocks.learn_anchor(boot, mono_ns, wall_ns)
        return clocks

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query as maps."""
        return list(self.engine.rows(sql, values))

    def stream(self, sql: str, *values: Any) -> Iterator[dict[str, Any]]:
        """As rows(), one after the other."""
        return self.engine.rows(sql, values)

    def table_parts(self, gateway: str, name: bytes) -> list[tuple[Any, ...]]:
        """(hash, part, parts, body) of a point table."""
        return self.engine.execute(
            "select hash, part, parts, body from table_parts where gateway = ? and hash = ?",
            (gateway, name),
        )

    def known_hash(self, gateway: str, epoch: bytes, lane: str, seq: int) -> bytes | None:
        """The hash of the batch that is held under a number."""
        found = self.engine.execute(
            "select hash from batches where gateway = ? and epoch = ? and lane = ? and seq = ?",
            (gateway, epoch, lane, seq),
        )
        return bytes(found[0][0]) if found else None


def _batch_row(held: Held, readings: int | None) -> tuple[Any, ...]:
    batch, opened = held.opened.batch, held.opened
    return (
        opened.hash, held.gateway, batch.epoch, batch.lane, batch.seq, opened.kid.hex(),
        batch.boot, batch.wall_ns, batch.clock, batch.codec, held.received_ns,
        readings, held.message,
    )  # fmt: skip


def open_store(where: str, *, read_only: bool = False) -> Store:
    """A database by its address: postgresql://... or the path of an SQLite file.

    Raises StoreProblem.
    """
    opener: Callable[..., Engine]
    if where.startswith(("postgresql://", "postgres://")):
        try:
            from agent.receiver.postgresql import open_postgresql as opener  # noqa: PLC0415 -- an extra
        except ImportError:
            text = "PostgreSQL needs the extra: pip install '.[postgresql]' in the checkout"
            raise StoreProblem(text) from None
    else:
        from agent.receiver.sqlite import open_sqlite as opener  # noqa: PLC0415 -- as its sibling
    return Store(opener(where, read_only=read_only))
