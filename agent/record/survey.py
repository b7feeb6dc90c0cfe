"""What a file of the journal holds, read when it is opened: epochs, ranges, heads and places."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass, field

from agent.record.sealer import EpochPlace
from agent.uplink.batch import EPOCH_BYTES, HASH_BYTES, decode_payload
from agent.uplink.cbor import decode
from agent.uplink.errors import UplinkError
from agent.uplink.events import Head, decode_epoch
from config.words import Lane

_CORRUPT = (11, 26)  # SQLITE_CORRUPT, SQLITE_NOTADB

Place = tuple[str, str, int, int]  # courier, lane, ordinal, seq


class Damaged(Exception):  # noqa: N818 -- a state of the file, not a failure of the program
    """The file is not a whole journal."""


class ForeignFile(Damaged):
    """The file is the journal of another gateway."""


def is_damage(error: Exception) -> bool:
    """Whether an error says that the file itself is bad, and not the disk or the moment."""
    if isinstance(error, Damaged | UnicodeDecodeError):  # SQLite quotes rot of its schema in errors
        return True
    code = getattr(error, "sqlite_errorcode", 0) or 0
    return isinstance(error, sqlite3.DatabaseError) and (code & 0xFF) in _CORRUPT


@dataclass(frozen=True, slots=True)
class Survey:
    """What a file holds.

    ranges: (lane, ordinal) -> (first seq, last seq). heads: lane -> its last batch. named: what
    the newest epoch in the file says of the heads before it.
    """

    epochs: tuple[EpochPlace, ...] = ()
    ranges: dict[tuple[str, int], tuple[int, int]] = field(default_factory=dict)
    heads: dict[str, Head] = field(default_factory=dict)
    session: bytes = b""
    mark: int = 0
    places: tuple[Place, ...] = ()
    named: dict[str, Head] = field(default_factory=dict)


def get_batch(db: sqlite3.Connection, lane: str, ordinal: int, seq: int) -> bytes | None:
    """The bytes of one batch, None when it is not there. Raises Damaged."""
    found = db.execute(
        "SELECT bytes FROM batch WHERE lane=? AND ordinal=? AND seq=?", (lane, ordinal, seq)
    ).fetchone()
    if found is not None and not isinstance(found[0], bytes):
        raise Damaged(f"{lane} {seq} of epoch {ordinal} is not a batch")
    return None if found is None else found[0]


def survey_of(db: sqlite3.Connection) -> Survey:
    """What the file holds. Raises Damaged, also for rows that are not of the kinds that we write:
    SQLite gives back what rot has made of them. Raises sqlite3.Error."""
    try:
        return _survey(db)
    except (TypeError, ValueError, LookupError, OverflowError) as e:
        raise Damaged(f"its rows are not those of a journal: {e}") from e


def _survey(db: sqlite3.Connection) -> Survey:
    ranges = {
        (str(lane), int(ordinal)): (int(first), int(last))
        for lane, ordinal, first, last in db.execute(
            "SELECT lane, ordinal, min(seq), max(seq) FROM batch GROUP BY lane, ordinal"
        )
    }
    epochs = _epochs(db, ranges)
    by_ordinal = {e.ordinal: e.epoch for e in epochs}
    heads: dict[str, Head] = {}
    for (lane, ordinal), (_, last) in sorted(ranges.items()):
        if ordinal not in by_ordinal:
            raise Damaged(f"a batch of {lane} belongs to epoch {ordinal}, which the file lacks")
        heads[lane] = Head(by_ordinal[ordinal], last, b"")  # the greatest ordinal comes last
    for lane, head in heads.items():
        ordinal = max(o for (name, o) in ranges if name == lane)
        data = get_batch(db, lane, ordinal, head.seq)
        if data is None:
            raise Damaged(f"{lane} {head.seq} of epoch {ordinal} is in the index and not there")
        epoch = _epoch_in(data, head.epoch)
        heads[lane] = Head(epoch, head.seq, hashlib.sha256(data).digest())
    last_mark = db.execute(
        "SELECT session, mark FROM batch WHERE session IS NOT NULL ORDER BY id DESC LIMIT 1"
    ).fetchone()
    places = tuple(db.execute("SELECT courier, lane, ordinal, seq FROM place"))
    session, mark = last_mark or (b"", 0)
    return Survey(epochs, ranges, heads, session, mark, places, _named(db, ranges))


def _epochs(
    db: sqlite3.Connection, ranges: dict[tuple[str, int], tuple[int, int]]
) -> tuple[EpochPlace, ...]:
    """The epochs that have batches in the file, in their order.

    Where the file has the batch that opened one, hash and name are that batch's: it is signed, and
    the table of epochs is not. A hash of it that is wrong would go into the next epoch, and nobody
    would believe that one.
    """
    last = max((ordinal for _, ordinal in ranges), default=-1)
    found = {}
    for ordinal, epoch, digest in db.execute("SELECT ordinal, epoch, hash FROM epoch"):
        if 0 <= ordinal <= last and _is_raw(epoch, EPOCH_BYTES) and _is_raw(digest, HASH_BYTES):
            found[ordinal] = EpochPlace(ordinal, epoch, digest)
    opened = db.execute("SELECT ordinal, bytes FROM batch WHERE lane=?", (str(Lane.EPOCH),))
    for ordinal, data in opened:
        own, told = hashlib.sha256(data).digest(), found.get(ordinal)
        if told is None or told.hash != own or not _says(data, told.epoch):
            name = _epoch_in(data, b"" if told is None else told.epoch)
            found[ordinal] = EpochPlace(ordinal, name, own)
    return tuple(found[ordinal] for ordinal in sorted(found))


def _is_raw(value: object, size: int) -> bool:
    return isinstance(value, bytes) and len(value) == size


def _says(data: bytes, epoch: bytes) -> bool:
    """Whether a batch has that epoch: key 2 and a string of 8 bytes. It need not be decoded."""
    return b"\x02\x48" + epoch in data and len(epoch) == EPOCH_BYTES


def _epoch_in(data: bytes, told: bytes) -> bytes:
    """The name of the epoch that a batch is of; as told when it cannot be read."""
    if _says(data, told):
        return told
    try:
        return decode_payload(decode(data[1:])[2]).epoch
    except (UplinkError, TypeError, LookupError):
        return told  # such a batch is the judge's


def mend_epochs(db: sqlite3.Connection, survey: Survey) -> None:
    """Have the table of epochs say what the signed batches say."""
    right = {(e.ordinal, e.epoch, e.hash) for e in survey.epochs}
    found = set(db.execute("SELECT ordinal, epoch, hash FROM epoch"))
    if right <= found:
        return
    db.execute("BEGIN IMMEDIATE")
    db.executemany("INSERT OR REPLACE INTO epoch VALUES (?,?,?)", sorted(right - found))
    db.execute("COMMIT")


def _named(
    db: sqlite3.Connection, ranges: dict[tuple[str, int], tuple[int, int]]
) -> dict[str, Head]:
    opened = [ordinal for lane, ordinal in ranges if lane == Lane.EPOCH]
    if not opened:
        return {}
    data = get_batch(db, Lane.EPOCH, max(opened), max(opened)) or b""
    try:
        return dict(decode_epoch(decode_payload(decode(data[1:])[2]).data).heads)
    except (UplinkError, TypeError, LookupError) as e:
        raise Damaged(f"the batch of epoch {max(opened)} cannot be read: {e}") from None
