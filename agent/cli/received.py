"""`embergate export` and `embergate forget`: what a receiver holds, and the end of it."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.receiver.export import (
    Selection,
    export_rows,
    write_csv,
    write_json_lines,
    write_parquet,
)
from agent.receiver.store import Store, StoreFailed, StoreProblem, open_store
from agent.uplink.errors import UplinkError
from config.limits import S

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAMED = 20  # batches that an export leaves out, of those it names
_DAY_NS = 24 * 3_600 * S


class Kind(StrEnum):
    """What a row is."""

    READINGS = "readings"
    SUMMARIES = "summaries"
    EVENTS = "events"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(export)
    app.command()(forget)


def export(
    kind: Annotated[Kind, typer.Argument(help="a value, a minute of a point, or an event a row")],
    db: Annotated[str, typer.Option(help="SQLite file of a receiver, or postgresql://...")],
    gateway: Annotated[str | None, typer.Option(help="of this gateway only")] = None,
    lane: Annotated[str | None, typer.Option(help="events of this lane: fire, event")] = None,
    since: Annotated[str, typer.Option(help="from this time on, ISO 8601, UTC")] = "",
    until: Annotated[str, typer.Option(help="up to this time, without it")] = "",
    parquet: Annotated[Path | None, typer.Option(help="into this Parquet file")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines instead of CSV")] = False,
) -> None:
    """Print what a receiver holds as CSV, or write it to a Parquet file."""
    with _problems("export"):
        if lane and kind is not Kind.EVENTS:
            raise StoreProblem("--lane chooses among events; readings and summaries are one lane")
        what = Selection(gateway, lane, _time(since, 0), _time(until, 2**63 - 1))
        with contextlib.closing(open_store(db, read_only=True)) as store:
            _write(store, kind, what, parquet, as_json)


def _write(store: Store, kind: Kind, what: Selection, parquet: Path | None, as_json: bool) -> None:
    left_out: list[str] = []
    rows = export_rows(store, kind, what, left_out.append)
    if parquet is not None:
        count = write_parquet(kind, rows, parquet)
        typer.echo(f"{parquet}: {count} rows", err=True)
    elif as_json:
        write_json_lines(rows, sys.stdout)
    else:
        write_csv(kind, rows, sys.stdout)
    if left_out:
        for text in left_out[:_NAMED]:
            typer.echo(f"embergate export: left out: {text}", err=True)
        raise StoreProblem(f"{len(left_out)} batches cannot be decoded; all others were written")


def forget(
    db: Annotated[str, typer.Option(help="postgresql://...")],
    bulk_days: Annotated[
        int | None, typer.Option(min=1, help="keep telemetry and summaries for so many days")
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=366, help="keep everything else for so many days")
    ] = None,
) -> None:
    """Drop partitions of batches that are older. Decoded events and findings stay."""
    with _problems("forget"), contextlib.closing(open_store(db)) as store:
        for table, age in (("batches_bulk", bulk_days), ("batches_record", days)):
            if age is not None:
                for name in store.engine.forget(table, time.time_ns() - age * _DAY_NS):
                    typer.echo(f"dropped {name}")


@contextlib.contextmanager
def _problems(command: str) -> Iterator[None]:
    try:
        yield
    except (StoreProblem, StoreFailed, UplinkError) as e:
        typer.echo(f"embergate {command}: {e}", err=True)
        raise typer.Exit(1) from e


def _time(text: str, absent_ns: int) -> int:
    """Unix ns of an ISO time. Raises StoreProblem."""
    if not text:
        return absent_ns
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        problem = f"expected a time like 2026-11-22T09:30 or 2026-11-22, found {text!r}"
        raise StoreProblem(problem) from None
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    return int((at - _EPOCH).total_seconds() * 1_000_000) * 1_000
