"""`embergate demo`: a building catches fire while its broker, courier and record are taken away."""

from __future__ import annotations

import asyncio
import csv
import gzip
import json
import os
import shutil
import signal
import time
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.control import request
from agent.cli.demo_world import EMBERGATE, DemoFailed, World
from agent.ipc import IpcError, Refused
from config.words import Flag

SENSORS = ("room_a.ceiling", "room_b.ceiling", "room_c.ceiling")
FIRE_WAIT_S = 900.0
COILS = {0: "stair_a", 1: "stair_b"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(demo)


def demo(
    home: Annotated[Path, typer.Option(help="directory of the demo, made anew")] = Path(
        "demo-state"
    ),
    recording: Annotated[
        Path | None, typer.Option(help="play this recorded fire (CSV or CSV.gz with t_s)")
    ] = None,
    speed: Annotated[float, typer.Option(help="play it this many times faster")] = 1.0,
    keep: Annotated[bool, typer.Option(help="leave it running at the end")] = False,
    mosquitto: Annotated[
        bool, typer.Option(help="use an installed mosquitto instead of the embedded broker")
    ] = False,
) -> None:
    """Show a simulated building catching fire; exit 0 only if all that it tells truly happened."""
    home = home.resolve()
    if home.exists():
        if not (home / ".embergate-demo").exists():
            typer.echo(f"{home}: expected a demo's own directory or none, found another", err=True)
            raise typer.Exit(1)
        shutil.rmtree(home)
    home.mkdir(parents=True, mode=0o700)
    (home / ".embergate-demo").touch()
    world = World(home, mosquitto=mosquitto)
    story = Story(world)
    try:
        story.tell(recording, speed)
        if keep:
            story.say(f"left running; try: embergate status --run {world.run_dir}; Ctrl-C ends it")
            signal.sigwait({signal.SIGINT, signal.SIGTERM})
    except DemoFailed as e:
        story.say(f"FAILED: {e}")
        raise typer.Exit(1) from e
    finally:
        world.stop()


class Story:
    """What happens, in order; each step waits for the thing itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._start = time.monotonic()

    def say(self, text: str) -> None:
        """One line with its time."""
        typer.echo(f"[{time.monotonic() - self._start:6.1f} s] {text}")

    def tell(self, recording: Path | None, speed: float) -> None:
        """The whole story. Raises DemoFailed."""
        world = self.world
        self.say("making keys, compiling the site, starting the building, broker and gateway")
        world.prepare()
        world.start_building(*self._playing(recording, speed))
        world.start_broker()
        world.start_receiver()
        world.start_gateway()
        self._all_quiet()
        self._fire_grows(recording)
        self._broker_and_courier_go()
        self._fire_sounds()
        self._record_goes()
        self._people_act()
        self._everything_arrives()
        self._proof()

    # --- scenes -----------------------------------------------------------------------------

    def _all_quiet(self) -> None:
        status = self.world.wait(self._field_ready, "the field process does not get ready", 60)
        kernel = status["gateway"]["kernel"]
        self.say(f"the gateway watches {status['status']['points']} points, kernel: {kernel}")
        self.world.wait(self._platform_has_telemetry, "no reading reaches the platform", 60)
        self.say("first readings signed, delivered, verified and acknowledged by the platform")

    def _fire_grows(self, recording: Path | None) -> None:
        self.world.tell_building(start_fire=True)
        name = f"the recorded fire {recording.name}" if recording else "a fire in room A"
        self.say(f"{name} starts")
        self.world.wait(lambda: self._has("prealarm"), "no pre-alarm", FIRE_WAIT_S)
        self.say(f"PRE-ALARM 预警 ({self._temperatures()})")

    def _broker_and_courier_go(self) -> None:
        self.world.kill("broker")
        self.say("the broker is taken away: no network")
        pid = self.world.supervisor.pid("courier platform")
        os.kill(pid, signal.SIGKILL)
        self.world.wait(
            lambda: self.world.supervisor.pid("courier platform") != pid, "no new courier"
        )
        self.say("the courier is killed, and is back")

    def _fire_sounds(self) -> None:
        status = self.world.wait(lambda: self._has("fire"), "no fire alarm", FIRE_WAIT_S)
        self.say(f"FIRE 火警 ({self._temperatures()}), first alarm: {_first(status)}")
        for coil, name in COILS.items():
            self.world.wait(partial(self.world.coil, coil), f"siren {name} does not sound", 5)
        decided_ns = status["status"]["first_alarm"]["mono_ns"]
        written_ms = [(e["mono_ns"] - decided_ns) / 1e6 for e in self.world.coil_events if e["on"]]
        self.world.wait(self._read_back, "the sirens are not read back as on", 10)
        self.say(
            f"both sirens sound, written {max(written_ms):.0f} ms after the decision, and read back"
        )

    def _record_goes(self) -> None:
        pid = self.world.supervisor.pid("record")
        os.kill(pid, signal.SIGKILL)
        self.say("the record process is killed in the middle of it")
        self.world.wait(lambda: self.world.supervisor.pid("record") != pid, "no new record")
        self.world.wait(self._record_status, "the record does not answer again")
        if any(not e["on"] for e in self.world.coil_events):
            raise DemoFailed("a siren went off while the processes were killed")
        self.say("the record is back with a new epoch; the sirens never noticed")

    def _people_act(self) -> None:
        self._order("silence")
        self.world.wait(lambda: not any(map(self.world.coil, COILS)), "the sirens do not go off")
        if not self._has("fire"):
            raise DemoFailed("silence cleared the fire")
        self._order("reset")
        if not self._has("fire"):
            raise DemoFailed("reset cleared a fire that still burns")
        self.say("silence: sirens off, the fire stays; reset: refused by the heat itself")

    def _everything_arrives(self) -> None:
        self.world.start_broker()
        self.say("the broker is back")
        self.world.wait(
            self._all_acknowledged, "not everything is acknowledged by the platform", 120
        )

    def _proof(self) -> None:
        world = self.world
        world.command(*EMBERGATE, "verify", str(world.home), "--trust",
                      str(world.home / "platform" / "trust.json"))  # fmt: skip
        # The fire goes on and says more while we count: wait until both sides have the same.
        report = world.wait(self._nothing_missing, "said and arrived events differ", 60)
        if report["findings"]:
            raise DemoFailed(f"the platform found: {report['findings']}")
        if not any(f["to"] & Flag.FIRE for f in report["fires"]):
            raise DemoFailed("the platform never learned of the fire")
        self.say(
            f"the platform has all {report['events']} events and {report['readings']} readings in "
            f"{report['batches']} batches of {report['epochs']} epochs: every signature and chain "
            "holds, nothing is missing, nothing came twice"
        )

    # --- looking ----------------------------------------------------------------------------

    def _playing(self, recording: Path | None, speed: float) -> list[str]:
        if recording is None:
            return ["--fire-model", "--speed", str(speed)]
        args = ["--recording", str(recording), "--speed", str(speed), "--from", "-10", "--hold"]
        for column, sensor in zip(_columns(recording), SENSORS, strict=False):
            args += ["--map", f"{column}={sensor}"]
        return args

    def _field(self) -> Any:
        return _ask(self.world.run_dir / "field.sock", "status")

    def _field_ready(self) -> Any:
        status = self._field()
        return status if status and "fault" not in status["status"]["flags"] else None

    def _record_status(self) -> Any:
        return _ask(self.world.run_dir / "record.sock", "status")

    def _has(self, flag: str) -> Any:
        status = self._field()
        return status if status and flag in status["status"]["flags"] else None

    def _order(self, verb: str) -> None:
        try:
            asyncio.run(request(self.world.run_dir, "field.sock", verb))
        except (IpcError, Refused, TimeoutError) as e:
            raise DemoFailed(f"the field process does not take '{verb}': {e!r}") from e

    def _read_back(self) -> bool:
        status = self._field()
        return bool(status) and all(o["read_back"] for o in status["status"]["outputs"])

    def _temperatures(self) -> str:
        reply = _ask(self.world.run_dir / "field.sock", "points") or {"points": []}
        rows = [p for p in reply["points"] if p["name"] in SENSORS]
        return ", ".join(f"{p['name']} {p['value']:.1f} °C" for p in rows)

    def _report(self) -> Any:
        args = ("receive", "--report", "--json", "--db", str(self.world.database))
        return json.loads(self.world.command(*EMBERGATE, *args))

    def _platform_has_telemetry(self) -> bool:
        return self.world.database.exists() and self._report()["readings"] > 0

    def _nothing_missing(self) -> Any:
        report, field = self._report(), self._field()
        return report if field and report["events"] == field["gateway"]["events_said"] else None

    def _all_acknowledged(self) -> bool:
        field, record = self._field(), self._record_status()
        if not field or not record or field["gateway"]["events_waiting"]:
            return False
        return all(c["waiting"] == 0 for c in record["couriers"])


def _ask(path: Path, verb: str) -> Any:
    try:
        return asyncio.run(request(path.parent, path.name, verb))
    except (IpcError, Refused, TimeoutError):
        return None


def _first(status: Any) -> str:
    first = status["status"]["first_alarm"]
    return str(first["name"])


def _columns(recording: Path) -> list[str]:
    opener = gzip.open if recording.suffix == ".gz" else open
    with opener(recording, "rt", newline="") as f:
        header = next(csv.reader(f))
    names = [name for name in header if name != "t_s"]
    return [n for n in names if n.endswith("25_mm")] or names
