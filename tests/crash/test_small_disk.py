"""A small file system that is full, then read-only: events go on, fires leave, it heals."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from buildings import MEMORY, Broken, Building, Nursery, building
from disk import Kind
from test_failing import alive, fire_leaves, said

from agent.ipc import IpcError
from config.limits import RESERVE_BYTES

_WRITES = 1 << Kind.WRITE | 1 << Kind.TRUNCATE


class SmallDisk:
    """A tmpfs of its own; where nobody lets us mount, a disk of the shim that behaves so."""

    def __init__(self, place: Path, *, mounted: bool) -> None:
        self.place = place
        self.mounted = mounted

    def fill(self, made: Building) -> None:
        """Something else takes every byte."""
        if not self.mounted:
            made.control.free_bytes = 0
            return
        with contextlib.suppress(OSError), (self.place / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4_096))

    def empty(self, made: Building) -> None:
        made.control.free_bytes = 2**64 - 1
        (self.place / "ballast").unlink(missing_ok=True)

    def read_only(self, made: Building, on: bool) -> None:
        """As a disk becomes that has seen errors: files stay open, and no write is taken."""
        made.control.fail_errno, made.control.fail_kinds = errno.EROFS, _WRITES
        made.control.fail_count = 2**60
        made.control.fail_at = 1 if on else 0


@contextlib.contextmanager
def small_disk(size: int) -> Iterator[SmallDisk]:
    place = Path(tempfile.mkdtemp(dir=MEMORY, prefix="egs"))
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    try:
        yield SmallDisk(place, mounted=mounted)
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(place)], check=True)
        shutil.rmtree(place, ignore_errors=True)


def room(path: Path) -> int:
    """Bytes that a file really has of its disk."""
    return path.stat().st_blocks * 512 if path.exists() else 0


async def until(true: Callable[[], object], what: str, made: Building, wait_s: float = 30) -> None:
    """Wait for what the record does in its own time, talking on."""
    end = time.monotonic() + wait_s
    while not true():
        if time.monotonic() > end:
            raise Broken(f"in vain waited for: {what}: {made.log()[-2000:]}")
        await asyncio.sleep(0.02)


def test_a_small_disk_that_is_full_and_then_read_only(shim: Path) -> None:
    async def test(disk: SmallDisk, nursery: Nursery) -> None:
        made = Building(nursery, 1, disk.place / "state")
        try:
            reserve = made.state / "record" / "reserve"
            await made.start()
            await made.join()
            await until(lambda: room(reserve) >= RESERVE_BYTES, "room, not a hole", made)
            for _ in range(3):
                await made.talk()
            disk.fill(made)
            assert made.field is not None
            field = made.field
            # So many that they no longer fit into what the files already have.
            for _ in range(60 if disk.mounted else 3):
                await made.talk(lane="event")
            await fire_leaves(made)
            await field.until(lambda: field.durable >= made.said, 20)
            if disk.mounted:
                assert not reserve.exists(), "events live on what it held"
                await said(made)
            disk.read_only(made, on=True)
            await said_read_only(made)
            await fire_leaves(made)
            disk.read_only(made, on=False)
            disk.empty(made)
            await heals(made)
            await made.kill()
            made.control.fail_at = 0
            await made.finish()
        finally:
            if made.ended is not None and not made.ended.done():
                await made.kill()
            made.close()

    async def run() -> None:
        with small_disk(3 * RESERVE_BYTES) as disk:
            async with asyncio.timeout(100), Nursery(shim) as nursery:
                await test(disk, nursery)

    asyncio.run(run())


def test_a_quota_that_is_used_up_is_a_full_disk_though_sqlite_calls_it_an_error(
    shim: Path,
) -> None:
    """EDQUOT: the disk has room and says so, and takes nothing more from us."""

    async def run() -> None:
        async with asyncio.timeout(60), Nursery(shim) as nursery, building(nursery, 1) as made:
            reserve = made.state / "record" / "reserve"
            await made.start()
            await made.join()
            await until(lambda: room(reserve) >= RESERVE_BYTES, "the reserve", made)
            await made.talk()
            made.control.quota = used(made.state) + 32 * 1_024
            assert made.field is not None
            field = made.field
            for _ in range(30):
                await made.talk(lane="event")
            await fire_leaves(made)
            await field.until(lambda: field.durable >= made.said, 20)
            assert not reserve.exists(), "events live on what it held"
            await said(made)
            made.control.quota = 0
            await heals(made)
            await made.kill()
            await made.finish()
            reserve.write_bytes(bytes(RESERVE_BYTES))
            made.disk.settle()
            field = made.field
            made.control.quota = used(made.state)  # and so it is when it starts
            promised = field.durable
            await made.start()
            await made.join(patient=True)  # telemetry has no such reserve
            assert made.said >= promised, "it knows them all"
            for _ in range(30):
                await made.talk(lane="event")
            await fire_leaves(made)
            field = made.field
            await field.until(lambda: field.durable >= made.said, 20)
            assert not reserve.exists()
            await made.kill()

    asyncio.run(run())


def used(directory: Path) -> int:
    return sum(room(path) for path in directory.rglob("*") if path.is_file())


async def said_read_only(made: Building) -> None:
    """It wants to write something, and says that it cannot."""
    await made.talk(lane="event")
    await said(made)


async def heals(made: Building) -> None:
    """Everything that waited in memory reaches the disk, in this life or the next."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with contextlib.suppress(IpcError):
            assert made.field is not None
            await made.talk(lane="event")
            if made.field.durable >= made.said - 8:
                return
            await asyncio.sleep(0.05)
            continue
        await alive(made)
    raise Broken(f"nothing is stored any more: {made.log()[-2000:]}")
