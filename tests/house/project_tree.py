"""The project's own files, for the tests that read them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("agent", "drivers", "config", "firmware_tools")
FOLDERS = (*PACKAGES, "tests", "scripts", "systemd", "docs", ".ci")
TEXT = {".py", ".md", ".toml", ".lock", ".yaml", ".yml", ".conf", ".service", ".target", ".rules"}
TEXT |= {".catalog", ".example", ".cddl", ".sh", ".json", ".typed", ""}


def python_files(*folders: str) -> list[Path]:
    """Every Python file below these folders."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts
    )


def text_files() -> Iterator[Path]:
    """Every file that people read, the ones at the top included."""
    for path in sorted(ROOT.iterdir()):
        if path.is_file() and path.name != ".git" and path.suffix in TEXT:
            yield path
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts and path.suffix in TEXT:
                yield path


def name(path: Path) -> str:
    """The path as people say it."""
    return path.relative_to(ROOT).as_posix()


def tree_of(path: Path) -> ast.Module:
    """The syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))
