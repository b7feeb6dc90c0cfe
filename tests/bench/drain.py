"""How fast a backlog leaves: 10,000 sealed batches, then the broker comes back; fires meanwhile."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from typing import Any

from bench.figures import Figures, percentile
from bench.sites import latency_site
from bench.world import Bench, bench, free_ports, wait

from agent.clock import boot_id
from agent.ipc import Client

SUBMITS_UNDER_WAY = 32
FIRE_EVERY_S = 0.1


def measure(figures: Figures, batches: int = 10_000) -> None:
    """One event a batch, so that the count of batches is what is measured."""
    with bench() as world:
        latency_site(
            world.home / "site.yaml", free_ports(1)[0], world.home / "riser", world.broker_port
        )
        world.prepare("bench-latency")
        world.record()
        wait(lambda: world.ask("record.sock", "status"), "record")
        asyncio.run(_backlog(world, batches))
        wait(lambda: _waiting(world) >= batches, "the backlog")
        world.broker()
        world.receiver()
        started = time.monotonic()
        world.courier()
        first = wait(lambda: _going(world, batches), "the first acknowledgement", 120)
        begun = time.monotonic()
        fires = asyncio.run(_fires_until_drained(world, batches))
        took = time.monotonic() - begun
        figures.add(
            "drain",
            first / took,
            "batches/s",
            f"{batches} batches of one event, record to receiver through mosquitto, every "
            "batch verified, stored and acknowledged, from the first acknowledgement on",
            ">= 500",
        )
        figures.add(
            "drain_whole",
            batches / (time.monotonic() - started),
            "batches/s",
            "the same, from the start of the courier process on, fires included",
        )
        figures.add(
            "drain_fire_p99",
            percentile(_arrivals_ms(world, fires), 99),
            "ms",
            f"{len(fires)} fires during that drain, one each {FIRE_EVERY_S} s: from the field's "
            "submit to the receiver's stamp on the verified batch",
            "<= 1000",
        )


async def _backlog(world: Bench, batches: int) -> None:
    client = await Client.connect(world.run_dir / "record.sock")
    await client.call("hello", session=b"b" * 16, boot=boot_id())
    for first in range(1, batches + 1, SUBMITS_UNDER_WAY):
        under_way = [
            client.request("submit", events=[_event(seq)])
            for seq in range(first, min(first + SUBMITS_UNDER_WAY, batches + 1))
        ]
        for reply in await asyncio.gather(*under_way):
            assert reply["ok"], reply
        while await _ring_is_busy(client):
            await asyncio.sleep(0.005)
    client.close()


async def _fires_until_drained(world: Bench, batches: int) -> dict[int, int]:
    """seq -> Unix ns of each fire that was submitted while the backlog left."""
    client = await Client.connect(world.run_dir / "record.sock")
    await client.call("hello", session=b"f" * 16, boot=boot_id())
    fires: dict[int, int] = {}
    due = deadline = time.monotonic()
    while (await client.call("status"))["couriers"][0]["waiting"]:
        assert time.monotonic() < deadline + 600, "the end of the backlog"
        if time.monotonic() >= due:
            due += FIRE_EVERY_S
            seq = len(fires) + 1
            fires[seq] = time.time_ns()
            await client.call("submit", events=[_event(seq, "fire")])
        await asyncio.sleep(0.01)
    client.close()
    return fires


def _arrivals_ms(world: Bench, fires: dict[int, int]) -> list[float]:
    with sqlite3.connect(world.home / "received.db") as db:
        rows = db.execute(
            "select e.seq, b.received_ns from events e join batches b on b.gateway = e.gateway "
            "and b.epoch = e.epoch and b.lane = e.lane and b.seq = e.batch_seq "
            "where e.session = ?",
            (b"f" * 16,),
        ).fetchall()
    assert {seq for seq, _ in rows} == set(fires), "every fire arrived"
    return [(received_ns - fires[seq]) / 1e6 for seq, received_ns in rows]


async def _ring_is_busy(client: Client) -> bool:
    status = await client.call("status")
    return int(status["store"]["not_durable"]["events"]) > 4 * SUBMITS_UNDER_WAY


def _event(seq: int, lane: str = "event") -> list[Any]:
    body = {"id": 1, "name": "inputs.knock", "from": 0, "to": 1}
    return [seq, lane, "point/1", "point", seq, 1_800_000_000_000_000_000 + seq, 1, 0, body]


def _waiting(world: Bench) -> int:
    status = world.ask("record.sock", "status")
    return status["couriers"][0]["waiting"] if status else -1


def _going(world: Bench, batches: int) -> int:
    left = _waiting(world)
    return left if 0 <= left < batches else 0
