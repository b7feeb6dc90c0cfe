"""Every way to a kernel, each in a process of its own: imports and rights are per process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from agent.core import kernel_loader
from agent.core.kernel_build import remove_stale

ROOT = Path(__file__).parents[2]
Built = tuple[Path, subprocess.CompletedProcess[str]]

PROBE = """
import ctypes, json, sys
how, directory, only = sys.argv[1:4]
if how == "no-numba":
    sys.modules["numba"] = None
if how == "mdwe":  # prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN), as MemoryDenyWriteExecute sets
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(65, 1, 0, 0, 0) != 0:  # kernels before 6.3: a filter by hand
        how = "mdwe-unsupported"
from pathlib import Path
from agent.core.kernel_loader import load_kernel
loaded = load_kernel(Path(directory), only=only or None)
compiled = 0
if loaded.path == "cached-jit":
    compiled = sum(loaded.kernel.stats.cache_misses.values())
print(json.dumps({"how": how, "path": loaded.path, "fault": loaded.fault_text,
                  "numba": sys.modules.get("numba") is not None, "compiled": compiled}))
"""


def probe(directory: Path, how: str = "", only: str = "") -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", PROBE, how, str(directory), only],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    found: dict[str, object] = json.loads(done.stdout)
    return found


def test_the_build_says_what_it_made_and_nothing_else(built_kernel: Built) -> None:
    directory, done = built_kernel
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        f"kernel, compiled ahead: {kernel_loader.module_path(directory)}",
        f"kernel, cached JIT: {kernel_loader.cache_path(directory)}",
    ]
    assert sorted(directory.iterdir()) == sorted(
        [kernel_loader.module_path(directory), kernel_loader.cache_path(directory)]
    )


def test_compiled_ahead_comes_first_and_never_imports_numba(built_kernel: Built) -> None:
    found = probe(built_kernel[0])
    assert (found["path"], found["fault"], found["numba"]) == ("aot", None, False)


def test_without_numba_the_one_compiled_ahead_still_works(built_kernel: Built) -> None:
    assert probe(built_kernel[0], "no-numba")["path"] == "aot"


@pytest.fixture
def cache_only(built_kernel: Built, tmp_path: Path) -> Path:
    cache = kernel_loader.cache_path(built_kernel[0])
    shutil.copytree(cache, tmp_path / cache.name)
    return tmp_path


def test_the_cache_comes_second_and_compiles_nothing(cache_only: Path) -> None:
    found = probe(cache_only)
    assert (found["path"], found["fault"], found["compiled"]) == ("cached-jit", None, 0)


def test_a_cache_that_cannot_be_written_is_good_enough(cache_only: Path) -> None:
    cache = kernel_loader.cache_path(cache_only)
    before = {p: p.stat().st_mtime_ns for p in cache.iterdir()}
    cache.chmod(0o500)
    try:
        assert probe(cache_only)["path"] == "cached-jit"
    finally:
        cache.chmod(0o700)
    assert {p: p.stat().st_mtime_ns for p in cache.iterdir()} == before


def test_memory_deny_write_execute_allows_only_the_one_compiled_ahead(
    built_kernel: Built, cache_only: Path
) -> None:
    found = probe(built_kernel[0], "mdwe")
    assert found["path"] == "aot"
    without = probe(cache_only, "mdwe")
    if without["how"] == "mdwe":
        assert without["path"] == "python"
        assert "may not make written memory executable" in str(without["fault"])
        assert not without["numba"]
    else:  # the machine's kernel has no such prctl: the cache is then simply used
        assert without["path"] == "cached-jit"


def test_with_nothing_built_the_twin_runs_with_a_fault_that_says_what_to_do(
    tmp_path: Path,
) -> None:
    found = probe(tmp_path)
    assert found["path"] == "python"
    assert "not there" in str(found["fault"])
    assert "python -m agent.core.kernel_build" in str(found["fault"])
    assert not found["numba"]


def test_without_numba_and_without_the_extension_the_twin_runs(cache_only: Path) -> None:
    found = probe(cache_only, "no-numba")
    assert found["path"] == "python"
    assert "numba" in str(found["fault"])


@pytest.mark.parametrize("content", [b"", b"not an object file" * 1000])
def test_a_damaged_extension_is_passed_over(cache_only: Path, content: bytes) -> None:
    kernel_loader.module_path(cache_only).write_bytes(content)
    assert probe(cache_only)["path"] == "cached-jit"


@pytest.mark.parametrize("pattern", ["*.nbi", "*.nbc"])
def test_a_damaged_cache_is_passed_over_and_nothing_is_compiled(
    cache_only: Path, pattern: str
) -> None:
    for path in kernel_loader.cache_path(cache_only).glob(pattern):
        path.write_bytes(b"garbage")
    found = probe(cache_only)
    assert found["path"] == "python"
    assert "cached-jit" in str(found["fault"])


def test_an_empty_cache_is_not_filled_by_the_running_process(cache_only: Path) -> None:
    cache = kernel_loader.cache_path(cache_only)
    for path in cache.iterdir():
        path.unlink()
    found = probe(cache_only)
    assert found["path"] == "python"
    assert "does not hold the kernel" in str(found["fault"])
    assert list(cache.iterdir()) == []


def test_a_build_of_another_source_is_never_loaded(built_kernel: Built, tmp_path: Path) -> None:
    directory, _ = built_kernel
    for path in directory.iterdir():
        stale = tmp_path / path.name.replace(kernel_loader.digest(), "0123456789abcdef")
        shutil.copytree(path, stale) if path.is_dir() else shutil.copy(path, stale)
    assert probe(tmp_path)["path"] == "python"
    remove_stale(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_only_restricts_the_search(built_kernel: Built) -> None:
    assert probe(built_kernel[0], only="cached-jit")["path"] == "cached-jit"
    found = probe(built_kernel[0], only="python")
    assert found["path"] == "python"
    assert "asked for" in str(found["fault"])


def test_without_a_c_compiler_the_build_says_so_and_fills_the_cache(tmp_path: Path) -> None:
    empty = tmp_path / "bin"
    empty.mkdir()
    target = tmp_path / "lib"
    environment = {k: v for k, v in os.environ.items() if k not in ("CC", "CXX", "LDSHARED")}
    done = subprocess.run(
        [sys.executable, "-m", "agent.core.kernel_build", str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**environment, "PATH": str(empty)},
    )
    assert done.returncode == 0
    assert "could not be compiled ahead" in done.stderr
    assert "apt install g++" in done.stderr
    assert "Traceback" not in done.stderr
    assert not kernel_loader.module_path(target).exists()
    assert [p.name for p in target.iterdir()] == [kernel_loader.cache_path(target).name]
    assert probe(target)["path"] == "cached-jit"


def test_a_directory_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "agent.core.kernel_build", str(tmp_path / "file" / "lib")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "expected a directory that can be written" in done.stderr
    assert "Traceback" not in done.stderr
