"""Finds units on a line that nobody else uses: baud, parity and unit sweep, at a polite rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from agent.commission.lines import ToolError, setting_text
from config.desk_limits import SCAN_LISTEN_NS, SCAN_PAUSE_NS, SCAN_WAIT_NS
from config.limits import S
from config.plan import Line
from config.words import LineKind
from drivers.link.stream import LinkError
from drivers.modbus.frame import read_query
from drivers.modbus.single import SingleAsker

_GATEWAY_CODES = (10, 11)  # V1.1b3, 7: the gateway speaks because the unit does not


@dataclass(frozen=True, slots=True)
class Found:
    """A unit that answered, or bytes that were no frame (`spoilt`)."""

    setting: str
    unit: int
    exception: int = 0
    spoilt: bool = False


@dataclass(frozen=True, slots=True)
class ScanPlan:
    """What to try. Serial lines: every baud with every parity; others: the units only."""

    bauds: Sequence[int]
    parities: Sequence[str]  # N, E, O
    units: Sequence[int]
    wait_ns: int = SCAN_WAIT_NS
    pause_ns: int = SCAN_PAUSE_NS
    listen_ns: int = SCAN_LISTEN_NS
    every_setting: bool = False  # go on after a setting at which units answered

    def settings(self, line: Line) -> list[Line]:
        """The line with every setting."""
        if line.kind != LineKind.RS485:
            return [line]
        return [replace(line, baud=b, parity=p) for b in self.bauds for p in self.parities]


async def scan(
    line: Line, plan: ScanPlan, step: Callable[[str, int], None] = lambda _setting, _unit: None
) -> list[Found]:
    """All units found. `step` is called before each request. Raises ToolError."""
    found: list[Found] = []
    for setting in plan.settings(line):
        asker = SingleAsker(setting)
        try:
            await asker.open()
            await _refuse_busy(asker, plan.listen_ns)
            here = await _units(asker, plan, setting_text(setting), step)
        except LinkError as e:
            if not e.in_use:
                raise
            raise ToolError(
                f"{e}; a scan needs the line for itself: stop what polls it",
                f"{e.zh}；扫描须独占线路：请先停止正在轮询的程序",
            ) from e
        finally:
            asker.close()
        found += here
        if not plan.every_setting and any(not f.spoilt for f in here):
            break
    return found


async def _refuse_busy(asker: SingleAsker, listen_ns: int) -> None:
    if asker.line.kind == LineKind.TCP:
        return  # every client has a connection of its own
    heard = await asker.listen(listen_ns)
    if heard:
        raise ToolError(
            f"{asker.line.name}: {heard} bytes were heard before anything was asked: another "
            "master drives this line; stop it, or look at it with 'embergate listen'",
            f"{asker.line.name}：发出请求之前已收到 {heard} 字节：线路上另有主站；"
            "请停止该主站，或用“embergate listen”查看",
        )


async def _units(
    asker: SingleAsker, plan: ScanPlan, setting: str, step: Callable[[str, int], None]
) -> list[Found]:
    found = []
    for unit in plan.units:
        step(setting, unit)
        answer = await asker.ask(read_query(unit, 3, 0, 1), plan.wait_ns)
        if answer.answered and answer.exception not in _GATEWAY_CODES:
            found.append(Found(setting, unit, answer.exception))
        elif answer.spoilt:
            found.append(Found(setting, unit, spoilt=True))
        await asyncio.sleep(plan.pause_ns / S)
    return found
