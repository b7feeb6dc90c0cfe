"""Who may order what: by user, by PIN, and what wrong PINs cost."""

from __future__ import annotations

import asyncio
import re

import pytest
from control_world import PIN, control_world

from agent.core.types import Verb
from agent.field.orders import RULES
from agent.ipc import Role
from config import pin
from config.limits import PIN_LOCK_NS_MAX, PIN_TRIES_FREE, S


def test_a_pin_raises_a_viewer_for_one_order_and_the_record_names_the_person() -> None:
    async def story() -> None:
        async with control_world(Role.VIEW) as world:
            client = await world.client()
            assert await world.refused(client, "reset") == "forbidden"
            reply = await client.call("reset", person="li", pin=PIN)
            assert reply["record"]["verb"] == "reset"
            assert reply["record"]["who"] == "li"
            assert re.fullmatch(r"control socket, PIN, user \w+", reply["record"]["source"])
            assert await world.refused(client, "reset") == "forbidden"  # for that one order
            assert await world.refused(client, "reset", person="wang", pin="271828") == "forbidden"
            assert await world.refused(client, "silence", person="wang", pin="271828") == ""
            assert not any(PIN in str(body) for body in world.operators)

    asyncio.run(story())


@pytest.mark.parametrize("roles", [Role.VIEW, Role.ACKNOWLEDGE | Role.VIEW, Role.OPERATE | 3])
def test_every_verb_asks_for_its_level(roles: Role) -> None:
    target = {Verb.DISABLE: "point/inputs.heat", Verb.ENABLE: "zone/hall"}
    target[Verb.CLASSIFY] = "point/inputs.knock"

    async def story() -> None:
        async with control_world(roles) as world:
            client = await world.client()
            for verb, rule in RULES.items():
                args = {"target": target[verb]} if verb in target else {}
                if rule.words:
                    args["word"] = "false"
                code = await world.refused(client, verb.value, **args)
                assert code == ("" if roles & rule.level else "forbidden"), verb

    asyncio.run(story())


def test_a_manual_alarm_needs_no_level_and_the_levels_hold_each_other() -> None:
    assert RULES[Verb.MANUAL].level is Role.VIEW
    assert {r.level for r in RULES.values()} == {Role.VIEW, Role.ACKNOWLEDGE, Role.OPERATE}


def test_wrong_pins_lock_out_longer_each_time_across_connections_and_names() -> None:
    async def story() -> None:
        async with control_world() as world:
            for _ in range(PIN_TRIES_FREE):
                client = await world.client()  # a new connection each time
                assert (
                    await world.refused(client, "reset", person="li", pin="000000") == "wrong_pin"
                )
                client.close()
            client = await world.client()
            assert await world.refused(client, "reset", person="li", pin=PIN) == "locked"
            # Another name is of no use to the same user, the right PIN neither.
            assert await world.refused(client, "reset", person="wang", pin="271828") == "locked"
            waits = []
            for _ in range(8):
                wait_s = 0.0
                while await world.refused(client, "reset", person="nobody", pin="1") == "locked":
                    world.clock.move(5)
                    wait_s += 5
                    assert wait_s < 2_000
                waits.append(wait_s)
            assert waits == sorted(waits)
            assert waits[0] == 30.0
            assert waits[-1] == PIN_LOCK_NS_MAX / S
            status = await client.call("status")
            assert status["gateway"]["locked_out"] == []  # that one's time has passed by now
            world.clock.move(PIN_LOCK_NS_MAX / S)
            assert await world.refused(client, "reset", person="li", pin=PIN) == ""

    asyncio.run(story())


def test_a_lock_out_is_lifted_by_somebody_who_may_configure() -> None:
    async def story() -> None:
        async with control_world(Role.VIEW | Role.CONFIGURE) as world:
            client = await world.client()
            for _ in range(PIN_TRIES_FREE):
                await world.refused(client, "reset", person="li", pin="000000")
            assert (await client.call("status"))["gateway"]["locked_out"] == [
                {"name": "li", "seconds": 30}
            ]
            assert await world.refused(client, "unlock", name="nobody") == "unknown_person"
            await client.call("unlock", name="li")
            assert await world.refused(client, "reset", person="li", pin=PIN) == ""
            assert {"unlock", "reset"} <= {str(b["verb"]) for b in world.operators}

    asyncio.run(story())


def test_refusals_are_on_record_counted_and_without_what_a_stranger_wrote() -> None:
    async def story() -> None:
        async with control_world() as world:
            client = await world.client()
            for _ in range(3):
                await world.refused(client, "reset", person="<script>", pin="000000")
            for _ in range(5):
                await world.refused(client, "reset", person="li", pin="000000")
            world.control.refusals.stop()
            told = [b for b in world.operators if "refused" in b]
            assert sum(b["count"] for b in told) == 8
            assert {b["who"] for b in told} == {"", "li"}
            assert {b["refused"] for b in told} == {"wrong_pin", "locked"}
            assert len(told) < 8
            assert not world.runtime.state.alarms.silenced

    asyncio.run(story())


def test_checks_run_one_at_a_time_and_a_crowd_is_told_to_come_again() -> None:
    async def story() -> None:
        async with control_world() as world:
            client = await world.client()
            replies = await asyncio.gather(
                *(client.request("silence", person="wang", pin="271828") for _ in range(12))
            )
            codes = [reply.get("error") for reply in replies]
            assert codes.count("busy") >= 12 - 5
            assert codes.count(None) >= 1

    asyncio.run(story())


@pytest.mark.parametrize(
    ("person", "digits"), [(1, PIN), ("li", 314159), ("li", "1" * 65), (None, None), ("li", None)]
)
def test_a_pin_that_is_no_text_is_malformed_and_costs_no_try(
    person: object, digits: object
) -> None:
    async def story() -> None:
        async with control_world() as world:
            client = await world.client()
            for _ in range(PIN_TRIES_FREE + 1):
                code = await world.refused(client, "reset", person=person, pin=digits)
                assert code == "malformed"
            assert await world.refused(client, "reset", person="li", pin=PIN) == ""

    asyncio.run(story())


def test_a_hash_of_a_pin_is_read_back_and_nothing_else_is() -> None:
    made = pin.make(PIN, b"0123456789abcdef", log2_n=4, parallel=1)
    kept = pin.parse(made.text())
    assert kept == made
    assert kept.fits(PIN)
    assert not kept.fits("314158")
    text = made.text()
    for wrong in (PIN, "", text[:-1], text + "A", text.replace("$4$", "$17$"), text.upper()):
        assert pin.parse(wrong) is None
