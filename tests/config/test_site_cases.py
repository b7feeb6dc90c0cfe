"""Every folder of tests/sites is a case: a site.yaml and exactly what is said about it.

A good site's expected.txt is what `embergate check` echoes, a bad one's the rendered problems.
EMBERGATE_REWRITE=1 writes the files anew; look at the difference before you keep it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import check
from config.problems import EXIT_CONFIG

SITES = Path(__file__).parents[1] / "sites"
CASES = sorted(p.name for p in SITES.iterdir() if p.is_dir())


def run(*args: str) -> tuple[int, str]:
    """Exit status and all output of the command."""
    app = typer.Typer()
    check.register(app)
    result = CliRunner().invoke(app, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def compare(expected: Path, found: str) -> None:
    if os.environ.get("EMBERGATE_REWRITE"):
        expected.write_text(found)
    assert found == expected.read_text()


def test_there_are_enough_bad_sites() -> None:
    assert sum(name.startswith("bad_") for name in CASES) >= 20


@pytest.mark.parametrize("name", CASES)
def test_site(name: str) -> None:
    status, output = run("check", str(SITES / name / "site.yaml"))
    assert status == (EXIT_CONFIG if name.startswith("bad_") else 0), output
    compare(SITES / name / "expected.txt", output)


@pytest.mark.parametrize("name", [n for n in CASES if (SITES / n / "expected.zh.txt").exists()])
def test_site_in_chinese(name: str) -> None:
    status, output = run("check", str(SITES / name / "site.yaml"), "--lang", "zh")
    assert status == (EXIT_CONFIG if name.startswith("bad_") else 0), output
    compare(SITES / name / "expected.zh.txt", output)


@pytest.mark.parametrize("name", CASES)
def test_site_as_json(name: str) -> None:
    status, output = run("check", str(SITES / name / "site.yaml"), "--json")
    body = json.loads(output)
    assert (status == EXIT_CONFIG) == bool(body["problems"])
    text = (SITES / name / "expected.txt").read_text()
    for problem in body["problems"]:
        assert problem["text"]["en"] in text
        assert set(problem["text"]) == set(problem["hint"]) == {"en", "zh"}
