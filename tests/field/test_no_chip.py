"""A real field process whose GPIO chip is not there: a fault, and everything else works."""

from __future__ import annotations

import asyncio
import signal

from field_world import SITE, field_world

from agent.ipc import Client

MORE = """signals:
  lamp: {{kind: lamp, gpio: gpiochip999, line: 5, means: fire}}
  trouble: {{kind: fault, device: relays, coil: 7}}
inputs:
  ack: {{role: acknowledge, gpio: gpiochip999, line: 6}}
"""
WITH_GPIO = SITE.replace("effects:\n", MORE + "effects:\n")


def test_a_missing_chip_is_a_fault_and_a_stop_lets_the_fault_output_go() -> None:
    async def story() -> None:
        async with asyncio.timeout(60), field_world(WITH_GPIO) as world:
            await world.start()
            await world.told("READY=1")

            async def faults() -> set[str]:
                reply = await world.until(lambda: world.ask("status"))
                return {fault["source"] for fault in reply["status"]["faults"]}

            async def chip_missing() -> bool:
                return {"gpio.gpiochip999", "output/lamp", "input/ack"} <= await faults()

            await world.until(chip_missing)
            relays = [d.name for d in world.plan.devices].index("relays")
            assert world.building.coil(relays, 7) is False, "released: there is a fault"
            world.building.set_point("inputs.knock", 1)
            await world.building.wait_output("stair_a", on=True)
            await world.building.wait_output("stair_b", on=True)
            client = await Client.connect(world.home / "field.sock")
            reply = await client.call("acknowledge")
            assert reply["status"]["flags"][0] == "fire"
            client.close()
            assert world.process is not None
            world.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(world.process.wait(), 10) == 0
            assert world.building.coil(relays, 0), "a stop leaves the sirens as they are"

    asyncio.run(story())


def test_a_fault_output_is_energised_while_all_is_well_and_let_go_by_a_stop() -> None:
    site = SITE.replace(
        "effects:\n", "signals:\n  trouble: {{kind: fault, device: relays, coil: 7}}\neffects:\n"
    )

    async def story() -> None:
        async with asyncio.timeout(60), field_world(site) as world:
            relays = [d.name for d in world.plan.devices].index("relays")

            async def energised() -> bool:
                return world.building.coil(relays, 7)

            await world.start()
            # Without a record the gateway is at fault after a while: before that, all is well.
            await world.until(energised)
            assert world.process is not None
            world.process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(world.process.wait(), 10) == 0
            assert not world.building.coil(relays, 7)

    asyncio.run(story())
