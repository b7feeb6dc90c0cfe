"""Which form of the kernel runs. The only module of the running gateway that knows numba.

Order: compiled ahead at installation → cached JIT → the plain Python twin with a fault. The
running process never compiles: a build whose digest is not that of the present source is never
looked at, and the JIT is used only when its cache really holds the one overload there is. On the
first path numba is not even imported (34 MB instead of 163 MB, and it works where memory must not
become executable).

The digest covers the kernel's source, its signature and Python's ABI, not the version of numba: a
compiled extension does not need numba any more.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib
import importlib.machinery
import importlib.util
import mmap
import platform
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from agent.core import calm, kernels, rows, step

FORMAT = "1"  # of what is in the library directory
PATHS = ("aot", "cached-jit", "python")
_AVX2 = frozenset(
    {"avx", "avx2", "bmi1", "bmi2", "fma", "f16c", "movbe", "abm", "rdrand", "fsgsbase"}
)
_REMEDY = "run 'python -m agent.core.kernel_build' in the gateway's environment"


@dataclass(frozen=True, slots=True)
class Loaded:
    """A kernel to call, which path it came by, and what is wrong when it is the slow one."""

    kernel: Callable[..., int]
    path: str  # one of PATHS
    fault_text: str | None = None


def library_dir() -> Path:
    """Where the installation keeps what it compiled."""
    return Path(sys.prefix) / "lib" / "embergate"


def digest() -> str:
    """Of everything a compiled kernel depends on."""
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    h = hashlib.sha256()
    for module in (kernels, calm, step):
        h.update(Path(str(module.__file__)).read_bytes())
    h.update("\0".join((FORMAT, kernels.SIGNATURE, suffix, target_cpu())).encode())
    return h.hexdigest()[:16]


@lru_cache(maxsize=1)
def target_cpu() -> str:
    """LLVM's name of what is compiled for; part of the digest, so a card may change machines.

    An x86 with AVX2 saves a tenth of the time. Nothing newer: a virtual machine may be given a
    processor's name without all that it can do, and an instruction that is not there ends us.
    """
    try:
        flags = Path("/proc/cpuinfo").read_text().partition("flags")[2].partition("\n")[0].split()
    except OSError:
        return ""
    return "haswell" if platform.machine() == "x86_64" and _AVX2.issubset(flags) else ""


def module_name() -> str:
    """Of the extension compiled ahead from the present source."""
    return f"embergate_kernel_{digest()}"


def module_path(directory: Path) -> Path:
    """Where that extension is."""
    return directory / (module_name() + importlib.machinery.EXTENSION_SUFFIXES[0])


def cache_path(directory: Path) -> Path:
    """Where the JIT cache of the present source is."""
    return directory / f"embergate_jit_{digest()}"


def load_kernel(directory: Path | None = None, *, only: str | None = None) -> Loaded:
    """The best kernel there is. Never raises for what an installation can lack; never compiles.

    only: try this path alone (benchmarks and tests); when it is not to be had, the twin runs and
    the fault says why.
    """
    assert only is None or only in PATHS
    directory = library_dir() if directory is None else directory
    reasons: list[str] = []
    ways: tuple[tuple[str, Callable[[Path], Callable[..., int]]], ...] = (
        ("aot", _load_ahead),
        ("cached-jit", _load_cached),
    )
    for path, load in ways:
        if only not in (None, path):
            continue
        try:
            kernel = load(directory)
            _prove(kernel)
        except _UnusableError as e:
            reasons.append(f"{path}: {e}")
        else:
            return Loaded(kernel, path)
    if only == "python":
        reasons.append("the slow kernel was asked for")
    text = f"detection runs uncompiled, about 500 times slower ({'; '.join(reasons)}); {_REMEDY}"
    return Loaded(step.step, "python", text)


class _UnusableError(Exception):
    """This form of the kernel is not to be had. The text says why."""


def _load_ahead(directory: Path) -> Callable[..., int]:
    path = module_path(directory)
    if not path.is_file():
        raise _UnusableError(f"{path} is not there")
    name = module_name()
    try:
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        kernel: Callable[..., int] = module.step
    except Exception as e:
        raise _UnusableError(f"{path}: {type(e).__name__}: {e}") from e
    return kernel


def _load_cached(directory: Path) -> Callable[..., int]:
    path = cache_path(directory)
    if not path.is_dir():
        raise _UnusableError(f"{path} is not there")
    if not may_execute_written_memory():
        # LLVM ends the process when it cannot make its code executable, so ask beforehand.
        raise _UnusableError("this process may not make written memory executable")
    try:
        dispatcher, arguments = dispatcher_with_cache(path)
        context = dispatcher.targetctx
        found = dispatcher._cache.load_overload(arguments, context)
        if found is not None:
            context.insert_user_function(found.entry_point, found.fndesc, [found.library])
            dispatcher.add_overload(found)
            dispatcher.disable_compile()
    except Exception as e:
        raise _UnusableError(f"{type(e).__name__}: {e}") from e
    if found is None:
        raise _UnusableError(f"{path} does not hold the kernel for this machine and numba")
    kernel: Callable[..., int] = dispatcher
    return kernel


def dispatcher_with_cache(path: Path) -> tuple[Any, tuple[Any, ...]]:
    """numba's dispatcher of the kernel, its cache at `path`, and the argument types.

    numba's own locators want to write where they read and go by the time of the source file;
    ours reads a directory that may be read-only and goes by the digest in its name.
    """
    # 60 MB that the path compiled ahead must not load; it ships no types.
    numba: Any = importlib.import_module("numba")
    caching: Any = importlib.import_module("numba.core.caching")
    sigutils: Any = importlib.import_module("numba.core.sigutils")

    class Locator(caching._CacheLocator):  # type: ignore[misc]  # -- untyped base
        def get_cache_path(self) -> str:
            return str(path)

        def get_source_stamp(self) -> str:
            return path.name

        def get_disambiguator(self) -> str:
            return ""

        @classmethod
        def from_function(cls, _py_func: Any, _py_file: Any) -> Any:
            return cls()

    class Impl(caching.CompileResultCacheImpl):  # type: ignore[misc]  # -- untyped base
        _locator_classes = (Locator,)

    class Cache(caching.FunctionCache):  # type: ignore[misc]  # -- untyped base
        _impl_class = Impl

    source = linked()
    dispatcher = numba.njit(source)
    dispatcher._cache = Cache(source)
    arguments, _ = sigutils.normalize_signature(kernels.SIGNATURE)
    return dispatcher, tuple(arguments)


def linked() -> Callable[..., int]:
    """The kernel with a first pass that numba can compile: it calls no plain functions."""
    numba: Any = importlib.import_module("numba")
    plain: Any = step.step
    names = {**plain.__globals__, "calm": numba.njit(calm.calm)}
    return types.FunctionType(plain.__code__, names, plain.__name__)


def may_execute_written_memory() -> bool:
    """Whether this process may make memory executable that it wrote (MemoryDenyWriteExecute)."""
    page = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    window = ctypes.c_char.from_buffer(page)
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mprotect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    read_execute = 0x1 | 0x4
    allowed: bool = libc.mprotect(ctypes.addressof(window), mmap.PAGESIZE, read_execute) == 0
    if allowed:
        libc.mprotect(ctypes.addressof(window), mmap.PAGESIZE, mmap.PROT_READ | mmap.PROT_WRITE)
    del window
    page.close()
    return allowed


def _prove(kernel: Callable[..., int]) -> None:
    """Two samples above the fire level must be a fire before this form is trusted with more."""
    words = np.zeros((1, kernels.WORDS), np.uint32)
    words[0, kernels.MODE] = 1
    stamps = np.full((1, kernels.STAMPS), kernels.NEVER, np.int64)
    state = np.zeros((1, kernels.STATES))
    given = np.full((1, kernels.PARAM_COLUMNS), np.nan)
    given[0, kernels.FIRE_LEVEL] = 57.0
    params = rows.prepare(given)
    index, quality = np.zeros(1, np.int32), np.zeros(1, np.uint8)
    changed = np.zeros(1, np.int32)
    try:
        counts = [
            kernel(index, np.array([60.0]), quality, at, words, stamps, state, params, changed)
            for at in (1, 2)
        ]
    except Exception as e:
        raise _UnusableError(f"fails its self-test: {type(e).__name__}: {e}") from e
    if counts != [0, 1] or words[0, kernels.BITS] & kernels.REPORT != kernels.FIRE | kernels.READY:
        raise _UnusableError("fails its self-test: two samples above the level were no fire")
