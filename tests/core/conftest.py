"""The kernel, really built once for the tests of the core, with a compiler and without one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def begin(directory: Path, environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "agent.core.kernel_build", str(directory)],
        cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(build: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = build.communicate(timeout=100)
    return subprocess.CompletedProcess(build.args, build.returncode, out, err)


@pytest.fixture(scope="session")
def builds() -> Iterator[dict[str, tuple[Path, subprocess.Popen[str]]]]:
    """Both builds, begun together: each keeps one core busy for as long as the other."""
    bare = {k: v for k, v in os.environ.items() if k not in ("CC", "CXX", "LDSHARED")}
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="kern") as text:
        home = Path(text)
        (home / "bin").mkdir()
        begun = {
            "usual": (home / "usual", begin(home / "usual", os.environ)),
            "bare": (home / "bare", begin(home / "bare", {**bare, "PATH": str(home / "bin")})),
        }
        try:
            yield begun
        finally:
            for _, build in begun.values():
                build.kill()
                build.communicate()


@pytest.fixture(scope="session")
def built_kernel(
    builds: dict[str, tuple[Path, subprocess.Popen[str]]],
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """(library directory, how the build went)."""
    directory, build = builds["usual"]
    return directory, ended(build)


@pytest.fixture(scope="session")
def built_without_compiler(
    builds: dict[str, tuple[Path, subprocess.Popen[str]]],
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """The same where no C compiler can be found."""
    directory, build = builds["bare"]
    return directory, ended(build)
