"""What a replay finds, worked out by hand from small recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from recordings import KERNEL, SITE, csv_of, one, ramp, setting_of

from agent.evaluate.csvfile import CsvRecording
from agent.evaluate.replay import Replay
from agent.evaluate.watch import watch
from config.evaluation import Truth

PLAIN = """\
site: {id: room, name: A room, region: eu}
evaluate:
  points:
    x: {kind: temperature, unit: °C, fire: 57°C}
  reference: {points: [x]}
"""


def levels(*values: object, start: int = 0) -> str:
    return csv_of(("t_s", "x"), [(start + t, v) for t, v in enumerate(values)])


def test_fire_is_two_of_three_and_the_reference_a_median(tmp_path: Path) -> None:
    figures = one(tmp_path, levels(20, 20, 20, 58, 20, 58, 58), PLAIN, {"ignition_t_s": 2})
    assert figures["fire_t_s"] == 5.0  # 58, 20, 58
    assert figures["reference_t_s"] == 5.0
    assert figures["fire_after_s"] == 3.0
    assert figures["fire_lead_s"] == 0.0
    assert not figures["fire_missed"]


def test_a_spike_is_nothing(tmp_path: Path) -> None:
    figures = one(tmp_path, levels(*[20] * 5, 90, *[20] * 5), PLAIN, {"ignition_t_s": None})
    assert figures["counts"] == {}
    assert figures["reference_false"] == 0


def test_a_miss_counts_as_the_end(tmp_path: Path) -> None:
    site = PLAIN.replace("reference: {points: [x]}", "reference: {level: 40°C, points: [x]}")
    figures = one(tmp_path, levels(20, 20, 20, 45, 45, 45, 45), site, {"ignition_t_s": 1})
    assert figures["reference_t_s"] == 4.0
    assert figures["fire_missed"]
    assert figures["fire_after_s"] == 5.0
    assert figures["fire_lead_s"] == -2.0


def test_alarms_before_ignition_are_counted_and_taken_back(tmp_path: Path) -> None:
    text = levels(20, 60, 60, 20, 20, 20, 20, 60, 60, 60)
    figures = one(tmp_path, text, PLAIN, {"ignition_t_s": 5})
    assert figures["counts"]["before"]["fires"] == 1
    assert figures["counts"]["after"]["fires"] == 1
    assert figures["resets"] == 1
    assert not figures["alarm_stands_at_ignition"]
    assert figures["fire_t_s"] == 8.0
    # The same without ignition known: nothing is judged, and nobody resets.
    (tmp_path / "data" / "index.json").unlink()
    figures = one(tmp_path, text, PLAIN)
    assert figures["counts"] == {"unknown": {**figures["counts"]["unknown"], "fires": 1}}
    assert figures["resets"] == 0


def test_a_false_alarm_is_reset_so_that_the_next_one_counts(tmp_path: Path) -> None:
    text = levels(*([20] * 20 + [60] * 3) * 3, *[20] * 20)
    site = PLAIN + "  reset: 10s\n"
    figures = one(tmp_path, text, site, {"ignition_t_s": None})
    assert figures["counts"]["before"]["fires"] == 3
    assert figures["resets"] == 3
    assert figures["truth"] == "fire-free"
    assert figures["fire_free_point_days"] == pytest.approx(88 / 86400, abs=1e-8)
    assert figures["reference_false"] == 3
    figures = one(tmp_path, text, PLAIN + "  reset: never\n", {"ignition_t_s": None})
    assert figures["counts"]["before"]["fires"] == 1


def test_a_gap_is_a_fault_and_not_fire_free_time(tmp_path: Path) -> None:
    rows = [(t, 20) for t in [*range(10), *range(5000, 5010)]]
    figures = one(tmp_path, csv_of(("t_s", "x"), rows), PLAIN, {"ignition_t_s": None})
    assert figures["counts"]["before"]["faults"] == 1
    (mark,) = figures["marks"]
    assert mark["what"] == "fault"
    assert 9 + 3 <= mark["t_s"] <= 9 + 3 + 2
    assert figures["fire_free_point_days"] == pytest.approx((9 + 3 + 9) / 86400, abs=1e-8)


def test_an_empty_cell_says_nothing_and_nan_is_bad(tmp_path: Path) -> None:
    figures = one(tmp_path, levels(20, "", "nan", 20, "NA", 20, ""), PLAIN)
    assert (figures["samples"], figures["samples_bad"], figures["rows"]) == (5, 2, 7)
    silent = one(tmp_path, levels(*[20] * 5, *[""] * 10), PLAIN)
    assert [m["what"] for m in silent["marks"]] == ["fault"]


def test_sensors_that_report_in_turn_are_not_stale(tmp_path: Path) -> None:
    """Rows every second, each with one of ten sensors: each is heard every ten seconds."""
    columns = [f"ceiling_{k}" for k in range(10)]
    rows = [(t, *(21 if t % 10 == k else "" for k in range(10))) for t in range(200)]
    figures = one(tmp_path, csv_of(("t_s", *columns), rows), SITE, {"ignition_t_s": None})
    assert figures["counts"] == {}
    gone = [(t, *(21 if t % 10 == k and (t < 100 or k < 5) else "" for k in range(10)))
            for t in range(200)]  # fmt: skip
    figures = one(tmp_path, csv_of(("t_s", *columns), gone), SITE, {"ignition_t_s": None})
    assert figures["counts"]["before"]["faults"] >= 1


def test_stamps_that_repeat_or_go_back_are_taken_and_counted(tmp_path: Path) -> None:
    rows = [(0, 20), (1, 20), (1, 90), (0.5, 90), (2, 20), (3, 60), (3, 60), (4, 60)]
    figures = one(tmp_path, csv_of(("t_s", "x"), rows), PLAIN)
    assert figures["fire_t_s"] == 4.0
    assert figures["rows_not_later"] == 1  # those of an equal stamp are one cycle


@pytest.mark.parametrize(
    "stamps",
    [
        ("2026-03-01 00:00:00", "2026-03-01 00:00:10", "2026-03-01 00:00:20"),
        ("2026-03-01T00:00:00Z", "2026-03-01T01:00:10+01:00", "2026-03-01T00:00:20Z"),
        ("1772323200", "1772323210", "1772323220"),
        ("1772323200000", "1772323210000", "1772323220000"),
    ],
)
def test_points_in_time(tmp_path: Path, stamps: tuple[str, ...]) -> None:
    text = csv_of(("timestamp", "x"), list(zip(stamps, (20, 60, 60), strict=True)))
    figures = one(tmp_path, text, PLAIN)
    assert figures["start"] == "2026-03-01T00:00:00"
    assert figures["fire_t_s"] == 20.0
    assert figures["interval_s"] == 10.0


def test_units_scale_and_contacts(tmp_path: Path) -> None:
    site = """\
