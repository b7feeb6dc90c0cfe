"""Room on the disk that is held for events: a file that is deleted when the disk is full.

Something else fills a disk sooner or later. What the file held is then free for the events and the
audit of the record alone: telemetry waits, in memory and then dropped and counted, until there is
room again and the file is made anew.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable
from pathlib import Path

from config.limits import RESERVE_BYTES, RESERVE_LOW_BYTES, RESERVE_PROBE_BYTES

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def free_bytes(directory: Path) -> int:
    """What the file system of a directory has for us. Raises OSError."""
    found = os.statvfs(directory)
    return found.f_bavail * found.f_frsize


class Reserve:
    """Blocking: belongs to the thread that owns the events."""

    def __init__(self, path: Path, free: Callable[[Path], int] = free_bytes) -> None:
        self._path = path
        self._free = free

    def make(self) -> bool:
        """Have the file. False: the disk is too full for it.

        True also where a file system cannot give room ahead: there is nothing to hold back for.
        """
        try:
            if self._path.exists() and self._path.stat().st_size >= RESERVE_BYTES:
                return True
            if self._free(self._path.parent) < 2 * RESERVE_BYTES:
                return False
            fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_BYTES)
                os.fsync(fd)
            finally:
                os.close(fd)
        except OSError as e:
            self.release()
            return e.errno not in _NO_ROOM
        return True

    def release(self) -> None:
        """Give the room to whoever writes next; that is the caller."""
        with contextlib.suppress(OSError):  # a disk that cannot even delete says so when written
            self._path.unlink(missing_ok=True)

    def low(self) -> bool:
        """Whether the disk is as good as full, or we may have no more of it."""
        try:
            return self._free(self._path.parent) < RESERVE_LOW_BYTES or self._refused()
        except OSError:
            return False

    def _refused(self) -> bool:
        """Whether there is no room for us where the disk says that there is: a quota.

        SQLite has no word for that: it says that there was an error, as of a disk that dies.
        """
        probe = self._path.with_name(self._path.name + ".probe")
        try:
            fd = os.open(probe, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.posix_fallocate(fd, 0, RESERVE_PROBE_BYTES)
            finally:
                os.close(fd)
        except OSError as e:
            return e.errno in _NO_ROOM
        finally:
            with contextlib.suppress(OSError):  # as release()
                probe.unlink(missing_ok=True)
        return False
