"""The first pass of the detection kernel: points that were calm and are calm.

That is nearly every sample there is, and a short loop that fits the registers. The arithmetic is
that of `agent.core.step`, which takes what is left, statement by statement.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agent.core.kernels import *


def calm(  # noqa: C901, PLR0912, PLR0915 -- fused on purpose: one pass, nothing in between
    idx: Any,
    value: Any,
    quality: Any,
    mono_ns: int,
    words: Any,
    stamps: Any,
    state: Any,
    params: Any,
    rest: Any,
) -> int:
    """Take the samples of which nothing can come; how many are left, -1 for a foreign index.

    Arguments as of `step`. rest i4[>= m] receives the positions in the block that are left, of
    points whose stamp of the last sample is set already and all else is as it was.
    """
    points = words.shape[0]
    left = 0
    last_place = np.int64(-1)
    last_gap = np.int64(-1)
    r = np.uint32(0)
    watch = np.int64(0)
    flat_ns = np.int64(0)
    dt = 0.0
    gain = 0.0
    follow = 0.0
    weight = 0.0
    jump = 0.0
    drop = 0.0
    most = 0.0
    least = 0.0
    for i in range(idx.shape[0]):
        k = np.uint32(idx[i])  # a negative index becomes a huge one
        if k >= points:
            return -1
        last = stamps[k, LAST]
        if mono_ns <= last:
            continue
        stamps[k, LAST] = mono_ns
        place = np.int64(words[k, MODE])
        if (
            (np.int64(words[k, BITS]) ^ CALM)
            | (np.int64(words[k, HISTORY]) ^ FULL)
            | (np.int64(quality[i]) ^ GOOD)
            | ((place & 3) ^ ANALOGUE)
        ):
            rest[left] = i
            left += 1
            continue
        gap = mono_ns - last  # of a calm point, that was a valid one
        if place != last_place or gap != last_gap:  # most points of a block share both
            last_place = place
            last_gap = gap
            r = np.uint32(place >> ROW_SHIFT)
            watch = np.int64(params[r, WATCH])
            flat_ns = np.int64(params[r, FLAT_NS])
            dt = gap * PER_NS
            tau = params[r, TREND_TAU]
            if tau < 2.0 * dt:  # noqa: PLR1730 -- NaN leaves it as it is
                tau = 2.0 * dt
            gain = 1.0 / (tau + dt) if tau + dt > 0.0 else 0.0
            base_tau = params[r, BASELINE_TAU]
            follow = dt / ((base_tau if base_tau > 0.0 else 0.0) + dt) if dt > 0.0 else 0.0
            jump = params[r, TREND_JUMP] * dt
            if jump < params[r, TREND_JUMP_MIN]:  # noqa: PLR1730 -- NaN leaves it as it is
                jump = params[r, TREND_JUMP_MIN]
            weight = dt * gain
            drop = -jump
            most = params[r, BASELINE_UP] * dt
            least = -params[r, BASELINE_DOWN] * dt
        v = value[i]
        x1 = state[k, X1]
        x2 = state[k, X2]
        low = x1 if x1 < x2 else x2
        high = x2 if x1 < x2 else x1
        above = low if v < low else v
        m = high if above > high else above
        top = m if v < m else v
        bottom = v if v < m else m
        # Bitwise on purpose: what is nearly never so is not worth a branch each.
        quiet = (
            (bottom > params[r, CALM_BELOW])
            & (top < params[r, CALM_ABOVE])
            & (not abs(v - x1) > params[r, STEP_SIZE])
        )
        if watch & ON_FLAT:
            quiet &= not mono_ns - stamps[k, SINCE_FLAT] >= flat_ns
        if watch & ON_FILTERS:
            level = state[k, LEVEL]
            slope = state[k, SLOPE]
            base = state[k, BASELINE]
            d = m - state[k, MEDIAN]
            cut = jump if d > jump else d
            cut = drop if cut < drop else cut
            level += d - cut
            base += d - cut
            u = gain * (m - level)
            level += dt * u
            slope += weight * (u - slope)
            d = follow * (level - base)
            d = most if d > most else d
            base += least if d < least else d
            base = params[r, BASELINE_CAP] if base > params[r, BASELINE_CAP] else base
            rise = level - base
            fall = 0.0
            quiet = (
                quiet
                & (not ((slope >= params[r, TREND_SLOPE]) & (rise >= params[r, TREND_RISE])))
                & (not top - base >= params[r, CALM_OFFSET])
                & (not base >= params[r, DIRTY_AT])
            )
            if watch & ON_FALL:
                fall = state[k, FALL] + (-rise - params[r, FALL_ALLOW]) * dt
                fall = fall if fall > 0.0 else 0.0
                quiet &= not fall >= params[r, FALL_LIMIT]
            if quiet:
                if watch & ON_FALL:
                    state[k, FALL] = fall
                state[k, MEDIAN] = m
                state[k, LEVEL] = level
                state[k, SLOPE] = slope
                state[k, BASELINE] = base
        if not quiet:
            rest[left] = i
            left += 1
            continue
        if watch & ON_FLAT:
            moved = abs(v - state[k, FLAT_AT]) > params[r, FLAT_BAND]
            state[k, FLAT_AT] = v if moved else state[k, FLAT_AT]
            stamps[k, SINCE_FLAT] = mono_ns if moved else stamps[k, SINCE_FLAT]
        stamps[k, LAST_VALID] = mono_ns
        state[k, VALUE] = v
        state[k, X2] = x1
        state[k, X1] = v
    return left
