"""`embergate run SITE.yaml`: every process of a gateway for a trial, restarted when it dies."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Annotated

import typer

from agent.cli.desk_words import say
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.supervisor import Supervisor, start_gateway
from agent.cli.told_words import log_line
from config.desk_limits import RUN_LINE_CHARS_MAX
from config.plan import Line, Plan
from config.plan_files import write_plan
from config.words import LineKind


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


def run(
    site: Annotated[Path, typer.Argument(help="site.yaml")],
    state: Annotated[Path, typer.Option(help="state: plan, keys, record")] = Path(
        "embergate-state"
    ),
    run_dir: Annotated[
        Path | None, typer.Option("--run", help="sockets and latch; default STATE/run")
    ] = None,
    simulated: Annotated[
        bool,
        typer.Option(help="on the desk: simulate all devices of the site, on this machine alone"),
    ] = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Run a site for a trial: field, record and couriers; systemd does it in the building."""
    lang = tongue(lang)
    from agent.cli.check import compile_or_exit  # noqa: PLC0415 -- pydantic, only for a compile

    sockets = run_dir or state / "run"
    for directory in (state, sockets):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan_file = state / "plan.cbor"
    plan = compile_or_exit(site, plan_file, lang=lang)
    if not (state / "keys" / "device.key").exists():
        typer.echo(say("run.keys", lang, keys=state / "keys"), err=True)
        raise typer.Exit(1)
    output = None if lang == "en" else _translated(lang)  # English goes where it always went
    supervisor = Supervisor(lambda text: typer.echo(text, err=True), output, lang)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if simulated:
        desk = on_the_desk(plan, free_ports(len(plan.lines)), state.resolve())
        plan_file = state / "desk.cbor"
        write_plan(plan_file, desk)
        simulate = ("simulate", "--plan", str(plan_file), "--lang", lang)
        supervisor.add_first("building", *simulate, stop=stop.is_set)
    start_gateway(supervisor, plan_file, state, sockets)
    typer.echo(say("run.runs", lang, sockets=sockets))
    try:
        while not stop.wait(0.1):
            supervisor.tend(time.monotonic_ns())
    finally:
        supervisor.stop()


def _translated(lang: str) -> IO[bytes]:
    """Where the processes write, so that a person reads it in their language."""
    end, begin = os.pipe()

    def read() -> None:
        with os.fdopen(end, encoding="utf-8", errors="replace") as lines:
            while line := lines.readline(RUN_LINE_CHARS_MAX):
                typer.echo(log_line(line.rstrip("\n"), lang), err=True)

    threading.Thread(target=read, daemon=True).start()
    return os.fdopen(begin, "wb", buffering=0)


def on_the_desk(plan: Plan, ports: Sequence[int], directory: Path) -> Plan:
    """The same site with every line on this machine: loopback ports and pseudo-terminals.

    The point ids and the digest stay: what is tried here is what will run there.
    """

    def move(line: Line, port: int) -> Line:
        if line.kind in (LineKind.RS485, LineKind.SERIAL):
            return dataclasses.replace(line, serial_port=str(directory / f"line-{line.name}"))
        return dataclasses.replace(line, host="127.0.0.1", tcp_port=port)

    lines = tuple(move(line, port) for line, port in zip(plan.lines, ports, strict=True))
    return dataclasses.replace(plan, lines=lines)


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [int(s.getsockname()[1]) for s in sockets]
    finally:
        for s in sockets:
            s.close()


def default_run_dir() -> Path:
    """Where the sockets are: EMBERGATE_RUN, else a trial in this directory, else the service's."""
    trial = Path("embergate-state/run")
    if "EMBERGATE_RUN" in os.environ:
        return Path(os.environ["EMBERGATE_RUN"])
    return trial if trial.is_dir() else Path("/run/embergate")
