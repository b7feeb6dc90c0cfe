"""The section `evaluate` of a site file: what the columns of recordings are, and what is asked.

A point is described with the words of `devices`, without a register; a name may be a glob. The
section says nothing to the running gateway: it is for `embergate evaluate` alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import yaml

from config import model, quantity
from config.desk_limits import (
    EVALUATE_GOALS_MAX,
    EVALUATE_LEAD_NS_MAX,
    EVALUATE_RESET_NS_MAX,
    EVALUATE_RESET_NS_MIN,
    EVALUATE_SWEEP_VALUES_MAX,
    EVALUATE_SWEEPS_MAX,
    RECORDING_COLUMNS_MAX,
)
from config.kinds import KINDS
from config.limits import DEVICES_MAX, S
from config.plan import PARAMS
from config.point_reader import POINT_KEYS, read_point
from config.problems import Path
from config.shape import Keys, Reader
from config.sweep import Sweep, values_of
from config.words import Mode

_SECTION = Keys(("points",), ("zones", "recordings", "reference", "reset", "goals", "sweeps"))
_SWEEP = Keys((), PARAMS)
_OF_THE_WIRE = ("register", "type", "word_order", "bit", "poll", "sentinels", "resolution")
_POINT = Keys((), ("same_as", *(k for k in POINT_KEYS.all if k not in _OF_THE_WIRE)))
_TRUTH = Keys((), ("class", "ignition"))
_REFERENCE = Keys((), ("level", "points", "column"))
_LEADS = ("prealarm_lead", "prealarm_lead_each", "fire_lead", "fire_lead_each")
_COUNTS = ("prealarm_missed", "missed", "before_ignition")
_GOAL = Keys((), ("class", "except", *_LEADS, *_COUNTS))
RESET_NS = 600 * S
NAME_MAX = 256

ZoneReader = Callable[[str, yaml.Node, yaml.Node, Path], "model.Zone | None"]


@dataclass(frozen=True, slots=True)
class Column:
    """What the columns that match `pattern` are: a point of their own, or one of the site's."""

    pattern: str
    point: model.Point | None = None
    same_as: str = ""


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of the recordings that match `pattern`.

    ignition_ns: from the recording's zero; None: there was no fire at all.
    """

    pattern: str
    growth: str = "all"
    ignition_ns: int | None = None
    known: bool = True


@dataclass(frozen=True, slots=True)
class Reference:
    """What detection is compared with: a level behind a median of three, or a column that is set.

    points: globs of columns; empty: every column of kind heat.
    """

    level: float = 57.0
    unit: str = "°C"
    points: tuple[str, ...] = ()
    column: str = ""


@dataclass(frozen=True, slots=True)
class Goal:
    """What is asked of the recordings of one growth class; at most, at least, as the word says."""

    growth: str
    asked: tuple[tuple[str, float], ...]  # leads in seconds, others in numbers
    spared: tuple[str, ...] = ()  # recordings that `_each` does not count


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The whole section. reset_ns: when somebody resets a false alarm; None: nobody does."""

    columns: tuple[Column, ...] = ()
    zones: tuple[model.Zone, ...] = ()
    truths: tuple[Truth, ...] = ()
    reference: Reference = Reference()
    reset_ns: int | None = RESET_NS
    goals: tuple[Goal, ...] = ()
    sweeps: tuple[Sweep, ...] = ()


def read_evaluation(
    reader: Reader, node: yaml.Node, known_points: Sequence[str], read_zone: ZoneReader
) -> Evaluation | None:
    """The section, or None and at least one problem. known_points: the site's own."""
    path: Path = ("evaluate",)
    before = len(reader.problems) + reader.problems.left_off
    found = reader.fields(node, path, _SECTION)
    if found is None:
        return None
    columns = _columns(reader, found["points"], (*path, "points"), known_points)
    zones = _zones(reader, found.get("zones"), (*path, "zones"), read_zone)
    truths = _truths(reader, found.get("recordings"), (*path, "recordings"))
    reference = _reference(reader, found.get("reference"), (*path, "reference"))
    reset_ns = _reset(reader, found.get("reset"), (*path, "reset"))
    goals = _goals(reader, found.get("goals"), (*path, "goals"))
    sweeps = _sweeps(reader, found.get("sweeps"), (*path, "sweeps"))
    if len(reader.problems) + reader.problems.left_off > before:
        return None
    return Evaluation(columns, zones, truths, reference, reset_ns, goals, sweeps)


