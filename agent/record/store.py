"""One SQLite file of the journal, used by one thread that also does every checkpoint.

WAL, synchronous=FULL, no mmap, one connection: SQLite before 3.51.3 can corrupt a WAL that two
connections write or checkpoint at about the same time, and NORMAL loses what was confirmed when
the power goes. A batch is one row, appended; heads and the field's place follow from the last
rows, so a transaction touches two or three pages and not six.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.record.ring import Entry
from agent.record.sealer import EpochPlace
from agent.record.soundness import Foreign, Judge, read_wal
from agent.record.survey import (
    Damaged,
    ForeignFile,
    Place,
    Survey,
    get_batch,
    mend_epochs,
    survey_of,
)
from config.limits import FETCH_BYTES_MAX, STORE_CHECK_BYTES_MAX, WAL_BYTES_MAX, WALL_NS_MIN

_SCHEMA_VERSION = 1
_PAGE_BYTES = 4096
_SCHEMA = """
CREATE TABLE batch (
    id INTEGER PRIMARY KEY,
    lane TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    wall INTEGER NOT NULL,
    session BLOB,
    mark INTEGER,
    bytes BLOB NOT NULL
);
CREATE UNIQUE INDEX batch_number ON batch (lane, ordinal, seq);
CREATE TABLE epoch (ordinal INTEGER PRIMARY KEY, epoch BLOB NOT NULL, hash BLOB NOT NULL);
CREATE TABLE place (
    courier TEXT NOT NULL, lane TEXT NOT NULL, ordinal INTEGER NOT NULL, seq INTEGER NOT NULL,
    PRIMARY KEY (courier, lane, ordinal)
) WITHOUT ROWID;
"""
# Again after a failed commit that had reached the disk after all: the numbers are ours alone, so
# what is there already is the same batch.
_INSERT = (
    "INSERT OR IGNORE INTO batch (lane, ordinal, seq, wall, session, mark, bytes) "
    "VALUES (?,?,?,?,?,?,?)"
)


@dataclass(frozen=True, slots=True)
class Row:
    """A batch as it is kept."""

    id: int
    lane: str
    ordinal: int
    seq: int
    wall_ns: int
    data: bytes


class Store:
    """Blocking; every call belongs to the one thread that owns the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.judge: Judge = lambda _lane, _seq, _data: ""
        self.tail_lost = ""  # what open() found missing at the end of the WAL
        self._db: sqlite3.Connection | None = None
        self._uncheckpointed = 0
        self.checkpoint_error = ""

    # --- opening ----------------------------------------------------------------------------

    def open(self, *, check: bool = True) -> Survey:
        """Open or create, and say what is in there.

        Raises Damaged or a sqlite3 error that is_damage() knows when the file is bad, another
        sqlite3.Error or OSError when the disk cannot be written now.
        """
        self.close()
        self.path.parent.mkdir(mode=0o700, exist_ok=True)  # the start may have met a bad moment
        _write_again(self.path.with_name(self.path.name + "-wal"))
        db = sqlite3.connect(self.path, isolation_level=None, cached_statements=32)
        try:
            self._prepare(db, check=check)
            survey = survey_of(db)
            self._judge_heads(db, survey)
            mend_epochs(db, survey)
        except BaseException:
            db.close()
            raise
        try:
            sync_names(self.path.parent)
        except BaseException:
            db.close()
            raise
        self._db = db
        return survey

    def _judge_heads(self, db: sqlite3.Connection, survey: Survey) -> None:
        """The new epoch will name them: they must be what was sealed."""
        for lane, head in survey.heads.items():
            ordinal = max(of for name, of in survey.ranges if name == lane)
            self._judge(get_batch(db, lane, ordinal, head.seq) or b"", lane, head.seq)

    def _judge(self, data: bytes, lane: str, seq: int) -> None:
        # What rot makes of a row may be of any kind.
        wrong = self.judge(lane, seq, data) if isinstance(data, bytes) else f"{lane} {seq}: no blob"
        if wrong:
            kind = ForeignFile if isinstance(wrong, Foreign) else Damaged
            raise kind(f"{self.path}: {wrong}")

    def _look_behind(self, db: sqlite3.Connection) -> None:
        """Compare the WAL, before anything is written, with what SQLite makes of it."""
        self.tail_lost = ""
        wal = read_wal(self.path.with_name(self.path.name + "-wal"))
        if not wal.commits:
            return
        try:
            _, frames, _ = db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        except sqlite3.Error as e:
            self.checkpoint_error = str(e)  # a full disk: nothing was lost by it
            return
        lost = wal.lost_after(frames)
        if lost:
            self.tail_lost = f"its last {lost} transactions cannot be read: the WAL is damaged"

    def _prepare(self, db: sqlite3.Connection, *, check: bool) -> None:
        # Rot in a lane's name is no text any more: met as a name that is wrong, not as an error.
        db.text_factory = lambda data: data.decode(errors="replace")
        db.execute(f"PRAGMA page_size={_PAGE_BYTES}")
        db.execute("PRAGMA mmap_size=0")
        db.execute("PRAGMA cache_size=-256")
        mode = db.execute("PRAGMA journal_mode=WAL").fetchone()
        if mode != ("wal",):
            # It does not raise when the disk refuses a write: it stays with a journal that is
            # deleted, and a deletion that is not on the disk rolls back what was confirmed.
            raise sqlite3.OperationalError(f"{self.path}: expected a WAL, found {mode}")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA wal_autocheckpoint=0")
        db.execute(f"PRAGMA journal_size_limit={WAL_BYTES_MAX}")
        if check:
            self._look_behind(db)
        (version,) = db.execute("PRAGMA user_version").fetchone()
        if version == 0 and db.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            db.executescript(f"BEGIN;{_SCHEMA}PRAGMA user_version={_SCHEMA_VERSION};COMMIT;")
        elif version != _SCHEMA_VERSION:
            raise Damaged(f"{self.path}: expected schema {_SCHEMA_VERSION}, found {version}")
        db.execute("BEGIN IMMEDIATE")  # a read-only file system shows here, not at the first fire
        db.execute(f"PRAGMA user_version={_SCHEMA_VERSION}")
        db.execute("COMMIT")
        if check and self.path.stat().st_size <= STORE_CHECK_BYTES_MAX:
            found = db.execute("PRAGMA quick_check(1)").fetchone()
            if found != ("ok",):
                raise Damaged(f"{self.path}: {found[0] if found else 'no answer'}")

    def close(self) -> None:
        """Close the file, if it is open."""
        if self._db is not None:
            db, self._db = self._db, None
            db.close()

    # --- writing ----------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry], epochs: Iterable[EpochPlace] = ()) -> None:
        """Make batches durable in one transaction. Raises sqlite3.Error; then none of them is."""
        rows = []
        for entry in entries:
            sealed, number = entry.sealed, entry.sealed.number
            session = entry.session or None
            rows.append(
                (str(number.lane), number.ordinal, number.seq, sealed.wall_ns, session,
                 entry.mark if session else None, sealed.data)
            )  # fmt: skip
        db = self._open()
        self._begin(db)
        try:
            db.executemany(
                "INSERT OR IGNORE INTO epoch VALUES (?,?,?)",
                [(e.ordinal, e.epoch, e.hash) for e in epochs],
            )
            db.executemany(_INSERT, rows)
            db.execute("COMMIT")
        except BaseException:
            _roll_back(db)
            raise
        self._uncheckpointed += sum(len(row[6]) for row in rows) + 3 * _PAGE_BYTES
        self._checkpoint(db)

    def save_places(self, places: Sequence[Place]) -> None:
        """Remember up to where each courier was acknowledged."""
        db = self._open()
        self._begin(db)
        try:
            db.executemany("INSERT OR REPLACE INTO place VALUES (?,?,?,?)", places)
            db.execute("COMMIT")
        except BaseException:
            _roll_back(db)
            raise

    def delete(self, lane: str, ordinal: int, seq: int) -> None:
        """Remove a lane up to and including a batch. Its loss was declared before."""
        db = self._open()
        self._begin(db)
        try:
            db.execute(
                "DELETE FROM batch WHERE lane=? AND (ordinal, seq) <= (?, ?)", (lane, ordinal, seq)
            )
            db.execute("DELETE FROM place WHERE lane=? AND ordinal < ?", (lane, ordinal))
            db.execute("COMMIT")
        except BaseException:
            _roll_back(db)
            raise
        self._uncheckpointed = WAL_BYTES_MAX
        self._checkpoint(db)

    def _begin(self, db: sqlite3.Connection) -> None:
        if db.in_transaction:  # a roll-back that failed with the disk
            _roll_back(db)
        db.execute("BEGIN IMMEDIATE")

    def _checkpoint(self, db: sqlite3.Connection) -> None:
        """Move the WAL into the file when it has grown enough.

        A failure is not the commit's, which is on disk: the next commit tries again.
        """
        if self._uncheckpointed < WAL_BYTES_MAX:
            return
        try:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            self._uncheckpointed = 0
            self.checkpoint_error = ""
        except sqlite3.Error as e:
            self.checkpoint_error = str(e)

    # --- reading ----------------------------------------------------------------------------

    def fetch(
        self, lane: str, ordinal: int, after: int, bytes_max: int = FETCH_BYTES_MAX
    ) -> list[Row]:
        """Batches of a lane in an epoch after number `after`, in order, about `bytes_max`."""
        rows: list[Row] = []
        size = 0
        cursor = self._open().execute(
            "SELECT id, lane, ordinal, seq, wall, bytes FROM batch "
            "WHERE lane=? AND ordinal=? AND seq>? ORDER BY seq",
            (lane, ordinal, after),
        )
        for values in cursor:
            row = Row(*values)
            self._judge(row.data, lane, row.seq)
            rows.append(row)
            size += len(row.data)
            if size >= bytes_max:
                break
        cursor.close()
        return rows

    def get(self, lane: str, ordinal: int, seq: int) -> bytes | None:
        """The bytes of one batch."""
        return get_batch(self._open(), lane, ordinal, seq)

    def scrub(self, after: int, limit: int) -> int:
        """Judge the next rows by id; the id of the last of them, 0 at the end. Raises Damaged."""
        rows = self._open().execute(
            "SELECT id, lane, seq, bytes FROM batch WHERE id>? ORDER BY id LIMIT ?", (after, limit)
        ).fetchall()  # fmt: skip
        for _, lane, seq, data in rows:
            self._judge(data, lane, seq)
        return int(rows[-1][0]) if len(rows) == limit else 0

    def log(
        self,
        lanes: Sequence[str],
        after: int,
        limit: int,
        *,
        before: int = 2**63 - 1,
        oldest: bool = False,
        since_ns: int = 0,
    ) -> list[Row]:
        """At most `limit` rows of some lanes with after < id < before, oldest first.

        The newest of them, or with `oldest` the oldest. since_ns: without what was sealed earlier;
        a wall clock that was never set does not count as earlier.
        """
        marks = ",".join("?" * len(lanes))
        rows = self._open().execute(
            "SELECT id, lane, ordinal, seq, wall, bytes FROM batch "  # noqa: S608 -- marks only
            f"WHERE id>? AND id<? AND lane IN ({marks}) AND (wall>=? OR wall<?) "
            f"ORDER BY id {'ASC' if oldest else 'DESC'} LIMIT ?",
            (after, before, *lanes, since_ns, WALL_NS_MIN, limit),
        ).fetchall()  # fmt: skip
        return [Row(*row) for row in (rows if oldest else reversed(rows))]

    def used_bytes(self) -> int:
        """Bytes of pages in use, without the free ones that the next rows will take."""
        db = self._open()
        (pages,) = db.execute("PRAGMA page_count").fetchone()
        (free,) = db.execute("PRAGMA freelist_count").fetchone()
        return int((pages - free) * _PAGE_BYTES)

    def oldest(self, lanes: Sequence[str], limit: int) -> list[tuple[int, str, int, int, int, int]]:
        """(id, lane, ordinal, seq, wall, bytes) of the oldest rows of some lanes."""
        marks = ",".join("?" * len(lanes))
        return self._open().execute(
            "SELECT id, lane, ordinal, seq, wall, length(bytes) FROM batch "  # noqa: S608 -- marks
            f"WHERE lane IN ({marks}) ORDER BY id LIMIT ?",
            (*lanes, limit),
        ).fetchall()  # fmt: skip

    def count(self, lanes: Sequence[str]) -> int:
        """How many rows some lanes have."""
        marks = ",".join("?" * len(lanes))
        query = f"SELECT count(*) FROM batch WHERE lane IN ({marks})"  # noqa: S608 -- marks only
        (found,) = self._open().execute(query, tuple(lanes)).fetchone()
        return int(found)

    def _open(self) -> sqlite3.Connection:
        if self._db is None:
            raise sqlite3.OperationalError("the store is not open")
        return self._db


