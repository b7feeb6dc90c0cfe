"""A whole gateway on loopback, with a real Mosquitto and the simulator, to be measured."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agent.ipc import Client, IpcError, Refused

EMBERGATE = (sys.executable, "-m", "agent.cli.main")
KEYS = (sys.executable, "-m", "firmware_tools.main")


def free_ports(count: int) -> list[int]:
    """Loopback ports that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


def command(*args: str) -> str:
    """Run a command to its end."""
    done = subprocess.run(args, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
    return done.stdout


class Bench:
    """Processes by name in one directory; `state` may lie on another file system."""

    def __init__(self, home: Path, state: Path | None = None) -> None:
        self.home = home
        self.state = state or home / "state"
        self.run_dir = home / "run"
        self.platform = home / "platform"
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.events: queue.Queue[dict[str, Any]] = queue.Queue()
        self.log = (home / "log").open("ab")
        self.broker_port = free_ports(1)[0]

    def prepare(self, gateway: str) -> None:
        """Keys and the plan of `site.yaml`."""
        for directory in (self.state, self.run_dir):
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        keys = self.home / "keys"
        command(*KEYS, "keys", "--out", str(keys))
        command(*KEYS, "platform-keys", "--out", str(self.platform))
        shutil.copy(self.platform / "platform.pub", keys / "platform.pub")
        command(*KEYS, "public", str(keys), "--gateway", gateway, "--into",
                str(self.platform / "trust.json"))  # fmt: skip
        command(*EMBERGATE, "plan", str(self.home / "site.yaml"), "-o", str(self.plan))

    @property
    def plan(self) -> Path:
        """The compiled plan."""
        return self.home / "plan.cbor"

    def start(self, name: str, *args: str, pipe: bool = False, env: Any = None) -> int:
        """Start a process; its pid."""
        self.processes[name] = subprocess.Popen(
            args,
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else self.log,
            stderr=self.log,
            env=env,
        )
        return self.processes[name].pid

    def broker(self) -> None:
        """Mosquitto, listening when this returns."""
        config = self.home / "mosquitto.conf"
        config.write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\n")
        self.start("broker", shutil.which("mosquitto") or "/usr/sbin/mosquitto", "-c", str(config))
        wait(lambda: _listens(self.broker_port), "broker")

    def receiver(self) -> None:
        """The reference receiver."""
        self.start(
            "receiver", *EMBERGATE, "receive", "--broker", f"mqtt://127.0.0.1:{self.broker_port}",
            "--trust", str(self.platform / "trust.json"), "--keys", str(self.platform),
            "--db", str(self.home / "received.db"),
        )  # fmt: skip
        wait(lambda: b": connected" in (self.home / "log").read_bytes(), "receiver")

    def building(self, *args: str) -> None:
        """The simulator, a process of its own, controlled by JSON lines."""
        self.start("building", *EMBERGATE, "simulate", "--plan", str(self.plan), "--control", *args,
                   pipe=True)  # fmt: skip
        stdout = self.processes["building"].stdout
        assert stdout is not None
        threading.Thread(target=self._listen, args=(stdout,), daemon=True).start()
        self.event("ready", 60)

    def field(self, *args: str, env: Any = None) -> int:
        """The field process."""
        return self.start("field", *EMBERGATE, "field", "--plan", str(self.plan), "--run",
                          str(self.run_dir), *args, env=env)  # fmt: skip

    def record(self) -> int:
        """The record process."""
        return self.start("record", *EMBERGATE, "record", "--plan", str(self.plan), "--run",
                          str(self.run_dir), "--state", str(self.state), "--keys",
                          str(self.home / "keys"))  # fmt: skip

    def courier(self) -> int:
        """The MQTT courier."""
        return self.start("courier", *EMBERGATE, "courier", "platform", "--plan", str(self.plan),
                          "--run", str(self.run_dir))  # fmt: skip

    def tell(self, **message: Any) -> None:
        """An order to the simulator."""
        stdin = self.processes["building"].stdin
        assert stdin is not None
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()

    def event(self, name: str, wait_s: float, **match: Any) -> dict[str, Any]:
        """The next event of the simulator that matches; others before it are dropped."""
        deadline = time.monotonic() + wait_s
        while True:
            event = self.events.get(timeout=max(0.001, deadline - time.monotonic()))
            if event["event"] == name and all(event.get(k) == v for k, v in match.items()):
                return event

    def forget_events(self) -> None:
        """Drop what the simulator has said so far."""
        with contextlib.suppress(queue.Empty):
            while True:
                self.events.get_nowait()

    def ask(self, socket_name: str, verb: str, **args: Any) -> Any:
        """One request to a socket; None when it is not answered."""

        async def once() -> Any:
            client = await Client.connect(self.run_dir / socket_name)
            try:
                return await client.call(verb, **args)
            finally:
                client.close()

        try:
            return asyncio.run(once())
        except (IpcError, Refused, TimeoutError):
            return None

    def end(self, name: str, *, kill: bool = False) -> None:
        """End one process."""
        process = self.processes.pop(name)
        if kill:
            process.kill()
        else:
            process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End all."""
        for name in list(self.processes):
            self.end(name)
        self.log.close()

    def _listen(self, stdout: Any) -> None:
        for line in stdout:
            self.events.put(json.loads(line))


@contextlib.contextmanager
def bench(state: Path | None = None) -> Iterator[Bench]:
    """A bench in a directory of its own, ended and removed afterwards."""
    home = Path(tempfile.mkdtemp(prefix="eb-", dir="/tmp"))
    world = Bench(home, state)
    try:
        yield world
    finally:
        world.stop()
        shutil.rmtree(home, ignore_errors=True)


def wait(happened: Callable[[], Any], what: str, wait_s: float = 60.0) -> Any:
    """Look until it is true."""
    deadline = time.monotonic() + wait_s
    while not (value := happened()):
        assert time.monotonic() < deadline, f"{what}: not within {wait_s} s"
        time.sleep(0.02)
    return value


def _listens(port: int) -> bool:
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", port)) == 0
