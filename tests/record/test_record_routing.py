"""A destination that an operator disabled: what is held back, and what goes on."""

from __future__ import annotations

import pytest
from world_record import InLoop, World, block_at, both, call, event_at, lanes, run

from agent.ipc import Refused


def test_a_disabled_courier_gets_no_fire_and_no_event_until_it_is_enabled(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, end = await both(loop)
            await call(field, "routing", disabled=["platform"])
            assert loop.service.status_of("platform")["disabled"] is True
            before = [lane for lane, _ in lanes(end)]
            await call(field, "submit", events=[event_at(loop.clock, 1, "fire")])
            await call(field, "submit", events=[event_at(loop.clock, 2)])
            await call(field, "telemetry", blocks=[block_at(loop.clock, 1)], dropped={})
            loop.clock.move(11)
            loop.service.tick()
            await loop.until(lambda: ("telemetry", 0) in lanes(end))
            assert "fire" not in [lane for lane, _ in lanes(end)][len(before) :]
            assert loop.service.status_of("platform")["following"] is True
            await call(field, "routing", disabled=[])
            await loop.until(lambda: {("fire", 0), ("event", 0)} <= set(lanes(end)))
            assert not end.findings

    run(test)


@pytest.mark.parametrize("disabled", [None, "platform", ["x"] * 10_000])
def test_an_order_that_is_none_is_refused(world: World, disabled: object) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            field, _ = await both(loop)
            with pytest.raises(Refused):
                await call(field, "routing", disabled=disabled)
            assert loop.service.status_of("platform")["disabled"] is False

    run(test)
