"""Whether what the disk gives back is what was sealed: bit rot inside a batch, or at a WAL's end.

SQLite checks the structure of its file and not the contents of a row, and it takes a WAL to end
where a frame is not whole. A power cut tears at most the one transaction that was not confirmed;
where more than one lies behind the end, confirmed ones are lost.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent.uplink.batch import decode_payload, open_batch
from agent.uplink.cbor import decode
from agent.uplink.cose import Signer, Trust, TrustedKey
from agent.uplink.errors import UplinkError

Judge = Callable[[str, int, bytes], str]
"""(lane, seq, bytes of a row) -> what is wrong with them, "" when nothing is."""


class Foreign(str):
    """Such a verdict: they are whole, and of another gateway. Nothing of that file is ours."""

    __slots__ = ()


_MAGIC = (0x377F0682, 0x377F0683)  # https://sqlite.org/fileformat2.html#walformat
_HEADER = struct.Struct(">8I")  # magic, format, page size, checkpoint, salt, salt, check, check
_FRAME = struct.Struct(">4I")  # page, size of the database after a commit or 0, salt, salt
_FRAME_BYTES = 24
_HEADER_BYTES = 32


def judge_by(signer: Signer, gateway: str) -> Judge:
    """Judges by our own signature. A batch of an earlier key is only read."""
    trust = Trust([TrustedKey(signer.public)])

    def judge(lane: str, seq: int, data: bytes) -> str:
        try:
            batch = open_batch(data, trust).batch
        except UplinkError as e:
            if e.code != "unknown_key":
                return f"{lane} {seq}: {e}"
            try:
                batch = decode_payload(decode(data[1:])[2])
            except (UplinkError, TypeError, LookupError) as unreadable:
                return f"{lane} {seq}: {unreadable}"
        if batch.gateway != gateway:
            return Foreign(f"{lane} {seq}: of gateway {batch.gateway!r}, this is {gateway!r}")
        found = (batch.lane, batch.seq)
        return "" if found == (lane, seq) else f"{lane} {seq}: holds {found[0]} {found[1]}"

    return judge


@dataclass(frozen=True, slots=True)
class Wal:
    """What a WAL says of itself before SQLite has looked at it.

    commits: numbers of the frames, from 1, that end a transaction of the newest generation.
    rotten_header: its header was whole once, and is not.
    """

    commits: tuple[int, ...] = ()
    rotten_header: bool = False

    def lost_after(self, frames: int) -> int:
        """How many confirmed transactions SQLite did not find, having found so many frames."""
        behind = sum(number > frames for number in self.commits)
        # The last one may be what a power cut tore before it was confirmed.
        return behind if self.rotten_header else max(0, behind - 1)


def read_wal(path: Path) -> Wal:
    """Of the file beside a database; nothing when there is none. Raises OSError."""
    if not path.exists():
        return Wal()
    with path.open("rb") as file:
        raw = file.read(_HEADER_BYTES)
        if len(raw) < _HEADER_BYTES or not any(raw):
            return Wal()  # the power went before it was begun
        magic, _, page_bytes, _, *salts, check_0, check_1 = _HEADER.unpack(raw)
        rotten = magic not in _MAGIC or _sum(raw[:24], big=bool(magic & 1)) != (check_0, check_1)
        frames = _frames(file.seek(0, 2), 4_096 if rotten else page_bytes)
        commits: list[int] = []
        for number, at in enumerate(frames, 1):
            file.seek(at)
            _, size, *of = _FRAME.unpack(file.read(_FRAME.size))
            if rotten and number == 1:
                salts = of
            if size and of == salts:
                commits.append(number)
    return Wal(tuple(commits), rotten)


def _frames(size: int, page_bytes: int) -> range:
    step = page_bytes + _FRAME_BYTES
    return range(_HEADER_BYTES, size - step + 1, step) if page_bytes else range(0)


def _sum(data: bytes, *, big: bool) -> tuple[int, int]:
    words = struct.unpack(f"{'>' if big else '<'}{len(data) // 4}I", data)
    s0 = s1 = 0
    for first, second in zip(words[::2], words[1::2], strict=True):
        s0 = (s0 + first + s1) & 0xFFFFFFFF
        s1 = (s1 + second + s0) & 0xFFFFFFFF
    return s0, s1
