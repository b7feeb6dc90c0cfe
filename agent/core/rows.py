"""Rows of parameters as the kernel reads them: what can be known of a row before any sample.

A point's sample costs some nanoseconds, so what depends on the parameters alone is worked out once:
which detectors are on (one word of bits), and between which values nothing would come of looking.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from agent.core import kernels as k

F8 = NDArray[np.float64]

_FALLING = (k.LOW_LEVEL, k.LOW_CLEAR, k.LOW_LOW_LEVEL, k.LOW_LOW_CLEAR)
_RISING = (
    *(k.FIRE_LEVEL, k.FIRE_CLEAR, k.PREALARM_LEVEL, k.PREALARM_CLEAR, k.HEAVY_LEVEL),
    *(k.HEAVY_CLEAR, k.HIGH_LEVEL, k.HIGH_CLEAR, k.HIGH_HIGH_LEVEL, k.HIGH_HIGH_CLEAR),
)
_DIRTY_BACK = 0.1  # of the way to the cap that the baseline must have come back to be clean


def prepare(params: F8) -> F8:
    """[r, PARAMS] -> [r, ROW_COLUMNS], the parameters first; NaN stays what "off" means.

    DIRTY_AT: a compensated baseline (one that levels stand above) at its cap follows no further:
    EN 54-7 clause 4.8 asks for a fault before the detector becomes more sensitive than it may.
    """
    assert params.shape[1] == k.PARAM_COLUMNS
    rows = np.full((len(params), k.ROW_COLUMNS), np.nan)
    rows[:, : k.PARAM_COLUMNS] = params
    with np.errstate(all="ignore"):  # any float is a parameter in tests
        watch = np.zeros(len(params), np.int64)
        for bit, on in (
            (k.ON_FILTERS, ~np.isnan(params[:, k.TREND_TAU])),
            (k.ON_DELAYS, (params[:, k.ON_DELAY] > 0.0) | (params[:, k.OFF_DELAY] > 0.0)),
            (k.ON_FALL, params[:, k.FALL_ALLOW] > 0.0),
            (k.ON_FLAT, params[:, k.FLAT_BAND] >= 0.0),
            (k.ON_CHATTER, params[:, k.CHATTER_COUNT] > 0.0),
        ):
            watch |= np.where(on, bit, 0)
        rows[:, k.WATCH] = watch
        rows[:, k.CALM_BELOW] = np.fmax(np.fmax.reduce(params[:, _FALLING], axis=1), -k.HUGE)
        rows[:, k.CALM_ABOVE] = np.fmin(np.fmin.reduce(params[:, _RISING], axis=1), k.HUGE)
        offset = np.fmin(params[:, k.OFFSET_FIRE], params[:, k.OFFSET_PREALARM])
        rows[:, k.CALM_OFFSET] = k.OFFSET_CLEAR * offset
        flat = np.clip(params[:, k.FLAT_TIME] * 1e9, 0.0, 2.0**62)
        rows[:, k.FLAT_NS] = np.where(np.isnan(flat), 2.0**62, flat)
        cap, clean = params[:, k.BASELINE_CAP], params[:, k.BASELINE_START]
        compensated = np.where(np.isnan(offset), np.nan, cap)
        rows[:, k.DIRTY_AT] = compensated
        rows[:, k.DIRTY_CLEAR] = compensated - _DIRTY_BACK * (cap - clean)
    return rows
