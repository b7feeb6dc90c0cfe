"""Quantities: a number and its unit, `500ms`, `150kPa`, `57°C`, `25%LEL`.

Units of one dimension convert into each other; nothing else does. Texts are read after NFKC
normalisation, so the single-character `℃`, the full-width `％` and `m³/h` read as they look.
"""

from __future__ import annotations

import math
import re
import unicodedata
from dataclasses import dataclass

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?")


@dataclass(frozen=True, slots=True)
class Unit:
    """base = value * factor + bias, in the base unit of the dimension."""

    symbol: str
    dimension: str
    factor: float = 1.0
    bias: float = 0.0


_TABLE: dict[str, list[tuple[str, float, float]]] = {
    "time": [
        ("ns", 1, 0),
        ("us", 1e3, 0),
        ("ms", 1e6, 0),
        ("s", 1e9, 0),
        ("min", 60e9, 0),
        ("h", 3600e9, 0),
    ],
    "temperature": [("°C", 1, 0), ("K", 1, -273.15), ("°F", 5 / 9, -160 / 9)],
    "pressure": [
        ("Pa", 1, 0),
        ("hPa", 100, 0),
        ("kPa", 1e3, 0),
        ("MPa", 1e6, 0),
        ("bar", 1e5, 0),
        ("mbar", 100, 0),
        ("psi", 6894.757293168, 0),
    ],
    "length": [("mm", 1e-3, 0), ("cm", 1e-2, 0), ("m", 1, 0)],
    "share": [("%", 1, 0)],
    "explosive": [("%LEL", 1, 0)],
    "explosive_path": [("LEL·m", 1, 0)],
    "volume_share": [("ppb", 1e-3, 0), ("ppm", 1, 0), ("%vol", 1e4, 0)],
    "mass_concentration": [("mg/m3", 1, 0)],
    "current": [("uA", 1e-3, 0), ("mA", 1, 0), ("A", 1e3, 0)],
    "smoke_share": [("%/m", 1, 0)],  # no linear relation to dB/m: they do not convert
    "smoke_decibel": [("dB/m", 1, 0)],
    "flow": [("L/min", 1, 0), ("L/s", 60, 0), ("m3/h", 1000 / 60, 0)],
    "voltage": [("mV", 1e-3, 0), ("V", 1, 0), ("kV", 1e3, 0)],
    "power": [("W", 1, 0), ("kW", 1e3, 0), ("MW", 1e6, 0)],
    "energy": [("Wh", 1, 0), ("kWh", 1e3, 0)],
    "frequency": [("Hz", 1, 0)],
    "speed": [("rpm", 1, 0), ("m/s", 60, 0)],
    "humidity": [("%RH", 1, 0)],
    "resistance": [("Ohm", 1, 0), ("kOhm", 1e3, 0), ("MOhm", 1e6, 0)],
    "volume": [("L", 1, 0), ("m3", 1e3, 0)],
    "count": [("1", 1, 0)],
}
UNITS: dict[str, Unit] = {
    symbol: Unit(symbol, dimension, factor, bias)
    for dimension, rows in _TABLE.items()
    for symbol, factor, bias in rows
}


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and the unit written after it; "" when none was written."""

    value: float
    unit: str


def normalise(text: str) -> str:
    """NFKC, micro and ohm signs as letters, no blanks around."""
    text = unicodedata.normalize("NFKC", text).strip()
    return text.replace("μ", "u").replace("Ω", "Ohm")


def parse(text: str) -> Quantity | None:
    """`57°C`, `57 °C` or `57`; None when it does not start with a finite number."""
    text = normalise(text)
    match = NUMBER.match(text)
    if match is None:
        return None
    value = float(match.group())
    return Quantity(value, text[match.end() :].strip()) if math.isfinite(value) else None


def units_of(dimension: str) -> tuple[str, ...]:
    """The symbols of one dimension, as a person writes them."""
    return tuple(u.symbol for u in UNITS.values() if u.dimension == dimension)


def compatible(a: str, b: str) -> bool:
    """Whether a quantity in `a` can be given where `b` is meant."""
    return a in UNITS and b in UNITS and UNITS[a].dimension == UNITS[b].dimension


def convert(value: float, unit: str, into: str) -> float:
    """`value` of `unit` expressed in `into`, rounded to 12 significant digits.

    Both must be of one dimension (assert).
    """
    if unit == into:
        return value
    source, target = UNITS[unit], UNITS[into]
    assert source.dimension == target.dimension, (unit, into)
    out = (value * source.factor + source.bias - target.bias) / target.factor
    return float(f"{out:.12g}")


def number_text(value: float) -> str:
    """A number as a person writes it: `57`, `0.15`."""
    return f"{value:.12g}"


def time_text(ns: int) -> str:
    """`500000000` as `500ms`."""
    for symbol in ("h", "min", "s", "ms", "us"):
        factor = int(UNITS[symbol].factor)
        if ns % factor == 0 and ns:
            return f"{ns // factor}{symbol}"
    return f"{ns}ns"
