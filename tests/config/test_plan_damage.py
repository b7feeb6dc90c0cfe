"""A plan on a card that flips bits: refused, whatever the bit."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from agent.compile import plan_file
from config.plan import PlanError, decode_plan, section

EXAMPLES = Path(__file__).resolve().parents[2] / "config" / "examples"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    out = tmp_path_factory.mktemp("plan") / "plan.cbor"
    site = sorted(EXAMPLES.glob("*.yaml"))[0]
    home = out.parent / site.name
    home.write_bytes(site.read_bytes())
    assert not plan_file(home, out).problems
    return out.read_bytes()


def test_every_flipped_bit_is_noticed(data: bytes) -> None:
    decode_plan(data)
    rng = random.Random(2026)
    for _ in range(1_500):
        damaged = bytearray(data)
        damaged[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with pytest.raises(PlanError):
            decode_plan(bytes(damaged))
        with pytest.raises(PlanError):
            section(bytes(damaged), "site_id")


def test_every_truncation_is_noticed(data: bytes) -> None:
    for end in range(0, len(data), max(1, len(data) // 200)):
        with pytest.raises(PlanError):
            decode_plan(data[:end])
