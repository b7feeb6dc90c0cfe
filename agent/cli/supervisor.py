"""Child processes of a trial, each back within a moment of its death."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

from agent.cli.desk_words import say
from config.desk_limits import (
    NOTIFY_BYTES_MAX,
    SUPERVISE_READY_NS,
    SUPERVISE_RESTART_NS,
    SUPERVISE_STOP_NS,
)
from config.limits import S
from config.plan import Courier, section

EX_CONFIG = 78
_LOOK_S = 0.1


class Supervisor:
    """Child processes by name, each back within a moment of its death."""

    def __init__(
        self, tell: Callable[[str], None], output: IO[bytes] | None = None, lang: str = "en"
    ) -> None:
        self._commands: dict[str, list[str]] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._environ: dict[str, dict[str, str]] = {}  # by name, beside our own
        self._dead_since_ns: dict[str, int] = {}
        self._tell = tell
        self._lang = lang
        self._output = output
        self._lock = threading.Lock()

    def add(self, name: str, *args: str) -> None:
        """A process to keep running: `embergate ARGS`."""
        self._commands[name] = [sys.executable, "-m", "agent.cli.main", *args]
        self._start(name)

    def add_first(self, name: str, *args: str, stop: Callable[[], bool]) -> None:
        """As `add`, and wait until it says that it is ready, dies, is late or `stop` says so.

        The others then find what it serves: without that a trial begins with faults of its lines.
        """
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
            address = f"\0embergate-{os.getpid()}-{name}"
            listening.bind(address)
            listening.settimeout(_LOOK_S)
            self._environ[name] = {"NOTIFY_SOCKET": "@" + address[1:]}
            self.add(name, *args)
            end_ns = time.monotonic_ns() + SUPERVISE_READY_NS
            while self._children[name].poll() is None and time.monotonic_ns() < end_ns:
                with contextlib.suppress(TimeoutError):
                    if b"READY=1" in listening.recv(NOTIFY_BYTES_MAX):
                        return
                if stop():
                    return

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return self._children[name].pid

    def tend(self, now_ns: int) -> None:
        """Start again what died; called a few times a second."""
        with self._lock:
            for name, child in list(self._children.items()):
                status = child.poll()
                if status is None:
                    continue
                since = self._dead_since_ns.setdefault(name, now_ns)
                if since == now_ns:
                    self._tell(say("run.ended", self._lang, name=name, status=status))
                if status == EX_CONFIG or now_ns - since < SUPERVISE_RESTART_NS:
                    continue
                del self._dead_since_ns[name]
                self._start(name)

    def stop(self) -> None:
        """End every child: ask, wait, then insist."""
        with self._lock:
            for child in self._children.values():
                child.terminate()
            for child in self._children.values():
                try:
                    child.wait(SUPERVISE_STOP_NS / S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _start(self, name: str) -> None:
        self._children[name] = subprocess.Popen(
            self._commands[name],
            env={**os.environ, **self._environ.get(name, {})},
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )


def start_gateway(supervisor: Supervisor, plan: Path, state_dir: Path, run_dir: Path) -> None:
    """The processes of one gateway: field first, since it waits for nobody."""
    files = ("--plan", str(plan), "--run", str(run_dir))
    supervisor.add("field", "field", *files)
    supervisor.add(
        "record", "record", *files, "--state", str(state_dir), "--keys", str(state_dir / "keys")
    )
    couriers: tuple[Courier, ...] = section(plan.read_bytes(), "couriers")
    for courier in couriers:
        supervisor.add(f"courier {courier.name}", "courier", courier.name, *files)
