"""Strict CBOR: what it takes encodes to the same bytes again, and any bytes are safe."""

from __future__ import annotations

import math

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.uplink import cbor
from agent.uplink.errors import UplinkError

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**64), 2**64 - 1)
    | st.floats(allow_nan=False)
    | st.binary(max_size=40)
    | st.text(max_size=40)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(st.text(max_size=30), inner, max_size=6)
        | st.dictionaries(st.integers(0, 2**32), inner, max_size=6)
    ),
    max_leaves=25,
)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(values)
def test_what_is_encoded_comes_back(value: object) -> None:
    if _depth(value) <= 8:
        assert cbor.decode(cbor.encode(value)) == value


@settings(max_examples=400)
@given(st.binary(max_size=80))
def test_any_bytes_are_a_value_of_one_encoding_or_one_error(data: bytes) -> None:
    try:
        value = cbor.decode(data)
    except UplinkError as e:
        assert e.code == "malformed"  # noqa: PT017 -- bytes that are a value are as good
    else:
        assert cbor.encode(value) == data


@settings(max_examples=300)
@given(values, st.data())
def test_a_changed_encoding_is_refused_or_another_value(value: object, data: st.DataObject) -> None:
    encoded = bytearray(cbor.encode(value))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        found = cbor.decode(bytes(encoded))
    except UplinkError:
        return
    assert cbor.encode(found) == bytes(encoded)


@pytest.mark.parametrize(
    "hexed",
    [
        "1800",  # 0 in two bytes
        "190017",  # 23 in three
        "1a0000ffff",
        "1b00000000ffffffff",
        "5f41004100ff",  # indefinite length
        "9f00ff",
        "bf6161f6ff",
        "a2616200616100",  # keys not sorted
        "a2616100616100",  # a key twice
        "a14100f6",  # a key of bytes
        "c000",  # a tag
        "d9d9f700",
        "f7",  # undefined
        "f820",
        "fb3ff0000000000000",  # 1.0 as float64
        "fa3f800000",
        "fa7fc00000",  # NaN as float32
        "f97e01",
        "61ff",  # not UTF-8
        "0000",  # two values
        "",
        "9b7fffffffffffffff",  # an array that cannot fit
        "5b7fffffffffffffff",
        "81" * 9 + "00",  # nested too deep
    ],
)
def test_another_encoding_of_a_value_is_refused(hexed: str) -> None:
    with pytest.raises(UplinkError) as caught:
        cbor.decode(bytes.fromhex(hexed))
    assert caught.value.code == "malformed"


def test_items_are_bounded() -> None:
    with pytest.raises(UplinkError):
        cbor.decode(cbor2.dumps([0] * 100), items_max=100)
    assert cbor.decode(cbor2.dumps([0] * 100), items_max=101) == [0] * 100


def test_nan_has_one_form() -> None:
    assert math.isnan(cbor.decode(bytes.fromhex("f97e00")))


def test_messages_in_a_row_are_split_where_they_end() -> None:
    one = b"\xd2" + cbor2.dumps([b"a", {}, b"b" * 300, b"c"])
    assert cbor.split_first(one + one, 0) == len(one)
    assert cbor.split_first(one + one, len(one)) == 2 * len(one)
    for bad in (one[:-1], b"\x80", b""):
        with pytest.raises(UplinkError):
            cbor.split_first(bad, 0)


@given(st.floats(allow_nan=False) | st.floats(width=16, allow_nan=False) | st.floats(width=32))
def test_every_float_has_its_shortest_form(value: float) -> None:
    encoded = cbor.encode(value)
    back = cbor.decode(encoded)
    assert back == value or math.isnan(value)
    assert math.copysign(1, back) == math.copysign(1, value) or math.isnan(value)
    assert cbor2.loads(encoded) == value or math.isnan(value)


def test_a_half_float_above_32767_is_a_half_float() -> None:
    assert cbor.encode(40_000.0).hex() == "f978e2"
    assert cbor.decode(bytes.fromhex("f978e2")) == 40_000.0


@pytest.mark.parametrize("value", [{1, 2}, object(), {None: 1}, {True: 1}, {b"x": 1}, 1j])
def test_what_has_no_place_in_a_message_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError):
        cbor.encode([value])


@pytest.mark.parametrize("value", [2**64, -(2**64) - 1])
def test_a_number_of_more_than_64_bits_is_a_value_error(value: int) -> None:
    for wrapped in (value, [value, 1], {"a": value}):
        with pytest.raises(ValueError, match="64 bits"):
            cbor.encode(wrapped)


@given(values)
def test_cbor2_reads_what_we_write(value: object) -> None:
    assert cbor2.loads(cbor.encode(value)) == value
