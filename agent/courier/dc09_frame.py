"""Frames of SIA DC-09: what an alarm transmitter and a receiving centre say to each other. Pure.

`LF crc 0LLL "id" sequence [Rreceiver] Lline [#account] [data] [extended data]… _time CR`. The check
is CRC-16/ARC over everything from the first quote to the last character before CR, the length is
that of the same. With a key, the id has a star, and padding, data and time are AES-CBC with an
initial vector of zeros, in hexadecimal: the standard's choice. Any bytes give replies, a wait for
more, or a counted error.
"""

from __future__ import annotations

import calendar
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from config.limits import DC09_FRAME_BYTES_MAX, S

LF, CR = 0x0A, 0x0D
SEQUENCE_MAX = 9_999
_REPLY = re.compile(
    r'"(\*?)(ACK|NAK|DUH|RSP)"([0-9]{4})([^\[\]]*)\[(.*)', re.DOTALL
)  # some receivers leave out or spoil what stands before the bracket
_ACCOUNT = re.compile(r"#([0-9A-Fa-f]{1,16})$")
_TIME = re.compile(r"_([0-9]{2}):([0-9]{2}):([0-9]{2}),([0-9]{2})-([0-9]{2})-([0-9]{4})$")
_HEX = re.compile(r"(?:[0-9A-Fa-f]{32})+")
_BLOCK = 16

Cipher = Callable[[bytes], bytes]


class Format(StrEnum):
    """What the data say it in."""

    SIA_DCS = "SIA-DCS"
    ADM_CID = "ADM-CID"  # Contact ID, SIA DC-05
    NULL = "NULL"  # a sign of life


class Answer(StrEnum):
    """What a receiver answers."""

    ACK = "ACK"
    NAK = "NAK"  # the time of the message is outside of its window
    DUH = "DUH"  # not understood
    RSP = "RSP"  # taken, with something that it wants; it asks nothing of us that we would do


@dataclass(frozen=True, slots=True)
class Account:
    """Who we are to the receiver. account: 3 to 16 hexadecimal digits. receiver: "" for none."""

    account: str
    receiver: str = ""
    line: str = "0"


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply with a good check. wall_ns: its time, None when it has none. sealed: encrypted.
    account: whom it names, without leading zeros, "" when nobody."""

    answer: Answer
    sequence: int
    wall_ns: int | None = None
    sealed: bool = False
    account: str = ""


@dataclass(frozen=True, slots=True)
class Garbage:
    """Bytes that are no reply, and why."""

    why: str


class Keys:
    """AES in CBC mode with an initial vector of zeros, as the standard has it (128, 192, 256)."""

    def __init__(self, key: bytes) -> None:
        # Only a courier with a key pays for the library.
        from cryptography.hazmat.primitives.ciphers import (  # noqa: PLC0415 -- as said above
            Cipher as AesCipher,
        )
        from cryptography.hazmat.primitives.ciphers.algorithms import AES  # noqa: PLC0415 -- ditto
        from cryptography.hazmat.primitives.ciphers.modes import CBC  # noqa: PLC0415 -- ditto

        assert len(key) in (16, 24, 32)
        self._cipher = AesCipher(AES(key), CBC(bytes(_BLOCK)))

    def encrypt(self, data: bytes) -> bytes:
        """data: whole blocks."""
        made = self._cipher.encryptor()
        return made.update(data) + made.finalize()

    def decrypt(self, data: bytes) -> bytes:
        """data: whole blocks."""
        made = self._cipher.decryptor()
        return made.update(data) + made.finalize()


def crc16(data: bytes) -> int:
    """CRC-16/ARC: polynomial 8005 reflected, begins with 0."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ 0xA001 if crc & 1 else crc >> 1
    return crc


def time_text(wall_ns: int) -> str:
    """`HH:MM:SS,MM-DD-YYYY`, UTC."""
    return time.strftime("%H:%M:%S,%m-%d-%Y", time.gmtime(wall_ns // S))


def _wall_ns(text: str) -> int | None:
    match = _TIME.search(text)
    if match is None:
        return None
    hour, minute, second, month, day, year = (int(g) for g in match.groups())
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        return None
    return calendar.timegm((year, month, day, hour, minute, second)) * S


def encode(
    form: Format,
    sequence: int,
    who: Account,
    data: str,
    wall_ns: int,
    keys: Keys | None,
    padding: Callable[[int], bytes],
) -> bytes:
    """One message. data: between the brackets, with further bracketed elements behind it, b"" for
    a sign of life. padding(n): n random bytes, so that two equal messages are not seen to be."""
    assert 0 <= sequence <= SEQUENCE_MAX
    receiver = f"R{who.receiver}" if who.receiver else ""
    head = f'"{"*" if keys else ""}{form}"{sequence:04}{receiver}L{who.line}#{who.account}['
    first, bracket, rest = data.partition("[")
    body = f"{first}]{bracket}{rest}_{time_text(wall_ns)}"
    if keys is not None:
        sealed = b"|" + body.encode("ascii", "replace")
        size = _BLOCK - len(sealed) % _BLOCK
        body = keys.encrypt(padding(size).hex()[:size].encode() + sealed).hex().upper()
    text = (head + body).encode("ascii", "replace")
    assert len(text) <= DC09_FRAME_BYTES_MAX
    return b"\n%04X%04X" % (crc16(text), len(text)) + text + b"\r"


class ReplyDecoder:
    """Bytes of a connection in, replies out. At most DC09_FRAME_BYTES_MAX bytes wait."""

    def __init__(self, keys: Keys | None) -> None:
        self._keys = keys
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Reply | Garbage]:
        """Everything that became complete."""
        out: list[Reply | Garbage] = []
        for byte in data:
            if byte == LF:
                if self._buffer:
                    out.append(Garbage("expected CR before the next LF"))
                self._buffer.clear()
            elif byte == CR:
                if self._buffer:
                    out.append(self._line(bytes(self._buffer)))
                self._buffer.clear()
            elif len(self._buffer) < DC09_FRAME_BYTES_MAX:
                self._buffer.append(byte)
        return out

    def _line(self, line: bytes) -> Reply | Garbage:
        if len(line) < 8 or line[8:9] != b'"':
            return Garbage("expected a check, a length and a quote")
        text = line[8:]
        try:
            check, size = int(line[:4], 16), int(line[4:8], 16)
        except ValueError:
            return Garbage("expected eight hexadecimal digits")
        # Some receivers count the CR.
        if not (
            (check == crc16(text) and size == len(text))
            or (check == crc16(text + b"\r") and size == len(text) + 1)
        ):
            return Garbage("expected another check or length")
        match = _REPLY.fullmatch(text.decode("latin-1"))
        if match is None:
            return Garbage("expected ACK, NAK or DUH")
        star, word, sequence, named, rest = match.groups()
        found = _ACCOUNT.search(named)
        account = found[1].upper().lstrip("0") if found else ""
        if not star:
            return Reply(Answer(word), int(sequence), _wall_ns(rest), account=account)
        if self._keys is None or not _HEX.fullmatch(rest):
            return Garbage("an encrypted reply that cannot be read")
        opened = self._keys.decrypt(bytes.fromhex(rest)).decode("latin-1")
        wall_ns = _wall_ns(opened)
        if "]" not in opened or wall_ns is None:
            return Garbage("an encrypted reply under another key")
        return Reply(Answer(word), int(sequence), wall_ns, sealed=True, account=account)
