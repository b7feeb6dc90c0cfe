"""Start to the first completed cycle, and memory, for each path to the kernel."""

from __future__ import annotations

import time

from bench.figures import Figures
from bench.proc import rss_mb
from bench.sites import load_site
from bench.world import Bench, bench, free_ports, wait

BARS = {"aot": ("<= 1", "<= 80"), "cached-jit": ("<= 2", "<= 180"), "python": ("", "")}


def measure(figures: Figures, devices: int, registers: int) -> None:
    """Three starts of each path at the full load; the median."""
    points = devices * registers
    with bench() as world:
        load_site(world.home / "site.yaml", free_ports(devices), registers, world.broker_port)
        world.prepare("bench-load")
        world.building("--walk", "--seed", "1")
        for path, (start_bar, rss_bar) in BARS.items():
            took: list[float] = []
            for _ in range(3):
                started_ns = time.monotonic_ns()
                pid = world.field("--kernel", path)
                first_ns = wait(lambda: _first_cycle_ns(world), "the first cycle")
                took.append((first_ns - started_ns) / 1e9)
                time.sleep(3)
                rss = rss_mb(pid)
                world.end("field")
            how = f"process start to first completed cycle with readings, {points} points, median"
            figures.add(f"first_cycle_{path}", sorted(took)[1], "s", how, start_bar)
            figures.add(f"rss_field_{path}", rss, "MB", f"VmRSS, {points} points polled", rss_bar)


def _first_cycle_ns(world: Bench) -> int:
    reply = world.ask("field.sock", "status")
    return int(reply["gateway"]["first_cycle_mono_ns"]) if reply else 0
