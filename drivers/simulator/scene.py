"""What moves the points of a building: a recording or a fire, as functions of scene time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from config.limits import S
from config.plan import Plan
from config.words import Flag, Mode, Quality
from drivers.simulator.ambient import point_ambient
from drivers.simulator.fields import SimulatorError
from drivers.simulator.fire import FIRE_KINDS, Fire
from drivers.simulator.recording import Recording
from drivers.simulator.registers import Registers

FIRE_POINTS_MAX = 3
FIRST_RADIUS_M = 1.0
NEXT_RADIUS_M = 1.5  # each further detector is this much farther from the fire


class Scene(Protocol):
    """Values of points at a time. NaN: the sensor is dead."""

    first_s: float
    last_s: float

    def sample(self, t_s: float) -> list[tuple[int, float]]:
        """(point index, engineering value) at scene time."""


class RecordingScene:
    """A recording's columns on points. State points are FIRE where the column is not 0."""

    def __init__(self, recording: Recording, points: Sequence[int]) -> None:
        assert len(points) == len(recording.columns), "one point a column"
        self._recording = recording
        self._points = tuple(points)
        self.first_s = recording.first_s
        self.last_s = recording.last_s

    def sample(self, t_s: float) -> list[tuple[int, float]]:
        """The row that holds at this time."""
        return list(zip(self._points, self._recording.at(t_s).tolist(), strict=True))


class FireScene:
    """A fire near some points; each has its distance and what it read before."""

    def __init__(self, fire: Fire, points: Mapping[int, tuple[str, float, float]]) -> None:
        """points: index -> (kind, ambient value, distance in metres)."""
        self._fire = fire
        self._points = dict(points)
        self.first_s = 0.0
        self.last_s = math.inf

    def sample(self, t_s: float) -> list[tuple[int, float]]:
        """What each sensor reads this long after ignition."""
        values = []
        for point, (kind, ambient, radius_m) in self._points.items():
            value = self._fire.reading(kind, ambient, t_s, radius_m)
            assert value is not None, "only kinds that fire moves are in a fire scene"
            values.append((point, value))
        return values


class Playing:
    """A scene on a clock. It begins at `start_s` when it is created and runs `speed` times real."""

    def __init__(self, scene: Scene, *, begun_ns: int, start_s: float, speed: float) -> None:
        self.check_speed(speed)
        self._scene = scene
        self._begun_ns = begun_ns
        self._start_s = start_s
        self._speed = speed
        self._last: dict[int, float] = {}
        self.ended = False

    @staticmethod
    def check_speed(speed: float) -> None:
        """Raises SimulatorError."""
        if not (math.isfinite(speed) and speed > 0):
            raise SimulatorError(f"expected a speed above 0, found {speed}")

    def time_s(self, now_ns: int) -> float:
        """Scene time."""
        return self._start_s + (now_ns - self._begun_ns) / S * self._speed

    def changes(self, now_ns: int) -> list[tuple[int, float]]:
        """The points that read another value than when last asked."""
        t_s = self.time_s(now_ns)
        self.ended = t_s > self._scene.last_s
        found = []
        for point, value in self._scene.sample(t_s):
            last = self._last.get(point)
            if last is None or (value != last and not (math.isnan(value) and math.isnan(last))):
                self._last[point] = value
                found.append((point, value))
        return found


def apply(registers: Registers, point: int, value: float) -> None:
    """Show a scene's value as the device would: saturated, or as a state, or dead (NaN)."""
    if math.isnan(value):
        registers.set_quality(point, Quality.BAD)
    elif registers.mode(point) is Mode.STATE:
        registers.set_flags(point, Flag.FIRE if value else Flag.NONE)
    else:
        registers.set_value(point, value, clamp=True)


def recording_scene(
    registers: Registers, recording: Recording, mapping: Mapping[str, str]
) -> RecordingScene:
    """Columns to point names. Raises SimulatorError when a point cannot show its column."""
    points = []
    for column, name in mapping.items():
        point = registers.index(name)
        values = recording.values[:, recording.columns.index(column)]
        if bool(np.isnan(values).any()):
            apply(registers, point, math.nan)
        apply(registers, point, 1.0)
        apply(registers, point, 0.0)
        points.append(point)
    return RecordingScene(recording, points)


def fire_scene(
    plan: Plan, registers: Registers, fire: Fire, names: Sequence[str], radii_m: Sequence[float]
) -> FireScene:
    """A fire near the named points, or near those of the first zone that it can move."""
    points = [registers.index(name) for name in names] or _burnable(plan, registers)
    if not points:
        raise SimulatorError(f"the plan has no point that a fire moves ({', '.join(FIRE_KINDS)})")
    if radii_m and len(radii_m) != len(points):
        raise SimulatorError(f"expected {len(points)} radii, one a point, found {len(radii_m)}")
    chosen: dict[int, tuple[str, float, float]] = {}
    for i, point in enumerate(points):
        name, kind = plan.points.names[point], plan.points.kinds[point]
        if kind not in FIRE_KINDS or registers.mode(point) is Mode.STATE:
            raise SimulatorError(
                f"{name}: a simulated fire moves {', '.join(FIRE_KINDS)}, this is {kind!r}; "
                "set its state instead"
            )
        value = registers.value(point)
        if math.isnan(value):
            value = point_ambient(plan, registers, point)
        radius_m = radii_m[i] if radii_m else FIRST_RADIUS_M + i * NEXT_RADIUS_M
        chosen[point] = (kind, value, radius_m)
    return FireScene(fire, chosen)


def _burnable(plan: Plan, registers: Registers) -> list[int]:
    for points in (*(zone.points for zone in plan.zones), range(len(plan.points))):
        found = [
            p
            for p in points
            if plan.points.kinds[p] in FIRE_KINDS
            and registers.fields(p)
            and registers.mode(p) is not Mode.STATE
        ]
        if found:
            return found[:FIRE_POINTS_MAX]
    return []
