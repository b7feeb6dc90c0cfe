"""Everything the core remembers between two cycles."""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.core import (
    alarms,
    baselines,
    delay,
    detect,
    disable,
    effects,
    health,
    panel,
    signals,
    texts,
    walktest,
    zones,
)
from agent.core.image import Image
from agent.core.site import Site
from agent.core.types import Notice


@dataclass(slots=True)
class State:
    """Made by `cycle.new_state`, owned by whoever runs the cycle."""

    site: Site
    kernel: detect.Kernel
    boot_id: bytes
    image: Image
    alarms: alarms.Alarms
    zones: zones.Zones
    effects: effects.Effects
    baselines: baselines.Baselines
    book: panel.PanelBook
    signals: signals.Signals
    disabled: disable.Registry = field(default_factory=disable.Registry)
    walk: walktest.Walk = field(default_factory=walktest.Walk)
    delay: delay.Delay = field(default_factory=delay.Delay)
    health: health.Health | None = None  # made by the first cycle, which knows when it is
    notices: dict[str, Notice] = field(default_factory=dict)  # faults that stand
    recalled: bool = False  # the alarm state from before the start is known
    texts: texts.Texts = field(default_factory=texts.Texts)
    saved: bytes = b""  # the last snapshot that was handed out
