"""A fire that people silenced is silent over a restart, and one they know nothing of is not."""

from __future__ import annotations

import asyncio
import os

from field_world import FieldWorld, field_world

from agent.ipc import Connection, Handler, Message, Policy, Role, Server
from config.limits import RECALL_WAIT_NS


class SlowRecord:
    """In the place of the record process: it keeps the alarm state, and thinks before it tells."""

    def __init__(self, world: FieldWorld) -> None:
        self.state = b""
        self.kept = asyncio.Event()
        verbs: dict[str, tuple[Role, Handler]] = {
            "hello": (Role.FIELD, self._hello),
            "alarm_state": (Role.FIELD, self._keep),
            "submit": (Role.FIELD, self._nothing),
            "telemetry": (Role.FIELD, self._nothing),
            "routing": (Role.FIELD, self._nothing),
        }
        self.server = Server(world.home / "record.sock", verbs, Policy({os.getuid(): Role.ALL}))

    async def _hello(self, _: Connection, __: Message) -> Message:
        await asyncio.sleep(RECALL_WAIT_NS / 2e9)
        return {"durable": 0, "telemetry_durable": 0, "state": self.state}

    def _keep(self, _: Connection, message: Message) -> Message:
        self.state = message["state"]
        self.kept.set()
        return {}

    def _nothing(self, _: Connection, __: Message) -> Message:
        return {}


async def known(world: FieldWorld) -> bool:
    """The building was read, and the record has what stands."""
    reply = await world.ask("status")
    return bool(reply) and reply["gateway"]["alarm_state_kept"] and not reply["status"]["not_ready"]


def test_a_silenced_fire_is_silent_over_a_restart_and_sounds_when_no_record_tells_of_it() -> None:
    async def tell(world: FieldWorld, record: SlowRecord) -> None:
        building = world.building
        await world.start()
        await world.normal()
        building.set_point("inputs.knock", 1)
        await building.wait_output("stair_b", on=True)
        await world.ask("silence")
        for siren in ("stair_a", "stair_b"):
            await building.wait_output(siren, on=False)
        await world.until(lambda: known(world))
        await world.kill()

        sounded: list[str] = []
        building.on_coil.append(
            lambda e: sounded.append(e.output) if e.on and not e.read_back else None
        )
        await world.start()
        await world.until(lambda: known(world))
        status = (await world.ask("status"))["status"]
        assert (status["silenced"], status["alarms"]) == (True, 1)
        assert sounded == []

        await world.kill()
        await record.server.stop()
        await world.start()
        await building.wait_output("stair_b", on=True)
        assert set(sounded) == {"stair_a", "stair_b"}

    async def story() -> None:
        async with asyncio.timeout(40), field_world() as world:
            record = SlowRecord(world)
            await record.server.start()
            try:
                await tell(world, record)
            finally:
                await record.server.stop()

    asyncio.run(story())
