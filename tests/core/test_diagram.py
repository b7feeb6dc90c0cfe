"""The drawn tables are the ones that run. EMBERGATE_REWRITE=1 draws them anew."""

from __future__ import annotations

import os
from pathlib import Path

from agent.core import diagram
from agent.core.alarms import FIRE_TABLE, Origin

DRAWN = Path(__file__).parents[2] / "docs" / "alarm-states.md"


def test_the_drawing_is_of_these_tables() -> None:
    text = diagram.document()
    if os.environ.get("EMBERGATE_REWRITE"):
        DRAWN.write_text(text, encoding="utf-8")
    assert DRAWN.read_text(encoding="utf-8") == text


def test_every_transition_is_drawn() -> None:
    gateway = diagram.document().split("## ")[1]
    changes = {
        (phase, after, event)
        for (origin, phase, event), (after, _) in FIRE_TABLE.items()
        if origin is Origin.GATEWAY and phase is not after
    }
    for phase, after, event in changes:
        arrow = f"{phase.name.title()} --> {after.name.title()}: {event.name.lower()}"
        assert arrow in gateway
    assert gateway.count("-->") == len(changes) + 1
