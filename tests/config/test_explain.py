"""`embergate explain` says what watches a point, with its numbers and their sources."""

from __future__ import annotations

import json
from pathlib import Path

import typer
from typer.testing import CliRunner

from agent.cli import check, explain

SITE = Path(__file__).parents[1] / "sites" / "good_kinds" / "site.yaml"


def run(*args: str) -> tuple[int, str]:
    app = typer.Typer()
    check.register(app)
    explain.register(app)
    result = CliRunner().invoke(app, list(args))
    return result.exit_code, result.output


def test_a_heat_point_has_levels_a_trend_and_where_they_come_from() -> None:
    status, text = run("explain", "pumps.room_heat", "--site", str(SITE))
    assert status == 0
    assert "fire_level = 57  (EN 54-5 class A1" in text
    assert "trend_slope_per_s" in text
    assert "[recalled]" in text
    assert "a trend alone is fire" in text


def test_suffix_s_has_no_trend_and_the_site_is_a_source() -> None:
    _, text = run("explain", "pumps.kitchen", "--site", str(SITE))
    assert "trend" not in text
    _, text = run("explain", "pumps.gas", "--site", str(SITE))
    assert "fire_level = 40  (the site file" in text


def test_the_plan_says_the_same_as_json(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE.read_text())
    assert run("plan", str(site))[0] == 0
    status, text = run("explain", "pumps.smoke", "--plan", str(tmp_path / "plan.cbor"), "--json")
    assert status == 0
    named = {name: value for row in json.loads(text) for name, value, _ in row["parameters"]}
    assert named["offset_fire"] == 3.0
    assert named["baseline_cap"] == 1.8


def test_an_unknown_point_is_named_with_the_nearest() -> None:
    status, text = run("explain", "pumps.room_heet", "--site", str(SITE))
    assert status == 78
    assert "did you mean 'pumps.room_heat'" in text


def test_a_reading_goes_through_the_real_kernel() -> None:
    _, text = run("explain", "pumps.room_heat", "--site", str(SITE), "--value", "61")
    assert "at 61 °C, sampled once a second: fire + prealarm (2)" in text
    _, text = run("explain", "pumps.room_heat", "--site", str(SITE), "--value", "21")
    assert "at 21 °C, sampled once a second: normal" in text
    _, text = run("explain", "pumps.room_heat", "--site", str(SITE), "--value", "-200")
    assert "fault [a value the sensor cannot produce] (3)" in text


def test_a_reading_that_is_no_number_is_refused() -> None:
    status, text = run("explain", "pumps.room_heat", "--site", str(SITE), "--value", "hot")
    assert status == 2
    assert "'hot'" in text


def test_in_chinese_with_the_mark_of_what_was_only_recalled() -> None:
    _, text = run("explain", "pumps.smoke", "--site", str(SITE), "--lang", "zh", "--value", "4")
    assert "高于缓慢跟随漂移的基线" in text
    assert "EN 54-7 第 4.8 条 [recalled]" in text
    assert "若读数为 4 %/m" in text
    assert "火警" in text


def test_a_gateway_that_does_not_run_is_said(tmp_path: Path) -> None:
    status, text = run("explain", "pumps.gas", "--site", str(SITE), "--run", str(tmp_path))
    assert status == 0
    assert "the gateway cannot be asked" in text


def test_what_the_site_set_is_named_as_the_source() -> None:
    site = SITE.parents[1] / "good_detectors" / "site.yaml"
    _, text = run("explain", "pumps.room", "--site", str(site))
    assert "chatter_hold_s = 5  (the site file" in text
    assert "flat_band = 0.05  (the site file" in text
    _, text = run("explain", "pumps.boiler", "--site", str(site))
    assert "chatter" not in text
    _, text = run("explain", "pumps.hydrant", "--site", str(site))
    assert "fall_limit_s = 12000" in text
    assert "on_delay_s = 15" in text
    _, text = run("explain", "pumps.door", "--site", str(site))
    assert "chatter_count = 4  (the site file" in text
    _, text = run("explain", "pumps.call", "--site", str(site))
    assert "chatter_hold_s = 0" in text
