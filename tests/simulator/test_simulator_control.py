"""Control by JSON lines: in one process, and through the command."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from simulated_site import make_plan, mbpoll, polled

from config.plan import Line, encode_plan
from config.words import LineKind
from drivers.simulator.building import Building
from drivers.simulator.control import Control
from drivers.simulator.server import TcpLine

Event = dict[str, Any]
COIL_ON = bytes.fromhex("0002 0000 0006 09 05 0000 ff00")
COIL_READ = bytes.fromhex("0003 0000 0006 09 01 0000 0001")


def told(*messages: Any) -> list[Event]:
    """What a quiet building tells when it is told these."""
    events: list[Event] = []

    async def world() -> None:
        control = Control(Building(make_plan()), events.append)
        for message in messages:
            await control.line(json.dumps(message).encode())

    asyncio.run(world())
    return events


def test_set_and_get() -> None:
    before_ns = time.monotonic_ns()
    events = told(
        {"set": "sensor1.heat", "value": 61.5, "id": 7},
        {"get": "sensor1.heat"},
        {"set": "panel.loop1", "flags": ["fire", "disabled"]},
        {"get": "panel.loop1"},
        {"set": "sensor2.heat", "value": None},
        {"get": "sensor2.heat"},
        {"set": "sensor2.heat", "quality": "not_ready"},
    )
    kinds = [e["event"] for e in events]
    assert kinds == ["set", "value", "set", "value", "set", "value", "set"]
    assert events[0]["id"] == 7
    assert before_ns <= events[0]["mono_ns"] <= time.monotonic_ns()
    assert events[1]["value"] == pytest.approx(61.5)
    assert events[3]["flags"] == ["fire", "disabled"]
    assert events[5]["value"] is None


@pytest.mark.parametrize(
    ("message", "says"),
    [
        ({"set": "sensor9.heat", "value": 1}, "no point is called 'sensor9.heat'"),
        ({"set": "sensor1.heat", "value": "hot"}, "expected 'value' to be a number, found 'hot'"),
        ({"set": "sensor1.heat"}, "expected 'value' to be a number, found None"),
        ({"set": "sensor1.heat", "value": 1e9}, "sensor1.heat: expected a value from"),
        ({"set": "panel.loop1", "flags": ["burning"]}, "expected flags of fire, prealarm"),
        ({"set": "panel.loop1", "flags": "fire"}, "expected flags as a list"),
        ({"set": "sensor1.heat", "value": 1, "spread_ms": [9, 1]}, "expected spread_ms"),
        ({"set": "sensor1.heat", "quality": "odd"}, "expected quality"),
        ({"fault": {"device": "panel", "kind": "rust"}}, "expected kind of silence, lost"),
        ({"fault": {"device": "panel", "kind": "late", "delay": 5}}, "found delay"),
        ({"fault": {"device": "panel", "kind": "crc"}}, "Modbus TCP has no CRC"),
        ({"fault": "panel"}, "expected 'fault' to be an object"),
        ({"start_fire": {"growth": "explosive"}}, "expected growth of slow"),
        ({"start_fire": {"points": ["panel.leak"]}}, "a simulated fire moves heat"),
        ({"start_fire": {"speed": 0}}, "expected a speed above 0"),
        ({"reset": True}, "expected one of set, get"),
        ({"get": "panel.leak", "set": "panel.leak"}, "expected one of set, get"),
        ([], "expected a JSON object"),
    ],
)
def test_errors_say_what_was_expected(message: Any, says: str) -> None:
    (event,) = told(message)
    assert event["event"] == "error"
    assert says in event["text"]


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200) | st.recursive(
    st.none() | st.booleans() | st.floats() | st.sampled_from(
        ["set", "get", "fault", "start_fire", "panel", "panel.loop1", "late", "flags"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["set", "get", "fault", "start_fire", "value", "flags", "spread_ms",
                         "device", "kind", "points", "speed", "quality"]), inner, max_size=4),
    max_leaves=8,
).map(lambda x: json.dumps(x).encode()))  # fmt: skip
def test_any_line_is_obeyed_or_refused(line: bytes) -> None:
    events: list[Event] = []

    async def world() -> None:
        control = Control(Building(make_plan()), events.append)
        await control.line(line)
        control.end()

    asyncio.run(world())
    assert len(events) <= 1


def test_a_coil_is_told_when_written_and_when_first_read_back() -> None:
    async def world() -> list[Event]:
        events: list[Event] = []
        building = Building(make_plan())
        control = Control(building, events.append)
        await building.start()
        line = building.lines["control"]
        assert isinstance(line, TcpLine)
        reader, writer = await asyncio.open_connection("127.0.0.1", line.port)
        for request, count in ((COIL_READ, 10), (COIL_ON, 12), (COIL_READ, 10), (COIL_READ, 10)):
            writer.write(request)
            async with asyncio.timeout(5):
                await reader.readexactly(count)
        await control.handle({"set": "sensor1.heat", "value": 60, "spread_ms": [1, 5]})
        async with asyncio.timeout(5):
            while events[-1]["event"] != "set":
                await asyncio.sleep(0.001)
        writer.close()
        await building.stop()
        return events

    events = asyncio.run(world())
    assert [e["event"] for e in events] == ["coil", "readback", "set"]
    for event in events[:2]:
        found = (event["device"], event["coil"], event["on"], event["output"])
        assert found == ("relays", 0, True, "stair_b")
    assert events[0]["mono_ns"] < events[1]["mono_ns"] < events[2]["mono_ns"]


# --- the command ------------------------------------------------------------------------------


class Command:
    """`embergate simulate` as a process of its own; killed at the end whatever happens."""

    def __init__(self, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", "import typer; from agent.cli.simulate import register\n"
             "app = typer.Typer(); app.callback()(lambda: None); register(app); app()",
             "simulate", *args],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        )  # fmt: skip
        self._rest = b""

    def tell(self, message: Event) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    def event(self, kind: str, wait_s: float = 15.0) -> Event:
        assert self.process.stdout is not None
        deadline = time.monotonic() + wait_s
        while True:
            while b"\n" in self._rest:
                line, self._rest = self._rest.split(b"\n", 1)
                event: Event = json.loads(line)
                if event["event"] == kind:
                    return event
            fd = self.process.stdout.fileno()
            assert select.select([fd], [], [], max(deadline - time.monotonic(), 0))[0], kind
            data = os.read(fd, 65_536)
            assert data, self.process.stderr.read() if self.process.stderr else ""
            self._rest += data

    def ended(self) -> tuple[int, str]:
        _out, err = self.process.communicate(timeout=15)
        return self.process.returncode, err.decode()

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@pytest.fixture
def plan_file(tmp_path: Path) -> Path:
    path = tmp_path / "plan.cbor"
    path.write_bytes(encode_plan(make_plan()))
    return path


def test_the_command_serves_obeys_and_stops(plan_file: Path, tmp_path: Path) -> None:
    recording = tmp_path / "r.csv"
    recording.write_text("t_s,hot\n0,30.5\n1,90.5\n")
    command = Command(
        "--plan", str(plan_file), "--control", "--recording", str(recording), "--hold",
        "--map", "hot=sensor1.heat", "--speed", "20",
    )  # fmt: skip
    try:
        ready = command.event("ready")
        assert [line["name"] for line in ready["lines"]] == ["control"]
        host, port = ready["lines"][0]["address"].split(":")
        command.tell({"get": "sensor1.heat"})
        assert command.event("value")["value"] == pytest.approx(30.5)
        with socket.create_connection((host, int(port)), 5) as s:
            s.sendall(bytes.fromhex("0001 0000 0006 01 03 0000 0000"))  # a count of 0
            s.sendall(COIL_ON)
            coil = command.event("coil")
            assert (coil["output"], coil["on"]) == ("stair_b", True)
        command.tell({"start_fire": True})
        command.event("scene_end")
        command.tell({"get": "sensor1.heat"})
        assert command.event("value")["value"] == pytest.approx(90.5)
        command.tell({"stop": True})
        assert command.ended() == (0, "")
    finally:
        command.close()


@pytest.mark.parametrize("how", ["term", "eof"])
def test_it_ends_with_its_master(plan_file: Path, how: str) -> None:
    command = Command("--plan", str(plan_file), "--control", "--fire-model", "--walk")
    try:
        command.event("ready")
        if how == "term":
            command.process.send_signal(signal.SIGTERM)
        assert command.ended() == (0, "")
    finally:
        command.close()


def test_it_ends_when_nobody_listens_any_more(plan_file: Path) -> None:
    command = Command("--plan", str(plan_file), "--control")
    try:
        command.event("ready")
        assert command.process.stdout is not None
        command.process.stdout.close()
        command.tell({"get": "sensor1.heat"})
        assert command.process.wait(15) == 0
        assert command.process.stderr is not None
        assert command.process.stderr.read() == b""
    finally:
        command.close()


def test_errors_of_the_command(plan_file: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.cbor"
    line = Line("control", LineKind.TCP, "192.0.2.10", 502)
    outside.write_bytes(encode_plan(make_plan(lines=(line,))))
    plan = str(plan_file)
    for args, status, says in (
        (("--plan", str(tmp_path / "none.cbor")), 78, "No such file"),
        (("--plan", str(outside)), 1, "192.0.2.10 can be reached from the network"),
        (("--plan", plan, "--map", "a=b.c"), 1, "need each other"),
        (("--plan", plan, "--fire-at", "panel.leak"), 1, "a simulated fire moves heat"),
        ((), 1, "give either a SITE file or --plan FILE"),
    ):
        command = Command(*args)
        try:
            code, err = command.ended()
        finally:
            command.close()
        assert code == status, err
        assert says in err


EXAMPLE = Path(__file__).parents[2] / "config" / "examples" / "demo.yaml"


def test_a_site_file_is_compiled_and_served_on_its_own_ports(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        text = EXAMPLE.read_text()
        assert "15020" in text
        assert "/tmp/embergate-demo-riser" in text
        site = tmp_path / "site.yaml"
        riser = f"{directory}/riser"
        site.write_text(
            text.replace("15020", str(port)).replace("/tmp/embergate-demo-riser", riser)
        )
        command = Command(str(site), "--json", "--pace")
        try:
            ready = command.event("ready")
            assert {x["address"] for x in ready["lines"]} == {f"127.0.0.1:{port}", riser}
            rtu = ("-m", "rtu", "-b", "19200", "-P", "none", "-a", "3", "-r", "0", "-t", "3")
            assert polled(asyncio.run(mbpoll(*rtu, riser))) == ["200"]
            command.process.send_signal(signal.SIGINT)
            assert command.ended() == (0, "")
            assert not Path(riser).is_symlink()
            assert sorted(p.name for p in tmp_path.iterdir()) == ["site.yaml"]
        finally:
            command.close()


def test_a_site_file_with_problems_is_refused_with_its_places(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(EXAMPLE.read_text().replace("stair_a, stair_b]", "stair_a, stair_c]"))
    command = Command(str(site))
    try:
        status, err = command.ended()
    finally:
        command.close()
    assert status == 78
    assert "site.yaml:" in err
    assert "stair_c" in err
