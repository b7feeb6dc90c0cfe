"""The epoch that was opened last in this boot, on tmpfs: numbers are not reused without a disk."""

from __future__ import annotations

import os
from pathlib import Path

from agent.record.sealer import EpochPlace
from agent.uplink import cbor, check
from agent.uplink.errors import UplinkError

_BYTES_MAX = 256


def read_hint(path: Path) -> EpochPlace | None:
    """The epoch that was opened last, None when nothing says so."""
    try:
        with path.open("rb") as f:
            row = check.array(cbor.decode(f.read(_BYTES_MAX)), "hint", 3)
        return EpochPlace(
            check.uint(row[0], "ordinal"),
            check.raw(row[1], "epoch", 8),
            check.raw(row[2], "hash", 32),
        )
    except (OSError, UplinkError):
        return None


def write_hint(path: Path, place: EpochPlace) -> None:
    """Remember the open epoch. Raises OSError."""
    temporary = path.with_name(path.name + ".new")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as f:
        f.write(cbor.encode([place.ordinal, place.epoch, place.hash]))
    temporary.replace(path)
