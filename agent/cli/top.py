"""`embergate top`: the gateway live in a terminal.

One subscription (agent.field.fanout) and a look at the record every second; drawn at most twice a
second, whatever happens. It only looks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from agent.cli import show
from agent.cli.control import RunDir, request
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.run import default_run_dir
from agent.cli.told_words import told
from agent.cli.words import flag_words, say
from agent.ipc import IpcError, Message, Refused
from agent.viewer import Viewer
from config.limits import TOP_DRAW_NS, TOP_POINTS_MAX, TOP_RETRY_NS, TOP_TREND_SAMPLES, S
from config.words import FLAG_WORDS, Quality

_BARS = "▁▂▃▄▅▆▇█"
_RANK = tuple(int(flag) for flag in FLAG_WORDS.values())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top")(top)


def top(
    run: RunDir = None,
    once: Annotated[bool, typer.Option("--once", help="one picture, then end")] = False,
    match: Annotated[str, typer.Option(help="show points whose name has this in it")] = "",
    lang: LangOption = BY_LOCALE,
) -> None:
    """All of it, live: state, alarms in order, zones, points with trends, links, destinations."""
    language = tongue(lang)
    run_dir = run or default_run_dir()
    screen = Screen(language, match)
    console = Console()
    with contextlib.suppress(KeyboardInterrupt):
        if once:
            try:
                asyncio.run(_picture(run_dir, screen))
            except (IpcError, Refused, TimeoutError) as e:
                typer.echo(say("lost", language, text=told(str(e), language)), err=True)
                raise typer.Exit(1) from e
            console.print(screen.draw())
        else:
            asyncio.run(_live(run_dir, screen, console))


async def _picture(run_dir: Path, screen: Screen) -> None:
    viewer = await Viewer.connect(run_dir / "field.sock")
    try:
        async with asyncio.timeout(10):
            await viewer.changed.wait()
        screen.take(viewer)
        screen.record = await _record(run_dir)
    finally:
        viewer.close()


async def _record(run_dir: Path) -> Message | None:
    try:
        return await request(run_dir, "record.sock", "status")
    except (IpcError, Refused, TimeoutError):
        return None


async def _live(run_dir: Path, screen: Screen, console: Console) -> None:
    """Until interrupted. A gateway that is away is said so, and comes back by itself."""
    with Live(console=console, auto_refresh=False, screen=console.is_terminal) as live:
        while True:
            try:
                await _follow(run_dir, screen, live)
            except (IpcError, Refused, TimeoutError) as e:
                screen.lost = str(e)
                live.update(screen.draw(console.height), refresh=True)
            await asyncio.sleep(TOP_RETRY_NS / S)


async def _follow(run_dir: Path, screen: Screen, live: Live) -> None:
    viewer = await Viewer.connect(run_dir / "field.sock")
    assert viewer.client is not None
    looking: asyncio.Task[Message | None] | None = None
    try:
        while not viewer.client.closed.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(TOP_DRAW_NS / S):
                    await viewer.changed.wait()
            if viewer.changed.is_set():
                viewer.changed.clear()
                screen.take(viewer)
                if looking is None or looking.done():
                    if looking is not None:
                        screen.record = looking.result()
                    looking = asyncio.create_task(_record(run_dir))
            live.update(screen.draw(live.console.height), refresh=True)
            await asyncio.sleep(TOP_DRAW_NS / S)
    finally:
        if looking is not None:
            looking.cancel()
        viewer.close()
    raise IpcError("the gateway closed the connection")


class Screen:
    """What is drawn, and the short past of the points that are."""

    def __init__(self, language: str, match: str = "") -> None:
        self._language = language
        self._match = match.casefold()
        self._past: deque[np.ndarray[Any, np.dtype[np.float32]]] = deque(maxlen=TOP_TREND_SAMPLES)
        self._viewer: Viewer | None = None
        self.record: Message | None = None
        self.lost = ""

    def take(self, viewer: Viewer) -> None:
        """A new picture. Values are kept a sample a picture, for the trends."""
        if self._viewer is not viewer:
            self._past.clear()
        self._viewer = viewer
        self._past.append(viewer.values.copy())
        self.lost = ""

    def draw(self, height: int = 0) -> RenderableType:
        """Everything, the most important first; what does not fit is cut off below."""
        parts = list(self._parts(height or 50))
        return Group(*parts)

    def _parts(self, height: int) -> Iterator[RenderableType]:
        language = self._language
        if self.lost:
            yield Text(
                say("lost", language, text=told(self.lost, language)), style="bold white on red"
            )
        if self._viewer is None:
            return
        viewer = self._viewer
        status = viewer.status
        yield from show.state(status, language, most=max(3, height // 8))
        yield Text(self._as_of(viewer), style="dim")
        if status["active"]:
            shown = status["active"][: height // 3]
            more = max(len(status["active"]), status["alarms"]) - len(shown)
            yield show.points(say("active", language), shown, language, more=more)
        yield from self._zones(viewer, max(5, height // 5))
        # What a screen cuts off is below: sirens and what is broken stand before the many points.
        if viewer.outputs:
            yield show.outputs(viewer.outputs, language, most=max(5, height // 5))
        if viewer.panels:
            yield show.panels(viewer.panels, language)
        yield from self._lines(viewer)
        yield from show.record(self.record, language)
        yield self._points(viewer, max(5, height // 3))

    def _as_of(self, viewer: Viewer) -> str:
        local = datetime.fromtimestamp(viewer.now[1] / 1e9).astimezone()
        text = say("as_of", self._language, time=local.strftime("%Y-%m-%d %H:%M:%S"))
        clock = {0: "clock.unset", 1: "clock.holdover"}.get(viewer.now[2])
        return text + (f"  {say(clock, self._language)}" if clock else "")

    def _lines(self, viewer: Viewer) -> Iterator[RenderableType]:
        down = [line for line in viewer.lines if not line[1]]
        if down:
            yield show.lines(down, self._language)
        if up := len(viewer.lines) - len(down):
            yield Text(say("lines.up", self._language, count=up))

    def _zones(self, viewer: Viewer, most: int) -> Iterator[RenderableType]:
        language = self._language
        standing = np.flatnonzero(viewer.zone_flags).tolist()
        rows: list[list[RenderableType]] = [
            [
                viewer.zone_names[z],
                show.flags(_words(int(viewer.zone_flags[z])), language),
                f"{viewer.zone_votes[z]}/{viewer.zone_needed[z]}",
            ]
            for z in standing
        ]
        if rows:
            yield show.table("zones", ["name", "flags", "votes"], rows, language, most=most)
        if len(standing) < len(viewer.zone_names):
            yield Text(say("zones.quiet", language, count=len(viewer.zone_names) - len(standing)))

    def _points(self, viewer: Viewer, most: int) -> RenderableType:
        language = self._language
        rows: list[list[RenderableType]] = []
        for k in self._shown(viewer)[: min(most, TOP_POINTS_MAX)]:
            quality = Quality(int(viewer.qualities[k])).name.lower()
            rows.append(
                [
                    viewer.names[k],
                    show.flags(_words(int(viewer.flags[k])), language),
                    self._value(viewer, k),
                    sparkline([float(past[k]) for past in self._past]),
                    say(f"quality.{quality}", language),
                ]
            )
        columns = ["name", "flags", "value", "trend", "quality"]
        return show.table("points", columns, rows, language)

    def _value(self, viewer: Viewer, k: int) -> str:
        value = float(viewer.values[k])
        if np.isnan(value):
            return "-"
        if viewer.states[k]:
            return flag_words(_words(int(value)), self._language)
        return f"{value:g} {viewer.units[k]}"

    def _shown(self, viewer: Viewer) -> list[int]:
        """Points by the rank of what stands at them, then those that move, then in order."""
        if self._match:
            found = [k for k, name in enumerate(viewer.names) if self._match in name.casefold()]
            at = np.array(found, np.intp)
        else:
            at = np.arange(len(viewer.names))
        flags = viewer.flags[at]
        rank = np.full(len(at), len(_RANK))
        for place in range(len(_RANK) - 1, -1, -1):
            rank[(flags & np.uint32(_RANK[place])) != 0] = place
        past = self._past[0][at]
        moved = np.abs(np.nan_to_num(viewer.values[at] - past)) > 0
        analogue = np.array([bool(viewer.units[k]) for k in at.tolist()], bool)
        order = np.lexsort((at, ~analogue, ~moved, rank))
        shown: list[int] = at[order[:TOP_POINTS_MAX]].tolist()
        return shown


def sparkline(values: list[float]) -> str:
    """A small trend; a gap where there was no value, the middle where nothing moves."""
    known = [v for v in values if not np.isnan(v)]
    if not known:
        return ""
    low, high = min(known), max(known)
    span = high - low
    out = ""
    for value in values:
        if np.isnan(value):
            out += " "
        elif span == 0.0:
            out += _BARS[3]
        else:
            out += _BARS[min(len(_BARS) - 1, int((value - low) / span * len(_BARS)))]
    return out


def _words(flags: int) -> list[str]:
    return [word for word, flag in FLAG_WORDS.items() if flags & int(flag)]
