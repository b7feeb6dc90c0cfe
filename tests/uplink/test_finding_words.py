"""Whatever a verifier finds has words in both languages."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from agent.cli.desk_words import TEXTS
from agent.uplink import audit, history

AT = {"Finding": 0, "_find": 1, "_refuse": 1}
"""Which argument of a call is the code of a finding."""


def codes() -> Iterator[str]:
    for module in (audit, history):
        for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                code = node.args[AT[node.func.id]] if node.func.id in AT else None
                if isinstance(code, ast.Constant):
                    yield str(code.value)


def test_every_finding_of_the_local_verifier_has_words() -> None:
    found = set(codes())
    assert {"epoch_fork", "gap", "unreadable"} <= found
    assert sorted(found) == sorted(key.removeprefix("code.") for key in TEXTS if key[:5] == "code.")
