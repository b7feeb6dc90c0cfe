"""Columns of whole numbers as byte planes: the innermost codec of telemetry (docs/uplink.md).

A column of n unsigned 64-bit numbers is cut into planes, plane k holding byte k of every number;
planes above the highest byte in use are left out. A plane of few different symbols is packed
several to a byte and, where that makes it smaller, deflated. A random walk of one step costs
1.6 bits a number: a Huffman code alone would need 2.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.uplink import check
from agent.uplink.errors import UplinkError
from agent.uplink.table import inflate

U64 = NDArray[np.uint64]
Unsigned = NDArray[np.unsignedinteger[Any]]
I64 = NDArray[np.int64]

_PACKINGS = ((1, 0), (2, 8), (3, 5), (4, 4), (6, 3), (16, 2), (256, 1))
"""(symbols, symbols a byte); the position is the packing's number on the wire."""
_DEFLATED = 0x80
_STRUCTURE = 0.6  # when run lengths alone shrink a plane this far, a search for repeats pays


def zigzag(values: I64) -> U64:
    """0, -1, 1, -2, ... as 0, 1, 2, 3, ...: small numbers of either sign become small."""
    return ((values << 1) ^ (values >> 63)).view(np.uint64)


def unzigzag(values: U64) -> I64:
    """The inverse of zigzag()."""
    one = np.uint64(1)
    return ((values >> one) ^ (np.uint64(0) - (values & one))).view(np.int64)


def narrow(values: U64) -> Unsigned:
    """The same numbers in the smallest type that holds them: a column of steps takes an eighth."""
    most = int(values.max()) if len(values) else 0
    for kind in (np.uint8, np.uint16, np.uint32):
        if most <= np.iinfo(kind).max:
            return values.astype(kind)
    return values


def encode_planes(values: Unsigned) -> list[bytes]:
    """The planes of a column of unsigned numbers, lowest byte first. Shape (n,)."""
    if not len(values):
        return []
    used = (int(values.max()).bit_length() + 7) // 8
    little = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    split = little.view(np.uint8).reshape(-1, values.dtype.itemsize)
    return [_encode_plane(np.ascontiguousarray(split[:, k])) for k in range(used)]


def decode_planes(value: Any, count: int) -> U64:
    """A column of `count` numbers. Raises UplinkError "malformed".

    The caller has bounded `count`: a plane never inflates to more than it needs.
    """
    planes = check.array(value, "planes")
    if len(planes) > 8:
        raise UplinkError("malformed", f"expected at most 8 planes, found {len(planes)}")
    out = np.zeros((count, 8), dtype=np.uint8)
    for k, plane in enumerate(planes):
        out[:, k] = _decode_plane(check.raw(plane, "plane"), count)
    return out.view("<u8").reshape(-1)


def encode_bytes(values: NDArray[np.uint8]) -> bytes:
    """One plane of its own: shape (n,)."""
    return _encode_plane(values) if len(values) else b""


def decode_bytes(value: Any, count: int) -> NDArray[np.uint8]:
    """The inverse of encode_bytes(). Raises UplinkError "malformed"."""
    return _decode_plane(check.raw(value, "plane"), count)


def _encode_plane(symbols: NDArray[np.uint8]) -> bytes:
    low, high = int(symbols.min()), int(symbols.max())
    number = next(i for i, (base, _) in enumerate(_PACKINGS) if high - low < base)
    base, per_byte = _PACKINGS[number]
    if per_byte == 0:
        return bytes((number, low))
    if per_byte == 1:
        low, packed = 0, symbols.tobytes()
    else:
        padded = np.zeros(-(-len(symbols) // per_byte) * per_byte, dtype=np.uint8)
        padded[: len(symbols)] = symbols - low
        digits = padded.reshape(-1, per_byte)
        total = digits[:, 0].copy()
        for k in range(1, per_byte):
            total *= np.uint8(base)
            total += digits[:, k]
        packed = total.tobytes()
    squeezed = _deflate(packed, 1, zlib.Z_RLE)
    if len(squeezed) < len(packed) * _STRUCTURE:
        squeezed = min(squeezed, _deflate(packed, 6, zlib.Z_DEFAULT_STRATEGY), key=len)
    if len(squeezed) < len(packed):
        return bytes((number | _DEFLATED, low)) + squeezed
    return bytes((number, low)) + packed


def _deflate(data: bytes, level: int, strategy: int) -> bytes:
    stream = zlib.compressobj(level, zlib.DEFLATED, -15, 9, strategy)
    return stream.compress(data) + stream.flush()


def _decode_plane(plane: bytes, count: int) -> NDArray[np.uint8]:
    if count == 0 and not plane:
        return np.zeros(0, dtype=np.uint8)
    if len(plane) < 2 or (plane[0] & ~_DEFLATED) >= len(_PACKINGS):
        raise UplinkError("malformed", "plane: expected a packing that is defined")
    base, per_byte = _PACKINGS[plane[0] & ~_DEFLATED]
    low = plane[1]
    if per_byte == 0:
        if len(plane) != 2 or plane[0] & _DEFLATED:
            raise UplinkError("malformed", "plane: a constant has no data")
        return np.full(count, low, dtype=np.uint8)
    size = -(-count // per_byte)
    packed = inflate(plane[2:], size) if plane[0] & _DEFLATED else plane[2:]
    if len(packed) != size:
        raise UplinkError("malformed", f"plane: expected {size} bytes, found {len(packed)}")
    if low + base > 256 and base == 256:
        raise UplinkError("malformed", "plane: whole bytes have no offset")
    rest = np.frombuffer(packed, dtype=np.uint8)
    if per_byte == 1:
        return rest
    digits = np.empty((size, per_byte), dtype=np.uint8)
    for k in range(per_byte - 1, -1, -1):
        rest, digits[:, k] = rest // base, rest % base
    if rest.any():
        raise UplinkError("malformed", "plane: a byte holds more than its symbols")
    symbols = digits.reshape(-1)
    if symbols[count:].any():
        raise UplinkError("malformed", "plane: its last byte is not filled up with zeros")
    if low + base > 256 and count and int(symbols[:count].max()) + low > 255:
        raise UplinkError("malformed", "plane: a symbol is more than a byte")
    return symbols[:count] + np.uint8(low)
