"""The commands of the guards against the real socket, in both languages."""

from __future__ import annotations

import asyncio
import io
import json
import re
import string
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import typer
from control_world import PIN, ControlWorld, control_world
from rich.console import Console
from typer.testing import CliRunner

from agent.cli import control, orders, top, words
from agent.cli import pin as pin_command
from agent.cli.top import Screen, sparkline
from agent.core.types import Command, Verb
from agent.ipc import Role
from agent.viewer import Viewer
from config import pin
from config.limits import STATUS_ACTIVE_MAX
from config.words import FLAG_WORDS, Flag, Quality

ALL = Role.VIEW | Role.ACKNOWLEDGE | Role.OPERATE


def invoke(args: list[str], text: str = "") -> tuple[int, str]:
    app = typer.Typer()
    for module in (control, orders, top, pin_command):
        module.register(app)
    done = CliRunner().invoke(app, args, input=text)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


async def command(world: ControlWorld, *args: str, text: str = "") -> tuple[int, str]:
    """The command in a thread: the gateway answers in this loop."""
    words = [args[0], *args[1:], "--run", str(world.path.parent)]
    return await asyncio.to_thread(invoke, words, text)


def story(test: Callable[[ControlWorld], Any], roles: Role = ALL) -> None:
    async def run() -> None:
        async with control_world(roles) as world:
            await test(world)

    asyncio.run(run())


IN_VAIN = (
    ["enable", "point/inputs.heat"],
    ["test"],
    ["classify", "point/inputs.knock", "false", "--why", "steam"],
)
"""Nothing is disabled, no test runs, and there was no alarm: said, with status 1."""


@pytest.mark.parametrize(
    ("args", "verb", "target"),
    [
        (["ack"], "acknowledge", ""),
        (["acknowledge"], "acknowledge", ""),
        (["silence"], "silence", ""),
        (["reset"], "reset", ""),
        (["disable", "point/inputs.heat", "--for", "8h", "--why", "welding"], "disable", "point"),
        (["enable", "point/inputs.heat"], "enable", "point"),
        (["test", "hall", "--for", "30min"], "test", "group/hall"),
        (["test"], "test", ""),
        (["siren-test", "stair_a"], "siren-test", "output/stair_a"),
        (["siren-test"], "siren-test", ""),
        (["lamp-test"], "lamp-test", ""),
        (["manual", "--why", "smoke"], "manual", ""),
        (["duty"], "duty", ""),
        (["evacuate"], "evacuate", ""),
        (["classify", "point/inputs.knock", "false", "--why", "steam"], "classify", "point"),
    ],
)
def test_every_command_gives_its_order(args: list[str], verb: str, target: str) -> None:
    async def test(world: ControlWorld) -> None:
        given: list[Command] = []
        command_ = world.runtime.command

        def look_on(order: Command) -> dict[str, Any] | None:
            given.append(order)
            return command_(order)

        world.runtime.command = look_on  # type: ignore[method-assign, assignment]  # -- looks on
        status, said = await command(world, *args, "--lang", "zh")
        assert status == (args in IN_VAIN), said
        assert words.say(f"verb.{verb}", "zh") in said
        (order,) = given
        assert order.verb == verb
        assert order.target.startswith(target)
        if "--for" in args:
            assert order.duration_ns in (8 * 3_600 * 10**9, 1_800 * 10**9)

    story(test)


def test_a_pin_is_asked_for_and_never_an_argument() -> None:
    async def test(world: ControlWorld) -> None:
        status, said = await command(world, "reset", "--as", "li", text=PIN + "\n")
        assert (status, "li" in said) == (0, True)
        status, said = await command(world, "reset", "--as", "li", "--lang", "zh", text="000000\n")
        assert status == 1
        assert "被拒绝（wrong_pin）" in said
        status, said = await command(world, "reset", "--lang", "en")
        assert "refused (forbidden)" in said
        assert "operate" in said

    story(test, Role.VIEW)
    assert not any("pin" in p.name for c in _commands() for p in c.params)


def _commands() -> list[Any]:
    app = typer.Typer()
    for module in (control, orders):
        module.register(app)
    return list(typer.main.get_group(app).commands.values())


def test_what_is_refused_says_what_exists() -> None:
    async def test(world: ControlWorld) -> None:
        status, said = await command(world, "disable", "zone/hal", "--lang", "en")
        assert status == 1
        assert "did you mean hall" in said
        status, said = await command(world, "disable", "zone/hall", "--for", "8", "--lang", "en")
        assert (status, "write 30min or 8h" in said) == (2, True)

    story(test)


