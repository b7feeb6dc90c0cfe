"""The demo's world: a simulated building, a broker, a receiver, and a whole gateway beside them.

Every part is a process of its own, so that each can be killed. Nothing here decides anything.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.cli.run import free_ports
from agent.cli.supervisor import Supervisor, start_gateway
from config.desk_limits import DEMO_TEND_NS, SUPERVISE_STOP_NS
from config.limits import S

EMBERGATE = (sys.executable, "-m", "agent.cli.main")
KEYS = (sys.executable, "-m", "firmware_tools.main")
SITE = Path(__file__).parents[2] / "config" / "examples" / "demo.yaml"


class DemoFailed(Exception):  # noqa: N818 -- the story's own word
    """Something that the demo shows did not happen."""


class World:
    """All processes of one demo, in one directory."""

    def __init__(self, home: Path, *, mosquitto: bool, quiet: bool = False) -> None:
        self.home = home
        self.run_dir = home / "run"
        self.database = home / "platform" / "received.db"
        self.coil_events: list[dict[str, Any]] = []
        self._mosquitto = mosquitto
        self._log = (home / "processes.log").open("ab")
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._changed = threading.Condition()
        self._ready = False
        self._stop = threading.Event()
        self._tender: threading.Thread | None = None
        self.broker_port, self._panel_port = free_ports(2)
        self.supervisor = Supervisor(lambda _: None, output=self._log)
        self._quiet = quiet

    # --- building the world ---------------------------------------------------------------

    def prepare(self) -> None:
        """Directory, keys and site file; every secret is made here and now."""
        self.run_dir.mkdir(mode=0o700)
        text = SITE.read_text()
        for old, new in (
            ("port: 15020", f"port: {self._panel_port}"),
            ("port: /tmp/embergate-demo-riser", f"port: {self.home / 'riser'}"),
            ("127.0.0.1:18830", f"127.0.0.1:{self.broker_port}"),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        self.site.write_text(text)
        keys, platform = self.home / "keys", self.home / "platform"
        self.command(*KEYS, "keys", "--out", str(keys))
        self.command(*KEYS, "platform-keys", "--out", str(platform))
        shutil.copy(platform / "platform.pub", keys / "platform.pub")
        self.command(
            *KEYS, "public", str(keys), "--gateway", "demo-building",
            "--into", str(platform / "trust.json"),
        )  # fmt: skip
        self.command(*EMBERGATE, "check", str(self.site))
        self.command(*EMBERGATE, "plan", str(self.site), "-o", str(self.plan))

    @property
    def site(self) -> Path:
        """The site file of this demo."""
        return self.home / "site.yaml"

    @property
    def plan(self) -> Path:
        """Its compiled plan."""
        return self.home / "plan.cbor"

    def command(self, *args: str) -> str:
        """Run a command to its end and return what it printed. Raises DemoFailed."""
        done = subprocess.run(args, capture_output=True, text=True, check=False)
        if done.returncode:
            raise DemoFailed(f"{' '.join(args[1:])}: status {done.returncode}\n{done.stderr}")
        return done.stdout

    # --- its processes ----------------------------------------------------------------------

    def start_broker(self) -> None:
        """A broker on this world's port, ready when this returns."""
        if self._mosquitto:
            config = self.home / "mosquitto.conf"
            config.write_text(f"listener {self.broker_port} 127.0.0.1\nallow_anonymous true\n")
            self._spawn("broker", "mosquitto", "-c", str(config))
        else:
            self._spawn("broker", sys.executable, "-m", "agent.cli.demo_broker",
                        str(self.broker_port))  # fmt: skip
        self.wait(self._broker_answers, "the broker does not listen")

    def start_receiver(self) -> None:
        """The reference receiver, which verifies and acknowledges."""
        platform = self.home / "platform"
        self._spawn(
            "receiver", *EMBERGATE, "receive", "--broker", f"mqtt://127.0.0.1:{self.broker_port}",
            "--trust", str(platform / "trust.json"), "--keys", str(platform),
            "--db", str(self.database),
        )  # fmt: skip

    def start_building(self, *args: str) -> None:
        """The simulated building; its events are collected."""
        building = self._spawn(
            "building", *EMBERGATE, "simulate", "--plan", str(self.plan), "--control", "--pace",
            *args, pipe=True,
        )  # fmt: skip
        threading.Thread(target=self._listen, args=(building,), daemon=True).start()
        self.wait(lambda: self._ready, "the simulated building does not start")

    def start_gateway(self) -> None:
        """Field, record and courier, tended until `stop`."""
        start_gateway(self.supervisor, self.plan, self.home, self.run_dir)
        self._tender = threading.Thread(target=self._tend, daemon=True)
        self._tender.start()

    def tell_building(self, **message: Any) -> None:
        """An order to the simulated building."""
        stdin = self._processes["building"].stdin
        assert stdin is not None
        stdin.write(json.dumps(message).encode() + b"\n")
        stdin.flush()

    def kill(self, name: str) -> None:
        """SIGKILL to one of this world's own processes (not the gateway's)."""
        process = self._processes.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End everything that was started."""
        self._stop.set()
        if self._tender is not None:
            self._tender.join()
        self.supervisor.stop()
        for process in self._processes.values():
            process.terminate()
        for process in self._processes.values():
            try:
                process.wait(SUPERVISE_STOP_NS / S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()

    # --- looking at it ------------------------------------------------------------------------

    def coil(self, number: int) -> bool:
        """What the relay board's coil is, from the building's own side."""
        on = False
        for event in list(self.coil_events):
            if event["coil"] == number:
                on = bool(event["on"])
        return on

    def wait(self, happened: Callable[[], Any], otherwise: str, wait_s: float = 30.0) -> Any:
        """Look until `happened()` is true. Raises DemoFailed with `otherwise`."""
        deadline = time.monotonic() + wait_s
        while True:
            value = happened()
            if value:
                return value
            if time.monotonic() > deadline:
                raise DemoFailed(f"{otherwise} (waited {wait_s:.0f} s); see {self._log.name}")
            with self._changed:
                self._changed.wait(0.05)

    def _spawn(self, name: str, *args: str, pipe: bool = False) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            args,
            stdin=subprocess.PIPE if pipe else subprocess.DEVNULL,
            stdout=subprocess.PIPE if pipe else self._log,
            stderr=self._log,
        )
        self._processes[name] = process
        return process

    def _listen(self, building: subprocess.Popen[bytes]) -> None:
        assert building.stdout is not None
        for line in building.stdout:
            event = json.loads(line)
            with self._changed:
                if event["event"] == "ready":
                    self._ready = True
                elif event["event"] == "coil":
                    self.coil_events.append(event)
                self._changed.notify_all()

    def _tend(self) -> None:
        while not self._stop.wait(DEMO_TEND_NS / S):
            self.supervisor.tend(time.monotonic_ns())

    def _broker_answers(self) -> bool:
        with socket.socket() as s:
            s.settimeout(1)
            return s.connect_ex(("127.0.0.1", self.broker_port)) == 0
