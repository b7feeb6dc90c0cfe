"""PostgreSQL itself, in a directory of its own, on a Unix socket; never as root."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from itertools import count
from pathlib import Path
from typing import Any

import psycopg


def program(name: str) -> str:
    """Where a program of PostgreSQL is: Debian keeps them out of the path."""
    found = shutil.which(name)
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    assert found or places, "PostgreSQL is needed for the tests: apt-get install postgresql"
    return found or str(places[-1])


class PostgreSqlServer:
    """Started, stopped, killed and started again by the tests. With settings of its own it syncs
    what it writes, as in service."""

    def __init__(self, *settings: str) -> None:
        self._settings = settings or ("fsync=off", "shared_buffers=16MB")
        self.home = Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp"))
        self._user: dict[str, Any] = {}
        if os.getuid() == 0:  # it refuses to run as root
            shutil.chown(self.home, "nobody")
            self._user = {"user": "nobody", "extra_groups": []}
        self._process: subprocess.Popen[bytes] | None = None
        self._names = count()

    def start(self) -> None:
        data = self.home / "data"
        if not data.exists():
            self._run("initdb", "-D", str(data), "-A", "trust", "-U", "embergate", "--no-sync")
        settings = ("listen_addresses=", "max_connections=20", *self._settings)
        with (self.home / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [program("postgres"), "-D", str(data), "-k", str(self.home),
                 *(part for s in settings for part in ("-c", s))],
                stdout=log, stderr=log, cwd=self.home, **self._user,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.home / "log").read_text()
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            threading.Event().wait(0.02)

    def _run(self, *args: str) -> None:
        done = subprocess.run(
            [program(args[0]), *args[1:]], capture_output=True, text=True, check=False,
            cwd=self.home, **self._user,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=5).close()
        except psycopg.Error:
            return False
        return True

    @property
    def pid(self) -> int:
        assert self._process
        return self._process.pid

    def url(self, database: str) -> str:
        return f"postgresql://embergate@/{database}?host={self.home}"

    def database(self) -> str:
        """The address of a new, empty database."""
        name = f"receiver{next(self._names)}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"create database {name}")
        return self.url(name)

    def halt(self) -> None:
        """At once, as when the machine fails."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(20)
            self._process = None

    def stop(self) -> None:
        self.halt()
        shutil.rmtree(self.home, ignore_errors=True)
