"""Orders over the socket: their arguments, what is refused, and what reaches the core."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from control_world import control_world

from agent.ipc import Refused, Role
from config.limits import ORDER_DURATION_NS_MAX, ORDERS_BURST, S

ALL = Role.VIEW | Role.ACKNOWLEDGE | Role.OPERATE


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("acknowledge", {}),
        ("silence", {}),
        ("reset", {}),
        ("manual", {"why": "smoke on the stairs"}),
        ("duty", {}),
        ("evacuate", {"why": "确认火情"}),
        ("disable", {"target": "point/inputs.heat", "duration_ns": 3_600 * S, "why": "welding"}),
        ("enable", {"target": "zone/hall"}),
        ("disable", {"target": "output/stair_a"}),
        ("disable", {"target": "courier/platform"}),
        ("test", {"target": "group/hall"}),
        ("test", {}),
        ("classify", {"target": "point/inputs.knock", "word": "false", "why": "steam"}),
        ("classify", {"target": "alarm/3", "word": "real"}),
        ("siren-test", {"target": "output/stair_b", "duration_ns": S}),
        ("lamp-test", {"duration_ns": S}),
    ],
)
def test_an_order_reaches_the_core_and_is_on_record(verb: str, args: dict[str, Any]) -> None:
    async def story() -> None:
        async with control_world(ALL) as world:
            client = await world.client()
            cycles = world.runtime.cycles
            reply = await client.call(verb, **args)
            assert world.runtime.cycles == cycles + 1
            assert reply["record"]["verb"] == verb
            assert reply["record"]["source"] == "control socket"
            assert reply["record"] in world.operators

    asyncio.run(story())


@pytest.mark.parametrize(
    ("verb", "args", "code", "text"),
    [
        ("disable", {}, "no_target", "point/NAME, zone/NAME"),
        ("disable", {"target": "inputs.heat"}, "unknown_target", "expected point/NAME"),
        ("disable", {"target": "point/inputs.haet"}, "unknown_target", "did you mean inputs.heat"),
        ("disable", {"target": "output/x"}, "unknown_target", "these outputs: stair_a, stair_b"),
        ("disable", {"target": "group/hall"}, "unknown_target", "expected point/NAME"),
        ("disable", {"target": "point/" + "x" * 300}, "malformed", "at most"),
        ("disable", {"target": "point/a\x1b[2J"}, "malformed", "printable"),
        ("disable", {"target": 7}, "malformed", "printable"),
        ("disable", {"target": "zone/hall", "duration_ns": -1}, "malformed", "duration_ns"),
        ("disable", {"target": "zone/hall", "duration_ns": 1.5}, "malformed", "duration_ns"),
        ("disable", {"target": "zone/hall", "duration_ns": True}, "malformed", "duration_ns"),
        ("disable", {"target": "zone/hall", "duration_ns": ORDER_DURATION_NS_MAX + 1}, "malformed",
         "at most"),
        ("disable", {"target": "zone/hall", "why": "x" * 201}, "malformed", "at most 200"),
        ("reset", {"target": "zone/hall"}, "malformed", "takes no target"),
        ("silence", {"duration_ns": 5}, "malformed", "takes no duration_ns"),
        ("classify", {"target": "zone/hall"}, "malformed", "real, false, test"),
        ("classify", {"target": "zone/hall", "word": "steam"}, "malformed", "real, false, test"),
        ("explode", {}, "unknown_verb", "no verb"),
        ("points", {"first": -1}, "malformed", "first"),
        ("points", {"count": 100_000}, "malformed", "count"),
        ("names", {"first": 1.0}, "malformed", "first"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_what_would_and_never_reaches_the_cycle(
    verb: str, args: dict[str, Any], code: str, text: str
) -> None:
    async def story() -> None:
        async with control_world(ALL) as world:
            client = await world.client()
            cycles = world.runtime.cycles
            with pytest.raises(Refused, match=text) as refusal:
                await client.call(verb, **args)
            assert refusal.value.code == code
            assert world.runtime.cycles == cycles
            assert world.operators == []

    asyncio.run(story())


def test_orders_are_few_a_second_for_each_user_and_looking_goes_on() -> None:
    async def story() -> None:
        async with control_world(ALL) as world:
            client = await world.client()
            codes = [await world.refused(client, "acknowledge") for _ in range(ORDERS_BURST + 5)]
            assert codes == [""] * ORDERS_BURST + ["busy"] * 5
            assert (await client.call("status"))["status"]["site"] == "field-test"
            other = await world.client()
            assert await world.refused(other, "acknowledge") == "busy"  # the same user
            world.clock.move(1)
            assert await world.refused(other, "acknowledge") == ""

    asyncio.run(story())


def test_an_order_that_comes_again_is_refused() -> None:
    async def story() -> None:
        async with control_world(ALL) as world:
            client = await world.client()
            first = await client.call("silence")
            cycles = world.runtime.cycles
            for number in (first["n"], first["n"] - 1, "1", None):
                client.send("silence", n=number)
            assert await world.refused(client, "reset") == ""  # its number is a new one
            assert world.runtime.cycles == cycles + 1

    asyncio.run(story())
