"""A thread that owns one resource that can hang: a file. The loop never waits for it.

Jobs are done in order; what comes of each is handed back to the loop. The queue is bounded: when
it is full the job is not taken, and the caller keeps what it wanted written.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from config.limits import WRITER_QUEUE_MAX

R = TypeVar("R")
Job = Callable[[R], Any]
Done = Callable[[Any, Exception | None], None]


class Worker(Generic[R]):
    """Runs jobs on a resource of its own thread. A daemon: a hung disk does not hold up the end."""

    def __init__(self, name: str, resource: R, mono_ns: Callable[[], int]) -> None:
        self._resource = resource
        self._mono_ns = mono_ns
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.Queue[tuple[Job[R], Done] | None] = queue.Queue(WRITER_QUEUE_MAX)
        self._waiting = 0
        self._progress_ns = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, job: Job[R], done: Done) -> bool:
        """Queue a job; the loop calls `done(result, error)`. False when the queue is full."""
        try:
            self._jobs.put_nowait((job, done))
        except queue.Full:
            return False
        if self._waiting == 0:
            self._progress_ns = self._mono_ns()
        self._waiting += 1
        return True

    async def ask(self, job: Job[R]) -> Any:
        """The result of a job. Raises what it raised, or queue.Full."""
        future: asyncio.Future[Any] = self._loop.create_future()

        def done(result: Any, error: Exception | None) -> None:
            if future.done():
                return  # nobody waits any more
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        if not self.submit(job, done):
            raise queue.Full
        return await future

    def stuck_ns(self) -> int:
        """For how long the job under way has not ended; 0 when there is none."""
        return self._mono_ns() - self._progress_ns if self._waiting else 0

    def stop(self, wait_s: float) -> bool:
        """End the thread after the jobs that are queued; False when it did not end in time."""
        with contextlib.suppress(queue.Full):
            self._jobs.put_nowait(None)
        self._thread.join(wait_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            result: Any = None
            error: Exception | None = None
            try:
                result = job(self._resource)
            except Exception as e:  # noqa: BLE001 -- whatever it is, it is handed to who asked
                error = e
            try:
                self._loop.call_soon_threadsafe(self._finished, done, result, error)
            except RuntimeError:
                return  # the loop is closed: the process ends

    def _finished(self, done: Done, result: Any, error: Exception | None) -> None:
        self._waiting -= 1
        self._progress_ns = self._mono_ns()
        done(result, error)
