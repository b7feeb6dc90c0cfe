"""A simulated site on real ports, in a thread of its own, for commands that own the main one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import typer
from typer.testing import CliRunner

from agent.cli import check, control, line_tools, profile, run, simulate, watch
from agent.compile import check_file
from config.plan import Plan
from drivers.simulator.building import Building

SITE = """\
site: {{id: a, name: A}}
links:
  bus: {link}
devices:
  sensor:
    link: bus
    unit: 3
    poll: 100ms
    points:
      temperature: {{register: holding 0, type: int16, scale: 0.1, unit: °C, kind: measure}}
      flow: {{register: holding 1, type: float32, unit: "1", kind: measure}}
      state:
        {{register: holding 5, type: uint16, kind: state_word, cases: [{{bit: 0, state: fire}}]}}
      place: {{register: holding 20, type: string, length: 8, encoding: gb18030, poll: 1s}}
  relays: {{link: bus, unit: 9, profile: relay-8}}
sirens:
  bell: {{device: relays, coil: 2}}
effects:
  - {{when: {{device: sensor, state: fire}}, sound: [bell]}}
"""


def write_site(folder: Path, link: str) -> Path:
    path = folder / "site.yaml"
    path.write_text(SITE.format(link=link), encoding="utf-8")
    return path


def serial_site(folder: Path) -> tuple[Path, str]:
    """(site file, serial port)."""
    port = str(folder / "bus")
    return write_site(folder, f"{{kind: rs485, port: {port}, baud: 9600, parity: none}}"), port


def plan_of(site: Path) -> Plan:
    checked = check_file(site)
    assert checked.plan is not None, [p.text() for p in checked.problems]
    return checked.plan


@contextlib.contextmanager
def in_thread(start: Callable[[], object], stop: Callable[[], object]) -> Iterator[None]:
    """Run two coroutine functions on a loop of their own thread around the block."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    def run(what: Callable[[], object]) -> None:
        work = what()
        assert asyncio.iscoroutine(work)
        asyncio.run_coroutine_threadsafe(work, loop).result(20)

    try:
        run(start)
        try:
            yield
        finally:
            run(stop)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        loop.close()


@contextlib.contextmanager
def served(plan: Plan) -> Iterator[Building]:
    """The building of a plan, on its ports."""
    made: list[Building] = []

    async def start() -> None:
        made.append(Building(plan))
        await made[0].start()
        made[0].set_point("sensor.temperature", 21.5)
        made[0].set_point("sensor.flow", 1.25)
        made[0].registers.set_text("sensor.place", "三层走廊")

    async def stop() -> None:
        await made[0].stop()

    with in_thread(start, stop):
        yield made[0]


@contextlib.contextmanager
def wire(folder: Path) -> Iterator[tuple[int, str]]:
    """A bare pseudo-terminal: (descriptor of the far end, port)."""
    far, near = os.openpty()
    tty.setraw(near)
    try:
        yield far, os.ttyname(near)
    finally:
        os.close(far)
        os.close(near)


def command(*args: str, text: str = "") -> tuple[int, str]:
    """Exit status and all output of a command."""
    app = typer.Typer()
    for module in (check, control, line_tools, profile, run, simulate, watch):
        module.register(app)
    result = CliRunner().invoke(app, list(args), input=text)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output
