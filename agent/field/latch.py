"""The siren latch on tmpfs: what was ordered, so that a restart sounds it again at once.

It is written at every order and read once, before anything else. It counts only in the boot and
for the plan that wrote it; after a power cut the persisted alarm state speaks instead.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

import cbor2

from config.limits import LATCH_BYTES_MAX, OUTPUTS_MAX


@dataclass(frozen=True, slots=True)
class Latch:
    """The latch file of one run directory."""

    path: Path
    boot_id: bytes
    plan_digest: bytes

    def write(self, on: dict[str, str]) -> None:
        """Keep the outputs that are on, with their patterns. Raises OSError."""
        data = cbor2.dumps([self.boot_id, self.plan_digest, on])
        tmp = self.path.with_suffix(".tmp")
        fd = os.open(tmp, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            if os.write(fd, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # never a torn latch
        finally:
            os.close(fd)
        tmp.replace(self.path)  # tmpfs: no power cut to survive, only a kill

    def read(self) -> dict[str, str]:
        """The outputs that were on; empty when the file is absent, damaged or of another plan."""
        try:
            with self.path.open("rb") as f:
                boot_id, plan_digest, on = cbor2.loads(f.read(LATCH_BYTES_MAX))
        except Exception:  # noqa: BLE001 -- any damage means the same: there is no latch
            return {}
        if (boot_id, plan_digest) != (self.boot_id, self.plan_digest):
            return {}
        if not isinstance(on, dict) or len(on) > OUTPUTS_MAX:
            return {}
        return {k: v for k, v in on.items() if isinstance(k, str) and isinstance(v, str)}
