"""What a disk holds after the power went: made from the log of disk.c, adversarial and seeded.

What was synced is there. What was written since may be there, or not, or in part, sector by sector,
in any order. A name that was made, changed or removed since its directory was synced may be as it
was before.
"""

from __future__ import annotations

import ctypes
import mmap
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

SECTOR = 512
ALWAYS = 2**64 - 1


class Kind(IntEnum):
    """As in disk.c."""

    WRITE = 1
    TRUNCATE = 2
    SYNC = 3
    CREATE = 4
    RENAME = 5
    UNLINK = 6
    SYNC_DIRECTORY = 7
    MKDIR = 8
    OPEN = 9
    SYNC_FAILED = 10


EVERY_KIND = sum(1 << kind for kind in Kind)
ASSERT = None


def build(directory: Path) -> Path:
    """Compile the shim; its path."""
    library = directory / "disk.so"
    source = Path(__file__).with_name("disk.c")
    command = ["cc", "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library), str(source)]
    subprocess.run([*command, "-ldl", "-lpthread"], check=True)
    return library


class Control(ctypes.LittleEndianStructure):
    """The page shared with the process: struct control of disk.c."""

    _fields_ = (
        ("calls", ctypes.c_uint64),
        ("kill_at", ctypes.c_uint64),
        ("fail_at", ctypes.c_uint64),
        ("fail_count", ctypes.c_uint64),
        ("fail_errno", ctypes.c_uint32),
        ("fail_kinds", ctypes.c_uint32),
        ("hang", ctypes.c_uint32),
        ("failed", ctypes.c_uint32),
        ("free_bytes", ctypes.c_uint64),
        ("lies", ctypes.c_uint32),
        ("padding", ctypes.c_uint32),
        ("quota", ctypes.c_uint64),
    )

    calls: int
    kill_at: int
    fail_at: int
    fail_count: int
    fail_errno: int
    fail_kinds: int
    hang: int
    failed: int
    free_bytes: int
    lies: int
    quota: int

    @classmethod
    def at(cls, path: Path) -> Control:
        """A new page: nothing fails."""
        path.write_bytes(bytes(4096))
        with path.open("r+b") as file:
            page = cls.from_buffer(mmap.mmap(file.fileno(), 4096))
        page.free_bytes = ALWAYS
        page.fail_kinds = EVERY_KIND
        return page


_ENTRY = struct.Struct("<IIQQ")


def entry_of(kind: Kind, inode: int, offset: int = 0, data: bytes = b"") -> bytes:
    """One entry of a log."""
    return _ENTRY.pack(kind, len(data), inode, offset) + data


def entries(log: bytes) -> Iterator[tuple[Kind, int, int, bytes]]:
    """(kind, inode, offset, data) of each call; an entry that was cut off ends it."""
    at = 0
    while at + _ENTRY.size <= len(log):
        kind, size, inode, offset = _ENTRY.unpack_from(log, at)
        at += _ENTRY.size
        if at + size > len(log):
            return
        yield Kind(kind), inode, offset, log[at : at + size]
        at += size


@dataclass
class _File:
    durable: bytes = b""
    pending: list[tuple[Kind, int, bytes]] = field(default_factory=list)
    doomed: list[tuple[Kind, int, bytes]] = field(default_factory=list)
    """Pending when a sync failed: the kernel holds it to be clean, so no later sync writes it."""


class Disk:
    """The files below a directory, what is durable of them, and what is pending."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._now: dict[str, _File | None] = {}  # None: a directory
        self._durable: dict[str, _File | None] = {}
        self._names: list[tuple[Kind, str, str, _File | None]] = []
        self._inodes: dict[int, _File] = {}
        self.settle()

    def settle(self) -> None:
        """What is on the file system now is what is durable."""
        self._now, self._names, self._inodes = {}, [], {}
        for path in sorted(self.root.rglob("*")):
            if path.name.endswith("-shm"):
                continue
            if path.is_dir():
                self._now[str(path)] = None
                continue
            file = self._now[str(path)] = _File(path.read_bytes())
            self._inodes[path.stat().st_ino] = file
        self._durable = dict(self._now)

    def play(self, log: bytes) -> None:
        """Take in what a process did."""
        for kind, inode, offset, data in entries(log):
            if kind in (Kind.WRITE, Kind.TRUNCATE):
                self._inodes[inode].pending.append((kind, offset, data))
            elif kind is Kind.SYNC:
                file = self._inodes[inode]
                file.durable = _written(file.durable, file.pending)
                file.pending = []
            elif kind is Kind.SYNC_FAILED:
                file = self._inodes[inode]
                file.doomed += file.pending
                file.pending = []
            else:
                self._name(kind, inode, data.decode())

    def _name(self, kind: Kind, inode: int, text: str) -> None:
        first, _, second = text.partition("\0")
        if kind is Kind.SYNC_DIRECTORY:
            kept = []
            for change in self._names:
                if str(Path(change[1]).parent) == first:
                    _rename(self._durable, change)
                else:
                    kept.append(change)
            self._names = kept
            return
        file: _File | None = None
        if kind is Kind.CREATE:
            file = self._inodes[inode] = _File()
        elif kind is not Kind.MKDIR:
            file = self._now.get(first)
        change = (kind, first, second, file)
        _rename(self._now, change)
        self._names.append(change)

    def cut(self, rng: random.Random) -> None:
        """The power goes: the directory holds what the disk may hold then."""
        names = dict(self._durable)
        ordered = rng.random() < 0.5
        mood = rng.choice((0.0, 0.5, 0.9, 1.0))
        last = rng.randint(0, len(self._names))
        for number, change in enumerate(self._names):
            if number < last if ordered else rng.random() < mood:
                _rename(names, change)
        shutil.rmtree(self.root)
        self.root.mkdir(mode=0o700)
        for path, file in sorted(names.items(), key=lambda item: len(item[0])):
            target = Path(path)
            if not target.parent.is_dir():
                continue  # its directory is gone, and it with it
            if file is None:
                target.mkdir(mode=0o700)
            else:
                target.write_bytes(_torn(file, rng))
        self.settle()


def _rename(names: dict[str, _File | None], change: tuple[Kind, str, str, _File | None]) -> None:
    kind, first, second, file = change
    if kind in (Kind.CREATE, Kind.MKDIR):
        names[first] = file
    elif kind is Kind.UNLINK:
        names.pop(first, None)
    elif names.get(first) is file and file is not None:
        del names[first]
        names[second] = file


def _written(before: bytes, changes: list[tuple[Kind, int, bytes]]) -> bytes:
    data = bytearray(before)
    for kind, offset, new in changes:
        if kind is Kind.TRUNCATE:
            data = data[:offset] if offset <= len(data) else data.ljust(offset, b"\0")
            continue
        if len(data) < offset:
            data = data.ljust(offset, b"\0")
        data[offset : offset + len(new)] = new
    return bytes(data)


def _torn(file: _File, rng: random.Random) -> bytes:
    """What was synced, and of the rest whatever chance leaves."""
    mood = rng.choice(("none", "all", "first", "any", "torn", "torn"))
    kept: list[tuple[Kind, int, bytes]] = []
    pending = file.pending if rng.random() < 0.5 else [*file.doomed, *file.pending]
    last = rng.randint(0, len(pending))
    for number, (kind, offset, data) in enumerate(pending):
        if mood == "all" or (mood == "first" and number < last):
            kept.append((kind, offset, data))
        elif (mood == "any" and rng.random() < 0.5) or (mood == "torn" and kind is Kind.TRUNCATE):
            if rng.random() < 0.7:
                kept.append((kind, offset, data))
        elif mood == "torn":
            at = offset
            while at < offset + len(data):
                end = min(offset + len(data), (at // SECTOR + 1) * SECTOR)
                if rng.random() < 0.6:
                    kept.append((kind, at, data[at - offset : end - offset]))
                at = end
    return _written(file.durable, kept)
