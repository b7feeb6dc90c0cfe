"""`embergate status` and `points`, and how every command asks a socket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from agent.cli import show
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.run import default_run_dir
from agent.cli.told_words import refusal, told
from agent.cli.words import say
from agent.ipc import Client, IpcError, Message, Refused, TurnedAway
from config.limits import POINTS_PAGE_MAX

RunDir = Annotated[
    Path | None,
    typer.Option("--run", help="directory of the sockets; default: the trial's here, else /run"),
]
AsJson = Annotated[bool, typer.Option("--json", help="machine-readable output")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command()(status)
    app.command()(points)


async def request(run_dir: Path, socket: str, verb: str, **args: Any) -> Message:
    """One request to a socket. Raises IpcError, Refused or TimeoutError."""
    client = await Client.connect(run_dir / socket)
    try:
        return await client.call(verb, **args)
    finally:
        client.close()


def ask(run_dir: Path, socket: str, verb: str, *, language: str = "en", **args: Any) -> Message:
    """One request to a socket; exits with a clear message when it cannot be answered."""
    with answered(run_dir / socket, language):
        return asyncio.run(request(run_dir, socket, verb, **args))
    raise AssertionError("answered() returns or exits")


@contextlib.contextmanager
def answered(socket: Path, language: str) -> Iterator[None]:
    """What goes wrong with a socket in here is said, and ends the command."""
    try:
        yield
    except (Refused, TurnedAway) as e:
        text = refusal(e.code, e.text, language)
        typer.echo(say("refused", language, code=e.code, text=text), err=True)
        raise typer.Exit(1) from e
    except IpcError as e:
        why = e.__cause__
        if isinstance(why, OSError):  # nobody listens there
            said = told(why.strerror or str(why), language)
            text = say("no_process", language, socket=socket, why=said)
            typer.echo(text, err=True)
        else:
            typer.echo(told(str(e), language), err=True)
        raise typer.Exit(1) from e
    except TimeoutError as e:
        typer.echo(say("no_answer", language, socket=socket), err=True)
        raise typer.Exit(1) from e


def status(run: RunDir = None, as_json: AsJson = False, lang: LangOption = BY_LOCALE) -> None:
    """The big state, what is in alarm, lines, outputs, and what the record and couriers say."""
    run_dir, language = run or default_run_dir(), tongue(lang)
    field = ask(run_dir, "field.sock", "status", language=language)
    try:
        record: Message | None = asyncio.run(request(run_dir, "record.sock", "status"))
    except (IpcError, Refused, TimeoutError):
        record = None
    if as_json:
        typer.echo(json.dumps({**plain(field), "record": plain(record)}, ensure_ascii=False))
        return
    gateway = field["gateway"]
    lines = [[line["name"], line["up"]] for line in gateway["lines"]]
    console = Console()
    for part in show.state(field["status"], language):
        console.print(part)
    for part in show.parts({**field["status"], "lines": lines}, language):
        console.print(part)
    machine = {"kernel": gateway["kernel"], "cycles": gateway["cycles"]}
    waiting = gateway["events_waiting"]
    points = field["status"]["points"]
    console.print(say("summary", language, points=points, waiting=waiting, **machine))
    for part in show.record(record, language):
        console.print(part)


def points(
    run: RunDir = None,
    first: Annotated[int, typer.Option(min=0, help="from this point on")] = 0,
    count: Annotated[int, typer.Option(min=1, help="so many at most")] = 100,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Points with their values, qualities and states."""
    run_dir, language = run or default_run_dir(), tongue(lang)
    with answered(run_dir / "field.sock", language):
        reply = asyncio.run(_pages(run_dir, first, count))
    if as_json:
        typer.echo(json.dumps(plain(reply), ensure_ascii=False))
    elif reply["points"]:
        title = say("pages", language, first=first, total=reply["total"])
        Console().print(show.points(title, reply["points"], language))


async def _pages(run_dir: Path, first: int, count: int) -> Message:
    client = await Client.connect(run_dir / "field.sock")
    rows: list[Message] = []
    total = 0
    try:
        while len(rows) < count:
            most = min(POINTS_PAGE_MAX, count - len(rows))
            reply = await client.call("points", first=first + len(rows), count=most)
            rows += reply["points"]
            total = reply["total"]
            if len(reply["points"]) < most:
                break
    finally:
        client.close()
    return {"points": rows, "total": total}


def plain(value: Any) -> Any:
    """CBOR values as JSON: bytes as hex, not-a-number as null (JSON has neither)."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items() if k not in ("n", "ok")}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
