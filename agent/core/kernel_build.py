"""Compile the kernel at installation: `python -m agent.core.kernel_build [DIRECTORY]`.

Builds the extension compiled ahead and fills the JIT cache, both under a name that carries the
digest of the source; what other digests left behind is removed. Exit code 0 when a compiled kernel
is there in at least one form (what failed is said on standard error), 1 when there is none.
"""

from __future__ import annotations

import importlib
import shutil
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

from agent.core import kernels, step
from agent.core.kernel_loader import (
    cache_path,
    dispatcher_with_cache,
    library_dir,
    linked,
    module_name,
    module_path,
    target_cpu,
)


class BuildError(Exception):
    """One form could not be built. The text says why and what to do."""


def build_ahead(directory: Path) -> Path:
    """Compile the extension into `directory`, whole or not at all. Raises BuildError."""
    target = module_path(directory)
    try:
        with tempfile.TemporaryDirectory(dir=directory, prefix="build-") as work:
            built = _compile(Path(work))
            built.replace(target)
    except Exception as e:
        raise BuildError(
            f"the kernel could not be compiled ahead: {type(e).__name__}: {e}\n"
            "expected a C and C++ compiler and Python's headers; on Debian and Raspberry Pi OS: "
            "apt install g++ python3-dev"
        ) from e
    return target


def _compile(work: Path) -> Path:
    with warnings.catch_warnings():
        # numba's builder is pending deprecation without a replacement; numba is locked.
        warnings.simplefilter("ignore")
        pycc: Any = importlib.import_module("numba.pycc")
        compiler = pycc.CC(module_name(), source_module=step)
        compiler.output_dir = str(work)
        compiler.target_cpu = target_cpu() or None
        compiler.export("step", kernels.SIGNATURE)(linked())
        default, tempfile.tempdir = tempfile.tempdir, str(work)  # the builder leaves files behind
        try:
            compiler.compile()
        finally:
            tempfile.tempdir = default
    return work / str(compiler.output_file)


def fill_cache(directory: Path) -> Path:
    """Compile the JIT form into its cache, unless it is there. Raises BuildError."""
    path = cache_path(directory)
    try:
        path.mkdir(exist_ok=True)
        dispatcher, arguments = dispatcher_with_cache(path)
        dispatcher.compile(arguments)
    except Exception as e:
        raise BuildError(f"the JIT cache could not be filled: {type(e).__name__}: {e}") from e
    return path


def remove_stale(directory: Path) -> None:
    """Remove what was built from another source."""
    keep = {module_path(directory), cache_path(directory)}
    for path in directory.glob("embergate_*"):
        if path in keep:
            continue
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


def main(arguments: list[str]) -> int:
    """Build both forms; see the module's text for the exit code."""
    directory = Path(arguments[0]) if arguments else library_dir()
    try:
        directory.mkdir(parents=True, exist_ok=True)
        remove_stale(directory)
    except OSError as e:
        sys.stderr.write(f"{directory}: {e.strerror}; expected a directory that can be written\n")
        return 1
    built = 0
    for name, build in (("compiled ahead", build_ahead), ("cached JIT", fill_cache)):
        try:
            path = build(directory)
        except BuildError as e:
            sys.stderr.write(f"{e}\n")
        else:
            built += 1
            sys.stdout.write(f"kernel, {name}: {path}\n")
    return 0 if built else 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
