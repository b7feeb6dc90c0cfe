"""The record and its couriers: windows, places, acknowledgements."""

from __future__ import annotations

import asyncio
import shutil

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
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
    make_plan,
    run,
)

from agent.ipc import Refused
from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import hash_of
from agent.uplink.cose import Signer
from agent.uplink.events import decode_events
from config.limits import COURIER_BULK_WINDOW, COURIER_FIRE_WINDOW, COURIER_WINDOW

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
            await loop.until(lambda: len(end.order) >= 1 + 1 + 30 + 40 + 10)
            assert not end.findings
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)

    run(test)


def test_acknowledgements_that_are_not_to_be_believed(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop, acknowledge=False)
            for seq in (1, 2):
                await call(field, "submit", events=[event_at(loop.clock, seq, "fire")])
            await loop.until(lambda: len(end.order) == 4)
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


def test_a_record_that_was_put_back_from_a_copy_learns_of_it(world: World) -> None:
    """The platform acknowledges a later epoch than there is; nothing else can tell the record."""

    async def starts(times: int) -> tuple[bytes, bytes]:
        for _ in range(times):
            async with InLoop(world) as loop:
                _, end = await both(loop)
                await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)
                opened = next(o for o in end.order if o.batch.lane == "epoch")
        return opened.batch.epoch, opened.hash

    async def test() -> None:
        await starts(1)
        copy = world.root / "copy"
        shutil.copytree(world.state, copy)
        newest, own_hash = await starts(3)
        shutil.rmtree(world.state)
        copy.rename(world.state)
        for path in world.run.iterdir():  # another boot: nothing there remembers
            path.unlink()
        async with InLoop(world) as loop:
            field, end = await both(loop)
            await loop.until(lambda: loop.service.status_of("platform")["waiting"] == 0)
            assert "record.rolled_back" not in loop.service.faults
            assert end.client is not None
            with pytest.raises(Refused) as caught:
                await end.client.call("ack", message=end.sealed_ack(newest, "epoch", 3, own_hash))
            assert caught.value.code == "rolled_back"
            await field.until(lambda: any("an older copy" in n["text"] for n in field.notices))
            assert "holds epoch 3" in loop.service.faults["record.rolled_back"]

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
                await loop.until(lambda: field.durable == start * 25 + 25)  # noqa: B023 -- awaited at once
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


def test_a_courier_that_never_comes_is_a_fault_and_its_coming_ends_it(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field = FieldEnd()
            await field.join(world)
            loop.clock.move(31)
            loop.service.tick()

            def told() -> list[bool]:
                return [n["fault"] for n in field.notices if n["source"] == "courier.platform"]

            await field.until(lambda: told() == [True])
            end = CourierEnd()
            await end.join(world)
            assert end.client is not None
            await end.client.call("courier_state", connected=True, text="")
            await field.until(lambda: told()[-1:] == [False])

    run(test)


def test_the_field_hears_how_far_a_fires_call_is(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop, acknowledge=False)

            def of_platform() -> list[tuple[int, int]]:
                told = [m for m in field.told if m["courier"] == "platform"]
                return [(m["sealed"], m["waiting"]) for m in told]

            await call(field, "submit", events=[event_at(loop.clock, 1, "fire")])
            await field.until(lambda: (1, 1) in of_platform())
            end.acknowledge = True
            await loop.until(lambda: any(o.batch.lane == "fire" for o in end.order))
            for key in {(o.batch.epoch, o.batch.lane) for o in end.order}:
                end.ack(*key)
            await field.until(lambda: of_platform()[-1] == (1, 0))
            changes = zip(of_platform(), of_platform()[1:], strict=False)
            assert all(a != b for a, b in changes), "said when it changes, not at every look"
            later = FieldEnd()
            await later.join(world)
            await later.until(lambda: len(later.told) >= 1)
            assert (later.told[0]["sealed"], later.told[0]["waiting"]) == (1, 0)

    run(test)
