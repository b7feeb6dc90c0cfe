"""The detection kernel: one fused pass over the points that have a new sample.

A plain function over arrays and scalars, so that the same source is compiled ahead, compiled with a
cache, or run as it stands: every path gives the same bits. No allocation, no exceptions, no
fastmath; the order of the arithmetic is the order of the text. This module imports numpy alone.

State a point, O(1), held in three arrays (`agent.core.image` makes them):
  words  u4[n, 4]  detector bits, history of quality, quality, mode and parameter row
  stamps i8[n, 6]  monotonic ns: last sample, last valid one, last change of side of the fire, the
                   pre-alarm and the supervisory levels, last move out of the flat band
  state  f8[n, 11] value, two previous valid values, level, slope (unit/s), baseline, last median,
                   sum of the fall, counts of chatter and steps, middle of the flat band
Parameters are rows of a table that the points share: thousands of points have a dozen rows.

Detectors, in order: quality and range; median of three; level, slope and baseline; absolute levels
and levels above the baseline with deadband and delays; trend; slow fall; chatter, steps, flat line.
The trend is made for rooms. Slope and rise alone see doors and draughts, which are steps of a few
kelvin, as fires: so the increment of the median is limited to what a fire does in the time, and
the excess moves level and baseline together, where neither slope nor rise can see it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

# --- detector bits (words[:, BITS]); the low 16 are words.Flag -------------------------------
FIRE = 1
PREALARM = 2
SUPERVISORY = 4
FLAG_MASK = 0xFFFF
TREND = 1 << 16  # slope, rise and forecast together
READY = 1 << 17  # enough valid samples to decide on, none of them too old
BELOW_CLEAR = 1 << 18  # the latest sample is GOOD, and fire and trend are gone: reset may clear
INVALID = 1 << 19  # the last three samples were BAD: the sensor is faulty
STALE = 1 << 20  # no sample for longer than the point allows (set by agent.core.health)
HEAVY = 1 << 21  # far above the fire level
CHATTER = 1 << 22  # crosses a level again and again: levels need unbroken presence
FLAT = 1 << 23  # has not moved out of the flat band for too long: the sensor is stuck
STEPS = 1 << 24  # jumps as no room does, again and again: a loose contact
FALLING = 1 << 25  # slow fall below the baseline
LOW = 1 << 26
HIGH = 1 << 27
SECOND = 1 << 28  # high-high or low-low
_OVER_FIRE = 1 << 29  # the latest valid sample's side of a level, held in the deadband
_OVER_PRE = 1 << 30
_OUTSIDE = 1 << 31
_SIDES = _OVER_FIRE | _OVER_PRE | _OUTSIDE
DETAIL = TREND | HEAVY | CHATTER | FLAT | STEPS | FALLING | SECOND  # more than the flags say
_ACTIVE = FIRE | PREALARM | SUPERVISORY | HEAVY | CHATTER | FALLING | LOW | HIGH | SECOND | _SIDES
FAULTY = INVALID | CHATTER | FLAT | STEPS
REPORT = FLAG_MASK | DETAIL | READY | INVALID | STALE  # a change of these leaves the kernel

# --- columns ------------------------------------------------------------------------------
BITS, HISTORY, QUALITY, MODE = 0, 1, 2, 3  # MODE: words.Mode, and the parameter row above it
WORDS = 4
ROW_SHIFT = 2
LAST, LAST_VALID, SINCE_FIRE, SINCE_PRE, SINCE_OUTSIDE, SINCE_FLAT = 0, 1, 2, 3, 4, 5
STAMPS = 6
(VALUE, X1, X2, LEVEL, SLOPE, BASELINE, MEDIAN, FALL, CHATTERS, STEPPED, FLAT_AT) = range(11)
STATES = 11

# config.plan.PARAMS by position; asserted in agent.core.image
(RANGE_MIN, RANGE_MAX, FIRE_LEVEL, FIRE_CLEAR, PREALARM_LEVEL, PREALARM_CLEAR, LOW_LEVEL,
 LOW_CLEAR, TREND_TAU, TREND_SLOPE, TREND_RISE, BASELINE_TAU, TREND_FORECAST, TREND_JUMP,
 TREND_JUMP_MIN, BASELINE_START, BASELINE_UP, BASELINE_DOWN, BASELINE_CAP, OFFSET_PREALARM,
 OFFSET_FIRE, HEAVY_LEVEL, HEAVY_CLEAR, HIGH_LEVEL, HIGH_CLEAR, HIGH_HIGH_LEVEL, HIGH_HIGH_CLEAR,
 LOW_LOW_LEVEL, LOW_LOW_CLEAR, ON_DELAY, OFF_DELAY, FALL_ALLOW, FALL_LIMIT, CHATTER_COUNT,
 CHATTER_MEMORY, CHATTER_HOLD, CHATTER_QUIET, FLAT_BAND, FLAT_TIME, STEP_SIZE,
 STEP_COUNT) = range(41)  # fmt: skip
PARAM_COLUMNS = 41

NEVER = -(2**62)  # stamp of a point without a sample; any monotonic time is later
HUGE = 1e30  # no unit of measurement goes there; also keeps NaN, infinity and overflow out
OFFSET_CLEAR = 0.8  # share of an offset below which it is gone
SLOW_SAMPLES = 100.0  # a chatter memory spans at least so many samples

_GOOD, _NOT_READY, _BAD = 0, 1, 3  # words.Quality
_TELEMETRY, _ANALOGUE, _STATE = 0, 1, 2  # words.Mode
_COUNT = 3  # of HISTORY: three bits of quality, newest lowest, then the valid count
_NS = 1e-9


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
    quality u1[m] words.Quality, mono_ns the one stamp of the block, params f8[rows, PARAMS] with
    NaN where a detector is off (words[:, MODE] >> ROW_SHIFT is a point's row), changed i4[>= m]
    receives the changed points in order of `idx`.
    Returns -1 when an index is not a point: the caller's error, and the block is half taken.

    A sample that is not newer than the point's last one is ignored: a duplicate must not count
    twice in two-of-three. A sample that is not finite or out of range is BAD. BAD and NOT_READY
    hold the level bits: an alarm is not cleared by a sensor that cannot be read. NaN parameters
    compare false, which is what "off" means.

    Two of the last three valid samples are over a level when the second highest of them is; with
    three that is their median.
    """
    points = words.shape[0]
    count = 0
    last_row = np.uint32(0xFFFFFFFF)
    last_dt = -1.0
    gain = 0.0
    follow = 0.0
    jump = 0.0
    fire_clear = 0.0
    calm_above = 0.0
    calm_below = 0.0
    calm_offset = 0.0
    filters = False
    delayed = False
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
        r = np.uint32(mode >> ROW_SHIFT)
        mode = mode & 3
        old = np.int64(words[k, BITS])
        new = old & ~(STALE | BELOW_CLEAR)
        history = np.int64(words[k, HISTORY])
        if q == _GOOD and (
            not (-HUGE < v < HUGE)
            or v < params[r, RANGE_MIN]
            or v > params[r, RANGE_MAX]
            or (mode == _STATE and (v < 0.0 or v >= 65536.0))
        ):
            q = np.int64(_BAD)
        state[k, VALUE] = v
        words[k, QUALITY] = q

        if q != _GOOD:
            if q == _NOT_READY:
                new = new & ~READY
            else:
                bad = ((history << 1) & 6) | 1
                history = (history & ~7) | bad
                if bad == 7:
                    new = (new | INVALID) & ~READY
            words[k, HISTORY] = history
            words[k, BITS] = new
            if (new ^ old) & REPORT:
                changed[count] = k
                count += 1
            continue

        bad = (history << 1) & 6
        if bad == 0:
            new = new & ~INVALID
        valid = history >> _COUNT  # valid samples before this one, saturating at 3

        if mode == _ANALOGUE:
            dt = 0.0
            if valid > 0:
                dt = (mono_ns - stamps[k, LAST_VALID]) * _NS
            if r != last_row or dt != last_dt:  # most points of a block share both
                last_row = r
                last_dt = dt
                tau = params[r, TREND_TAU]
                if tau < 2.0 * dt:  # noqa: PLR1730 -- NaN leaves it as it is
                    tau = 2.0 * dt
                gain = 1.0 / (tau + dt) if tau + dt > 0.0 else 0.0
                base_tau = params[r, BASELINE_TAU]
                follow = dt / ((base_tau if base_tau > 0.0 else 0.0) + dt) if dt > 0.0 else 0.0
                jump = params[r, TREND_JUMP] * dt
                if jump < params[r, TREND_JUMP_MIN]:  # noqa: PLR1730 -- NaN leaves it as it is
                    jump = params[r, TREND_JUMP_MIN]
                fire_clear = params[r, FIRE_CLEAR]
                if fire_clear != fire_clear:  # noqa: PLR0124 -- NaN: no deadband was given
                    fire_clear = params[r, FIRE_LEVEL]
                delayed = params[r, ON_DELAY] > 0.0 or params[r, OFF_DELAY] > 0.0
                filters = params[r, TREND_TAU] == params[r, TREND_TAU]
                # Between these no level is on and every level is clear.
                calm_below = -HUGE
                calm_above = HUGE
                calm_offset = HUGE
                for c in (LOW_LEVEL, LOW_CLEAR, LOW_LOW_LEVEL, LOW_LOW_CLEAR):
                    if params[r, c] > calm_below:  # noqa: PLR1730 -- NaN leaves it as it is
                        calm_below = params[r, c]
                for c in (FIRE_LEVEL, FIRE_CLEAR, PREALARM_LEVEL, PREALARM_CLEAR, HEAVY_LEVEL,
                          HEAVY_CLEAR, HIGH_LEVEL, HIGH_CLEAR, HIGH_HIGH_LEVEL,
                          HIGH_HIGH_CLEAR):  # fmt: skip
                    if params[r, c] < calm_above:  # noqa: PLR1730 -- NaN leaves it as it is
                        calm_above = params[r, c]
                for c in (OFFSET_FIRE, OFFSET_PREALARM):
                    if OFFSET_CLEAR * params[r, c] < calm_offset:  # noqa: PLR1730 -- NaN leaves it as it is
                        calm_offset = OFFSET_CLEAR * params[r, c]

            # Second highest and second lowest of the last three valid samples.
            x1 = state[k, X1]
            x2 = state[k, X2]
            low = x1 if x1 < x2 else x2
            high = x2 if x1 < x2 else x1
            above = low if v < low else v
            m = high if above > high else above
            upper = m
            lower = m
            if valid < 2:
                upper = -HUGE
                lower = HUGE
                if valid == 1:
                    upper = x1 if x1 < v else v
                    lower = v if x1 < v else x1
            state[k, X2] = x1
            state[k, X1] = v

            # Level, slope and baseline; backward Euler is stable for any gap.
            base = np.nan
            if filters:
                base = state[k, BASELINE]
                if valid == 0:
                    base = params[r, BASELINE_START]
                elif valid == 2:
                    if base != base:  # noqa: PLR0124 -- NaN: nothing was known of the place
                        base = m
                    state[k, LEVEL] = m
                    state[k, SLOPE] = 0.0
                    state[k, MEDIAN] = m
                elif valid > 2:
                    level = state[k, LEVEL]
                    slope = state[k, SLOPE]
                    d = m - state[k, MEDIAN]
                    state[k, MEDIAN] = m
                    excess = d - jump if d > jump else d + jump if d < -jump else 0.0
                    level += excess
                    base += excess
                    u = gain * (m - level)
                    level = level + dt * u
                    slope = slope + dt * gain * (u - slope)
                    state[k, LEVEL] = level
                    state[k, SLOPE] = slope
                    if new & (TREND | FALLING) == 0:  # an alarm never becomes its own baseline
                        d = follow * (level - base)
                        most = params[r, BASELINE_UP] * dt
                        least = -params[r, BASELINE_DOWN] * dt
                        d = most if d > most else least if d < least else d
                        base += d
                    if base > params[r, BASELINE_CAP]:  # noqa: PLR1730 -- NaN leaves it as it is
                        base = params[r, BASELINE_CAP]
                    rise = level - base
                    if (
                        slope >= params[r, TREND_SLOPE]
                        and rise >= params[r, TREND_RISE]
                        and not params[r, FIRE_LEVEL] - m > params[r, TREND_FORECAST] * slope
                    ):
                        # While it chatters, what looks like growth is the chatter.
                        if new & CHATTER == 0 or not (
                            state[k, CHATTERS] >= 0.5 * params[r, CHATTER_COUNT]
                        ):
                            new |= TREND
                    elif new & TREND and (
                        slope < 0.5 * params[r, TREND_SLOPE] or rise < 0.5 * params[r, TREND_RISE]
                    ):
                        new &= ~TREND
                    if params[r, FALL_ALLOW] > 0.0:
                        fall = state[k, FALL] + (-rise - params[r, FALL_ALLOW]) * dt
                        if fall > 2.0 * params[r, FALL_LIMIT]:  # noqa: PLR1730 -- NaN leaves it as it is
                            fall = 2.0 * params[r, FALL_LIMIT]
                        if fall >= params[r, FALL_LIMIT]:
                            new |= FALLING
                        elif not fall > 0.0:
                            fall = 0.0
                            new &= ~FALLING
                        state[k, FALL] = fall
                state[k, BASELINE] = base

            under = True
            if (
                new & _ACTIVE
                or valid < 2
                or not (calm_below < m < calm_above and calm_below < v < calm_above)
                or m - base >= calm_offset
                or v - base >= calm_offset
                or state[k, CHATTERS] > 0.0
            ):  # else every level is off and clear, and nothing would come of looking
                # Sides of the levels, of this one sample, for chatter and delays.
                z = v - base  # NaN without a baseline: compares false
                over = v >= params[r, FIRE_LEVEL] or z >= params[r, OFFSET_FIRE]
                under = not (v >= fire_clear or z >= OFFSET_CLEAR * params[r, OFFSET_FIRE])
                side = new & _SIDES
                if over:
                    side |= _OVER_FIRE
                elif under:
                    side &= ~_OVER_FIRE
                if v >= params[r, PREALARM_LEVEL] or z >= params[r, OFFSET_PREALARM]:
                    side |= _OVER_PRE
                elif not (
                    v >= params[r, PREALARM_CLEAR] or z >= OFFSET_CLEAR * params[r, OFFSET_PREALARM]
                ):
                    side &= ~_OVER_PRE
                if v <= params[r, LOW_LEVEL] or v >= params[r, HIGH_LEVEL]:
                    side |= _OUTSIDE
                elif not (v <= params[r, LOW_CLEAR] or v >= params[r, HIGH_CLEAR]):
                    side &= ~_OUTSIDE
                crossed = (side ^ new) & _SIDES
                new = (new & ~_SIDES) | side

                chatters = state[k, CHATTERS]
                if chatters > 0.0 or crossed:
                    memory = SLOW_SAMPLES * dt
                    if params[r, CHATTER_MEMORY] > memory:  # noqa: PLR1730 -- NaN leaves it as it is
                        memory = params[r, CHATTER_MEMORY]
                    if dt > 0.0:
                        chatters = chatters * (memory / (memory + dt))
                    if crossed and valid > 0:
                        chatters += 1.0
                    if chatters < 0.01:
                        chatters = 0.0
                    state[k, CHATTERS] = chatters
                    if crossed & _OVER_FIRE:
                        stamps[k, SINCE_FIRE] = mono_ns
                    if crossed & _OVER_PRE:
                        stamps[k, SINCE_PRE] = mono_ns
                    if crossed & _OUTSIDE:
                        stamps[k, SINCE_OUTSIDE] = mono_ns
                    if chatters >= params[r, CHATTER_COUNT]:
                        new |= CHATTER
                fire_may = True
                pre_may = True
                out_may = True
                fire_ends = True
                pre_ends = True
                out_ends = True
                if new & CHATTER or delayed:
                    fire_s = (mono_ns - stamps[k, SINCE_FIRE]) * _NS
                    pre_s = (mono_ns - stamps[k, SINCE_PRE]) * _NS
                    out_s = (mono_ns - stamps[k, SINCE_OUTSIDE]) * _NS
                    wait = params[r, ON_DELAY] if params[r, ON_DELAY] > 0.0 else 0.0
                    if new & CHATTER:
                        quiet = params[r, CHATTER_QUIET]
                        if fire_s >= quiet and pre_s >= quiet and out_s >= quiet:
                            new &= ~CHATTER
                        elif wait < params[r, CHATTER_HOLD]:
                            wait = params[r, CHATTER_HOLD]
                    fire_may = fire_s >= wait
                    pre_may = pre_s >= wait
                    out_may = out_s >= wait
                    # Not over before its time; and what only warns stays while the sensor chatters.
                    fire_ends = not fire_s < params[r, OFF_DELAY]
                    pre_ends = new & CHATTER == 0 and not pre_s < params[r, OFF_DELAY]
                    out_ends = new & CHATTER == 0 and not out_s < params[r, OFF_DELAY]

                rise = upper - base
                sunk = lower - base
                if upper >= params[r, FIRE_LEVEL] or rise >= params[r, OFFSET_FIRE]:
                    if fire_may:
                        new |= FIRE
                elif fire_ends and not (
                    lower >= fire_clear or sunk >= OFFSET_CLEAR * params[r, OFFSET_FIRE]
                ):
                    new &= ~FIRE
                if upper >= params[r, PREALARM_LEVEL] or rise >= params[r, OFFSET_PREALARM]:
                    if pre_may:
                        new |= PREALARM
                elif pre_ends and not (
                    lower >= params[r, PREALARM_CLEAR]
                    or sunk >= OFFSET_CLEAR * params[r, OFFSET_PREALARM]
                ):
                    new &= ~PREALARM
                if upper >= params[r, HEAVY_LEVEL]:
                    if fire_may:
                        new |= HEAVY
                elif not lower >= params[r, HEAVY_CLEAR]:
                    new &= ~HEAVY
                if lower <= params[r, LOW_LEVEL]:
                    if out_may:
                        new |= LOW
                elif out_ends and not upper <= params[r, LOW_CLEAR]:
                    new &= ~LOW
                if upper >= params[r, HIGH_LEVEL]:
                    if out_may:
                        new |= HIGH
                elif out_ends and not lower >= params[r, HIGH_CLEAR]:
                    new &= ~HIGH
                if lower <= params[r, LOW_LOW_LEVEL] or upper >= params[r, HIGH_HIGH_LEVEL]:
                    if out_may:
                        new |= SECOND
                elif out_ends and not (
                    upper <= params[r, LOW_LOW_CLEAR] or lower >= params[r, HIGH_HIGH_CLEAR]
                ):
                    new &= ~SECOND
                if new & (LOW | HIGH | SECOND | FALLING):
                    new |= SUPERVISORY
                else:
                    new &= ~SUPERVISORY

            # A stuck sensor does not move; a loose contact moves as no room does.
            band = params[r, FLAT_BAND]
            if band >= 0.0:
                moved = v - state[k, FLAT_AT]
                moves = (moved > band) | (moved < -band) | (valid == 0)
                state[k, FLAT_AT] = v if moves else state[k, FLAT_AT]
                since = mono_ns if moves else stamps[k, SINCE_FLAT]
                stamps[k, SINCE_FLAT] = since
                if (mono_ns - since) * _NS >= params[r, FLAT_TIME]:
                    new |= FLAT
                elif new & FLAT:
                    new &= ~FLAT
            stepped = state[k, STEPPED]
            size = params[r, STEP_SIZE]
            leap = valid > 0 and (v - x1 > size or x1 - v > size) and new & (FIRE | TREND) == 0
            if leap or stepped > 0.0:
                memory = SLOW_SAMPLES * dt
                if params[r, CHATTER_MEMORY] > memory:  # noqa: PLR1730 -- NaN leaves it as it is
                    memory = params[r, CHATTER_MEMORY]
                if dt > 0.0:
                    stepped = stepped * (memory / (memory + dt))
                if leap:
                    stepped += 1.0
                if stepped >= params[r, STEP_COUNT]:
                    new |= STEPS
                elif stepped < 0.01:
                    stepped = 0.0
                    new &= ~STEPS
                state[k, STEPPED] = stepped

            if new & (FIRE | TREND) == 0 and under:
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
        words[k, HISTORY] = bad | (valid << _COUNT)
        words[k, BITS] = new
        if (new ^ old) & REPORT:
            changed[count] = k
            count += 1
    return count


SIGNATURE = "i8(i4[::1],f8[::1],u1[::1],i8,u4[:,::1],i8[:,::1],f8[:,::1],f8[:,::1],i4[::1])"
"""The one overload that is ever compiled."""
