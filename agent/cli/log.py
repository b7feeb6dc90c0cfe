"""`embergate log`: the record in words, filtered, and exported as CSV or JSON lines.

The record is read in pages over record.sock: neither process ever holds it all, and nobody opens
the databases of a record that runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import csv
import heapq
import json
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console, RenderableType
from rich.text import Text

from agent.cli import show
from agent.cli.control import RunDir, answered, plain
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.log_words import in_words
from agent.cli.run import default_run_dir
from agent.cli.told_words import named, place
from agent.cli.words import say
from agent.ipc import Client, IpcError
from config.limits import LOG_REORDER_MAX, LOG_SHOWN_MAX
from config.quantity import compatible, convert, parse

COLUMNS = (
    "time", "clock", "panel_time", "lane", "source", "name", "what", "text", "boot", "mono_s",
    "epoch", "batch", "seq", "folded", "body",
)  # fmt: skip
CLOCKS = ("unset", "holdover", "synchronised")


@dataclass(frozen=True, slots=True)
class Entry:
    """One record, with where it stands."""

    lane: str
    ordinal: int
    batch: int
    boot: str
    seq: int
    source: str
    what: str
    mono_ns: int
    wall_ns: int
    clock: int
    folded: int
    body: dict[str, Any]

    @property
    def panel_time(self) -> str:
        """The time that a panel printed, "" where none did."""
        return str(self.body.get("panel_time", ""))

    def time(self) -> str:
        """The gateway's time, local, to the millisecond; what it is worth says the clock."""
        local = datetime.fromtimestamp(self.wall_ns / 1e9).astimezone()
        return local.isoformat(sep=" ", timespec="milliseconds")

    def text(self, language: str = "en") -> str:
        """What happened, in words."""
        return in_words(self.what, self.body, language)

    def where(self, language: str) -> str:
        """What it is about."""
        if "name" in self.body and self.what != "system":
            return named(str(self.body["name"]), language)
        return place(str(self.body.get("name", self.source)), language)

    def row(self) -> dict[str, Any]:
        """As it is exported."""
        return {
            "time": self.time(),
            "clock": CLOCKS[self.clock],
            "panel_time": self.panel_time,
            "lane": self.lane,
            "source": self.source,
            "name": self.body.get("name", ""),
            "what": self.what,
            "text": self.text(),
            "boot": self.boot,
            "mono_s": self.mono_ns / 1e9,
            "epoch": self.ordinal,
            "batch": self.batch,
            "seq": self.seq,
            "folded": self.folded,
            "body": plain(self.body),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """A filter; everything that is set must hold."""

    lane: str = ""
    source: str = ""
    what: str = ""
    text: str = ""
    since_ns: int = 0
    until_ns: int = 0

    def fits(self, entry: Entry) -> bool:
        """Whether an entry is wanted."""
        if self.what and entry.what != self.what:
            return False
        name = str(entry.body.get("name", ""))
        if self.source and self.source not in (entry.source, name):
            starts = (entry.source.startswith(self.source), name.startswith(self.source))
            if not any(starts):
                return False
        if self.since_ns and entry.wall_ns < self.since_ns:
            return False
        if self.until_ns and entry.wall_ns > self.until_ns:
            return False
        if not self.text:
            return True
        needle = self.text.casefold()
        told = (entry.text(lang) for lang in ("en", "zh"))
        return any(needle in part.casefold() for part in (*told, name, entry.panel_time))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("log")(log)


def log(
    since: Annotated[str, typer.Option(help="2026-11-22, '2026-11-22 14:30', or 2h ago")] = "",
    until: Annotated[str, typer.Option(help="as --since")] = "",
    lane: Annotated[str, typer.Option(help="fire or event")] = "",
    source: Annotated[str, typer.Option(help="a source or name, or how it begins")] = "",
    what: Annotated[str, typer.Option(help="point, zone, panel, output, operator, system …")] = "",
    text: Annotated[str, typer.Option(help="words in it")] = "",
    limit: Annotated[int, typer.Option(min=1, max=LOG_SHOWN_MAX, help="newest shown")] = 100,
    as_csv: Annotated[bool, typer.Option("--csv", help="all that fit, as CSV")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="all that fit, a JSON line each")] = False,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="a file for the export")] = None,
    run: RunDir = None,
    lang: LangOption = BY_LOCALE,
) -> None:
    """The record: the newest entries, or with --csv or --json all of them in order."""
    language = tongue(lang)
    if lane not in ("", "fire", "event"):
        raise typer.BadParameter("--lane: fire or event")
    wanted = Wanted(
        lane, source, what, text, read_time(since, language), read_time(until, language)
    )
    run_dir = run or default_run_dir()
    with answered(run_dir / "record.sock", language):
        if as_csv or as_json or out is not None:
            csv_wanted = as_csv or (out is not None and out.suffix == ".csv" and not as_json)
            count = _export(run_dir, wanted, out, csv_wanted=csv_wanted)
            if out is not None:
                typer.echo(say("log.written", language, count=count, path=out), err=True)
            return
        entries = asyncio.run(newest(run_dir, wanted, limit))
    if not entries:
        typer.echo(say("log.none", language))
        return
    body: list[list[RenderableType]] = [
        [e.time()[:23], e.panel_time,
         Text(say(f"what.{e.what}", language), "bold red" if e.lane == "fire" else ""),
         e.where(language), e.text(language)]
        for e in entries
    ]  # fmt: skip
    columns = ["time", "panel_time", "what", "source", "text"]
    if not any(e.panel_time for e in entries):
        columns.remove("panel_time")
        body = [[time, *rest] for time, _, *rest in body]
    Console().print(show.table("", columns, body, language, most=len(body)))


