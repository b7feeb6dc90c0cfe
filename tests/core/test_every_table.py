"""No table of states without a drawing, no row without a test, no change of a row unseen."""

from __future__ import annotations

import importlib
import itertools
import pkgutil
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

import pytest

import agent.core
from agent.core import diagram

HERE = Path(__file__).parent
DRAWN = HERE.parents[1] / "docs" / "alarm-states.md"
Table = dict[tuple[IntEnum, ...], tuple[IntEnum, IntEnum]]


def tables() -> dict[str, Table]:
    """Every table of states in the core: enums of what is and what happens -> what follows."""
    found: dict[str, Table] = {}
    for info in pkgutil.iter_modules(agent.core.__path__, "agent.core."):
        module = importlib.import_module(info.name)
        found |= {
            name: value
            for name, value in vars(module).items()
            if isinstance(value, dict) and value and all(map(is_row, value.items()))
        }
    return found


def is_row(item: Any) -> bool:
    key, outcome = item
    return all(
        isinstance(part, tuple) and len(part) > 1 and all(isinstance(p, IntEnum) for p in part)
        for part in (key, outcome)
    )


TABLES = tables()


def parts(table: Table) -> Iterator[Table]:
    """The table, or one for each origin: as it is drawn."""
    if all(len(key) == 2 for key in table):
        yield table
        return
    for origin in sorted({key[0] for key in table}):
        yield {key[1:]: out for key, out in table.items() if key[0] == origin}


def walked() -> list[Any]:
    """What the tests that drive a running gateway are given, row by row."""
    out = []
    for path in sorted(HERE.glob("test_*.py")):
        if path.stem == Path(__file__).stem or "running_gateway" not in path.read_text("utf-8"):
            continue
        for name, function in vars(importlib.import_module(path.stem)).items():
            marks = getattr(function, "pytestmark", []) if "running_gateway" in name else []
            out += [mark.args[1] for mark in marks if mark.name == "parametrize"]
    return out


def test_the_tables_are_found() -> None:
    assert set(TABLES) == {
        "FIRE_TABLE", "DISABLE_TABLE", "WALK_TABLE", "POINT_TABLE", "DELAY_TABLE",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_row_is_driven_in_a_running_gateway(name: str) -> None:
    assert sorted(TABLES[name].items()) in walked()


@pytest.mark.parametrize("name", sorted(TABLES))
def test_every_table_is_drawn(name: str) -> None:
    drawn = DRAWN.read_text(encoding="utf-8")
    for part in parts(TABLES[name]):
        assert diagram.chart(part) in drawn


@pytest.mark.parametrize("name", sorted(TABLES))
def test_no_row_changes_without_the_drawing(name: str) -> None:
    """The tests of the rows read the table that runs; the drawing is what it is held against."""
    for part in parts(TABLES[name]):
        drawn = diagram.chart(part)
        phases = sorted({key[0] for key in part} | {out[0] for out in part.values()})
        acts = list(type(next(iter(part.values()))[1]))
        for key, outcome in part.items():
            for other in itertools.product(phases, acts):
                if other != outcome:
                    assert diagram.chart({**part, key: other}) != drawn, (key, other)
