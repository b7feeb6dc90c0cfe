"""The detection kernel: one fused pass over the points that have a new sample.

Plain functions over arrays and scalars, so that the same source is compiled ahead, compiled with a
cache, or run as it stands: every path gives the same bits. No allocation, no exceptions, no
fastmath; the order of the arithmetic is the order of the text. `agent.core.kernels` says what the
columns are.

A block is taken twice. `calm` does the filters and is done with every point that was calm and is
calm, which is nearly every sample there is: a short loop that fits the registers. What it left
alone, `step` takes in full.

Detectors, in order: quality and range; median of three; level, slope and baseline; absolute levels
and levels above the baseline with deadband and delays; trend; slow fall; chatter, steps, flat line.
A point that was calm and is calm is done after the filters: that is nearly every sample there is.
The trend is made for rooms. Slope and rise alone see doors and draughts, which are steps of a few
kelvin, as fires: so the increment of the median is limited to what a fire does in the time, and
the excess moves level and baseline together, where neither slope nor rise can see it.

Chatter is a change of side of a level (of a contact: of its state) again and again. What was on
when it is recognised stays; from then on a level, a state or a trend counts once it has been there
unbroken for `chatter_hold_s`, ten seconds by default: chatter delays a true alarm by no more.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from agent.core.calm import calm
from agent.core.kernels import *


def step(  # noqa: C901, PLR0912, PLR0915 -- fused on purpose: one pass, nothing in between
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
    quality u1[m] words.Quality, mono_ns the one stamp of the block, params f8[rows, ROW_COLUMNS]
    with NaN where a detector is off (words[:, MODE] >> ROW_SHIFT is a point's row), changed
    i4[>= m] receives the changed points in order of `idx`.
    Returns -1 when an index is not a point: the caller's error, and the block is half taken.

    A sample that is not newer than the point's last one is ignored: a duplicate must not count
    twice in two-of-three. A sample that is not finite or out of range is BAD. BAD and NOT_READY
    hold the level bits: an alarm is not cleared by a sensor that cannot be read. NaN parameters
    compare false, which is what "off" means.

    Two of the last three valid samples are over a level when the second highest of them is; with
    three that is their median.
    """
    left = calm(idx, value, quality, mono_ns, words, stamps, state, params, changed)
    count = 0
    last_place = np.int64(-1)
    last_gap = np.int64(-1)
    r = np.uint32(0)
    mode = np.int64(0)
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
    for j in range(left):
        i = changed[j]  # at most j were written before
        k = np.uint32(idx[i])
        gap = mono_ns - stamps[k, LAST_VALID]
        v = value[i]
        q = np.int64(quality[i])
        place = np.int64(words[k, MODE])
        old = np.int64(words[k, BITS])
        history = np.int64(words[k, HISTORY])
        if place != last_place or gap != last_gap:  # most points of a block share both
            last_place = place
            last_gap = gap
            r = np.uint32(place >> ROW_SHIFT)
            mode = place & 3
            watch = np.int64(params[r, WATCH])
            flat_ns = np.int64(params[r, FLAT_NS])
            dt = gap * PER_NS if gap < LONG_NS else 0.0
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
        if q == GOOD and (
            not (-HUGE < v < HUGE)
            or v < params[r, RANGE_MIN]
            or v > params[r, RANGE_MAX]
            or (mode == STATE and (v < 0.0 or v >= 65536.0))
        ):
            q = np.int64(BAD)
        state[k, VALUE] = v

        if q != GOOD:
            words[k, QUALITY] = q
            new = old & ~(STALE | BELOW_CLEAR)
            if q == NOT_READY:
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

        stamps[k, LAST_VALID] = mono_ns
        valid = (history >> VALID_SHIFT) & 3  # valid samples before this one, saturating at 3
        x1 = state[k, X1]
        state[k, X1] = v
        chatters = 0.0
        crossed = np.int64(0)

        if mode == ANALOGUE:
            # Second highest and second lowest of the last three valid samples.
            x2 = state[k, X2]
            state[k, X2] = x1
            low = x1 if x1 < x2 else x2
            high = x2 if x1 < x2 else x1
            above = low if v < low else v
            m = high if above > high else above

            # Level, slope and baseline; backward Euler is stable for any gap.
            base = np.nan
            slope = 0.0
            rise = np.nan
            fall = 0.0
            if watch & ON_FILTERS:
                base = state[k, BASELINE]
                if valid > 2:
                    level = state[k, LEVEL]
                    slope = state[k, SLOPE]
                    d = m - state[k, MEDIAN]
                    cut = jump if d > jump else d
                    cut = drop if cut < drop else cut
                    level += d - cut
                    base += d - cut
                    u = gain * (m - level)
                    level += dt * u
                    slope += weight * (u - slope)
                    if old & (TREND | FALLING) == 0:  # an alarm never becomes its own baseline
                        d = follow * (level - base)
                        d = most if d > most else d
                        base += least if d < least else d
                    base = params[r, BASELINE_CAP] if base > params[r, BASELINE_CAP] else base
                    rise = level - base
                    state[k, LEVEL] = level
                    state[k, SLOPE] = slope
                    if watch & ON_FALL:
                        fall = state[k, FALL] + (-rise - params[r, FALL_ALLOW]) * dt
                        fall = fall if fall > 0.0 else 0.0
                        if fall > 2.0 * params[r, FALL_LIMIT]:  # noqa: PLR1730 -- NaN leaves it
                            fall = 2.0 * params[r, FALL_LIMIT]
                        state[k, FALL] = fall
                elif valid == 2:
                    if base != base:  # noqa: PLR0124 -- NaN: nothing was known of the place
                        base = m
                    state[k, LEVEL] = m
                    state[k, SLOPE] = 0.0
                elif valid == 0 and base != base:  # noqa: PLR0124 -- else recalled from before
                    base = params[r, BASELINE_START]
                state[k, MEDIAN] = m
                state[k, BASELINE] = base

            # A stuck sensor does not move; a loose contact moves as no room does.
            stuck: Any = False
            if watch & ON_FLAT:
                moves = (abs(v - state[k, FLAT_AT]) > params[r, FLAT_BAND]) | (valid == 0)
                state[k, FLAT_AT] = v if moves else state[k, FLAT_AT]
                since = mono_ns if moves else stamps[k, SINCE_FLAT]
                stamps[k, SINCE_FLAT] = since
                stuck = mono_ns - since >= flat_ns
            leap: Any = abs(v - x1) > params[r, STEP_SIZE]

        new = old & ~(STALE | BELOW_CLEAR)
        bad = (history << 1) & 6
        if bad == 0:
            new = new & ~INVALID
        words[k, QUALITY] = GOOD
        kept = history & KEPT
        if history & COUNTING:
            chatters = state[k, CHATTERS]
        # Counts fade within the memory, which slow sampling stretches.
        fade = 1.0
        if history & COUNTING and dt > 0.0:
            memory = SLOW_SAMPLES * dt
            if params[r, CHATTER_MEMORY] > memory:  # noqa: PLR1730 -- NaN leaves it as it is
                memory = params[r, CHATTER_MEMORY]
            fade = memory / (memory + dt)

        if mode == ANALOGUE:
            # Sides of the levels, of this one sample, for chatter and delays.
            fire_clear = params[r, FIRE_CLEAR]
            if fire_clear != fire_clear:  # noqa: PLR0124 -- NaN: no deadband was given
                fire_clear = params[r, FIRE_LEVEL]
            z = v - base  # NaN without a baseline: compares false
            over = v >= params[r, FIRE_LEVEL] or z >= params[r, OFFSET_FIRE]
            under = not (v >= fire_clear or z >= OFFSET_CLEAR * params[r, OFFSET_FIRE])
            side = kept & SIDES
            if over:
                side |= OVER_FIRE
            elif under:
                side &= ~OVER_FIRE
            if v >= params[r, PREALARM_LEVEL] or z >= params[r, OFFSET_PREALARM]:
                side |= OVER_PRE
            elif not (
                v >= params[r, PREALARM_CLEAR] or z >= OFFSET_CLEAR * params[r, OFFSET_PREALARM]
            ):
                side &= ~OVER_PRE
            if v <= params[r, LOW_LEVEL] or v >= params[r, HIGH_LEVEL]:
                side |= OUTSIDE
            elif not (v <= params[r, LOW_CLEAR] or v >= params[r, HIGH_CLEAR]):
                side &= ~OUTSIDE
            crossed = (side ^ kept) & SIDES
            kept = side | (kept & COUNTING)
            new = new | WAS_OVER if side & OVER_FIRE else new & ~WAS_OVER
        elif mode == STATE:
            under = np.int64(v) & FIRE == 0
            if v != x1:
                crossed = np.int64(SIDES)
        else:
            under = False

        if crossed:
            if crossed & OVER_FIRE:
                stamps[k, SINCE_FIRE] = mono_ns
            if crossed & OVER_PRE:
                stamps[k, SINCE_PRE] = mono_ns
            if crossed & OUTSIDE:
                stamps[k, SINCE_OUTSIDE] = mono_ns
        if watch & ON_CHATTER and (crossed or chatters > 0.0):
            chatters = chatters * fade
            if crossed and valid > 0:
                chatters += 1.0
            if chatters < 0.01:
                chatters = 0.0
            state[k, CHATTERS] = chatters
            if chatters >= params[r, CHATTER_COUNT] and new & CHATTER == 0:
                new |= CHATTER
                stamps[k, SINCE_TREND] = mono_ns

        # How long each side has stood, and whether that is long enough.
        fire_may = True
        pre_may = True
        out_may = True
        fire_ends = True
        pre_ends = True
        out_ends = True
        if new & CHATTER or watch & ON_DELAYS:
            fire_s = (mono_ns - stamps[k, SINCE_FIRE]) * PER_NS
            pre_s = (mono_ns - stamps[k, SINCE_PRE]) * PER_NS
            out_s = (mono_ns - stamps[k, SINCE_OUTSIDE]) * PER_NS
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

        if mode == ANALOGUE:
            if watch & ON_FILTERS and valid > 2:
                growing = (
                    slope >= params[r, TREND_SLOPE]
                    and rise >= params[r, TREND_RISE]
                    and not params[r, FIRE_LEVEL] - m > params[r, TREND_FORECAST] * slope
                )
                gone = not growing and (
                    slope < 0.5 * params[r, TREND_SLOPE] or rise < 0.5 * params[r, TREND_RISE]
                )
                if not (gone if new & TREND else growing):
                    if new & CHATTER:
                        stamps[k, SINCE_TREND] = mono_ns
                elif new & CHATTER == 0:
                    new ^= TREND
                else:  # growth that comes of the chatter does not last
                    stays = params[r, CHATTER_MEMORY] if new & TREND else params[r, CHATTER_HOLD]
                    if not (mono_ns - stamps[k, SINCE_TREND]) * PER_NS < stays:
                        new ^= TREND
                        stamps[k, SINCE_TREND] = mono_ns
                if fall >= params[r, FALL_LIMIT]:
                    new |= FALLING
                elif not fall > 0.0:
                    new &= ~FALLING
                if base >= params[r, DIRTY_AT]:
                    new |= DIRTY
                elif not base >= params[r, DIRTY_CLEAR]:
                    new &= ~DIRTY

            upper = m
            lower = m
            if valid < 2:
                upper = -HUGE
                lower = HUGE
                if valid == 1:
                    upper = x1 if x1 < v else v
                    lower = v if x1 < v else x1
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

            if stuck:
                new |= FLAT
            else:
                new &= ~FLAT
            stepped = state[k, STEPPED] if history & COUNTING else 0.0
            leap = leap and valid > 0 and new & (FIRE | TREND) == 0
            if leap or stepped > 0.0:
                stepped = stepped * fade
                if leap:
                    stepped += 1.0
                if stepped >= params[r, STEP_COUNT]:
                    new |= STEPS
                elif stepped < 0.01:
                    stepped = 0.0
                    new &= ~STEPS
                state[k, STEPPED] = stepped
            kept = kept & SIDES
            if chatters > 0.0 or stepped > 0.0:
                kept |= COUNTING
            if new & (FIRE | TREND) == 0 and under:
                new |= BELOW_CLEAR
            if valid >= 1 and new & INVALID == 0:
                new |= READY
        else:
            if mode == STATE:
                flags = np.int64(v)
                if new & CHATTER:
                    if not fire_may:
                        flags = new & FLAG_MASK
                    else:  # what only warns stays; a fire's end is for the reset to use
                        flags |= new & FLAG_MASK & ~(FIRE | MANUAL)
                new = (new & ~FLAG_MASK) | flags
                if flags & FIRE == 0 and under:
                    new |= BELOW_CLEAR
                kept = np.int64(COUNTING) if chatters > 0.0 else np.int64(0)
            if new & INVALID == 0:
                new |= READY

        if valid < 3:
            valid += 1
        words[k, HISTORY] = bad | (valid << VALID_SHIFT) | kept
        words[k, BITS] = new
        if (new ^ old) & REPORT:
            changed[count] = k
            count += 1
    return count if left >= 0 else left
