"""`embergate effects`: every row is printed, in both languages, and as a file for a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from agent.cli import effects
from agent.cli.effects_status import effects_lines
from agent.compile import check_file
from config.limits import S
from config.plan import OFF_CAUSE, OFF_RESET, OFF_SILENCE
from config.problems import EXIT_CONFIG
from config.words import Flag

SITES = Path(__file__).parents[1] / "sites"
MATRIX = SITES / "good_matrix" / "site.yaml"
FIRE = int(Flag.FIRE)


def run(*args: str) -> tuple[int, str]:
    app = typer.Typer()
    effects.register(app)
    result = CliRunner().invoke(app, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_csv_says_what_each_row_does(lang: str) -> None:
    status, text = run(str(MATRIX), "--csv", "--lang", lang)
    assert status == 0
    title, heads, *rows = list(csv.reader(io.StringIO(text)))
    assert "demo" in title[0]
    assert heads[2:6] == ["stair_a", "stair_b", "porter", "beacon"]
    assert all(len(row) == len(heads) for row in rows)
    assert [row[0] for row in rows] == ["1", "2", "3", "4", "5", "6", "7", "", ""]
    english = {
        3: ["3", "device panel: fire", "", "evacuate", "", "", "at once", "until reset", "reset",
            "nothing", "waits", "as written", ""],
        1: ["1", "zone hall: fire", "alert", "", "", "", "at once", "no", "silence, cause",
            "pulse", "acts", "two devices", ""],
        7: ["7", "zone hall: disabled", "", "", "", "on", "at once", "no", "cause", "nothing",
            "waits", "as written", "Hall is not watched"],
    }  # fmt: skip
    for number, row in english.items():
        if lang == "en":
            assert rows[number - 1] == row
        else:
            assert rows[number - 1][1] != row[1]
            assert rows[number - 1][1].isprintable()
    general = rows[-2][2:6]
    assert all(general[:3])
    assert not general[3]


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_table_has_every_cause_and_siren(lang: str) -> None:
    status, text = run(str(MATRIX), "--lang", lang)
    assert status == 0
    for word in ("stair_a", "porter", "Hall", "30s", "3min"):
        assert word in text
    assert len(text.splitlines()) > 10


def test_as_json_and_with_problems() -> None:
    status, text = run(str(MATRIX), "--json")
    body = json.loads(text)
    assert status == 0
    assert body["rows"][3]["off_by"] == ["silence", "reset"]
    assert body["rows"][0]["two_devices"]
    assert not body["rows"][2]["two_devices"]
    status, text = run(str(SITES / "bad_matrix" / "site.yaml"), "--json")
    assert status == EXIT_CONFIG
    assert len(json.loads(text)["problems"]) >= 10
    status, text = run(str(SITES / "bad_matrix" / "site.yaml"), "--lang", "zh")
    assert status == EXIT_CONFIG
    assert "手动报警按钮" in text


def test_what_stands_is_said_in_a_status() -> None:
    nothing: dict[str, object] = {"general": "", "messages": [], "delays": []}
    assert effects_lines(nothing) == []
    row = {"row": 3, "name": "zone hall fire"}
    much = {
        "general": "guard",
        "messages": [{**row, "text": "call the caretaker"}],
        "delays": [{**row, "left_s": 12.5}],
    }
    english, chinese = effects_lines(much), effects_lines(much, "zh")
    assert english == [
        "GENERAL ALARM: ordered by the guard",
        "message: call the caretaker (zone hall fire)",
        "row 3 acts in 12.5 s (zone hall fire)",
    ]
    assert len(chinese) == 3
    assert "12.5" in chinese[2]


def test_a_name_is_no_formula(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(MATRIX.read_text().replace("Hall is not watched", '"=1+1"'))
    _, text = run(str(site), "--csv")
    assert "'=1+1" in text


def test_the_plan_of_each_row() -> None:
    plan = check_file(MATRIX).plan
    assert plan is not None
    zone, manual, panel, tells, counts, both, quiet = plan.effects
    assert (zone.cause, zone.ref, zone.region, zone.in_test) == ("zone", 0, "cn", "pulse")
    assert manual.terms == ("kind", "manual", FIRE, -1)
    assert manual.region == "cn"
    assert (panel.region, panel.off) == ("", OFF_RESET)
    assert tells.after_ns == 30 * S
    assert tells.off == OFF_SILENCE | OFF_RESET
    assert tells.terms[:2] == ("of", 1)
    assert tells.terms[2][0][0] == "address"
    assert tells.terms[2][0][3] == "L1 *"
    assert counts.terms[1] == 2
    assert len(counts.terms[2]) == 5, "each of four points, and the zone"
    assert counts.region == "", "what counts itself says its own rule"
    assert both.investigation == "acts"
    assert both.terms[1] == 2
    assert quiet.off == OFF_CAUSE
    assert (quiet.outputs, quiet.switches, quiet.message) == ((), (3,), "Hall is not watched")


INPUT_ROW = "\n  - {when: {input: %s, state: %s}, switch: [hooter_lamp], message: mains}\n"


def with_row(tmp_path: Path, name: str, state: str) -> Path:
    """A site with keys and supervision, and one row more."""
    text = (SITES / "good_signals" / "site.yaml").read_text(encoding="utf-8").rstrip()
    made = tmp_path / "site.yaml"
    made.write_text(text + INPUT_ROW % (name, state), encoding="utf-8")
    return made


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "input mains: fault"), ("zh", "输入 mains: 故障")]
)
def test_a_row_of_an_input_of_the_gateway_is_compiled_and_printed(
    tmp_path: Path, lang: str, words: str
) -> None:
    made = with_row(tmp_path, "mains", "fault")
    checked = check_file(made)
    assert checked.plan is not None, checked.problems
    row = checked.plan.effects[-1]
    names = [item.name for item in checked.plan.inputs]
    assert row.terms == ("input", names.index("mains"), int(Flag.FAULT), "")
    status, text = run(str(made), "--csv", "--lang", lang)
    assert status == 0
    assert words in text


@pytest.mark.parametrize(
    ("name", "state", "code"),
    [("mians", "fault", "ref.unknown"), ("mains", "fire", "effect.never"),
     ("mains", "disabled", "effect.never")],
)  # fmt: skip
def test_an_input_that_is_not_there_or_never_so_is_a_problem(
    tmp_path: Path, name: str, state: str, code: str
) -> None:
    checked = check_file(with_row(tmp_path, name, state))
    assert checked.plan is None
    (problem,) = checked.problems
    assert problem.id == code
    assert problem.span.line > 30
