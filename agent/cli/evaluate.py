"""`embergate evaluate`: how early would this site have been, and how quiet?"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from agent.core.kernel_loader import load_kernel
from agent.evaluate import run
from agent.evaluate.folder import list_recordings
from agent.evaluate.report import goal_text, html_of
from agent.evaluate.source import BadRecording
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
        typer.Option(help="PARAMETER=VALUES, like fire_level=50,54,57 or trend_rise=5:20:5"),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="a second site file: what if it were this one?")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="all figures, for programs")] = False,
) -> None:
    """Replay recordings through the code of the field and score it.

    Exit 78 when a recording or a site file cannot be used, 1 when a goal of the site file is not
    reached.
    """
    setting = _setting(site)
    other = _setting(against) if against is not None else None
    try:
        sweeps = [run.parse_sweep(text) for text in sweep or ()]
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
    except (BadRecording, run.BadSweep) as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(EXIT_CONFIG) from None
    text = run.as_text(result.document)
    written = _write(report, html_of(result), text) if report is not None else []
    if as_json:
        print(text, end="")
    else:
        print(_summary(result.document), end="")
        for path in written:
            print(path)
    raise typer.Exit(0 if all(g["reached"] for g in result.document["goals"]) else GOAL_MISSED)


def _setting(path: Path) -> Setting:
    problems = Problems()
    setting = read_setting(path, problems)
    if setting is None:
        typer.echo(render(problems.in_order(), "en", problems.left_off), err=True, nl=False)
        raise typer.Exit(EXIT_CONFIG)
    return setting


def _write(out: Path, html: str, text: str) -> list[Path]:
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
        typer.echo(f"{e.filename or out}: cannot be written: {e.strerror}", err=True)
        raise typer.Exit(os.EX_IOERR) from None
    return [path for path, _ in targets]


# --- telling --------------------------------------------------------------------------------------


def _summary(document: dict[str, Any]) -> str:
    out = [f"{document['data']}, {document['site']['file']}:"]
    head = f"  {'class':<12}{'n':>4} {'pre-alarm lead':>17} {'fire lead':>17}"
    out.append(f"{head}  missed  before  false fires  faults")
    out.append(f"  {'':<16} {'median':>9}{'least':>8} {'median':>9}{'least':>8}"
               "  pre/fire  ignition  per point-day")  # fmt: skip
    for name, c in document["classes"].items():
        row = f"  {name[:12]:<12}{c['recordings']:>4}"
        for what in ("prealarm", "fire"):
            lead = c[f"{what}_lead_s"] or {}
            row += f" {_seconds(lead.get('median')):>9}{_seconds(lead.get('least')):>8}"
        false = c["false_fires_per_point_day"]
        row += f"  {c['prealarm_missed']}/{c['fire_missed']}  {c['before_ignition']}"
        row += f"  {c['false_fires']} ({'-' if false is None else f'{false:.4g}'})  {c['faults']}"
        out.append(row)
    for goal in document["goals"]:
        found = "nothing" if goal["found"] is None else f"{goal['found']:.1f}{goal['unit']}"
        word = "reached    " if goal["reached"] else "NOT REACHED"
        worst = f" ({goal['worst']})" if goal["worst"] else ""
        out.append(f"  {word} {goal['class']}: {goal_text(goal)}: {found}{worst}")
    return "".join(f"{line}\n" for line in out)


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} s"


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
