"""Three crashes in a minute: absolute levels and contacts only.

The count lives in the run directory (tmpfs), so it forgets at a power cycle. A clean stop takes
its start off the list.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from config.limits import SAFE_MODE_CRASHES, SAFE_MODE_WINDOW_NS
from config.plan import PARAMS, Plan

_TREND = [i for i, name in enumerate(PARAMS) if name.startswith(("trend_", "baseline_"))]


def note_start(path: Path, mono_ns: int) -> bool:
    """Write this start down; True when there were too many starts of late: safe mode."""
    starts = [*_read(path, mono_ns), mono_ns][-SAFE_MODE_CRASHES - 1 :]
    _write(path, starts)
    return len(starts) > SAFE_MODE_CRASHES


def note_clean_stop(path: Path, mono_ns: int) -> None:
    """This stop was ordered: its start does not count as a crash."""
    _write(path, _read(path, mono_ns)[:-1])


def without_trends(plan: Plan) -> Plan:
    """The same plan with absolute levels and contacts only."""
    params = np.frombuffer(plan.points.params, "<f8").reshape(len(plan.points), len(PARAMS)).copy()
    params[:, _TREND] = np.nan
    return dataclasses.replace(
        plan, points=dataclasses.replace(plan.points, params=params.tobytes())
    )


def _read(path: Path, mono_ns: int) -> list[int]:
    try:
        starts = [int(word) for word in path.read_text().split()]
    except (OSError, ValueError):
        return []  # absent, or a torn write: the count begins anew
    return [s for s in starts if 0 <= mono_ns - s < SAFE_MODE_WINDOW_NS]


def _write(path: Path, starts: list[int]) -> None:
    try:
        path.write_text(" ".join(map(str, starts)))
    except OSError:
        return  # no tmpfs to count on: safe mode is then never entered, which loses nothing
