"""What is held, as rows for other tools: readings, a minute's figures, events; CSV and Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, astuple, dataclass, fields
from itertools import islice
from pathlib import Path
from typing import IO, Any

from agent.receiver.readings import Figures, Reading, Tables, kept_batch
from agent.receiver.store import Store, StoreProblem
from agent.uplink.batch import Batch
from agent.uplink.errors import UplinkError
from config.limits import RECEIVER_EXPORT_ROWS
from config.words import Lane


@dataclass(frozen=True, slots=True)
class Event:
    """One event. wall_ns: Unix time when it happened, worth what `clock` says."""

    gateway: str
    lane: str
    wall_ns: int
    clock: int
    source: str
    what: str
    session: str
    seq: int
    folded: int
    body: str  # JSON


Row = Reading | Figures | Event
KINDS: dict[str, type[Row]] = {"readings": Reading, "summaries": Figures, "events": Event}


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export: all, or of one gateway, of one lane, of a time (Unix ns, half open)."""

    gateway: str | None = None
    lane: str | None = None
    since_ns: int = 0
    until_ns: int = 2**63 - 1

    def has(self, wall_ns: int) -> bool:
        """Whether a time is in it."""
        return self.since_ns <= wall_ns < self.until_ns


def export_rows(
    store: Store, kind: str, what: Selection, left_out: Callable[[str], None] | None = None
) -> Iterator[Row]:
    """Rows of a kind, chain by chain in the order of sealing.

    left_out is told each batch that cannot be decoded, and why. Raises UplinkError without it.
    """
    if kind == "events":
        yield from _events(store, what)
        return
    tables = Tables(store)
    lane = Lane.TELEMETRY if kind == "readings" else Lane.SUMMARY
    decode: Callable[[str, Batch], Iterator[Row]]
    decode = tables.decode if kind == "readings" else tables.minutes
    for gateway, batch in _batches(store, lane, what):
        try:
            for row in decode(gateway, batch):
                wall_ns = row.first_ns if isinstance(row, Figures) else row.wall_ns
                if what.has(wall_ns):
                    yield row
        except UplinkError as e:
            if left_out is None:
                raise
            left_out(f"{gateway} {batch.lane} {batch.epoch.hex()} {batch.seq}: {e}")


def _batches(store: Store, lane: str, what: Selection) -> Iterator[tuple[str, Batch]]:
    """wall_ns of a batch is when the last of it happened: what ended before is not read, unless
    its clock was not set."""
    where, values = ("and gateway = ?", (what.gateway,)) if what.gateway else ("", ())
    wheres = f"where lane = ? and (wall_ns >= ? or clock = 0) {where}"
    rest = f"{wheres} order by gateway, received_ns, epoch, seq"
    sql = f"select gateway, bytes from batches {rest}"  # noqa: S608 -- our words
    rows = store.stream(sql, lane, what.since_ns, *values)
    for row in rows:
        yield row["gateway"], kept_batch(bytes(row["bytes"]))


def _events(store: Store, what: Selection) -> Iterator[Event]:
    wheres = ["wall_ns >= ?", "wall_ns < ?"]
    chosen: list[Any] = [what.since_ns, what.until_ns]
    for column, value in (("gateway", what.gateway), ("lane", what.lane)):
        if value:
            wheres.append(f"{column} = ?")
            chosen.append(value)
    columns = "gateway, lane, wall_ns, clock, source, what, session, seq, folded, body"
    rest = f"where {' and '.join(wheres)} order by gateway, wall_ns, seq"
    rows = store.stream(f"select {columns} from events {rest}", *chosen)  # noqa: S608 -- our words
    for row in rows:
        yield Event(**{**row, "session": bytes(row["session"]).hex()})


def write_csv(kind: str, rows: Iterable[Row], out: IO[str]) -> None:
    """A head line and a line a row."""
    writer = csv.writer(out)
    writer.writerow([column.name for column in fields(KINDS[kind])])
    writer.writerows(astuple(row) for row in rows)


def write_json_lines(rows: Iterable[Row], out: IO[str]) -> None:
    """One JSON object a line."""
    for row in rows:
        out.write(json.dumps(asdict(row), ensure_ascii=False) + "\n")


def write_parquet(kind: str, rows: Iterable[Row], path: Path) -> int:
    """A Parquet file, written part by part; how many rows. Raises StoreProblem."""
    try:
        import pyarrow as pa  # noqa: PLC0415 -- an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 -- as above
    except ImportError:
        text = "Parquet needs the extra: pip install '.[parquet]' in the checkout"
        raise StoreProblem(text) from None
    kinds = {"str": pa.string(), "int": pa.int64(), "float | None": pa.float64()}
    names = [column.name for column in fields(KINDS[kind])]
    schema = pa.schema([(c.name, kinds[str(c.type)]) for c in fields(KINDS[kind])])
    count, source = 0, iter(rows)
    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            while part := [astuple(row) for row in islice(source, RECEIVER_EXPORT_ROWS)]:
                columns = dict(zip(names, map(list, zip(*part, strict=True)), strict=True))
                writer.write_table(pa.table(columns, schema=schema))
                count += len(part)
    except OSError as e:
        raise StoreProblem(f"{path}: {e}") from None
    return count
