"""A small building for the tests of the core, and a hand on its clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from agent.core.cycle import Outcome, cycle, new_state
from agent.core.state import State
from agent.core.step import step
from agent.core.types import ClockState, Command, Inputs, Now, Record, Verb
from config.limits import S
from config.plan import (
    PARAMS,
    PLAN_VERSION,
    Device,
    Effect,
    Line,
    Output,
    Plan,
    PointTable,
    Poll,
    Zone,
)
from config.words import Flag, Mode, Quality
from drivers.reading import ReadBack, ReadingBlock

HEAT = {
    "range_min": -60.0,
    "range_max": 200.0,
    "fire_level": 57.0,
    "fire_clear": 54.0,
    "prealarm_level": 47.0,
    "prealarm_clear": 44.0,
    "trend_tau_s": 20.0,
    "trend_slope_per_s": 8.3 / 60,
    "trend_rise": 10.0,
    "baseline_tau_s": 1800.0,
}
LEVELS_ONLY = {k: v for k, v in HEAT.items() if not k.startswith(("trend", "baseline"))}
PRESSURE = {"low_level": 150.0, "low_clear": 160.0, "range_min": 0.0, "range_max": 2000.0}
FIRE, PRE, SUP = int(Flag.FIRE), int(Flag.PREALARM), int(Flag.SUPERVISORY)
FAULT, DISABLED, TEST = int(Flag.FAULT), int(Flag.DISABLED), int(Flag.TEST)
BOOT = b"boot-0123456789a"
WALL0 = 1_700_000_000 * S


def params(row: dict[str, float]) -> list[float]:
    return [row.get(name, np.nan) for name in PARAMS]


# name, device, kind, mode, parameters
POINTS: list[tuple[str, int, str, Mode, dict[str, float]]] = [
    ("heat_a", 0, "heat", Mode.ANALOGUE, HEAT),
    ("heat_b", 0, "heat", Mode.ANALOGUE, HEAT),
    ("heat_c", 0, "heat", Mode.ANALOGUE, HEAT),
    ("pressure", 0, "water_pressure", Mode.ANALOGUE, PRESSURE),
    ("volts", 0, "voltage", Mode.TELEMETRY, {}),
    ("l1d1", 1, "panel_point", Mode.STATE, {}),
    ("l1d2", 1, "panel_point", Mode.STATE, {}),
    ("button", 2, "manual", Mode.STATE, {}),
    ("contact", 2, "contact", Mode.STATE, {}),
]
A, B, C, PRESS, VOLTS, PANEL1, PANEL2, BUTTON, CONTACT = range(len(POINTS))
ZONES = (
    Zone("any", (A, B), 1),
    Zone("two", (B, C), 2),
    Zone("contacts", (BUTTON, CONTACT), 1),
)
EFFECTS = (
    Effect("zone", 0, FIRE, (0,), "evacuate"),
    Effect("zone", 1, FIRE, (1,), "evacuate"),
    Effect("device", 1, FIRE, (0, 1), "evacuate"),
    Effect("point", CONTACT, FIRE, (1,), "pulse"),
    Effect("zone", 0, PRE, (1,), "alert"),
)


def plan_of(
    points: Sequence[tuple[str, int, str, Mode, dict[str, float]]] = POINTS,
    zones: tuple[Zone, ...] = ZONES,
    effects: tuple[Effect, ...] = EFFECTS,
    stale_ns: int = 2 * S,
) -> Plan:
    n = len(points)
    devices = tuple(
        Device(name, line, 1)
        for name, line in (("sensors", 0), ("panel", 1), ("inputs", 0), ("relays", 0))
    )
    polls = tuple(
        Poll(d, 4, 0, 1, 10**9, True, b"", b"", b"", b"", b"", b"", b"") for d in range(3)
    )
    table = PointTable(
        ids=np.arange(101, 101 + n, dtype="<u4").tobytes(),
        names=tuple(p[0] for p in points),
        devices=np.array([p[1] for p in points], "<u2").tobytes(),
        kinds=tuple(p[2] for p in points),
        units=("°C",) * n,
        modes=np.array([p[3] for p in points], "u1").tobytes(),
        resolutions=np.full(n, 0.1).tobytes(),
        stale_ns=np.full(n, stale_ns, "<i8").tobytes(),
        params=np.array([params(p[4]) for p in points], "<f8").tobytes(),
    )
    lines = (Line("riser", "rs485"), Line("control", "tcp"))
    outputs = (Output("stair_a", 3, 0), Output("stair_b", 3, 1))
    return Plan(
        PLAN_VERSION,
        b"d" * 32,
        "site",
        "Site",
        "eu",
        table,
        lines,
        devices,
        polls,
        (),
        zones,
        outputs,
        effects,
        (),
    )


class World:
    """A gateway's core with its clock in our hand. Outputs read back as ordered by themselves."""

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        kernel: Callable[..., int] = step,
        boot: bytes = BOOT,
        start_ns: int = 1000 * S,
        held: frozenset[int] = frozenset(),
    ) -> None:
        self.plan = plan or plan_of()
        self.state: State = new_state(self.plan, boot, kernel, held_outputs=held)
        self.ns = start_ns
        self.clock = ClockState.SYNCHRONISED
        self.wall0 = WALL0
        self.records: list[Record] = []
        self.on: dict[int, str] = {}
        self.saved: bytes | None = None
        self.last: Outcome | None = None

    def now(self) -> Now:
        return Now(self.ns, self.wall0 + self.ns, self.clock)

    def run(self, **inputs: Any) -> list[Record]:
        outcome = cycle(self.state, Inputs(**inputs), self.now())  # -- by name
        self.state = outcome.state
        self.last = outcome
        self.records += outcome.records
        for order in outcome.orders:
            if order.on:
                self.on[order.output] = order.pattern
            else:
                self.on.pop(order.output, None)
        if outcome.alarm_state is not None:
            self.saved = outcome.alarm_state
        return list(outcome.records)

    def block(
        self, values: dict[int, float], quality: Quality | dict[int, Quality] = Quality.GOOD
    ) -> list[ReadingBlock]:
        """Blocks of the points' devices, stamped now."""
        out = []
        table = np.frombuffer(self.plan.points.devices, "<u2")
        for device in sorted({int(table[k]) for k in values}):
            mine = [k for k in values if table[k] == device]
            q = [quality.get(k, 0) if isinstance(quality, dict) else quality for k in mine]
            out.append(
                ReadingBlock(
                    next(i for i, p in enumerate(self.plan.polls) if p.device == device),
                    self.ns,
                    np.array(mine, np.int32),
                    np.array([values[k] for k in mine], np.float64),
                    np.array(q, np.uint8),
                )
            )
        return out

    def sample(
        self,
        values: dict[int, float],
        times: int = 1,
        *,
        quality: Quality | dict[int, Quality] = Quality.GOOD,
        step_ns: int = S,
    ) -> list[Record]:
        """`times` cycles, a second apart, each with these values."""
        out: list[Record] = []
        for _ in range(times):
            self.ns += step_ns
            out += self.run(blocks=tuple(self.block(values, quality)))
        return out

    def quiet(self, times: int = 3, **more: float) -> list[Record]:
        """Normal values everywhere."""
        return self.sample(normal(), times)

    def tick(self, times: int = 1, step_ns: int = S) -> list[Record]:
        out: list[Record] = []
        for _ in range(times):
            self.ns += step_ns
            out += self.run()
        return out

    def order(self, verb: Verb, **more: Any) -> list[Record]:
        self.ns += 1
        return self.run(commands=(Command(verb, "eve", "test", **more),))

    def order_reset(self) -> list[Record]:
        return self.order(Verb.RESET)

    def read_back(self, output: int, on: bool | None, *, written: bool = False) -> list[Record]:
        return self.run(read_backs=(ReadBack(output, self.ns, on, written),))

    def flags(self, k: int) -> int:
        return int(self.state.alarms.flags[k])

    def zone(self, z: int) -> int:
        return int(self.state.zones.flags[z])


def normal() -> dict[int, float]:
    return {A: 20.0, B: 20.0, C: 20.0, PRESS: 400.0, VOLTS: 24.0, PANEL1: 0, PANEL2: 0,
            BUTTON: 0, CONTACT: 0}  # fmt: skip


def of(records: list[Record], source: str) -> list[Record]:
    return [r for r in records if r.source == source]
