"""What a receiver keeps: raw batches by hash, decoded events, findings, and the heads of chains.

One process writes (a lock beside the file says which), through one connection; everything that
one group of batches brings is one transaction, and each insert may happen twice.
"""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import cbor2
from sqlite_utils import Database

from agent.uplink.batch import Opened
from agent.uplink.history import Finding, History
from agent.uplink.table import TablePart
from config.limits import RECEIVER_EVIDENCE_MAX, RECEIVER_FINDINGS_MAX

_BATCHES = {
    "hash": bytes, "gateway": str, "epoch": bytes, "lane": str, "seq": int, "kid": str,
    "boot": bytes, "wall_ns": int, "clock": int, "codec": int, "received_ns": int, "readings": int,
    "bytes": bytes,
}  # fmt: skip
_EVENTS = {
    "gateway": str, "session": bytes, "seq": int, "lane": str, "epoch": bytes, "batch_seq": int,
    "source": str, "what": str, "mono_ns": int, "wall_ns": int, "clock": int, "folded": int,
    "body": str,
}  # fmt: skip
_FINDINGS = {
    "gateway": str, "code": str, "lane": str, "epoch": bytes, "seq": int, "error": int,
    "text": str, "first_ns": int, "last_ns": int, "count": int,
}  # fmt: skip


class StoreProblem(Exception):  # noqa: N818 -- reaches a person as a problem
    """The database cannot be used. The text says what to do."""


@dataclass(frozen=True, slots=True)
class Held:
    """A batch as it is kept."""

    gateway: str
    opened: Opened
    message: bytes
    received_ns: int


