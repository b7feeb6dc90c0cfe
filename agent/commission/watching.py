"""Polls one device of a site through the bus master and keeps its latest readings."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from agent.commission.lines import ToolError
from config.limits import S
from config.plan import Plan
from config.words import Mode, Quality
from drivers.modbus.master import BusMaster
from drivers.reading import Failure, LineState, PollFailure, ReadBack, ReadingBlock, TextReading


@dataclass(frozen=True, slots=True)
class Row:
    """One point: its last reading, NaN where it is not GOOD."""

    name: str
    value: float
    quality: Quality
    unit: str
    state: bool
    mono_ns: int  # 0: no reading yet
    text: str | None = None  # of a text, what it says


class Watched:
    """A sink for one device."""

    def __init__(self, plan: Plan, device: int) -> None:
        self.plan = plan
        owners = np.frombuffer(plan.points.devices, "<u2")
        self.points = [int(i) for i in np.flatnonzero(owners == device)]
        self._rows: dict[int, tuple[float, int, int]] = {}
        self._texts: dict[int, TextReading] = {}
        self.trouble = "no answer yet"
        self.blocks = 0

    def rows(self) -> list[Row]:
        """The points of the device, in the order of the plan, then its texts."""
        table = self.plan.points
        out = []
        for i in self.points:
            value, quality, mono_ns = self._rows.get(i, (float("nan"), Quality.NOT_READY, 0))
            state = table.modes[i] == Mode.STATE
            out.append(Row(table.names[i], value, Quality(quality), table.units[i], state, mono_ns))
        for i, text in enumerate(self.plan.texts):
            said = self._texts.get(i)
            if said is None:
                out.append(Row(text.name, math.nan, Quality.NOT_READY, "", False, 0))
                continue
            well = Quality.BAD if said.value is None else Quality.GOOD
            out.append(Row(text.name, math.nan, well, "", False, said.mono_ns, said.value or ""))
        return out

    def block(self, block: ReadingBlock) -> None:
        self.trouble = ""
        self.blocks += 1
        for i, value, quality in zip(block.point, block.value, block.quality, strict=True):
            self._rows[int(i)] = (float(value), int(quality), block.mono_ns)

    def failed(self, failure: PollFailure) -> None:
        if failure.why is Failure.LINK_DOWN:
            return  # the line said why
        code = f" {failure.exception_code}" if failure.exception_code else ""
        self.trouble = f"{failure.why}{code}"

    def text(self, reading: TextReading) -> None:
        self.trouble = ""
        self.blocks += 1
        self._texts[reading.text] = reading

    def read_back(self, read_back: ReadBack) -> None:
        assert read_back.output >= 0, "a watched plan has no outputs"

    def line(self, state: LineState) -> None:
        self.trouble = state.text if not state.up else self.trouble


def only_device(plan: Plan, name: str) -> tuple[Plan, int]:
    """The plan with the polls of one device and no outputs, and its index. Raises ToolError."""
    names = [d.name for d in plan.devices]
    if name not in names:
        known = ", ".join(names[:20])
        raise ToolError(
            f"no device is called '{name}'; the site has: {known}",
            f"没有名为“{name}”的设备；该站点有：{known}",
        )
    device = names.index(name)
    polls = tuple(p for p in plan.polls if p.device == device)
    texts = tuple(t for t in plan.texts if t.device == device)
    if not polls and not texts:
        raise ToolError(f"device '{name}' has no points to watch", f"设备“{name}”没有可查看的点位")
    return replace(plan, polls=polls, texts=texts, outputs=(), effects=()), device


async def watch(
    plan: Plan, device: int, wait_ns: int, every_ns: int, show: Callable[[Watched], None]
) -> Watched:
    """Poll for `wait_ns`, and show every `every_ns`."""
    watched = Watched(plan, device)
    master = BusMaster(plan, plan.devices[device].line, watched)
    running = asyncio.create_task(master.run())
    loop = asyncio.get_running_loop()
    until_s = loop.time() + wait_ns / S
    try:
        while (left_s := until_s - loop.time()) > 0:
            done, _ = await asyncio.wait({running}, timeout=min(left_s, every_ns / S))
            for task in done:
                task.result()
            show(watched)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    return watched
