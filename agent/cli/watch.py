"""`embergate watch`: the points of one device, live."""

from __future__ import annotations

import json
import math
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from agent.cli.check import SiteArgument
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.line_tools import ForTime, JsonOption, finish, time_ns
from agent.cli.line_words import words
from agent.commission.lines import ToolError
from agent.commission.watching import Row, Watched, only_device
from agent.commission.watching import watch as watch_device
from agent.compile import check_file
from config.limits import MS, S
from config.problems import EXIT_CONFIG, render
from config.words import FLAG_WORDS, Quality

_EVERY_NS = 500 * MS


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(watch)


def watch(
    site: SiteArgument,
    device: Annotated[str, typer.Argument(help="the name of a device of the site")],
    *,
    duration: ForTime = "10min",
    as_json_: JsonOption = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Show a device's points as they are read. The line must not be in use: stop the gateway."""
    lang = tongue(lang)
    checked = check_file(site)
    if checked.plan is None:
        typer.echo(render(checked.problems, lang, checked.left_off), err=True, nl=False)
        raise typer.Exit(EXIT_CONFIG)
    wait_ns = time_ns(duration)
    try:
        plan, index = only_device(checked.plan, device)
    except ToolError as e:
        typer.echo(e.text(lang), err=True)
        raise typer.Exit(1) from e
    if as_json_:
        watched = finish(watch_device(plan, index, wait_ns, _EVERY_NS, _print_json), lang)
    else:
        console = Console()
        with Live(console=console, auto_refresh=False, transient=False) as live:

            def show(w: Watched) -> None:
                live.update(_table(w, time.monotonic_ns(), lang), refresh=True)

            watched = finish(watch_device(plan, index, wait_ns, _EVERY_NS, show), lang)
    if not watched.blocks:
        typer.echo(f"{device}: {watched.trouble}", err=True)
        raise typer.Exit(1)


def _text(row: Row, lang: str) -> str:
    if not row.mono_ns:
        return "-"
    if row.text is not None and row.quality is Quality.GOOD:
        return row.text
    if row.quality is not Quality.GOOD or math.isnan(row.value):
        return words(row.quality.name.lower(), lang)
    if row.state:
        flags = [words(w, lang) for w, flag in FLAG_WORDS.items() if int(row.value) & flag]
        return words("and", lang).join(flags) or words("normal", lang)
    return f"{row.value:g} {row.unit}".strip()


def _table(watched: Watched, now_ns: int, lang: str) -> Table:
    names = (words(f"watch.{key}", lang) for key in ("point", "reading", "age"))
    table = Table(*names, box=None, caption=watched.trouble or None)
    for row in watched.rows():
        age = f"{(now_ns - row.mono_ns) / S:.1f} s" if row.mono_ns else ""
        table.add_row(row.name, _text(row, lang), age)
    return table


def _print_json(watched: Watched) -> None:
    rows = [
        {"point": r.name, "value": None if math.isnan(r.value) else r.value, "text": _text(r, "en"),
         "quality": r.quality.name.lower(), "unit": r.unit} for r in watched.rows()
    ]  # fmt: skip
    print(json.dumps({"points": rows, "trouble": watched.trouble}, ensure_ascii=False), flush=True)