def read_time(value: str, language: str = "en") -> int:
    """A time of the local clock, or how long ago, in nanoseconds since 1970; 0 for none."""
    if not value:
        return 0
    ago = parse(value)
    if ago is not None and ago.unit and compatible(ago.unit, "s"):
        return time.time_ns() - round(convert(ago.value, ago.unit, "s") * 1e9)
    with contextlib.suppress(ValueError, OverflowError):
        return round(datetime.fromisoformat(value).astimezone().timestamp() * 1e9)
    typer.echo(say("log.time", language, value=value), err=True)
    raise typer.Exit(2)


async def newest(run_dir: Path, wanted: Wanted, limit: int) -> list[Entry]:
    """The newest entries that fit, in order; read backwards from the end."""
    found: deque[Entry] = deque()
    client = await Client.connect(run_dir / "record.sock")
    try:
        before: dict[str, Any] = {}
        while len(found) < limit:
            reply = await client.call("log", **_asked(wanted), **before)
            page = [e for row in reply["rows"] for e in entries_of(row) if wanted.fits(e)]
            found.extendleft(reversed(page))
            if not reply["more"] or not reply["rows"]:
                break
            before = {"before": reply["rows"][0]["id"]}
    finally:
        client.close()
    ordered = in_order(iter(found))
    return list(ordered)[-limit:]


async def oldest_first(run_dir: Path, wanted: Wanted) -> AsyncIterator[list[Entry]]:
    """All pages from the oldest on, as they are kept."""
    client = await Client.connect(run_dir / "record.sock")
    try:
        after = 0
        while True:
            reply = await client.call("log", after=after, oldest=True, **_asked(wanted))
            yield [entry for row in reply["rows"] for entry in entries_of(row)]
            if not reply["more"]:
                return
            if reply["last"] <= after:
                raise IpcError("the record gives the same page again")
            after = reply["last"]
    finally:
        client.close()


def _asked(wanted: Wanted) -> dict[str, Any]:
    lane = {"lane": wanted.lane} if wanted.lane else {}
    return {**lane, "since_ns": wanted.since_ns}


def entries_of(row: dict[str, Any]) -> Iterator[Entry]:
    """The entries of one batch."""
    head = (row["lane"], row["ordinal"], row["seq"], row["boot"].hex())
    for seq, source, what, mono_ns, wall_ns, clock, folded, body in row["records"]:
        yield Entry(*head, seq, source, what, mono_ns, wall_ns, clock, folded, body)
    if "text" in row:
        yield Entry(*head, 0, "record", "unreadable", 0, 0, 0, 0, {"text": row["text"]})


class Order:
    """Puts entries of several lanes in order of time, holding at most LOG_REORDER_MAX of them.

    By boot, in order of appearance, then by monotonic time: a wall clock that was set in between
    reorders nothing.
    """

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int, int, Entry]] = []
        self._boots: dict[str, int] = {}
        self._count = 0

    def put(self, entry: Entry) -> Iterator[Entry]:
        """One more; what is surely before everything to come."""
        boot = self._boots.setdefault(entry.boot, len(self._boots))
        self._count += 1
        heapq.heappush(self._heap, (boot, entry.mono_ns, entry.seq, self._count, entry))
        if len(self._heap) > LOG_REORDER_MAX:
            yield heapq.heappop(self._heap)[-1]

    def rest(self) -> Iterator[Entry]:
        """The others."""
        while self._heap:
            yield heapq.heappop(self._heap)[-1]


def in_order(entries: Iterator[Entry]) -> Iterator[Entry]:
    """All entries in order of time."""
    order = Order()
    for entry in entries:
        yield from order.put(entry)
    yield from order.rest()


def _export(run_dir: Path, wanted: Wanted, out: Path | None, *, csv_wanted: bool) -> int:
    """Write all that fit; how many. Raises IpcError, Refused, TimeoutError."""
    with contextlib.ExitStack() as stack:
        stream: TextIO = sys.stdout
        if out is not None:
            try:
                stream = stack.enter_context(out.open("w", encoding="utf-8", newline=""))
            except OSError as e:
                typer.echo(f"{out}: {e.strerror}", err=True)
                raise typer.Exit(1) from e
        write = _csv_writer(stream) if csv_wanted else _json_writer(stream)
        return asyncio.run(_write_all(run_dir, wanted, write))


async def _write_all(run_dir: Path, wanted: Wanted, write: Callable[[Entry], None]) -> int:
    order, count = Order(), 0

    def out(entries: Iterator[Entry] | Sequence[Entry]) -> int:
        written = 0
        for entry in entries:
            write(entry)
            written += 1
        return written

    async for page in oldest_first(run_dir, wanted):
        for entry in filter(wanted.fits, page):
            count += out(order.put(entry))
    return count + out(order.rest())


def _csv_writer(stream: TextIO) -> Callable[[Entry], None]:
    writer = csv.DictWriter(stream, COLUMNS)
    writer.writeheader()

    def write(entry: Entry) -> None:
        row = entry.row()
        row["body"] = json.dumps(row["body"], ensure_ascii=False)
        writer.writerow({key: _cell(value) for key, value in row.items()})

    return write


def _cell(value: Any) -> Any:
    """Text that a spreadsheet would take for a formula is marked as text."""
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _json_writer(stream: TextIO) -> Callable[[Entry], None]:
    def write(entry: Entry) -> None:
        stream.write(json.dumps(entry.row(), ensure_ascii=False) + "\n")

    return write
