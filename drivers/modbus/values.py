"""From the bytes of a reply to values, vectorised. Pure.

What a poll's columns say (offsets, types, bits, scales, rules) is turned once into index arrays;
a reply then costs a handful of array operations, whatever the number of its points.
Registers are big-endian 16-bit words (Modbus V1.1b3, 4.2); a wide value has its high word
first, or last for the types that end in `_le`; `_bs` swaps the bytes of each word.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.plan import NO_RULE, Poll, WordRule
from config.value_types import NO_BIT, VALUE_TYPES, type_width
from config.words import Quality

Values = NDArray[np.float64]
Qualities = NDArray[np.uint8]
_Index = NDArray[np.intp]

_BIT_FUNCTIONS = (1, 2)
_DTYPES = {
    "int16": "<i2",
    "uint16": "<u2",
    "int32": "<i4",
    "uint32": "<u4",
    "float32": "<f4",
    "int64": "<i8",
    "uint64": "<u8",
    "float64": "<f8",
    "bcd16": "<u2",
    "bcd32": "<u4",
    "bcd64": "<u8",
}


def value_width(value_type: str) -> int:
    """Registers that a value of this type takes (bits, for `bit`)."""
    return type_width(value_type)


def base_type(value_type: str) -> str:
    """The type without its orders: `int32_le_bs` is an `int32`."""
    return value_type.removesuffix("_bs").removesuffix("_le")


def payload_bytes(function: int, count: int) -> int:
    """Length of the data in the reply to a read of `count` registers or bits."""
    return (count + 7) // 8 if function in _BIT_FUNCTIONS else 2 * count


@dataclass(frozen=True, slots=True)
class _Group:
    """Values of one type in one poll: where their words are and where the values go."""

    to: _Index | None  # positions in the poll's value array; None: all of them, in order
    words: _Index  # register (or bit) offsets; of wide values the lowest word first
    dtype: str
    swapped: bool  # the bytes of each word
    digits: int  # of a BCD number; 0 for all else
    shift: NDArray[np.uint16] | None  # first bit of each value, when bit fields are taken
    mask: NDArray[np.uint16] | None  # ... and as many ones as it has bits


@dataclass(frozen=True, slots=True)
class _RuleGroup:
    """Values of one poll that one WordRule translates. Cases are columns: shape [cases, 1]."""

    at: _Index
    width_mask: NDArray[np.int64]  # makes a signed word unsigned, per value
    masks: NDArray[np.int64]
    equals: NDArray[np.int64]
    flags: NDArray[np.int64]
    bad: NDArray[np.int64]  # [n, 2]: mask, equals
    not_ready: NDArray[np.int64]


class PollDecoder:
    """Decodes the replies of one poll.

    point: int32[n], the poll's points, constant. The arrays that `decode` returns may be shared
    by successive blocks (the same bytes give the same arrays): nobody writes to them. They are
    not flagged read-only all the same, because compiled code takes that for another type.
    """

    def __init__(self, poll: Poll, rules: Sequence[WordRule]) -> None:
        self.point: NDArray[np.int32] = np.frombuffer(poll.points, "<u4").astype(np.int32)
        self.payload_bytes = payload_bytes(poll.function, poll.count)
        size = len(self.point)
        types, bits = _columns(poll)
        self._size = size
        self._is_bits = poll.function in _BIT_FUNCTIONS
        self._groups = _groups(poll, types, bits)
        scales, biases = np.frombuffer(poll.scales, "<f8"), np.frombuffer(poll.biases, "<f8")
        self._scales = None if bool((scales == 1.0).all()) else scales.astype(np.float64)
        self._biases = None if bool((biases == 0.0).all()) else biases.astype(np.float64)
        self._floats = any(g.dtype in ("<f4", "<f8") or g.digits for g in self._groups)
        self._rules = _rule_groups(poll, types, rules)
        self._all_good: Qualities = np.full(size, Quality.GOOD, np.uint8)
        self._last: tuple[bytes, Values, Qualities] = (b"", np.empty(0), self._all_good)

    def decode(self, payload: bytes) -> tuple[Values, Qualities]:
        """(value float64[n], quality uint8[n]) of a reply's data.

        `payload` has exactly `payload_bytes` bytes: the matcher accepts no other. A value is NaN
        when its quality is not GOOD: a float that is no number, or a word that the profile calls
        bad or not ready.
        """
        assert len(payload) == self.payload_bytes, (len(payload), self.payload_bytes)
        if payload == self._last[0]:
            return self._last[1], self._last[2]
        raw = self._raw(payload)
        value = raw
        if self._scales is not None:
            value = raw * self._scales
        if self._biases is not None:
            value = value + self._biases
        quality = self._all_good
        if self._floats:
            # A float beyond its range after scaling is as unbelievable as a NaN, or as a decimal
            # digit above 9.
            sound = np.isfinite(value)
            if not sound.all():
                quality = np.where(sound, quality, np.uint8(Quality.BAD))
                value = np.where(sound, value, np.nan)
        if self._rules:
            value, quality = self._translate(raw, value.copy(), quality.copy())
        self._last = (payload, value, quality)
        return value, quality

    def _raw(self, payload: bytes) -> Values:
        """Numbers as the device has them, float64[n]."""
        words: NDArray[np.uint16]
        if self._is_bits:
            octets = np.frombuffer(payload, np.uint8)
            words = np.unpackbits(octets, bitorder="little").astype(np.uint16)
        else:
            words = np.frombuffer(payload, ">u2").astype("<u2")
        raw: Values = np.empty(0) if self._groups[0].to is None else np.empty(self._size)
        for group in self._groups:
            taken = words.take(group.words)
            if group.swapped:
                taken = taken.byteswap()
            number: NDArray[Any] = taken.view(group.dtype)
            if group.shift is not None and group.mask is not None:
                number = (taken >> group.shift) & group.mask
            elif group.digits:
                number = _from_bcd(number, group.digits)
            if group.to is None:
                raw = number.astype(np.float64)
            else:
                raw[group.to] = number
        return raw

    def _translate(
        self, raw: Values, value: Values, quality: Qualities
    ) -> tuple[Values, Qualities]:
        """Words become states: the flags of all matching cases, or-ed."""
        for rule in self._rules:
            words = raw.take(rule.at).astype(np.int64) & rule.width_mask
            if len(rule.flags):  # a rule of sentinels alone leaves the number as it is
                hit = (words & rule.masks) == rule.equals
                value[rule.at] = np.bitwise_or.reduce(np.where(hit, rule.flags, 0), axis=0)
            # Bad outranks not ready: what is absent is not warming up.
            for pairs, verdict in (
                (rule.not_ready, Quality.NOT_READY),
                (rule.bad, Quality.BAD),
            ):
                if len(pairs):
                    told = ((words & pairs[:, :1]) == pairs[:, 1:]).any(axis=0)
                    quality[rule.at[told]] = verdict
                    value[rule.at[told]] = np.nan
        return value, quality


def _from_bcd(packed: NDArray[Any], digits: int) -> Values:
    """Packed decimal digits to numbers; NaN where one of them is above 9."""
    number = np.zeros(len(packed))
    sound = np.ones(len(packed), np.bool_)
    wide = packed.astype(np.uint64)
    for place in reversed(range(digits)):
        digit = (wide >> np.uint64(4 * place)) & np.uint64(0xF)
        number = number * 10 + digit
        sound &= digit <= 9
    return np.where(sound, number, np.nan)


def _columns(poll: Poll) -> tuple[list[str], list[int]]:
    """Type names and bit numbers, checked against the poll: a plan that lies is a defect."""
    size = len(poll.points) // 4
    columns = (
        (poll.offsets, 2), (poll.types, 1), (poll.bits, 1),
        (poll.scales, 8), (poll.biases, 8), (poll.rules, 2),
    )  # fmt: skip
    assert size > 0, "a poll reads at least one point"
    assert all(len(column) == size * width for column, width in columns), "columns differ in length"
    types = [VALUE_TYPES[code] for code in poll.types]
    bits = list(poll.bits)
    for name, offset, bit in zip(types, np.frombuffer(poll.offsets, "<u2"), bits, strict=True):
        assert offset + value_width(name) <= poll.count, (poll.address, offset, name)
        if poll.function in _BIT_FUNCTIONS:
            assert name == "bit", (poll.function, name)
            assert bit == NO_BIT, (poll.function, bit)
        else:
            assert bit == NO_BIT or (bit & 15) + (bit >> 4) < 16, bit
            assert name != "bit" or bit != NO_BIT, "a bit of a register needs its number"
            assert bit == NO_BIT or value_width(name) == 1, (name, bit)
    return types, bits


def _groups(poll: Poll, types: Sequence[str], bits: Sequence[int]) -> tuple[_Group, ...]:
    offsets = np.frombuffer(poll.offsets, "<u2").astype(np.intp)
    in_register = poll.function not in _BIT_FUNCTIONS
    classes: dict[str, list[int]] = {}
    for position, (name, bit) in enumerate(zip(types, bits, strict=True)):
        swap = "_bs" if name.endswith("_bs") else ""
        classes.setdefault(f"bit{swap}" if bit != NO_BIT else name, []).append(position)
    groups = []
    for name, positions in classes.items():
        to = np.array(positions, np.intp)
        words = offsets[to]
        width, base, swapped = value_width(name), base_type(name), name.endswith("_bs")
        if width > 1:
            low_first = name.removesuffix("_bs").endswith("_le")
            steps = np.arange(width) if low_first else np.arange(width)[::-1]
            words = (words[:, np.newaxis] + steps).ravel()
        shift = mask = None
        if base == "bit" and in_register:
            shift = np.array([bits[p] & 15 for p in positions], np.uint16)
            mask = np.array([(2 << (bits[p] >> 4)) - 1 for p in positions], np.uint16)
        digits = 4 * width if base.startswith("bcd") else 0
        alone = len(classes) == 1
        dtype = _DTYPES.get(base, "<u2")
        groups.append(_Group(None if alone else to, words, dtype, swapped, digits, shift, mask))
    return tuple(groups)


def _rule_groups(
    poll: Poll, types: Sequence[str], rules: Sequence[WordRule]
) -> tuple[_RuleGroup, ...]:
    numbers = np.frombuffer(poll.rules, "<u2")
    groups = []
    for number in sorted({int(n) for n in numbers} - {NO_RULE}):
        rule = rules[number]
        at = np.flatnonzero(numbers == number)
        ruled = [types[int(position)] for position in at]
        assert not any(name.startswith(("float", "bcd")) for name in ruled), "a rule reads words"
        assert all(value_width(name) <= 2 for name in ruled), "a rule reads at most 32 bits"
        widths = [16 * value_width(name) for name in ruled]
        cases = np.array(rule.cases, np.int64).reshape(-1, 3)
        groups.append(
            _RuleGroup(
                at,
                np.array([(1 << width) - 1 for width in widths], np.int64),
                cases[:, 0:1],
                cases[:, 1:2],
                cases[:, 2:3],
                np.array(rule.bad, np.int64).reshape(-1, 2),
                np.array(rule.not_ready, np.int64).reshape(-1, 2),
            )
        )
    return tuple(groups)
