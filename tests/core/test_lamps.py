"""The truth table of lamps and tones, all of it."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.lamps import LAMPS, SOUNDS, Facts, shown
from config.rhythms import RHYTHMS, part_of, shortest_ns
from config.words import TONES, Meaning, OutputKind

# fact that stands alone -> what a lamp of each meaning shows; all others are off
TABLE = {
    "fire": {"fire": "steady"},
    "fire_unseen": {},
    "fault": {"fault": "steady"},
    "fault_unseen": {},
    "disabled": {"disabled": "steady"},
    "test": {"test": "steady"},
    "duty": {"duty": "flash"},
    "sending": {"sending": "flash"},
    "sent": {"sent": "steady"},
    "failed": {"failed": "flash"},
    "mains": {"mains": "steady"},
}


def test_every_fact_and_every_meaning_has_its_row() -> None:
    assert set(TABLE) == {f.name for f in fields(Facts)}
    assert set(LAMPS) == set(Meaning)
    assert set(SOUNDS) == set(TONES)
    assert {"tone-" + m.value for m in TONES} <= set(RHYTHMS)


@pytest.mark.parametrize("fact", TABLE)
def test_a_lamp_shows_its_own_meaning_and_no_other(fact: str) -> None:
    facts = replace(Facts(), **{fact: True})
    lit = {m.value: p for m in Meaning if (p := shown("lamp", (m.value,), facts))}
    assert lit == TABLE[fact]


def test_the_standby_lamp_is_lit_when_the_mains_are_known_to_be_gone() -> None:
    assert [shown("lamp", ("standby",), Facts(mains=m)) for m in (None, True, False)] == [
        "", "", "steady",
    ]  # fmt: skip


Somehow = st.builds(
    Facts, **{f.name: st.booleans() for f in fields(Facts) if f.name != "mains"},
    mains=st.sampled_from([None, True, False]),
)  # fmt: skip


@given(Somehow, st.lists(st.sampled_from([m.value for m in Meaning]), max_size=4))
def test_nothing_is_shown_or_sounded_without_its_cause(facts: Facts, means: list[str]) -> None:
    shows = shown(OutputKind.LAMP, means, facts)
    alone = [shown(OutputKind.LAMP, (m,), facts) for m in means]
    assert shows == next((p for p in alone if p), "")
    tone = shown(OutputKind.BUZZER, means, facts)
    causes = {
        "tone-fire": facts.fire and facts.fire_unseen and "fire" in means,
        "tone-duty": facts.duty and "duty" in means,
        "tone-fault": facts.fault and facts.fault_unseen and "fault" in means,
    }
    assert tone == next((name for name, there in causes.items() if there), "")


def test_tones_are_told_apart_and_patterns_share_their_beat() -> None:
    assert len({RHYTHMS[f"tone-{m.value}"] for m in TONES}) == 3
    for name, parts in RHYTHMS.items():
        assert len(parts) % 2 == 0
        assert part_of(name, 0)[0] is True, "a pattern begins with sound"
        assert shortest_ns(name) == min(parts, default=0)
        total = sum(parts)
        for k in range(7 if parts else 0):
            at = total * k // 7
            on, rest = part_of(name, at)
            assert part_of(name, at + total) == (on, rest)
            assert part_of(name, at + rest)[0] is not on
            assert part_of(name, at + rest - 1)[0] is on
