"""Dialects and their patterns: every one loads, and no pattern can take long."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from agent.cli import check, profile
from agent.compile import check_file
from config.dialects import dialect_names, load_dialect, rules_for
from config.limits import PANEL_RECORD_BYTES_MAX
from config.patterns import fault_of
from config.problems import EXIT_CONFIG, Problems
from config.profiles import profile_names
from config.words import Flag, PanelAction
from drivers.panel.client import make_talk


@pytest.mark.parametrize("name", dialect_names())
def test_every_dialect_loads_and_can_tell_fire(name: str) -> None:
    problems = Problems()
    dialect = load_dialect(name, problems)
    assert dialect is not None, [p.text() for p in problems.in_order()]
    assert dialect.name == name
    assert any(r.action is PanelAction.SETS and r.flags & Flag.FIRE for r in dialect.rules)
    resets = [r for r in dialect.rules if r.reset]
    assert resets
    for rule in resets:  # a reset of the panel leaves what was taken out of service
        assert not rule.flags & (Flag.DISABLED | Flag.TEST)
    kept = [r for r in rules_for(dialect, (), "keep") if r.reset]
    assert {r.action for r in kept} == {PanelAction.NOTES}


def test_a_dialect_and_a_profile_never_share_a_name() -> None:
    assert not set(dialect_names()) & set(profile_names())


@pytest.mark.parametrize(
    "pattern",
    ["A*", "A+", "(A{1,3}){2}", "(A)+", "A{1,999}", "A{0,}", "(A)\\1", "(?=A)B", "[", "", "A?",
     "(?i)A", "A{0,60}B{0,60}C", "A" * 400],
)  # fmt: skip
def test_patterns_that_are_refused(pattern: str) -> None:
    assert fault_of(pattern) is not None


@pytest.mark.parametrize("pattern", ["[*+{]", r"\*\+\{", "(?:A|B)?C", "A{3}", "[]a]X", r"[\]*]"])
def test_patterns_that_are_good(pattern: str) -> None:
    assert fault_of(pattern) is None


pieces = st.lists(
    st.sampled_from([".", "A", "[AB]", "(", "(?:", ")", "|", "?", "{0,9}", "{1,60}", "\\d", "^",
                     "$", "*", "+", "(?!", "B"]), max_size=10,
)  # fmt: skip


@given(pieces)
@settings(max_examples=300)
def test_a_pattern_that_is_accepted_is_quick(parts: list[str]) -> None:
    pattern = "".join(parts)
    if fault_of(pattern) is not None:
        return
    compiled = re.compile(pattern, re.IGNORECASE)
    begun = time.thread_time()
    compiled.search("A" * PANEL_RECORD_BYTES_MAX)
    compiled.search("AB" * (PANEL_RECORD_BYTES_MAX // 2) + "\n")
    assert time.thread_time() - begun < 1.0


def _run(*args: str) -> tuple[int, str]:
    app = typer.Typer()
    profile.register(app)
    check.register(app)
    result = CliRunner().invoke(app, list(args))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


_SITE = """\
site: {id: demo, name: Demo}
links:
  printer: {kind: serial, port: /dev/ttyUSB1, baud: 9600, parity: none}
  riser: {kind: rs485, port: /dev/ttyUSB0, baud: 9600, parity: none}
devices:
  tower: {link: printer, panel: ./our-panel.yaml}
  relays: {link: riser, unit: 9, profile: relay-8}
sirens: {bell: {device: relays, coil: 0}}
effects: [{when: {device: tower, state: fire}, sound: [bell]}]
"""


def test_a_dialect_of_the_installers_own_beside_the_site_file(tmp_path: Path) -> None:
    file, site = tmp_path / "our-panel.yaml", tmp_path / "site.yaml"
    status, text = _run("profile", "new", str(file), "--panel")
    assert status == 0, text
    assert "panel: ./our-panel.yaml" in text
    status, text = _run("profile", "test", str(file))
    assert status == 0, text
    assert "4 examples; all as expected" in text
    site.write_text(_SITE)
    checked = check_file(site)
    assert checked.plan is not None, [p.text() for p in checked.problems]
    (panel,) = checked.plan.panels
    assert (panel.dialect, panel.encoding) == ("./our-panel.yaml", "gb18030")
    heard = make_talk(panel).receive("首次火警 004-017\n".encode("gb18030"), 0)
    (said,) = heard.said
    assert (said.flags, said.address) == (Flag.FIRE, "004-017")
    # A rule that swallows its own end is found by the examples, another file by its digest.
    digest = checked.plan.digest
    rule = "  - {when: [火警恢复, FIRE CLEARED], clears: [fire]}\n"
    file.write_text(file.read_text().replace(rule, ""))
    other = check_file(site).plan
    assert other is not None
    assert other.digest != digest
    status, text = _run("profile", "test", str(file))
    assert status == 1
    assert "'火警恢复 004-017': expected clears fire at '004-017', found sets fire" in text
    file.write_text(file.read_text().replace("does: silences}", "does: resets}"))
    status, text = _run("check", str(site))
    assert status == EXIT_CONFIG
    assert "./our-panel.yaml:" in text
    site.write_text(_SITE.replace("./our-panel", "../our-panel"))
    assert _run("check", str(site))[0] == EXIT_CONFIG
    site.write_text(_SITE.replace("./our-panel", "./no-panel"))
    status, text = _run("check", str(site))
    assert (status, "there is no file './no-panel.yaml'" in text) == (EXIT_CONFIG, True)
