"""Compensated baselines that outlive a restart: a smoke detector's dirt does not go with the power.

Drift compensation (EN 54-7 clause 4.8) follows weeks of dust. Without memory a restart would make
an old detector as sensitive as its dirt, and so a false alarm. Only points whose levels stand above
a baseline are kept: a room's temperature is learned anew in minutes. The rows ride in the alarm
state's snapshot, refreshed every BASELINES_EVERY_NS, so that they cost the disk next to nothing;
what a power cut takes is an hour of drift, a fortieth of the alarm level at most.

Packed: u4 stable id and f4 baseline, little-endian, a point.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agent.core import kernels
from agent.core.image import Image
from agent.core.site import I4, Site
from config.limits import ALARM_STATE_BYTES_MAX, BASELINES_EVERY_NS, POINTS_MAX

_ROW = np.dtype([("id", "<u4"), ("baseline", "<f4")])
BYTES_MAX = POINTS_MAX * _ROW.itemsize
assert BYTES_MAX < ALARM_STATE_BYTES_MAX // 2, "alarms need their room, too"


@dataclass(slots=True)
class Baselines:
    """What is kept, as it was packed last."""

    kept: I4  # points with a compensated baseline
    packed: bytes = b""
    due_ns: int | None = field(default=None)  # None: before the first cycle


def new_baselines(site: Site) -> Baselines:
    """Nothing known yet."""
    params = site.params
    offsets = ~np.isnan(params[:, [kernels.OFFSET_FIRE, kernels.OFFSET_PREALARM]]).all(axis=1)
    filtered = ~np.isnan(params[:, kernels.TREND_TAU])
    return Baselines(np.flatnonzero(offsets & filtered).astype(np.int32))


def refresh(baselines: Baselines, site: Site, image: Image, now_ns: int, *, at_once: bool) -> bool:
    """Pack anew when it is time; whether the bytes are different from before.

    at_once: the gateway stops in good order.
    """
    if baselines.due_ns is None:
        baselines.due_ns = now_ns + BASELINES_EVERY_NS
    if not baselines.kept.size or (now_ns < baselines.due_ns and not at_once):
        return False
    baselines.due_ns = now_ns + BASELINES_EVERY_NS
    values = image.state[baselines.kept, kernels.BASELINE]
    known = baselines.kept[np.isfinite(values)]
    rows = np.zeros(len(known), _ROW)
    rows["id"] = site.ids[known]
    rows["baseline"] = image.state[known, kernels.BASELINE]
    packed = rows.tobytes()
    changed = packed != baselines.packed
    baselines.packed = packed
    return changed


def recall(baselines: Baselines, site: Site, image: Image, packed: bytes) -> int:
    """Put back what was kept; how many points. Any bytes are taken; what makes no sense is not.

    The kernel begins with `baseline_start` only where there is nothing, and caps what is too high.
    """
    rows = np.frombuffer(packed[: len(packed) // _ROW.itemsize * _ROW.itemsize], _ROW)
    ours = set(baselines.kept.tolist())
    count = 0
    for point_id, value in zip(rows["id"].tolist(), rows["baseline"].tolist(), strict=True):
        k = site.index_of.get(point_id, -1)
        if k in ours and np.isfinite(value) and abs(value) < kernels.HUGE:
            cap = site.params[k, kernels.BASELINE_CAP]
            image.state[k, kernels.BASELINE] = min(value, cap) if np.isfinite(cap) else value
            count += 1
    baselines.packed = baselines.packed or packed
    return count
