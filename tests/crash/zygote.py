"""Starts records fast: everything is imported once, and each record is a fork of that.

Reads one JSON line a record: {argv, log, disk: [directory, page, log]}; answers {pid}, and later
{pid, status}. What runs in the fork is `agent.record.main`, as `embergate record` runs it.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import select
import sys
from typing import Any

import agent.record.main
import agent.record.plan_table
import agent.record.process
import config.plan  # noqa: F401 -- part of what is imported once


def _say(message: dict[str, Any]) -> None:
    os.write(1, json.dumps(message).encode() + b"\n")


def _reap() -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        _say({"pid": pid, "status": os.waitstatus_to_exitcode(status)})


def _live(order: dict[str, Any]) -> None:
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    status = 70
    try:
        if order["disk"]:
            shim = ctypes.CDLL(None)
            assert shim.disk_begin(*(part.encode() for part in order["disk"])) == 0
        status = agent.record.main.main(order["argv"])
    except BaseException:  # noqa: BLE001 -- it ends in the line below, whatever it is
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    """Until the input ends."""
    gc.freeze()
    waiting = b""
    while True:
        _reap()
        if not select.select([0], [], [], 0.01)[0]:
            continue
        data = os.read(0, 65_536)
        if not data:
            return
        *lines, waiting = (waiting + data).split(b"\n")
        for line in lines:
            pid = os.fork()
            if pid == 0:
                _live(json.loads(line))
            _say({"pid": pid})


if __name__ == "__main__":
    main()
