"""Small recordings and site files, made by the tests that use them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer
from typer.testing import CliRunner

from agent.cli import evaluate as command
from agent.core.kernel_loader import load_kernel
from agent.evaluate import run
from agent.evaluate.folder import list_recordings
from agent.evaluate.watch import Setting, read_setting
from config.problems import Problems, render

KERNEL = load_kernel().kernel
SITE = """\
site: {id: room, name: A room, region: eu}
evaluate:
  points:
    "ceiling_*": {kind: heat, class: A1, unit: °C}
  zones:
    room: {points: ["ceiling_*"], alarm: any}
"""


class Quiet:
    """Nobody is told how far it is."""

    def begin(self, text: str) -> None: ...
    def rows(self, count: int) -> None: ...
    def done(self) -> None: ...


def csv_of(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    lines = [",".join(columns), *(",".join(str(c) for c in row) for row in rows)]
    return "".join(f"{line}\n" for line in lines)


def ramp(seconds: int, *, start: int = -10, hot: float = 90.0, step: float = 1.0) -> str:
    """Two ceilings at 20 °C that rise from t = 0 on by `step` and half of it a second."""
    rows = []
    for t in range(start, seconds):
        rise = max(0, t) * step
        rows.append((t, min(20.0 + rise, hot), min(20.0 + rise / 2, hot)))
    return csv_of(("t_s", "ceiling_a", "ceiling_b"), rows)


def setting_of(folder: Path, text: str = SITE, name: str = "site.yaml") -> Setting:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    problems = Problems()
    setting = read_setting(path, problems)
    assert setting is not None, render(problems.found)
    return setting


def evaluated(folder: Path, files: dict[str, str], site: str = SITE, **more: Any) -> dict[str, Any]:
    """The document of an evaluation of these files."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    for name, text in files.items():
        (data / name).write_text(text, encoding="utf-8")
    setting = setting_of(folder, site)
    listed = list_recordings(data, setting.evaluation.truths)
    return run.evaluate("data", listed, setting, KERNEL, Quiet(), **more).document


def one(folder: Path, text: str, site: str = SITE, index: dict[str, Any] | None = None) -> Any:
    """The figures of one recording; index: its entry, when there is one."""
    files = {"a.csv": text}
    if index is not None:
        files["index.json"] = json.dumps([{"file": "a.csv", "kind": "sofa", **index}])
    return evaluated(folder, files, site)["recordings"][0]


def cli(*args: str) -> tuple[int, str, str]:
    """(exit status, stdout, stderr) of `embergate evaluate`."""
    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(app, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr
