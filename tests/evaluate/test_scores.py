"""Figures of classes and goals, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from agent.evaluate import compare, score, spread
from agent.evaluate.sweeps import BadSweep, parse_sweep
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
    assert spread.percentile([1.0, 2.0, 4.0], 0.5) == 2.0
    assert spread.percentile([1.0, 2.0, 4.0], 0.9) == pytest.approx(3.6)
    assert spread.percentile([3.0], 0.9) == 3.0
    assert spread.spread([]) is None


def test_intervals_hold_what_they_should() -> None:
    values = [float(v) for v in range(1, 42)]
    found = spread.spread(values)
    assert found is not None
    low, high = found["median_95"]
    assert 12 <= low < 21 < high <= 30  # the binomial interval of the median of 41: 14 and 28
    assert found == spread.spread(list(reversed(values)))
    assert spread.spread([4.0]) == {
        "median": 4.0, "p10": 4.0, "p90": 4.0, "least": 4.0, "greatest": 4.0, "median_95": None,
        "p90_95": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(0, 0.0, 3.689), (1, 0.0253, 5.572), (10, 4.795, 18.39), (400, 361.75, 441.2)],
)
def test_rare_counts_have_exact_intervals(count: int, low: float, high: float) -> None:
    """The customary table of Poisson limits (Garwood)."""
    found = spread.rate_95(count, 2.0)
    assert found is not None
    assert found == pytest.approx([low / 2, high / 2], rel=2e-3)
    assert spread.rate_95(count, 0.0) is None


def test_differences_of_two_site_files() -> None:
    def found(name: str, fire: float | None, faults: int = 0) -> dict[str, Any]:
        more = {"fire_t_s": fire, "prealarm_t_s": 5.0, "last_t_s": 100.0}
        return row(name, "sofa", **more, counts={"before": {"fires": 1, "faults": faults}})

    rows = compare.differences(
        [found("a", 50.0), found("b", None, 2), found("c", None)],
        [found("a", 42.0), found("b", 90.0), found("c", None)],
    )
    assert [r["fire_earlier_s"] for r in rows] == [8.0, 10.0, None]
    assert [r["more_faults"] for r in rows] == [0, -2, 0]
    of_all = compare.differences_of_classes(rows)
    assert list(of_all) == ["sofa"]
    assert (of_all["sofa"]["fire_earlier"], of_all["sofa"]["prealarm_later"]) == (2, 0)
    assert of_all["sofa"]["fire_earlier_s"]["median"] == 9.0
    assert of_all["sofa"]["more_false_fires"] == 0


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
    assert parse_sweep(text).values == (values,)


def test_several_parameters_are_a_grid() -> None:
    sweep = parse_sweep("fire_level=54,57  trend_rise=2:3:0.5")
    assert sweep.parameters == ("fire_level", "trend_rise")
    assert len(sweep) == 6
    assert list(sweep.combinations())[:4] == [(54, 2), (54, 2.5), (54, 3), (57, 2)]


@pytest.mark.parametrize(
    "text",
    ["fire=50", "fire_level", "fire_level=", "fire_level=a", "fire_level=1:2:0",
     "fire_level=2:1:1", "fire_level=nan", "fire_level=0:1000:1", "fire_level=1:inf:1", "",
     "fire_level=1 fire_level=2", "fire_level=0:10:1 trend_rise=0:10:1"],
)  # fmt: skip
def test_bad_sweeps_are_refused(text: str) -> None:
    with pytest.raises(BadSweep, match=r"^--sweep ") as caught:
        parse_sweep(text)
    assert caught.value.text("zh") != caught.value.text("en")
