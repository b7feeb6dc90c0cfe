"""Frames of GB/T 26875.3-2011, the alarm transmission protocol to a monitoring centre. Pure.

Any bytes give frames, need-more, or one typed error for each thing that is wrong. A frame ends by
its length and never by a search for `##`, which may occur inside its data; after a bad tail or
checksum the next `@@` is looked for one byte further. There is no authentication in the standard:
whoever is on the path can say anything, so nothing here is ever more than somebody's claim.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from enum import IntEnum
from typing import NamedTuple

from config.limits import GB26875_DATA_BYTES_MAX

START, END = b"@@", b"##"
HEAD_BYTES = 27
ADDRESS_MAX = 2**48 - 1
_MAIN_VERSION = 1
_HEAD = struct.Struct("<2sHBB6s6s6sHB")
assert _HEAD.size == HEAD_BYTES


class Command(IntEnum):
    """控制命令, 发送数据, 确认, 请求, 应答, 否认 (table 2); 128 to 255 are the user's."""

    CONTROL = 1
    SEND = 2
    CONFIRM = 3
    REQUEST = 4
    RESPONSE = 5
    DENY = 6


class Stamp(NamedTuple):
    """A time tag as it is on the wire, believed or not: second first, year of this century."""

    second: int = 0
    minute: int = 0
    hour: int = 0
    day: int = 0
    month: int = 0
    year: int = 0

    def wall_ns(self, offset_s: int) -> int | None:
        """Unix time, the tag being `offset_s` ahead of UTC; None when there is no such date."""
        zone = timezone(timedelta(seconds=offset_s))
        try:
            when = datetime(2000 + self.year, self.month, self.day, self.hour, self.minute,
                            self.second, tzinfo=zone)  # fmt: skip
        except ValueError:
            return None
        return int(when.timestamp()) * 1_000_000_000


NO_STAMP = Stamp()