site: {id: room, name: A room, region: eu}
evaluate:
  points:
    raw: {kind: temperature, unit: °C, fire: 57°C, scale: 0.1}
    hot: {kind: temperature, unit: °F, fire: 57°C}
    button: {kind: manual, active: 1}
  reference: {level: 57°C, points: [hot]}
"""
    rows = [(t, 580 if t >= 4 else 200, 140 if t >= 6 else 70, int(t >= 8)) for t in range(12)]
    figures = one(tmp_path, csv_of(("t_s", "raw", "hot", "button"), rows), site)
    fires = {m["name"]: m["t_s"] for m in figures["marks"] if m["what"] == "fire"}
    assert fires == {"raw": 5.0, "hot": 7.0, "button": 8.0}
    assert figures["reference_t_s"] == 7.0


def test_a_zone_speaks_for_its_points(tmp_path: Path) -> None:
    site = PLAIN.replace("    x:", '    "x*":').replace("[x]", '["x*"]')
    site += '  zones: {both: {points: ["x*"], alarm: 2 of n}}\n'
    rows = [(t, 60 if t >= 3 else 20, 60 if t >= 8 else 20) for t in range(12)]
    figures = one(tmp_path, csv_of(("t_s", "x1", "x2"), rows), site)
    assert figures["prealarm_t_s"] == 4.0  # one of two is a first knock
    assert figures["fire_t_s"] == 9.0
    assert figures["reference_t_s"] == 4.0


def test_a_label_can_be_the_reference(tmp_path: Path) -> None:
    site = PLAIN.replace("{points: [x]}", "{column: seen}")
    rows = [(t, 60 if t >= 3 else 20, int(t >= 7)) for t in range(12)]
    figures = one(tmp_path, csv_of(("t_s", "x", "seen"), rows), site)
    assert figures["points"] == 1
    assert figures["reference_t_s"] == 7.0
    assert figures["fire_lead_s"] == 3.0


def test_a_channel_that_never_was_below_is_no_reference(tmp_path: Path) -> None:
    figures = one(tmp_path, levels(*[1260.5] * 9), PLAIN, {"ignition_t_s": 4})
    assert figures["reference_t_s"] is None


def test_the_points_of_a_whole_site(tmp_path: Path) -> None:
    """Columns called like points need no section; others are mapped to a point with same_as."""
    demo = (Path(__file__).parents[2] / "config" / "examples" / "demo.yaml").read_text("utf-8")
    rows = [(t, 20 + max(0, t - 5), 20) for t in range(60)]
    text = csv_of(("t_s", "room_a.ceiling", "room_b.ceiling"), rows)
    figures = one(tmp_path, text, demo)
    assert figures["points"] == 2
    assert not any(m["what"] == "fault" for m in figures["marks"])
    assert figures["fire_t_s"] is not None
    assert any(m["of"] == "zone" and m["name"] == "shop_floor" for m in figures["marks"])
    mapped = demo + "evaluate: {points: {T1: {same_as: room_a.ceiling}}}\n"
    again = one(tmp_path, text.replace("room_a.ceiling", "T1"), mapped)
    assert again["fire_t_s"] == figures["fire_t_s"]
    assert any(m["of"] == "zone" and m["name"] == "shop_floor" for m in again["marks"])


def test_a_recording_of_thirty_columns_is_fast(tmp_path: Path) -> None:
    """1,000 s of 30 columns shall take about a second in all; the replay a fraction of it."""
    columns = [f"ceiling_{k}" for k in range(30)]
    noise = np.random.default_rng(1).normal(22, 0.2, (1000, 30)).round(2)
    path = tmp_path / "a.csv"
    path.write_text(csv_of(("t_s", *columns), [(t, *row) for t, row in enumerate(noise)]))
    source = CsvRecording(path, path.name)
    watched = watch(setting_of(tmp_path), source)
    cycles: list[int] = []
    done = Replay(watched, source, Truth("", "x", None), None, KERNEL).run(cycles.append)
    assert (done.rows, done.samples, len(cycles)) == (1000, 30_000, 1000)
    assert done.series is not None
    assert len(done.series.ns) <= 300  # a plot does not grow with the recording
    assert done.counts["before", "fire", "point"] == 0


def test_noise_gaps_and_stamps_cost_one_valid_sample(tmp_path: Path) -> None:
    """5 % NaN, gaps, duplicate and backward stamps: the fire is at most one valid sample later."""
    rng = np.random.default_rng(7)
    rows: list[tuple[object, ...]] = []
    for t in range(-50, 200):
        value = 20.0 if t < 100 else 70.0
        if rng.random() < 0.05:
            rows.append((t, "nan", "nan"))
        elif rng.random() < 0.05:
            continue
        else:
            rows.append((t, value, value))
        if rng.random() < 0.05:
            rows.append((t - int(rng.integers(0, 3)), 20.0, 20.0))
    text = csv_of(("t_s", "ceiling_a", "ceiling_b"), rows)
    valid = [float(str(r[0])) for r in rows if r[1] == 70.0]
    figures = one(tmp_path, text, SITE, {"ignition_t_s": 100})
    assert figures["counts"].get("before") is None
    assert figures["fire_t_s"] in valid[1:3]


def test_a_growing_fire_is_seen_before_the_reference(tmp_path: Path) -> None:
    figures = one(tmp_path, ramp(60, start=-60), SITE, {"ignition_t_s": 0})
    assert figures["prealarm_lead_s"] >= 9
    assert figures["reference_t_s"] == 38.0  # 57 °C at 37 s, behind a median of three
    assert figures["prealarm_t_s"] <= figures["fire_t_s"] <= figures["reference_t_s"]
