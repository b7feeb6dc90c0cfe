"""The record in the test's loop: its own clock, real sockets, real SQLite, disks that misbehave."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from world_record import (
    GATEWAY,
    CourierEnd,
    FieldEnd,
    InLoop,
    World,
    block_at,
    event_at,
    make_plan,
    verify,
)

from agent.ipc import Refused
from agent.record.ring import Db
from agent.record.store import Store, Survey
from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import hash_of
from agent.uplink.columns import decode_columns
from agent.uplink.cose import Signer
from agent.uplink.events import decode_events
from config.limits import COURIER_BULK_WINDOW, COURIER_FIRE_WINDOW, COURIER_WINDOW


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def run(test: Callable[[], Any]) -> None:
    asyncio.run(asyncio.wait_for(test(), 40))


async def both(loop: InLoop, **courier: Any) -> tuple[FieldEnd, CourierEnd]:
    field, end = FieldEnd(), CourierEnd(**courier)
    await field.join(loop.world)
    await end.join(loop.world)
    return field, end


def lanes(end: CourierEnd) -> list[tuple[str, int]]:
    return [(o.batch.lane, o.batch.seq) for o in end.order]


async def call(field: FieldEnd, verb: str, **args: Any) -> dict[str, Any]:
    assert field.client is not None
    return await field.client.call(verb, **args)


# --- what comes in goes out -----------------------------------------------------------------------


def test_events_are_sealed_stored_offered_and_taken_in_once(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            rows = [event_at(loop.clock, 1), event_at(loop.clock, 2, "fire")]
            assert (await call(field, "submit", events=rows))["taken"] == 2
            assert (await call(field, "submit", events=rows))["taken"] == 2
            await loop.until(lambda: field.durable == 2 and len(end.order) == 4)
            assert sorted(lanes(end)) == [("epoch", 0), ("event", 0), ("fire", 0), ("table", 0)]
            found = [
                (record.session, record.seq)
                for o in end.order if o.batch.lane in ("event", "fire")
                for record in decode_events(o.batch.data)
            ]  # fmt: skip
            assert sorted(found) == [(field.session, 1), (field.session, 2)]
            assert not end.findings

    run(test)
    assert verify(world.state)[0] == 0


def test_telemetry_is_gathered_for_ten_seconds_and_decodes_to_what_was_read(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            for second in range(12):
                rows = [block_at(loop.clock, 2 * second + p + 1, p, 20 + second) for p in (0, 1)]
                await call(field, "telemetry", blocks=rows, dropped={})
                loop.clock.move(1)
                loop.service.tick()
            await loop.until(lambda: ("telemetry", 0) in lanes(end))
            batch = next(o.batch for o in end.order if o.batch.lane == "telemetry")
            steps = {p: np.full(5, 0.1) for p in (0, 1)}
            found = decode_columns(batch.data, steps.get, batch.mono_first_ns)
            assert [round(float(v), 6) for v in found[0].value[:, 0]] == [*range(20, 30)]
            await loop.until(lambda: field.telemetry_durable == 20)

    run(test)
    code, said = verify(world.state)
    assert (code, said["gateways"][GATEWAY]["records"]["telemetry"]) == (0, 120)


def test_dropped_readings_are_declared_in_the_chain(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            row = block_at(loop.clock, 1)
            await call(field, "telemetry", blocks=[row], dropped={0: 40, 1: 15})
            loop.clock.move(11)
            await loop.until(lambda: ("telemetry", 0) in lanes(end))
            batch = next(o.batch for o in end.order if o.batch.lane == "telemetry")
            assert [(x.lane, x.last) for x in batch.losses] == [
                ("telemetry/0", 40), ("telemetry/1", 15),
            ]  # fmt: skip

    run(test)


def test_the_wall_clock_may_jump_ten_years_within_a_batch(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            await call(field, "telemetry", blocks=[block_at(loop.clock, 1)], dropped={})
            loop.clock.wall += 10 * 365 * 86_400 * 10**9
            loop.clock.move(1)
            await call(field, "telemetry", blocks=[block_at(loop.clock, 2)], dropped={})
            loop.clock.move(11)
            await loop.until(lambda: ("telemetry", 1) in lanes(end))
            first, second = (o.batch for o in end.order if o.batch.lane == "telemetry")
            assert second.wall_ns - first.wall_ns > 300 * 10**15
            assert not end.findings

    run(test)


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        ("submit", {"events": 3}, "malformed"),
        ("telemetry", {"blocks": [], "dropped": 3}, "malformed"),
        ("telemetry", {"blocks": [], "dropped": {"x": "y"}}, "malformed"),
        ("alarm_state", {"state": "text"}, "malformed"),
        ("alarm_state", {"state": bytes(1024 * 1024 + 1)}, "malformed"),
        ("hello", {"session": b"short", "boot": bytes(16)}, "malformed"),
        ("hello", {"session": bytes(16), "boot": bytes(16)}, "foreign"),
        ("follow", {"courier": "nobody"}, "unknown_courier"),
        ("ack", {"message": b""}, "follow_first"),
        ("courier_state", {"connected": True}, "follow_first"),
        ("log", {"after": "x"}, "malformed"),
        ("log", {"lane": "epoch"}, "malformed"),
    ],
)
def test_a_request_that_makes_no_sense_is_answered(
    world: World, verb: str, args: dict[str, Any], code: str
) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            with pytest.raises(Refused) as caught:
                await call(field, verb, **args)
            assert caught.value.code == code
            assert (await call(field, "status"))["gateway"] == GATEWAY
            assert loop.service.why == ""

    run(test)


def test_malformed_rows_are_counted_and_the_rest_is_taken(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            good = event_at(loop.clock, 9)
            rows = [[1], "x", [2, "event"], [3, "telemetry", *event_at(loop.clock, 3)[2:]], good]
            assert (await call(field, "submit", events=rows))["taken"] == 9
            block = block_at(loop.clock, 4)
            bad = [[1, 99, *block[2:]], [2, 0], [3, 0, 1, 1, 1, b"short", b""], block]
            await call(field, "telemetry", blocks=bad, dropped={})
            loop.clock.move(11)
            await loop.until(lambda: ("telemetry", 0) in lanes(end) and field.durable == 9)
            assert (await call(field, "status"))["malformed"] >= 5

    run(test)


def test_log_shows_events_newest_last_and_goes_on_from_an_id(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            for seq in range(1, 6):
                lane = "fire" if seq == 3 else "event"
                await call(field, "submit", events=[event_at(loop.clock, seq, lane)])
                await loop.until(lambda s=seq: field.durable == s)
            reply = await call(field, "log", limit=2)
            assert [r["records"][0][0] for r in reply["rows"]] == [4, 5]
            reply = await call(field, "log", lane="fire")
            assert [r["records"][0][0] for r in reply["rows"]] == [3]
            reply = await call(field, "log", after=reply["last"])
            assert [r["records"][0][0] for r in reply["rows"]] == [4, 5]

    run(test)


# --- couriers -------------------------------------------------------------------------------------


def test_the_window_is_bounded_and_fire_has_slots_of_its_own(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop, acknowledge=False)
            for n in range(30):
                await call(field, "telemetry", blocks=[block_at(loop.clock, n + 1)], dropped={})
                loop.clock.move(11)
                loop.service.tick()
            await loop.until(lambda: field.telemetry_durable == 30)
            loop.service.tick()
            await loop.until(lambda: len(end.order) == 2 + COURIER_BULK_WINDOW)
            for seq in range(1, 41):
                await call(field, "submit", events=[event_at(loop.clock, seq)])
            await loop.until(lambda: field.durable == 40 and len(end.order) == COURIER_WINDOW)
            for seq in range(41, 51):
                await call(field, "submit", events=[event_at(loop.clock, seq, "fire")])
            await loop.until(lambda: field.durable == 50)
            full = COURIER_WINDOW + COURIER_FIRE_WINDOW
            await loop.until(lambda: len(end.order) == full)
            for _ in range(5):
                loop.service.tick()
                await asyncio.sleep(0)
            assert len(end.order) == full
            assert [s for lane, s in lanes(end) if lane == "fire"] == [*range(COURIER_FIRE_WINDOW)]
            end.acknowledge = True
            for key in {(o.batch.epoch, o.batch.lane) for o in end.order}:
                end.ack(*key)
            await loop.until(lambda: len(end.order) == 1 + 1 + 30 + 40 + 10)
            assert not end.findings
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)

    run(test)


def test_acknowledgements_that_are_not_to_be_believed(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop, acknowledge=False)
            for seq in (1, 2):
                await call(field, "submit", events=[event_at(loop.clock, seq, "fire")])
            await loop.until(lambda: lanes(end).count(("fire", 1)) == 1)
            epoch = end.order[0].batch.epoch
            fire = [hash_of(end.batches[(epoch, "fire", n)]) for n in (0, 1)]
            client = end.client
            assert client is not None
            stranger = Signer(Ed25519PrivateKey.generate())
            forged = bytearray(end.sealed_ack(epoch, "fire", 0, fire[0]))
            forged[-1] ^= 1
            cases = {
                "unknown_key": seal_ack(Ack(GATEWAY, epoch, "fire", 0, fire[0], 1), stranger),
                "forged": bytes(forged),
                "foreign": end.sealed_ack(epoch, "fire", 0, fire[0], gateway="another"),
                "unknown": end.sealed_ack(bytes(8), "fire", 0, fire[0]),
                "future": end.sealed_ack(epoch, "fire", 2, fire[1]),
                "mismatch": end.sealed_ack(epoch, "fire", 0, fire[1]),
                "malformed": b"garbage",
                "wrong_type": end.batches[(epoch, "fire", 0)],
            }
            for code, message in cases.items():
                with pytest.raises(Refused) as caught:
                    await client.call("ack", message=message)
                assert caught.value.code == code
            assert loop.service.status_of("platform")["under_way"] == 4
            good = end.sealed_ack(epoch, "fire", 1, fire[1])
            assert (await client.call("ack", message=good))["advanced"] == 2
            for again in (good, end.sealed_ack(epoch, "fire", 0, fire[0])):
                with pytest.raises(Refused) as caught:
                    await client.call("ack", message=again)
                assert caught.value.code == "stale"
            loop.clock.move(11)
            loop.service.tick()
            await loop.until(lambda: len([o for o in end.order if o.batch.lane == "event"]) >= 8)
            told = [r.body["code"] for o in end.order if o.batch.lane == "event"
                    for r in decode_events(o.batch.data)]  # fmt: skip
            assert sorted(told) == sorted(cases)

    run(test)


def test_without_a_pinned_key_nothing_is_believed(world: World) -> None:
    async def test() -> None:
        async with InLoop(world, platform=False) as loop:
            _, end = await both(loop, acknowledge=False)
            await loop.until(lambda: len(end.order) == 2)
            assert end.client is not None
            first = end.order[0]
            message = end.sealed_ack(first.batch.epoch, "epoch", 0, first.hash)
            with pytest.raises(Refused) as caught:
                await end.client.call("ack", message=message)
            assert caught.value.code == "no_platform_key"

    run(test)


def test_a_courier_goes_on_from_its_acknowledged_place(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            for seq in range(1, 41):
                await call(field, "submit", events=[event_at(loop.clock, seq)])
            await loop.until(lambda: len(end.order) == 42)
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)
        async with InLoop(world) as loop:
            again = CourierEnd()
            await again.join(world)
            await loop.until(lambda: len(again.order) == 1)
            assert lanes(again) == [("epoch", 1)]
            fresh = await FieldEnd(field.session).join(world)
            assert fresh["durable"] == 40

    run(test)


def test_a_new_courier_gets_everything_from_the_beginning_epochs_first(world: World) -> None:
    async def test() -> None:
        session = None
        for start in range(3):
            async with InLoop(world) as loop:
                field = FieldEnd(session)
                await field.join(world)
                session = field.session
                for seq in range(1, 26):
                    await call(field, "submit", events=[event_at(loop.clock, start * 25 + seq)])
                await loop.until(lambda f=field, s=start: f.durable == s * 25 + 25)
        async with InLoop(world) as loop:
            end = CourierEnd()
            await end.join(world)
            await loop.until(lambda: len(end.order) == 4 + 1 + 75)
            assert not end.findings
            assert end.history.problems() == []
            opened: set[bytes] = set()
            for o in end.order:
                if o.batch.lane == "epoch":
                    opened.add(o.batch.epoch)
                assert o.batch.epoch in opened, "a batch came before its epoch"

    run(test)


def test_two_couriers_have_places_of_their_own() -> None:
    world = World(make_plan(couriers=("platform", "city")))

    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            await call(field, "submit", events=[event_at(loop.clock, 1)])
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)
            assert loop.service.status_of("city")["waiting"] == 3
            city = CourierEnd(acknowledge=False)
            await city.join(world, "city")
            await loop.until(lambda: len(city.order) == 3)
            assert {o.hash for o in city.order} == {o.hash for o in end.order}

    try:
        run(test)
    finally:
        world.close()


def test_what_a_courier_says_of_its_connection_reaches_field_and_status(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            assert end.client is not None
            await end.client.call("courier_state", connected=False, text="refused: TLS")
            await field.until(lambda: bool(field.notices))
            assert field.notices[-1] | {"e": ""} == {
                "e": "", "source": "courier.platform", "fault": True, "text": "refused: TLS",
            }  # fmt: skip
            late = FieldEnd()
            await late.join(world)
            await late.until(lambda: bool(late.notices))
            await end.client.call("courier_state", connected=True, text="")
            await late.until(lambda: not late.notices[-1]["fault"])
            assert loop.service.status_of("platform")["connected"]
            end.client.close()
            await late.until(lambda: late.notices[-1]["fault"])

    run(test)


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
