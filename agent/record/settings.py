"""What a record works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agent.core.types import Now
from agent.record.plan_table import Site
from agent.record.reserve import free_bytes
from agent.record.store import Store
from agent.uplink.cose import Signer, Trust

SOFTWARE = "embergate 0.1.0"


class Clock(Protocol):
    """Time is given."""

    boot_id: bytes

    def now(self) -> Now: ...
    def mono_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Settings:
    """What a record works with. chance(n): n random bytes."""

    site: Site
    signer: Signer
    platform: Trust
    commander: Trust  # whose commands are obeyed
    directory: Path
    run_dir: Path
    clock: Clock
    chance: Callable[[int], bytes]
    make_store: Callable[[Path], Store] = Store
    free: Callable[[Path], int] = free_bytes  # of the disk that holds a directory
