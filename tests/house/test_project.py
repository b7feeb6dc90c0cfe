"""The project's promises about itself: commands, documents, locks, limits, licence."""

from __future__ import annotations

import ast
import importlib
import re
import tomllib
from pathlib import Path

import pytest
import typer
from project_tree import PACKAGES, ROOT, name, python_files, text_files, tree_of

from agent.cli import main as cli
from config import desk_limits, limits, opendata_limits

README = ROOT / "README.md"
LOCKS = ("requirements.lock", "requirements-dev.lock")

UNUSED_LIMITS: dict[str, str] = {
    "ORDERS_PENDING_MAX": "a bus master keeps one order an output; the plan bounds the outputs",
}
"""Limits that no code names yet, each with the reason why it is promised all the same."""


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)", text, re.M))


def commands() -> dict[str, typer.core.TyperCommand]:
    app = typer.Typer()
    app.callback()(lambda: None)
    for module in cli._COMMANDS:
        importlib.import_module(f"agent.cli.{module}").register(app)
    group = typer.main.get_command(app)
    return dict(group.commands)  # type: ignore[attr-defined]  # -- a group, as there are several


def documents() -> list[Path]:
    return [path for path in text_files() if path.suffix == ".md"]


# --- commands -------------------------------------------------------------------------------


def test_documented_make_commands_exist() -> None:
    for path in documents():
        words = re.findall(r"(?<![\w-])make ([a-z][a-z-]*)(?=[`\s])", code_of(path))
        assert set(words) <= make_targets(), name(path)
    assert {"demo", "test", "bench", "fuzz", "lint", "lock", "clean", "kernel"} <= make_targets()
    for command in ("make demo", "make test", "make bench"):
        assert command in README.read_text(encoding="utf-8")


def test_documented_commands_exist() -> None:
    known = {*commands(), *cli._PROCESSES}
    for path in documents():
        words = set(re.findall(r"(?<![\w/@-])embergate ([a-z][a-z-]*)", code_of(path)))
        assert words <= known, name(path)


def code_of(path: Path) -> str:
    """What a document shows as code."""
    text = path.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", text, re.M | re.S)
    outside = re.sub(r"^ *```[a-z]*\n.*?^ *```", "", text, flags=re.M | re.S)
    return "\n".join([*blocks, *re.findall(r"`([^`\n]+)`", outside)]) + "\n"


def test_every_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    found = commands()
    assert {"check", "plan", "run", "simulate", "status", "reset", "receive", "verify"} <= set(
        found
    )
    for command in ["check", *cli._PROCESSES]:
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--help"])
        assert ended.value.code in (0, None), command
        assert len(capsys.readouterr().out) > 100, command
    for command, implementation in found.items():  # without making all of them anew for each
        assert implementation.help, command
        with pytest.raises(SystemExit) as ended:
            implementation.main(["--help"], prog_name=command)
        assert ended.value.code in (0, None), command
        assert len(capsys.readouterr().out) > 100, command


def test_ci_runs_what_a_newcomer_runs() -> None:
    assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").endswith("exec make test\n")


# --- documents ------------------------------------------------------------------------------


def test_the_readme_leads_to_every_guide() -> None:
    text = README.read_text(encoding="utf-8")
    assert [p.name for p in (ROOT / "docs").glob("*.md") if f"](docs/{p.name})" not in text] == []


def test_links_lead_somewhere() -> None:
    broken = [
        f"{name(path)}: {target}"
        for path in documents()
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8"))
        if "://" not in target and not (path.parent / target).exists()
    ]
    assert broken == []


def test_every_decision_is_listed() -> None:
    folder = ROOT / "docs" / "adr"
    index = (folder / "README.md").read_text(encoding="utf-8")
    records = sorted(p.name for p in folder.glob("[0-9]*.md"))
    assert [r[:4] for r in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    assert [r for r in records if f"({r})" not in index] == []
    for record in records:
        text = (folder / record).read_text(encoding="utf-8")
        for part in ("# ", "## Decision", "## Why", "## Price"):
            assert part in text, f"{record}: {part}"


def test_the_limits_of_the_product_are_said_first() -> None:
    text = README.read_text(encoding="utf-8")
    head = text[:1500]
    assert "never replaces" in head
    for word in ("extinguishing", "pumps", "smoke control", "doors", "gas"):
        assert word in head, word


def test_licence() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert project()["project"]["license"] == "Apache-2.0"


# --- locks ----------------------------------------------------------------------------------


def project() -> dict[str, dict[str, object]]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def locked(lock: str) -> dict[str, tuple[str, list[str]]]:
    """name → version, hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    found = {}
    for block in re.split(r"\n(?=\S)", re.sub(r"^ *#.*\n", "", text, flags=re.M)):
        if not block.strip():
            continue
        head = re.match(r"([a-z0-9._-]+)==([^\s;]+)", block)
        assert head, f"{lock}: {block.splitlines()[0]}"
        found[head[1]] = (head[2], re.findall(r"--hash=sha256:([0-9a-f]{64})\b", block))
    return found


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_pins_and_hashes_everything(lock: str) -> None:
    packages = locked(lock)
    assert len(packages) > 20
    assert [p for p, (_, hashes) in packages.items() if not hashes] == []
    text = (ROOT / lock).read_text(encoding="utf-8")
    assert not re.search(r"https?://|file://|^--|WARNING", text, re.M)


def test_locks_agree() -> None:
    runtime, dev = map(locked, LOCKS)
    assert [p for p in runtime if runtime[p] != dev.get(p)] == []


def test_locks_hold_what_the_project_asks_for() -> None:
    def names(requirements: object) -> set[str]:
        assert isinstance(requirements, list)
        return {re.split(r"[<>=\[; ]", r)[0].lower().replace("_", "-") for r in requirements}

    document = project()
    runtime = names(document["project"]["dependencies"])
    assert runtime <= set(locked(LOCKS[0]))
    assert names(document["dependency-groups"]["dev"]) <= set(locked(LOCKS[1]))
    text = README.read_text(encoding="utf-8")
    assert [d for d in runtime if f"`{d}`" not in text] == [], "each dependency with its reason"


# --- limits ---------------------------------------------------------------------------------


def names_used(path: Path) -> set[str]:
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Name | ast.Attribute)
    }


LIMIT_FILES = (limits, desk_limits, opendata_limits)


def test_every_limit_limits_something() -> None:
    declared = {n for f in LIMIT_FILES for n in vars(f) if n.isupper() and n not in ("MS", "S")}
    used: set[str] = set()
    for path in python_files(*PACKAGES):
        if path not in [Path(str(f.__file__)) for f in LIMIT_FILES]:
            used |= names_used(path)
    assert sorted(declared - used) == sorted(UNUSED_LIMITS)


def test_every_limit_has_one_value_and_one_meaning() -> None:
    names = [
        target.id
        for f in LIMIT_FILES
        for node in tree_of(Path(str(f.__file__))).body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    ]
    assert sorted(n for n in set(names) if names.count(n) > 1) == []


def test_limits_are_positive() -> None:
    for key, value in (pair for f in LIMIT_FILES for pair in vars(f).items()):
        if key.isupper():
            assert isinstance(value, int | float), key
            assert value > 0, key
