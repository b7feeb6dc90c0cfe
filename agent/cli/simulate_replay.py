"""What `embergate simulate --replay` does: a recorded line on a pseudo-terminal."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import typer

from drivers.modbus.line_file import LineFileError, read_line_file
from drivers.simulator.fields import SimulatorError
from drivers.simulator.replay import Replay


def run_replay(file: Path, port: Path | None, *, as_line: bool, speed: float) -> None:
    """Serve until stopped, or until everything was said. Exits 1 with what cannot be done."""
    try:
        if port is None:
            raise SimulatorError("--replay needs --port, the serial port to be made: /tmp/line")
        if not 0.01 <= speed <= 1000:
            raise SimulatorError(f"--speed: expected 0.01 to 1000, found {speed:g}")
        asyncio.run(_serve(Replay(port, read_line_file(file), speed=speed), as_line=as_line))
    except (LineFileError, SimulatorError) as e:
        typer.echo(str(e), err=True)
        raise typer.Exit(1) from e


async def _serve(replay: Replay, *, as_line: bool) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    await replay.start(serve=not as_line)
    waiting = asyncio.create_task(stopped.wait())
    tasks: set[asyncio.Task[object]] = {waiting}
    try:
        if as_line:
            typer.echo(f"{replay.path}: everything that was said, once")
            tasks.add(asyncio.create_task(replay.play()))
        else:
            typer.echo(f"{replay.path}: answers {replay.requests} requests; stop with Ctrl-C")
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await replay.stop()
