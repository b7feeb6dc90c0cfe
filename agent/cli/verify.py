"""`embergate verify`: judges a journal, or a file of batches, with nothing but public keys.

A journal is opened with SQLite's mode=ro inside one read transaction. The record may go on
writing: a read-only connection never writes a page and never checkpoints, so it is not the second
writer that SQLite before 3.51.3 must not have, and the snapshot it reads is consistent, which a
copy of the files taken while a checkpoint runs is not. Where a file cannot be opened that way (a
read-only medium, another user's file) the record cannot be writing it either: then a copy is read.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from agent.cli.desk_words import say
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.told_words import told
from agent.receiver.trust import TrustProblem, read_trust
from agent.uplink.audit import Account, Audit
from agent.uplink.batch import Opened
from agent.uplink.cbor import split_first
from agent.uplink.cose import Trust, TrustedKey
from agent.uplink.errors import UplinkError
from agent.uplink.history import Finding
from config.limits import KEY_FILE_BYTES_MAX, VERIFY_FILE_BYTES_MAX
from config.words import Lane

EX_USAGE = 2
_SQLITE_MAGIC = b"SQLite format 3\x00"
_FILES = ("events.db", "telemetry.db")
_BAD_FILE = (sqlite3.Error, UnicodeDecodeError)
"""What SQLite's module raises for rot: the other one when the rot is in a message of its own."""
_NOT_DEVICES = ("platform.pub", "command.pub")
"""Pinned keys beside the device's, that sign no record."""


class Unusable(Exception):  # noqa: N818 -- it reaches a person as a problem
    """What was given cannot be verified at all. The text says what to do."""


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(verify)


