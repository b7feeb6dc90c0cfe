"""Figures of classes and goals, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from agent.evaluate import run, score
from config.evaluation import Goal


def row(name: str, growth: str, **more: Any) -> dict[str, Any]:
    base: dict[str, Any] = {
        "name": name, "class": growth, "truth": "fire", "counts": {}, "reference_false": 0,
        "fire_free_point_days": 0.5,
    }  # fmt: skip
    for what in ("prealarm", "fire", "reference"):
        base |= {f"{what}_after_s": 10.0, f"{what}_missed": False, f"{what}_lead_s": 0.0}
    return {**base, **more}


def test_percentiles_are_linear() -> None:
    assert score.percentile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert score.percentile([1.0, 2.0, 4.0], 0.9) == pytest.approx(3.6)
    assert score.percentile([3.0], 0.9) == 3.0
    assert score.spread([]) is None


def test_classes_and_all_of_them() -> None:
    rows = [
        row("a", "sofa", fire_after_s=30.0, fire_lead_s=5.0),
        row("b", "sofa", fire_after_s=50.0, fire_missed=True, fire_lead_s=-20.0),
        row("c", "gas", counts={"before": {"fires": 2, "prealarms": 1, "faults": 3}}),
    ]
    classes = score.classes_of(rows)
    assert list(classes) == ["gas", "sofa", "(all)"]
    assert classes["sofa"]["fire_missed"] == 1
    assert classes["sofa"]["fire_after_s"]["median"] == 40.0
    assert classes["sofa"]["fire_after_s"]["p90"] == 48.0
    assert classes["sofa"]["fire_lead_s"]["least"] == -20.0
    assert classes["gas"]["false_fires_per_point_day"] == 4.0
    assert classes["gas"]["before_ignition"] == 3
    assert classes["(all)"]["faults"] == 3


def test_goals() -> None:
    rows = [
        row("a", "sofa", fire_lead_s=5.0),
        row("b", "sofa", fire_lead_s=-20.0, fire_missed=True),
        row("c", "gas"),
    ]
    goals = [
        Goal("sofa", (("fire_lead", -7.5), ("fire_lead_each", 0.0))),
        Goal("sofa", (("fire_lead_each", 5.0),), ("b",)),
        Goal("*", (("missed", 0.0), ("before_ignition", 0.0))),
        Goal("boat", (("fire_lead", 1.0),)),
    ]
    judged = score.judge(goals, rows)
    assert [(g["found"], g["reached"], g["worst"]) for g in judged] == [
        (-7.5, True, ""),
        (-20.0, False, "b"),
        (5.0, True, "a"),
        (1.0, False, "b"),
        (0.0, True, ""),
        (None, False, ""),  # a goal of recordings that are not there is not reached
    ]
    assert judged[2]["spared"] == ["b"]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("fire_level=50,54,57", (50.0, 54.0, 57.0)),
        ("trend_rise=5:20:5", (5.0, 10.0, 15.0, 20.0)),
        ("trend_slope_per_s=0.1:0.3:0.1", (0.1, 0.2, 0.3)),
    ],
)
def test_sweeps_are_read(text: str, values: tuple[float, ...]) -> None:
    assert run.parse_sweep(text).values == values


@pytest.mark.parametrize(
    "text",
    ["fire=50", "fire_level", "fire_level=", "fire_level=a", "fire_level=1:2:0",
     "fire_level=2:1:1", "fire_level=nan", "fire_level=0:1000:1", "fire_level=1:inf:1"],
)  # fmt: skip
def test_bad_sweeps_are_refused(text: str) -> None:
    with pytest.raises(run.BadSweep, match=r"^--sweep "):
        run.parse_sweep(text)
