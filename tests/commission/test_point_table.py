"""Point tables from the installer's spreadsheet to a site that `check` accepts, and back."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from openpyxl import Workbook, load_workbook
from typer.testing import CliRunner

from agent.cli import check, table
from agent.commission.lines import ToolError
from agent.commission.point_table import Target, fragment
from agent.commission.tables import read_table, write_table
from config.loader import load
from config.problems import EXIT_CONFIG, Problems

HEAD = """\
site: {id: a, name: A}
links:
  loop: {kind: tcp, host: 127.0.0.1}
"""
TAIL = """\
sirens: {bell: {device: relays, coil: 0}}
effects: [{when: {device: panel, state: fire}, sound: [bell]}]
"""
RELAYS = "  relays: {link: loop, unit: 9, profile: relay-8}\n"
TABLE = [
    ["序号", "名称", "防火分区", "地址", "类型"],
    ["1", "大堂 烟感", "一层", "1-1", "点型光电感烟火灾探测器"],
    ["2", "大堂 烟感", "一层", "1-002", "点型光电感烟火灾探测器"],
    ["3", "手报(3层)", "三层", "L1M7", "手动火灾报警按钮"],
    ["4", "no", "三层", "2-159", ""],
    ["5", "", "", "l10m159", ""],
]


def run(*args: str) -> tuple[int, str]:
    app = typer.Typer()
    table.register(app)
    check.register(app)
    result = CliRunner().invoke(app, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def imported(file: Path, *extra: str) -> str:
    status, text = run("table", "import", str(file), "--device", "panel", "--link", "loop",
                       "--unit", "1", *extra)  # fmt: skip
    assert status == 0, text
    return text


def site_of(part: str, folder: Path, tail: str = TAIL) -> Path:
    path = folder / "site.yaml"
    path.write_text(HEAD + part.replace("devices:\n", "devices:\n" + RELAYS) + tail, "utf-8")
    return path


def points_of(site: Path) -> list[tuple[str, str, str, str]]:
    status, text = run("check", str(site), "--json")
    assert status == 0, text
    return [(p["name"], p["register"][0], p["kind"], p["unit"]) for p in json.loads(text)["points"]]


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_a_chinese_table_becomes_a_site_and_a_table_again(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"points{suffix}"
    write_table(file, TABLE)
    site = site_of(imported(file, "--profile", "notifier-modbus-gw"), tmp_path)
    points = points_of(site)
    assert points == [
        ("panel.大堂_烟感", "holding 0", "panel_point", ""),
        ("panel.大堂_烟感_2", "holding 1", "panel_point", ""),
        ("panel.手报_3层", "holding 206", "panel_point", ""),
        ("panel.no", "holding 558", "panel_point", ""),
        ("panel.point_5", "holding 3958", "panel_point", ""),
    ]
    again = tmp_path / f"again{suffix}"
    status, text = run("table", "export", str(site), str(again))
    assert status == 0, text
    rows = read_table(again)
    assert rows[0] == ["number", "name", "zone", "address", "kind", "device"]
    assert rows[3] == ["3", "手报_3层", "三层", "l1m7", "panel_point", "panel"]
    second = site_of(imported(again, "--profile", "notifier-modbus-gw"), tmp_path)
    assert points_of(second) == points
    third = tmp_path / f"third{suffix}"
    assert run("table", "export", str(second), str(third))[0] == 0
    assert read_table(third) == rows


def test_registers_with_the_keys_that_they_need(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    write_table(file, [
        ["name", "zone", "address", "kind", "type", "scale", "unit", "class", "span", "low",
         "cases"],
        ["锅炉房", "B1", "30001", "感温探测器", "int16", "0.1", "°C", "B", "", "", ""],
        ["消防水箱", "", "input 5", "水压", "uint16", "0.001", "kPa", "", "[0kPa, 1600kPa]",
         "150kPa", ""],
        ["门", "", "holding 9", "state_word", "uint16", "", "", "", "", "",
         "[{bit: 1, state: [fire, test]}]"],
    ])  # fmt: skip
    site = site_of(imported(file), tmp_path)
    points = points_of(site)
    assert [p[1:] for p in points] == [
        ("input 0", "heat", "°C"), ("input 5", "water_pressure", "kPa"),
        ("holding 9", "state_word", ""),
    ]  # fmt: skip
    again = tmp_path / "again.csv"
    assert run("table", "export", str(site), str(again))[0] == 0
    assert points_of(site_of(imported(again), tmp_path)) == points


def test_gb18030_and_semicolons(tmp_path: Path) -> None:
    file = tmp_path / "points.csv"
    file.write_bytes("名称;地址;类型;unit;type\n水压;40001;水压;kPa;uint16\n".encode("gb18030"))
    assert '"水压": {register: "40001"' in imported(file)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([["name", "zone"], ["a", "b"]], "missing: address"),
        ([["name", "address", "colour"], ["a", "1"]], "'colour' is neither"),
        ([["name", "名称", "address"]], "two columns mean 'name'"),
        ([["name", "address"], ["a", "9-999"]], "row 2: the address '9-999' is neither"),
        ([["name", "address", "kind"], ["a", "30001", "wizard"]], "the kind 'wizard'"),
        ([["name", "address", "kind", "cases"], ["a", "30001", "heat", "[{"]],
         "cannot be the value"),
        ([["name", "address", "device"], ["a", "30001", "other"]], "no row for device 'panel'"),
    ],
)  # fmt: skip
def test_problems_name_their_row(tmp_path: Path, rows: list[list[str]], said: str) -> None:
    file = tmp_path / "points.csv"
    write_table(file, rows)
    status, text = run("table", "import", str(file), "--device", "panel", "--link", "loop",
                       "--unit", "1", "--profile", "notifier-modbus-gw")  # fmt: skip
    assert status == 1
    assert said in text
    assert text.startswith(str(file))


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    for name, data in (("a.xlsx", b"PK\x03\x04no"), ("b.xlsx", b""), ("c.txt", b"a"),
                       ("d.csv", b"\xff\xff\xff")):  # fmt: skip
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ToolError):
            read_table(tmp_path / name)
    with pytest.raises(ToolError, match="cannot be read"):
        read_table(tmp_path / "none.csv")
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("xl/workbook.xml", b" " * 200_000_000)
    (tmp_path / "bomb.xlsx").write_bytes(bomb.getvalue())
    with pytest.raises(ToolError, match="unpacks to more"):
        read_table(tmp_path / "bomb.xlsx")


def test_no_text_becomes_a_formula(tmp_path: Path) -> None:
    file = tmp_path / "x.xlsx"
    write_table(file, [["name"], ["=1+1"]])
    sheet = load_workbook(file).worksheets[0]
    assert sheet["A2"].data_type == "s"
    assert read_table(file) == [["name"], ["=1+1"]]
    book = Workbook()
    assert book.active is not None
    book.active.append([1.0, None, 2.5])
    book.save(tmp_path / "n.xlsx")
    assert read_table(tmp_path / "n.xlsx") == [["1", "", "2.5"]]
    with pytest.raises(ToolError, match="not touched"):
        write_table(file, [["name"]])


def test_export_of_a_broken_site(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("site: {id: a}\n")
    status, text = run("table", "export", str(site), str(tmp_path / "x.csv"))
    assert (status, "site.yaml" in text) == (EXIT_CONFIG, True)


def test_from_needs_a_profile(tmp_path: Path) -> None:
    site = site_of('devices:\n  panel: {link: loop, unit: 1, poll: 1s, points: {a: {from: x}}}\n',
                   tmp_path)  # fmt: skip
    status, text = run("check", str(site))
    assert (status, "'from' takes a point of a profile" in text) == (EXIT_CONFIG, True)


@given(st.lists(st.tuples(st.text(max_size=80), st.text(max_size=20)), min_size=1, max_size=20))
def test_any_texts_give_yaml_or_one_error(cells: list[tuple[str, str]]) -> None:
    rows = [["name", "zone", "address", "kind", "unit", "type"]]
    rows += [[name, zone, f"input {k}", "measure", "1", "uint16"]
             for k, (name, zone) in enumerate(cells)]  # fmt: skip
    problems = Problems()
    text = fragment(rows, Target("panel", "loop", 1, "1s"))
    document = load(text.encode(), "x", problems)
    assert document is not None, [p.text() for p in problems.found]