def test_status_points_and_one_picture_of_top_in_both_languages() -> None:
    async def test(world: ControlWorld) -> None:
        world.control._extra_status = lambda: {
            "kernel": "aot", "cycles": 1, "events_waiting": 0,
            "lines": [{"name": "control", "up": False}],
        }  # fmt: skip
        for lang, normal, down in (("en", "NORMAL", "DOWN"), ("zh", "正常", "中断")):
            for name in ("status", "top"):
                args = [name, "--lang", lang, *(["--once"] if name == "top" else [])]
                status, said = await command(world, *args)
                assert status == 0, said
                assert normal in said
                assert "stair_a" in said
                assert words.say("record.none", lang).split()[0] in said
                up = words.say("lines.up", lang, count=1)
                assert (down if name == "status" else up) in said
            status, said = await command(world, "points", "--lang", lang)
            assert "inputs.heat" in said
        status, said = await command(world, "points", "--json", "--count", "1")
        assert json.loads(said)["total"] == 2
        status, said = await command(world, "top", "--once", "--match", "heat", "--lang", "en")
        assert "inputs.heat" in said
        assert "inputs.knock" not in said

    story(test)


def test_top_in_a_long_fire_shows_the_first_alarms_the_sirens_and_how_many_more() -> None:
    async def test(world: ControlWorld) -> None:
        viewer = await Viewer.connect(world.path)
        await asyncio.wait_for(viewer.changed.wait(), 10)
        viewer.close()
        alarm = {"flags": ["fire"], "value": 90.0, "unit": "°C", "quality": "good",
                 "acknowledged": False}  # fmt: skip
        fault = {"source": "line", "text": "no answer"}
        viewer.status |= {
            "alarms": 400,
            "active": [{**alarm, "name": f"attic.{k}"} for k in range(STATUS_ACTIVE_MAX)],
            "faults": [fault] * 100,
        }
        viewer.zone_names = [f"zone {k}" for k in range(300)]
        viewer.zone_needed = [1] * 300
        viewer.zone_flags = np.full(300, int(Flag.FIRE), np.uint32)
        viewer.zone_votes = viewer.zone_healthy = np.ones(300, np.uint32)
        viewer.lines = [[f"line {k}", k != 7] for k in range(64)]
        screen = Screen("en")
        screen.take(viewer)
        console = Console(width=100, file=io.StringIO(), record=True)
        console.print(screen.draw(height=60))
        lines = console.export_text().splitlines()
        (more,) = (k for k, line in enumerate(lines) if "and 380 more" in line)
        assert "attic.19" in lines[more - 1]
        assert "stair_a" in "".join(lines[more:60]), "a screen of 60 lines has the sirens"
        assert "line 7" in "".join(lines[more:])
        assert words.say("lines.up", "en", count=63) in "".join(lines[more:])
        assert len(lines) < 100

    story(test)


def test_the_hash_of_a_pin_is_printed_for_the_site_file_and_simple_ones_are_refused() -> None:
    status, said = invoke(["pin", "--lang", "en"], "730915\n")
    assert status == 0
    found = re.fullmatch(r'pin: "(.*)"\n', said)
    assert found is not None
    kept = pin.parse(found[1])
    assert kept is not None
    assert kept.fits("730915")
    assert (kept.log2_n, kept.parallel) == (pin.LOG2_N, pin.PARALLEL)
    for simple in ("12345", "111111", "123456", "987654", "121212", "", "x" * 65):
        assert invoke(["pin"], simple + "\n")[0] == 1


def test_words_exist_in_both_languages_with_the_same_places() -> None:
    for key, (english, chinese) in words.TEXTS.items():
        assert english, key
        assert chinese, key
        fields = [{f[1] for f in string.Formatter().parse(t)} - {None} for t in (english, chinese)]
        assert fields[0] == fields[1], key
    keys = {f"verb.{verb}" for verb in Verb} | {f"flag.{word}" for word in FLAG_WORDS}
    assert keys | {f"quality.{q.name.lower()}" for q in Quality} <= set(words.TEXTS)


def test_a_trend_is_drawn_with_gaps_where_nothing_was_read() -> None:
    nan = float("nan")
    assert sparkline([0.0, nan, 7.0]) == "▁ █"
    assert sparkline([5.0, 5.0]) == "▄▄"
    assert sparkline([nan, nan]) == ""
