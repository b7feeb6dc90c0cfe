"""Quantities and registers."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config import quantity
from config.registers import ADDRESS_MAX, long_form, parse_register, short_form


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("500ms", 500, "ms"), ("57 °C", 57, "°C"), ("57℃", 57, "°C"), ("25％LEL", 25, "%LEL"),
        ("-1.5e2kPa", -150, "kPa"), ("5", 5, ""), (".5m³/h", 0.5, "m3/h"), ("5μA", 5, "uA"),
    ],
)  # fmt: skip
def test_parse(text: str, value: float, unit: str) -> None:
    assert quantity.parse(text) == quantity.Quantity(value, unit)


@pytest.mark.parametrize("text", ["", "kPa", "nan", ".inf", "1e999s", "--5s", "five"])
def test_no_number(text: str) -> None:
    assert quantity.parse(text) is None


@given(st.text(max_size=40))
def test_any_text(text: str) -> None:
    found = quantity.parse(text)
    assert found is None or math.isfinite(found.value)


@pytest.mark.parametrize(
    ("value", "unit", "into", "expected"),
    [
        (150, "kPa", "MPa", 0.15), (1.5, "bar", "kPa", 150), (57, "°C", "°F", 134.6),
        (0, "°C", "K", 273.15), (3.6, "m3/h", "L/s", 1), (2, "min", "s", 120),
        (0.3, "A", "mA", 300),
    ],
)  # fmt: skip
def test_convert(value: float, unit: str, into: str, expected: float) -> None:
    assert quantity.convert(value, unit, into) == pytest.approx(expected, rel=1e-11)
    assert quantity.convert(expected, into, unit) == pytest.approx(value, rel=1e-11, abs=1e-9)


def test_smoke_units_do_not_convert() -> None:
    assert not quantity.compatible("%/m", "dB/m")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("input 0", (4, 0)), ("30001", (4, 0)), ("300001", (4, 0)), ("holding 12", (3, 12)),
        ("40013", (3, 12)), ("465536", (3, 65535)), ("coil 3", (1, 3)), ("00004", (1, 3)),
        ("discrete 4", (2, 4)), ("10005", (2, 4)), ("input  65535", (4, 65535)),
    ],
)  # fmt: skip
def test_register_forms(text: str, expected: tuple[int, int]) -> None:
    assert parse_register(text) == expected


@pytest.mark.parametrize(
    "text", ["", "5", "40000", "50001", "20001", "input", "input -1", "input 65536", "465537",
             "4000001", "holding 1.5", "４０００１", "inptu 0"],
)  # fmt: skip
def test_not_registers(text: str) -> None:
    assert parse_register(text) is None


@given(st.integers(1, 4), st.integers(0, ADDRESS_MAX))
def test_both_forms_say_the_same(function: int, address: int) -> None:
    assert parse_register(short_form(function, address)) == (function, address)
    assert parse_register(long_form(function, address)) == (function, address)
