"""Where a point lives in a device's memory, and how its number or state becomes raw words.

This is the device's side of a register map, written from the plan's definition of a poll
(`config.plan.Poll`) alone: it shares no code with the gateway's decoder, so that the two can
disagree and a test can see it.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.plan import WordRule
from config.value_types import NO_BIT, VALUE_TYPES


class SimulatorError(Exception):
    """The simulator was asked for what it cannot do. The text says what, and what it can."""


@dataclass(frozen=True, slots=True)
class Field:
    """One place of one point.

    word: index of its first word in the simulator's memory. type: one of VALUE_TYPES.
    bit: 0..15 of the word, or NO_BIT for the whole. value = raw * scale + bias.
    """

    device: int
    function: int
    address: int
    word: int
    type: str
    bit: int
    scale: float
    bias: float
    rule: WordRule | None

    @property
    def width(self) -> int:
        """How many words it takes."""
        return 2 if "32" in self.type else 4 if "64" in self.type else 1

    @property
    def field_bits(self) -> int:
        """Width of a bit field, whose first bit is `bit & 15`."""
        return (self.bit >> 4) + 1

    @property
    def single_bit(self) -> bool:
        """Whether only 0 and 1 fit."""
        return self.type == "bit" or (self.bit != NO_BIT and self.field_bits == 1)


RAW_LIMITS: dict[str, tuple[int, int]] = {
    "int16": (-0x8000, 0x7FFF),
    "uint16": (0, 0xFFFF),
    "int32": (-0x8000_0000, 0x7FFF_FFFF),
    "uint32": (0, 0xFFFF_FFFF),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
    "bcd16": (0, 9_999),
    "bcd32": (0, 99_999_999),
    "bcd64": (0, 9_999_999_999_999_999),
}
"""What a raw integer of each base type can be."""


def base_type(value_type: str) -> str:
    """The type without its word order: `int32_le` is an `int32`."""
    assert value_type in VALUE_TYPES, f"not a value type: {value_type}"
    return value_type.partition("_")[0]


def words_of(field: Field, raw: float) -> tuple[int, ...]:
    """Raw number (an integer, or the float itself) to the words on the wire, in wire order."""
    base, size = base_type(field.type), 2 * field.width
    if base.startswith("float"):
        data = struct.pack(_FLOATS[base], raw)
    elif base.startswith("bcd"):
        data = bytes.fromhex(f"{int(raw):0{2 * size}d}")
    else:
        data = (int(raw) % (1 << 8 * size)).to_bytes(size, "big")
    return _ordered(struct.unpack(f">{field.width}H", data), field.type)


_FLOATS = {"float32": ">f", "float64": ">d"}


def _ordered(words: tuple[int, ...], value_type: str) -> tuple[int, ...]:
    """Between the plain order and the one on the wire; its own inverse."""
    orders = value_type.split("_")[1:]
    if "bs" in orders:
        words = tuple((w & 0xFF) << 8 | w >> 8 for w in words)
    return words[::-1] if "le" in orders else words


def raw_of(field: Field, words: NDArray[np.uint16]) -> float:
    """The words on the wire to the raw number: an integer value, or the float32."""
    base = base_type(field.type)
    plain = _ordered(tuple(int(w) for w in words), field.type)
    if field.bit != NO_BIT:
        return (plain[0] >> (field.bit & 15)) & ((1 << field.field_bits) - 1)
    data = struct.pack(f">{len(plain)}H", *plain)
    if base in _FLOATS:
        return float(struct.unpack(_FLOATS[base], data)[0])
    if base.startswith("bcd"):
        return int(data.hex()) if data.hex().isdecimal() else math.nan
    return int.from_bytes(data, "big", signed=base.startswith("int"))


def raw_for(field: Field, value: float, *, clamp: bool = False) -> float:
    """Engineering value to raw: the inverse of value = raw * scale + bias, rounded to a step.

    `clamp` saturates at the type's limits, as a sensor does; otherwise a value that does not fit
    is a SimulatorError. The value must be finite, except in a float32.
    """
    raw = (value - field.bias) / field.scale
    base = base_type(field.type)
    if base in _FLOATS and field.bit == NO_BIT:
        limit = float(np.finfo(base).max)
        if math.isfinite(raw) and abs(raw) > limit:
            raw = math.copysign(limit, raw)
        return raw
    if not math.isfinite(raw):
        raise SimulatorError(f"expected a finite value, found {value!r}")
    low, high = (0, 1) if field.type == "bit" else RAW_LIMITS[base]
    if field.bit != NO_BIT:
        low, high = 0, (1 << field.field_bits) - 1
    nearest = round(raw)
    if low <= nearest <= high:
        return nearest
    if clamp:
        return min(max(nearest, low), high)
    first, last = sorted((low * field.scale + field.bias, high * field.scale + field.bias))
    raise SimulatorError(
        f"expected a value from {first:g} to {last:g}, what fits its {field.type} "
        f"register, found {value!r}"
    )


def sentinel_raw(field: Field) -> float:
    """What a dead sensor leaves in the register when no rule says so: NaN, 8000h or FFFFh."""
    base = base_type(field.type)
    if base in _FLOATS:
        return math.nan
    if field.single_bit:
        raise SimulatorError("a single bit has no way to say that its sensor is dead")
    low, high = RAW_LIMITS[base]
    return low if low < 0 else high