def stamp_of(wall_ns: int, offset_s: int) -> Stamp:
    """The tag of a Unix time. Years outside 2000 to 2099 keep their last two digits."""
    when = datetime.fromtimestamp(wall_ns // 1_000_000_000, UTC) + timedelta(seconds=offset_s)
    return Stamp(when.second, when.minute, when.hour, when.day, when.month, when.year % 100)


@dataclass(frozen=True, slots=True)
class Dialect:
    """What devices in the field do differently; the default is the standard.

    bcd: time tags are binary coded decimal. tags_everywhere: every uploaded object is followed by
    a time tag, also those that have none or one already. data_bytes_max: of one frame.
    """

    user_version: int = 1
    bcd: bool = False
    tags_everywhere: bool = False
    data_bytes_max: int = GB26875_DATA_BYTES_MAX
    pad: bytes = b"\0"


STANDARD = Dialect()


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. command: Command, or a user's number of 128 to 255."""

    serial: int
    source: int
    destination: int
    command: int
    data: bytes = b""
    time: Stamp = NO_STAMP
    user_version: int = 1


class Wrong(IntEnum):
    """What is wrong with bytes. All are to be answered with 否认 (clause 6.5), if there is a number
    to answer to: bytes that belong to no frame, and those of another version, have none."""

    START = 1  # bytes before a frame that belong to none, command 0; or a frame that is whole else
    LENGTH = 2  # application data longer than the limit
    END = 3
    CHECKSUM = 4
    COMMAND = 5  # a reserved command byte
    VERSION = 6  # another main version than 1


@dataclass(frozen=True, slots=True)
class FrameError:
    """Bytes that are no frame. serial, source and destination are those that were read there."""

    wrong: Wrong
    serial: int = 0
    source: int = 0
    destination: int = 0
    command: int = 0


def pack_stamp(stamp: Stamp, dialect: Dialect = STANDARD) -> bytes:
    """The six bytes of a tag."""
    if dialect.bcd:
        return bytes((v // 10 % 10) << 4 | v % 10 for v in stamp)
    return bytes(v & 0xFF for v in stamp)


def unpack_stamp(raw: bytes, dialect: Dialect = STANDARD) -> Stamp:
    """A tag from its six bytes, whatever they are."""
    if dialect.bcd:
        return Stamp(*((b >> 4) * 10 + (b & 15) for b in raw))
    return Stamp(*raw)


def encode_frame(frame: Frame, dialect: Dialect = STANDARD) -> bytes:
    """The bytes of a frame."""
    assert 0 <= frame.serial <= 0xFFFF
    assert 0 <= frame.source <= ADDRESS_MAX
    assert 0 <= frame.destination <= ADDRESS_MAX
    assert len(frame.data) <= dialect.data_bytes_max
    body = (
        _HEAD.pack(
            START,
            frame.serial,
            _MAIN_VERSION,
            frame.user_version,
            pack_stamp(frame.time, dialect),
            frame.source.to_bytes(6, "little"),
            frame.destination.to_bytes(6, "little"),
            len(frame.data),
            frame.command,
        )
        + frame.data
    )
    return body + bytes([checksum(body)]) + END


def checksum(body: bytes) -> int:
    """Low byte of the sum from the serial to the end of the data; body starts with `@@`."""
    return sum(body[2:]) & 0xFF


class FrameDecoder:
    """Collects bytes; at most one frame's worth waits."""

    def __init__(self, dialect: Dialect = STANDARD) -> None:
        self._dialect = dialect
        self._buffer = bytearray()
        self._told = False  # and it was said
        self._astray = False  # within a run of bytes that belong to no frame

    @property
    def waiting(self) -> int:
        """Bytes of a frame that is not complete."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Frame | FrameError]:
        """Everything that became complete, in order."""
        self._buffer += data
        out: list[Frame | FrameError] = []
        while (found := self._next()) is not None:
            if not (isinstance(found, FrameError) and found.wrong is Wrong.VERSION and self._told):
                out.append(found)
            self._told = self._astray
        return out

    def give_up(self) -> list[Frame | FrameError]:
        """The frame under way does not end (its length was noise): look one byte further."""
        if not self._buffer:
            return []
        del self._buffer[:1]
        self._astray = True
        return self.feed(b"")

    def _next(self) -> Frame | FrameError | None:
        buffer = self._buffer
        start = buffer.find(START)
        if start != 0:
            if (spoilt := self._spoilt_start()) is not None:
                return spoilt
            lost = bool(buffer) and buffer != START[:1]
            keep = START[:1] if buffer.endswith(START[:1]) else b""
            buffer[:] = buffer[start:] if start > 0 else keep
            if lost and not self._astray:
                self._astray = True
                return FrameError(Wrong.START)
            if start < 0:
                return None
        if len(buffer) < HEAD_BYTES:
            return None
        _, serial, version, user, tag, source, destination, size, command = _HEAD.unpack_from(
            buffer
        )
        where = (serial, int.from_bytes(source, "little"), int.from_bytes(destination, "little"))
        if version != _MAIN_VERSION:  # also what mostly ends a `@@` that was none
            return self._bad(FrameError(Wrong.VERSION, *where, command))
        if size > self._dialect.data_bytes_max:
            return self._bad(FrameError(Wrong.LENGTH, *where, command))
        whole = HEAD_BYTES + size + 3
        if len(buffer) < whole:
            return None
        if buffer[whole - 2 : whole] != END:
            return self._bad(FrameError(Wrong.END, *where, command))
        body = bytes(buffer[: whole - 3])
        if buffer[whole - 3] != checksum(body):
            return self._bad(FrameError(Wrong.CHECKSUM, *where, command))
        del buffer[:whole]
        self._astray = False
        if not (Command.CONTROL <= command <= Command.DENY or command >= 128):
            return FrameError(Wrong.COMMAND, *where, command)
        return Frame(
            *where, command, body[HEAD_BYTES:], unpack_stamp(tag, self._dialect), user
        )  # fmt: skip

    def _spoilt_start(self) -> FrameError | None:
        """A frame that is whole but for its first two bytes: it can be denied by its number."""
        buffer = self._buffer
        if len(buffer) < HEAD_BYTES + 3:
            return None
        _, serial, version, _, _, source, destination, size, command = _HEAD.unpack_from(buffer)
        whole = HEAD_BYTES + size + 3
        if version != _MAIN_VERSION or buffer[whole - 2 : whole] != END:
            return None
        if buffer[whole - 3] != checksum(bytes(buffer[: whole - 3])):
            return None
        del buffer[:whole]
        self._astray = False
        where = (int.from_bytes(source, "little"), int.from_bytes(destination, "little"))
        return FrameError(Wrong.START, serial, *where, command)

    def _bad(self, error: FrameError) -> FrameError:
        del self._buffer[:1]
        self._astray = True  # the rest of it is not a second error
        return error
