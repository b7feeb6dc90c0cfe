"""The loop that wakes to the microsecond, and what a line has of it."""

from __future__ import annotations

import asyncio
import os
import time

from bench.lines import corrupted_transactions

from drivers.link.loop import new_loop


def test_short_waits_are_short_and_readers_are_served() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        ours, theirs = os.pipe()
        came = asyncio.Event()
        loop.add_reader(ours, came.set)
        waits = []
        for _ in range(40):
            begun = time.perf_counter()
            await asyncio.sleep(0.00175)
            waits.append(time.perf_counter() - begun)
        os.write(theirs, b"x")
        await asyncio.wait_for(came.wait(), 5)
        loop.remove_reader(ours)
        os.close(ours)
        os.close(theirs)
        return waits

    with asyncio.Runner(loop_factory=new_loop) as runner:
        waits = runner.run(main())
    assert min(waits) >= 0.00175
    # The shortest: the machine may be busy. epoll alone gives 2 ms at the least.
    assert min(waits) < 0.0020


def test_no_corrupted_reply_is_ever_taken() -> None:
    found = corrupted_transactions(10_000, 1)
    assert found.wrong == 0
    assert found.given_up == 0
    assert found.taken > 7_000
    assert found.crc_errors > 1_000
