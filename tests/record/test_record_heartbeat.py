"""Heartbeats of the record: every minute while connected, with the heads of what was sealed."""

from __future__ import annotations

import asyncio

from world_record import CourierEnd, FieldEnd, InLoop, World, event_at

from agent.uplink.batch import hash_of
from config.limits import HEARTBEAT_NS, S


def test_a_connected_courier_gets_the_heads_every_minute_and_the_journal_does_not_grow(
    world: World,
) -> None:
    async def run() -> None:
        field, courier = FieldEnd(), CourierEnd()
        async with InLoop(world) as loop:
            await field.join(world)
            await courier.join(world)
            assert field.client is not None
            assert courier.client is not None
            loop.clock.move(HEARTBEAT_NS / S)
            loop.service.tick()
            await courier.client.call("courier_state", connected=True, text="")
            await field.client.call("submit", events=[event_at(loop.clock, 1, "fire")])
            await loop.until(lambda: any(o["lane"] == "fire" for o in courier.offers))
            sealed = len(courier.offers)
            assert courier.heartbeats == [], "not while it is not connected"
            for minute in (1, 2):
                loop.clock.move(HEARTBEAT_NS / S)
                await loop.until(lambda: len(courier.heartbeats) == minute)  # noqa: B023 -- awaited at once
            first, second = courier.heartbeats
            assert second.mono_ns - first.mono_ns == HEARTBEAT_NS
            fire = next(o for o in courier.offers if o["lane"] == "fire")
            assert first.heads["fire"] == (0, hash_of(fire["bytes"]))
            assert set(first.heads) == {o["lane"] for o in courier.offers}
            assert len(courier.offers) == sealed, "nothing was sealed for it"

    asyncio.run(run())
