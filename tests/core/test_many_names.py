"""A fire everywhere at once, in a building whose names are long."""

from __future__ import annotations

import pytest
from core_world import FIRE, LEVELS_ONLY, World, plan_of

from agent.core import memory
from config.limits import ALARM_STATE_BYTES_MAX, PANEL_ALARMS_MAX
from config.plan import Effect, Zone
from config.words import Mode
from drivers.reading import PanelEvent


@pytest.mark.parametrize("panel", [False, True])
def test_the_alarm_state_of_six_thousand_burning_zones_is_kept_within_its_bound(
    panel: bool,
) -> None:
    count = 6_000
    points = [(f"p{n}", 0, "contact", Mode.STATE, LEVELS_ONLY) for n in range(count)]
    zones = tuple(Zone("楼" * 58 + f"{n:06d}", (n,)) for n in range(count))
    world = World(plan_of(points, zones, (Effect("zone", 7, FIRE, (0,)),)))
    if panel:
        for first in range(0, PANEL_ALARMS_MAX, 1_000):
            world.ns += 1
            world.run(
                panel_events=tuple(
                    PanelEvent(1, world.ns, FIRE, chr(0x20000 + n) * 64, "", clears=False)
                    for n in range(first, first + 1_000)
                )
            )
    world.sample(dict.fromkeys(range(count), float(FIRE)), 1)
    assert world.on == {0: "evacuate"}
    assert world.saved is not None
    assert len(world.saved) <= ALARM_STATE_BYTES_MAX
    again = World(world.plan)
    again.run(recalled=world.saved)
    assert len(memory.decode(world.saved).points) == count
    again.sample(dict.fromkeys(range(count), float(FIRE)), 1)
    assert again.on == {0: "evacuate"}
