"""The alarm state on disk: two checksummed copies, so that a power cut does not clear a fire.

A copy is written to a temporary file, synced, renamed, and the directory synced; the other copy
is touched only after that. Whatever the instant, one copy is whole.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
from pathlib import Path

from config.limits import ALARM_STATE_BYTES_MAX

_MAGIC = b"EGAS\x01"
_COUNT = struct.Struct(">Q")
_HEAD_BYTES = len(_MAGIC) + 32 + _COUNT.size


UNREADABLE = b"\xff"
"""No alarm state, and not the word that there was none: a siren that is held stays on."""


class AlarmStateFiles:
    """Blocking; belongs to one thread."""

    def __init__(self, directory: Path) -> None:
        self._paths = (directory / "alarm-state.a", directory / "alarm-state.b")
        self._count = 0
        self._named = False  # the directory itself is on the disk

    def read(self) -> bytes | None:
        """The newest whole copy; None when none was ever written.

        Raises OSError when copies are there and none of them is whole: that is not "no alarm".
        """
        found = [copy for path in self._paths if (copy := _read_copy(path)) is not None]
        if not found:
            if any(path.exists() for path in self._paths):
                raise OSError(
                    errno.EIO,
                    "no copy of the alarm state can be read: a fire from before the restart may "
                    "be forgotten; check the building",
                )
            return None
        self._count, state = max(found)
        return state

    def write(self, state: bytes) -> None:
        """Make `state` durable in both copies. Raises OSError; then the old one still stands."""
        assert len(state) <= ALARM_STATE_BYTES_MAX
        self._count += 1
        body = _COUNT.pack(self._count) + state
        data = _MAGIC + hashlib.sha256(body).digest() + body
        for path in self._paths:
            _write_copy(path, data)
        if not self._named:
            _sync(self._paths[0].parent.parent)
            self._named = True


def _read_copy(path: Path) -> tuple[int, bytes] | None:
    try:
        with path.open("rb") as f:
            data = f.read(ALARM_STATE_BYTES_MAX + _HEAD_BYTES + 1)
    except OSError:
        return None
    body = data[len(_MAGIC) + 32 :]
    if not data.startswith(_MAGIC) or len(body) < _COUNT.size:
        return None
    if hashlib.sha256(body).digest() != data[len(_MAGIC) : len(_MAGIC) + 32]:
        return None
    return _COUNT.unpack_from(body)[0], body[_COUNT.size :]


def _write_copy(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(data)
        f.flush()
        os.fsync(f.fileno())
    temporary.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
