"""`embergate log`: filters, order and exports of a record that runs."""

from __future__ import annotations

import asyncio
import csv
import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner
from world_record import FieldEnd, InLoop, World, call, event_at, run

from agent.cli import log
from agent.cli.log import Entry, Order, Wanted, in_order, read_time
from config.limits import LOG_REORDER_MAX, S

MANY = 10_500


async def command(world: World, *args: str) -> str:
    """The command in a thread: the record answers in this loop."""

    def invoke() -> str:
        app = typer.Typer()
        log.register(app)
        done = CliRunner().invoke(app, ["--run", str(world.run), *args])
        assert done.exit_code == 0, done.output
        return done.output

    return await asyncio.to_thread(invoke)


def panel_at(loop: InLoop, seq: int) -> list[Any]:
    body = {"name": "panel", "address": "L1D7", "from": 0, "to": 1, "text": "烟感报警",
            "panel_time": "2026-11-22 09:31"}  # fmt: skip
    return [seq, "fire", "panel/panel/L1D7", "panel", loop.clock.mono, loop.clock.wall, 2, 0, body]


def operator_at(loop: InLoop, seq: int) -> list[Any]:
    body = {"verb": "disable", "who": "li", "source": "=cmd", "target": "zone/hall", "why": "焊接"}
    return [seq, "event", "operator", "operator", loop.clock.mono, loop.clock.wall, 2, 0, body]


async def told(loop: InLoop, rows: list[list[Any]]) -> None:
    field = FieldEnd()
    await field.join(loop.world)
    for at in range(0, len(rows), 250):
        await call(field, "submit", events=rows[at : at + 250])
    await loop.until(lambda: field.durable == rows[-1][0])


def test_ten_thousand_records_are_exported_in_order_in_pages(world: World, tmp_path: Path) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            rows = []
            for seq in range(1, MANY + 1):
                loop.clock.move(0.001)
                rows.append(event_at(loop.clock, seq, "fire" if seq % 5 == 0 else "event"))
            rows[7_000:7_000] = [panel_at(loop, 0)]
            for seq, row in enumerate(rows, 1):
                row[0] = seq
            rows[7_000][4] = rows[6_999][4]
            await told(loop, rows)
            out = tmp_path / "log.csv"
            await command(world, "-o", str(out))
            with out.open(encoding="utf-8", newline="") as f:
                found = list(csv.DictReader(f))
            own = [row for row in found if row["what"] in ("point", "panel")]
            assert [int(row["seq"]) for row in own] == list(range(1, MANY + 2))
            assert own[7_000]["panel_time"] == "2026-11-22 09:31"
            assert own[7_000]["lane"] == "fire"
            lines = tmp_path / "log.jsonl"
            await command(world, "--json", "--what", "panel", "-o", str(lines))
            parsed = [json.loads(line) for line in lines.read_text().splitlines()]
            assert [row["seq"] for row in parsed] == [7_001]
            assert {"time", "panel_time", "clock", "body", "boot"} <= set(parsed[0])

    run(test)


def test_filters_and_the_newest_in_the_language_of_the_guard(world: World) -> None:
    async def test() -> None:
        async with InLoop(world) as loop:
            rows = []
            for seq in range(1, 41):
                loop.clock.move(1)
                rows.append(event_at(loop.clock, seq, "fire" if seq == 3 else "event"))
            rows += [panel_at(loop, 41), operator_at(loop, 42)]
            await told(loop, rows)

            async def seqs(*args: str) -> list[int]:
                lines = (await command(world, "--json", *args)).splitlines()
                parsed = [json.loads(line) for line in lines]
                return [row["seq"] for row in parsed if row["source"] != "record"]

            assert await seqs("--lane", "fire") == [3, 41]
            assert await seqs("--what", "operator") == [42]
            assert await seqs("--source", "panel") == [41]
            assert await seqs("--text", "烟感") == [41]
            assert await seqs("--text", "焊接") == [42]
            assert await seqs("--text", "屏蔽") == [42]  # the verb in words
            assert 3 in await seqs("--until", "2100-01-01")
            assert await seqs("--since", "2100-01-01") == []
            shown = await command(world, "--limit", "2", "--lang", "zh")
            assert "焊接" in shown
            assert "烟感报警" in shown
            assert "2026-11-22" in shown
            assert (await command(world, "--text", "nowhere", "--lang", "zh")).strip() == "无记录"
            cells = await command(world, "--csv", "--what", "operator")
            assert '"' in cells
            assert "\n=" not in cells

    run(test)


def test_a_record_that_does_not_answer_is_said(tmp_path: Path) -> None:
    app = typer.Typer()
    log.register(app)
    done = CliRunner().invoke(app, ["--run", str(tmp_path)])
    assert done.exit_code == 1
    assert "is the process running" in done.output
    done = CliRunner().invoke(app, ["--run", str(tmp_path), "--since", "yesterday"])
    assert done.exit_code == 2
    assert "2026-11-22" in done.output


def entry(mono_ns: int, seq: int, boot: str = "a", wall_ns: int = 0) -> Entry:
    return Entry("event", 1, 1, boot, seq, "s", "point", mono_ns, wall_ns, 2, 0, {})


def test_order_is_by_boot_and_monotonic_time_and_holds_a_bounded_number() -> None:
    late = [entry(10, 2), entry(5, 1), entry(3, 9, "b"), entry(10, 1), entry(1, 1, "b")]
    assert [(e.boot, e.mono_ns, e.seq) for e in in_order(iter(late))] == [
        ("a", 5, 1), ("a", 10, 1), ("a", 10, 2), ("b", 1, 1), ("b", 3, 9),
    ]  # fmt: skip
    order = Order()
    given = [e for n in range(3 * LOG_REORDER_MAX) for e in order.put(entry(n, n))]
    assert len(given) == 2 * LOG_REORDER_MAX
    assert [e.seq for e in (*given, *order.rest())] == list(range(3 * LOG_REORDER_MAX))


def test_times_are_local_or_ago() -> None:
    assert read_time("") == 0
    assert read_time("2026-11-22 14:30") - read_time("2026-11-22 14:00") == 1_800 * S
    assert abs(read_time("2h") - read_time("1h")) - 3_600 * S < S
    with pytest.raises(typer.Exit):
        read_time("5 kPa")
    assert Wanted(since_ns=5).fits(entry(0, 1, wall_ns=5))
    assert not Wanted(since_ns=6).fits(entry(0, 1, wall_ns=5))
    assert not Wanted(until_ns=4).fits(entry(0, 1, wall_ns=5))


@pytest.mark.parametrize(
    "args",
    [{"before": -1}, {"before": "x"}, {"oldest": 1}, {"since_ns": 1.5}, {"limit": 0},
     {"after": 2**63}, {"limit": True}],
)  # fmt: skip
def test_a_page_that_makes_no_sense_is_refused(world: World, args: dict[str, Any]) -> None:
    async def test() -> None:
        async with InLoop(world):
            client = await world.connect(lambda _: None)
            reply = await client.request("log", **args)
            assert reply["error"] == "malformed"
            client.close()

    run(test)
