"""The detection kernel: one fused pass over the points that have a new sample.

A plain function over arrays and scalars, so that the same source is compiled ahead, compiled with a
cache, or run as it stands: every path gives the same bits. No allocation, no exceptions, no
fastmath; the order of the arithmetic is the order of the text. This module imports numpy alone.

State a point, O(1), held in three arrays (`agent.core.image` makes them):
  words  u4[n, 4]  detector bits, history of the last three samples, quality, mode
  stamps i8[n, 2]  monotonic ns of the last sample and of the last valid sample
  state  f8[n, 8]  value, two previous valid values, level, slope (unit/s), baseline, two spare
Cost: about 10 ns a point for 10,000 analogue points with everything on; under 2 us for one point.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# --- detector bits (words[:, BITS]); the low 16 are words.Flag -------------------------------
FIRE = 1
PREALARM = 2
SUPERVISORY = 4
FLAG_MASK = 0xFFFF
TREND = 1 << 16  # slope and rise together
READY = 1 << 17  # enough valid samples to decide on, none of them too old
BELOW_CLEAR = 1 << 18  # the latest sample is GOOD, and fire and trend are gone: reset may clear
INVALID = 1 << 19  # the last three samples were BAD: the sensor is faulty
STALE = 1 << 20  # no sample for longer than the point allows (set by agent.core.health)
REPORT = FLAG_MASK | TREND | READY | INVALID | STALE  # a change of these leaves the kernel

# --- columns ------------------------------------------------------------------------------
BITS, HISTORY, QUALITY, MODE = 0, 1, 2, 3
WORDS = 4
LAST, LAST_VALID = 0, 1
STAMPS = 2
VALUE, X1, X2, LEVEL, SLOPE, BASELINE = 0, 1, 2, 3, 4, 5
STATES = 8

# config.plan.PARAMS by position; asserted in agent.core.image
(RANGE_MIN, RANGE_MAX, FIRE_LEVEL, FIRE_CLEAR, PREALARM_LEVEL, PREALARM_CLEAR, LOW_LEVEL,
 LOW_CLEAR, TREND_TAU, TREND_SLOPE, TREND_RISE, BASELINE_TAU) = range(12)  # fmt: skip

NEVER = -(2**62)  # stamp of a point without a sample; any monotonic time is later
HUGE = 1e30  # no unit of measurement goes there; also keeps NaN, infinity and overflow out

_GOOD, _NOT_READY, _BAD = 0, 1, 3  # words.Quality
_TELEMETRY, _ANALOGUE, _STATE = 0, 1, 2  # words.Mode

# history: six groups of three bits, newest lowest, then three of quality and the valid count
_GROUPS_OLD = 0b110110110110110110
_FIRE_ON, _FIRE_OFF, _PRE_ON, _PRE_OFF, _LOW_ON, _LOW_OFF = 0, 3, 6, 9, 12, 15
_GROUPS = 18
_LEVELS_MASK = (1 << _GROUPS) - 1
_COUNT = 21
_TWO_OF_THREE = 0b11101000  # bit h is set when two of the three bits of h are


def step(  # noqa: C901, PLR0912, PLR0915 -- fused on purpose: one pass, nothing spilled to memory
    idx: Any,
    value: Any,
    quality: Any,
    mono_ns: int,
    words: Any,
    stamps: Any,
    state: Any,
    params: Any,
    changed: Any,
) -> int:
    """Take one block of samples; return how many points changed their reported bits.

    idx i4[m] points, value f8[m] in the point's unit (a sum of words.Flag for STATE points),
    quality u1[m] words.Quality, mono_ns the one stamp of the block, params f8[n, PARAMS] with NaN
    where a detector is off, changed i4[>= m] receives the changed points in order of `idx`.
    Returns -1 when an index is not a point: the caller's error, and the block is half taken.

    A sample that is not newer than the point's last one is ignored: a duplicate must not count
    twice in two-of-three. A sample that is not finite or out of range is BAD. BAD and NOT_READY
    hold the level bits: an alarm is not cleared by a sensor that cannot be read. NaN parameters
    compare false, which is what "off" means.
    """
    points = words.shape[0]
    count = 0
    for i in range(idx.shape[0]):
        k = np.uint32(idx[i])  # a negative index becomes a huge one
        if k >= points:
            return -1
        if mono_ns <= stamps[k, LAST]:
            continue
        stamps[k, LAST] = mono_ns
        v = value[i]
        q = np.int64(quality[i])
        mode = np.int64(words[k, MODE])
        old = np.int64(words[k, BITS])
        new = old & ~(STALE | BELOW_CLEAR)
        history = np.int64(words[k, HISTORY])
        if q == _GOOD and (
            not (-HUGE < v < HUGE)
            or v < params[k, RANGE_MIN]
            or v > params[k, RANGE_MAX]
            or (mode == _STATE and (v < 0.0 or v >= 65536.0))
        ):
            q = np.int64(_BAD)
        state[k, VALUE] = v
        words[k, QUALITY] = q

        if q != _GOOD:
            if q == _NOT_READY:
                new = new & ~READY
            else:
                bad = ((history >> _GROUPS << 1) & 6) | 1
                history = (history & ~(7 << _GROUPS)) | (bad << _GROUPS)
                if bad == 7:
                    new = (new | INVALID) & ~READY
            words[k, HISTORY] = history
            words[k, BITS] = new
            if (new ^ old) & REPORT:
                changed[count] = k
                count += 1
            continue

        bad = (history >> _GROUPS << 1) & 6
        if bad == 0:
            new = new & ~INVALID
        valid = history >> _COUNT  # valid samples before this one, saturating at 3
        levels = ((history & _LEVELS_MASK) << 1) & _GROUPS_OLD

        if mode == _ANALOGUE:
            fire_clear = params[k, FIRE_CLEAR]
            if fire_clear != fire_clear:  # noqa: PLR0124 -- NaN: no deadband was given
                fire_clear = params[k, FIRE_LEVEL]
            if v >= params[k, FIRE_LEVEL]:
                levels |= 1 << _FIRE_ON
            elif v < fire_clear:
                levels |= 1 << _FIRE_OFF
            if v >= params[k, PREALARM_LEVEL]:
                levels |= 1 << _PRE_ON
            elif not v >= params[k, PREALARM_CLEAR]:
                levels |= 1 << _PRE_OFF
            if v <= params[k, LOW_LEVEL]:
                levels |= 1 << _LOW_ON
            elif not v <= params[k, LOW_CLEAR]:
                levels |= 1 << _LOW_OFF
            if levels != history & _LEVELS_MASK:  # the same pattern has the same outcome
                if (_TWO_OF_THREE >> ((levels >> _FIRE_ON) & 7)) & 1:
                    new |= FIRE
                elif (_TWO_OF_THREE >> ((levels >> _FIRE_OFF) & 7)) & 1:
                    new &= ~FIRE
                if (_TWO_OF_THREE >> ((levels >> _PRE_ON) & 7)) & 1:
                    new |= PREALARM
                elif (_TWO_OF_THREE >> ((levels >> _PRE_OFF) & 7)) & 1:
                    new &= ~PREALARM
                if (_TWO_OF_THREE >> ((levels >> _LOW_ON) & 7)) & 1:
                    new |= SUPERVISORY
                elif (_TWO_OF_THREE >> ((levels >> _LOW_OFF) & 7)) & 1:
                    new &= ~SUPERVISORY

            tau = params[k, TREND_TAU]
            if tau == tau:  # noqa: PLR0124 -- NaN: no trend detector
                # Median of three: one spike costs nothing, a true rise is one sample late.
                x1 = state[k, X1]
                x2 = state[k, X2]
                low = x1 if x1 < x2 else x2
                high = x2 if x1 < x2 else x1
                above = low if v < low else v
                m = high if above > high else above
                state[k, X2] = x1
                state[k, X1] = v
                if valid == 2:
                    state[k, LEVEL] = m
                    state[k, SLOPE] = 0.0
                    state[k, BASELINE] = m
                elif valid > 2:
                    # Backward Euler: alpha = dt / (tau + dt) is stable for any gap.
                    dt = (mono_ns - stamps[k, LAST_VALID]) * 1e-9
                    rate = 1.0 / ((tau if tau > 0.0 else 0.0) + dt)
                    before = state[k, LEVEL]
                    slope = state[k, SLOPE]
                    level = before + dt * rate * (m - before)
                    slope = slope + dt * rate * ((m - before) * rate - slope)
                    base = state[k, BASELINE]
                    if new & TREND == 0:  # a fire must not become its own baseline
                        base_tau = params[k, BASELINE_TAU]
                        base = base + dt / ((base_tau if base_tau > 0.0 else 0.0) + dt) * (m - base)
                    state[k, LEVEL] = level
                    state[k, SLOPE] = slope
                    state[k, BASELINE] = base
                    if slope >= params[k, TREND_SLOPE] and level - base >= params[k, TREND_RISE]:
                        new |= TREND
                    elif (
                        slope < 0.5 * params[k, TREND_SLOPE]
                        or level - base < 0.5 * params[k, TREND_RISE]
                    ):
                        new &= ~TREND
            if new & (FIRE | TREND) == 0 and not v >= fire_clear:
                new |= BELOW_CLEAR
            if valid >= 1 and new & INVALID == 0:
                new |= READY
        else:
            if mode == _STATE:
                new = (new & ~FLAG_MASK) | np.int64(v)
                if new & FIRE == 0:
                    new |= BELOW_CLEAR
            if new & INVALID == 0:
                new |= READY

        stamps[k, LAST_VALID] = mono_ns
        if valid < 3:
            valid += 1
        words[k, HISTORY] = levels | (bad << _GROUPS) | (valid << _COUNT)
        words[k, BITS] = new
        if (new ^ old) & REPORT:
            changed[count] = k
            count += 1
    return count


SIGNATURE = "i8(i4[::1],f8[::1],u1[::1],i8,u4[:,::1],i8[:,::1],f8[:,::1],f8[:,::1],i4[::1])"
"""The one overload that is ever compiled."""
