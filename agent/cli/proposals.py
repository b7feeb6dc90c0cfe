"""`embergate proposals`: what a platform proposes, for somebody on the site to decide on."""

from __future__ import annotations

import asyncio
import getpass
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from agent.cli.control import answered, plain
from agent.cli.language import LangOption, tongue
from agent.cli.run import default_run_dir
from agent.cli.words import say
from agent.ipc import Client, Message


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(proposals)


def proposals(
    save: Annotated[int | None, typer.Option(help="write this one to --to")] = None,
    to: Annotated[Path | None, typer.Option(help="a new file")] = None,
    accept: Annotated[int | None, typer.Option(help="accept this one")] = None,
    refuse: Annotated[int | None, typer.Option(help="refuse this one, and forget it")] = None,
    why: Annotated[str, typer.Option(help="in your words, for the record")] = "",
    run: Annotated[Path | None, typer.Option(help="directory of the sockets")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="machine-readable output")] = False,
    lang: LangOption = "",
) -> None:
    """List, save, accept or refuse. Accepting is put on record and applies nothing: look at the
    saved file with 'embergate check', then 'embergate plan' makes it the site's."""
    socket, language = (run or default_run_dir()) / "record.sock", tongue(lang)
    if sum(number is not None for number in (save, accept, refuse)) > 1:
        raise typer.BadParameter(say("proposal.one", language))
    with answered(socket, language):
        if save is not None:
            _save(socket, save, to, language)
            return
        number = accept if accept is not None else refuse
        if number is not None:
            words = {"who": getpass.getuser(), "why": why}
            asyncio.run(_ask(socket, "decide", number=number, accept=accept is not None, **words))
            became = "proposal.refused" if accept is None else "proposal.accepted"
            typer.echo(say(became, language, number=number))
            return
        rows = asyncio.run(_ask(socket, "proposals"))["proposals"]
    if as_json:
        typer.echo(json.dumps([plain(row) for row in rows], ensure_ascii=False))
    elif rows:
        _print(rows, language)
    else:
        typer.echo(say("proposal.none", language))


def _save(socket: Path, number: int, to: Path | None, language: str) -> None:
    if to is None:
        raise typer.BadParameter(say("proposal.to", language))
    found = asyncio.run(_ask(socket, "proposal", number=number))["proposal"]
    try:
        with to.open("xb") as file:
            file.write(found["data"])
    except OSError as e:
        typer.echo(f"{to}: {e.strerror}", err=True)
        raise typer.Exit(1) from e
    size, digest = len(found["data"]), found["hash"].hex()
    typer.echo(say("proposal.saved", language, path=to, size=size, digest=digest))


async def _ask(socket: Path, verb: str, **args: Any) -> Message:
    client = await Client.connect(socket)
    try:
        return await client.call(verb, **args)
    finally:
        client.close()


def _print(rows: list[Message], language: str) -> None:
    names = ("number", "kind", "title", "bytes", "received")
    table = Table(*(say(f"col.{name}", language) for name in names), "SHA-256")
    for row in rows:
        when = datetime.fromtimestamp(row["wall_ns"] / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(
            str(row["number"]), say(f"kind.{row['kind']}", language), Text(_shown(row["title"])),
            str(row["size"]), when, row["hash"].hex()[:16],
        )  # fmt: skip
    Console().print(table)


def _shown(title: str) -> str:
    """A platform's own words: no markup, and nothing that a terminal would obey."""
    return "".join(c if c.isprintable() else "\ufffd" for c in title)
