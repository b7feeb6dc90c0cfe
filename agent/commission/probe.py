"""Any register in all plausible types and word orders at once."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from config.limits import MODBUS_READ_BITS_MAX, MODBUS_READ_REGISTERS_MAX
from drivers.modbus.frame import read_query
from drivers.modbus.single import SingleAsker

ORDERS = {"ABCD": (0, 1, 2, 3), "CDAB": (2, 3, 0, 1), "BADC": (1, 0, 3, 2), "DCBA": (3, 2, 1, 0)}
"""Byte orders of 32 bits: ABCD is big-endian, CDAB has the low word first (word_order)."""

_ILLEGAL_ADDRESS = 2
_ENCODINGS = ("ascii", "utf-8", "gb18030")
_PLAUSIBLE_LOW, _PLAUSIBLE_HIGH = 1e-4, 1e7


@dataclass(frozen=True, slots=True)
class Seen:
    """What stands at one address: a word or a bit, or why there is none."""

    address: int
    word: int | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Reading32:
    """Two neighbouring words as 32 bits, in one byte order."""

    order: str
    uint32: int
    int32: int
    float32: float

    @property
    def plausible(self) -> bool:
        """Whether the float looks like a measurement."""
        size = abs(self.float32)
        return self.float32 == 0.0 or _PLAUSIBLE_LOW <= size <= _PLAUSIBLE_HIGH


async def read_range(
    asker: SingleAsker, unit: int, function: int, first: int, count: int, wait_ns: int
) -> list[Seen]:
    """Every address of a range. A block that is refused is read in halves, down to single ones.

    Raises LinkError.
    """
    most = MODBUS_READ_BITS_MAX if function < 3 else MODBUS_READ_REGISTERS_MAX
    todo = [(at, min(most, first + count - at)) for at in range(first, first + count, most)]
    out: list[Seen] = []
    while todo:
        at, size = todo.pop(0)
        answer = await asker.ask(read_query(unit, function, at, size), wait_ns)
        if answer.payload is not None:
            out += _seen(function, at, size, answer.payload)
        elif answer.exception == _ILLEGAL_ADDRESS and size > 1:
            half = size // 2
            todo[:0] = [(at, half), (at + half, size - half)]
        else:
            why = f"exception {answer.exception}" if answer.exception else "no answer"
            out += [Seen(at + k, None, why) for k in range(size)]
            if not answer.exception:  # silence is the unit's, not the register's
                out += [Seen(a + k, None, why) for a, n in todo for k in range(n)]
                break
    return out


def _seen(function: int, at: int, size: int, payload: bytes) -> list[Seen]:
    if function < 3:
        return [Seen(at + k, payload[k // 8] >> (k % 8) & 1) for k in range(size)]
    words = struct.unpack(f">{size}H", payload)
    return [Seen(at + k, word) for k, word in enumerate(words)]


def pairs(high: int, low: int) -> list[Reading32]:
    """Two words, in the order of their addresses, in all four byte orders."""
    data = struct.pack(">HH", high, low)
    out = []
    for name, order in ORDERS.items():
        turned = bytes(data[k] for k in order)
        uint32, int32 = struct.unpack(">I", turned)[0], struct.unpack(">i", turned)[0]
        out.append(Reading32(name, uint32, int32, struct.unpack(">f", turned)[0]))
    return out


def bcd(word: int) -> int | None:
    """Four decimal digits, when every nibble is one."""
    text = f"{word:04x}"
    return int(text) if text.isdecimal() else None


def ascii_text(word: int) -> str:
    """Two characters, a dot for what cannot be shown."""
    return "".join(chr(b) if 32 <= b < 127 else "." for b in word.to_bytes(2, "big"))


def as_signed(word: int) -> int:
    """int16."""
    return word - 0x10000 if word > 0x7FFF else word


def float_text(value: float) -> str:
    """Short, and honest about what is no number."""
    return f"{value:.6g}" if math.isfinite(value) else str(value)


def double(words: Sequence[int]) -> float:
    """Four words as a big-endian float64."""
    value: float = struct.unpack(">d", struct.pack(">4H", *words))[0]
    return value


@dataclass(frozen=True, slots=True)
class Text:
    """A range of registers as one text. order: AB as Modbus has it, BA with bytes swapped."""

    encoding: str
    order: str
    text: str


def texts(words: Sequence[int | None]) -> list[Text]:
    """What a range says, when it is text: printable in an encoding and byte order, two or more
    characters up to its end (a zero byte) or padding. The first encoding that fits an order."""
    if any(word is None for word in words):
        return []
    data = struct.pack(f">{len(words)}H", *words)
    swapped = struct.pack(f"<{len(words)}H", *words)
    out = []
    for order, raw in (("AB", data), ("BA", swapped)):
        body = raw.partition(b"\0")[0].rstrip(b" \xff")
        for encoding in _ENCODINGS:
            try:
                text = body.decode(encoding)
            except UnicodeDecodeError:
                continue
            if len(text) >= 2 and text.isprintable():
                out.append(Text(encoding, order, text))
                break
    return out
