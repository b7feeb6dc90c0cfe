"""One picture for all viewers."""

from __future__ import annotations

import asyncio
import io
import socket
from typing import Any

import numpy as np
import pytest
from control_world import ControlWorld, control_world
from field_world import SITE
from rich.console import Console, RenderableType

from agent.cli import show
from agent.cli.top import Screen
from agent.field import fanout
from agent.ipc import Role, encode_message
from agent.viewer import Viewer
from config.limits import FANOUT_PAGE, MS
from config.words import Flag
from drivers.reading import ReadingBlock

MANY = 120


def site(points: int) -> str:
    registers = "\n".join(
        f"      p{n}: {{register: input {n}, type: int16, unit: °C, kind: heat, class: A1}}"
        for n in range(points)
    )
    return (
        SITE.format(port=1502)
        .replace(
            "      heat: {register: input 0, type: int16, scale: 0.1, unit: °C, kind: heat, "
            "class: A1}",
            registers,
        )
        .replace("[inputs.knock, inputs.heat]", "[inputs.*]")
    )


def read(world: ControlWorld, poll: int, value: float) -> None:
    """A reading of every point of one poll."""
    plan = world.plan
    points = np.frombuffer(plan.polls[poll].points, "<u4").astype(np.int32)
    world.runtime.block(
        ReadingBlock(poll, world.clock.mono_ns, points, np.full(len(points), value),
                     np.zeros(len(points), np.uint8))
    )  # fmt: skip
    world.runtime.run_cycle()


async def picture(viewer: Viewer, wanted: Any) -> None:
    while not wanted():
        await asyncio.wait_for(viewer.changed.wait(), 10)
        viewer.changed.clear()


def test_a_viewer_has_the_whole_picture_and_then_what_changes() -> None:
    async def story() -> None:
        async with control_world(Role.VIEW, site=site(MANY)) as world:
            viewer = await Viewer.connect(world.path)
            await picture(viewer, lambda: viewer.seq)
            assert viewer.names == list(world.plan.points.names)
            assert viewer.zone_names == ["hall"]
            assert viewer.status["points"] == MANY + 1
            assert viewer.whole
            knock = viewer.names.index("inputs.knock")
            poll = next(i for i, p in enumerate(world.plan.polls) if p.function == 2)
            before = viewer.seq
            read(world, poll, 1.0)
            await picture(viewer, lambda: viewer.seq > before)
            assert viewer.values[knock] == 1.0
            assert viewer.flags[knock] & Flag.FIRE
            assert viewer.zone_flags[0] & Flag.FIRE
            assert viewer.status["first_alarm"]["name"] == "inputs.knock"
            quiet = np.delete(np.arange(MANY + 1), knock)
            assert np.isnan(viewer.values[quiet]).all()

    asyncio.run(story())


def test_a_point_that_speaks_in_states_shows_words_and_no_number() -> None:
    async def story() -> None:
        async with control_world(Role.VIEW) as world:
            viewer = await Viewer.connect(world.path)
            await picture(viewer, lambda: viewer.seq)
            before = viewer.seq
            read(world, next(i for i, p in enumerate(world.plan.polls) if p.function == 2), 1.0)
            await picture(viewer, lambda: viewer.seq > before)
            screen = Screen("zh", "inputs.knock")
            screen.take(viewer)
            client = await world.client()
            rows = (await client.call("points", first=0, count=10))["points"]
            says = {row["name"]: row["says"] for row in rows}
            assert says == {name: ["fire"] if name == "inputs.knock" else None for name in says}
            shown = [r for r in rows if r["name"] == "inputs.knock"]
            for part in (screen.draw(), show.points("", shown, "zh")):
                cells = row_of(part, "inputs.knock")
                assert cells[1:3] == ["火警", "火警"]

    asyncio.run(story())


def row_of(part: RenderableType, name: str) -> list[str]:
    """The cells of the last row with this name, as a terminal shows it."""
    console = Console(width=120, file=io.StringIO(), record=True)
    console.print(part)
    lines = [line for line in console.export_text().splitlines() if f" {name} " in line]
    return [cell.strip() for cell in lines[-1].strip("│").split("│")]


def test_ten_viewers_get_the_same_bytes_made_once_and_none_is_made_for_nobody() -> None:
    async def story() -> None:
        async with control_world(Role.VIEW, site=site(MANY)) as world:
            assert world.control.fanout.told()["viewers"] == 0
            seen: list[list[dict[str, Any]]] = [[] for _ in range(10)]
            clients = [await world.client(events.append) for events in seen]
            for client in clients:
                assert (await client.call("subscribe"))["points"] == MANY + 1
                await client.call("subscribe")  # asked twice is told once
            while not all(events and events[-1]["e"] == "view" for events in seen):
                await asyncio.sleep(0.01)
            # The first one's picture was made at once, the others came to the next together.
            assert all(events == seen[1] for events in seen[1:])
            assert [e["e"] for e in seen[1]] == ["page"] * -(-(MANY + 1) // FANOUT_PAGE) + ["view"]
            assert world.control.fanout.told()["viewers"] == 10
            for client in clients:
                client.close()
            while world.control.fanout.told()["viewers"]:
                await asyncio.sleep(0.01)
            while world.control.fanout.running:
                await asyncio.sleep(0.05)

    asyncio.run(story())


def test_a_viewer_that_does_not_read_is_dropped_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fanout, "FANOUT_NS", MS)
    monkeypatch.setattr(fanout, "FANOUT_UNSENT_BYTES_MAX", 65_536)

    async def story() -> None:
        async with control_world(Role.VIEW, site=site(MANY)) as world:
            viewer = await Viewer.connect(world.path)
            with socket.socket(socket.AF_UNIX) as slow:
                slow.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(slow, str(world.path))
                await loop.sock_sendall(slow, encode_message({"v": "subscribe", "n": 1}))
                while world.control.fanout.told()["viewers"] < 2:
                    await asyncio.sleep(0.001)
                while world.control.fanout.told()["viewers"] > 1:
                    await asyncio.sleep(0.001)
            seq = viewer.seq
            await picture(viewer, lambda: viewer.seq > seq + 10)
            assert len(world.server.connections) == 1

    asyncio.run(story())
