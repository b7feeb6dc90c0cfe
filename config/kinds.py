"""What a point measures: which levels it needs, and the defaults that have a source.

Every default names where it comes from. Where no sound default exists there is none, and the
reader's problem names the missing parameter: a made-up level is worse than a question.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from config import quantity
from config.limits import POINTS_MAX
from config.plan import PARAMS
from config.words import Mode

LEVELS = ("fire", "prealarm", "low", "high", "low_low", "high_high", "heavy")
"""Keys of site.yaml whose value is a level; each has a `_clear` beside it."""

ANALOGUE_TYPES = (
    *("int16", "uint16", "int32", "uint32", "float32"),
    *("int64", "uint64", "float64", "bcd16", "bcd32", "bcd64"),
)


@dataclass(frozen=True, slots=True)
class Default:
    """A value in `unit`, and the clause or document that it comes from."""

    value: float
    source: str


@dataclass(frozen=True, slots=True)
class Bound:
    """A level outside `low`..`high` (in `unit`) contradicts `source`."""

    low: float
    high: float
    unit: str
    source: str


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of point.

    units: symbols that it may have, the first is the one its defaults are in; empty: any.
    levels: those that apply. needs: at least one of these must be given or have a default.
    back: how far inside its level a quantity must fall to be clear of it, absolute or a share.
    """

    name: str
    mode: Mode
    units: tuple[str, ...] = ()
    levels: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    back: float = 0.0
    back_share: float = 0.0
    classes: Mapping[str, Mapping[str, Default]] = field(default_factory=dict)
    defaults: Mapping[str, Default] = field(default_factory=dict)
    bounds: Mapping[tuple[str, str], Bound] = field(default_factory=dict)  # (class, level)
    states: tuple[str, ...] = ()  # of a contact


_COLD = Default(-60.0, "no building is colder: a shorted or broken sensor reads such values")
_EN54_5 = "EN 54-5 static response temperature"
_OWN = "own choice"
_CHATTER = {
    "chatter_count": Default(8.0, f"{_OWN}: changes of side in about an hour"),
    "chatter_memory_s": Default(3600.0, _OWN),
    "chatter_hold_s": Default(10.0, f"{_OWN}: what a chattering sensor may cost at most"),
    "chatter_quiet_s": Default(86_400.0, f"{_OWN}: a day without a crossing ends it"),
}
_TREND = {
    "trend_slope_per_s": Default(
        7.0 / 60, f"{_OWN}: 7 K/min; rate-of-rise practice under UL 521 is 6.7 to 8.3 [recalled]"
    ),
    "trend_rise": Default(2.5, f"{_OWN}: five times the noise of a sensor of 0.5 K"),
    "trend_forecast_s": Default(210.0, f"{_OWN}: would be at the fire level in 3.5 min"),
    "trend_jump_per_s": Default(0.5, "30 K/min, the fastest heating rate of EN 54-5 [recalled]"),
    "trend_jump_min": Default(0.5, f"{_OWN}: noise is not a jump"),
    "baseline_tau_s": Default(1800.0, f"{_OWN}: follows the day, not a fire"),
    "baseline_up_per_s": Default(0.5 / 60, _OWN),
    "baseline_down_per_s": Default(0.2 / 60, _OWN),
    "trend_tau_s": Default(8.0, f"{_OWN}: above the turbulence of a plume, below draughts"),
}
_STEP = {
    "step_size": Default(30.0, f"{_OWN}: no room changes so much in one sample"),
    "step_count": Default(8.0, _OWN),
}


def _heat(fire: float, why: str, cap: float, *, trend: bool, rate: bool) -> dict[str, Default]:
    """A class of EN 54-5. cap: its maximum application temperature."""
    out = {
        "fire_level": Default(fire, why),
        "prealarm_level": Default(
            cap + 2.0, "2 K above the maximum application temperature of the class [recalled]"
        ),
        "range_min": _COLD,
        **_CHATTER,
        **_STEP,
    }
    if trend:
        out |= _TREND
        out["baseline_cap"] = Default(cap, "maximum application temperature [recalled]")
    if rate:
        del out["trend_forecast_s"]
        out["trend_slope_per_s"] = Default(10.0 / 60, "suffix R: 10 K/min and faster [recalled]")
    return out


