"""A clock that starts in 1970 or jumps ten years: the record of it gives everything its time."""

from __future__ import annotations

import asyncio

import pytest
from world_record import InLoop, World, both, call, event_at, run, verify

from agent.core.types import ClockState, Now
from agent.record.clockwatch import ClockWatch
from agent.record.ring import Db
from agent.record.store import Store
from agent.uplink.clocks import Clocks
from agent.uplink.events import EventRecord, decode_events
from config.limits import CLOCK_STEP_NS, S

TEN_YEARS_NS = 10 * 365 * 86_400 * S
BOOT = bytes(16)


def test_what_was_sealed_in_1970_is_given_its_time(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            true_ns = loop.clock.wall - loop.clock.mono
            loop.clock.wall, loop.clock.state = 17 * S, ClockState.UNSET
            loop.service.tick()
            field, end = await both(loop)
            await call(field, "submit", events=[event_at(loop.clock, 1, "fire")])
            moment = loop.clock.mono
            loop.clock.move(30)
            loop.service.tick()
            loop.clock.wall, loop.clock.state = loop.clock.mono + true_ns, ClockState.SYNCHRONISED
            loop.service.tick()
            loop.clock.move(30)
            loop.clock.wall += TEN_YEARS_NS
            loop.service.tick()

            def records() -> list[tuple[bytes, EventRecord]]:
                return [
                    (o.batch.boot, record) for o in end.order if o.batch.lane in ("fire", "event")
                    for record in decode_events(o.batch.data)
                ]  # fmt: skip

            await loop.until(lambda: len(records()) == 3)
            told = {r.body.get("event"): r.body for _, r in records()}
            assert told["clock_stepped"]["by_ns"] == TEN_YEARS_NS
            assert told["clock_established"]["by_ns"] > 10**18
            clocks = Clocks()
            boot = records()[0][0]
            assert clocks.wall_ns(boot, moment) is None
            for _, record in records():
                clocks.learn_event(record.body)
            assert clocks.wall_ns(boot, moment) == moment + true_ns
            assert clocks.wall_ns(boot, loop.clock.mono + 1) == loop.clock.wall + 1
            assert not end.findings

    run(test)
    assert verify(world.state)[0] == 0


def test_a_clock_that_is_set_ahead_makes_no_event_old_enough_to_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten years at once, by a time server that is wrong: the year that must stay has not passed."""
    limits = {"telemetry_bytes": 10**9, "events_bytes": 150_000, "rows_min": 10}
    monkeypatch.setattr("agent.record.evict.plan_cuts.__kwdefaults__", limits)

    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)

            async def looked_at() -> int:
                """The first event that is held after a look at what may go."""
                loop.clock.move(31)
                for _ in range(2):
                    loop.service.tick()
                    await asyncio.sleep(0)
                    while (
                        await loop.service.journal.ask_quietly(Db.EVENTS, Store.used_bytes) is None
                    ):
                        await asyncio.sleep(0.002)  # it was under way when the clock leapt
                    await loop.until(lambda: not loop.ring.pending(Db.EVENTS))
                return loop.service.first_of("event")

            for seq in range(1, 61):
                row = event_at(loop.clock, seq)
                row[8] = {"text": "x" * 2_500}
                await call(field, "submit", events=[row])
            await loop.until(lambda: field.durable == 60)
            loop.clock.wall += TEN_YEARS_NS
            for _ in range(3):
                assert await looked_at() == 0
            loop.clock.move(400 * 86_400)
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)
            while await looked_at() == 0:  # now it has
                pass
            assert not end.findings

    run(test)


def test_batches_are_anchors_too(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            await call(field, "submit", events=[event_at(loop.clock, 1, "fire")])
            await loop.until(lambda: any(o.batch.lane == "fire" for o in end.order))
            clocks = Clocks()
            for opened in end.order:
                clocks.learn(opened.batch)
            batch = end.order[0].batch
            assert clocks.wall_ns(batch.boot, loop.clock.mono - S) == loop.clock.wall - S
            assert clocks.wall_ns(bytes(16), 1) is None

    run(test)


def test_a_slow_drift_is_no_step_and_a_step_that_could_not_be_told_is_told_again() -> None:
    told: list[str] = []
    room = [None, True]

    def tell(body: dict[str, object], _now: Now) -> object:
        told.append(str(body["event"]))
        return room.pop(0)

    watch = ClockWatch(BOOT, Now(0, 10**18, ClockState.HOLDOVER))
    wall_ns = 10**18
    for n in range(1, 100):
        wall_ns += S + CLOCK_STEP_NS // 2
        watch.look(Now(n * S, wall_ns, ClockState.HOLDOVER), tell)
    assert told == []
    wall_ns -= 3_600 * S
    for n in range(100, 103):
        wall_ns += S
        watch.look(Now(n * S, wall_ns, ClockState.HOLDOVER), tell)
    assert told == ["clock_stepped", "clock_stepped"]


def test_a_clock_that_jumps_while_it_is_not_set_is_nobodys_business() -> None:
    watch = ClockWatch(BOOT, Now(0, 0, ClockState.UNSET))
    watch.look(Now(S, 10**18, ClockState.UNSET), lambda *_: 1 // 0)
