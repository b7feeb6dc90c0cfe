"""`embergate record`: the signed record. The only process with the device's key and the disk."""

from __future__ import annotations

import argparse
import ctypes
import importlib
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agent.journal import log_to_journal
from config.limits import RECORD_KEEP_BYTES

EX_CONFIG = 78
LOG = logging.getLogger("embergate.record")

_UNUSED = ("ssl", "_hashlib")
"""OpenSSL as the standard library loads it. The record speaks no TLS and hashes with SHA-256 of
its own; the signatures bring an OpenSSL of their own. Five megabytes on a machine that has few."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h


def main(argv: Sequence[str]) -> int:
    """Run until told to stop. Returns the exit status: 78 when there is no good plan or key."""
    parser = argparse.ArgumentParser(prog="embergate record", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, help="the compiled plan")
    parser.add_argument("--state", type=Path, required=True, help="directory that is kept")
    parser.add_argument("--run", type=Path, required=True, help="directory of the sockets")
    parser.add_argument("--keys", type=Path, required=True, help="directory of the keys")
    args = parser.parse_args(argv)
    log_to_journal()
    _stay_small()
    plan = importlib.import_module("config.plan")
    try:
        site = importlib.import_module("agent.record.plan_table").read_site(args.plan)
    except plan.PlanError as e:
        LOG.error("%s", e, extra={"source": "plan"})
        return EX_CONFIG
    process = importlib.import_module("agent.record.process")
    status: int = process.run(site, args.state, args.run, args.keys)
    return status


def _stay_small() -> None:
    modules: dict[str, Any] = sys.modules
    for name in _UNUSED:
        if name not in modules:
            modules[name] = None  # import refuses it
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # another C library has none
    if mallopt is not None:
        # What one batch needs goes back to the system when it is sealed, and the threads, which
        # mostly wait for a disk, share one heap.
        mallopt(_MMAP_THRESHOLD, RECORD_KEEP_BYTES)
        mallopt(_TRIM_THRESHOLD, RECORD_KEEP_BYTES)
        mallopt(_ARENA_MAX, 1)
