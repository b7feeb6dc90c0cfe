"""The shim, compiled once."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

for neighbour in ("record", "courier"):
    sys.path.insert(0, str(Path(__file__).parents[1] / neighbour))

from disk import build  # noqa: E402 -- beside this file, and the neighbours come first
from world_record import World  # noqa: E402 -- of a neighbour


@pytest.fixture(scope="session")
def shim() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as directory:
        yield build(Path(directory))


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()
