"""The kernel, really built once for the tests of the core, also by several workers."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def built_kernel(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """(library directory, how the build went). Whoever comes first builds; nobody changes it."""
    home = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        home = home.parent  # that of the run, not of the worker
    directory, story = home / "kernel", home / "kernel.json"
    with (home / "kernel.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not story.exists():
            done = subprocess.run(
                [sys.executable, "-m", "agent.core.kernel_build", str(directory)],
                cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
            )  # fmt: skip
            story.write_text(json.dumps([done.returncode, done.stdout, done.stderr]))
    return directory, subprocess.CompletedProcess(["kernel_build"], *json.loads(story.read_text()))
