"""A site file becomes the plan that it says, and the same file the same bytes."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from agent.budget import budgets
from agent.cli import check
from agent.compile import Checked, check_file, plan_file
from config.limits import MS, S
from config.plan import NO_RULE, PARAMS, Plan, decode_plan, encode_plan
from config.problems import EXIT_CONFIG, Problems
from config.profiles import load_profile, names_in, profile_names
from config.words import Flag, Mode, Quality
from drivers.modbus.values import PollDecoder

ROOT = Path(__file__).parents[2]
SITES = ROOT / "tests" / "sites"
EXAMPLES = sorted((ROOT / "config" / "examples").glob("*.yaml"))


def planned(path: Path) -> Plan:
    checked = check_file(path)
    assert checked.plan is not None, checked.problems
    return checked.plan


def written(folder: Path, points: str, more: str = "") -> Checked:
    """The outcome for a site with these points on one TCP device, and a siren."""
    path = folder / "site.yaml"
    rows = "".join(f"      {row}\n" for row in points.strip().split("\n"))
    path.write_text(
        "site: {id: demo, name: Demo}\nlinks:\n  l: {kind: tcp, host: 192.0.2.1}\ndevices:\n"
        "  relays: {link: l, unit: 9, profile: relay-8}\n"
        f"  d:\n    link: l\n    unit: 1\n    poll: 1s\n    points:\n{rows}"
        "sirens: {s: {device: relays, coil: 2}}\n"
        f"effects:\n  - {{when: {{device: d, state: fire}}, sound: [s]}}\n{more}"
    )
    return check_file(path)


def plan_of(folder: Path, points: str, more: str = "") -> Plan:
    checked = written(folder, points, more)
    assert checked.plan is not None, [p.text() for p in checked.problems]
    return checked.plan


def read(plan: Plan, words: dict[int, int]) -> dict[str, tuple[float, Quality]]:
    """What the plan's points read when the device has these words (other words are 0)."""
    out: dict[str, tuple[float, Quality]] = {}
    for poll in plan.polls:
        registers = [words.get(poll.address + i, 0) for i in range(poll.count)]
        if poll.function in (1, 2):
            payload = np.packbits(np.array(registers, np.uint8), bitorder="little").tobytes()
        else:
            payload = np.array(registers, ">u2").tobytes()
        decoder = PollDecoder(poll, plan.rules)
        value, quality = decoder.decode(payload)
        for index, v, q in zip(decoder.point, value, quality, strict=True):
            out[plan.points.names[index]] = (float(v), Quality(q))
    return out


def params(plan: Plan, name: str) -> dict[str, float]:
    table = np.frombuffer(plan.points.params, "<f8").reshape(len(plan.points), len(PARAMS))
    row = table[plan.points.names.index(name)]
    return {c: float(v) for c, v in zip(PARAMS, row, strict=True) if not math.isnan(v)}


# --- examples and profiles -----------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_every_example_is_a_good_site(path: Path) -> None:
    plan = planned(path)
    assert decode_plan(encode_plan(plan)) == plan
    assert plan.outputs


@pytest.mark.parametrize("name", profile_names())
def test_every_profile_can_be_read(name: str) -> None:
    problems = Problems()
    profile = load_profile(name, problems)
    assert profile is not None, [p.text() for p in problems.found]
    assert profile.name == name == (ROOT / "config/profiles" / f"{name}.yaml").stem
    for text in profile.default_use:
        for point in names_in(text) or ():
            assert profile.fields(point) is not None


@pytest.mark.parametrize(
    ("word", "flags"),
    [
        (0x1400, Flag.NONE), (0x0810, Flag.FIRE), (0x0C10, Flag.FIRE), (0x4000, Flag.PREALARM),
        (0x3400, Flag.FAULT), (0x1200, Flag.DISABLED), (0x0840, Flag.SUPERVISORY),
        (0x08ED, Flag.FIRE | Flag.SUPERVISORY), (0x0871, Flag.ACTIVATED), (0x0800, Flag.ACTIVATED),
        (0x08EA, Flag.FIRE), (0x2A10, Flag.FIRE | Flag.FAULT | Flag.DISABLED),
    ],
)  # fmt: skip
def test_a_panel_word_is_read_whole(word: int, flags: Flag) -> None:
    plan = planned(SITES / "good_profiles" / "site.yaml")
    assert read(plan, {0: word})["panel.l1d1"] == (float(flags), Quality.GOOD)


def test_a_panel_point_that_is_not_programmed() -> None:
    """It is a fault where the site names the point, and nothing where it does not."""
    plan = planned(SITES / "good_profiles" / "site.yaml")
    values = read(plan, {0: 0x00FF, 1: 0x0000})
    assert values["panel.l1d1"][1] is Quality.BAD
    assert values["panel.l1d2"][1] is Quality.NOT_READY
    assert values["whole_loop.l1d1"] == (0.0, Quality.GOOD)


