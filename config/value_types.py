"""How a value lies in registers: types, byte and word orders, bit fields."""

from __future__ import annotations

_FIRST_TYPES = (
    "bit",
    "int16",
    "uint16",
    "int32",
    "uint32",
    "float32",
    "int32_le",
    "uint32_le",
    "float32_le",
)
_ORDERS = ("", "_le", "_bs", "_le_bs")
VALUE_TYPES = (
    *_FIRST_TYPES,
    *(f"{base}_bs" for base in ("int16", "uint16")),
    *(f"{base}{order}" for base in ("int32", "uint32", "float32") for order in _ORDERS[2:]),
    *(f"{base}{order}" for base in ("int64", "uint64", "float64") for order in _ORDERS),
    *(f"bcd16{order}" for order in ("", "_bs")),
    *(f"{base}{order}" for base in ("bcd32", "bcd64") for order in _ORDERS),
)
"""Appended to, never reordered: a plan has indices into it.

`_le`: the low word comes first. `_bs`: the bytes of each 16-bit word are swapped (they are
big-endian as Modbus has them). Of the four bytes ABCD: "" is ABCD, `_le` CDAB, `_bs` BADC and
`_le_bs` DCBA. `bcd`: four decimal digits a word. A value is a float64: a 64-bit integer beyond
2^53 loses its last digits, a float64 nothing.
"""


def type_width(value_type: str) -> int:
    """Registers that a value of this type takes (one bit, for `bit`)."""
    return 2 if "32" in value_type else 4 if "64" in value_type else 1


def bit_field(first: int, width: int = 1) -> int:
    """The element of `Poll.bits` for `width` bits from `first`, 0 the lowest. One bit is `first`.

    NO_BIT would be 16 bits from bit 15, which is none.
    """
    assert 0 <= first < 16
    assert 1 <= width <= 16 - first
    return first | (width - 1) << 4


NO_BIT = 255
