"""What every point reads on a quiet day."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from config.plan import PARAMS, Plan
from config.words import Flag, Mode
from drivers.simulator.fields import SimulatorError
from drivers.simulator.registers import Registers

TYPICAL: Mapping[tuple[str, str], float] = {
    ("heat", "°C"): 20.0,
    ("cable_temperature", "°C"): 25.0,
    ("smoke", "%/m"): 0.1,
    ("co", "ppm"): 1.0,
    ("gas", "%LEL"): 0.0,
    ("water_pressure", "kPa"): 400.0,
    ("water_pressure", "MPa"): 0.4,
    ("water_pressure", "bar"): 4.0,
    ("level", "m"): 2.0,
    ("level", "%"): 80.0,
    ("residual_current", "mA"): 20.0,
    ("flow", "L/s"): 0.0,
}
"""(kind, unit) to a value of a healthy building."""

_UNKNOWN_STEPS = 100
_AMBIENT_C = 20.0


def ambient_value(
    kind: str, unit: str, params: Mapping[str, float], otherwise: float = 0.0
) -> float:
    """A value that is no alarm: the typical one when the point's levels leave room for it.

    `params` are the point's `config.plan.PARAMS`, NaN where there is no level.
    """
    typical = TYPICAL.get((kind, unit), _AMBIENT_C if unit == "°C" else otherwise)
    above, below = [-math.inf], [math.inf]
    for level, clear in (("fire_level", "fire_clear"), ("prealarm_level", "prealarm_clear")):
        pair = [params[name] for name in (level, clear) if not math.isnan(params[name])]
        falling = len(pair) == 2 and pair[1] > pair[0]
        (above if falling else below).extend(pair)
    above.extend(p for p in (params["low_level"], params["low_clear"]) if not math.isnan(p))
    low, high = max(above), min(below)
    least, most = params["range_min"], params["range_max"]  # NaN compares as False
    if low < typical < high and not typical < least and not typical > most:
        return typical
    floor = max(low, -math.inf if math.isnan(least) else least)
    ceiling = min(high, math.inf if math.isnan(most) else most)
    if math.isinf(floor):
        return ceiling - max(abs(ceiling) / 2, 1.0)
    if math.isinf(ceiling):
        return floor + max(abs(floor) / 2, 1.0)
    return (floor + ceiling) / 2


def point_ambient(plan: Plan, registers: Registers, point: int) -> float:
    """The ambient value of a numeric point that is polled."""
    count = len(PARAMS)
    row = np.frombuffer(plan.points.params, "<f8", count, 8 * point * count)
    params = dict(zip(PARAMS, row.tolist(), strict=True))
    field = registers.fields(point)[0]
    otherwise = 0.0 if field.single_bit else _UNKNOWN_STEPS * field.scale + field.bias
    return ambient_value(plan.points.kinds[point], plan.points.units[point], params, otherwise)


def set_ambient(plan: Plan, registers: Registers) -> None:
    """Give every polled point its ambient value; state points read normal."""
    for point in range(len(plan.points)):
        fields = registers.fields(point)
        if not fields:
            continue
        if registers.mode(point) is not Mode.STATE:
            value = point_ambient(plan, registers, point)
            registers.set_value(point, value, clamp=True)
        elif fields[0].rule is not None:
            try:
                registers.set_flags(point, Flag.NONE)
            except SimulatorError:
                continue  # a device without a word for normal keeps 0, as after power-up
