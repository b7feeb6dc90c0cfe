"""The ring and the two files behind it, as the loop sees them: nothing here ever waits for a disk.

What is sealed is added; when a file is idle everything that waits for it is one transaction. A
disk that fails, hangs or is full is a fault and a retry; the ring keeps what waits, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from agent.record.recovery import Opening, marker_of, open_store
from agent.record.reserve import Reserve, free_bytes
from agent.record.ring import Db, Entry, Ring, db_of
from agent.record.sealer import EpochPlace
from agent.record.soundness import Judge
from agent.record.store import Store
from agent.record.survey import Damaged, Survey, is_damage
from agent.record.wear import Wear
from agent.record.worker import Worker
from config.limits import (
    DISK_HUNG_NS,
    DISK_OPEN_HURRY_NS,
    DISK_OPEN_WAIT_NS,
    DISK_RETRY_NS,
    RESERVE_LOOK_NS,
    SCRUB_NS,
    SCRUB_ROWS,
    S,
)
from config.words import Lane

_SQLITE_FULL = 13


class Hearer(Protocol):
    """Who is told what becomes of the disk."""

    def made_durable(self, entries: Sequence[Entry]) -> None:
        """These batches are on disk."""

    def disk(self, text: str) -> None:
        """What is wrong with the disk; "" when nothing is."""

    def restart(self, why: str) -> None:
        """The process has to end and start anew: numbers on disk are not those it works with."""


class StoreBusy(Exception):  # noqa: N818 -- an answer: ask later
    """The disk does not answer now."""


async def _in_time(tasks: Collection[asyncio.Future[Any]], hurry: asyncio.Event | None) -> None:
    """Wait for all of them, as long as there is time."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    every = asyncio.ensure_future(asyncio.wait(tasks))
    called = asyncio.ensure_future((hurry or asyncio.Event()).wait())
    try:
        await asyncio.wait(
            (every, called), timeout=DISK_OPEN_WAIT_NS / S, return_when=asyncio.FIRST_COMPLETED
        )
        if called.done():
            left_s = began_s + DISK_OPEN_HURRY_NS / S - loop.time()
            await asyncio.wait((every,), timeout=max(0.0, left_s))
    finally:
        every.cancel()
        called.cancel()


class _File:
    """One file with its thread."""

    def __init__(self, db: Db, worker: Worker[Store]) -> None:
        self.db = db
        self.worker = worker
        self.opening: Opening | None = None
        self.open = False
        self.busy = False
        self.reopen = False
        self.retry_ns = 0
        self.error = ""
        self.epochs: tuple[EpochPlace, ...] = ()
        self.scrubbed = 0  # up to which row the file was read again