_A1 = "EN 54-5 class A1, 54 to 65 °C; customary fixed set point"
_A2 = "EN 54-5 class A2, 54 to 70 °C; the same set point as A1"
_B = "EN 54-5 class B, 69 to 85 °C [recalled]"
_HEAT = {
    name + suffix: _heat(fire, why, cap, trend=suffix != "S", rate=suffix == "R")
    for name, fire, why, cap in (
        ("A1", 57.0, _A1, 50.0), ("A2", 57.0, _A2, 50.0), ("B", 77.0, _B, 65.0),
    )
    for suffix in ("", "R", "S")  # S, kitchens and boiler rooms: no alarm on a rise
}  # fmt: skip
_CABLE = {
    **_TREND,
    **_CHATTER,
    **_STEP,
    "range_min": _COLD,
    "trend_tau_s": Default(5.0, f"{_OWN}: a contact sensor sees no turbulence"),
    "trend_rise": Default(3.0, _OWN),
    "trend_forecast_s": Default(240.0, f"{_OWN}: would be at the fire level in 4 min"),
}
_TEMPERATURE = ("°C", "°F", "K")
_SMOKE = {
    "fire_level": Default(3.0, "3.0 %/m above clean air, EBL128 planning instructions"),
    "prealarm_level": Default(2.2, "2.2 %/m, example of the EBL128 planning instructions"),
    "trend_tau_s": Default(10.0, f"{_OWN}: level of the baseline"),
    "baseline_tau_s": Default(86_400.0, f"{_OWN}: a day"),
    "baseline_start": Default(0.0, f"{_OWN}: clean air at commissioning"),
    **_CHATTER,
}
_GAS = {
    "prealarm_level": Default(25.0, "GB/T 50493-2019: first level at most 25 %LEL"),
    "fire_level": Default(50.0, "GB/T 50493-2019: second level at most 50 %LEL"),
    "range_min": Default(-10.0, f"{_OWN}: further below zero the sensor has drifted away"),
    **_CHATTER,
}
_LINE_GAS = {
    "prealarm_level": Default(1.0, "GB/T 50493-2019: first level 1 LEL·m [recalled]"),
    "fire_level": Default(2.0, "GB/T 50493-2019: second level 2 LEL·m [recalled]"),
    **_CHATTER,
}
_OXYGEN = {
    "low_level": Default(19.5, "oxygen deficiency below 19.5 %vol, GB 8958 and OSHA [recalled]"),
    "high_level": Default(23.5, "oxygen enrichment above 23.5 %vol, GB/T 50493 [recalled]"),
    **_CHATTER,
}
_LEAK = {
    "prealarm_level": Default(300.0, "GB 50116-2013, note to 9.2.3: fire risk from 300 mA"),
    **_CHATTER,
}
_OUTSIDE = ("low_low", "low", "high", "high_high")

