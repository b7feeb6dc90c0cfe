"""From what a panel says to the siren's coil, and back; with bad lines, bad links, lost links."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest
from panel_world import PanelWorld, panel_world, site_text

from agent.cli.check import compile_or_exit
from config.limits import BUS_ATTEMPT_NS_MAX, PANEL_SILENCE_NS, S
from config.plan import decode_plan, encode_plan
from drivers.reading import LineState, PanelEvent

ADDRESS = {"gst9000-printer": "004-017", "notifier-nfs-printer": "L01D012", "espa-4.4.4": "12/3",
           "notifier-id3000": "01S23", "notifier-id3000-full-duplex": "01S23"}  # fmt: skip


def run(
    dialect: str, *, serial: bool = False, more: str = ""
) -> Callable[[Callable[[PanelWorld], Awaitable[None]]], Callable[[], None]]:
    def wrap(test: Callable[[PanelWorld], Awaitable[None]]) -> Callable[[], None]:
        async def body() -> None:
            async with panel_world(dialect, serial=serial, more=more) as world:
                await test(world)

        def call() -> None:
            asyncio.run(body())

        call.__doc__ = test.__doc__
        return call

    return wrap


@pytest.mark.parametrize(
    ("dialect", "serial"),
    [("gst9000-printer", True), ("gst9000-printer", False), ("notifier-nfs-printer", True),
     ("espa-4.4.4", True), ("espa-4.4.4", False), ("notifier-id3000", False),
     ("notifier-id3000-full-duplex", True)],
)  # fmt: skip
def test_a_panels_fire_sounds_and_its_reset_ends_it(dialect: str, serial: bool) -> None:
    async def world_of() -> None:
        more = ", on_reset: clear" if "nfs" in dialect else ""
        async with panel_world(dialect, serial=serial, more=more) as world:
            await world.say(say="fire", address=ADDRESS[dialect], place="LOBBY")
            await world.siren(True)
            row = world.panel()
            assert row["standing"][0]["flags"] == ["fire"]
            assert ADDRESS[dialect][2:] in row["standing"][0]["address"]
            assert row["supervised"] == ("printer" not in dialect)
            assert world.status()["first_alarm"]["name"].startswith("fip ")
            await world.say(say="fault", address=ADDRESS[dialect][:-1] + "9", place="HALL")
            await world.until(lambda: world.panel()["told"] == 2)
            await world.say(say="reset")
            await world.siren(False)
            assert "fire" not in world.status()["flags"]

    asyncio.run(world_of())


@run("gst9000-printer")
async def test_states_of_a_gst_panel_come_through(world: PanelWorld) -> None:
    for word, address in (("activated", "001-001"), ("feedback", "001-001"), ("manual", ""),
                          ("mains_fault", ""), ("disabled", "001-002")):  # fmt: skip
        await world.say(say=word, address=address, place="泵房")
    await world.until(lambda: world.panel()["told"] == 4)
    told = {row["address"]: row["flags"] for row in world.panel()["standing"]}
    assert told == {"001-001": ["activated", "feedback"], "mode": ["manual"], "mains": ["fault"],
                    "001-002": ["disabled"]}  # fmt: skip
    for word in ("auto", "mains_restored"):
        await world.say(say=word)
    await world.until(lambda: world.panel()["told"] == 2)
    assert not world.building.output_on("bell")


@run("gst9000-printer", serial=True)
async def test_garbage_and_half_lines_do_not_hide_a_fire(world: PanelWorld) -> None:
    await world.say(hex="00ff1b" + "bb" * 300)
    await world.say(say="fire", address="004-017", place="一层", harm="half")
    await world.siren(True)  # after the silence that ends half a line
    await world.say(hex="0a0a")
    await world.say(say="reset")
    await world.siren(False)


@pytest.mark.parametrize("dialect", ["espa-4.4.4", "notifier-id3000"])
def test_a_wrong_checksum_is_asked_for_again(dialect: str) -> None:
    async def world_of() -> None:
        async with panel_world(dialect) as world:
            await world.say(say="fire", address=ADDRESS[dialect], harm="checksum")
            await world.siren(True)
            assert world.client is not None
            assert world.client.talk.damaged == 1

    asyncio.run(world_of())


@run("notifier-id3000")
async def test_a_silence_at_the_panel_silences_until_the_next_fire(world: PanelWorld) -> None:
    await world.say(say="fire", address="01S23")
    await world.siren(True)
    await world.say(say="silence")
    await world.siren(False)
    assert world.panel()["silenced"]
    assert world.panel()["standing"][0]["flags"] == ["fire"]
    await world.say(say="fire", address="01S24")
    await world.siren(True)
    assert not world.panel()["silenced"]


@pytest.mark.parametrize(("dialect", "serial"), [("gst9000-printer", True), ("espa-4.4.4", False)])
def test_losing_the_link_is_a_fault_and_clears_nothing(dialect: str, serial: bool) -> None:
    async def world_of() -> None:
        async with panel_world(dialect, serial=serial) as world:
            await world.say(say="fire", address=ADDRESS[dialect])
            await world.siren(True)
            await world.order(fault={"device": "fip", "kind": "refuse"})
            await world.until(lambda: world.panel()["lost"])
            assert {"source": "line/p", "text": "down"} in world.status()["faults"]
            assert world.panel()["told"] == 1
            assert world.building.output_on("bell")
            await world.order(clear_fault={"device": "fip", "kind": "refuse"})
            await world.until(lambda: not world.panel()["lost"])
            assert world.building.output_on("bell")
            served = world.building.panel("fip")
            await world.until(lambda: serial or bool(served.clients))
            await world.say(say="reset")
            await world.siren(False)

    asyncio.run(world_of())


class Heard:
    """Keeps what a client delivers."""

    def __init__(self) -> None:
        self.events: list[PanelEvent] = []
        self.lines: list[LineState] = []

    def panel(self, events: Sequence[PanelEvent]) -> None:
        self.events += events

    def line(self, state: LineState) -> None:
        self.lines.append(state)


@run("espa-4.4.4")
async def test_a_supervised_panel_that_falls_silent_is_lost_in_time(world: PanelWorld) -> None:
    assert world.client is not None
    client = world.client
    await world.until(lambda: client.up)
    now_ns = client._mono_ns()
    client._mono_ns = lambda: now_ns
    await world.order(fault={"device": "fip", "kind": "silence"})
    now_ns += PANEL_SILENCE_NS
    client.look()
    assert not world.panel()["lost"]
    now_ns += S
    client.look()
    assert not client.up
    await world.until(lambda: world.panel()["lost"])
    assert PANEL_SILENCE_NS + S < 100 * S
    await world.order(clear_fault={"device": "fip", "kind": "silence"})
    await world.until(lambda: not world.panel()["lost"])


@run("gst9000-printer")
async def test_a_wrong_clock_of_the_panel_is_told_once(world: PanelWorld) -> None:
    assert world.client is not None
    client = world.client
    heard = Heard()
    client._sink = heard
    client._local_s = _local_s
    for off_s in (0, 7_200, 7_200, 0):
        await world.say(say="fault", address="001-002", place="x", clock_off_s=off_s)
    await world.until(lambda: len(heard.events) >= 6)
    clocks = [e for e in heard.events if e.kind == "clock"]
    assert [abs(e.skew_s - s) <= 61 for e, s in zip(clocks, (7_200, 0), strict=True)] == [True] * 2
    assert "ahead" in clocks[0].text
    assert len(heard.events) == 6


def _local_s() -> float:
    import time  # noqa: PLC0415 -- the wall clock, for this test alone

    now = time.time()
    return now + time.localtime(now).tm_gmtoff


@run("notifier-nfs-printer")
async def test_a_client_is_alive_for_the_watchdog(world: PanelWorld) -> None:
    assert world.client is not None
    client = world.client
    before_ns = client.last_attempt_ns
    await world.until(lambda: client.last_attempt_ns > before_ns)
    await world.order(fault={"device": "fip", "kind": "refuse"})
    await world.until(lambda: not client.up)
    before_ns = client.last_attempt_ns
    await world.until(lambda: client.last_attempt_ns > before_ns)
    assert world.runtime.alive(before_ns + BUS_ATTEMPT_NS_MAX - S)


def test_a_whole_field_process_hears_a_panel_without_yaml() -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        site, plan = folder / "site.yaml", folder / "plan.cbor"
        site.write_text(site_text(folder, "gst9000-printer", serial=True))
        made = compile_or_exit(site, plan)
        assert decode_plan(encode_plan(made)) == made
        simulator = subprocess.Popen(
            [sys.executable, "-m", "agent.cli.main", "simulate", "--plan", str(plan), "--control"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        code = "import sys; from agent.field.main import main; e = main(sys.argv[1:]); "
        code += "assert not {'yaml', 'pydantic', 'pymodbus'} & set(sys.modules); sys.exit(e)"
        assert simulator.stdin is not None
        assert simulator.stdout is not None
        assert json.loads(simulator.stdout.readline())["event"] == "ready"
        field = subprocess.Popen(
            [sys.executable, "-c", code, "--plan", str(plan), "--run", str(folder / "run"),
             "--kernel", "python"], stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            # Until the gateway has opened the port what is printed is gone: print until it sounds.
            events: list[dict[str, object]] = []
            while not any(e["event"] == "coil" and e["on"] for e in events):
                assert field.poll() is None
                assert len(events) < 200
                simulator.stdin.write('{"panel": "fip", "say": "fire", "address": "004-017"}\n')
                simulator.stdin.write('{"set": "none", "value": 1}\n')
                simulator.stdin.flush()
                events.append(json.loads(simulator.stdout.readline()))
                if events[-1]["event"] == "error":
                    field_ready(folder / "run" / "field.sock")
            field.terminate()
            assert field.wait(10) == 0
        finally:
            for process in (field, simulator):
                process.kill()
                process.wait()


def field_ready(path: Path) -> None:
    """Give the gateway a moment; its socket shows that it runs."""
    import threading  # noqa: PLC0415 -- only to wait

    threading.Event().wait(0.05 if path.exists() else 0.2)
