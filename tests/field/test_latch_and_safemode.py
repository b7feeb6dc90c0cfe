"""The siren latch and the crash count."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.field import safemode
from agent.field.latch import Latch
from config.limits import SAFE_MODE_CRASHES, SAFE_MODE_WINDOW_NS, S

BOOT, DIGEST = b"b" * 16, b"d" * 32


def test_latch_holds_what_was_ordered(tmp_path: Path) -> None:
    latch = Latch(tmp_path / "latch.cbor", BOOT, DIGEST)
    latch.write({"stair_a": "evacuate"})
    assert latch.read() == {"stair_a": "evacuate"}
    latch.write({})
    assert latch.read() == {}


@pytest.mark.parametrize(("boot", "digest"), [(b"x" * 16, DIGEST), (BOOT, b"x" * 32)])
def test_latch_of_another_boot_or_plan_does_not_count(
    tmp_path: Path, boot: bytes, digest: bytes
) -> None:
    Latch(tmp_path / "latch.cbor", BOOT, DIGEST).write({"stair_a": "evacuate"})
    assert Latch(tmp_path / "latch.cbor", boot, digest).read() == {}


@given(st.binary(max_size=200))
def test_any_bytes_are_a_latch_or_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("latch") / "latch.cbor"
    path.write_bytes(data)
    assert Latch(path, BOOT, DIGEST).read() == {}


def test_three_crashes_in_a_minute_are_safe_mode(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    starts = [safemode.note_start(path, n * S) for n in range(SAFE_MODE_CRASHES + 1)]
    assert starts == [False] * SAFE_MODE_CRASHES + [True]


def test_clean_stops_and_old_crashes_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "starts"
    for n in range(10):
        assert not safemode.note_start(path, n * S)
        safemode.note_clean_stop(path, n * S)
    for n in range(10):
        assert not safemode.note_start(path, 100 * S + n * (SAFE_MODE_WINDOW_NS // 2))
