"""The database of several receivers: PostgreSQL, through one connection each.

Batches lie in partitions by the time they were received: a day's of telemetry and summaries, thirty
days' of everything else. What is old enough is dropped by the partition, which costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
from psycopg import sql as compose
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import dict_row

from agent.receiver.store import BULK, ChainRow, StoreFailed, StoreProblem, StoreRefused
from config.limits import (
    MS,
    RECEIVER_CONNECT_NS,
    RECEIVER_LOCK_NS,
    RECEIVER_PARTITION_BULK_NS,
    RECEIVER_PARTITION_NS,
    S,
)

_PATIENCE: dict[str, Any] = {
    "connect_timeout": RECEIVER_CONNECT_NS // S,
    # A server that vanished without a word is left, not waited for by the kernel's quarter hour.
    "keepalives_idle": RECEIVER_CONNECT_NS // S,
    "keepalives_interval": RECEIVER_CONNECT_NS // S,
    "keepalives_count": 2,
    "tcp_user_timeout": RECEIVER_LOCK_NS // MS,
}
"""What the address does not say otherwise (libpq, 34.1.2)."""
_PREPARING = 0x656D62657267  # the advisory lock of whoever makes tables: "emberg"
_SCHEMA = f"""
create table if not exists batches (
    hash bytea not null, gateway text not null, epoch bytea not null, lane text not null,
    seq bigint not null, kid text not null, boot bytea not null, wall_ns bigint not null,
    clock integer not null, codec integer not null, received_ns bigint not null,
    readings integer, bytes bytea not null
) partition by list ((lane in ({", ".join(f"'{lane}'" for lane in BULK)})));
create table if not exists batches_bulk partition of batches for values in (true)
    partition by range (received_ns);
create table if not exists batches_record partition of batches for values in (false)
    partition by range (received_ns);