KINDS: dict[str, Kind] = {
    k.name: k
    for k in (
        Kind(
            "heat", Mode.ANALOGUE, _TEMPERATURE, ("fire", "prealarm", "heavy"), ("fire",), back=3.0,
            classes=_HEAT,
            bounds={
                (f"{name}{suffix}", "fire"): Bound(low, high, "°C", _EN54_5)
                for name, low, high in (("A1", 54.0, 65.0), ("A2", 54.0, 70.0), ("B", 69.0, 85.0))
                for suffix in ("", "R", "S")
            },
        ),
        Kind("smoke", Mode.ANALOGUE, ("%/m", "dB/m"), ("fire", "prealarm"), ("fire",),
             back_share=0.2, defaults=_SMOKE),
        Kind("co", Mode.ANALOGUE, ("ppm",), ("fire", "prealarm"), ("fire",), back_share=0.1,
             defaults=_CHATTER),
        Kind("toxic_gas", Mode.ANALOGUE, ("ppm", "mg/m3", "%vol"), ("fire", "prealarm", "high"),
             ("prealarm", "high"), back_share=0.2, defaults=_CHATTER),
        Kind("oxygen", Mode.ANALOGUE, ("%vol",), ("low", "high"), ("low", "high"),
             back_share=0.02, defaults=_OXYGEN),
        Kind("line_gas", Mode.ANALOGUE, ("LEL·m",), ("fire", "prealarm"), ("fire",),
             back_share=0.2, defaults=_LINE_GAS),
        Kind(
            "gas", Mode.ANALOGUE, ("%LEL", "ppm", "%vol", "mg/m3"), ("fire", "prealarm"),
            ("fire",), back_share=0.2, defaults=_GAS,
            bounds={
                ("", "prealarm"): Bound(1.0, 25.0, "%LEL", "GB/T 50493-2019, first level"),
                ("", "fire"): Bound(1.0, 50.0, "%LEL", "GB/T 50493-2019, second level"),
            },
        ),
        Kind("water_pressure", Mode.ANALOGUE, ("kPa", "MPa", "bar", "Pa", "mbar", "hPa", "psi"),
             ("low", "high", "low_low"), ("low",), back_share=0.05, defaults=_CHATTER),
        Kind("level", Mode.ANALOGUE, ("m", "cm", "mm", "%"), ("low", "high", "low_low"), ("low",),
             back_share=0.05, defaults=_CHATTER),
        Kind("tank_level", Mode.ANALOGUE, ("m", "cm", "mm", "%"), _OUTSIDE,
             ("high_high", "high", "low", "low_low"), back_share=0.02, defaults=_CHATTER),
        Kind("tank_temperature", Mode.ANALOGUE, _TEMPERATURE,
             ("high", "high_high", "prealarm", "fire"), ("high", "prealarm", "fire"), back=2.0,
             defaults={**_CHATTER, "range_min": Default(-200.0, "no store is colder")}),
        Kind("tank_pressure", Mode.ANALOGUE,
             ("kPa", "MPa", "bar", "Pa", "mbar", "hPa", "psi"), _OUTSIDE, ("high",),
             back_share=0.05, defaults=_CHATTER),
        Kind("supply_voltage", Mode.ANALOGUE, ("V", "mV", "kV"), ("low", "high", "low_low"),
             ("low",), back_share=0.02, defaults=_CHATTER),
        Kind("battery_voltage", Mode.ANALOGUE, ("V", "mV"), ("low", "high", "low_low"), ("low",),
             back_share=0.02, defaults=_CHATTER),
        Kind(
            "residual_current", Mode.ANALOGUE, ("mA", "A"), ("prealarm", "fire"), ("prealarm",),
            back_share=0.1, defaults=_LEAK,
            bounds={("", "prealarm"): Bound(20.0, 1000.0, "mA", "GB 14287.2-2014, settable range")},
        ),
        Kind(
            "cable_temperature", Mode.ANALOGUE, _TEMPERATURE, ("prealarm", "fire"),
            ("prealarm", "fire"), back=3.0, defaults=_CABLE,
            bounds={
                ("", "prealarm"): Bound(45.0, 140.0, "°C", "GB 14287.3-2014, settable range"),
                ("", "fire"): Bound(45.0, 140.0, "°C", "GB 14287.3-2014, settable range"),
            },
        ),
        Kind("flow", Mode.ANALOGUE, ("L/min", "L/s", "m3/h"), LEVELS, LEVELS, back_share=0.1),
        Kind("temperature", Mode.ANALOGUE, _TEMPERATURE, LEVELS, LEVELS, back=5.0,
             defaults={"range_min": _COLD}),
        Kind("contact", Mode.STATE,
             states=("fire", "manual", "prealarm", "supervisory", "fault", "disabled", "test",
                     "activated", "feedback"), defaults=_CHATTER),
        Kind("manual", Mode.STATE, defaults=_CHATTER),  # a manual call point
        Kind("panel_point", Mode.STATE),
        Kind("state_word", Mode.STATE),
        Kind("measure", Mode.TELEMETRY),
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Resolved:
    """Parameters of a point in its own unit (plan.PARAMS order) and the sources of defaults.

    missing: levels of which at least one must be given. disorder: (key, other key) that contradict
    each other. beyond: (key, bound) outside what a clause allows.
    """

    params: tuple[float, ...]
    sources: tuple[tuple[str, str], ...]
    missing: tuple[str, ...] = ()
    disorder: tuple[tuple[str, str], ...] = ()
    beyond: tuple[tuple[str, Bound], ...] = ()


@lru_cache(maxsize=POINTS_MAX)
def resolve(
    kind_name: str, class_name: str, unit: str, given: tuple[tuple[str, float], ...]
) -> Resolved:
    """The parameters of a point; `given` are (PARAMS column, value in `unit`) of the site.

    Pure, and the same for thousands of points of a site, hence the cache (a process that runs it
    reads one site and ends).
    """
    kind = KINDS[kind_name]
    values = dict.fromkeys(PARAMS, math.nan)
    sources: list[tuple[str, str]] = []
    offered = kind.classes.get(class_name, kind.defaults)
    for column, default in offered.items():
        base = kind.units[0] if kind.units else ""
        if column in _UNITLESS or quantity.compatible(base, unit):
            values[column] = _in_unit(column, default.value, base, unit)
            sources.append((column, default.source))
    named = dict(given)
    values.update(named)
    if kind.name == "smoke":
        _above_baseline(values)
    if kind.name == "cable_temperature":
        at = values["fire_level"]
        if math.isnan(values["prealarm_level"]):
            values["prealarm_level"] = at - _in_unit("trend_rise", 10.0, kind.units[0], unit)
        values["baseline_cap"] = values["prealarm_level"]
    for level in kind.levels:
        _clear(kind, level, unit, values, named)
    missing = () if not kind.needs or any(
        not math.isnan(values[f"{level}_level"]) for level in kind.needs
    ) else kind.needs  # fmt: skip
    return Resolved(
        tuple(values.values()),
        tuple((c, s) for c, s in sources if c not in named),
        missing,
        _disorder(values),
        _beyond(kind, class_name, unit, values),
    )


_DIFFERENCES = frozenset(
    {"trend_slope_per_s", "trend_rise", "trend_jump_per_s", "trend_jump_min", "baseline_up_per_s",
     "baseline_down_per_s", "offset_prealarm", "offset_fire", "fall_allow", "step_size"}
)  # fmt: skip
_UNITLESS = frozenset(
    {"trend_tau_s", "baseline_tau_s", "trend_forecast_s", "chatter_count", "chatter_memory_s",
     "chatter_hold_s", "chatter_quiet_s", "flat_s", "step_count", "on_delay_s", "off_delay_s"}
)  # fmt: skip


def _in_unit(column: str, value: float, base: str, unit: str) -> float:
    """A default in the point's unit; rises and slopes are differences, taus are times."""
    if base == unit or column in _UNITLESS:
        return value
    if column in _DIFFERENCES:
        return quantity.convert(value, base, unit) - quantity.convert(0.0, base, unit)
    return quantity.convert(value, base, unit)


def _above_baseline(values: dict[str, float]) -> None:
    """Smoke: levels are above clean air, and drift is compensated as EN 54-7 clause 4.8 allows.

    For any growth R above A/4 an hour the alarm must come within 1.6 A/R + 100 s [recalled]. A slew
    of A/40 an hour and a cap of 0.6 A above clean air prove it for every R. The absolute level of
    1.6 A is what is left when trends and baselines are switched off.
    """
    a, clean = values["fire_level"], values["baseline_start"]
    if math.isnan(a):
        return
    values["offset_fire"], values["offset_prealarm"] = a, values["prealarm_level"]
    if math.isnan(clean):
        clean = values["baseline_start"] = 0.0
    values["baseline_up_per_s"] = values["baseline_down_per_s"] = a / 40 / 3600
    values["baseline_cap"] = float(f"{clean + 0.6 * a:.12g}")
    values["fire_level"] = float(f"{clean + 1.6 * a:.12g}")
    values["prealarm_level"] = math.nan


def _clear(
    kind: Kind, level: str, unit: str, values: dict[str, float], named: Mapping[str, float]
) -> None:
    """Where a level is gone again, when the site does not say."""
    column = f"{level}_clear"
    if column in named or math.isnan(values[f"{level}_level"]):
        return
    at = values[f"{level}_level"]
    back = abs(at) * kind.back_share
    if kind.back:
        back = _in_unit("trend_rise", kind.back, kind.units[0], unit)
    values[column] = float(f"{at + back if level in ('low', 'low_low') else at - back:.12g}")


def _disorder(v: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """Pairs (must be smaller, must be larger) of site keys that are not."""
    pairs = (
        ("prealarm_level", "fire_level", "prealarm", "fire"),
        ("fire_clear", "fire_level", "fire_clear", "fire"),
        ("prealarm_clear", "prealarm_level", "prealarm_clear", "prealarm"),
        ("low_level", "low_clear", "low", "low_clear"),
        ("low_low_level", "low_level", "low_low", "low"),
        ("low_level", "high_level", "low", "high"),
        ("high_level", "high_high_level", "high", "high_high"),
        ("fire_level", "heavy_level", "fire", "heavy"),
        ("offset_prealarm", "offset_fire", "prealarm", "fire"),
        ("low_level", "prealarm_level", "low", "prealarm"),
        ("low_level", "fire_level", "low", "fire"),
        ("range_min", "range_max", "range", "range"),
        ("fire_level", "range_max", "fire", "range"),
        ("prealarm_level", "range_max", "prealarm", "range"),
        ("range_min", "low_level", "range", "low"),
        ("baseline_start", "baseline_cap", "baseline", "prealarm"),
    )
    return tuple((a, b) for low, high, a, b in pairs if v[low] >= v[high])


def _beyond(
    kind: Kind, class_name: str, unit: str, values: Mapping[str, float]
) -> tuple[tuple[str, Bound], ...]:
    out = []
    for (of_class, level), bound in kind.bounds.items():
        value = values[f"{level}_level"]
        if of_class != class_name or math.isnan(value):
            continue
        if not quantity.compatible(bound.unit, unit):
            continue
        if not bound.low <= quantity.convert(value, unit, bound.unit) <= bound.high:
            out.append((level, bound))
    return tuple(out)
