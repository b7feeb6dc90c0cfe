"""The command as a user has it: reports, sweeps, what-if, the gateway's own record, goals."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from recordings import SITE, cli, ramp

from agent.evaluate import phrases
from agent.record import store
from agent.uplink.batch import Batch, Codec, seal
from agent.uplink.columns import PollSamples, encode_columns
from agent.uplink.cose import Signer
from agent.uplink.table import Table, encode_table, split_table, table_hash
from config.limits import S

GOALS = "  goals: [{class: sofa, fire_lead: 0s, missed: 0}]\n"
EXAMPLES = Path(__file__).parents[2] / "config" / "examples" / "evaluation"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    data.mkdir()
    (data / "slow.csv").write_text(ramp(120, start=-60, step=0.6))
    (data / "fast.csv").write_text(ramp(60, step=8.0))
    (data / "quiet.csv").write_text(ramp(60, step=0.0))
    rows = [("slow.csv", "sofa", 0), ("fast.csv", "burner", 0), ("quiet.csv", "none", None)]
    index = [{"file": f, "kind": k, "ignition_t_s": t} for f, k, t in rows]
    (data / "index.json").write_text(json.dumps(index))
    (tmp_path / "site.yaml").write_text(SITE + GOALS, encoding="utf-8")
    return tmp_path


def args(folder: Path, *more: str) -> tuple[str, ...]:
    return ("--data", str(folder / "data"), "--site", str(folder / "site.yaml"), *more)


class Page(HTMLParser):
    """Tags that are opened and closed in order, and coordinates inside their drawing."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.outside: list[str] = []
        self.box = (0.0, 0.0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        if tag not in ("meta", "line", "circle"):
            self.open.append(tag)
        values = dict(attrs)
        if tag == "svg":
            self.box = tuple(float(v) for v in str(values["viewbox"]).split()[2:])  # type: ignore[assignment]  # -- two numbers
        pairs = [("cx", "cy"), ("x1", "y1"), ("x2", "y2")]
        pairs = [(x, y) for x, y in pairs if x in values] if tag != "svg" else []
        places = [f"{values[x]},{values[y]}" for x, y in pairs]
        for point in [*str(values.get("points") or "").split(), *places]:
            x, y = (float(v) for v in point.split(","))
            if not (0 <= x <= self.box[0] and 0 <= y <= self.box[1]):
                self.outside.append(point)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("meta", "line", "circle"):
            assert self.open.pop() == tag


def test_the_same_input_gives_the_same_report_to_the_byte(folder: Path) -> None:
    first, second = folder / "one", folder / "two" / "r.html"
    status, out, err = cli(*args(folder, "--report", str(first)))
    assert (status, err) == (0, "")
    assert "reached     sofa: fire lead at least 0 s in the median" in out
    assert cli(*args(folder, "--report", str(second)))[0] == 0
    assert (first / "report.html").read_bytes() == second.read_bytes()
    assert (first / "report.json").read_bytes() == second.with_suffix(".json").read_bytes()
    status, out, _ = cli(*args(folder, "--json"))
    assert out.encode() == (first / "report.json").read_bytes()


def test_another_process_gives_the_same_bytes(folder: Path) -> None:
    """Another order of hashes, another time zone and locale: the same bytes."""
    more = ("--sweep", "fire_level=55,57", "--against", str(folder / "site.yaml"))
    first, second = folder / "one", folder / "two"
    assert cli(*args(folder, "--report", str(first), *more))[0] == 0
    changed = {"PYTHONHASHSEED": "77", "TZ": "Asia/Shanghai", "LC_ALL": "C"}
    command = [sys.executable, "-m", "agent.cli.main", "evaluate"]
    subprocess.run(
        [*command, *args(folder, "--report", str(second), *more)],
        env={**os.environ, **changed}, check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    for name in ("report.html", "report.json"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_page_in_chinese(folder: Path) -> None:
    """The same figures; no phrase of ours is left in English, and each phrase can be filled."""
    out = folder / "r.html"
    more = ("--sweep", "fire_level=55,57", "--against", str(folder / "site.yaml"))
    status, told, _ = cli(*args(folder, "--report", str(out), "--lang", "zh", *more))
    assert status == 0
    assert "达到" in told
    text = out.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert (page.open, page.outside) == ([], [])
    assert '<html lang="zh">' in text
    shown = re.sub(r"<style>.*?</style>|<[^>]*>", " ", text, flags=re.DOTALL)
    assert not re.search(r"[a-z]{3,} [a-z]{3,} [a-z]{3,}", shown)
    english = folder / "e.html"
    assert cli(*args(folder, "--report", str(english), *more))[0] == 0
    figures = [re.findall(r"<td>([-+.0-9…–]+)</td>", t) for t in (text, english.read_text("utf-8"))]
    assert figures[0] == figures[1]
    for phrase, chinese in phrases.PHRASES.items():
        assert set(re.findall(r"\{\w+\}", phrase)) == set(re.findall(r"\{\w+\}", chinese)), phrase
    assert cli(*args(folder, "--lang", "xx"))[0] == 2


def test_sweeps_of_the_site_file(folder: Path) -> None:
    site = folder / "site.yaml"
    sweeps = '  sweeps: [{prealarm_level: "30,50", fire_level: "54:57:3"}, {trend_rise: "2"}]\n'
    site.write_text(SITE + sweeps, encoding="utf-8")
    document = json.loads(cli(*args(folder, "--json", "--sweep", "fire_level=57"))[1])
    grid, one, given = document["sweeps"]
    assert grid["parameters"] == ["prealarm_level", "fire_level"]
    assert [r["values"] for r in grid["rows"]] == [[30, 54], [30, 57], [50, 54], [50, 57]]
    assert (len(one["rows"]), given["parameters"]) == (1, ["fire_level"])
    site.write_text(SITE + "  sweeps: [{fire_levl: 3, trend_rise: x}, {}]\n", encoding="utf-8")
    status, _, err = cli(*args(folder))
    assert status == 78
    assert "unknown key 'fire_levl'" in err
    assert "evaluate.sweeps[0].trend_rise: expected values like 50,54,57 or 50:60:2" in err
    assert "evaluate.sweeps[1]: expected a map" in err


def test_the_page_needs_nothing_else(folder: Path) -> None:
    out = folder / "r.html"
    cli(*args(folder, "--report", str(out), "--sweep", "fire_level=55,57"))
    text = out.read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert page.open == []
    assert page.outside == []
    assert "script" not in page.tags
    assert "svg" in page.tags
    assert not re.search(r"https?:|src=|@import|url\(", text)
    assert text.count("<svg") == 7  # three courses, leads, times of classes, two of the sweep


def test_figures_of_the_report(folder: Path) -> None:
    document = json.loads(cli(*args(folder, "--json"))[1])
    assert [r["name"] for r in document["recordings"]] == ["fast.csv", "quiet.csv", "slow.csv"]
    classes = document["classes"]
    assert set(classes) == {"sofa", "burner", "none", "(all)"}
    assert classes["none"]["false_fires"] == 0
    assert classes["none"]["fire_free_point_days"] == pytest.approx(2 * 69 / 86400, abs=1e-8)
    assert classes["sofa"]["prealarm_lead_s"]["median"] > 10
    assert classes["burner"]["fire_lead_s"]["least"] >= 0
    assert classes["(all)"]["fire_missed"] == 0
    assert all(g["reached"] for g in document["goals"])


def test_a_sweep_moves_what_it_should(folder: Path) -> None:
    document = json.loads(cli(*args(folder, "--json", "--sweep", "prealarm_level=30:50:10"))[1])
    (sweep,) = document["sweeps"]
    assert sweep["parameters"] == ["prealarm_level"]
    leads = [r["classes"]["burner"]["prealarm_lead_s"]["median"] for r in sweep["rows"]]
    assert [r["values"] for r in sweep["rows"]] == [[30], [40], [50]]
    assert leads == sorted(leads, reverse=True)
    assert leads[0] > leads[-1]


def test_what_if(folder: Path) -> None:
    other = folder / "other.yaml"
    point = "unit: °C, fire: 65°C, prealarm: 64°C}"
    other.write_text(SITE.replace("unit: °C}", point), encoding="utf-8")
    status, out, _ = cli(*args(folder, "--json", "--against", str(other)))
    document = json.loads(out)
    mine, theirs = document["classes"]["burner"], document["against"]["classes"]["burner"]
    assert theirs["prealarm_lead_s"]["median"] < mine["prealarm_lead_s"]["median"]
    assert document["against"]["site"]["file"] == "other.yaml"
    rows = document["against"]["differences"]
    assert [(r["name"], r["prealarm_earlier_s"] is None) for r in rows] == [
        ("fast.csv", False), ("quiet.csv", True), ("slow.csv", False),
    ]  # fmt: skip
    assert document["against"]["differences_of_classes"]["burner"]["prealarm_later"] == 1
    assert status == 0
    assert cli(*args(folder, "--report", str(folder / "w"), "--against", str(other)))[0] == 0
    assert "What if: other.yaml" in (folder / "w" / "report.html").read_text(encoding="utf-8")


def test_a_goal_that_is_not_reached_is_exit_1(folder: Path) -> None:
    site = folder / "site.yaml"
    site.write_text(SITE + GOALS.replace("0s", "900s"), encoding="utf-8")
    status, out, _ = cli(*args(folder))
    assert status == 1
    assert "NOT REACHED sofa: fire lead at least 900 s in the median" in out


def test_problems_of_the_site_file_come_with_their_place(folder: Path) -> None:
    site = folder / "site.yaml"
    text = SITE.replace("kind: heat", "kind: heet") + "  gaols: []\n  reset: 10\n"
    site.write_text(text, encoding="utf-8")
    status, out, err = cli(*args(folder))
    assert (status, out) == (78, "")
    assert "site.yaml:4:25  evaluate.points.ceiling_*.kind: 'heet' is not known here" in err
    assert "site.yaml:7:3  evaluate: unknown key 'gaols'" in err
    assert "site.yaml:8:10  evaluate.reset: '10' has no unit" in err
    site.write_text(SITE.replace("class: A1,", "class: A1, register: input 0,"), encoding="utf-8")
    assert "unknown key 'register'" in cli(*args(folder))[2]
    assert cli(*args(folder), "--against", str(folder / "none.yaml"))[0] == 78


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_example_can_be_read(folder: Path, path: Path) -> None:
    """Its columns are not in this folder: the file is understood, the recording is refused."""
    status, _, err = cli("--data", str(folder / "data"), "--site", str(path))
    assert status == 78
    assert err.startswith("fast.csv: row 1")


# --- the gateway's own record -----------------------------------------------------------------


def journal(folder: Path) -> None:
    """Two polls of two devices of the demo site: one rises, one stays."""
    table = Table(
        ids=(1, 2), names=("room_a.ceiling", "room_b.ceiling"), kinds=("heat", "heat"),
        units=("°C", "°C"), resolutions=(0.1, 0.1), polls={0: (1,), 1: (2,)},
    )  # fmt: skip
    encoded = encode_table(table)
    signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    steps = {0: np.array([0.1]), 1: np.array([0.1])}
    batches = [("table", Codec.TABLE_PART, split_table(encoded)[0], 0, 0)]
    for k in range(8):
        stamps = (np.arange(10, dtype=np.int64) + 10 * k + 50) * S
        rising = (20.0 + np.maximum(0, stamps / S - 80) * 1.5)[:, None]
        still = np.full((10, 1), 20.0)
        good = np.zeros((10, 1), np.uint8)
        polls = [PollSamples(0, stamps, rising, good), PollSamples(1, stamps + S // 2, still, good)]
        first, last = int(stamps[0]), int(stamps[-1]) + S // 2
        batches.append(
            ("telemetry", Codec.COLUMNS, encode_columns(polls, steps.get, first), first, last)
        )
    (folder / "record").mkdir()
    with sqlite3.connect(folder / "record" / "telemetry.db") as db:
        db.executescript(store._SCHEMA)
        for seq, (lane, codec, data, first, last) in enumerate(batches):
            batch = Batch(
                gateway="demo-building", epoch=b"epoch--1", lane=lane, seq=seq, prev=bytes(32),
                boot=bytes(range(16)), mono_first_ns=first, mono_last_ns=last,
                wall_ns=1_790_000_000 * S + last, clock=2, codec=codec, data=data,
                table=table_hash(encoded) if lane == "telemetry" else b"",
            )  # fmt: skip
            db.execute(
                "INSERT INTO batch (lane, ordinal, seq, wall, bytes) VALUES (?,0,?,0,?)",
                (lane, seq, seal(batch, signer)),
            )


def test_the_gateways_own_record_is_replayed(tmp_path: Path) -> None:
    journal(tmp_path)
    demo = EXAMPLES.parent / "demo.yaml"
    status, out, err = cli("--data", str(tmp_path), "--site", str(demo), "--json")
    assert (status, err) == (0, "")
    (figures,) = json.loads(out)["recordings"]
    assert figures["name"] == "demo-building/boot-00010203"
    assert (figures["points"], figures["rows"]) == (2, 160)
    # 20 °C + 1.5 K/s from 80 s on, that is 30 s after the first sample: 57 °C at 54.7 s.
    assert figures["reference_t_s"] == 56.0
    assert figures["fire_t_s"] <= 56.0
    assert not any(m["what"] == "fault" for m in figures["marks"])


def test_a_damaged_record_is_refused(tmp_path: Path) -> None:
    demo = EXAMPLES.parent / "demo.yaml"
    (tmp_path / "telemetry.db").write_bytes(b"SQLite format 3\0" + b"\x11" * 5000)
    status, _, err = cli("--data", str(tmp_path), "--site", str(demo))
    assert status == 78
    assert err.count("\n") == 1
