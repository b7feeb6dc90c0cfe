"""Start to the first completed cycle, and memory, for each path to the kernel."""

from __future__ import annotations

import os
import re
import socket
import time

from bench.figures import Figures
from bench.proc import rss_mb
from bench.sites import load_site
from bench.world import bench, free_ports

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
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
                    address = world.home / "notify"
                    address.unlink(missing_ok=True)
                    listener.bind(str(address))
                    listener.settimeout(60)
                    started_ns = time.monotonic_ns()
                    env = {**os.environ, "NOTIFY_SOCKET": str(address)}
                    pid = world.field("--kernel", path, env=env)
                    while not (told := re.search(rb"readings at (\d+) ns", listener.recv(4_096))):
                        pass
                    took.append((int(told[1]) - started_ns) / 1e9)
                    time.sleep(3)
                    rss = rss_mb(pid)
                    world.end("field")
            how = f"process start to first completed cycle with readings, {points} points, median"
            figures.add(f"first_cycle_{path}", sorted(took)[1], "s", how, start_bar)
            figures.add(f"rss_field_{path}", rss, "MB", f"VmRSS, {points} points polled", rss_bar)
