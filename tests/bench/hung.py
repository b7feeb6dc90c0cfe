"""How long a fire takes from the record's socket to its courier while the disk does not answer."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figures, percentile

for neighbour in ("crash", "record"):
    sys.path.insert(0, str(Path(__file__).parents[1] / neighbour))

FIRES = 200


def measure(figures: Figures) -> None:
    """Fires one by one; every write and sync of the record hangs from before the first."""
    waits = asyncio.run(_waits())
    for percent in (50, 99):
        figures.add(
            f"fire_disk_hung_p{percent}",
            percentile(waits, percent) * 1_000,
            "ms",
            "from the submission to the courier's end of the socket, sealed and verified, while "
            "no write and no sync of the record's disk comes back",
            "<= 1000" if percent == 99 else "",
        )


async def _waits() -> list[float]:
    from buildings import Building, Nursery  # noqa: PLC0415 -- found by the path above
    from disk import build  # noqa: PLC0415 -- as above
    from test_failing import fire_leaves  # noqa: PLC0415 -- as above

    waits = []
    with tempfile.TemporaryDirectory() as directory:
        async with Nursery(build(Path(directory))) as nursery:
            made = Building(nursery, 1)
            try:
                await made.start()
                await made.join()
                await made.talk()
                made.control.hang = 1
                for _ in range(FIRES):
                    began = time.monotonic()
                    await fire_leaves(made)
                    waits.append(time.monotonic() - began)
                made.control.hang = 0
                await made.kill()
            finally:
                made.close()
    return waits
