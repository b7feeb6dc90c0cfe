"""`embergate table import|export`: point tables as CSV and XLSX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from agent.cli.check import SiteArgument
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.line_words import words
from agent.commission.lines import ToolError
from agent.commission.point_table import Target, fragment, table
from agent.commission.tables import read_table, write_table
from agent.compile import check_file
from config.loader import load, read_bytes
from config.problems import EXIT_CONFIG, Problems, render
from config.profiles import Profile, load_profile, own_profile, profile_names
from config.site_reader import read_site

_HEAD = "# From {file}. A part of a site file: put it under its devices and zones.\n"


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        help="Point tables as CSV and XLSX: number, name, zone, address, kind; further columns are "
        "keys of the site file.",
        no_args_is_help=True,
    )
    group.command("import")(import_)
    group.command("export")(export)
    app.add_typer(group, name="table")


def import_(
    file: Annotated[Path, typer.Argument(help="a .csv or .xlsx file")],
    *,
    device: Annotated[str, typer.Option(help="the name of the device")],
    link: Annotated[str, typer.Option(help="the link that it is on")],
    unit: Annotated[int, typer.Option(min=0, max=255)],
    poll: Annotated[str, typer.Option(help="how often")] = "1s",
    profile: Annotated[
        str, typer.Option(help="addresses are those of this profile: 1-23, l1d23")
    ] = "",
    out: Annotated[Path | None, typer.Option("-o", "--out", help="instead of stdout")] = None,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Turn a point table into the device and the zones of a site file."""
    lang = tongue(lang)
    try:
        found = _profile(profile, out.parent if out is not None else Path())
        text = fragment(read_table(file), Target(device, link, unit, poll, found))
        problems = Problems()
        if load(text.encode(), "table", problems) is None or len(problems):
            raise ToolError(render(problems.in_order(), lang).rstrip())
        text = _HEAD.format(file=file.name) + text
        if out is None:
            print(text, end="")
            return
        with out.open("x", encoding="utf-8") as f:
            f.write(text)
    except ToolError as e:
        typer.echo("\n".join(f"{file}: {row}" for row in e.text(lang).split("\n")), err=True)
        raise typer.Exit(1) from e
    except OSError as e:
        typer.echo(words("file.unwritable", lang, file=out, why=e.strerror), err=True)
        raise typer.Exit(1) from e
    print(words("table.next", lang, file=out))


def _profile(name: str, directory: Path) -> Profile | None:
    if not name:
        return None
    problems = Problems()
    if own_profile(name):
        found = load_profile(name, problems, directory)
    elif name in profile_names():
        found = load_profile(name, problems)
    else:
        raise ToolError(
            f"no profile is called '{name}'; see 'embergate profile list'",
            f"没有名为“{name}”的设备模板；请用“embergate profile list”查看",
        )
    if found is None:
        listed = problems.in_order()
        raise ToolError(render(listed, "en").rstrip(), render(listed, "zh").rstrip())
    return found


def export(
    site: SiteArgument,
    file: Annotated[Path, typer.Argument(help="the .csv or .xlsx file to make")],
    *,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Write the points of a site as a table."""
    lang = tongue(lang)
    checked = check_file(site)
    problems = Problems()
    data = read_bytes(site, problems) if checked.site is not None else None
    document = load(data, site.name, problems) if data is not None else None
    read = read_site(document, problems, site.parent) if document is not None else None
    if document is None or read is None:
        typer.echo(render(checked.problems or problems.in_order(), lang, 0), err=True, nl=False)
        raise typer.Exit(EXIT_CONFIG)
    rows = table(read.site, document, read.profiles)
    try:
        write_table(file, rows)
    except ToolError as e:
        typer.echo(e.text(lang), err=True)
        raise typer.Exit(1) from e
    print(words("table.points", lang, file=file, count=len(rows) - 1))
