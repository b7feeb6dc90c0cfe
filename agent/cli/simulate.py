"""`embergate simulate`: a simulated building on the ports of a site."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from agent.cli.language import BY_LOCALE, LangOption, tongue


class BlankCell(StrEnum):
    """What an empty cell of a recording means."""

    SENTINEL = "sentinel"
    HOLD = "hold"


class FireGrowth(StrEnum):
    """As `drivers.simulator.fire.Growth`, which would bring numpy into every command."""

    SLOW = "slow"
    MEDIUM = "medium"
    FAST = "fast"
    ULTRA_FAST = "ultra-fast"


_HOLD = 'wait for {"start_fire": true}; with --control a computed fire always waits'

SiteFile = Annotated[Path | None, typer.Argument(help="the site file", show_default=False)]
PlanFile = Annotated[Path | None, typer.Option("--plan", help="a compiled plan instead of SITE")]
ByLines = Annotated[
    bool, typer.Option("--control", help="JSON lines: orders on stdin, events on stdout")
]
AsJson = Annotated[bool, typer.Option("--json", help="events as JSON lines")]
ListenAny = Annotated[
    bool, typer.Option("--listen-any", help="also serve addresses that others can reach")
]
Paced = Annotated[bool, typer.Option("--pace", help="serial bytes pass at the true baud rate")]
Walk = Annotated[bool, typer.Option("--walk", help="all numbers walk by one digit")]
WalkInterval = Annotated[float, typer.Option(help="milliseconds between steps of --walk")]
Seed = Annotated[int, typer.Option(min=0, help="of everything that is random")]
RecordingFile = Annotated[
    Path | None, typer.Option("--recording", help="CSV or CSV.gz with a column t_s, to be played")
]
Maps = Annotated[list[str] | None, typer.Option("--map", help="COLUMN=DEVICE.POINT")]
From = Annotated[float | None, typer.Option("--from", help="t_s where the recording starts")]
Blanks = Annotated[BlankCell, typer.Option(help="an empty cell: a dead sensor, or hold")]
FireModel = Annotated[bool, typer.Option("--fire-model", help="a computed fire; see --hold")]
FireAt = Annotated[list[str] | None, typer.Option("--fire-at", help="DEVICE.POINT near that fire")]
Growing = Annotated[FireGrowth, typer.Option(help="how fast it grows")]
Ceiling = Annotated[float, typer.Option(help="height of the ceiling over it, metres")]
Noise = Annotated[float, typer.Option(help="standard deviation on its readings")]
Speed = Annotated[float, typer.Option(help="times real time, of recording or fire")]
Hold = Annotated[bool, typer.Option("--hold", help=_HOLD)]
ReplayFile = Annotated[
    Path | None, typer.Option("--replay", help="a file of record-line, on --port, instead of SITE")
]
ReplayPort = Annotated[Path | None, typer.Option("--port", help="the serial port that it makes")]
AsLine = Annotated[bool, typer.Option("--as-line", help="all that was said, once, not answers")]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(simulate)


def simulate(
    site: SiteFile = None,
    *,
    plan: PlanFile = None,
    control: ByLines = False,
    as_json: AsJson = False,
    listen_any: ListenAny = False,
    pace: Paced = False,
    walk: Walk = False,
    walk_interval_ms: WalkInterval = 1000,
    seed: Seed = 0,
    recording: RecordingFile = None,
    maps: Maps = None,
    start_s: From = None,
    blank: Blanks = BlankCell.SENTINEL,
    fire_model: FireModel = False,
    fire_at: FireAt = None,
    growth: Growing = FireGrowth.FAST,
    ceiling_m: Ceiling = 3.0,
    noise: Noise = 0.0,
    speed: Speed = 1.0,
    hold: Hold = False,
    replay: ReplayFile = None,
    port: ReplayPort = None,
    as_line: AsLine = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Serve a simulated building: its panels, sensors and relay boards, until interrupted."""
    if replay is not None:
        from agent.cli.simulate_replay import run_replay  # noqa: PLC0415 -- as below

        run_replay(replay, port, as_line=as_line, speed=speed)
        return
    from agent.cli import simulate_run  # noqa: PLC0415 -- pymodbus, numpy: not for other commands

    scenery = simulate_run.Scenery(
        recording=recording,
        maps=tuple(maps or ()),
        start_s=start_s,
        blank=blank.value,
        fire_model=fire_model,
        fire_points=tuple(fire_at or ()),
        fire={"growth": growth.value, "ceiling_m": ceiling_m, "noise": noise, "seed": seed},
        speed=speed,
        hold=hold or (control and recording is None),
    )
    service = simulate_run.Service(
        listen_any=listen_any,
        pace=pace,
        walk=walk,
        walk_interval_ms=walk_interval_ms,
        seed=seed,
        control=control,
        json=as_json,
        language=tongue(lang),
    )
    simulate_run.run(site, plan, service, scenery)
