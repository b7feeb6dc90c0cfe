"""`make fuzz` examines every property longer, those with a number of examples of their own too."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]

_PROPERTIES = """
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

counts = {}

@pytest.mark.parametrize("case", ["x", "y"])
@settings(max_examples=2)
@given(st.integers())
def test_own(case, number):
    counts[case] = counts.get(case, 0) + 1

def test_counts():
    assert counts == {"x": EXPECTED, "y": EXPECTED}
"""


def _run(directory: Path, expected: int, *options: str) -> subprocess.CompletedProcess[str]:
    (directory / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    name = directory / "test_properties.py"
    name.write_text(_PROPERTIES.replace("EXPECTED", str(expected)))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(name), *options]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def test_own_numbers_of_examples_grow_with_the_profile(tmp_path: Path) -> None:
    longer = _run(tmp_path, 400, "--hypothesis-profile=fuzz")
    assert longer.returncode == 0, longer.stdout
