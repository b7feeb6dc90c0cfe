"""Production parameters in buildings and fires that nobody tuned them for (worlds.py).

What holds here must hold elsewhere: no false fire in thousands of point-days of offices, and every
growing fire at least as early as the reference.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from recordings import setting_of
from worlds import DAY_S, GROWTH, World, site_text

from agent.core.kernel_loader import load_kernel
from agent.evaluate import score
from agent.evaluate.replay import Replay
from agent.evaluate.spread import rate_95
from agent.evaluate.watch import Setting, watch
from config.evaluation import Truth
from config.limits import S

LOADED = load_kernel()
QUIET_S = 600.0
LASTS_S = {"slow": 700.0, "medium": 400.0, "fast": 250.0}
STEPS_S = (2.0, 5.0, 10.0)


def replayed(world: World, setting: Setting, ignition_s: float | None) -> score.Figures:
    assert LOADED.fault_text is None, LOADED.fault_text  # days of samples need the fast kernel
    watched = watch(setting, world)
    ignition_ns = None if ignition_s is None else round(ignition_s * S)
    truth = Truth("", world.growth or "office", ignition_ns)
    done = Replay(watched, world, truth, 600 * S, LOADED.kernel).run(lambda rows: None)
    return score.figures_of(world, truth, watched, done)


def fires(setting: Setting, growth: str, number: int, step_s: float | None = None) -> list[
    score.Figures
]:  # fmt: skip
    out = []
    for k in range(number):
        world = World(
            f"{growth}_{k}", (5, list(GROWTH).index(growth), k), rooms=1,
            step_s=step_s or STEPS_S[k % len(STEPS_S)], length_s=QUIET_S + LASTS_S[growth],
            growth=growth, ignition_s=QUIET_S,
        )  # fmt: skip
        out.append(replayed(world, setting, QUIET_S))
    return out


def test_offices_are_silent(tmp_path: Path) -> None:
    """2,000 point-days of day and night, heating, sun, doors and kitchens: nothing sounds."""
    rooms = 504
    setting = setting_of(tmp_path, site_text(rooms))
    world = World("office", (1,), rooms=rooms, step_s=20.0, length_s=DAY_S)
    figures = replayed(world, setting, None)
    assert figures["fire_free_point_days"] > 2_000
    assert figures["counts"]["before"]["fires"] == 0
    assert figures["counts"]["before"]["zone_fires"] == 0
    assert figures["counts"]["before"]["prealarms"] <= 2
    upper = rate_95(0, figures["fire_free_point_days"])
    assert upper is not None
    assert upper[1] < 0.002  # at most one false fire in 500 point-days, with 97.5 %


def test_offices_with_fast_sensors_are_silent(tmp_path: Path) -> None:
    """Noise of every sample counts more often: half a second, a working morning."""
    setting = setting_of(tmp_path, site_text(60))
    world = World("office", (2,), rooms=60, step_s=0.5, length_s=900.0, harsh=1.5)
    figures = replayed(world, setting, None)
    assert figures["counts"].get("before", {}).get("fires", 0) == 0


@pytest.mark.parametrize(("growth", "prealarm_s", "fire_s"), [
    ("slow", 60.0, 10.0), ("medium", 60.0, 25.0), ("fast", 35.0, 20.0),
])  # fmt: skip
def test_growing_fires_are_seen_before_the_reference(
    tmp_path: Path, growth: str, prealarm_s: float, fire_s: float
) -> None:
    rows = fires(setting_of(tmp_path, site_text(1)), growth, 4)
    figures = score.classes_of(rows)[growth]
    assert figures["reference_missed"] == 0
    assert figures["prealarm_missed"] == figures["fire_missed"] == 0
    assert figures["before_ignition"] == 0
    assert figures["prealarm_lead_s"]["median"] >= prealarm_s
    assert figures["fire_lead_s"]["median"] >= fire_s
    assert figures["prealarm_lead_s"]["least"] > 0
    assert figures["fire_lead_s"]["least"] >= 0  # never later than a fixed detector


def test_a_world_is_the_same_each_time(tmp_path: Path) -> None:
    setting = setting_of(tmp_path, site_text(1))
    assert fires(setting, "fast", 1, 5.0) == fires(setting, "fast", 1, 5.0)
