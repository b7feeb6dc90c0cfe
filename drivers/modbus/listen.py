"""Decodes an RTU line that another master drives: pairs requests with replies. Pure.

Both directions pass on one pair of wires, so a frame must be recognised as what it is: by its
length, its checksum and what was asked before. Any bytes, in any chunks, give exchanges or nothing;
at most LINE_BUFFER_BYTES_MAX bytes are kept.
"""

from __future__ import annotations

from dataclasses import dataclass

from config.desk_limits import LISTEN_FRAME_GAP_NS
from config.limits import LINE_BUFFER_BYTES_MAX, MODBUS_ADU_RTU_BYTES_MAX
from drivers.modbus.frame import crc16

_READS_BITS = (1, 2)
_READS = (1, 2, 3, 4)
_ECHOED = (5, 6)
_MULTIPLE = (15, 16)
_KNOWN = (*_READS, *_ECHOED, *_MULTIPLE)
_EXCEPTION = 0x80


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request with its reply, or without one.

    address, count: as asked, 0-based. data: the reply's data, or what a write carried.
    exception: code, 0 for none. answered: whether a reply was seen. round_trip_ns: 0 without one.
    """

    mono_ns: int
    unit: int
    function: int
    address: int
    count: int
    request: bytes
    reply: bytes = b""
    data: bytes = b""
    exception: int = 0
    round_trip_ns: int = 0

    @property
    def answered(self) -> bool:
        """Whether a reply was seen."""
        return bool(self.reply)

    @property
    def words(self) -> tuple[int, ...]:
        """Registers of a read's reply."""
        if self.function not in (3, 4):
            return ()
        pairs = zip(self.data[::2], self.data[1::2], strict=False)
        return tuple(high << 8 | low for high, low in pairs)


class Listener:
    """Feed it what the line says; it gives exchanges. garbage_bytes: what was no frame."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._asked: Exchange | None = None
        self._last_ns = 0
        self.garbage_bytes = 0

    def feed(self, data: bytes, mono_ns: int) -> list[Exchange]:
        """Bytes that came at a moment. The exchanges that are complete now."""
        out: list[Exchange] = []
        if self._buffer and mono_ns - self._last_ns > LISTEN_FRAME_GAP_NS:
            out += self._parse(self._last_ns, final=True)  # its rest never came
        self._last_ns = mono_ns
        self._buffer += data
        out += self._parse(mono_ns, final=False)
        if len(self._buffer) > LINE_BUFFER_BYTES_MAX:
            self._skip(len(self._buffer) - MODBUS_ADU_RTU_BYTES_MAX)
        return out

    def finish(self) -> list[Exchange]:
        """What is left at the end."""
        out = self._parse(self._last_ns, final=True)
        asked, self._asked = self._asked, None
        return out + ([asked] if asked is not None else [])

    def _skip(self, count: int) -> None:
        self.garbage_bytes += count
        del self._buffer[:count]

    def _parse(self, mono_ns: int, *, final: bool) -> list[Exchange]:
        out: list[Exchange] = []
        while len(self._buffer) >= 2:
            short = False
            for length, is_reply in self._candidates():
                if length > len(self._buffer):
                    short = True
                elif _sound(self._buffer, length):
                    frame = bytes(self._buffer[:length])
                    del self._buffer[:length]
                    out += self._reply(frame, mono_ns) if is_reply else self._ask(frame, mono_ns)
                    break
            else:
                if short and not final:
                    return out
                self._skip(1)
        if final and self._buffer:
            self._skip(len(self._buffer))
        return out

    def _candidates(self) -> list[tuple[int, bool]]:
        """(length, whether it is a reply) of frames that may start here, the likeliest first."""
        buffer, asked = self._buffer, self._asked
        function = buffer[1]
        if function & _EXCEPTION:
            mine = asked is not None and function & 0x7F == asked.function
            return [(5, True)] if mine and asked is not None and buffer[0] == asked.unit else []
        if function not in _KNOWN:
            return []
        out: list[tuple[int, bool]] = []
        if asked is not None and asked.unit == buffer[0] and asked.function == function:
            out.append((_reply_length(asked), True))
        if function in _MULTIPLE:
            # The seventh byte says how many follow.
            out.append((9 + buffer[6] if len(buffer) > 6 else 9, False))
        else:
            out.append((8, False))
        return out

    def _ask(self, frame: bytes, mono_ns: int) -> list[Exchange]:
        unanswered, function = self._asked, frame[1]
        address = int.from_bytes(frame[2:4], "big")
        count = 1 if function in _ECHOED else int.from_bytes(frame[4:6], "big")
        data = b""
        if function in _ECHOED:
            data = frame[4:6]
        elif function in _MULTIPLE:
            data = frame[7:-2]
        self._asked = Exchange(mono_ns, frame[0], function, address, count, frame, data=data)
        return [unanswered] if unanswered is not None else []

    def _reply(self, frame: bytes, mono_ns: int) -> list[Exchange]:
        asked, self._asked = self._asked, None
        assert asked is not None
        exception = frame[2] if frame[1] & _EXCEPTION else 0
        data = asked.data
        if not exception and asked.function in _READS:
            data = frame[3:-2]
        return [
            Exchange(
                asked.mono_ns, asked.unit, asked.function, asked.address, asked.count,
                asked.request, frame, data, exception, mono_ns - asked.mono_ns,
            )
        ]  # fmt: skip


def _reply_length(asked: Exchange) -> int:
    if asked.function in _READS_BITS:
        return 5 + (asked.count + 7) // 8
    return 5 + 2 * asked.count if asked.function in _READS else 8


def _sound(buffer: bytearray, length: int) -> bool:
    return crc16(buffer[: length - 2]) == int.from_bytes(buffer[length - 2 : length], "little")
