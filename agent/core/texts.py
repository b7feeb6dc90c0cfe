"""What devices say in words: the last reading of each text, and a record when it changes.

Texts never alarm and are in no image. A text that changes without end (a clock on a display) is
recorded every TEXT_EVENT_NS_MIN, with what it says then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.core.types import Record
from config.limits import STALE_INTERVALS, TEXT_EVENT_NS_MIN
from config.plan import Plan
from config.words import Lane, Quality
from drivers.reading import TextReading


@dataclass(slots=True)
class _Said:
    value: str | None
    mono_ns: int
    recorded: str | None = None
    recorded_ns: int = 0


@dataclass(slots=True)
class Texts:
    """By index in the plan; no more than the plan has."""

    said: dict[int, _Said] = field(default_factory=dict)


def take(texts: Texts, plan: Plan, reading: TextReading) -> list[Record]:
    """A reading. The first one is recorded, too: what stood there when the gateway started."""
    said = texts.said.setdefault(reading.text, _Said(None, 0))
    said.value, said.mono_ns = reading.value, reading.mono_ns
    if said.value is None or said.value == said.recorded:
        return []
    first = said.recorded is None
    if not first and reading.mono_ns - said.recorded_ns < TEXT_EVENT_NS_MIN:
        return []
    row = plan.texts[reading.text]
    body: dict[str, Any] = {"id": row.id, "name": row.name, "to": said.value}
    if not first:
        body["from"] = said.recorded
    said.recorded, said.recorded_ns = said.value, reading.mono_ns
    return [Record(Lane.EVENT, f"text/{row.id}", "text", reading.mono_ns, body)]


def rows(texts: Texts, plan: Plan, mono_ns: int, first: int, count: int) -> list[dict[str, Any]]:
    """Texts `first` to `first + count` of the plan, as rows like those of points, with `text`."""
    out = []
    for index in range(first, min(first + count, len(plan.texts))):
        row, said = plan.texts[index], texts.said.get(index)
        quality = Quality.NOT_READY
        if said is not None:
            old = mono_ns - said.mono_ns > STALE_INTERVALS * row.interval_ns
            well = Quality.BAD if said.value is None else Quality.GOOD
            quality = Quality.STALE if old else well
        out.append(
            {
                "id": row.id,
                "name": row.name,
                "flags": [],
                "value": None,
                "unit": "",
                "text": said.value if said is not None else None,
                "quality": quality.name.lower(),
                "detector": "none",
                "age_s": None if said is None else round((mono_ns - said.mono_ns) / 1e9, 3),
                "acknowledged": False,
            }
        )
    return out
