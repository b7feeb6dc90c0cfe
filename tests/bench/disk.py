"""A small disk that can be filled: a tmpfs of its own."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(size_mb: int = 64) -> Iterator[Path]:
    """A mounted file system of `size_mb`; needs the right to mount (root)."""
    with tempfile.TemporaryDirectory(prefix="eb-disk-", dir="/tmp") as place:
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size_mb}m", "tmpfs", place], check=True
        )
        try:
            yield Path(place) / "state"
        finally:
            subprocess.run(["umount", "-l", place], check=True)


def fill(directory: Path) -> None:
    """Take every byte that is left."""
    with contextlib.suppress(OSError), (directory / "ballast").open("wb") as f:
        while True:
            f.write(b"\0" * 65_536)
            f.flush()
