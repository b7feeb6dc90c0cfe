"""One receiver's database in a file. A lock beside it says who writes: one process does."""

from __future__ import annotations

import fcntl
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from sqlite_utils import Database

from agent.receiver.store import ChainRow, StoreFailed, StoreProblem, StoreRefused

_TABLES: dict[str, tuple[dict[str, type], tuple[str, ...]]] = {
    "batches": (
        {
            "hash": bytes, "gateway": str, "epoch": bytes, "lane": str, "seq": int, "kid": str,
            "boot": bytes, "wall_ns": int, "clock": int, "codec": int, "received_ns": int,
            "readings": int, "bytes": bytes,
        },
        ("gateway", "epoch", "lane", "seq"),
    ),
    "events": (
        {
            "gateway": str, "session": bytes, "seq": int, "lane": str, "epoch": bytes,
            "batch_seq": int, "source": str, "what": str, "mono_ns": int, "wall_ns": int,
            "clock": int, "folded": int, "body": str,
        },
        ("gateway", "session", "seq"),
    ),
    "findings": (
        {
            "gateway": str, "code": str, "lane": str, "epoch": bytes, "seq": int, "error": int,
            "text": str, "first_ns": int, "last_ns": int, "count": int,
        },
        ("gateway", "code", "lane", "epoch", "seq"),
    ),
    "table_parts": (
        {"gateway": str, "hash": bytes, "part": int, "parts": int, "body": bytes},
        ("gateway", "hash", "part"),
    ),
    "evidence": (
        {"hash": bytes, "gateway": str, "code": str, "received_ns": int, "bytes": bytes},
        ("hash",),
    ),
    "anchors": (
        {"gateway": str, "boot": bytes, "mono_ns": int, "wall_ns": int},
        ("gateway", "boot", "mono_ns"),
    ),
    "untimed": (
        {"gateway": str, "boot": bytes, "session": bytes, "seq": int, "mono_ns": int},
        ("gateway", "boot", "session", "seq"),
    ),
    "gateways": ({"gateway": str, "version": int, "last_ns": int}, ("gateway",)),
    "chains": (
        {"gateway": str, "epoch": bytes, "lane": str, "version": int, "state": bytes},
        ("gateway", "epoch", "lane"),
    ),
}  # fmt: skip


def open_sqlite(where: str, *, read_only: bool = False) -> Sqlite:
    """The engine on a file. Raises StoreProblem."""
    return Sqlite(Path(where), read_only=read_only)


class Sqlite:
    """The engine: one connection, used by one thread at a time."""

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._lock = None if read_only else _locked(path)
        try:
            self.db = Database(_connection(path, read_only=read_only))
            if not read_only:
                self._prepare()
            self.db.execute("select version from gateways limit 1").fetchone()
        except sqlite3.Error as e:
            self._unlock()
            raise StoreProblem(f"{path}: {e}; expected a receiver's database") from None

    def _prepare(self) -> None:
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")  # what is acknowledged survives a power cut
        with self.db.atomic():
            for name, (columns, pk) in _TABLES.items():
                key = pk[0] if len(pk) == 1 else pk
                self.db.table(name).create(columns, pk=key, if_not_exists=True)

    def close(self) -> None:
        """Close the file and give up the lock."""
        self.db.close()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.close()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        try:
            return self.db.execute(sql, tuple(values)).fetchall()
        except sqlite3.Error as e:
            raise StoreFailed(str(e)) from e

    def change(self, sql: str, values: Sequence[Any]) -> int:
        """Run one statement; how many rows it changed."""
        try:
            return self.db.execute(sql, tuple(values)).rowcount
        except sqlite3.Error as e:
            raise StoreFailed(str(e)) from e

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        try:
            self.db.conn.executemany(sql, rows)
        except (OverflowError, sqlite3.DataError) as e:
            raise StoreRefused(str(e)) from e
        except sqlite3.Error as e:
            raise StoreFailed(str(e)) from e

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Rows of a query as maps."""
        try:
            yield from self.db.query(sql, tuple(values))
        except sqlite3.Error as e:
            raise StoreFailed(str(e)) from e

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when left."""
        try:
            with self.db.atomic():
                yield
        except sqlite3.Error as e:
            raise StoreFailed(str(e)) from e

    def lock(self, gateways: Sequence[str]) -> dict[str, int]:
        """The whole file is ours: only the versions are looked up."""
        self.many(
            "insert into gateways (gateway, version, last_ns) values (?, 0, 0) "
            "on conflict do nothing",
            [(gateway,) for gateway in gateways],
        )
        sql = "select gateway, version from gateways where gateway = ?"
        return {row[0]: row[1] for g in gateways for row in self.execute(sql, (g,))}

    def news(self, known: Mapping[str, int]) -> Iterable[ChainRow]:
        """Chains that are newer than what is known."""
        sql = "select gateway, epoch, lane, state from chains where gateway = ? and version > ?"
        for gateway, version in known.items():
            yield from self.execute(sql, (gateway, version))

    def forget(self, _table: str, _before_ns: int) -> list[str]:
        """A file has no partitions. Raises StoreProblem."""
        raise StoreProblem("only PostgreSQL forgets by age; start another file instead")

    def room(self, _now_ns: int, _gateways: Sequence[str]) -> None:
        """A file has one table for all times."""


def _connection(path: Path, *, read_only: bool) -> sqlite3.Connection:
    if read_only:
        uri = f"{path.absolute().as_uri()}?mode=ro"
        return sqlite3.connect(uri, uri=True, check_same_thread=False)
    return sqlite3.connect(path, check_same_thread=False)


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
