"""Every call on the disk fails in turn, once or from then on: fires leave, faults are said."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import time
from collections import Counter
from pathlib import Path

import pytest
from buildings import Broken, Building, Nursery, building
from disk import Kind
from suites import WHOLE, everyone, share, tell

from agent.ipc import IpcError

CALLS = 120  # of opening and the first submissions
ERRORS = (errno.ENOSPC, errno.EIO, errno.EROFS)
FOREVER = 2**60
FIRE_WAIT_S = 5.0  # each one; the median is judged where the machine may be busy
HOURS = pytest.mark.timeout(3_600 if WHOLE else 120)


async def fire_leaves(made: Building) -> None:
    """A fire that is told now reaches the platform, whatever the disk does."""
    assert made.field is not None
    assert made.field.client is not None
    await made.talk(lane="event")  # it says how far it has taken us in
    await made.talk(lane="fire")
    wanted = made.said
    try:
        await made.platform.until(
            lambda: any(
                record.seq == wanted and record.session == made.session
                for opened in made.platform.order[-60:]
                for record in made.events_in(opened)
            ),
            FIRE_WAIT_S,
        )
    except TimeoutError:
        if made.field.client.closed.is_set():
            return  # it ended, to begin anew: the field process tells the next one
        status = await made.field.client.call("status")
        got = [(o.batch.lane, o.batch.seq) for o in made.platform.order[-12:]]
        raise Broken(f"seed {made.seed}: fire {wanted} never left: {status} {got}") from None


async def alive(made: Building) -> None:
    """Joined to a record that runs; one that ended with its disk is started again."""
    for _ in range(4):
        with contextlib.suppress(IpcError):
            await made.join()
            return
        await made.kill()
        await made.start(fresh=False)
    raise Broken(f"seed {made.seed}: it does not come up: {made.log()[-2000:]}")


async def one_failure(made: Building, at: int, error: int, count: int) -> bool:
    """A life with a disk that fails. Whether anything was asked of it and failed."""
    await made.start(fail_at=at, fail_count=count, fail_errno=error)
    await alive(made)
    for _ in range(8):
        try:
            await made.talk()
        except IpcError:  # it ended, to begin anew on what the disk has
            await alive(made)
    failed = made.control.failed > 0
    if failed:
        with contextlib.suppress(IpcError):
            await fire_leaves(made)
    if failed and count == FOREVER:
        await said(made)
    made.control.fail_at = 0
    await made.kill()
    if made.rng.random() < 0.5:
        made.power_cut()
    await made.finish()
    return failed


async def said(made: Building) -> None:
    """A disk that stays broken is a fault that the field process is told of."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        with contextlib.suppress(IpcError):
            assert made.field is not None
            assert made.field.client is not None
            status = await made.field.client.call("status")
            if any(source.startswith("record.") for source in status["faults"]):
                return
            await made.talk(lane="event")
            await asyncio.sleep(0.05)
            continue
        await alive(made)
    raise Broken(f"seed {made.seed}: nobody is told: {made.log()[-2000:]}")


@HOURS
@pytest.mark.parametrize("count", [1, FOREVER], ids=["once", "from then on"])
def test_every_call_fails_in_turn(shim: Path, count: int) -> None:
    seen: Counter[str] = Counter()

    async def one(nursery: Nursery, case: tuple[int, int]) -> None:
        at, error = case
        async with building(nursery, at * 1_000 + error) as made:
            if await one_failure(made, at, error, count):
                seen[errno.errorcode[error]] += 1

    cases = [(at, error) for at in range(1, CALLS + 1) for error in ERRORS]
    everyone(shim, share(cases, 7), one, 3_000 if WHOLE else 60)
    tell(f"failures, {'once' if count == 1 else 'from then on'}: {dict(seen)}, 0 lost")
    assert sum(seen.values()) >= 4


@HOURS
def test_a_power_cut_after_a_sync_that_failed(shim: Path) -> None:
    """What was dirty when a sync failed is never written: it must not be promised later."""

    async def one(nursery: Nursery, seed: int) -> None:
        async with building(nursery, seed) as made:
            await made.start(
                fail_at=made.rng.randint(20, 200), fail_count=made.rng.randint(1, 3),
                fail_errno=errno.EIO, fail_kinds=1 << Kind.SYNC,
            )  # fmt: skip
            await alive(made)
            for _ in range(10):
                try:
                    await made.talk()
                except IpcError:
                    await alive(made)
            if made.rng.random() < 0.5:
                with contextlib.suppress(IpcError):
                    for _ in range(24):  # it tries again within a second, and promises then
                        await asyncio.sleep(0.05)
                    await made.talk()
            await made.kill()
            made.power_cut()
            await made.finish()

    everyone(shim, share(range(60), 3), one, 1_000 if WHOLE else 60)


def test_fire_reaches_the_receiver_within_a_second_with_the_disk_hung(shim: Path) -> None:
    """Writes and syncs do not come back, from the start or from some moment on."""

    async def one(nursery: Nursery, from_the_start: bool) -> None:
        async with building(nursery, 1) as made:
            if from_the_start:
                await made.life(kill_at=0, steps=3)
                made.control.hang = 1
            await made.start()
            began = time.monotonic()
            await made.join(patient=from_the_start)
            if from_the_start:
                await fire_leaves(made)
                assert time.monotonic() - began < 2.0  # 0.5 s of it for the disk, the rest to start
            else:
                await made.talk()
                made.control.hang = 1
            waits = []
            for _ in range(20):
                began = time.monotonic()
                await fire_leaves(made)
                waits.append(time.monotonic() - began)
            assert sorted(waits)[len(waits) // 2] < 1.0
            await said(made)
            made.control.hang = 0
            assert made.field is not None
            if not from_the_start:
                field = made.field
                await field.until(lambda: field.durable >= made.said, 20)
            await made.kill()
            await made.finish()

    everyone(shim, [False, True], one, 100)
