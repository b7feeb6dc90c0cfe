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

LEVELS = ("fire", "prealarm", "low")
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
    back: how far below its level a quantity must fall to be clear of it, absolute or a share.
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
_TREND = {
    "trend_slope_per_s": Default(8.3 / 60, "rate of rise 15 °F/min, trade practice under UL 521"),
    "trend_rise": Default(10.0, "own choice: above what heating does to a room; pre-alarm only"),
    "baseline_tau_s": Default(1800.0, "own choice: follows the day, not a fire"),
}
_HEAT = {
    "A1": {
        "fire_level": Default(57.0, "EN 54-5 class A1, 54 to 65 °C; customary fixed set point"),
        "prealarm_level": Default(47.0, "10 K below, as the EBL128 planning instructions have it"),
        "trend_tau_s": Default(20.0, "time constant that reproduces the EN 54-5 A1 limits"),
        "range_min": _COLD,
        **_TREND,
    },
    "A2": {
        "fire_level": Default(60.0, "EN 54-5 class A2, 54 to 70 °C; EBL128 set point of A2"),
        "prealarm_level": Default(50.0, "10 K below, as the EBL128 planning instructions have it"),
        "trend_tau_s": Default(60.0, "time constant that reproduces the EN 54-5 A2 limits"),
        "range_min": _COLD,
        **_TREND,
    },
    "B": {  # kitchens and boiler rooms: heat comes and goes, so there is no trend
        "fire_level": Default(74.0, "EN 54-5 class B, 69 to 85 °C; EBL128 set point of BS"),
        "prealarm_level": Default(64.0, "10 K below, as the EBL128 planning instructions have it"),
        "range_min": _COLD,
    },
}
_TEMPERATURE = ("°C", "°F", "K")
_SMOKE = {
    "fire_level": Default(3.0, "3.0 %/m, EBL128 planning instructions; 0.13 dB/m, EN 54-7"),
    "prealarm_level": Default(2.2, "2.2 %/m, example of the EBL128 planning instructions"),
}
_GAS = {
    "prealarm_level": Default(25.0, "GB/T 50493-2019: first level at most 25 %LEL"),
    "fire_level": Default(50.0, "GB/T 50493-2019: second level at most 50 %LEL"),
    "range_min": Default(-10.0, "own choice: further below zero the sensor has drifted away"),
}

KINDS: dict[str, Kind] = {
    k.name: k
    for k in (
        Kind(
            "heat", Mode.ANALOGUE, _TEMPERATURE, ("fire", "prealarm"), ("fire",), back=5.0,
            classes=_HEAT,
            bounds={
                ("A1", "fire"): Bound(54.0, 65.0, "°C", _EN54_5),
                ("A2", "fire"): Bound(54.0, 70.0, "°C", _EN54_5),
                ("B", "fire"): Bound(69.0, 85.0, "°C", _EN54_5),
            },
        ),
        Kind("smoke", Mode.ANALOGUE, ("%/m", "dB/m"), ("fire", "prealarm"), ("fire",),
             back_share=0.2, defaults=_SMOKE),
        Kind("co", Mode.ANALOGUE, ("ppm",), ("fire", "prealarm"), ("fire",), back_share=0.1),
        Kind(
            "gas", Mode.ANALOGUE, ("%LEL", "ppm", "%vol", "mg/m3"), ("fire", "prealarm"),
            ("fire",), back_share=0.2, defaults=_GAS,
            bounds={
                ("", "prealarm"): Bound(1.0, 25.0, "%LEL", "GB/T 50493-2019, first level"),
                ("", "fire"): Bound(1.0, 50.0, "%LEL", "GB/T 50493-2019, second level"),
            },
        ),
        Kind("water_pressure", Mode.ANALOGUE, ("kPa", "MPa", "bar", "Pa", "mbar", "hPa", "psi"),
             ("low",), ("low",), back_share=0.05),
        Kind("level", Mode.ANALOGUE, ("m", "cm", "mm", "%"), ("low",), ("low",), back_share=0.05),
        Kind(
            "residual_current", Mode.ANALOGUE, ("mA", "A"), ("prealarm", "fire"), ("prealarm",),
            back_share=0.1,
            bounds={("", "prealarm"): Bound(20.0, 1000.0, "mA", "GB 14287.2-2014, settable range")},
        ),
        Kind(
            "cable_temperature", Mode.ANALOGUE, _TEMPERATURE, ("prealarm", "fire"),
            ("prealarm", "fire"), back=5.0, defaults={"range_min": _COLD},
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
                     "activated", "feedback")),
        Kind("manual", Mode.STATE),  # a manual call point
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
        if kind.units and quantity.compatible(kind.units[0], unit):
            values[column] = _in_unit(column, default.value, kind.units[0], unit)
            sources.append((column, default.source))
    named = dict(given)
    values.update(named)
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


def _in_unit(column: str, value: float, base: str, unit: str) -> float:
    """A default in the point's unit; rises and slopes are differences, taus are times."""
    if base == unit or column.endswith("tau_s"):
        return value
    if column in ("trend_slope_per_s", "trend_rise"):
        return quantity.convert(value, base, unit) - quantity.convert(0.0, base, unit)
    return quantity.convert(value, base, unit)


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
    values[column] = float(f"{at + back if level == 'low' else at - back:.12g}")


def _disorder(v: Mapping[str, float]) -> tuple[tuple[str, str], ...]:
    """Pairs (must be smaller, must be larger) of site keys that are not."""
    pairs = (
        ("prealarm_level", "fire_level", "prealarm", "fire"),
        ("fire_clear", "fire_level", "fire_clear", "fire"),
        ("prealarm_clear", "prealarm_level", "prealarm_clear", "prealarm"),
        ("low_level", "low_clear", "low", "low_clear"),
        ("low_level", "prealarm_level", "low", "prealarm"),
        ("low_level", "fire_level", "low", "fire"),
        ("range_min", "range_max", "range", "range"),
        ("fire_level", "range_max", "fire", "range"),
        ("prealarm_level", "range_max", "prealarm", "range"),
        ("range_min", "low_level", "range", "low"),
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
