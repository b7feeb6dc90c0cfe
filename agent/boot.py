"""Which boot this is: the one thing of the clock that a process without numpy needs."""

from __future__ import annotations

from pathlib import Path


def boot_id() -> bytes:
    """The 16 bytes of the kernel's boot id: monotonic times compare within one boot only."""
    text = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")
    return bytes.fromhex(text.strip().replace("-", ""))
