"""Buildings and fires that nobody recorded: seeded worlds, made sample by sample as a Source.

An office is day and night, heating that blows on detectors, sun through clouds, doors to the cold,
kitchens. A fire grows with t squared (NFPA 72, Annex B) and heats its ceiling jet (Alpert), which
heats a detector with its response time index. Both are seen through the same sensors: 0.1 to 1 K,
0.5 to 10 s, noise, single wild samples and gaps. Numbers are the ranges of ordinary buildings, not
those of any recording.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.source import Frame
from config.limits import S
from config.words import Quality

F8 = NDArray[np.float64]
ROOM_POINTS = 4
GROWTH = {"slow": 0.00293, "medium": 0.01172, "fast": 0.0469}  # kW/s2, NFPA 72
DAY_S = 86_400.0


def columns(rooms: int) -> tuple[str, ...]:
    return tuple(f"r{room:03d}_{k}" for room in range(rooms) for k in range(ROOM_POINTS))


@dataclass
class Sensors:
    """How a temperature becomes a sample: lag, offset, noise, resolution, wild values, gaps."""

    size: int
    rng: np.random.Generator
    step_s: float
    clean: bool = False
    _seen: F8 | None = None

    def __post_init__(self) -> None:
        r, n = self.rng, self.size
        self.lag_s = r.uniform(5.0, 40.0, n)
        self.offset = r.uniform(-0.5, 0.5, n)
        self.noise = r.uniform(0.02, 0.25, n)
        self.grain = r.choice([0.1, 0.5, 1.0], n)
        self.gone = np.zeros(n)

    def read(self, true: F8) -> tuple[NDArray[np.int32], F8, NDArray[np.uint8]]:
        r, n, dt = self.rng, self.size, self.step_s
        if self._seen is None:
            self._seen = true.copy()
        self._seen += (true - self._seen) * (dt / (self.lag_s + dt))
        raw = self._seen + self.offset + self.noise * r.standard_normal(n)
        value = np.round(raw / self.grain) * self.grain
        quality = np.full(n, Quality.GOOD, np.uint8)
        if self.clean:
            return np.arange(n, dtype=np.int32), value, quality
        chance = r.random(n)
        value[chance < 2e-6 * dt] = 85.0  # what a sensor says that has just got its supply back
        bad = chance > 1.0 - 5e-4
        value[bad], quality[bad] = np.nan, Quality.BAD
        begins = (chance > 0.5) & (chance < 0.5 + 2e-6 * dt)
        self.gone = np.maximum(self.gone - dt, 0.0)
        self.gone[begins] = r.exponential(60.0, int(begins.sum()))
        column = np.flatnonzero(self.gone == 0.0).astype(np.int32)
        return column, value[column], quality[column]


@dataclass
class Switch:
    """On and off at random: a rate per day while it is allowed, and how long it stays."""

    per_day: F8
    stay_s: tuple[float, float]
    rng: np.random.Generator
    left_s: F8 = field(init=False)

    def __post_init__(self) -> None:
        self.left_s = np.zeros(len(self.per_day))

    def step(self, dt: float, *, allowed: bool = True) -> NDArray[np.bool_]:
        self.left_s = np.maximum(self.left_s - dt, 0.0)
        if allowed:
            begins = self.rng.random(len(self.per_day)) < self.per_day * dt / DAY_S
            begins &= self.left_s == 0.0
            if begins.any():
                low, high = self.stay_s
                self.left_s[begins] = self.rng.uniform(low, high, int(begins.sum()))
        return self.left_s > 0.0


class Offices:
    """Rooms without fire. harsh: what blows, shines and cooks is that much stronger."""

    def __init__(self, rooms: int, rng: np.random.Generator, harsh: float = 1.0) -> None:
        r, n = rng, rooms * ROOM_POINTS
        self.rng, self.rooms, self.size = r, rooms, n
        self.room = np.repeat(np.arange(rooms), ROOM_POINTS)
        self.outside = r.uniform(-10.0, 32.0, rooms)
        self.swing = r.uniform(1.0, 6.0, rooms)
        self.leak = r.uniform(0.05, 0.3, rooms)
        self.set_point = r.uniform(18.0, 25.0, rooms)
        self.night = r.uniform(0.0, 6.0, rooms)
        self.room_tau = r.uniform(900.0, 7200.0, rooms)
        self.air = self.set_point - self.night
        self.above = r.uniform(0.0, 2.0, n)  # warmer below the ceiling than in the room
        self.blower = Switch(r.uniform(5.0, 60.0, rooms), (240.0, 1500.0), r)
        self.blown = harsh * r.uniform(0.0, 7.0, n) * (r.random(n) < 0.5)
        self.blower_tau = r.uniform(60.0, 240.0, rooms)[self.room]
        self.clear_sky = Switch(r.uniform(20.0, 150.0, rooms), (60.0, 1800.0), r)
        self.sunned = harsh * r.uniform(2.0, 12.0, n) * (r.random(n) < 0.25)
        self.sun_tau = r.uniform(150.0, 400.0, n)
        self.door = Switch(r.uniform(2.0, 40.0, rooms), (5.0, 180.0), r)
        self.draught = harsh * r.uniform(0.0, 0.35, n)
        self.stove = Switch(np.where(r.random(rooms) < 0.15, 6.0, 0.0), (300.0, 2400.0), r)
        self.oven = Switch(np.where(self.stove.per_day > 0, 20.0, 0.0), (10.0, 40.0), r)
        self.cooked = harsh * r.uniform(2.0, 9.0, n)
        self.steamed = harsh * r.uniform(0.0, 6.0, n)
        self.extra = np.zeros((5, n))
        self.t_s = r.uniform(0.0, DAY_S)

    def step(self, dt: float) -> F8:
        """The air at every detector, `dt` seconds on."""
        self.t_s += dt
        hour = self.t_s % DAY_S / 3600.0
        work, sun = 7.0 < hour < 19.0, 8.0 < hour < 17.0
        wave = np.sin((hour - 9.0) / 24.0 * 2.0 * np.pi)
        weather = self.outside + self.swing * wave
        target = self.set_point - (0.0 if work else 1.0) * self.night
        target = target + self.leak * (weather - target)
        self.air += (target - self.air) * (dt / (self.room_tau + dt))
        of = self.room
        cold = np.minimum(weather - self.air, 0.0)[of] * self.draught
        door = self.door.step(dt, allowed=work)[of]
        stove = self.stove.step(dt, allowed=work)
        oven = self.oven.step(dt, allowed=True) & stove
        goals: tuple[tuple[F8, F8 | float], ...] = (
            (self.blower.step(dt, allowed=work)[of] * self.blown, self.blower_tau),
            (self.clear_sky.step(dt, allowed=sun)[of] * self.sunned, self.sun_tau),
            (np.where(door, cold, 0.0), np.where(door, 25.0, 90.0)),
            (stove[of] * self.cooked, 300.0),
            (oven[of] * self.steamed, 20.0),
        )
        for k, (goal, tau) in enumerate(goals):
            self.extra[k] += (goal - self.extra[k]) * (dt / (tau + dt))
        felt: F8 = self.air[of] + self.above + self.extra.sum(axis=0)
        return felt


@dataclass
class Fire:
    """A t-squared fire under a ceiling, and what a detector in its jet feels.

    growth in kW/s2, height and radius in m, index: response time index in (m s)^0.5.
    """

    growth: float
    most_kw: float
    height: float
    radius: F8
    index: F8
    rng: np.random.Generator
    rise: F8 = field(init=False)
    flutter: F8 = field(init=False)

    def __post_init__(self) -> None:
        self.rise = np.zeros(len(self.radius))
        self.flutter = np.zeros(len(self.radius))
        self.layer = 0.0

    def step(self, age_s: float, dt: float) -> F8:
        """Kelvins above the room at every detector."""
        r, h = self.radius, self.height
        late = np.maximum(age_s - 0.8 * (h + r), 0.0)  # smoke travels about a metre a second
        q = np.minimum(self.growth * late**2, self.most_kw)
        near = 16.9 * q ** (2 / 3) / h ** (5 / 3)
        far = 5.38 * (q / np.maximum(r, 0.18 * h)) ** (2 / 3) / h
        gas = np.minimum(np.where(r <= 0.18 * h, near, far), 900.0)
        speed = np.where(
            r <= 0.15 * h,
            0.96 * (q / h) ** (1 / 3),
            0.195 * q ** (1 / 3) * h**0.5 / np.maximum(r, 0.15 * h) ** (5 / 6),
        )
        keep = np.exp(-dt / 3.0)
        noise = self.rng.standard_normal(len(r))
        self.flutter = keep * self.flutter + np.sqrt(1 - keep**2) * noise
        gas = gas * (1.0 + 0.12 * self.flutter)
        gain = np.sqrt(np.maximum(speed, 0.1)) / self.index * dt
        self.rise = self.rise + (gas - self.rise) * (gain / (1.0 + gain))
        return self.rise


class World:
    """A Source: offices for so long, and a fire in them if there is one."""

    translated = False
    zero_ns = 0
    start = ""
    digest = ""

    def __init__(
        self,
        name: str,
        seed: Sequence[int],
        *,
        rooms: int,
        step_s: float,
        length_s: float,
        growth: str = "",
        ignition_s: float = 0.0,
        harsh: float = 1.0,
        clean: bool = False,
    ) -> None:
        self.name, self.seed, self.step_s, self.length_s = name, tuple(seed), step_s, length_s
        self.rooms, self.growth, self.ignition_s = rooms, growth, ignition_s
        self.harsh, self.clean = harsh, clean
        self.columns = columns(rooms)
        self.interval_ns = round(step_s * S)
        self.steps_ns = dict.fromkeys(self.columns, self.interval_ns)

    def fire(self, rng: np.random.Generator) -> Fire:
        """Where it burns: any place of a room of ordinary height, four detectors around it."""
        n = self.rooms * ROOM_POINTS
        height = rng.uniform(2.4, 5.0)
        spacing = rng.uniform(3.0, 6.0)
        at = rng.uniform(0.0, spacing, 2)
        corners = np.array([[0, 0], [0, spacing], [spacing, 0], [spacing, spacing]])
        radius = np.tile(np.hypot(*(corners - at).T), self.rooms)
        index = rng.uniform(8.0, 60.0, n)
        return Fire(GROWTH[self.growth], rng.uniform(600.0, 3000.0), height, radius, index, rng)

    def frames(self, wanted: Sequence[str]) -> Iterator[Frame]:
        assert tuple(wanted) == self.columns
        rng = np.random.default_rng(self.seed)
        offices = Offices(self.rooms, rng, self.harsh)
        sensors = Sensors(offices.size, rng, self.step_s, self.clean)
        fire = self.fire(rng) if self.growth else None
        for _ in range(60):  # as if it had stood there for long
            offices.step(60.0)
        for number in range(int(self.length_s / self.step_s)):
            t_s = number * self.step_s
            true = offices.step(self.step_s)
            if fire is not None and t_s >= self.ignition_s:
                true = true + fire.step(t_s - self.ignition_s, self.step_s)
            column, value, quality = sensors.read(true)
            yield Frame(round(t_s * S), column, value, quality)


def site_text(rooms: int, point: str = "kind: heat, class: A1, unit: °C") -> str:
    """Each room is a zone."""
    zones = "".join(f'    room_{k}: {{points: ["r{k:03d}_*"], alarm: any}}\n' for k in range(rooms))
    return (
        "site: {id: rooms, name: Rooms, region: eu}\nevaluate:\n"
        f'  points: {{"r*": {{{point}}}}}\n  zones:\n{zones}'
    )
