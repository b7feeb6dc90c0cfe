"""The summary lane: a minute's figures, next to telemetry and kept longer than it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from world_record import CourierEnd, FieldEnd, InLoop, World, block_at

from agent.record.evict import plan_cuts
from agent.record.ring import Db, Entry
from agent.record.sealer import EpochPlace, Number, Sealed
from agent.record.store import Store
from agent.uplink.batch import Codec, Opened
from agent.uplink.columns import F64
from agent.uplink.minutes import decode_minutes
from config.words import Lane


def _steps(packed: bytes) -> F64:
    return np.frombuffer(packed, "<f8")


def summaries(courier: CourierEnd) -> list[Opened]:
    return [o for o in courier.order if o.batch.lane == Lane.SUMMARY]


async def feed(loop: InLoop, field: FieldEnd, seconds: int, first: int = 1) -> None:
    assert field.client is not None
    for k in range(seconds):
        row = block_at(loop.clock, first + k, value=20.0 + 0.1 * (k % 10))
        await field.client.call("telemetry", blocks=[row], dropped={})
        loop.clock.move(1)
        loop.service.tick()


def test_a_minute_is_summed_up_and_the_rest_when_it_ends(world: World) -> None:
    async def run() -> None:
        field, courier = FieldEnd(), CourierEnd()
        async with InLoop(world) as loop:
            await field.join(world)
            await courier.join(world)
            await feed(loop, field, 70)
            await loop.until(lambda: len(summaries(courier)) == 1)
            (opened,) = summaries(courier)
            batch = opened.batch
            assert batch.codec == Codec.SUMMARY
            assert 55 * 10**9 <= batch.mono_last_ns - batch.mono_first_ns <= 61 * 10**9
            steps = loop.service.settings.site.resolutions
            (minute,) = decode_minutes(batch.data, lambda poll: _steps(steps[poll]))
            assert 56 <= minute.samples <= 61
            assert minute.good.tolist() == [minute.samples] * 5
            assert minute.minimum[0] == pytest.approx(20.0)
            assert minute.maximum[0] == pytest.approx(20.9)
            assert minute.mean[0] == pytest.approx(20.45, abs=0.06)
            # Another time begins: no summary spans it.
            loop.clock.wall += 3600 * 10**9
            await feed(loop, field, 1, first=100)
            await loop.until(lambda: len(summaries(courier)) == 2)
        store = Store(world.state / "record" / "telemetry.db")
        survey = store.open()
        assert survey.ranges[(Lane.SUMMARY, 0)] == (0, 2), "the end seals what is left"
        store.close()

    asyncio.run(run())


def test_telemetry_goes_before_summaries(tmp_path: Path) -> None:
    store = Store(tmp_path / "telemetry.db")
    store.open()
    epoch = EpochPlace(0, b"e" * 8, b"h" * 32)
    for lane in (Lane.SUMMARY, Lane.TELEMETRY):  # the summaries are the older ones
        for seq in range(20):
            number = Number(lane, 0, seq)
            sealed = Sealed(number, epoch.epoch, bytes([seq]) * 8_000, b"", 10**18 + seq)
            store.append([Entry(sealed, 0)], [epoch])
    bound = store.used_bytes() // 2
    order: list[str] = []
    while cuts := plan_cuts(store, Db.TELEMETRY, 2 * 10**18, telemetry_bytes=bound // 2):
        for cut in cuts:
            order.append(cut[0])
            store.delete(*cut)
    assert order.index(Lane.SUMMARY) == order.count(Lane.TELEMETRY) > 0, "telemetry first"
    assert store.count([Lane.TELEMETRY]) == 1, "its head stays"
    assert store.count([Lane.SUMMARY]) > 1
    store.close()
