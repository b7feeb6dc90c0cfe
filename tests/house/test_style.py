"""What no linter checks: the size of things, reasons, words that must not appear."""

from __future__ import annotations

import ast
import io
import re
import subprocess
import tokenize
from pathlib import Path

from project_tree import PACKAGES, ROOT, name, python_files, text_files, tree_of

LINES_MAX = 500
FUNCTION_LINES_MAX = 60
LONG_FUNCTIONS = {
    # Fused passes over the points, each compiled as one function: cut up, they would pass a dozen
    # arrays to every part of it.
    "agent/core/calm.py calm",
    "agent/core/step.py step",
}
ALL = (*PACKAGES, "tests", "scripts")

# Written in two halves, so that this file does not name them either.
BANNED = [
    "/wo" + "rk/",
    "/ro" + "ot/",
    "/ho" + "me/",
    "../sha" + "red",
    "py" + "pi.org",
    "python" + "hosted",
    "deb" + ".debian.org",
    "registry" + ".npmjs",
    "--index" + "-url http",
    "--find" + "-links file",
    "BEGIN " + "PRIVATE KEY",
]

IGNORE_WITH_REASON = re.compile(r"#\s*(noqa: [A-Z0-9, ]+|type: ignore\[[a-z, -]+\]( +#)?) -- \S")
IGNORE = re.compile(r"#\s*(noqa|type:\s*ignore)")


def test_files_are_short() -> None:
    long = {
        name(path): lines
        for path in python_files(*ALL)
        if (lines := path.read_text(encoding="utf-8").count("\n")) > LINES_MAX
    }
    assert long == {}


def test_functions_are_short() -> None:
    long = [
        f"{name(path)} {node.name}"
        for path in python_files(*ALL)
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno + 1 > FUNCTION_LINES_MAX
    ]
    assert set(long) <= LONG_FUNCTIONS


def test_no_machine_and_no_registry_is_named() -> None:
    found = [
        f"{name(path)}: {word}"
        for path in text_files()
        for word in BANNED
        if word in path.read_text(encoding="utf-8", errors="replace")  # some cases are damaged
    ]
    assert found == []


def comments(path: Path) -> list[tuple[int, str]]:
    text = path.read_text(encoding="utf-8")
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [(t.start[0], t.string) for t in tokens if t.type == tokenize.COMMENT]


def test_every_ignore_has_its_reason() -> None:
    found = [
        f"{name(path)}:{line}: {text}"
        for path in python_files(*ALL)
        for line, text in comments(path)
        if IGNORE.search(text) and not IGNORE_WITH_REASON.search(text)
    ]
    assert found == []


def test_the_pattern_of_reasons() -> None:
    assert IGNORE_WITH_REASON.search("# noqa: BLE001 -- hostile bytes")
    assert IGNORE_WITH_REASON.search("# noqa: S603, S607 -- our own program")
    assert IGNORE_WITH_REASON.search("# type: ignore[misc]  # -- no types in this package")
    assert not IGNORE_WITH_REASON.search("# noqa")
    assert not IGNORE_WITH_REASON.search("# noqa: BLE001")
    assert not IGNORE_WITH_REASON.search("# type: ignore[misc]")


def test_public_things_are_explained() -> None:
    """Public modules, classes and functions of the product say what they are."""
    missing = []
    for path in python_files(*PACKAGES):
        module = tree_of(path)
        if module.body and not ast.get_docstring(module):
            missing.append(name(path))
        missing += [
            f"{name(path)}:{node.lineno} {node.name}"
            for node in module.body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            and not node.name.startswith("_")
            and not ast.get_docstring(node)
            and "overload" not in map(ast.unparse, node.decorator_list)
        ]
    assert missing == []


def sleeps(tree: ast.Module) -> list[int]:
    """Lines of calls that sleep for a tenth of a second or more."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "sleep"
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, int | float)
        and node.args[0].value >= 0.1
    ]


def test_tests_do_not_sleep() -> None:
    found = [
        f"{name(path)}:{line}"
        for path in python_files("tests")
        if "bench" not in path.parts  # a benchmark measures over real time
        for line in sleeps(tree_of(path))
    ]
    assert found == []


def test_tests_are_real() -> None:
    """No mock of our own code, no test that is switched off."""
    pattern = re.compile(
        r"unittest.mock|@pytest.mark.(skip|xfail)|pytest.(skip|xfail|importorskip)\("
    )
    found = [
        f"{name(path)}: {match[0]}"
        for path in python_files("tests")
        if path != Path(__file__)
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_scripts_are_sound() -> None:
    scripts = [
        path
        for folder in ("scripts", ".ci")
        for path in (ROOT / folder).iterdir()
        if path.is_file() and path.suffix == ""
    ]
    assert len(scripts) >= 6
    for path in scripts:
        text = path.read_text(encoding="utf-8")
        assert text.startswith("#!/usr/bin/env bash\n"), path
        assert "\nset -euo pipefail\n" in text, path
        assert path.stat().st_mode & 0o111, path
        done = subprocess.run(["bash", "-n", str(path)], capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
