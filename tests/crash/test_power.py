"""The power goes, or the process is killed, at any write: what was promised is there, once."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from buildings import Broken, Nursery, building
from disk import Disk, Kind, entry_of
from suites import WHOLE, everyone, share, tell

CUTS_EACH = 4
CUTS = 500
KILLS_EACH = 10
KILLS = 1_000
CALLS = 330  # on the disk, in one life: opening, a dozen submissions with their telemetry
HOURS = pytest.mark.timeout(3_600 if WHOLE else 120)


@HOURS
def test_power_cuts(shim: Path) -> None:
    """What was not synced is lost or torn, names included, and the run directory is gone."""
    count: Counter[str] = Counter()

    async def one(nursery: Nursery, seed: int) -> None:
        async with building(nursery, seed) as made:
            for _ in range(CUTS_EACH):
                await made.life(kill_at=made.rng.randint(1, CALLS))
                made.power_cut()
                count["cuts"] += 1
            await made.finish()
            count["promised"] += len(made.ledger.promised())

    everyone(shim, share(range(CUTS // CUTS_EACH), 3), one, 3_000 if WHOLE else 60)
    tell(f"{count['cuts']} power cuts, {count['promised']} promised events, 0 lost")
    assert count["promised"] > 5 * count["cuts"]


@HOURS
def test_kills_at_every_write_in_turn(shim: Path) -> None:
    """The page cache outlives a process: the next one goes on with what it finds."""
    count: Counter[str] = Counter()

    async def one(nursery: Nursery, first: int) -> None:
        async with building(nursery, first) as made:
            for n in range(first, first + KILLS_EACH):
                await made.life(kill_at=n % CALLS + 1)
                count["kills"] += 1
            await made.finish()
            count["promised"] += len(made.ledger.promised())

    everyone(shim, share(range(0, KILLS, KILLS_EACH), 2), one, 3_000 if WHOLE else 60)
    tell(f"{count['kills']} kills, {count['promised']} promised events, 0 lost")
    assert count["promised"] > 5 * count["kills"]


def test_a_disk_that_lies_about_syncs_is_found_out(shim: Path) -> None:
    """The suite itself: with syncs that do nothing, promises must break."""
    broken: list[int] = []

    async def one(nursery: Nursery, seed: int) -> None:
        async with building(nursery, seed, quiet=True) as made:
            made.control.lies = 1
            await made.life(kill_at=0)
            made.power_cut()
            made.control.lies = 0
            try:
                await made.finish()
            except Broken:
                broken.append(seed)

    everyone(shim, range(3), one, 60)
    assert broken, "a power cut without syncs loses what was promised"


def test_the_model_keeps_what_was_synced_and_loses_the_rest(tmp_path: Path) -> None:

    root = tmp_path / "state"
    root.mkdir()
    (root / "old").write_bytes(b"a" * 1_024)
    inode = (root / "old").stat().st_ino
    log = b"".join(
        [
            entry_of(Kind.WRITE, inode, 0, b"b" * 512),
            entry_of(Kind.SYNC, inode),
            entry_of(Kind.WRITE, inode, 0, b"c" * 1_024),
            entry_of(Kind.CREATE, 99, 0, str(root / "new").encode()),
            entry_of(Kind.WRITE, 99, 0, b"n" * 600),
            entry_of(Kind.SYNC, 99),
        ]
    )
    seen: Counter[tuple[str, ...]] = Counter()
    for seed in range(60):
        disk = Disk(root)
        disk.play(log)
        disk.cut(random.Random(seed))
        old = (root / "old").read_bytes()
        for sector, before in ((old[:512], b"b"), (old[512:], b"a")):
            assert sector in (before * 512, b"c" * 512)
        seen[old[:1].decode(), old[512:513].decode(), str((root / "new").exists())] += 1
        if (root / "new").exists():
            assert (root / "new").read_bytes() == b"n" * 600, "it was synced, when it is there"
            (root / "new").unlink()
        (root / "old").write_bytes(b"a" * 1_024)
        inode_now = (root / "old").stat().st_ino
        log = log.replace(inode.to_bytes(8, "little"), inode_now.to_bytes(8, "little"))
        inode = inode_now
    assert len(seen) == 8, "each of what may be is seen"
