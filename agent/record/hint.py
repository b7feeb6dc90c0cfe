"""The epoch that was opened last in this boot, on tmpfs: numbers are not reused without a disk."""

from __future__ import annotations

import os
from pathlib import Path

from agent.record.sealer import EpochPlace
from agent.uplink import cbor, check
from agent.uplink.errors import UplinkError

_BYTES_MAX = 256


def read_hint(path: Path, owner: bytes) -> EpochPlace | None:
    """The epoch that `owner` (gateway and key) opened last, None when nothing says so."""
    try:
        with path.open("rb") as f:
            row = check.array(cbor.decode(f.read(_BYTES_MAX)), "hint", 4)
        if row[0] != owner:
            return None
        return EpochPlace(
            check.uint(row[1], "ordinal"),
            check.raw(row[2], "epoch", 8),
            check.raw(row[3], "hash", 32),
        )
    except (OSError, UplinkError):
        return None


def write_hint(path: Path, owner: bytes, place: EpochPlace) -> None:
    """Remember the open epoch. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(cbor.encode([owner, place.ordinal, place.epoch, place.hash]))
    temporary.replace(path)
