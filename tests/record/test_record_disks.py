"""The record and disks that hang, are full, cannot be opened, or rot."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
import threading
from typing import Any

import pytest
from world_record import (
    GATEWAY,
    CourierEnd,
    FieldEnd,
    InLoop,
    World,
    block_at,
    both,
    call,
    event_at,
    lanes,
    run,
    verify,
)

from agent.record.ring import Db
from agent.record.store import Store
from agent.record.survey import Survey
from agent.uplink.events import decode_events
from config.limits import RESERVE_LOOK_NS, S

# --- disks ----------------------------------------------------------------------------------------


class HangingStore(Store):
    """A disk that does not answer until it is let go."""

    go = threading.Event()

    def append(self, *args: Any) -> None:
        assert self.go.wait(30), "the test let it go"
        super().append(*args)


def test_a_hung_disk_stops_neither_fire_nor_the_loop(world: World) -> None:
    class Hung(HangingStore):
        go = threading.Event()

    async def test() -> None:
        async with InLoop(world, Hung) as loop:
            field, end = await both(loop, acknowledge=False)
            rows = [event_at(loop.clock, 1, "fire"), event_at(loop.clock, 2)]
            await call(field, "submit", events=rows)
            await end.until(lambda: ("fire", 0) in lanes(end))
            assert ("event", 0) not in lanes(end), "it waits for the disk, for a moment"
            assert [o["durable"] for o in end.offers] == [False, False]
            loop.clock.move(0.6)
            await loop.until(lambda: ("event", 0) in lanes(end))
            loop.clock.move(3)
            loop.service.tick()
            await field.until(lambda: bool(field.notices))
            assert field.notices[-1]["source"] == "record.disk"
            assert field.notices[-1]["fault"] is True
            assert field.durable == 0
            for seq in range(3, 30):
                await call(field, "submit", events=[event_at(loop.clock, seq, "fire")])
            Hung.go.set()
            await loop.until(lambda: field.durable == 29)
            await loop.until(lambda: not field.notices[-1]["fault"])

    try:
        run(test)
    finally:
        Hung.go.set()
    assert verify(world.state)[0] == 0


class FullStore(Store):
    """A disk that is full from some moment on, by SQLite's own limit."""

    pages = 0

    def append(self, *args: Any) -> None:
        self._open().execute(f"PRAGMA max_page_count={self.pages or 1_000_000}")
        super().append(*args)


def test_a_full_disk_keeps_everything_in_memory_and_writes_it_in_order_later(world: World) -> None:
    class Full(FullStore):
        pages = 0

    async def test() -> None:
        async with InLoop(world, Full) as loop:
            field, end = await both(loop)
            await call(field, "submit", events=[event_at(loop.clock, 1)])
            await loop.until(lambda: field.durable == 1)
            Full.pages = 1
            for seq in range(2, 40):
                await call(field, "submit", events=[event_at(loop.clock, seq, "fire")])
            await loop.until(lambda: bool(field.notices) and field.notices[-1]["fault"])
            assert "full" in field.notices[-1]["text"]
            confirmed = field.durable
            await loop.until(lambda: ("fire", 37) in lanes(end))
            assert field.durable == confirmed
            Full.pages = 0
            loop.clock.move(2)
            await loop.until(lambda: field.durable == 39)
            loop.clock.move(RESERVE_LOOK_NS / S)  # and the reserve is made anew
            await loop.until(lambda: not field.notices[-1]["fault"])

    run(test)
    assert verify(world.state)[0] == 0


