"""CPU, memory, bytes: a day's work at 10,000 and 1,000 points a second."""

from __future__ import annotations

import sqlite3
import time

from bench.figures import Figures
from bench.proc import cpu_us, rss_mb, written_bytes
from bench.sites import load_site
from bench.world import Bench, bench, free_ports, wait

PROCESSES = ("field", "record", "courier")


def measure(figures: Figures, devices: int, registers: int, seconds: int) -> None:
    """All figures of one load."""
    points = devices * registers
    with bench() as world:
        load_site(world.home / "site.yaml", free_ports(devices), registers, world.broker_port)
        world.prepare("bench-load")
        world.building("--walk", "--seed", "1")
        world.broker()
        world.receiver()
        pids = {"record": world.record(), "field": world.field(), "courier": world.courier()}
        wait(lambda: _received(world) > 0, "first telemetry at the receiver", 60)
        time.sleep(10)
        before = {n: cpu_us(p) for n, p in pids.items()}
        written = written_bytes(pids["record"])
        first = _telemetry(world)
        started = time.monotonic()
        time.sleep(seconds)
        spent = {n: cpu_us(p) - before[n] for n, p in pids.items()}
        took = time.monotonic() - started
        last = _telemetry(world)
        readings = points * took
        load = f"{devices} TCP devices of {registers} registers, every second, {took:.0f} s"
        bar = "<= 3" if points == 10_000 else ""
        total = sum(spent.values()) / readings
        figures.add(
            f"cpu_all_{points}",
            total,
            "µs/point",
            f"user+system time of field, record and courier together; {load}",
            bar,
        )
        for name in PROCESSES:
            figures.add(f"cpu_{name}_{points}", spent[name] / readings, "µs/point", load)
        bars = {"record": "<= 50", "courier": "<= 45", "field": "<= 80 (aot)"}
        for name in PROCESSES:
            figures.add(
                f"rss_{name}_{points}",
                rss_mb(pids[name]),
                "MB",
                f"VmRSS after {load}",
                bars[name] if points == 10_000 else "",
            )
        if last[1] > first[1]:
            figures.add(
                f"wire_{points}",
                (last[0] - first[0]) / (last[1] - first[1]),
                "B/reading",
                "telemetry batches as published, envelope and signature included, 10 s",
                "<= 0.55" if points == 1_000 else "",
            )
        figures.add(
            f"disk_{points}",
            (written_bytes(pids["record"]) - written) / readings,
            "B/reading",
            "write_bytes of the record process (WAL and checkpoints), "
            "synchronous=FULL, telemetry, summaries and events",
            "<= 4" if points == 1_000 else "",
        )


def _telemetry(world: Bench) -> tuple[int, int]:
    """(bytes, readings) of all telemetry batches that the receiver holds."""
    db = sqlite3.connect(f"file:{world.home / 'received.db'}?mode=ro", uri=True, timeout=10)
    try:
        row = db.execute(
            "select sum(length(bytes)), sum(readings) from batches where lane = 'telemetry'"
        ).fetchone()
    finally:
        db.close()
    return (row[0] or 0, row[1] or 0)


def _received(world: Bench) -> int:
    try:
        return _telemetry(world)[1]
    except sqlite3.Error:
        return 0