def read_only_survey(path: Path) -> Survey:
    """What a file holds whose disk cannot be written: without its WAL, and touching nothing.

    Raises sqlite3.Error. Only for numbers to go on from; the WAL may hold newer ones.
    """
    db = sqlite3.connect(f"file:{path}?mode=ro&immutable=1", uri=True, isolation_level=None)
    try:
        return survey_of(db)
    finally:
        db.close()


def _roll_back(db: sqlite3.Connection) -> None:
    if db.in_transaction:
        db.execute("ROLLBACK")


def _write_again(path: Path) -> None:
    """Have on the disk what a file is read as. Raises OSError.

    After a sync that failed the kernel takes what it could not write for written: it is read, no
    later sync writes it, and without power it is gone. A WAL that is found at opening may be such
    a one; what it holds counts as confirmed from then on.
    """
    if not path.exists():
        return
    with path.open("r+b", buffering=0) as file:
        while data := file.read(WAL_BYTES_MAX):
            file.seek(-len(data), os.SEEK_CUR)
            file.write(data)
        os.fsync(file.fileno())


def sync_names(directory: Path) -> None:
    """Have the names in a directory, and its own, on the disk. Raises OSError.

    Each time, and not only when they are new: whoever made them may have been killed before.
    """
    sync_directory(directory)
    sync_directory(directory.parent)


def sync_directory(path: Path) -> None:
    """Have the names in a directory on the disk. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