def test_when_memory_is_full_too_events_stay_with_the_field_and_fire_leaves(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hung(HangingStore):
        go = threading.Event()

    monkeypatch.setattr("agent.record.ring.RING_BYTES_MAX", 40_000)
    monkeypatch.setattr("agent.record.ring.RING_FIRE_RESERVE_BYTES", 10_000)
    monkeypatch.setattr("agent.record.ring.RING_TELEMETRY_BYTES_MAX", 5_000)

    async def test() -> None:
        async with InLoop(world, Hung) as loop:
            field, end = await both(loop)
            seq = 0
            taken = 0
            while taken == seq:
                seq += 1
                rows = [event_at(loop.clock, seq)]
                taken = (await call(field, "submit", events=rows))["taken"]
            rows = [event_at(loop.clock, seq), event_at(loop.clock, seq + 1, "fire")]
            assert (await call(field, "submit", events=rows))["taken"] == taken
            await end.until(lambda: ("fire", 0) in lanes(end))
            for n in range(60):
                row = block_at(loop.clock, n + 1)
                await call(field, "telemetry", blocks=[row], dropped={})
                loop.clock.move(11)
                loop.service.tick()
            assert field.client is not None
            Hung.go.set()
            loop.clock.move(2)
            await loop.until(field.client.closed.is_set)
            again = FieldEnd(field.session)
            await again.join(world)
            await call(again, "submit", events=rows)
            await loop.until(lambda: again.durable == seq + 1)
            row = block_at(loop.clock, 61)
            await call(again, "telemetry", blocks=[row], dropped={})
            loop.clock.move(11)
            await loop.until(lambda: again.telemetry_durable == 61)
            await loop.until(lambda: any(o.batch.losses for o in end.order))
            seqs = [r.seq for o in end.order if o.batch.lane in ("event", "fire")
                    for r in decode_events(o.batch.data) if r.session == field.session]  # fmt: skip
            assert sorted(seqs) == [*range(1, seq + 2)]

    try:
        run(test)
    finally:
        Hung.go.set()
    assert verify(world.state)[0] == 0


def test_a_disk_that_cannot_be_opened_is_a_fault_and_coming_back_is_a_restart(
    world: World,
) -> None:
    class Blocked(Store):
        blocked = True

        def open(self, *, check: bool = True) -> Survey:
            if self.blocked:
                raise sqlite3.OperationalError("attempt to write a readonly database")
            return super().open(check=check)

    async def test() -> None:
        async with InLoop(world, Blocked) as loop:
            field, end = await both(loop, acknowledge=False)
            await call(field, "submit", events=[event_at(loop.clock, 1, "fire")])
            await end.until(lambda: ("fire", 0) in lanes(end))
            await field.until(lambda: bool(field.notices))
            assert "readonly" in field.notices[-1]["text"]
            Blocked.blocked = False
            loop.clock.move(2)
            await loop.until(loop.service.ended.is_set)
            assert "can be used again" in loop.service.why

    run(test)

    async def afterwards() -> None:
        async with InLoop(world, Blocked) as loop:
            end = CourierEnd()
            await end.join(world)
            await loop.until(lambda: len(end.order) == 2)
            opening = end.order[0].batch
            assert opening.seq == 1, "the number of the epoch that never reached the disk is used"

    run(afterwards)
    assert verify(world.state)[0] == 0


def test_eviction_is_declared_before_it_happens_and_places_move_over_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = {"telemetry_bytes": 200_000, "events_bytes": 10**9, "rows_min": 10}
    monkeypatch.setattr("agent.record.evict.plan_cuts.__kwdefaults__", limits)

    async def test() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            for n in range(450):
                await call(field, "telemetry", blocks=[block_at(loop.clock, n + 1)], dropped={})
                loop.clock.move(11)
                loop.service.tick()
            await loop.until(lambda: field.telemetry_durable == 450)

            def begins() -> int:
                return int(loop.service.first_of("telemetry"))

            def moved() -> bool:
                loop.clock.move(31)
                return begins() > 20

            await loop.until(moved)
            end = CourierEnd()
            await end.join(world)
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)
            seqs = [s for lane, s in lanes(end) if lane == "telemetry"]
            assert min(seqs) >= begins() - 20
            assert end.history.problems() == []

    run(test)
    code, said = verify(world.state)
    assert code == 0, said
    notes = [f["code"] for f in said["gateways"][GATEWAY]["findings"]]
    assert set(notes) == {"declared_loss"}


def test_damage_met_while_running_ends_the_process_and_is_set_aside_at_the_next_start(
    world: World,
) -> None:
    class Rotten(Store):
        rotten = False

        def append(self, *args: Any) -> None:
            if self.rotten and self.path.name == "events.db":
                self.rotten = False
                self.close()
                with self.path.open("r+b") as f:
                    f.seek(100)
                    f.write(b"\xff" * 4000)
                for suffix in ("-wal", "-shm"):
                    self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
                self.open(check=False)
            super().append(*args)

    async def test() -> None:
        async with InLoop(world, Rotten) as loop:
            field = FieldEnd()
            await field.join(world)
            await call(field, "submit", events=[event_at(loop.clock, 1)])
            await loop.until(lambda: field.durable == 1)
            Rotten.rotten = True
            await call(field, "submit", events=[event_at(loop.clock, 2)])
            await loop.until(loop.service.ended.is_set)
            assert field.durable == 1

    run(test)
    Rotten.rotten = False
    assert (world.state / "record" / "events.db.is-damaged").exists()

    async def afterwards() -> None:
        async with InLoop(world, Rotten) as loop:
            reply = await FieldEnd().join(world)
            assert reply["durable"] == 0
            assert any("set aside" in text for text in loop.service.faults.values())

    run(afterwards)
    assert (world.state / "record" / "events.db.damaged-1").exists()
    assert verify(world.state)[0] == 0


def test_the_ring_lets_go_of_what_is_on_disk(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            big = {"text": "x" * 30_000}
            for seq in range(1, 31):
                row = [*event_at(loop.clock, seq)[:8], big]
                await call(field, "submit", events=[row])
            await loop.until(lambda: field.durable == 30)
            assert loop.ring.pending(Db.EVENTS) == 0
            assert len(loop.ring) < 12
            end = CourierEnd()
            await end.join(world)
            await loop.until(lambda: len(end.order) == 32)

    run(test)


def test_the_key_file_stays_out_of_everything_said(world: World) -> None:
    async def test() -> str:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            said = repr(await call(field, "status")) + repr(loop.service.__dict__)
            return said + repr(loop.service.settings)

    said = asyncio.run(test())
    pem = (world.keys / "device.key").read_text().splitlines()[1]
    assert pem not in said
    assert bytes(range(32)).hex() not in said


def test_a_new_disk_in_the_same_boot_goes_on_with_the_numbers_and_declares_the_old(
    world: World,
) -> None:
    end = CourierEnd()

    async def life() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            await end.join(world)
            for seq in (1, 2):
                await call(field, "submit", events=[event_at(loop.clock, seq)])
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)

    run(life)
    shutil.rmtree(world.state / "record")
    run(life)
    assert [o.batch.seq for o in end.order if o.batch.lane == "epoch"] == [0, 1]
    assert not end.findings
    assert end.history.problems() == []
    assert verify(world.state)[0] == 0
