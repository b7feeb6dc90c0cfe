"""The kernel, really built once for the tests of the core."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built_kernel() -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    """(library directory, how the build went)."""
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kern") as directory:
        done = subprocess.run(
            [sys.executable, "-m", "agent.core.kernel_build", directory],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        yield Path(directory), done
