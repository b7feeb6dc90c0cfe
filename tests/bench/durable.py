"""How long an event takes from its cycle to the disk, and how fast a backlog drains."""

from __future__ import annotations

import time

from bench.figures import Figures
from bench.latency import reset, start
from bench.world import bench, wait

EVENTS = 200


def measure(figures: Figures) -> None:
    """Events one by one, as a building makes them."""
    with bench() as world:
        start(world)
        for n in range(EVENTS):
            world.tell(set="inputs.knock", value=(n + 1) % 2)
            world.event("set", 10)
            time.sleep(0.15)
            if n % 2:
                reset(world)
        status = wait(lambda: world.ask("field.sock", "status"), "status")
        waits = status["gateway"]["durable_ms"]
        for p, bar in (("p50", ""), ("p99", "<= 100"), ("p100", "")):
            figures.add(
                f"event_durable_{p}",
                waits[p],
                "ms",
                "from the cycle that made it to the record's word that it is on disk, "
                "synchronous=FULL",
                bar,
            )
