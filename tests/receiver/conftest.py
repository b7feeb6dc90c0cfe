"""The brokers and peers of the courier's tests serve here too."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "courier"))

from collections.abc import Iterator

import pytest
from databases import PostgreSqlServer


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSqlServer]:
    """A real PostgreSQL on a Unix socket, for as long as the tests run."""
    server = PostgreSqlServer()
    try:
        server.start()
        yield server
    finally:
        server.stop()
