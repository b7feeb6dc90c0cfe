"""The record as a process: files, signals, the service manager."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import signal
import sqlite3
from pathlib import Path

from agent.clock import SystemClock
from agent.ipc import IpcError, Server, system_policy
from agent.lock import Held, hold
from agent.notify import Notifier
from agent.record.door import Door
from agent.record.keys import KeyProblem, load_commander, load_platform, load_signer
from agent.record.plan_table import Site
from agent.record.service import Service
from agent.record.settings import Settings

EX_CONFIG = 78
LOG = logging.getLogger("embergate.record")
_SQLITE_FIXED = (3, 51, 3)


def run(site: Site, state: Path, run_dir: Path, keys: Path) -> int:
    """Run until told to stop. Returns the exit status: 78 when there is no good key."""
    try:
        settings = _settings(site, state, run_dir, keys)
    except KeyProblem as e:
        LOG.error("%s", e)
        return EX_CONFIG
    try:
        # Two writers of one journal would fork its chains; two on one socket, hide each other.
        locks = [hold(path, "record process") for path in _lock_files(settings)]
    except Held as e:
        LOG.error("%s", e)
        return 1
    if sqlite3.sqlite_version_info < _SQLITE_FIXED:
        LOG.info(
            "SQLite %s has the WAL-reset defect; one connection a file keeps clear of it",
            sqlite3.sqlite_version,
        )
    try:
        return asyncio.run(_run(settings))
    except (IpcError, OSError) as e:
        LOG.error("%s", e)
        return 1
    finally:
        for fd in locks:
            if fd is not None:
                os.close(fd)


def _lock_files(settings: Settings) -> tuple[Path, Path]:
    return settings.directory / "record.lock", settings.run_dir / "record.lock"


def _settings(site: Site, state: Path, run_dir: Path, keys: Path) -> Settings:
    directory = state / "record"
    with contextlib.suppress(OSError):  # a disk that cannot be written is a fault, not the end
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return Settings(
        site=site,
        signer=load_signer(keys),
        platform=load_platform(keys),
        commander=load_commander(keys),
        directory=directory,
        run_dir=run_dir,
        clock=SystemClock(),
        chance=secrets.token_bytes,
    )


async def listen(service: Service) -> Server:
    """Serve the socket at once, and the record as soon as its disk lets it."""
    door = Door()
    server = Server(service.settings.run_dir / "record.sock", door.verbs(), system_policy())
    await server.start()
    try:
        await service.start(door.hurry)
    except BaseException:
        await server.stop()
        raise
    server.verbs = service.verbs()
    door.open(server.verbs)
    return server


async def _run(settings: Settings) -> int:
    service = Service(settings)
    server = await listen(service)
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    notifier = Notifier()
    notifier.ready(f"sealing for {settings.site.gateway}")
    work = [loop.create_task(service.run()), loop.create_task(_beat(notifier))]
    waits = [loop.create_task(stop.wait()), loop.create_task(service.ended.wait())]
    done, _ = await asyncio.wait([*work, *waits], return_when=asyncio.FIRST_COMPLETED)
    notifier.stopping()
    for task in (*work, *waits):
        task.cancel()
    await asyncio.gather(*work, *waits, return_exceptions=True)
    await server.stop()
    for task in done:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error
    await service.stop()
    if service.ended.is_set():
        LOG.error("%s", service.why)
        return 1
    return 0


async def _beat(notifier: Notifier) -> None:
    """The loop is alive. A disk that hangs is a fault and never a restart."""
    while True:
        notifier.watchdog()
        await asyncio.sleep(1)
