"""What one cycle costs in a large building: 1,000 zones, 10,000 points, 500 rows of effects.

Time of the processor, not of the wall: other work on the machine is not the cycle's cost.
"""

from __future__ import annotations

import gc
import random
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from bench.figures import Figures, percentile

from agent.core.cycle import cycle, new_state
from agent.core.kernel_loader import load_kernel
from agent.core.types import ClockState, Command, Inputs, Now, Verb
from config.limits import S
from config.plan import (
    PARAMS,
    PLAN_VERSION,
    DayHours,
    Device,
    Effect,
    Line,
    Output,
    Plan,
    PointTable,
    Poll,
    WalkGroup,
    Zone,
)
from config.words import Flag, Mode
from drivers.reading import ReadingBlock

DEVICES, EACH, ZONES, ROWS, OUTPUTS = 20, 500, 1_000, 500, 200
POINTS = DEVICES * EACH
LEVELS = {
    "range_min": -60.0, "range_max": 200.0, "fire_level": 57.0, "fire_clear": 54.0,
    "prealarm_level": 47.0, "prealarm_clear": 44.0,
}  # fmt: skip
CYCLES = 400
ORDERS = 20
UP_TO = "up to 400 fires stand; the walk test is of 1,000 points, reset_of_all clears 400 fires"
WALL_NS = 1_767_571_200 * S


def large_plan() -> Plan:
    """Heat points, ten a zone, two of them a fire; half of the zones sound two sirens each."""
    row = [LEVELS.get(name, np.nan) for name in PARAMS]
    table = PointTable(
        ids=np.arange(1, POINTS + 1, dtype="<u4").tobytes(),
        names=tuple(f"d{k // EACH}.p{k % EACH}" for k in range(POINTS)),
        devices=(np.arange(POINTS) // EACH).astype("<u2").tobytes(),
        kinds=("heat",) * POINTS,
        units=("°C",) * POINTS,
        modes=np.full(POINTS, int(Mode.ANALOGUE), "u1").tobytes(),
        resolutions=np.full(POINTS, 0.1).tobytes(),
        stale_ns=np.full(POINTS, 90 * S, "<i8").tobytes(),
        params=np.array([row] * POINTS, "<f8").tobytes(),
    )
    size = POINTS // ZONES
    zones = tuple(
        Zone(f"z{z}", tuple(range(z * size, (z + 1) * size)), 2, acknowledge_ns=60 * S,
             investigate_ns=240 * S)
        for z in range(ZONES)
    )  # fmt: skip
    effects = tuple(
        Effect("zone", i, int(Flag.FIRE), (i % OUTPUTS, (i + 1) % OUTPUTS)) for i in range(ROWS)
    )
    return Plan(
        version=PLAN_VERSION,
        digest=bytes(32),
        site_id="bench",
        site_name="Bench",
        region="eu",
        points=table,
        lines=(Line("l", "tcp"),),
        devices=tuple(Device(f"d{i}", 0, i + 1) for i in range(DEVICES)),
        polls=tuple(
            Poll(d, 4, 0, 1, S, True, b"", b"", b"", b"", b"", b"", b"") for d in range(DEVICES)
        ),
        rules=(),
        zones=zones,
        outputs=tuple(Output(f"s{i}", 0, i) for i in range(OUTPUTS)),
        effects=effects,
        couriers=(),
        day=(DayHours(127, 0, 0),),
        test_groups=(WalkGroup("all", tuple(range(100))),),
    )


def measure(figures: Figures) -> None:
    """Cycles as they come: one reply of 500 readings each, a few of which change sides."""
    state = new_state(large_plan(), b"bench-boot-00000", load_kernel(None).kernel)
    rng = random.Random(1)
    values = np.full(POINTS, 20.0)
    now = Now(1_000 * S, WALL_NS, ClockState.SYNCHRONISED)

    def turn(device: int, *commands: Command) -> float:
        nonlocal now
        now = replace(now, mono_ns=now.mono_ns + S // DEVICES, wall_ns=now.wall_ns + S // DEVICES)
        points = np.arange(device * EACH, (device + 1) * EACH, dtype=np.int32)
        block = ReadingBlock(device, now.mono_ns, points, values[points], np.zeros(EACH, np.uint8))
        begin = time.thread_time()
        cycle(state, Inputs(blocks=(block,), commands=commands), now)
        return (time.thread_time() - begin) * 1e3

    for i in range(DEVICES * 4):
        turn(i % DEVICES)
    gc.freeze()  # as the field process does before its loop
    size = (
        f"processor time, one reply of {EACH} readings; {ZONES} zones, {POINTS} points, {ROWS} rows"
    )
    for what, hot in (("quiet", 0), ("prealarms", 5), ("fires", 1)):
        times = []
        for i in range(CYCLES):
            device = i % DEVICES
            for _ in range(hot):
                k = device * EACH + rng.randrange(EACH)
                values[k] = 60.0 if what == "fires" else 50.0 if values[k] < 45.0 else 20.0
            times.append(turn(device))
        how = {"quiet": "no changes", "prealarms": "5 points change sides of the pre-alarm",
               "fires": "a point goes above its fire level; up to 400 stand"}[what]  # fmt: skip
        for percent in (50, 99):
            bar = "<= 2" if percent == 99 and what != "quiet" else ""
            value = percentile(times, percent)
            figures.add(f"cycle_{what}_p{percent}", value, "ms", f"{size}; {how}", bar)
    for what, times in _orders(turn, values).items():
        how = f"{size}; an operator's order, {UP_TO}, {len(times)} times"
        figures.add(f"cycle_{what}_p50", percentile(times, 50), "ms", how)
        figures.add(f"cycle_{what}_p99", percentile(times, 99), "ms", how, "<= 2")


def _orders(turn: Callable[..., float], values: np.ndarray) -> dict[str, list[float]]:
    """What the cycle of each order took, while the fires of before stand and in a calm building."""
    took: dict[str, list[float]] = {}

    def order(what: str, verb: Verb, target: str = "") -> None:
        took.setdefault(what, []).append(turn(0, Command(verb, "bench", "bench", target)))
        for device in range(DEVICES):
            turn(device)

    for i in range(ORDERS):
        for place, what in ((f"zone/z{i}", "zone"), (f"point/d1.p{i}", "point")):
            order(f"disable_{what}", Verb.DISABLE, place)
            order(f"enable_{what}", Verb.ENABLE, place)
        order("acknowledge", Verb.ACKNOWLEDGE)
        order("silence", Verb.SILENCE)
        order("reset_refused", Verb.RESET)
        order("evacuate", Verb.EVACUATE)
    values[:] = 20.0
    for device in range(DEVICES * 4):
        turn(device % DEVICES)
    order("reset_of_all", Verb.RESET)
    for i in range(ORDERS):
        values[i] = 60.0
        for device in range(DEVICES * 4):
            turn(device % DEVICES)
        values[i] = 20.0
        for device in range(DEVICES * 4):
            turn(device % DEVICES)
        order("reset", Verb.RESET)
        order("test_begins", Verb.TEST, "group/all")
        order("test_ends", Verb.TEST)
    return took
