"""Dialects and their patterns: every one loads, and no pattern can take long."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.dialects import dialect_names, load_dialect, rules_for
from config.limits import PANEL_RECORD_BYTES_MAX
from config.patterns import fault_of
from config.problems import Problems
from config.profiles import profile_names
from config.words import Flag, PanelAction


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
