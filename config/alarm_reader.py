"""Site keys of alarm management: hours of the day, investigation of a zone, walk-test groups."""

from __future__ import annotations

import re

import yaml

from config import model
from config.limits import DELAY_NS_MAX, DELAY_NS_MIN, NAME_CHARS_MAX, POINTS_MAX
from config.problems import Path
from config.quantity import time_text
from config.shape import Keys, Reader

_DAY = Keys(("from", "to"), ("days",))
_INVESTIGATION = Keys(("acknowledge_within", "investigate_within"))
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_EVERY_DAY = (1 << len(DAYS)) - 1
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)", re.ASCII)
_SPANS_MAX = 32


def read_day(reader: Reader, node: yaml.Node, path: Path) -> tuple[model.DayHours, ...] | None:
    """`{from: "08:00", to: "18:00", days: [mon]}`, or a list of such; None and its problems."""
    spans = [(node, path)]
    if isinstance(node, yaml.SequenceNode):
        spans = reader.items(node, path) or []
        if not spans:
            reader.problem("list.empty", node, path)
        if len(spans) > _SPANS_MAX:
            reader.problem("too_many", node, path, "", count=str(len(spans)), most=str(_SPANS_MAX))
            return None
    read = [_span(reader, one, here) for one, here in spans]
    hours = tuple(h for h in read if h is not None)
    return hours if hours and len(hours) == len(read) else None


def _span(reader: Reader, node: yaml.Node, path: Path) -> model.DayHours | None:
    found = reader.fields(node, path, _DAY)
    if found is None:
        return None
    first = _minute(reader, found["from"], (*path, "from"))
    last = _minute(reader, found["to"], (*path, "to"))
    days: int | None = _EVERY_DAY
    if "days" in found:
        days = _days(reader, found["days"], (*path, "days"))
    if first is None or last is None or days is None:
        return None
    return model.DayHours(days=days, first=first, last=last)


def _days(reader: Reader, node: yaml.Node, path: Path) -> int | None:
    items = reader.items(node, path)
    if items is None:
        return None
    if not items:
        reader.problem("list.empty", node, path)
    words = [reader.choice(one, here, DAYS) for one, here in items]
    if not words or any(w is None for w in words):
        return None
    mask = 0
    for word in words:
        mask |= 1 << DAYS.index(word or "")
    return mask


def _minute(reader: Reader, node: yaml.Node, path: Path) -> int | None:
    """`"08:00"`, as minutes from midnight."""
    text = reader.text(node, path, "a time of day")
    if text is None:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        reader.problem("time.form", node, path, "time.form", value=text)
        return None
    return int(match[1]) * 60 + int(match[2])


def read_investigation(reader: Reader, node: yaml.Node, path: Path) -> tuple[int, int] | None:
    """(T1, T2) of a zone in nanoseconds; None and its problems."""
    found = reader.fields(node, path, _INVESTIGATION)
    if found is None:
        return None
    t1, t2 = (
        reader.duration(found[key], (*path, key), DELAY_NS_MIN, DELAY_NS_MAX)
        for key in _INVESTIGATION.required
    )
    if t1 is None or t2 is None:
        return None
    if t1 + t2 > DELAY_NS_MAX:
        both, most = time_text(t1 + t2), time_text(DELAY_NS_MAX)
        reader.problem("delay.long", node, path, "", value=both, most=most)
        return None
    return t1, t2


def read_walk_group(
    reader: Reader, name: str, node: yaml.Node, path: Path
) -> model.WalkGroup | None:
    """`west: [hall, stairs]`: zones that are walk-tested together."""
    items = reader.items(node, path)
    if items is None:
        return None
    if not items:
        reader.problem("list.empty", node, path)
    if len(items) > POINTS_MAX:
        reader.problem("too_many", node, path, "", count=str(len(items)), most=str(POINTS_MAX))
        return None
    zones = [reader.text(one, here, "a zone", NAME_CHARS_MAX) for one, here in items]
    if not zones or any(z is None for z in zones):
        return None
    return model.WalkGroup(name=name, zones=tuple(z or "" for z in zones))
