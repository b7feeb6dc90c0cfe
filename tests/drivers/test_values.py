"""Values: every type against struct, rules case by case, and the simulator's inverse."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from poll_encoder import PollEncoder

from config.limits import MS
from config.plan import NO_RULE, Poll, WordRule
from config.value_types import NO_BIT, VALUE_TYPES
from config.words import Flag, Quality
from drivers.modbus.values import PollDecoder, payload_bytes, value_width

_FORMATS = {
    "int16": ">h", "uint16": ">H", "int32": ">i", "uint32": ">I", "float32": ">f",
    "int32_le": ">i", "uint32_le": ">I", "float32_le": ">f",
}  # fmt: skip

Row = tuple[int, str, int, float, float, int]


def _poll(rows: list[Row], *, function: int = 3, count: int = 125, address: int = 0) -> Poll:
    """rows: (offset, type, bit, scale, bias, rule)."""
    offsets, types, bits, scales, biases, rules = zip(*rows, strict=True)
    return Poll(
        0, function, address, count, 100 * MS, True,
        np.arange(7, 7 + len(rows), dtype="<u4").tobytes(),
        np.array(offsets, "<u2").tobytes(),
        bytes(VALUE_TYPES.index(t) for t in types), bytes(bits),
        np.array(scales, "<f8").tobytes(), np.array(biases, "<f8").tobytes(),
        np.array(rules, "<u2").tobytes(),
    )  # fmt: skip


def _by_hand(payload: bytes, row: Row) -> float:
    offset, name, bit, scale, bias, _ = row
    data = payload[2 * offset : 2 * offset + 2 * value_width(name)]
    if bit != NO_BIT:
        raw: float = struct.unpack(">H", data)[0] >> bit & 1
    else:
        if name.endswith("_le"):
            data = data[2:] + data[:2]
        raw = struct.unpack(_FORMATS[name], data)[0]
    return float(raw * scale + bias)


@st.composite
def _rows(draw: st.DrawFn) -> list[Row]:
    row = st.one_of(
        st.tuples(
            st.integers(0, 18),
            st.sampled_from(sorted(_FORMATS)),
            st.just(NO_BIT),
            st.sampled_from([1.0, 0.1, -2.5]),
            st.sampled_from([0.0, -40.0]),
            st.just(NO_RULE),
        ),
        st.tuples(
            st.integers(0, 18), st.just("bit"), st.integers(0, 15),
            st.just(1.0), st.just(0.0), st.just(NO_RULE),
        ),
    )  # fmt: skip
    return draw(st.lists(row, min_size=1, max_size=25))


@settings(max_examples=300, deadline=None)
@given(_rows(), st.binary(min_size=40, max_size=40))
def test_every_type_is_what_struct_says(rows: list[Row], payload: bytes) -> None:
    decoder = PollDecoder(_poll(rows, count=20), ())
    value, quality = decoder.decode(payload)
    assert decoder.point.tolist() == list(range(7, 7 + len(rows)))
    assert value.dtype == np.float64
    assert quality.dtype == np.uint8
    for row, got, verdict in zip(rows, value, quality, strict=True):
        expected = _by_hand(payload, row)
        if math.isfinite(expected):
            assert verdict == Quality.GOOD
            assert got == pytest.approx(expected, rel=1e-12, abs=1e-12)
        else:
            assert verdict == Quality.BAD
            assert math.isnan(got)


@pytest.mark.parametrize("function", [1, 2])
@given(payload=st.binary(min_size=4, max_size=4))
def test_coils_come_low_bit_first(function: int, payload: bytes) -> None:
    rows = [(offset, "bit", NO_BIT, 1.0, 0.0, NO_RULE) for offset in (0, 1, 9, 25)]
    poll = _poll(rows, function=function, count=26)
    assert payload_bytes(function, 26) == 4
    value, _ = PollDecoder(poll, ()).decode(payload)
    assert value.tolist() == [payload[o // 8] >> (o % 8) & 1 for o in (0, 1, 9, 25)]


NOTIFIER = WordRule(
    cases=(
        (0x0800 | 0xFF, 0x0800 | 0x10, Flag.FIRE),
        (0x4000, 0x4000, Flag.PREALARM),
        (0x2000, 0x2000, Flag.FAULT),
        (0x0200, 0x0200, Flag.DISABLED),
    ),
    bad=((0xFFFF, 0x00FF),),
    not_ready=((0x0001, 0x0001),),
)


@pytest.mark.parametrize(
    ("word", "flags", "quality"),
    [
        (0x0400, Flag.NONE, Quality.GOOD),
        (0x0810, Flag.FIRE, Quality.GOOD),
        (0x2810, Flag.FIRE | Flag.FAULT, Quality.GOOD),
        (0x4200, Flag.PREALARM | Flag.DISABLED, Quality.GOOD),
        (0x0840, Flag.NONE, Quality.GOOD),
        (0x00FF, None, Quality.BAD),  # not programmed; bad outranks not ready
        (0x2001, None, Quality.NOT_READY),
    ],
)
def test_a_word_becomes_flags(word: int, flags: Flag | None, quality: Quality) -> None:
    rows = [
        (0, "uint16", NO_BIT, 1.0, 0.0, NO_RULE),
        (1, "uint16", NO_BIT, 0.5, 9.0, 0),  # scale and bias mean nothing to a word
        (2, "int16", NO_BIT, 1.0, 0.0, 0),
    ]
    decoder = PollDecoder(_poll(rows, count=3), (NOTIFIER,))
    value, got = decoder.decode(struct.pack(">3H", 77, word, word))
    assert value[0] == 77
    assert got.tolist() == [Quality.GOOD, quality, quality]
    for number in value[1:]:
        assert math.isnan(number) if flags is None else number == flags


def test_a_rule_reads_the_high_bit_of_signed_words_and_single_bits() -> None:
    rule = WordRule(cases=((0x8000_0000, 0x8000_0000, Flag.FIRE), (1, 1, Flag.FAULT)))
    rows = [
        (0, "int32", NO_BIT, 1.0, 0.0, 0),
        (2, "bit", 3, 1.0, 0.0, 0),
        (2, "bit", 4, 1.0, 0.0, 0),
    ]
    value, quality = PollDecoder(_poll(rows, count=3), (rule,)).decode(
        struct.pack(">IH", 0x8000_0000, 0x0008)
    )
    assert value.tolist() == [Flag.FIRE, Flag.FAULT, Flag.NONE]
    assert not quality.any()


def test_blocks_already_given_do_not_change() -> None:
    rows = [(0, "uint16", NO_BIT, 1.0, 0.0, NO_RULE), (1, "float32", NO_BIT, 1.0, 0.0, NO_RULE)]
    decoder = PollDecoder(_poll(rows, count=3), ())
    first = decoder.decode(struct.pack(">Hf", 1, math.nan))
    second = decoder.decode(struct.pack(">Hf", 2, 4.0))
    assert first[0][0] == 1
    assert first[1].tolist() == [Quality.GOOD, Quality.BAD]
    assert second[0].tolist() == [2, 4.0]
    assert second[1].tolist() == [Quality.GOOD, Quality.GOOD]
    for array in (decoder.point, *first, *second):
        # What a kernel with a fixed signature takes: contiguous, aligned, not flagged read-only.
        assert array.flags.carray


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(-32768, 32767), min_size=9, max_size=9))
def test_the_encoder_is_the_inverse(raw: list[int]) -> None:
    rows = [
        (0, "int16", NO_BIT, 0.1, -40.0, NO_RULE),
        (1, "int32_le", NO_BIT, 2.0, 0.0, NO_RULE),
        (3, "float32", NO_BIT, 1.0, 0.0, NO_RULE),
        (5, "int32", NO_BIT, 1.0, 0.0, NO_RULE),
        (7, "float32_le", NO_BIT, 1.0, 0.0, NO_RULE),
        (9, "bit", 0, 1.0, 0.0, NO_RULE),
        (9, "bit", 15, 1.0, 0.0, NO_RULE),
        (10, "bit", 2, 1.0, 0.0, NO_RULE),
        (11, "int16", NO_BIT, 1.0, 0.0, NO_RULE),
    ]
    poll = _poll(rows, count=12, address=100)
    scale = np.array([row[3] for row in rows])
    bias = np.array([row[4] for row in rows])
    number = np.array([r & 1 if row[1] == "bit" else r for r, row in zip(raw, rows, strict=True)])
    memory = np.full(65_536, 0xAAAA, np.uint16)
    PollEncoder(poll).encode(number * scale + bias, memory)
    payload = memory[100:112].astype(">u2").tobytes()
    value, quality = PollDecoder(poll, ()).decode(payload)
    assert value == pytest.approx(number * scale + bias)
    assert not quality.any()
    assert set(memory[:100]) == {0xAAAA}
    assert memory[109] & 0x7FFE == 0xAAAA & 0x7FFE  # neighbours of the bits are untouched


def test_the_encoder_saturates_and_has_sentinels() -> None:
    rows = [
        (0, "int16", NO_BIT, 1.0, 0.0, NO_RULE),
        (1, "uint16", NO_BIT, 1.0, 0.0, NO_RULE),
        (2, "float32", NO_BIT, 1.0, 0.0, NO_RULE),
    ]
    memory = np.zeros(65_536, np.uint16)
    encoder = PollEncoder(_poll(rows, count=4))
    encoder.encode(np.array([1e9, -5.0, 1e300]), memory)
    assert memory[:4].tolist() == [0x7FFF, 0, 0x7F80, 0]
    encoder.encode(np.full(3, np.nan), memory)
    assert memory[:3].tolist() == [0x8000, 0xFFFF, 0x7FC0]


def test_the_encoder_writes_coils() -> None:
    rows = [(0, "bit", NO_BIT, 1.0, 0.0, NO_RULE), (3, "bit", NO_BIT, 1.0, 0.0, NO_RULE)]
    memory = np.zeros(65_536, np.uint16)
    PollEncoder(_poll(rows, function=2, count=4, address=8)).encode(np.array([1.0, 1.0]), memory)
    assert np.flatnonzero(memory).tolist() == [8, 11]
