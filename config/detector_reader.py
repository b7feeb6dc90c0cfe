"""The keys of a point, or of a kind, that switch detectors on and off and set them.

  on_delay, off_delay   a level must stand, or be gone, unbroken for so long
  baseline              the clean value that drift is compensated from
  stuck                 {band, for}: within the band for so long is a fault of the sensor
  slow_fall             {allow, for}: twice as far below its baseline for so long is supervisory
  chatter               {count, memory, hold, quiet}, or none
  steps                 {size, count}, or none
In the section `kinds` the same words speak of every point of a kind; a point's own count more.
"""

from __future__ import annotations

import math

import yaml

from config import quantity
from config.kinds import KINDS, Kind
from config.limits import (
    CHATTER_COUNT_MAX,
    CHATTER_HOLD_NS_MAX,
    DETECTOR_NS_MAX,
    LEVEL_DELAY_NS_MAX,
    MS,
)
from config.problems import Path
from config.shape import Keys, Reader
from config.words import Mode

DETECTOR_KEYS = ("on_delay", "off_delay", "baseline", "stuck", "slow_fall", "chatter", "steps")
NONE = "none"
_STUCK = Keys(("band", "for"))
_FALL = Keys(("allow", "for"))
_CHATTER = Keys((), ("count", "memory", "hold", "quiet"))
_STEPS = Keys((), ("size", "count"))
_FALL_FILTERS = {"trend_tau_s": 30.0, "baseline_tau_s": 86_400.0}
"""Own choice: above the surges of a pump, below a leak of hours."""


def keys_of(kind: Kind) -> frozenset[str]:
    """Which of the keys a kind has."""
    if kind.mode is Mode.TELEMETRY:
        return frozenset()
    if kind.mode is Mode.STATE:
        return frozenset({"chatter"})
    return frozenset(DETECTOR_KEYS)


def read_kinds(reader: Reader, node: yaml.Node) -> None:
    """The section `kinds`, kept in the reader for the points that follow."""
    for word, key, value in reader.entries(node, ("kinds",)) or ():
        path: Path = ("kinds", word)
        if word not in KINDS:
            reader.unknown("word.unknown", key, path, tuple(KINDS), value=word)
            continue
        found = reader.fields(value, path, Keys((), DETECTOR_KEYS), key)
        for name in [n for n in found or {} if n not in keys_of(KINDS[word])]:
            assert found is not None
            reader.problem(
                "key.not_for_kind", found.pop(name), (*path, name), "", key=name, kind=word
            )
        reader.kind_fields[word] = found or {}


def read_detectors(
    reader: Reader, kind: Kind, fields: dict[str, yaml.Node], path: Path, unit: str
) -> dict[str, float]:
    """plan.PARAMS columns that the keys set; NaN switches a detector off."""
    out: dict[str, float] = {}
    for key in ("on_delay", "off_delay"):
        if key in fields:
            ns = reader.duration(fields[key], (*path, key), 0, LEVEL_DELAY_NS_MAX)
            out[f"{key}_s"] = (ns or 0) / 1e9
    if "stuck" in fields:
        out |= _pair(
            reader, fields["stuck"], (*path, "stuck"), unit, _STUCK, ("flat_band", "flat_s")
        )
    if "slow_fall" in fields:
        names = ("fall_allow", "fall_limit_s")
        fall = _pair(reader, fields["slow_fall"], (*path, "slow_fall"), unit, _FALL, names)
        if fall:
            fall["fall_limit_s"] *= fall["fall_allow"]
            tau = {k: v for k, v in _FALL_FILTERS.items() if k not in kind.defaults}
            out |= fall | ({} if kind.classes else tau)
    if "baseline" in fields:
        if not kind.classes and "baseline_tau_s" not in {**kind.defaults, **out}:
            reader.problem("key.not_for_kind", fields["baseline"], (*path, "baseline"), "",
                           key="baseline", kind=kind.name)  # fmt: skip
        else:
            value = reader.in_unit(fields["baseline"], (*path, "baseline"), unit)
            out |= {} if value is None else {"baseline_start": value}
    if "chatter" in fields:
        out |= _chatter(reader, fields["chatter"], (*path, "chatter"))
    if "steps" in fields:
        out |= _steps(reader, fields["steps"], (*path, "steps"), unit)
    return out


def _difference(reader: Reader, node: yaml.Node, path: Path, unit: str) -> float | None:
    """A width in the point's unit, larger than 0; 2K is as wide as 2°C, wherever they begin."""
    value = reader.in_unit(node, path, unit)
    found = quantity.parse(str(node.value))
    if value is not None and found is not None and found.unit not in ("", "1", unit):
        value -= quantity.convert(0.0, found.unit, unit)
    if value is not None and value <= 0:
        reader.problem("width.sign", node, path)
        return None
    return value


def _pair(
    reader: Reader, node: yaml.Node, path: Path, unit: str, keys: Keys, columns: tuple[str, str]
) -> dict[str, float]:
    """{width, for: time}."""
    found = reader.fields(node, path, keys)
    if found is None:
        return {}
    name = keys.required[0]
    width = _difference(reader, found[name], (*path, name), unit)
    ns = reader.duration(found["for"], (*path, "for"), MS, DETECTOR_NS_MAX)
    if width is None or ns is None:
        return {}
    return {columns[0]: width, columns[1]: ns / 1e9}


def _is_none(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.value == NONE


def _chatter(reader: Reader, node: yaml.Node, path: Path) -> dict[str, float]:
    if _is_none(node):
        return {"chatter_count": math.nan}
    found = reader.fields(node, path, _CHATTER)
    out: dict[str, float] = {}
    for key, value in (found or {}).items():
        here = (*path, key)
        if key == "count":
            count = reader.integer(value, here, 3, CHATTER_COUNT_MAX)
            out["chatter_count"] = float(count or 3)
            continue
        most = CHATTER_HOLD_NS_MAX if key == "hold" else DETECTOR_NS_MAX
        ns = reader.duration(value, here, 0 if key == "hold" else MS, most)
        out[f"chatter_{key}_s"] = (ns or 0) / 1e9
    return out


def _steps(reader: Reader, node: yaml.Node, path: Path, unit: str) -> dict[str, float]:
    if _is_none(node):
        return {"step_count": math.nan, "step_size": math.nan}
    found = reader.fields(node, path, _STEPS)
    out: dict[str, float] = {}
    if found and "size" in found:
        size = _difference(reader, found["size"], (*path, "size"), unit)
        out |= {} if size is None else {"step_size": size}
    if found and "count" in found:
        out["step_count"] = float(
            reader.integer(found["count"], (*path, "count"), 2, CHATTER_COUNT_MAX) or 2
        )
    return out


CHATTER_WHOLE: dict[str, float] = {
    "chatter_count": 8.0, "chatter_memory_s": 3600.0, "chatter_hold_s": 10.0,
    "chatter_quiet_s": 86_400.0,
}  # fmt: skip
"""What is not said of chatter where a kind has no default for it."""