create index if not exists batches_number on batches (gateway, epoch, lane, seq);
create table if not exists events (
    gateway text, session bytea, seq bigint, lane text not null, epoch bytea not null,
    batch_seq bigint not null, source text not null, what text not null, mono_ns bigint not null,
    wall_ns bigint not null, clock integer not null, folded bigint not null, body text not null,
    primary key (gateway, session, seq)
);
create table if not exists findings (
    gateway text, code text, lane text, epoch bytea, seq bigint, error integer not null,
    text text not null, first_ns bigint not null, last_ns bigint not null, count bigint not null,
    primary key (gateway, code, lane, epoch, seq)
);
create table if not exists table_parts (
    gateway text, hash bytea, part integer, parts integer not null, body bytea not null,
    primary key (gateway, hash, part)
);
create table if not exists evidence (
    hash bytea primary key, gateway text not null, code text not null, received_ns bigint not null,
    bytes bytea not null
);
create index if not exists evidence_gateway on evidence (gateway);
create table if not exists anchors (
    gateway text, boot bytea, mono_ns bigint, wall_ns bigint not null,
    primary key (gateway, boot, mono_ns)
);
create table if not exists untimed (
    gateway text, boot bytea, session bytea, seq bigint, mono_ns bigint not null,
    primary key (gateway, boot, session, seq)
);
create table if not exists gateways (
    gateway text primary key, version bigint not null, last_ns bigint not null
);
create table if not exists chains (
    gateway text, epoch bytea, lane text, version bigint not null, state bytea not null,
    primary key (gateway, epoch, lane)
);
"""


def open_postgresql(where: str, *, read_only: bool = False) -> PostgreSql:
    """The engine at an address. Raises StoreProblem."""
    return PostgreSql(where, read_only=read_only)


class PostgreSql:
    """The engine: a connection that is made anew when it was lost."""

    def __init__(self, where: str, *, read_only: bool = False) -> None:
        self._where = where
        self._read_only = read_only
        self._room_until_ns = 0
        self._met: set[str] = set()  # gateways that have a row
        self._doubt = ""  # what the server said of a commit that is none
        try:
            self._connection = self._connect()
            if read_only:
                self._connection.execute("select version from gateways limit 1")
            else:
                self._prepare()
        except psycopg.Error as e:
            raise StoreProblem(f"PostgreSQL: {_said(e)}; expected a receiver's database") from None

    def _connect(self) -> psycopg.Connection[tuple[Any, ...]]:
        given = _address(self._where)
        connection = psycopg.connect(**{**_PATIENCE, **given}, autocommit=True)
        connection.read_only = self._read_only
        connection.add_notice_handler(self._noticed)
        # What is acknowledged survives a power cut, whatever the server's default says.
        connection.execute("set synchronous_commit = on")
        connection.execute(f"set lock_timeout = {RECEIVER_LOCK_NS // MS}")
        return connection

    def _prepare(self) -> None:
        with self._connection.transaction():
            self._connection.execute("select pg_advisory_xact_lock(%s)", (_PREPARING,))
            self._connection.execute(_SCHEMA)

    def _noticed(self, notice: psycopg.errors.Diagnostic) -> None:
        """A commit that an operator, or a timeout, did not let wait for its standby ends well,
        with a warning: "might not have been replicated". It is not to be acknowledged."""
        if notice.severity_nonlocalized == "WARNING":
            self._doubt = notice.message_primary or "a warning"

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def execute(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run one statement; its rows."""
        with _failing():
            return self._connection.execute(_marks(sql), tuple(values)).fetchall()

    def change(self, sql: str, values: Sequence[Any]) -> int:
        """Run one statement; how many rows it changed."""
        with _failing():
            return self._connection.execute(_marks(sql), tuple(values)).rowcount

    def many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row, sent without waiting for each answer."""
        if rows:
            with _failing(), self._connection.cursor() as cursor:
                cursor.executemany(_marks(sql), rows)

    def rows(self, sql: str, values: Sequence[Any] = ()) -> Iterator[dict[str, Any]]:
        """Rows of a query as maps; the server keeps what is not read yet."""
        with (
            _failing(),
            self._connection.transaction(),
            self._connection.cursor(name="rows", row_factory=dict_row) as cursor,
        ):
            cursor.execute(_marks(sql), tuple(values))
            yield from cursor

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, durable when left."""
        try:
            with _failing():
                if self._connection.closed:
                    self._reconnect()
                with self._connection.transaction():
                    yield
                    self._doubt = ""
                if self._doubt:
                    raise StoreFailed(f"committed with a warning: {self._doubt}")
        except StoreFailed:  # perhaps it is another database now, or the clock went back
            self._room_until_ns = 0
            self._met.clear()
            raise

    def _reconnect(self) -> None:
        """To a server that may have been set back, or begun anew."""
        self._connection = self._connect()
        (found,) = self._connection.execute("select to_regclass('chains')").fetchall()
        if found[0] is None and not self._read_only:
            self._prepare()

    def lock(self, gateways: Sequence[str]) -> dict[str, int]:
        """Take the rows of gateways. Every receiver does it once a transaction, in the order of
        names: none waits in a circle."""
        sql = (
            "select gateway, version from gateways where gateway = any(?) "
            "order by gateway for update"
        )
        found: dict[str, int] = dict(self.execute(sql, (sorted(gateways),)))
        if len(found) < len(gateways):
            raise StoreFailed("rows of gateways have vanished; they are made again")
        return found

    def news(self, known: Mapping[str, int]) -> Iterable[ChainRow]:
        """Chains that are newer than what is known, of all gateways at once."""
        rows = self.execute(
            "select c.gateway, c.epoch, c.lane, c.state from chains c "
            "join unnest(?::text[], ?::bigint[]) as k (gateway, version) "
            "on c.gateway = k.gateway and c.version > k.version",
            (list(known), list(known.values())),
        )
        return [(gateway, epoch, lane, state) for gateway, epoch, lane, state in rows]

    # --- partitions ---

    def room(self, now_ns: int, gateways: Sequence[str]) -> None:
        """Rows of gateways that are new, and partitions for now and the time after."""
        new = [name for name in sorted(gateways) if name not in self._met]
        if new:
            sql = (
                "insert into gateways (gateway, version, last_ns) values (?, 0, 0) "
                "on conflict do nothing"
            )
            with self.transaction():
                self.many(sql, [(name,) for name in new])
            self._met.update(new)
        if now_ns < self._room_until_ns:
            return
        with _failing(), self.transaction():
            self._connection.execute("select pg_advisory_xact_lock(%s)", (_PREPARING,))
            for table, width in _WIDTHS.items():
                for block in (now_ns // width, now_ns // width + 1):
                    self._partition(table, block * width, width)
        self._room_until_ns = (
            now_ns - now_ns % RECEIVER_PARTITION_BULK_NS + (RECEIVER_PARTITION_BULK_NS)
        )

    def _partition(self, table: str, start_ns: int, width_ns: int) -> None:
        day = datetime.fromtimestamp(start_ns // S, UTC).strftime("%Y%m%d")
        self._connection.execute(
            compose.SQL(
                "create table if not exists {} partition of {} for values from ({}) to ({})"
            ).format(
                compose.Identifier(f"{table}_{day}"),
                compose.Identifier(table),
                compose.Literal(start_ns),
                compose.Literal(start_ns + width_ns),
            )
        )

    def forget(self, table: str, before_ns: int) -> list[str]:
        """Drop partitions of "batches_bulk" or "batches_record" that end before a time."""
        width = _WIDTHS[table]
        sql = "select inhrelid::regclass::text from pg_inherits where inhparent = ?::regclass"
        dropped: list[str] = []
        for (name,) in self.execute(sql, (table,)):
            start = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
            if int(start.timestamp()) * S + width > before_ns:
                continue
            with _failing():
                self._connection.execute(
                    compose.SQL("drop table {}").format(compose.Identifier(name))
                )
            dropped.append(name)
        return sorted(dropped)


_WIDTHS = {"batches_bulk": RECEIVER_PARTITION_BULK_NS, "batches_record": RECEIVER_PARTITION_NS}


def _marks(sql: str) -> bytes:
    return sql.replace("?", "%s").encode()


@contextmanager
def _failing() -> Iterator[None]:
    try:
        yield
    except psycopg.DataError as e:
        raise StoreRefused(_said(e)) from e
    except psycopg.Error as e:
        raise StoreFailed(_said(e)) from e


def _address(where: str) -> dict[str, Any]:
    """The parts of an address. Raises StoreProblem, which quotes nothing: it may hold a password,
    and one that is not written as in an address reaches into the name of the host."""
    try:
        given = conninfo_to_dict(where)
    except psycopg.Error:
        given = {"host": "@"}
    if "@" in str(given.get("host")):
        text = "the address cannot be read; expected postgresql://USER@HOST/DATABASE"
        raise StoreProblem(f"PostgreSQL: {text}, a password in ~/.pgpass")
    return given


def _said(error: psycopg.Error) -> str:
    return " ".join(str(error).split()) or type(error).__name__