def verify(
    path: Annotated[
        Path, typer.Argument(help="state directory, journal, or a file of batches in a row")
    ],
    trust: Annotated[
        Path | None,
        typer.Option(
            help="trust list, public key (PEM), or a directory of *.pub; "
            "default: the keys of the state directory"
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="for programs")] = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Verify signatures, chains and declared losses. Exit 0 only when the record is whole."""
    lang = tongue(lang)
    try:
        audit = Audit(_trust(path, trust))
        journal = _journal_files(path)
        messages = _from_journal(journal, audit) if journal else _from_file(path, audit)
        for opened in messages:
            audit.take(opened)
        whole = audit.finish()
        problems = [*_places(journal, audit), *_strangers(journal, audit)]
    except Unusable as e:
        typer.echo(told(str(e), lang), err=True)
        raise typer.Exit(EX_USAGE) from None
    whole = whole and not problems
    if as_json:
        typer.echo(json.dumps(_document(audit, problems, whole=whole), ensure_ascii=False))
    else:
        _print(audit, problems, lang, whole=whole)
    raise typer.Exit(0 if whole else 1)


# --- keys -----------------------------------------------------------------------------------------


def _trust(path: Path, given: Path | None) -> Trust:
    source = given
    if source is None:
        near = (path / "keys", path.parent / "keys", path.parent.parent / "keys")
        found = [d / "device.pub" for d in near if (d / "device.pub").is_file()]
        if not found:
            raise Unusable(
                f"{path}: expected keys/device.pub beside it, found none; "
                "name the trust list or public key with --trust"
            )
        source = found[0]
    if source.is_dir():
        files = sorted(source.glob("*.pub"))
        if not files:
            raise Unusable(f"{source}: expected *.pub files, found none")
        return Trust(_public(file) for file in files if file.name not in _NOT_DEVICES)
    if source.suffix == ".pub":
        return Trust([_public(source)])
    try:
        return read_trust(source).trust
    except TrustProblem as e:
        raise Unusable(str(e)) from None


def _public(path: Path) -> TrustedKey:
    try:
        with path.open("rb") as f:
            key: Any = load_pem_public_key(f.read(KEY_FILE_BYTES_MAX))
    except OSError as e:
        raise Unusable(f"{path}: {e.strerror}") from None
    except (ValueError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise Unusable(f"{path}: expected an Ed25519 public key in PEM")
    return TrustedKey(key.public_bytes_raw())


# --- sources --------------------------------------------------------------------------------------


def _journal_files(path: Path) -> list[Path]:
    """The SQLite files to read; none when `path` is a file of batches."""
    if path.is_dir():
        for directory in (path / "record", path):
            found = [directory / name for name in _FILES if (directory / name).is_file()]
            if found:
                return found
        raise Unusable(f"{path}: expected a journal (record/events.db), found none")
    try:
        with path.open("rb") as f:
            if f.read(len(_SQLITE_MAGIC)) != _SQLITE_MAGIC:
                return []
    except OSError as e:
        raise Unusable(f"{path}: {e.strerror}") from None
    beside = [path.with_name(name) for name in _FILES if path.name in _FILES]
    return [file for file in beside if file.is_file()] or [path]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[sqlite3.Connection]:
    with contextlib.ExitStack() as stack:
        try:
            db = _open_read_only(path)
        except _BAD_FILE:
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory())) / path.name
            try:
                for suffix in ("", "-wal"):
                    source = path.with_name(path.name + suffix)
                    if source.exists():
                        shutil.copyfile(source, copy.with_name(copy.name + suffix))
                db = _open_read_only(copy)
            except (OSError, *_BAD_FILE) as e:
                raise Unusable(f"{path}: it is not a journal that can be read: {e}") from None
        stack.callback(db.close)
        yield db


def _open_read_only(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        db.execute("PRAGMA query_only=1")
        db.execute("BEGIN")
        db.execute("SELECT count(*) FROM epoch").fetchone()
    except _BAD_FILE:
        db.close()
        raise
    return db


def _from_journal(files: list[Path], audit: Audit) -> Iterator[Opened]:
    """Every batch of the files, epochs first, in the order of their numbers."""
    for lane_first in (True, False):
        for path in files:
            with _reading(path) as db:
                yield from _rows(db, path, audit, epochs=lane_first)


def _rows(db: sqlite3.Connection, path: Path, audit: Audit, *, epochs: bool) -> Iterator[Opened]:
    compare = "=" if epochs else "<>"
    cursor = db.execute(
        f"SELECT lane, ordinal, seq, bytes FROM batch WHERE lane {compare} ? "  # noqa: S608 -- = or <>
        "ORDER BY lane='table' DESC, lane, ordinal, seq",
        (str(Lane.EPOCH),),
    )
    try:
        for lane, ordinal, seq, message in cursor:
            where = f"{path.name}: {lane} {seq} of epoch {ordinal}"
            opened = audit.open(bytes(message), where)
            if opened is None:
                continue
            if (opened.batch.lane, opened.batch.seq) != (lane, seq):
                audit.refused_count += 1
                audit.refused.append(f"{where}: {_misplaced(db, opened, bytes(message))}")
                continue
            yield opened
    except _BAD_FILE as e:
        audit.refused_count += 1
        audit.refused.append(f"{path.name}: the file is damaged: {e}")


def _misplaced(db: sqlite3.Connection, opened: Opened, message: bytes) -> str:
    """What to call a batch that stands under another number than its own."""
    batch = opened.batch
    at_home = db.execute(
        "SELECT 1 FROM batch WHERE lane=? AND seq=? AND bytes=?", (batch.lane, batch.seq, message)
    ).fetchone()
    word = "misplaced" if at_home is None else "replayed"
    return f"{word}: holds {batch.lane} {batch.seq}"


def _strangers(files: list[Path], audit: Audit) -> list[str]:
    """A journal is of one gateway, and an epoch that was closed gets no more events."""
    out: list[str] = []
    if not files:
        return out
    most = max(audit.accounts, key=lambda g: sum(audit.accounts[g].batches.values()), default="")
    out += [f"foreign: batches of {name!r} in {most!r}'s journal"
            for name in audit.accounts if name != most]  # fmt: skip
    for account in audit.accounts.values():
        for lane, head in account.history.named_heads():
            last, _ = account.heads.get((lane, head.epoch), (-1, b""))
            if lane in (Lane.FIRE, Lane.EVENT) and last > head.seq:
                out.append(
                    f"after_end: {lane} of epoch {head.epoch.hex()}: a later epoch says that it "
                    f"ended at {head.seq}, the journal has {last}"
                )
    return out


def _from_file(path: Path, audit: Audit) -> Iterator[Opened]:
    """Batches that follow each other in a file, epochs first."""
    if path.stat().st_size > VERIFY_FILE_BYTES_MAX:
        raise Unusable(f"{path}: larger than {VERIFY_FILE_BYTES_MAX} bytes; verify it in parts")
    data = path.read_bytes()
    found: list[Opened] = []
    at = 0
    while at < len(data):
        try:
            end = split_first(data, at)
        except UplinkError as e:
            audit.refused_count += 1
            audit.refused.append(f"{path.name}: at byte {at}: {e.text}; the rest was not read")
            break
        opened = audit.open(data[at:end], f"{path.name}: at byte {at}")
        if opened is not None:
            found.append(opened)
        at = end
    found.sort(key=lambda o: (_rank(o.batch.lane), o.batch.lane, o.batch.epoch, o.batch.seq))
    yield from found


def _rank(lane: str) -> int:
    return {Lane.EPOCH: 0, Lane.TABLE: 1}.get(Lane(lane), 2) if lane in list(Lane) else 3


def _places(files: list[Path], audit: Audit) -> list[str]:
    """Numbers that a platform acknowledged and the journal does not have: a tail was cut off."""
    out: list[str] = []
    for path in files:
        with _reading(path) as db:
            try:
                rows = db.execute(
                    "SELECT p.courier, p.lane, e.epoch, p.seq FROM place p "
                    "JOIN epoch e ON e.ordinal = p.ordinal "
                    "WHERE p.courier <> ''"  # that one is the counter of commands
                ).fetchall()
            except _BAD_FILE as e:
                out.append(f"{path.name}: places cannot be read: {e}")
                continue
        for courier, lane, epoch, seq in rows:
            for account in audit.accounts.values():
                last, _ = account.heads.get((lane, bytes(epoch)), (-1, b""))
                if last < seq and not account.history.declared_gone(lane, bytes(epoch), seq):
                    out.append(
                        f"truncated: {lane} of epoch {bytes(epoch).hex()}: {courier} was "
                        f"acknowledged up to {seq}, the journal ends at {last}: its tail is missing"
                    )
    return out


# --- telling --------------------------------------------------------------------------------------


def _finding(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "lane": str(finding.lane), "epoch": finding.epoch.hex()}


def _account(account: Account) -> dict[str, Any]:
    return {
        "batches": {str(lane): count for lane, count in account.batches.items()},
        "records": {str(lane): count for lane, count in account.records.items()},
        "duplicates": account.duplicates,
        "heads": [
            {"lane": str(lane), "epoch": epoch.hex(), "seq": seq, "hash": own_hash.hex()}
            for (lane, epoch), (seq, own_hash) in sorted(account.heads.items())
        ],
        "findings": [_finding(f) for f in account.findings],
    }


def _document(audit: Audit, problems: list[str], *, whole: bool) -> dict[str, Any]:
    return {
        "whole": whole,
        "refused": audit.refused_count,
        "problems": [*audit.refused, *problems],
        "gateways": {name: _account(account) for name, account in audit.accounts.items()},
    }


def _print(audit: Audit, problems: list[str], lang: str, *, whole: bool) -> None:
    for name, account in audit.accounts.items():
        counts = ", ".join(f"{lane} {count}" for lane, count in sorted(account.batches.items()))
        total = sum(account.batches.values())
        typer.echo(say("verify.batches", lang, name=name, total=total, counts=counts))
        for finding in account.findings:
            word = say("verify.error" if finding.error else "verify.note", lang)
            code = say(f"code.{finding.code}", lang)
            typer.echo(say("verify.finding", lang, word=word, code=code, lane=finding.lane,
                           seq=finding.seq, epoch=finding.epoch.hex(),
                           text=told(finding.text, lang)))  # fmt: skip
    for text in (*audit.refused, *problems):
        word = say("verify.error", lang)
        clean = "".join(c if c.isprintable() else "�" for c in told(text, lang))
        typer.echo(say("verify.problem", lang, word=word, text=clean))
    strange = "verify.not_whole" if audit.accounts else "verify.strange"
    typer.echo(say("verify.whole" if whole else strange, lang))
