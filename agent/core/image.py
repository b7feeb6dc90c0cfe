"""The latest value, quality and stamp of every point, and what the detectors remember of it.

The arrays are the kernel's own; the views below name their columns. Nothing here is a Python
object a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core import kernels
from agent.core.site import F8, I4, I8, U4, Site
from config.plan import PARAMS
from config.words import Flag, Mode, Quality

assert PARAMS[kernels.RANGE_MIN] == "range_min"
assert PARAMS[kernels.FIRE_LEVEL] == "fire_level"
assert PARAMS[kernels.LOW_CLEAR] == "low_clear"
assert PARAMS[kernels.TREND_TAU] == "trend_tau_s"
assert PARAMS[kernels.BASELINE_TAU] == "baseline_tau_s"
assert PARAMS[kernels.OFFSET_FIRE] == "offset_fire"
assert PARAMS[kernels.FALL_LIMIT] == "fall_limit_s"
assert PARAMS[kernels.STEP_COUNT] == "step_count"
assert len(PARAMS) == kernels.PARAM_COLUMNS, "a new parameter needs its column in the kernel"
assert (Flag.FIRE, Flag.PREALARM, Flag.SUPERVISORY) == (
    kernels.FIRE,
    kernels.PREALARM,
    kernels.SUPERVISORY,
)
assert Flag.MANUAL == kernels.MANUAL
assert (Mode.TELEMETRY, Mode.ANALOGUE, Mode.STATE) == (0, 1, 2)
assert (Quality.GOOD, Quality.NOT_READY, Quality.BAD) == (0, 1, 3)


@dataclass(slots=True)
class Image:
    """Arrays of n points; `kernels` says what each column is."""

    words: U4  # [n, WORDS]
    stamps: I8  # [n, STAMPS]
    state: F8  # [n, STATES]
    changed: I4  # [n] scratch of the kernel

    @property
    def bits(self) -> U4:
        """Detector bits, [n]."""
        bits: U4 = self.words[:, kernels.BITS]
        return bits

    def bits_of(self, k: int) -> int:
        """Detector bits of one point: a view of a column costs more than what is read of it."""
        return int(self.words[k, kernels.BITS])

    @property
    def value(self) -> F8:
        """Latest sample in the point's unit, [n]; NaN before the first one."""
        value: F8 = self.state[:, kernels.VALUE]
        return value

    @property
    def quality(self) -> NDArray[np.uint32]:
        """words.Quality of the latest sample, [n]; STALE when it is too old."""
        quality: U4 = self.words[:, kernels.QUALITY]
        return quality

    @property
    def mono_ns(self) -> I8:
        """Stamp of the latest sample, [n]; kernels.NEVER before the first one."""
        stamps: I8 = self.stamps[:, kernels.LAST]
        return stamps


def new_image(site: Site) -> Image:
    """Every point NOT_READY."""
    n = len(site)
    words = np.zeros((n, kernels.WORDS), np.uint32)
    words[:, kernels.QUALITY] = Quality.NOT_READY
    words[:, kernels.MODE] = site.modes | site.row << kernels.ROW_SHIFT
    state = np.zeros((n, kernels.STATES), np.float64)
    state[:, [kernels.VALUE, kernels.BASELINE]] = np.nan
    return Image(
        words=words,
        stamps=np.full((n, kernels.STAMPS), kernels.NEVER, np.int64),
        state=state,
        changed=np.zeros(n, np.int32),
    )
