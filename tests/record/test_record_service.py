"""The record in the test's loop: what comes in is sealed, stored and offered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from world_record import (
    GATEWAY,
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

from agent.ipc import Refused
from agent.uplink.columns import decode_columns
from agent.uplink.events import decode_events

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


def test_numbers_that_no_batch_can_carry_are_counted_and_stop_nothing(world: World) -> None:
    """One of them as the mark, or as what was dropped, and nothing could be sealed any more."""

    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            huge = [2**64 + 5, *event_at(loop.clock, 1)[1:]]
            reply = await call(field, "submit", events=[event_at(loop.clock, 1), huge])
            assert reply["taken"] == 1
            blocks = [block_at(loop.clock, 1), [2**63, *block_at(loop.clock, 1)[1:]]]
            dropped = {0: 2**70, 2**62: 3, -1: 3, 1: -3}
            await call(field, "telemetry", blocks=blocks, dropped=dropped)
            loop.clock.move(11)
            await loop.until(lambda: ("telemetry", 0) in lanes(end))
            await call(field, "telemetry", blocks=[block_at(loop.clock, 2)], dropped={0: 1})
            loop.clock.move(11)
            await loop.until(lambda: ("telemetry", 1) in lanes(end) and field.durable == 1)
            losses = [x for o in end.order for x in o.batch.losses]
            assert {(x.lane, x.last) for x in losses} <= {("telemetry/0", 2**63 - 1),
                                                         ("telemetry/0", 1)}  # fmt: skip
            assert losses
            assert (await call(field, "status"))["malformed"] == 4
            assert not end.findings

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
                await loop.until(lambda: field.durable == seq)  # noqa: B023 -- awaited at once
            reply = await call(field, "log", limit=2)
            assert [r["records"][0][0] for r in reply["rows"]] == [4, 5]
            reply = await call(field, "log", lane="fire")
            assert [r["records"][0][0] for r in reply["rows"]] == [3]
            reply = await call(field, "log", after=reply["last"])
            assert [r["records"][0][0] for r in reply["rows"]] == [4, 5]

    run(test)
