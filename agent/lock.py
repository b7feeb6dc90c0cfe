"""One process of a kind at a time: a lock that the kernel lets go of when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


class Held(Exception):  # noqa: N818 -- a state of the place, not a failure of the program
    """Another process holds the lock. The text says which file and what to do."""


def hold(path: Path, what: str) -> int | None:
    """Take the lock for the life of this process; the descriptor that keeps it.

    None when the file can be neither made nor opened (a full or read-only directory): whoever
    cannot lock must still be able to do its work. Raises Held when another process has it.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        raise Held(
            f"{path}: another {what} works here and goes on; stop it first, or give this one "
            "a directory of its own"
        ) from None
    except OSError:  # a file system without locks
        os.close(fd)
        return None
    return fd
