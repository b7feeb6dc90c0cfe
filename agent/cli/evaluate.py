"""`embergate evaluate`: how early would this site have been, and how quiet?"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.cli.desk_words import say as desk_say
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.core.kernel_loader import load_kernel
from agent.evaluate import run
from agent.evaluate.folder import list_recordings
from agent.evaluate.messages import Refused
from agent.evaluate.phrases import Say, class_name, speaker
from agent.evaluate.report import goal_text, html_of, interval, number
from agent.evaluate.sweeps import parse_sweep
from agent.evaluate.watch import Setting, read_setting
from config.problems import EXIT_CONFIG, Problems, render

GOAL_MISSED = 1


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    data: Annotated[Path, typer.Option(help="folder of recordings, or a gateway's record")],
    site: Annotated[Path, typer.Option(help="site file with a section 'evaluate'")],
    report: Annotated[
        Path | None, typer.Option(help="write OUT.html and OUT.json (or into a directory)")
    ] = None,
    sweep: Annotated[
        list[str] | None,
        typer.Option(
            help="PARAMETER=VALUES, like fire_level=50,54,57 or trend_rise=5:20:5; several in one "
            "text are a grid"
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="a second site file: what if it were this one?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all figures, for programs")] = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Replay recordings through the code of the field and score it.

    Exit 78 when a recording or a site file cannot be used, 1 when a goal of the site file is not
    reached.
    """
    lang = tongue(lang)
    setting = _setting(site, lang)
    other = _setting(against, lang) if against is not None else None
    try:
        sweeps = [*setting.evaluation.sweeps, *(parse_sweep(text) for text in sweep or ())]
        listed = list_recordings(data, setting.evaluation.truths)
        runs = run.runs(sweeps, against=other is not None)
        with _Bar(runs * len(listed)) as bar:
            kernel = load_kernel()
            if kernel.fault_text is not None:
                typer.echo(kernel.fault_text, err=True)
            name = data.resolve().name
            result = run.evaluate(
                name, listed, setting, kernel.kernel, bar, sweeps=sweeps, against=other
            )
    except Refused as e:
        typer.echo(e.text(lang), err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    text = run.as_text(result.document)
    written = _write(report, html_of(result, lang), text, lang) if report is not None else []
    if as_json:
        print(text, end="")
    else:
        print(_summary(result.document, speaker(lang)), end="")
        for path in written:
            print(path)
    raise typer.Exit(0 if all(g["reached"] for g in result.document["goals"]) else GOAL_MISSED)


def _setting(path: Path, lang: str) -> Setting:
    problems = Problems()
    setting = read_setting(path, problems)
    if setting is None:
        typer.echo(render(problems.in_order(), lang, problems.left_off), err=True, nl=False)
        raise typer.Exit(EXIT_CONFIG)
    return setting


def _write(out: Path, html: str, text: str, lang: str) -> list[Path]:
    """Both files, each in one step."""
    if out.suffix == ".html":
        targets = [(out, html), (out.with_suffix(".json"), text)]
    else:
        targets = [(out / "report.html", html), (out / "report.json", text)]
    try:
        for path, content in targets:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_name(path.name + ".part")
            part.write_text(content, encoding="utf-8", newline="\n")
            part.replace(path)
    except OSError as e:
        typer.echo(
            desk_say("file.unwritable", lang, file=e.filename or out, why=e.strerror), err=True
        )
        raise typer.Exit(os.EX_IOERR) from None
    return [path for path, _ in targets]


# --- telling --------------------------------------------------------------------------------------


def _summary(document: dict[str, Any], say: Say) -> str:
    """A table of the classes and the goals, in columns of the terminal."""
    leads = [say("{what} lead s", what=say(w)) for w in ("pre-alarm", "fire")]
    rows = [[say("class"), say("n"), leads[0], say("95 %"), say("least"), leads[1], say("95 %"),
             say("least"), say("missed pre/fire"), say("before ignition"),
             say("false fires per point-day"), say("95 %"), say("faults")]]  # fmt: skip
    for name, c in document["classes"].items():
        row = [class_name(name, say), str(c["recordings"])]
        for what in ("prealarm", "fire"):
            lead = c[f"{what}_lead_s"] or {}
            row += [number(lead.get("median")), interval(lead.get("median_95")),
                    number(lead.get("least"))]  # fmt: skip
        row += [f"{c['prealarm_missed']}/{c['fire_missed']}", str(c["before_ignition"])]
        per_day = "false_fires_per_point_day"
        row += [number(c[per_day], 4), interval(c[f"{per_day}_95"], 4), str(c["faults"])]
        rows.append(row)
    out = [f"{document['data']}, {document['site']['file']}:", *_columns(rows)]
    for goal in document["goals"]:
        found = say("nothing") if goal["found"] is None else f"{goal['found']:.1f}{goal['unit']}"
        word = say("reached" if goal["reached"] else "NOT REACHED")
        worst = f" ({goal['worst']})" if goal["worst"] else ""
        out.append(f"  {_padded(word, 11)} {goal['class']}: {goal_text(goal, say)}: {found}{worst}")
    return "".join(f"{line}\n" for line in out)


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equal length below each other; the first column at the left, numbers at the right."""
    widths = [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  " + _padded(row[0], widths[0])
        + "".join("  " + " " * (w - _width(c)) + c
                  for c, w in zip(row[1:], widths[1:], strict=True))
        for row in rows
    ]  # fmt: skip


def _padded(text: str, width: int) -> str:
    return text + " " * (width - _width(text))


def _width(text: str) -> int:
    """Cells of a terminal: a Chinese character has two."""
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


class _Bar:
    """A progress bar on stderr, when somebody looks at it."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
            TextColumn("{task.fields[taken]} rows"), TimeElapsedColumn(),
            console=console, disable=not console.is_terminal, transient=True,
        )  # fmt: skip
        self._task = self._bar.add_task("", total=total, taken=0)
        self._taken = 0
        self._said = 0

    def __enter__(self) -> _Bar:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def begin(self, text: str) -> None:
        """A recording is replayed now."""
        self._bar.update(self._task, description=text)

    def rows(self, count: int) -> None:
        """So many rows were taken."""
        self._taken += count
        if self._taken - self._said >= 1_000:
            self._said = self._taken
            self._bar.update(self._task, taken=self._taken)

    def done(self) -> None:
        """The recording is done."""
        self._bar.update(self._task, advance=1, taken=self._taken)