class Store:
    """The database of one receiver."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._lock: IO[bytes] | None = None
        if not read_only:
            self._lock = _locked(path)
        try:
            self.db = Database(_connection(path, read_only=read_only))
            if not read_only:
                self._prepare()
            else:
                self.db.execute("select 1 from batches limit 1").fetchone()
        except sqlite3.Error as e:
            raise StoreProblem(f"{path}: {e}; expected a receiver's database") from None

    def _prepare(self) -> None:
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")  # what is acknowledged survives a power cut
        db = self.db
        with db.atomic():
            db.table("batches").create(_BATCHES, pk="hash", if_not_exists=True)
            db.table("batches").create_index(
                ["gateway", "epoch", "lane", "seq"], unique=True, if_not_exists=True
            )
            db.table("events").create(_EVENTS, pk=("gateway", "session", "seq"), if_not_exists=True)
            db.table("findings").create(
                _FINDINGS, pk=("gateway", "code", "lane", "epoch", "seq"), if_not_exists=True
            )
            db.table("table_parts").create(
                {"gateway": str, "hash": bytes, "part": int, "parts": int, "body": bytes},
                pk=("gateway", "hash", "part"),
                if_not_exists=True,
            )
            db.table("evidence").create(
                {"hash": bytes, "gateway": str, "code": str, "received_ns": int, "bytes": bytes},
                pk="hash",
                if_not_exists=True,
            )
            db.table("gateways").create(
                {"gateway": str, "history": bytes, "last_ns": int}, pk="gateway", if_not_exists=True
            )

    def close(self) -> None:
        """Close the file and give up the lock."""
        self.db.close()
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when left. Raises sqlite3.Error."""
        with self.db.atomic():
            yield

    # --- writing, inside a transaction ---

    def add_batch(self, held: Held, readings: int | None) -> None:
        """Keep a batch's bytes; once. readings: how many values it has, None: not known yet."""
        batch, opened = held.opened.batch, held.opened
        row = (
            opened.hash, held.gateway, batch.epoch, batch.lane, batch.seq, opened.kid.hex(),
            batch.boot, batch.wall_ns, batch.clock, batch.codec, held.received_ns,
            readings, held.message,
        )  # fmt: skip
        self._insert("batches", row)

    def add_events(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Decoded events, in the order of the table's columns; each once, whatever the batch."""
        for row in rows:
            self._insert("events", row)

    def add_table_part(self, gateway: str, part: TablePart) -> None:
        """A part of a point table."""
        self._insert("table_parts", (gateway, part.hash, part.index, part.parts, part.body))

    def add_evidence(self, held: Held, code: str) -> None:
        """A signed batch that contradicts what is held; the first ones are kept."""
        (count,) = self.db.execute("select count(*) from evidence").fetchone()
        if count < RECEIVER_EVIDENCE_MAX:
            row = (held.opened.hash, held.gateway, code, held.received_ns, held.message)
            self._insert("evidence", row)

    def add_finding(self, gateway: str, finding: Finding, now_ns: int) -> bool:
        """Count a finding; True when it is the first of its kind and number."""
        key = (gateway, finding.code, finding.lane, finding.epoch, finding.seq)
        done = self.db.execute(
            "update findings set count = count + 1, last_ns = ?, text = ? "
            "where gateway = ? and code = ? and lane = ? and epoch = ? and seq = ?",
            (now_ns, finding.text, *key),
        )
        if done.rowcount:
            return False
        (count,) = self.db.execute("select count(*) from findings").fetchone()
        if count >= RECEIVER_FINDINGS_MAX:
            return False
        self._insert("findings", (*key, int(finding.error), finding.text, now_ns, now_ns, 1))
        return True

    def save_history(self, gateway: str, history: History, now_ns: int) -> None:
        """The state of a gateway's chains, with the batches that made it."""
        self.db.execute(
            "insert or replace into gateways (gateway, history, last_ns) values (?, ?, ?)",
            (gateway, cbor2.dumps(history.dump()), now_ns),
        )

    def _insert(self, table: str, row: Sequence[Any]) -> None:
        marks = ", ".join("?" * len(row))
        # The name is one of this module's own; values go as parameters.
        self.db.execute(f"insert or ignore into {table} values ({marks})", tuple(row))  # noqa: S608 -- as above

    # --- reading ---

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Rows of a query as maps."""
        return list(self.db.query(sql, values))

    def table_parts(self, gateway: str, name: bytes) -> list[tuple[Any, ...]]:
        """(hash, part, parts, body) of a point table."""
        return self.db.execute(
            "select hash, part, parts, body from table_parts where gateway = ? and hash = ?",
            (gateway, name),
        ).fetchall()

    def messages(self, lane: str, gateway: str | None = None) -> Iterator[tuple[str, bytes]]:
        """(gateway, bytes) of a lane's batches, as they came."""
        where, values = ("and gateway = ?", (gateway,)) if gateway else ("", ())
        yield from self.db.execute(
            f"select gateway, bytes from batches where lane = ? {where} "  # noqa: S608 -- our words
            "order by received_ns, epoch, seq",
            (lane, *values),
        )

    def history(self, gateway: str) -> History:
        """A gateway's chains; empty for one that was never heard."""
        row = self.db.execute(
            "select history from gateways where gateway = ?", (gateway,)
        ).fetchone()
        return History() if row is None else History.load(cbor2.loads(row[0]))

    def known_hash(self, gateway: str, epoch: bytes, lane: str, seq: int) -> bytes | None:
        """The hash of the batch that is held under a number."""
        row = self.db.execute(
            "select hash from batches where gateway = ? and epoch = ? and lane = ? and seq = ?",
            (gateway, epoch, lane, seq),
        ).fetchone()
        return None if row is None else bytes(row[0])

    def lanes(self, gateway: str, epoch: bytes) -> list[str]:
        """Lanes of an epoch of which something is held."""
        rows = self.db.execute(
            "select distinct lane from batches where gateway = ? and epoch = ?", (gateway, epoch)
        )
        return [lane for (lane,) in rows.fetchall()]


def _connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if read_only:
        return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)
    return sqlite3.connect(path)


def _locked(path: Path) -> IO[bytes]:
    lock_path = path.with_name(path.name + ".lock")
    try:
        lock = lock_path.open("wb")
    except OSError as e:
        raise StoreProblem(f"{lock_path}: {e.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise StoreProblem(f"{path}: another receiver writes to it; one writes at a time") from None
    return lock
