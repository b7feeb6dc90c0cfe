"""What the detection kernel (`agent.core.step`) reads and writes: bits, columns and parameters.

State a point, O(1), held in three arrays (`agent.core.image` makes them):
  words  u4[n, 4]  detector bits, history, quality, mode and parameter row
  stamps i8[n, 7]  monotonic ns: last sample, last valid one, last move out of the flat band, last
                   change of side of the fire, the pre-alarm and the supervisory levels, last
                   sample that agreed with the trend bit (kept while the point chatters)
  state  f8[n, 11] value, two previous valid values, last median, level, slope (unit/s), baseline,
                   middle of the flat band, sum of the fall, counts of chatter and steps
Parameters are rows of a table that the points share (`agent.core.rows` prepares it): thousands of
points have a dozen rows. A row says in one word which detectors are on.
"""

from __future__ import annotations

# --- detector bits (words[:, BITS]); the low 16 are words.Flag -------------------------------
FIRE = 1
PREALARM = 2
SUPERVISORY = 4
MANUAL = 512  # asserted in agent.core.image
FLAG_MASK = 0xFFFF
TREND = 1 << 16  # slope, rise and forecast together
READY = 1 << 17  # enough valid samples to decide on, none of them too old
BELOW_CLEAR = 1 << 18  # the latest sample is GOOD, and fire and trend are gone: reset may clear
INVALID = 1 << 19  # the last three samples were BAD: the sensor is faulty
STALE = 1 << 20  # no sample for longer than the point allows (set by agent.core.health)
HEAVY = 1 << 21  # far above the fire level
CHATTER = 1 << 22  # changes sides again and again: what it says needs unbroken presence
FLAT = 1 << 23  # has not moved out of the flat band for too long: the sensor is stuck
STEPS = 1 << 24  # jumps as no room does, again and again: a loose contact
FALLING = 1 << 25  # slow fall below the baseline
LOW = 1 << 26
HIGH = 1 << 27
SECOND = 1 << 28  # high-high or low-low
DIRTY = 1 << 29  # the baseline is at its cap: drift is compensated no further (EN 54-7, 4.8)
WAS_OVER = 1 << 30  # the latest valid sample was over the fire level, whatever those before were
DETAIL = TREND | HEAVY | CHATTER | FLAT | STEPS | FALLING | SECOND | DIRTY  # more than flags say
FAULTY = INVALID | CHATTER | FLAT | STEPS | DIRTY
REPORT = FLAG_MASK | DETAIL | READY | INVALID | STALE  # a change of these leaves the kernel
CALM = READY | BELOW_CLEAR  # all that is set on a point of which there is nothing to say

# --- columns ------------------------------------------------------------------------------
BITS, HISTORY, QUALITY, MODE = 0, 1, 2, 3  # MODE: words.Mode, and the parameter row above it
WORDS = 4
ROW_SHIFT = 2
LAST, LAST_VALID, SINCE_FLAT, SINCE_FIRE, SINCE_PRE, SINCE_OUTSIDE, SINCE_TREND = range(7)
STAMPS = 7
(VALUE, X1, X2, MEDIAN, LEVEL, SLOPE, BASELINE, FLAT_AT, FALL, CHATTERS, STEPPED) = range(11)
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
# What agent.core.rows adds. WATCH: which detectors are on. Between CALM_BELOW and CALM_ABOVE no
# level is on and every one is clear, and so it is less than CALM_OFFSET above the baseline.
(WATCH, CALM_BELOW, CALM_ABOVE, CALM_OFFSET, FLAT_NS, DIRTY_AT, DIRTY_CLEAR) = range(41, 48)
ROW_COLUMNS = 48
ON_FILTERS, ON_DELAYS, ON_FALL, ON_FLAT, ON_CHATTER = 1, 2, 4, 8, 16

NEVER = -(2**62)  # stamp of a point without a sample; any monotonic time is later
HUGE = 1e30  # no unit of measurement goes there; also keeps NaN, infinity and overflow out
OFFSET_CLEAR = 0.8  # share of an offset below which it is gone
SLOW_SAMPLES = 100.0  # a chatter memory spans at least so many samples

# HISTORY: three bits of quality, newest lowest; the number of valid samples, up to three; whether
# a counter of chatter or steps runs; the latest valid sample's side of the levels, held in the
# deadband.
VALID_SHIFT = 3
COUNTING = 1 << 5
OVER_FIRE = 1 << 6
OVER_PRE = 1 << 7
OUTSIDE = 1 << 8
SIDES = OVER_FIRE | OVER_PRE | OUTSIDE
KEPT = COUNTING | SIDES
FULL = 3 << VALID_SHIFT  # three valid samples, no counter, on the calm side of everything

GOOD, NOT_READY, BAD = 0, 1, 3  # words.Quality
TELEMETRY, ANALOGUE, STATE = 0, 1, 2  # words.Mode
PER_NS = 1e-9
LONG_NS = 2**61  # a gap beyond is the time since NEVER

SIGNATURE = "i8(i4[::1],f8[::1],u1[::1],i8,u4[:,::1],i8[:,::1],f8[:,::1],f8[:,::1],i4[::1])"
"""The one overload that is ever compiled."""
