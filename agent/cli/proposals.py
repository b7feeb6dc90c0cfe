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

from agent.cli.control import answered, plain
from agent.cli.language import LangOption, tongue
from agent.cli.run import default_run_dir
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
    socket = (run or default_run_dir()) / "record.sock"
    with answered(socket, tongue(lang)):
        if save is not None:
            found = asyncio.run(_ask(socket, "proposal", number=save))["proposal"]
            if to is None:
                raise typer.BadParameter("--to FILE is needed")
            with to.open("xb") as file:
                file.write(found["data"])
            typer.echo(f"{to}: {len(found['data'])} bytes, SHA-256 {found['hash'].hex()}")
            return
        number = accept if accept is not None else refuse
        if number is not None:
            words = {"who": getpass.getuser(), "why": why}
            asyncio.run(_ask(socket, "decide", number=number, accept=accept is not None, **words))
            typer.echo(f"{number}: {'accepted' if accept is not None else 'refused'}")
            return
        rows = asyncio.run(_ask(socket, "proposals"))["proposals"]
    if as_json:
        typer.echo(json.dumps([plain(row) for row in rows], ensure_ascii=False))
    elif rows:
        _print(rows)
    else:
        typer.echo("nothing is proposed")


async def _ask(socket: Path, verb: str, **args: Any) -> Message:
    client = await Client.connect(socket)
    try:
        return await client.call(verb, **args)
    finally:
        client.close()


def _print(rows: list[Message]) -> None:
    table = Table("number", "kind", "title", "bytes", "received", "SHA-256")
    for row in rows:
        when = datetime.fromtimestamp(row["wall_ns"] / 1e9, UTC).strftime("%Y-%m-%d %H:%M")
        table.add_row(
            str(row["number"]), row["kind"], row["title"], str(row["size"]), when,
            row["hash"].hex()[:16],
        )  # fmt: skip
    Console().print(table)