def _patterns(
    reader: Reader, node: yaml.Node, path: Path
) -> list[tuple[str, yaml.Node, yaml.Node, Path]]:
    """(name or glob, its node, value node, path) of a map, bounded."""
    entries = reader.entries(node, path) or []
    if len(entries) > RECORDING_COLUMNS_MAX:
        most = str(RECORDING_COLUMNS_MAX)
        reader.problem("too_many", node, path, "", count=str(len(entries)), most=most)
        return []
    out: list[tuple[str, yaml.Node, yaml.Node, Path]] = []
    for name, key, value in entries:
        if reader.text(key, (*path, name), "a text", NAME_MAX) is not None:
            out.append((name, key, value, (*path, name)))
    return out


def _columns(
    reader: Reader, node: yaml.Node, path: Path, known_points: Sequence[str]
) -> tuple[Column, ...]:
    out = []
    for name, key, value, here in _patterns(reader, node, path):
        fields = reader.fields(value, here, _POINT, key)
        if fields is None:
            continue
        if "same_as" in fields:
            for other in sorted(set(fields) - {"same_as"}):
                reader.problem("key.unknown", fields[other], (*here, other), "", value=other)
            word = reader.text(fields["same_as"], (*here, "same_as"), "a point", NAME_MAX)
            if word is not None and word not in known_points:
                reader.unknown("ref.unknown", fields["same_as"], (*here, "same_as"), known_points,
                               value=word, noun="point")  # fmt: skip
            out.append(Column(name, None, word or ""))
        else:
            out.append(Column(name, _point(reader, key, fields, here)))
    return tuple(out)


def _point(
    reader: Reader, key: yaml.Node, fields: dict[str, yaml.Node], path: Path
) -> model.Point | None:
    """A point read with the words of a device's point; a recording has no registers."""
    kind = KINDS.get(str(getattr(fields.get("kind"), "value", "")))
    register, stored = "input 0", "float32"
    if kind is not None and kind.mode is Mode.STATE:
        word = kind.name in ("panel_point", "state_word")
        register, stored = ("input 0", "uint16") if word else ("discrete 0", "bit")

    def scalar(value: str) -> yaml.ScalarNode:
        return yaml.ScalarNode("", value, key.start_mark, key.end_mark, style="'")

    whole = {**fields, "register": scalar(register), "type": scalar(stored)}
    return read_point(reader, "column", whole, key, path, S)


def _zones(
    reader: Reader, node: yaml.Node | None, path: Path, read_zone: ZoneReader
) -> tuple[model.Zone, ...]:
    if node is None:
        return ()
    rows = list(reader.walk(node, path))
    if len(rows) > DEVICES_MAX:
        most = str(DEVICES_MAX)
        reader.problem("too_many", node, path, "", count=str(len(rows)), most=most)
        return ()
    zones = [read_zone(*row) for row in rows]
    return tuple(z for z in zones if z is not None)


def _truths(reader: Reader, node: yaml.Node | None, path: Path) -> tuple[Truth, ...]:
    if node is None:
        return ()
    out = []
    for name, key, value, here in _patterns(reader, node, path):
        found = reader.fields(value, here, _TRUTH, key)
        if found is None:
            continue
        growth: str | None = "all"
        if "class" in found:
            growth = reader.text(found["class"], (*here, "class"), "a class", 64)
        ignition: int | None = None
        if "ignition" in found and getattr(found["ignition"], "value", "") != "none":
            most = EVALUATE_LEAD_NS_MAX
            ignition = reader.duration(found["ignition"], (*here, "ignition"), -most, most)
        out.append(Truth(name, growth or "", ignition, known="ignition" in found))
    return tuple(out)