def test_a_panel_of_many_loops() -> None:
    plan = planned(SITES / "good_profiles" / "site.yaml")
    assert plan.points.names.count("panel.l2m1") == 1
    assert read(plan, {600: 0x0810})["panel.l2m1"] == (float(Flag.FIRE), Quality.GOOD)


def test_a_4_20_ma_loop() -> None:
    plan = planned(SITES / "good_profiles" / "site.yaml")
    assert read(plan, {0: 4_000})["loops.ch1"][0] == pytest.approx(0.0)
    assert read(plan, {0: 20_000})["loops.ch1"][0] == pytest.approx(1600.0)
    levels = params(plan, "loops.ch1")
    assert levels["range_min"] == pytest.approx(-40.0)  # 3.6 mA
    assert levels["range_max"] == pytest.approx(1700.0)  # 21 mA
    assert (levels["low_level"], levels["low_clear"]) == (150.0, 157.5)


# --- values ----------------------------------------------------------------------------------


def test_numbers(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        """a: {register: input 0, type: int16, scale: 0.1, offset: -5, unit: °C, kind: measure}
b: {register: input 1, type: float32, kind: measure}
c: {register: input 3, type: uint32, word_order: low_first, kind: measure}
d: {register: input 5, bit: 3, kind: measure}
h: {register: input 9, type: int16, unit: °C, kind: heat, class: A1, sentinels: [0x8000, 999]}""",
    )
    values = read(plan, {0: 0xFFF6, 1: 0x3FC0, 3: 7, 4: 1, 5: 8, 9: 21})
    assert values["d.a"][0] == pytest.approx(-6.0)
    assert values["d.b"] == (1.5, Quality.GOOD)
    assert values["d.c"] == (65_543.0, Quality.GOOD)
    assert values["d.d"] == (1.0, Quality.GOOD)
    assert values["d.h"] == (21.0, Quality.GOOD)  # a rule of sentinels leaves the number alone
    assert read(plan, {9: 0x8000})["d.h"][1] is Quality.BAD
    assert read(plan, {9: 999})["d.h"][1] is Quality.BAD


def test_contacts(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        """closes: {register: discrete 0, kind: contact, active: 1, state: fire}
opens: {register: discrete 1, kind: contact, active: 0, state: fault}
call: {register: holding 5, bit: 0, kind: manual, active: 1}
valve: {register: holding 5, bit: 7, kind: contact, active: 0, state: supervisory}""",
    )
    quiet = read(plan, {1: 1, 5: 0x80})
    assert {v for v, _ in quiet.values()} == {0.0}
    loud = read(plan, {0: 1, 5: 0x01})
    assert {name: Flag(int(v)) for name, (v, _) in loud.items()} == {
        "d.closes": Flag.FIRE,
        "d.opens": Flag.FAULT,
        "d.call": Flag.FIRE | Flag.MANUAL,
        "d.valve": Flag.SUPERVISORY,
    }


def test_defaults_and_their_units(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        """a1: {register: input 0, type: int16, unit: °C, kind: heat, class: A1}
f: {register: input 1, type: int16, unit: °F, kind: heat, class: A1}
b: {register: input 2, type: int16, unit: °C, kind: heat, class: BS, fire: 80°C}
gas: {register: input 3, type: uint16, unit: "%LEL", kind: gas, prealarm: 20%LEL}
leak: {register: input 4, type: uint16, unit: A, kind: residual_current, prealarm: 300mA}""",
    )
    a1, f, b = (params(plan, f"d.{n}") for n in ("a1", "f", "b"))
    assert (a1["fire_level"], a1["fire_clear"], a1["prealarm_level"]) == (57.0, 54.0, 52.0)
    assert f["fire_level"] == pytest.approx(134.6)
    assert f["fire_clear"] == pytest.approx(129.2)
    assert f["trend_rise"] == pytest.approx(4.5)
    assert f["trend_slope_per_s"] == pytest.approx(a1["trend_slope_per_s"] * 1.8)
    assert f["trend_tau_s"] == a1["trend_tau_s"]
    assert (b["fire_level"], b["prealarm_level"]) == (80.0, 67.0)
    assert "trend_slope_per_s" not in b
    assert (params(plan, "d.gas")["fire_level"], params(plan, "d.gas")["prealarm_level"]) == (
        50,
        20,
    )
    assert params(plan, "d.leak")["prealarm_level"] == pytest.approx(0.3)


# --- tables ----------------------------------------------------------------------------------


