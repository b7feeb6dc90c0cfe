"""A file that is either old or new. The field process loads this: nothing heavy in here."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path as FilePath


def write_whole(path: FilePath, data: bytes, mode: int = 0o644) -> None:
    """Write a file that a power cut leaves either old or new. Raises OSError."""
    directory = path.resolve().parent
    handle, name = tempfile.mkstemp(dir=directory, prefix=f".{path.name}.")
    temporary = FilePath(name)
    try:
        with os.fdopen(handle, "wb") as f:
            os.fchmod(f.fileno(), mode)
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
        temporary.replace(path.resolve())
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
