"""What looking costs: ten viewers, and a status of 10,000 points read in pages."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import AsyncIterator

from bench.figures import Figures, percentile
from bench.proc import cpu_us
from bench.sites import load_site
from bench.world import Bench, bench, free_ports, wait

from agent.ipc import Client
from agent.viewer import Viewer
from config.limits import POINTS_PAGE_MAX

VIEWERS = 10
CROWD = 100
WINDOWS = 6  # of each kind, in turn: what else the machine does falls on both


def measure(figures: Figures, devices: int, registers: int, seconds: int) -> None:
    """A field process at the full load, looked at."""
    points = devices * registers
    with bench() as world:
        load_site(world.home / "site.yaml", free_ports(devices), registers, world.broker_port)
        world.prepare("bench-load")
        world.building("--walk", "--seed", "1")
        pid = world.field()
        wait(lambda: world.ask("field.sock", "status"), "the field process")
        wait(lambda: not world.ask("field.sock", "status")["status"]["not_ready"], "all points")
        how = _in_real_time(pid)
        time.sleep(max(10.0, seconds / 3))
        late = world.ask("field.sock", "status")["gateway"]["lateness_ms"]
        quiet = percentile(late[-int(max(10.0, seconds / 3) * 4) :], 99)
        figures.add("lateness_p99_quiet", quiet, "ms", f"ticks while nobody asks; {how}")
        share = asyncio.run(_viewers(world, pid, max(2.0, seconds / 12)))
        how = f"CPU of the field process with {VIEWERS} viewers less without, {points} points"
        figures.add("viewers_10_cpu", share, "% of a core", how, "<= 1")
        reply = world.ask("field.sock", "status")
        cost = reply["gateway"]["viewing"]["cost_ms_max"]
        figures.add("picture_max", cost, "ms", f"longest of one picture, {points} points")
        pages, took, late = asyncio.run(_pages(world, max(10.0, seconds / 3)))
        how = f"ticks of the field process while {points} points are read in pages without end"
        figures.add("lateness_p99_pages", percentile(late, 99), "ms", how, "< 10")
        figures.add("points_page_p99", percentile(took, 99), "ms", f"one of {pages} pages read")
        late = asyncio.run(_flood(world, max(10.0, seconds / 3)))
        how = "ticks while six clients send requests without reading the answers' end"
        figures.add("lateness_p99_flood", percentile(late, 99), "ms", how, "< 10")
        opened, late = _knocks(world, max(10.0, seconds / 3))
        how = f"ticks while {opened} connections are opened with garbage and closed, without pause"
        figures.add("lateness_p99_knocks", percentile(late, 99), "ms", how, "< 10")


def _in_real_time(pid: int) -> str:
    """As its unit runs it, where this user may."""
    try:
        os.sched_setscheduler(pid, os.SCHED_RR, os.sched_param(5))
    except PermissionError:
        return "at an ordinary priority, beside whatever else runs"
    return "at the real-time priority of its unit"


async def _viewers(world: Bench, pid: int, window_s: float) -> float:
    """Percent of a core, the mean difference of windows with and without viewers."""
    shares: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(WINDOWS):
        for watched in (False, True):
            async with _watching(world, VIEWERS if watched else 0):
                await asyncio.sleep(1)  # their pages
                began, cpu = time.monotonic(), cpu_us(pid)
                await asyncio.sleep(window_s)
                spent = cpu_us(pid) - cpu
                shares[watched].append(spent / (time.monotonic() - began) / 1e4)
    return sum(shares[True]) / WINDOWS - sum(shares[False]) / WINDOWS


@contextlib.asynccontextmanager
async def _watching(world: Bench, count: int) -> AsyncIterator[None]:
    viewers = [await Viewer.connect(world.run_dir / "field.sock") for _ in range(count)]
    try:
        yield
    finally:
        for viewer in viewers:
            viewer.close()


async def _pages(world: Bench, seconds: float) -> tuple[int, list[float], list[float]]:
    """Read all points again and again: (pages, ms a page, lateness of ticks in ms)."""
    client = await Client.connect(world.run_dir / "field.sock")
    took: list[float] = []
    end = time.monotonic() + seconds
    first = 0
    while time.monotonic() < end:
        began = time.monotonic()
        reply = await client.call("points", first=first, count=POINTS_PAGE_MAX)
        took.append((time.monotonic() - began) * 1e3)
        first = (first + POINTS_PAGE_MAX) % reply["total"]
    late = (await client.call("status"))["gateway"]["lateness_ms"]
    client.close()
    return len(took), took, late[-int(seconds * 4) :]


async def _flood(world: Bench, seconds: float) -> list[float]:
    """Six clients with as many requests under way as they may have."""
    end = time.monotonic() + seconds

    async def ask(client: Client) -> None:
        while time.monotonic() < end:
            await asyncio.gather(
                *(client.request("points", first=0, count=POINTS_PAGE_MAX) for _ in range(16))
            )

    clients = [await Client.connect(world.run_dir / "field.sock") for _ in range(6)]
    await asyncio.gather(*map(ask, clients))
    late = (await clients[0].call("status"))["gateway"]["lateness_ms"]
    for client in clients:
        client.close()
    return list(late[-int(seconds * 4) :])


def _knocks(world: Bench, seconds: float) -> tuple[int, list[float]]:
    """Connections opened as fast as they are taken: (how many, lateness of ticks in ms)."""
    path, opened = str(world.run_dir / "field.sock"), 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        crowd = [socket.socket(socket.AF_UNIX) for _ in range(CROWD)]
        for sock in crowd:
            sock.setblocking(False)
            if sock.connect_ex(path) == 0:
                opened += 1
                with contextlib.suppress(OSError):  # turned away already
                    sock.send(b"\xff" * 64)
        for sock in crowd:
            sock.close()
    status = wait(lambda: world.ask("field.sock", "status"), "the field process")
    return opened, list(status["gateway"]["lateness_ms"][-int(seconds * 4) :])
