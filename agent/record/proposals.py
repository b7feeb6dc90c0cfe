"""What a platform proposes: kept as files until somebody on the site decides. Nothing is applied.

A proposal is a site file or a description of an update. Accepting it puts that on record and leaves
the file where it is: `embergate check` and `embergate plan` are what applies a configuration.
Blocking; called in a thread.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import cbor2

from config.limits import PROPOSAL_BYTES_MAX, PROPOSALS_MAX

_FILE_BYTES_MAX = PROPOSAL_BYTES_MAX + 4_096


_FIELDS = {
    "kind": str, "title": str, "data": bytes, "hash": bytes, "wall_ns": int, "key": str,
}  # fmt: skip


class Proposals:
    """A directory of at most PROPOSALS_MAX proposals, NUMBER.cbor each."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, number: int, proposal: dict[str, Any]) -> None:
        """Write one durably; the oldest go. Raises OSError."""
        self._directory.mkdir(mode=0o700, exist_ok=True)
        path = self._directory / f"{number}.cbor"
        part = path.with_suffix(".part")
        with part.open("wb") as file:
            file.write(cbor2.dumps(proposal))
            file.flush()
            os.fsync(file.fileno())
        part.rename(path)
        fd = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        for old in self._numbers()[:-PROPOSALS_MAX]:
            (self._directory / f"{old}.cbor").unlink(missing_ok=True)

    def all(self) -> list[dict[str, Any]]:
        """Every proposal without its data, oldest first."""
        out = []
        for number in self._numbers():
            found = self.get(number)
            if found is not None:
                size = len(found["data"])
                out.append({"number": number, **found, "data": b"", "size": size})
        return out

    def get(self, number: int) -> dict[str, Any] | None:
        """One proposal; None when there is none of that number that can be read."""
        try:
            with (self._directory / f"{number}.cbor").open("rb") as file:
                found = cbor2.loads(file.read(_FILE_BYTES_MAX))
        except (OSError, cbor2.CBORDecodeError, ValueError, TypeError, RecursionError):
            return None
        if not isinstance(found, dict) or found.keys() != _FIELDS.keys():
            return None
        if not all(type(found[key]) is kind for key, kind in _FIELDS.items()):
            return None
        return found if sha256(found["data"]).digest() == found["hash"] else None

    def drop(self, number: int) -> None:
        """Forget one that was decided on. Raises OSError."""
        (self._directory / f"{number}.cbor").unlink(missing_ok=True)

    def _numbers(self) -> list[int]:
        try:
            return sorted(int(p.stem) for p in self._directory.glob("*.cbor") if p.stem.isdecimal())
        except OSError:
            return []
