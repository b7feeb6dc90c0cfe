"""The inverse of the decoder, for tests: values of a poll into a device's memory."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from config.plan import NO_RULE, Poll
from drivers.modbus.values import _BIT_FUNCTIONS, Values, _columns, _Group, _groups, _Index


class PollEncoder:
    """Puts values into a device's memory."""

    def __init__(self, poll: Poll) -> None:
        types, bits = _columns(poll)
        self._is_bits = poll.function in _BIT_FUNCTIONS
        self._address = poll.address
        self._groups = _groups(poll, types, bits)
        self._scales = np.frombuffer(poll.scales, "<f8")
        self._biases = np.frombuffer(poll.biases, "<f8")
        ruled = np.frombuffer(poll.rules, "<u2") != NO_RULE
        self._scales = np.where(ruled, 1.0, self._scales)
        self._biases = np.where(ruled, 0.0, self._biases)

    def encode(self, value: Values, memory: NDArray[np.uint16]) -> None:
        """Write value float64[n] (engineering units; for a point with a rule, its word).

        memory: uint16[65536], one element a register (a bit for functions 1 and 2), in place.
        Integers are rounded and saturate; a NaN becomes the lowest number of a signed type and
        the highest of an unsigned one, the customary sentinels.
        """
        raw = (np.asarray(value, np.float64) - self._biases) / self._scales
        for group in self._groups:
            number = raw if group.to is None else raw[group.to]
            at = group.words + self._address
            if self._is_bits:
                memory[at] = number != 0
            elif group.shift is not None:
                _put_bits(memory, at, group, np.nan_to_num(number))
            else:
                if group.digits:
                    number = np.clip(number, 0, 10**group.digits - 1)
                words = _as_type(number, group.dtype, group.digits).view("<u2")
                memory[at] = words.byteswap() if group.swapped else words


def _put_bits(memory: NDArray[np.uint16], at: _Index, group: _Group, number: Values) -> None:
    assert group.shift is not None
    assert group.mask is not None
    put = np.clip(np.rint(number), 0, group.mask).astype(np.uint16) << group.shift
    mask = group.mask << group.shift
    if group.swapped:
        put, mask = put.byteswap(), mask.byteswap()
    np.bitwise_and.at(memory, at, ~mask)  # unbuffered: many fields may share a register
    np.bitwise_or.at(memory, at, put)


def _to_bcd(number: Values, digits: int) -> NDArray[np.uint64]:
    """The inverse; NaN becomes all ones, which is no decimal number."""
    left = np.nan_to_num(number).astype(np.uint64)
    packed = np.zeros(len(number), np.uint64)
    for place in range(digits):
        packed |= (left % np.uint64(10)) << np.uint64(4 * place)
        left //= np.uint64(10)
    return np.where(np.isnan(number), np.uint64(2**64 - 1), packed)


def _as_type(number: Values, dtype: str, digits: int) -> NDArray[np.generic]:
    if dtype in ("<f4", "<f8"):
        with np.errstate(over="ignore"):
            return number.astype(dtype)
    if digits:
        return _to_bcd(np.rint(number), digits).astype(dtype)
    info = np.iinfo(dtype)
    sentinel = info.min if info.min < 0 else info.max
    below = float(np.nextafter(float(info.max), 0)) if info.bits == 64 else float(info.max)
    whole = np.clip(np.rint(np.nan_to_num(number)), float(info.min), below).astype(dtype)
    # float64 has no 2^64 - 1: the end of the range is set as the integer that it is.
    whole = np.where(number > below, np.array(info.max, dtype), whole)
    return np.where(np.isnan(number), np.array(sentinel, dtype), whole).astype(dtype)
