"""What of the matrix outlives a power cut: latched rows, running delays, the general alarm.

{"latched": [key of a row, ...], "delays": [[key, mono_ns, wall_ns of the start], ...],
 "general": why, "evacuate": bool}
A row's key is made of names, so that an edit of another row loses nothing. A delay whose start
cannot be placed in time is taken as over: late is worse than early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from agent.core.effects import Effects
from agent.core.site import FOREVER_NS
from agent.core.types import ClockState, Now
from config.limits import EFFECTS_MAX

KEY_BYTES = 8
_WHY = frozenset({"", "devices", "manual", "zone", "time"})


@dataclass(frozen=True, slots=True)
class EffectsMemory:
    """A decoded part of a snapshot."""

    latched: frozenset[bytes] = frozenset()
    delays: tuple[tuple[bytes, int, int], ...] = ()
    general: str = ""
    evacuate: bool = False


NOTHING_KEPT = EffectsMemory()


def keep(effects: Effects) -> dict[str, Any]:
    """CBOR-ready; empty when there is nothing to keep."""
    t = effects.tables
    latched = [t.keys[i] for i in np.flatnonzero(effects.latched).tolist()]
    delays = [
        [t.keys[i], int(effects.since_ns[i]), int(effects.since_wall_ns[i])]
        for i in np.flatnonzero(effects.since_ns != FOREVER_NS).tolist()
    ]
    if not (latched or delays or effects.general or effects.evacuate):
        return {}
    return {
        "latched": latched,
        "delays": delays,
        "general": effects.general,
        "evacuate": effects.evacuate,
    }


def read_kept(value: Any) -> EffectsMemory:
    """Raises ValueError on anything that `keep` does not make."""
    if value is None:
        return NOTHING_KEPT
    if not isinstance(value, dict):
        raise ValueError(f"expected a map, found {type(value).__name__}")
    latched, delays = value.get("latched", []), value.get("delays", [])
    general, evacuate = value.get("general", ""), value.get("evacuate", False)
    for rows in (latched, delays):
        if not isinstance(rows, list) or len(rows) > EFFECTS_MAX:
            raise ValueError("expected lists of rows")
    if not isinstance(general, str) or general not in _WHY or not isinstance(evacuate, bool):
        raise ValueError("expected a reason and a yes or no")
    if not all(isinstance(k, bytes) and len(k) == KEY_BYTES for k in latched):
        raise ValueError("expected keys of rows")
    return EffectsMemory(
        frozenset(latched), tuple(_delay(row) for row in delays), general, evacuate
    )


def _delay(row: Any) -> tuple[bytes, int, int]:
    if not isinstance(row, list) or [type(v) for v in row] != [bytes, int, int]:
        raise ValueError("expected a key and two times")
    key, mono_ns, wall_ns = row
    if len(key) != KEY_BYTES or not (-(2**62) < mono_ns < 2**62 and 0 <= wall_ns < 2**63):
        raise ValueError("expected a key and two times")
    return key, mono_ns, wall_ns


def merge(effects: Effects, kept: EffectsMemory, now: Now, *, same_boot: bool) -> None:
    """Add what was kept: it starts nothing anew and ends nothing."""
    t = effects.tables
    rows = {key: i for i, key in enumerate(t.keys)}
    for key in kept.latched:
        if key in rows:
            effects.latched[rows[key]] = True
    for key, mono_ns, wall_ns in kept.delays:
        i = rows.get(key)
        if i is None:
            continue
        gone_ns = now.mono_ns - mono_ns if same_boot else now.wall_ns - wall_ns
        if gone_ns < 0 or (not same_boot and now.clock is ClockState.UNSET):
            gone_ns = int(t.after_ns[i])
        since_ns = now.mono_ns - min(gone_ns, int(t.after_ns[i]))
        if effects.since_ns[i] == FOREVER_NS or since_ns < effects.since_ns[i]:
            effects.since_ns[i] = since_ns
            effects.since_wall_ns[i] = max(0, now.wall_ns - (now.mono_ns - since_ns))
    effects.general = effects.general or kept.general
    effects.evacuate = effects.evacuate or kept.evacuate
