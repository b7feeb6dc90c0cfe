"""`embergate run SITE.yaml`: every process of a gateway for a trial, restarted when it dies."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Annotated

import typer

from config.limits import SUPERVISE_RESTART_NS, SUPERVISE_STOP_NS, S
from config.plan import Courier, section

EX_CONFIG = 78


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(run)


class Supervisor:
    """Child processes by name, each back within a moment of its death."""

    def __init__(self, tell: Callable[[str], None], output: IO[bytes] | None = None) -> None:
        self._commands: dict[str, list[str]] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._dead_since_ns: dict[str, int] = {}
        self._tell = tell
        self._output = output
        self._lock = threading.Lock()

    def add(self, name: str, *args: str) -> None:
        """A process to keep running: `embergate ARGS`."""
        self._commands[name] = [sys.executable, "-m", "agent.cli.main", *args]
        self._start(name)

    def pid(self, name: str) -> int:
        """The process id of a child."""
        return self._children[name].pid

    def tend(self, now_ns: int) -> None:
        """Start again what died; called a few times a second."""
        with self._lock:
            for name, child in list(self._children.items()):
                status = child.poll()
                if status is None:
                    continue
                since = self._dead_since_ns.setdefault(name, now_ns)
                if since == now_ns:
                    self._tell(f"{name} ended with status {status}")
                if status == EX_CONFIG or now_ns - since < SUPERVISE_RESTART_NS:
                    continue
                del self._dead_since_ns[name]
                self._start(name)

    def stop(self) -> None:
        """End every child: ask, wait, then insist."""
        with self._lock:
            for child in self._children.values():
                child.terminate()
            for child in self._children.values():
                try:
                    child.wait(SUPERVISE_STOP_NS / S)
                except subprocess.TimeoutExpired:
                    child.kill()
                    child.wait()

    def _start(self, name: str) -> None:
        self._children[name] = subprocess.Popen(
            self._commands[name],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
        )


def start_gateway(supervisor: Supervisor, plan: Path, state_dir: Path, run_dir: Path) -> None:
    """The processes of one gateway: field first, since it waits for nobody."""
    files = ("--plan", str(plan), "--run", str(run_dir))
    supervisor.add("field", "field", *files)
    supervisor.add(
        "record", "record", *files, "--state", str(state_dir), "--keys", str(state_dir / "keys")
    )
    couriers: tuple[Courier, ...] = section(plan.read_bytes(), "couriers")
    for courier in couriers:
        supervisor.add(f"courier {courier.name}", "courier", courier.name, *files)


def run(
    site: Annotated[Path, typer.Argument(help="site.yaml")],
    state: Annotated[Path, typer.Option(help="state: plan, keys, record")] = Path(
        "embergate-state"
    ),
    run_dir: Annotated[
        Path | None, typer.Option("--run", help="sockets and latch; default STATE/run")
    ] = None,
) -> None:
    """Run a site for a trial: field, record and couriers; systemd does it in the building."""
    from agent.cli.check import compile_or_exit  # noqa: PLC0415 -- pydantic, only for a compile

    sockets = run_dir or state / "run"
    sockets.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan = state / "plan.cbor"
    compile_or_exit(site, plan)
    if not (state / "keys" / "device.key").exists():
        typer.echo(
            f"{state / 'keys'}: expected the device's keys, found none; "
            f"make them with: embergate-fw keys --out {state / 'keys'}",
            err=True,
        )
        raise typer.Exit(1)
    supervisor = Supervisor(lambda text: typer.echo(text, err=True))
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    start_gateway(supervisor, plan, state, sockets)
    typer.echo(f"running; 'embergate status --run {sockets}' shows it, Ctrl-C ends it")
    try:
        while not stop.wait(0.1):
            supervisor.tend(time.monotonic_ns())
    finally:
        supervisor.stop()