def test_the_tables_of_the_plan(tmp_path: Path) -> None:
    plan = plan_of(
        tmp_path,
        """heat: {register: input 0, type: int16, scale: 0.1, unit: °C, kind: heat, class: A1}
slow: {register: input 1, type: float32, unit: kW, kind: measure, poll: 10min}
call: {register: discrete 0, kind: manual, active: 1, poll: 100ms}""",
        "zones: {z: {points: [d.heat, d.call], alarm: 2 of n}}\n"
        "couriers:\n  p: {kind: mqtt, url: mqtts://broker.example, ca: /etc/ca.pem}\n"
        "  q: {kind: mqtt, url: 'mqtt://127.0.0.1', insecure: trusted-network}\n",
    )
    table = plan.points
    assert table.names == ("d.heat", "d.slow", "d.call")
    assert np.frombuffer(table.ids, "<u4").tolist() == [1, 2, 3]
    assert list(table.modes) == [Mode.ANALOGUE, Mode.TELEMETRY, Mode.STATE]
    assert np.frombuffer(table.resolutions, "<f8").tolist() == [0.1, 0.0, 1.0]
    assert np.frombuffer(table.stale_ns, "<i8").tolist() == [3 * S, 1_800 * S, 2 * S]
    assert {(p.function, p.alarm, p.interval_ns) for p in plan.polls} == {
        (4, True, S), (4, False, 600 * S), (2, True, 100 * MS)
    }  # fmt: skip
    assert plan.zones[0].points == (0, 2)
    assert plan.zones[0].needed == 2
    assert (plan.outputs[0].device, plan.outputs[0].coil) == (0, 2)
    effect = plan.effects[0]
    assert (effect.cause, effect.ref, effect.state, effect.outputs) == (
        "device",
        1,
        Flag.FIRE,
        (0,),
    )
    secure, plain = (c.settings for c in plan.couriers)
    assert secure["url"] == "mqtts://broker.example:8883"
    assert (secure["insecure"], secure["ca"], "cert" in secure) == (False, "/etc/ca.pem", False)
    assert (plain["url"], plain["insecure"]) == ("mqtt://127.0.0.1:1883", True)
    assert [b.share for b in budgets(plan)] == [0.0]


@pytest.mark.parametrize("name", sorted(p.name for p in SITES.glob("good_*")))
def test_every_point_is_polled_once_and_within_its_poll(name: str) -> None:
    plan = planned(SITES / name / "site.yaml")
    seen = [int(i) for p in plan.polls for i in np.frombuffer(p.points, "<u4")]
    assert sorted(seen) == list(range(len(plan.points)))
    for poll in plan.polls:
        rules = np.frombuffer(poll.rules, "<u2")
        assert all(r == NO_RULE or r < len(plan.rules) for r in rules)
        PollDecoder(poll, plan.rules)  # asserts that the columns agree


def test_the_same_site_gives_the_same_bytes_and_any_change_another_digest(tmp_path: Path) -> None:
    row = "a: {register: input 0, type: int16, unit: °C, kind: heat, class: A1}"
    one, again = plan_of(tmp_path, row), plan_of(tmp_path, row)
    assert encode_plan(one) == encode_plan(again)
    assert plan_of(tmp_path, row, "# a comment\n").digest != one.digest


# --- the commands ------------------------------------------------------------------------------


def test_plan_keeps_ids_over_a_rename(tmp_path: Path) -> None:
    site, out = tmp_path / "site.yaml", tmp_path / "plan.cbor"
    source = (SITES / "good_minimal" / "site.yaml").read_text()
    site.write_text(source)
    first = plan_file(site, out).plan
    assert first is not None
    site.write_text(source.replace("room_heat", "ceiling"))
    second = plan_file(site, out).plan
    assert second is not None
    assert second.points.names == ("pumps.ceiling",)
    assert second.points.ids == first.points.ids
    assert decode_plan(out.read_bytes()) == second
    assert sorted(p.name for p in tmp_path.iterdir()) == ["plan.cbor", "site.ids", "site.yaml"]


def test_a_bad_site_leaves_the_last_good_plan_alone(tmp_path: Path) -> None:
    site, out = tmp_path / "site.yaml", tmp_path / "plan.cbor"
    site.write_text((SITES / "good_minimal" / "site.yaml").read_text())
    app = typer.Typer()
    check.register(app)
    runner = CliRunner()
    assert runner.invoke(app, ["plan", str(site), "-o", str(out)]).exit_code == 0
    good = out.read_bytes()
    site.write_text("site: no\n")
    result = runner.invoke(app, ["plan", str(site), "-o", str(out), "--json"])
    assert result.exit_code == EXIT_CONFIG
    assert json.loads(result.output)["problems"][0]["id"] == "yaml.trap"
    assert out.read_bytes() == good


def test_a_missing_file_is_a_problem(tmp_path: Path) -> None:
    (problem,) = check_file(tmp_path / "none.yaml").problems
    assert problem.id == "file.unreadable"


def test_the_plan_needs_neither_yaml_nor_pydantic() -> None:
    """Every process loads the plan; none of them can afford the site file's readers."""
    code = (
        "import sys, config.plan, config.words, config.limits\n"
        "print([m for m in ('yaml', 'pydantic', 'typer', 'numpy') if m in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert found.stdout.strip() == "[]"
