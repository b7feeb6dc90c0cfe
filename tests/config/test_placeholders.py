"""Ranges with placeholders: three hundred identical detectors are one line."""

from __future__ import annotations

from pathlib import Path

from agent.compile import Checked, check_file
from config.placeholders import matches

HEAD = "site: {id: a, name: A}\nlinks: {bus: {kind: tcp, host: 127.0.0.1}}\ndevices:\n"


def checked(folder: Path, devices: str, rest: str = "") -> Checked:
    path = folder / "site.yaml"
    path.write_text(HEAD + devices + rest, encoding="utf-8")
    return check_file(path)


def test_identical_devices_and_points_are_one_line_each(tmp_path: Path) -> None:
    found = checked(
        tmp_path,
        '  gas_{1-60}: {link: bus, unit: "{101-160}", profile: sensepoint-xcl, poll: 1s, '
        "use: [monitor]}\n"
        "  panel:\n    link: bus\n    unit: 1\n    poll: 1s\n    points:\n"
        '      room{1-300}: {register: "input {0-299}", type: int16, unit: °C, kind: measure}\n',
    )
    assert found.problems == (), [p.text() for p in found.problems]
    assert found.site is not None
    devices = {d.name: d for d in found.site.devices}
    assert len(devices) == 61
    assert (devices["gas_1"].unit, devices["gas_60"].unit) == (101, 160)
    points = devices["panel"].points
    assert [(p.name, p.address) for p in (points[0], points[-1])] == [
        ("room1", 0),
        ("room300", 299),
    ]


def test_problems_of_ranges_have_their_place(tmp_path: Path) -> None:
    measure = "type: int16, unit: °C, kind: measure"
    points = f"points: {{t: {{register: input 0, {measure}}}}}"
    found = checked(
        tmp_path,
        f'  a{{1-5}}: {{link: bus, unit: "{{1-4}}", poll: 1s, {points}}}\n'
        f"  b{{3-1}}: {{link: bus, unit: 9, poll: 1s, {points}}}\n"
        f'  c{{1-3}}: {{link: bus, unit: "{{11-13}}", poll: 1s, {points}}}\n'
        f"  c2: {{link: bus, unit: 20, poll: 1s, {points}}}\n"
        f"  d{{1-2}}x{{1-2}}: {{link: bus, unit: 30, poll: 1s, {points}}}\n"
        f'  e {{1-2}}: {{link: bus, unit: "{{40-41}}", poll: 1s, {points}}}\n',
    )
    assert [(p.span.line, p.id) for p in found.problems] == [
        (4, "range.length"), (5, "range.length"), (7, "yaml.duplicate"), (8, "range.length"),
        (9, "name.form"),
    ]  # fmt: skip


def test_cross_checks_find_the_line_of_a_range(tmp_path: Path) -> None:
    points = "points: {t: {register: input 0, type: int16, unit: °C, kind: measure}}"
    found = checked(tmp_path, f"  a{{1-3}}: {{link: bus, unit: 7, poll: 1s, {points}}}\n")
    assert {(p.span.line, p.id) for p in found.problems} == {(4, "unit.twice")}


def test_matches() -> None:
    assert matches("gas_{1-60}", "gas_60")
    assert not any(matches("gas_{1-60}", n) for n in ("gas_61", "gas_01", "gas_", "gas", "x_1", ""))
    assert not matches("gas", "gas")