def _reference(reader: Reader, node: yaml.Node | None, path: Path) -> Reference:
    if node is None:
        return Reference()
    found = reader.fields(node, path, _REFERENCE)
    if found is None:
        return Reference()
    if "column" in found:
        for other in sorted(set(found) - {"column"}):
            reader.problem("key.unknown", found[other], (*path, other), "", value=other)
        column = reader.text(found["column"], (*path, "column"), "a name", NAME_MAX)
        return Reference(column=column or "")
    level, unit = Reference().level, Reference().unit
    if "level" in found:
        text = reader.text(found["level"], (*path, "level"), "a quantity", 64)
        value = quantity.parse(text) if text is not None else None
        if value is None or value.unit not in quantity.UNITS:
            reader.wrong_shape(found["level"], (*path, "level"), "a quantity")
        else:
            level, unit = value.value, value.unit
    return Reference(level, unit, _texts(reader, found.get("points"), (*path, "points")))


def _texts(reader: Reader, node: yaml.Node | None, path: Path) -> tuple[str, ...]:
    items = reader.items(node, path) if node is not None else None
    words = [reader.text(item, here, "a name", NAME_MAX) for item, here in items or ()]
    return tuple(w for w in words if w is not None)


def _reset(reader: Reader, node: yaml.Node | None, path: Path) -> int | None:
    if node is None:
        return RESET_NS
    if getattr(node, "value", "") == "never":
        return None
    return reader.duration(node, path, EVALUATE_RESET_NS_MIN, EVALUATE_RESET_NS_MAX)


def _goals(reader: Reader, node: yaml.Node | None, path: Path) -> tuple[Goal, ...]:
    items = (reader.items(node, path) or []) if node is not None else []
    if len(items) > EVALUATE_GOALS_MAX and node is not None:
        limit = str(EVALUATE_GOALS_MAX)
        reader.problem("too_many", node, path, "", count=str(len(items)), most=limit)
        return ()
    goals = []
    for item, here in items:
        found = reader.fields(item, here, _GOAL)
        if found is None:
            continue
        growth: str | None = "*"
        if "class" in found:
            growth = reader.text(found["class"], (*here, "class"), "a class", 64)
        asked = []
        for key in (*_LEADS, *_COUNTS):
            if key not in found:
                continue
            most = EVALUATE_LEAD_NS_MAX
            if key in _LEADS:
                lead = reader.duration(found[key], (*here, key), -most, most)
                asked.append((key, (lead or 0) / S))
            else:
                count = reader.integer(found[key], (*here, key), 0, most)
                asked.append((key, float(count or 0)))
        spared = _texts(reader, found.get("except"), (*here, "except"))
        goals.append(Goal(growth or "", tuple(asked), spared))
    return tuple(goals)


def _sweeps(reader: Reader, node: yaml.Node | None, path: Path) -> tuple[Sweep, ...]:
    items = (reader.items(node, path) or []) if node is not None else []
    if len(items) > EVALUATE_SWEEPS_MAX and node is not None:
        most = str(EVALUATE_SWEEPS_MAX)
        reader.problem("too_many", node, path, "", count=str(len(items)), most=most)
        return ()
    out = []
    for item, here in items:
        found = reader.fields(item, here, _SWEEP)
        if not found:
            if found is not None:
                reader.wrong_shape(item, here, "a map")
            continue
        values = []
        for key, value in found.items():
            text = reader.text(value, (*here, key), "sweep values", NAME_MAX)
            numbers = values_of(text) if text is not None else (0.0,)
            if not numbers:
                reader.wrong_shape(value, (*here, key), "sweep values")
            values.append(numbers)
        sweep = Sweep(tuple(found), tuple(values))
        if len(sweep) > EVALUATE_SWEEP_VALUES_MAX:
            most = str(EVALUATE_SWEEP_VALUES_MAX)
            reader.problem("too_many", item, here, "", count=str(len(sweep)), most=most)
            continue
        out.append(sweep)
    return tuple(out)
