"""Modbus frames on RTU and TCP. Pure: bytes in, one verdict out.

A matcher knows the request that is in flight, so it can do what a general framer cannot: find
the one reply that answers it behind a stale reply, a foreign one or noise, and never take
another for it. Any bytes, in any chunks, give a reply, an exception, or "need more"; nothing is
raised and at most LINE_BUFFER_BYTES_MAX bytes are kept.

Clauses: Modbus Application Protocol V1.1b3, 6 (functions) and 7 (exceptions); Modbus over serial
line V1.02, 2.5.1 (RTU, CRC); Modbus messaging on TCP/IP V1.0b, 3.1.3 (MBAP header).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from config.limits import (
    LINE_BUFFER_BYTES_MAX,
    MODBUS_ADU_RTU_BYTES_MAX,
    MODBUS_ADU_TCP_BYTES_MAX,
    MODBUS_READ_BITS_MAX,
    MODBUS_READ_REGISTERS_MAX,
    MODBUS_RTU_CANDIDATES_MAX,
)

_READS_BITS = (1, 2)
_READS = (1, 2, 3, 4)
_ECHOES = (5, 6, 15, 16)  # the reply to these has five bytes of PDU
_EXCEPTION = 0x80
_ON, _OFF = 0xFF00, 0x0000
_MBAP = struct.Struct(">HHHB")


@dataclass(frozen=True, slots=True)
class Query:
    """A request and what its reply must look like.

    head: all that is known of the reply's PDU before it comes; the reply begins with it and is
    `reply_bytes` long. What follows the head is the payload.
    """

    unit: int
    pdu: bytes
    head: bytes
    reply_bytes: int


def read_query(unit: int, function: int, address: int, count: int) -> Query:
    """Read `count` bits (functions 1, 2) or registers (3, 4) from `address` (0-based)."""
    bits = function in _READS_BITS
    assert function in _READS, function
    assert 1 <= count <= (MODBUS_READ_BITS_MAX if bits else MODBUS_READ_REGISTERS_MAX), count
    assert 0 <= address <= 65_536 - count, address
    data_bytes = (count + 7) // 8 if bits else 2 * count
    return Query(
        unit,
        struct.pack(">BHH", function, address, count),
        bytes((function, data_bytes)),
        2 + data_bytes,
    )


def write_coil_query(unit: int, coil: int, on: bool) -> Query:
    """Function 5: the reply repeats the request."""
    pdu = struct.pack(">BHH", 5, coil, _ON if on else _OFF)
    return Query(unit, pdu, pdu, len(pdu))


def write_coils_query(unit: int, first: int, states: Sequence[bool]) -> Query:
    """Function 15: the reply repeats address and count."""
    assert 1 <= len(states) <= 1_968, len(states)  # V1.1b3, 6.11
    data = bytearray((len(states) + 7) // 8)
    for number, on in enumerate(states):
        data[number // 8] |= on << (number % 8)
    head = struct.pack(">BHH", 15, first, len(states))
    return Query(unit, head + bytes((len(data),)) + data, head, len(head))


@dataclass(slots=True)
class Discards:
    """What was thrown away, and as what."""

    crc_errors: int = 0  # would have been the reply, had its checksum been right
    stale: int = 0  # whole frames of the asked unit that answer something else
    foreign: int = 0  # whole frames of other units
    garbage_bytes: int = 0  # bytes that are no frame

    def add(self, other: Discards) -> None:
        """Add the counts of `other`."""
        self.crc_errors += other.crc_errors
        self.stale += other.stale
        self.foreign += other.foreign
        self.garbage_bytes += other.garbage_bytes

    def any(self) -> bool:
        """Whether anything was thrown away."""
        return bool(self.crc_errors or self.stale or self.foreign or self.garbage_bytes)


class Matcher(Protocol):
    """Finds the reply to the request in flight."""

    @property
    def damaged(self) -> bool:
        """Whether what would have been the reply came with a wrong checksum."""

    @property
    def missing(self) -> int:
        """Bytes that a reply which has begun still lacks; 0 when none has."""

    def expect(self, query: Query) -> bytes:
        """Start a transaction: older bytes are discarded. Returns the frame to send."""

    def feed(self, data: bytes) -> bytes | int | None:
        """More bytes came: the reply's payload, an exception code, or None for need more.

        After a verdict, and before any request, bytes are only kept to be counted.
        """

    def settle(self) -> Discards:
        """End the transaction. Returns the count of all that was discarded since last asked."""


# --- RTU ------------------------------------------------------------------------------------


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
        table.append(crc)
    return tuple(table)


_CRC_TABLE = _crc_table()


def crc16(data: bytes | bytearray) -> int:
    """CRC-16 of Modbus RTU; it is sent low byte first."""
    crc = 0xFFFF
    table = _CRC_TABLE
    for byte in data:
        crc = (crc >> 8) ^ table[(crc ^ byte) & 0xFF]
    return crc


def rtu_frame(unit: int, pdu: bytes) -> bytes:
    """unit, PDU, CRC."""
    body = bytes((unit,)) + pdu
    return body + crc16(body).to_bytes(2, "little")


def _rtu_reply_length(buffer: bytearray, at: int) -> int:
    """Length of the reply frame that would start at `at`; 0 when none can."""
    if at + 3 > len(buffer):
        return 0
    function = buffer[at + 1]
    if function & _EXCEPTION:
        return 5
    if function in _READS:
        return 5 + buffer[at + 2]
    return 8 if function in _ECHOES else 0


class RtuMatcher:
    """RTU has neither a length nor a transaction id: the reply is looked for at every offset.

    Each offset that could start the reply is judged once, when enough bytes are there; the bytes
    that led nowhere are classified, for the counters, when the transaction is over.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._query: Query | None = None
        self._unit = 0
        self._scan = 0  # offsets before this were looked at
        self._waiting: list[tuple[int, int]] = []  # (offset, length) that need more bytes
        self._judged = 0
        self.damaged = False
        self._discards = Discards()

    @property
    def missing(self) -> int:
        if self._query is None:
            return 0
        size = len(self._buffer)
        if self._waiting:
            at, length = self._waiting[0]
            return at + length - size
        begun = size - self._scan  # a head that is not complete yet
        return self._query.reply_bytes + 3 - begun if begun else 0

    def expect(self, query: Query) -> bytes:
        self._end()
        self.damaged = False
        self._query = query
        self._unit = query.unit
        return rtu_frame(query.unit, query.pdu)

    def feed(self, data: bytes) -> bytes | int | None:
        self._buffer += data
        verdict = self._look() if self._query is not None else None
        if len(self._buffer) > LINE_BUFFER_BYTES_MAX:
            self._cut(len(self._buffer) - MODBUS_ADU_RTU_BYTES_MAX)
        return verdict

    def settle(self) -> Discards:
        self._end()
        discards, self._discards = self._discards, Discards()
        return discards

    def _end(self) -> None:
        self._query = None
        self._judged = 0
        if self._buffer:
            self._cut(len(self._buffer))
        self._scan = 0

    def _cut(self, end: int) -> None:
        """Throw away what is before `end`."""
        _classify_rtu(self._buffer[:end], self._unit, self._discards)
        del self._buffer[:end]
        self._scan = max(0, self._scan - end)
        self._waiting = [(at - end, length) for at, length in self._waiting if at >= end]

    def _look(self) -> bytes | int | None:
        query = self._query
        assert query is not None
        self._find_starts(query)
        size = len(self._buffer)
        still: list[tuple[int, int]] = []
        for at, length in self._waiting:
            if at + length > size:
                still.append((at, length))
                continue
            verdict = self._judge(query, at, length)
            if verdict is not None:
                self._waiting = []
                self._query = None
                _classify_rtu(self._buffer[:at], self._unit, self._discards)
                del self._buffer[: at + length]
                return verdict
        self._waiting = still
        return None

    def _find_starts(self, query: Query) -> None:
        """Note every offset at which the reply, or an exception to the request, may start."""
        buffer = self._buffer
        function = query.pdu[0]
        head = bytes((query.unit,)) + query.head
        at = buffer.find(query.unit, self._scan)
        while at >= 0:
            if at + len(head) > len(buffer) and head.startswith(bytes(buffer[at:])):
                break  # the head itself is not complete
            if buffer.startswith(head, at):
                self._waiting.append((at, query.reply_bytes + 3))
            elif at + 1 == len(buffer):
                break
            elif buffer[at + 1] == function | _EXCEPTION:
                self._waiting.append((at, 5))
            at = buffer.find(query.unit, at + 1)
        self._scan = at if at >= 0 else len(buffer)

    def _judge(self, query: Query, at: int, length: int) -> bytes | int | None:
        if self._judged >= MODBUS_RTU_CANDIDATES_MAX:
            return None  # only a jammed line comes here; it must not cost the processor as well
        self._judged += 1
        buffer = self._buffer
        body = bytes(buffer[at : at + length - 2])
        if crc16(body) != int.from_bytes(buffer[at + length - 2 : at + length], "little"):
            self._discards.crc_errors += 1
            self.damaged = True
            return None
        if body[1] & _EXCEPTION:
            return body[2]
        return body[1 + len(query.head) :]