class Journal:
    """Adds, commits, retries, reads."""

    def __init__(
        self,
        directory: Path,
        mono_ns: Callable[[], int],
        hearer: Hearer,
        make_store: Callable[[Path], Store] = Store,
        free: Callable[[Path], int] = free_bytes,
        judge: Judge | None = None,
    ) -> None:
        self.ring = Ring()
        self._mono_ns = mono_ns
        self._hearer = hearer
        self._told = ""
        self._reserve = Reserve(directory / "reserve", free)
        self._reserve_out = False  # events live on it, telemetry waits
        self._epoch_stored = False
        self._reserve_ns = 0
        self._scrub_ns = mono_ns() + SCRUB_NS
        self._wear = Wear(mono_ns())
        self._files: dict[Db, _File] = {}
        for db in Db:
            store = make_store(directory / f"{db}.db")
            store.judge = judge or store.judge
            self._files[db] = _File(db, Worker(f"{db}.db", store, mono_ns))

    # --- opening and ending -----------------------------------------------------------------

    async def open(self, hurry: asyncio.Event | None = None) -> dict[Db, Opening]:
        """Open both files. One that does not answer in time counts as not readable.

        hurry: set when a fire waits; then it is little time.
        """
        tasks = {
            db: asyncio.ensure_future(f.worker.ask(self._opener(db)))
            for db, f in self._files.items()
        }
        await _in_time(tasks.values(), hurry)
        out: dict[Db, Opening] = {}
        for db, task in tasks.items():
            file = self._files[db]
            if task.done():
                opening: Opening = task.result()
            else:
                text = f"{db}.db does not open: the disk does not answer"
                opening = Opening(Survey(), error=text, readable=False)
                file.busy = True
                task.add_done_callback(partial(self._opened_late, file))
            file.opening = opening
            file.open = not opening.error
            file.error = opening.error
            file.retry_ns = 0 if file.open else self._mono_ns() + DISK_RETRY_NS
            out[db] = opening
        return out

    def _opener(self, db: Db) -> Callable[[Store], Opening]:
        """Opens a file; the events' also on a disk that was full before we came."""

        def job(store: Store) -> Opening:
            opening = open_store(store)
            if opening.error and db is Db.EVENTS and self._reserve.low():
                self._reserve.release()
                opening = open_store(store)
            return opening

        return job

    def begin(self, epochs: Sequence[EpochPlace]) -> None:
        """Have both files know these epochs, with their next transaction."""
        for file in self._files.values():
            file.epochs = tuple(epochs)

    def stop(self, wait_s: float) -> bool:
        """Close the files after what is queued; False when a disk did not answer in time."""
        clean = True
        for file in self._files.values():
            file.worker.submit(lambda store: store.close(), lambda _result, _error: None)
            clean &= file.worker.stop(wait_s)
        return clean

    def _opened_late(self, file: _File, task: asyncio.Future[Any]) -> None:
        file.busy = False
        if not task.cancelled() and task.exception() is None:
            self._reopened(file, task.result(), None)

    # --- writing ----------------------------------------------------------------------------

    def add(self, entries: Sequence[Entry]) -> None:
        """Batches just sealed; they are on their way to the disk when this returns."""
        for entry in entries:
            self.ring.add(entry)
        for db in {db_of(entry.sealed.number.lane) for entry in entries}:
            self._pump(self._files[db])

    def tick(self) -> None:
        """Retry what failed, and say what hangs. Called several times a second."""
        for file in self._files.values():
            if not file.open and not file.busy and self._mono_ns() >= file.retry_ns:
                self._open_again(file)
            self._pump(file)
        events = self._files[Db.EVENTS]
        if events.open and not events.busy and self._mono_ns() >= self._reserve_ns:
            self._reserve_ns = self._mono_ns() + RESERVE_LOOK_NS
            events.worker.submit(lambda _store: self._reserve.make(), self._reserve_made)
        self._wear.look(self._mono_ns())
        if self._mono_ns() >= self._scrub_ns:
            self._scrub_ns = self._mono_ns() + SCRUB_NS
            for file in self._files.values():
                self._scrub(file)
        self._tell()

    def _scrub(self, file: _File) -> None:
        """Read some rows again, so that bit rot is met before somebody needs them."""

        def done(last: int | None, error: Exception | None) -> None:
            if last is not None:
                file.scrubbed = last
            elif error is not None and is_damage(error):
                self._failed(file, error)

        if file.open and not file.busy:
            after = file.scrubbed
            file.worker.submit(lambda store: store.scrub(after, SCRUB_ROWS), done)

    def _reserve_made(self, made: bool | None, error: Exception | None) -> None:
        if error is not None:
            raise error
        self._reserve_out = not made
        self._tell()
        self._pump(self._files[Db.TELEMETRY])

    def _use_reserve(self, file: _File, *, full: bool) -> None:
        """The events' disk is full, or perhaps full for us: delete the file that held room for
        them, and go on."""

        def job(_store: Store) -> bool:
            out = full or self._reserve.low()
            if out:
                self._reserve.release()
            return out

        def released(out: bool | None, error: Exception | None) -> None:
            file.busy = False
            if error is not None:
                raise error
            if out:
                self._reserve_out = True
                self._reserve_ns = self._mono_ns() + RESERVE_LOOK_NS
                file.retry_ns = 0
            self._pump(file)

        file.busy = file.worker.submit(job, released)

    def _pump(self, file: _File) -> None:
        if file.busy or not file.open or self._mono_ns() < file.retry_ns:
            return
        if file.db is Db.TELEMETRY and (self._reserve_out or not self._epoch_stored):
            return  # what is left is for events; and nothing is verified without its epoch
        group = self.ring.commit_group(file.db)
        if not group:
            return
        epochs, reopen = file.epochs, file.reopen

        def job(store: Store) -> None:
            if reopen:
                store.open(check=False)
            store.append(group, epochs)

        file.busy = file.worker.submit(job, lambda _, error: self._committed(file, group, error))

    def _committed(self, file: _File, group: list[Entry], error: Exception | None) -> None:
        file.busy = False
        if error is None:
            file.error, file.reopen, file.epochs = "", False, ()
            self.ring.made_durable(group)
            self._hearer.made_durable(group)
            if any(entry.sealed.number.lane == Lane.EPOCH for entry in group):
                self._epoch_stored = True
                self._pump(self._files[Db.TELEMETRY])
            self._tell()
            self._pump(file)
            return
        if not isinstance(error, sqlite3.Error | OSError) and not is_damage(error):
            raise error
        self._failed(file, error)

    def _failed(self, file: _File, error: Exception) -> None:
        file.error = f"{file.db}.db: {error}"
        file.retry_ns = self._mono_ns() + DISK_RETRY_NS
        full = getattr(error, "sqlite_errorcode", 0) == _SQLITE_FULL
        damage = is_damage(error)
        file.reopen = not full
        if file.db is Db.EVENTS and not self._reserve_out and not damage:
            self._use_reserve(file, full=full)
        self._tell()
        if damage:
            file.busy = True  # nothing more goes into this file
            why = f"{file.error}: the file is damaged and will be set aside"
            marked = file.worker.submit(
                lambda store: marker_of(store.path).touch(),
                lambda _result, _error: self._hearer.restart(why),
            )
            if not marked:
                self._hearer.restart(why)

    def _open_again(self, file: _File) -> None:
        file.retry_ns = self._mono_ns() + DISK_RETRY_NS
        file.busy = file.worker.submit(
            self._opener(file.db), lambda opening, error: self._reopened(file, opening, error)
        )

    def _reopened(self, file: _File, opening: Opening | None, error: Exception | None) -> None:
        file.busy = False
        if opening is None:
            file.error = f"{file.db}.db: {error}"
            return
        if opening.error:
            file.error = opening.error
            return
        before = file.opening
        if before is None or not before.readable or opening.survey != before.survey:
            self._hearer.restart(f"{file.db}.db can be used again; starting anew on its numbers")
            return
        file.open, file.error = True, ""
        self._pump(file)

    def _tell(self) -> None:
        text = self.trouble()
        if text != self._told:
            self._told = text
            self._hearer.disk(text)

    def trouble(self) -> str:
        """What is wrong with the disk now; "" when nothing is."""
        for file in self._files.values():
            if file.error:
                return file.error
            if file.worker.stuck_ns() > DISK_HUNG_NS:
                return f"{file.db}.db: the disk does not answer; batches wait in memory"
        if self._reserve_out:
            return "the disk is full: a reserve keeps events, telemetry is not kept; make room"
        return ""

    # --- reading and other jobs ---------------------------------------------------------------

    async def ask(self, db: Db, job: Callable[[Store], Any]) -> Any:
        """What a job on a file returns. Raises StoreBusy when the disk does not let it."""
        file = self._files[db]
        if not file.open or file.worker.stuck_ns() > DISK_HUNG_NS:
            raise StoreBusy(f"{db}.db does not answer")
        try:
            return await file.worker.ask(job)
        except (Damaged, UnicodeDecodeError, sqlite3.Error, OSError, queue.Full) as e:
            if is_damage(e):
                self._failed(file, e)
            raise StoreBusy(f"{db}.db: {e}") from e

    async def ask_quietly(self, db: Db, job: Callable[[Store], Any]) -> Any:
        """As ask(), None when the disk does not let it."""
        with contextlib.suppress(StoreBusy):
            return await self.ask(db, job)
        return None

    def status(self) -> dict[str, Any]:
        """For `embergate status`."""
        return {
            "trouble": self.trouble(),
            "sqlite": sqlite3.sqlite_version,
            "not_durable": {db.value: self.ring.pending(db) for db in Db},
            "not_durable_bytes": self.ring.pending_bytes(),
            **self._wear.status(self._mono_ns()),
        }
