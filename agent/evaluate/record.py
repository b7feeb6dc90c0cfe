"""The gateway's own record, replayed: telemetry of a state directory or a receiver's database.

Each boot is a recording of its own, for its monotonic time is. Signatures are not judged here:
that is `embergate verify`.
"""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from agent.evaluate.messages import Place
from agent.evaluate.source import BadRecording, Frame, usual_step_ns
from agent.receiver.readings import kept_batch
from agent.uplink.batch import Batch
from agent.uplink.columns import PollSamples, decode_columns
from agent.uplink.errors import UplinkError
from agent.uplink.table import Table, TablePart, decode_part, join_table
from config.limits import S
from config.words import Lane

_FIRST_BATCHES = 32  # that the steps of the polls are taken from
_SLOW_NS = 3_600 * S  # a point that was heard once or not at all
_FILES = ("events.db", "telemetry.db")
_JOURNAL = "SELECT bytes FROM batch WHERE lane = ? ORDER BY ordinal, seq"
_RECEIVED = "SELECT bytes FROM batches WHERE lane = ? ORDER BY gateway, boot, wall_ns, epoch, seq"


def recordings_of_a_record(path: Path) -> list[RecordedBoot] | None:
    """Its boots in order, or None when `path` holds no record. Raises BadRecording."""
    files = _database_files(path)
    if not files:
        return None
    tables: dict[bytes, Table] = {}
    boots: dict[tuple[str, bytes], RecordedBoot] = {}
    parts: dict[bytes, dict[int, TablePart]] = {}
    for batch in _batches(files, Lane.TABLE):
        with _telling(path):
            part = decode_part(batch.data)
            parts.setdefault(part.hash, {})[part.index] = part
    for table, found in parts.items():
        with contextlib.suppress(UplinkError):  # a part was evicted: its batches say so below
            tables[table] = join_table(list(found.values()))
    for batch in _batches(files, Lane.TELEMETRY):
        key = (batch.gateway, batch.boot)
        if key not in boots:
            name = f"{batch.gateway}/boot-{batch.boot.hex()[:8]}"
            boots[key] = RecordedBoot(name, files, batch.gateway, batch.boot, tables)
        boots[key].meet(batch)
    return list(boots.values())


def _database_files(path: Path) -> list[Path]:
    if path.is_file() and path.suffix == ".db":
        return [path]
    for folder in (path / "record", path):
        found = [folder / name for name in _FILES if (folder / name).is_file()]
        if found:
            return found
    return []


def _batches(files: Sequence[Path], lane: Lane) -> Iterator[Batch]:
    """Every batch of a lane, in the order it was sealed."""
    for path in files:
        with _telling(path), contextlib.closing(_open(path)) as db:
            tables = {row[0] for row in db.execute("SELECT name FROM sqlite_master")}
            query = _JOURNAL if "batch" in tables else _RECEIVED
            for (message,) in db.execute(query, (str(lane),)):
                yield kept_batch(bytes(message))


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as e:
        raise BadRecording(Place(path.name), "record", reason=e) from None
    except (UplinkError, LookupError, TypeError) as e:
        raise BadRecording(Place(path.name), "record.batch", reason=e) from None


@dataclass(slots=True)
class RecordedBoot:
    """What one boot of a gateway recorded. The zero is the boot's first sample."""

    name: str
    files: list[Path]
    gateway: str
    boot: bytes
    tables: dict[bytes, Table]
    columns: tuple[str, ...] = ()
    interval_ns: int = S
    zero_ns: int = 0
    translated: bool = True
    start: str = ""
    steps_ns: dict[str, int] = field(default_factory=dict)
    digest: str = ""  # of the telemetry that is replayed
    _met: int = 0  # batches
    _heard: dict[str, list[int]] = field(default_factory=dict)

    def meet(self, batch: Batch) -> None:
        """Take note of a batch: columns, the first stamp, how often each poll comes."""
        table = self._table(batch)
        self.digest = hashlib.sha256(self.digest.encode() + batch.data).hexdigest()
        if not self._met:
            self.zero_ns = batch.mono_first_ns
            wall_ns = batch.wall_ns - (batch.mono_last_ns - batch.mono_first_ns)
            self.start = str(np.datetime64(wall_ns, "ns").astype("datetime64[s]"))
        if self._met < _FIRST_BATCHES:
            self._hear(batch, table)
        self._met += 1
        known = dict.fromkeys(self.columns)
        self.columns = tuple(dict.fromkeys([*known, *table.names]))
        for name in self.columns:
            self.steps_ns.setdefault(name, _SLOW_NS)

    def _hear(self, batch: Batch, table: Table) -> None:
        """How often the points of each poll come, from the first batches."""
        names = dict(zip(table.ids, table.names, strict=True))
        for poll in self._decode(batch, table):
            for point in table.polls[poll.poll]:
                heard = self._heard.setdefault(names[point], [])
                heard += poll.mono_ns.tolist()
                self.steps_ns[names[point]] = usual_step_ns(heard, _SLOW_NS)
        self.interval_ns = min(self.steps_ns.values(), default=S)

    def frames(self, wanted: Sequence[str]) -> Iterator[Frame]:
        """See Source."""
        position = {name: i for i, name in enumerate(wanted)}
        for batch in _batches(self.files, Lane.TELEMETRY):
            if (batch.gateway, batch.boot) != (self.gateway, self.boot):
                continue
            table = self._table(batch)
            names = dict(zip(table.ids, table.names, strict=True))
            rows = []
            for order, poll in enumerate(self._decode(batch, table)):
                ids = table.polls[poll.poll]
                take = [k for k, i in enumerate(ids) if names[i] in position]
                column = np.array([position[names[ids[k]]] for k in take], np.int32)
                rows += [
                    (ns, order, Frame(ns, column, poll.value[s, take], poll.quality[s, take]))
                    for s, ns in enumerate(poll.mono_ns.tolist())
                ]
            for _, _, frame in sorted(rows, key=lambda row: row[:2]):
                yield frame

    def _table(self, batch: Batch) -> Table:
        table = self.tables.get(batch.table)
        if table is None:
            where = Place(self.name, batch.seq, unit="batch")
            raise BadRecording(where, "record.table", table=batch.table.hex()[:16])
        return table

    def _decode(self, batch: Batch, table: Table) -> list[PollSamples]:
        row = dict(zip(table.ids, table.resolutions, strict=True))

        def steps(poll: int) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
            points = table.polls.get(poll)
            return None if points is None else np.array([row[p] for p in points], np.float64)

        try:
            return decode_columns(batch.data, steps, batch.mono_first_ns)
        except UplinkError as e:
            where = Place(self.name, batch.seq, unit="batch")
            raise BadRecording(where, "record.batch", reason=e) from None
