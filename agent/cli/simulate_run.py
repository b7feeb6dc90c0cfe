"""What `embergate simulate` does: the building between stdin, stdout and signals.

Apart from the command's options, because pymodbus and numpy are no burden for other commands.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from agent.cli.check import plan_or_exit
from agent.cli.words import say
from agent.notify import Notifier
from config.desk_limits import SIMULATOR_CONTROL_LINE_BYTES_MAX, SIMULATOR_SETS_PENDING_MAX
from config.limits import MS, S
from config.plan import Plan, PlanError, decode_plan, read_plan
from config.problems import EXIT_CONFIG
from drivers.simulator.building import Building, Options
from drivers.simulator.control import Control, fire_of
from drivers.simulator.fields import SimulatorError
from drivers.simulator.recording import Blank, read_recording


@dataclass(frozen=True, slots=True)
class Scenery:
    """What the command line wants to happen in the building."""

    recording: Path | None
    maps: tuple[str, ...]
    start_s: float | None
    blank: Blank
    fire_model: bool
    fire_points: tuple[str, ...]
    fire: Mapping[str, Any]
    speed: float
    hold: bool


@dataclass(frozen=True, slots=True)
class Service:
    """How the building is served and told."""

    listen_any: bool
    pace: bool
    walk: bool
    walk_interval_ms: float
    seed: int
    control: bool
    json: bool
    language: str

    def options(self) -> Options:
        """For the building. Raises SimulatorError."""
        return Options(
            listen_any=self.listen_any,
            pace=self.pace,
            walk=self.walk,
            walk_interval_ns=round(self.walk_interval_ms * MS),
            seed=self.seed,
        )


def run(site: Path | None, plan: Path | None, service: Service, scenery: Scenery) -> None:
    """Serve until stopped. Exits 78 without a good plan, 1 with what the simulator cannot do."""
    try:
        _check(scenery)
        asyncio.run(_serve(_load(site, plan, service.language), service, scenery))
    except PlanError as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(EXIT_CONFIG) from e
    except SimulatorError as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(1) from e


def _check(scenery: Scenery) -> None:
    burns = scenery.fire_model or bool(scenery.fire_points)
    if bool(scenery.maps) != (scenery.recording is not None):
        raise SimulatorError("--recording and --map COLUMN=DEVICE.POINT need each other")
    if scenery.recording is not None and burns:
        raise SimulatorError("choose one of --recording and --fire-model")
    if scenery.start_s is not None and scenery.recording is None:
        raise SimulatorError("--from needs a --recording")


def _mapping(maps: tuple[str, ...]) -> dict[str, str]:
    mapping: dict[str, str] = {}
    for text in maps:
        column, equals, point = text.rpartition("=")
        if not equals or not column or not point:
            raise SimulatorError(f"--map: expected COLUMN=DEVICE.POINT, found {text!r}")
        if column in mapping or point in mapping.values():
            raise SimulatorError(f"--map {text}: its column or its point is mapped already")
        mapping[column] = point
    return mapping


def _load(site: Path | None, plan: Path | None, language: str) -> Plan:
    if (site is None) == (plan is None):
        raise SimulatorError("give either a SITE file or --plan FILE")
    if plan is not None:
        return decode_plan(read_plan(plan))
    assert site is not None
    return plan_or_exit(site, lang=language)


def _prepare(building: Building, scenery: Scenery) -> Callable[[], None] | None:
    """Get the scene ready; what starts it, None when there is none. Starts it unless it waits."""
    if scenery.recording is not None:
        mapping = _mapping(scenery.maps)
        recording = read_recording(scenery.recording, tuple(mapping), blank=scenery.blank)
        return building.play(
            recording, mapping, speed=scenery.speed, start_s=scenery.start_s, hold=scenery.hold
        )
    if not (scenery.fire_model or scenery.fire_points):
        return None
    return building.ignite(
        fire_of(scenery.fire), scenery.fire_points, speed=scenery.speed, hold=scenery.hold
    )


async def _serve(plan: Plan, service: Service, scenery: Scenery) -> None:
    # A request that pymodbus refuses gets its exception reply; a warning about it tells no more.
    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    building = Building(plan, service.options())
    as_json = service.control or service.json

    def emit(event: dict[str, Any]) -> None:
        try:
            _emit_json(event) if as_json else _emit_text(event, service.language)
        except BrokenPipeError:  # whoever listened is gone; so that exit does not trip over it:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            controlled.end()

    start_scene = _prepare(building, scenery)
    controlled = Control(building, emit, start_scene=start_scene)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, controlled.end)
    await building.start()
    controlled.ready()
    Notifier().ready("a simulated building")
    tasks = {
        asyncio.ensure_future(controlled.stopped.wait()),
        asyncio.ensure_future(building.failed()),
    }
    if service.control:
        tasks.add(asyncio.ensure_future(_obey(controlled)))
    try:
        done, _left = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        controlled.end()
        await building.stop()


async def _obey(controlled: Control) -> None:
    """Do what stdin says, in order; its end ends the building, for its master is gone."""
    lines: asyncio.Queue[bytes | None] = asyncio.Queue(SIMULATOR_SETS_PENDING_MAX)
    loop = asyncio.get_running_loop()
    # A thread, for stdin may be a file or a device that no selector takes.
    threading.Thread(target=_read_stdin, args=(loop, lines), daemon=True).start()
    while (line := await lines.get()) is not None:
        if line.strip():
            await controlled.line(line)
    controlled.end()


def _read_stdin(loop: asyncio.AbstractEventLoop, lines: asyncio.Queue[bytes | None]) -> None:
    def put(line: bytes | None) -> None:
        asyncio.run_coroutine_threadsafe(lines.put(line), loop).result()  # waits when it is full

    rest = b""
    while data := os.read(sys.stdin.fileno(), SIMULATOR_CONTROL_LINE_BYTES_MAX):
        *whole, rest = (rest + data).split(b"\n")
        for line in whole:
            put(line)
        if len(rest) > SIMULATOR_CONTROL_LINE_BYTES_MAX:  # is refused, whatever its end may be
            put(rest)
            rest = b""
    if rest:
        put(rest)
    put(None)


def _emit_json(event: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(event, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def _emit_text(event: dict[str, Any], language: str) -> None:
    match event["event"]:
        case "ready":
            for line in event["lines"]:
                typer.echo(f"{line['name']}: {line['address']}")
            devices = len(event["devices"])
            args = {"points": event["points"], "devices": devices}
            typer.echo(say("simulate.served", language, **args))
        case "coil":
            name = event["output"] or say("simulate.coil_number", language, coil=event["coil"])
            args = {
                "stamp": f"{event['mono_ns'] / S:.3f}",
                "device": event["device"],
                "name": name,
                "state": say("simulate.on" if event["on"] else "simulate.off", language),
            }
            typer.echo(say("simulate.coil", language, **args))
        case "scene_end":
            typer.echo(say("simulate.over", language))
