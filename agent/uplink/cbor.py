"""Strict deterministic CBOR (RFC 8949, 4.2.1), the subset the contract uses.

A signature covers bytes, and a second encoding of the same value would be a second batch. So there
is one: the shortest head, the shortest float, sorted unique keys, definite lengths, and no tags.
cbor2 encodes long columns only: its canonical floats are not the shortest above 32,767. Decoding is
a single pass, and what it returns encodes to the same bytes.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

import cbor2

from agent.uplink.errors import UplinkError
from config.limits import CBOR_DEPTH_MAX, CBOR_ITEMS_MAX

_SIGN1_TAG = 0xD2  # RFC 9052: tag 18, one byte
_MESSAGE_ITEMS = 8
_LONG = 64  # items; below that the call costs more than it saves
_INT_MIN, _INT_MAX = -(2**64), 2**64 - 1
_SIMPLE = {20: False, 21: True, 22: None}


def encode(value: Any) -> bytes:
    """Deterministic CBOR of None, bool, int, float, str, bytes, and lists and maps of them.

    Raises TypeError for anything else, ValueError for a number that needs more than 64 bits.
    """
    out = bytearray()
    _put(out, value)
    return bytes(out)


def _put(out: bytearray, value: Any) -> None:
    if isinstance(value, str):
        text = str(value).encode()
        out += head(0x60, len(text))
        out += text
    elif isinstance(value, bytes):
        out += head(0x40, len(value))
        out += value
    elif value is None or isinstance(value, bool):
        out.append(0xF6 if value is None else 0xF4 + value)
    elif isinstance(value, int):
        if not _INT_MIN <= value <= _INT_MAX:
            raise ValueError(f"{value} needs more than 64 bits")
        out += head(0x00, value) if value >= 0 else head(0x20, -1 - value)
    elif isinstance(value, float):
        out += _float(float(value))
    elif isinstance(value, list | tuple):
        if len(value) > _LONG and all(map(_is_plain, value)):
            out += cbor2.dumps(list(value))  # a column of the table, in C
            return
        out += head(0x80, len(value))
        for item in value:
            _put(out, item)
    elif isinstance(value, dict):
        out += head(0xA0, len(value))
        pairs = ((encode(key), item) for key, item in _distinct(value))
        for key, item in sorted(pairs, key=lambda pair: pair[0]):
            out += key
            _put(out, item)
    else:
        raise TypeError(f"{type(value).__name__} has no place in a message")


def _is_plain(item: Any) -> bool:
    return type(item) is str or (type(item) is int and _INT_MIN <= item <= _INT_MAX)


def _distinct(value: dict[Any, Any]) -> Iterable[tuple[Any, Any]]:
    for key in value:
        if isinstance(key, bool) or not isinstance(key, int | str):
            raise TypeError(f"a key is a number or text, not {type(key).__name__}")
    return value.items()


def head(major: int, count: int) -> bytes:
    """What a value begins with: major type and number in the shortest form (RFC 8949, 3)."""
    if count < 24:
        return bytes((major | count,))
    for info, size in ((24, 1), (25, 2), (26, 4)):
        if count < 1 << (8 * size):
            return bytes((major | info,)) + count.to_bytes(size, "big")
    return bytes((major | 27,)) + count.to_bytes(8, "big")


def _float(value: float) -> bytes:
    if math.isnan(value):
        return b"\xf9\x7e\x00"
    for lead, form in ((0xF9, ">e"), (0xFA, ">f")):
        if _fits(form, value):
            return bytes([lead]) + struct.pack(form, value)
    return b"\xfb" + struct.pack(">d", value)


def decode(data: bytes, *, items_max: int = CBOR_ITEMS_MAX) -> Any:
    """The value of deterministic CBOR that fills `data` exactly.

    Raises UplinkError "malformed". Items and depth are bounded by config.limits.
    """
    decoder = _Decoder(data, items_max)
    value = decoder.item(0)
    if decoder.at != len(data):
        raise UplinkError("malformed", f"{len(data) - decoder.at} bytes follow the CBOR value")
    return value


def split_first(data: bytes, at: int) -> int:
    """Where the tagged message that begins at byte `at` ends. Raises UplinkError "malformed"."""
    decoder = _Decoder(data, _MESSAGE_ITEMS)
    if at >= len(data) or data[at] != _SIGN1_TAG:
        raise UplinkError("malformed", "expected a COSE_Sign1 with tag 18")
    decoder.at = at + 1
    decoder.item(0)
    return decoder.at


class _Decoder:
    """One pass over the bytes; `at` is the next byte."""

    __slots__ = ("at", "data", "left")

    def __init__(self, data: bytes, items_max: int) -> None:
        self.data = data
        self.at = 0
        self.left = items_max

    def item(self, depth: int) -> Any:
        if depth > CBOR_DEPTH_MAX:
            raise self._bad(f"nested deeper than {CBOR_DEPTH_MAX}")
        self.left -= 1
        if self.left < 0:
            raise self._bad("more items than a message may have")
        try:
            first = self.data[self.at]
        except IndexError:
            raise self._bad("the bytes end early") from None
        self.at += 1
        major, info = first >> 5, first & 31
        if major == 7:
            return self._simple(info)
        value = info if info < 24 else self._argument(info)
        if major == 0:
            return value
        if major == 1:
            return -1 - value
        if major == 2:
            return self._take(value)
        if major == 3:
            return self._text(value)
        if major == 4:
            self._room(value)
            return [self.item(depth + 1) for _ in range(value)]
        if major == 5:
            self._room(2 * value)
            return self._map(value, depth)
        raise self._bad("tags are not used here")

    def _argument(self, info: int) -> int:
        if info > 27:
            raise self._bad("indefinite or reserved length")
        size = 1 << (info - 24)
        value = int.from_bytes(self._take(size), "big")
        least = 24 if size == 1 else 1 << (4 * size)
        if value < least:
            raise self._bad("a number is not in its shortest form")
        return value

    def _take(self, size: int) -> bytes:
        end = self.at + size
        if end > len(self.data):
            raise self._bad("the bytes end early")
        part = self.data[self.at : end]
        self.at = end
        return part

    def _text(self, size: int) -> str:
        try:
            return self._take(size).decode()
        except UnicodeDecodeError:
            raise self._bad("text is not UTF-8") from None

    def _room(self, items: int) -> None:
        """Refuse a count that the bytes left cannot hold, before a list is made for it."""
        if items > len(self.data) - self.at:
            raise self._bad("the bytes end early")

    def _map(self, count: int, depth: int) -> dict[Any, Any]:
        out: dict[Any, Any] = {}
        last = b""
        for _ in range(count):
            start = self.at
            key = self.item(depth + 1)
            if type(key) not in (int, str):
                raise self._bad("a key is neither a number nor text")
            raw = self.data[start : self.at]
            if raw <= last:
                raise self._bad("keys are not sorted and unique")
            last = raw
            out[key] = self.item(depth + 1)
        return out

    def _simple(self, info: int) -> Any:
        if info in _SIMPLE:
            return _SIMPLE[info]
        if info == 25:
            return self._half(self._take(2))
        if info == 26:
            raw = self._take(4)
            value: float = struct.unpack(">f", raw)[0]
            if math.isnan(value) or _fits(">e", value):
                raise self._bad("a float is not in its shortest form")
            return value
        if info == 27:
            raw = self._take(8)
            value = struct.unpack(">d", raw)[0]
            if math.isnan(value) or _fits(">f", value):
                raise self._bad("a float is not in its shortest form")
            return value
        raise self._bad("a simple value that is not used here")

    def _half(self, raw: bytes) -> float:
        value: float = struct.unpack(">e", raw)[0]
        if math.isnan(value) and raw != b"\x7e\x00":
            raise self._bad("NaN has one form only")
        return value

    def _bad(self, why: str) -> UplinkError:
        return UplinkError("malformed", f"expected deterministic CBOR; at byte {self.at}: {why}")


def _fits(form: str, value: float) -> bool:
    try:
        return bool(struct.unpack(form, struct.pack(form, value))[0] == value)
    except OverflowError:
        return False