def _classify_rtu(data: bytearray, unit: int, discards: Discards) -> None:
    at = 0
    budget = MODBUS_RTU_CANDIDATES_MAX
    while at < len(data):
        length = _rtu_reply_length(data, at) if budget else 0
        if 0 < length <= len(data) - at:
            budget -= 1
            end = at + length
            if crc16(data[at : end - 2]) == int.from_bytes(data[end - 2 : end], "little"):
                if data[at] == unit:
                    discards.stale += 1
                else:
                    discards.foreign += 1
                at = end
                continue
        discards.garbage_bytes += 1
        at += 1


# --- TCP ------------------------------------------------------------------------------------


def mbap_frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    """MBAP header and PDU."""
    return _MBAP.pack(transaction, 0, len(pdu) + 1, unit) + pdu


# Protocol 0, a length of 3 to 254, the unit, the function.
_MBAP_MIDDLE = re.compile(rb"\0\0\0[\x03-\xfe]..", re.DOTALL)


class MbapMatcher:
    """On TCP the transaction id tells a stale reply; the expected header is looked for as a whole,
    so that a broken frame in the stream costs that frame and nothing behind it."""

    damaged = False  # TCP has a checksum of its own

    def __init__(self, transaction: int = 0) -> None:
        self._buffer = bytearray()
        self._query: Query | None = None
        self._unit = 0
        self._transaction = transaction
        self._reply_head = b""
        self._exception_head = b""
        self._discards = Discards()

    @property
    def missing(self) -> int:
        if self._query is None:
            return 0
        size = 7 + self._query.reply_bytes
        at = self._buffer.find(self._reply_head)
        if at >= 0:
            return at + size - len(self._buffer)
        # A whole transaction id at least: a single byte of noise begins no reply.
        for begun in range(min(len(self._reply_head) - 1, len(self._buffer)), 1, -1):
            if self._buffer.endswith(self._reply_head[:begun]):
                return size - begun
        return 0

    def expect(self, query: Query) -> bytes:
        if self._buffer:
            self._cut(len(self._buffer))
        self._transaction = transaction = (self._transaction + 1) & 0xFFFF
        unit = query.unit
        self._query = query
        self._unit = unit
        self._reply_head = _MBAP.pack(transaction, 0, query.reply_bytes + 1, unit) + query.head
        self._exception_head = _MBAP.pack(transaction, 0, 3, unit) + bytes(
            (query.pdu[0] | _EXCEPTION,)
        )
        return mbap_frame(transaction, unit, query.pdu)

    def feed(self, data: bytes) -> bytes | int | None:
        buffer = self._buffer
        buffer += data
        query = self._query
        verdict: bytes | int | None = None
        if query is not None:
            at = buffer.find(self._reply_head)
            end = at + 7 + query.reply_bytes
            if at >= 0 and end <= len(buffer):
                verdict = bytes(buffer[at + len(self._reply_head) : end])
            else:
                at = buffer.find(self._exception_head)
                end = at + 9
                if at >= 0 and end <= len(buffer):
                    verdict = buffer[end - 1]
            if verdict is not None:
                self._query = None
                if at:
                    self._classify(bytes(buffer[:at]))
                del buffer[:end]
        if len(buffer) > LINE_BUFFER_BYTES_MAX:
            self._cut(len(buffer) - MODBUS_ADU_TCP_BYTES_MAX)
        return verdict

    def settle(self) -> Discards:
        self._query = None
        if self._buffer:
            self._cut(len(self._buffer))
        discards, self._discards = self._discards, Discards()
        return discards

    def _cut(self, end: int) -> None:
        self._classify(bytes(self._buffer[:end]))
        del self._buffer[:end]

    def _classify(self, data: bytes) -> None:
        """Count what is thrown away. Noise is passed over as fast as memory goes: a flood of it
        must not make the reply behind it late."""
        at, discards = 0, self._discards
        while found := _MBAP_MIDDLE.search(data, at + 2):
            head = found.start() - 2
            discards.garbage_bytes += head - at
            at = head
            _, _, length, unit = _MBAP.unpack_from(data, at)
            end = at + 6 + length
            if end > len(data):
                discards.garbage_bytes += 1
                at += 1
                continue
            if unit == self._unit:
                discards.stale += 1
            else:
                discards.foreign += 1
            at = end
        discards.garbage_bytes += len(data) - at
