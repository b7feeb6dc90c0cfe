"""`run --simulated` of the example with panels: every port of the site is one on this machine."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agent.cli.run import free_ports, on_the_desk
from agent.compile import check_file
from config.words import LineKind
from drivers.panel.client import PanelClient
from drivers.reading import LineState, PanelEvent
from drivers.simulator.building import Building
from drivers.simulator.control import Control

EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "panels.yaml"


class _Sink:
    def __init__(self) -> None:
        self.up: dict[int, bool] = {}
        self.events: list[PanelEvent] = []

    def line(self, state: LineState) -> None:
        self.up[state.line] = state.up

    def panel(self, events: Sequence[PanelEvent]) -> None:
        self.events += events


def test_panels_on_serial_ports_are_on_pseudo_terminals_and_told_what_they_say() -> None:
    async def main(folder: Path) -> None:
        checked = check_file(EXAMPLE)
        assert checked.plan is not None
        plan = on_the_desk(checked.plan, free_ports(len(checked.plan.lines)), folder)
        ports = [line.serial_port for line in plan.lines if line.kind == LineKind.SERIAL]
        assert len(ports) == 2
        assert all(Path(port).parent == folder for port in ports)
        building, sink = Building(plan), _Sink()
        await building.start()
        names = [plan.devices[p.device].name for p in plan.panels]
        lines = [plan.devices[p.device].line for p in plan.panels]
        clients = [PanelClient(plan, port, sink) for port in plan.panels]
        tasks = [asyncio.create_task(client.run()) for client in clients]
        control = Control(building, lambda _: None)
        try:
            async with asyncio.timeout(20):
                while not all(sink.up.get(line) for line in lines):
                    await asyncio.sleep(0.01)
                told: set[int] = set()
                for name in names:
                    await control.handle({"panel": name, "say": "fire", "address": "1"})
                while len(told) < len(names):
                    await asyncio.sleep(0.01)
                    told = {e.device for e in sink.events}
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await building.stop()

    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        asyncio.run(main(Path(name)))
