"""Every value type in every byte and word order, against bytes laid out by hand."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_peers import make_poll
from poll_encoder import PollEncoder

from config.plan import Poll
from config.value_types import NO_BIT, VALUE_TYPES, bit_field, type_width
from config.words import Quality
from drivers.modbus.values import PollDecoder

_CODES = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f",
    "int64": ">q", "uint64": ">Q", "float64": ">d",
}  # fmt: skip
_WIDE = [name for name in VALUE_TYPES if name != "bit"]


def _on_the_wire(name: str, number: float) -> bytes:
    """Written from the meaning of the orders: ABCD, CDAB (_le), BADC (_bs), DCBA (_le_bs)."""
    base, *orders = name.split("_")
    if base.startswith("bcd"):
        data = bytes.fromhex(str(int(number)).zfill(int(base[3:]) // 4))
    else:
        data = struct.pack(_CODES[base], number)
    words = [data[i : i + 2] for i in range(0, len(data), 2)]
    if "le" in orders:
        words.reverse()
    if "bs" in orders:
        words = [word[::-1] for word in words]
    return b"".join(words)


def _single(name: str, bit: int = NO_BIT) -> Poll:
    return replace(make_poll(0, 1, value_type=name), count=type_width(name), bits=bytes([bit]))


@pytest.mark.parametrize("name", _WIDE)
def test_every_type_in_every_order(name: str) -> None:
    for number in (0, 1, 1234) if "u" in name or "bcd" in name else (0, -1, 1234, -1234):
        wire = _on_the_wire(name, number)
        value, quality = PollDecoder(_single(name), ()).decode(wire)
        assert (value[0], quality[0]) == (number, Quality.GOOD)
        memory = np.zeros(65_536, np.uint16)
        PollEncoder(_single(name)).encode(np.array([float(number)]), memory)
        assert memory[: type_width(name)].astype(">u2").tobytes() == wire


@given(st.integers(-(2**53), 2**53), st.sampled_from([n for n in _WIDE if n.startswith("int64")]))
def test_64_bit_integers_are_exact_as_far_as_a_float64_is(number: int, name: str) -> None:
    value, _ = PollDecoder(_single(name), ()).decode(_on_the_wire(name, number))
    assert int(value[0]) == number


@pytest.mark.parametrize(("name", "most"), [("int64", 2**63 - 1), ("uint64", 2**64 - 1)])
def test_64_bit_integers_saturate(name: str, most: int) -> None:
    memory = np.zeros(65_536, np.uint16)
    PollEncoder(_single(name)).encode(np.array([1e30]), memory)
    assert int.from_bytes(memory[:4].astype(">u2").tobytes(), "big") == most


def test_a_digit_above_nine_is_bad() -> None:
    value, quality = PollDecoder(_single("bcd16"), ()).decode(b"\x12\x3a")
    assert quality[0] == Quality.BAD
    assert np.isnan(value[0])


@given(st.integers(0, 0xFFFF), st.integers(0, 15), st.data())
def test_bit_fields(word: int, first: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, 16 - first))
    if (first, width) == (0, 16):
        width = 15
    orders: tuple[tuple[str, Literal["big", "little"]], ...]
    orders = (("uint16", "big"), ("uint16_bs", "little"))
    for name, order in orders:
        wire = word.to_bytes(2, order)
        poll = _single(name, bit_field(first, width))
        value, _ = PollDecoder(poll, ()).decode(wire)
        assert value[0] == word >> first & (1 << width) - 1
        memory = np.zeros(65_536, np.uint16)
        memory[0] = int.from_bytes(wire, "big")
        PollEncoder(poll).encode(np.array([0.0]), memory)
        rest = word & ~(((1 << width) - 1) << first)
        assert int(memory[0]) == int.from_bytes(rest.to_bytes(2, order), "big")
