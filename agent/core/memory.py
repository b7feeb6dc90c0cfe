"""Alarm state that outlives a power cut: one canonical CBOR snapshot, merged in after a start.

{"v": 1, "boot": bstr, "count": lifetime alarms, "silenced": bool,
 "first": [source, name, mono_ns, wall_ns] / null,
 "points": [[stable id, phase, lost in alarm, vote, acknowledged, wall_ns], ...] in alarm order,
 "zones": [name of a zone in fire, ...],
 "panel": [[device name, address, flags], ...],
 "effects": see agent.core.effects_memory; left out when nothing of the matrix needs keeping,
 "more": {subject: ...}}, as agent.core.lasting has them
Keys that are not known are ignored, so that a newer gateway's state is still worth something.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, field
from typing import Any

import cbor2
import numpy as np

from agent.core.alarms import Alarms, FirstAlarm, Phase
from agent.core.effects_memory import NOTHING_KEPT, EffectsMemory, read_kept
from agent.core.panel import PanelBook
from agent.core.site import Site
from agent.core.zones import FIRE, Zones
from config.limits import ALARM_STATE_BYTES_MAX, PANEL_ALARMS_MAX, POINTS_MAX

VERSION = 1
COUNT_MAX = 2**53
NAME_MAX = 256


class MemoryDamagedError(Exception):
    """The bytes are not an alarm state. The text says what was expected and what was found."""


@dataclass(frozen=True, slots=True)
class PointMemory:
    """What is kept of one point that stands in alarm."""

    point_id: int
    phase: Phase
    lost_in_alarm: bool
    vote: bool
    acked: bool
    wall_ns: int


@dataclass(frozen=True, slots=True)
class Memory:
    """A decoded snapshot."""

    boot: bytes
    count: int
    silenced: bool
    first: FirstAlarm | None
    points: tuple[PointMemory, ...]
    zones: tuple[str, ...]
    panel: tuple[tuple[str, str, int], ...]
    effects: EffectsMemory = NOTHING_KEPT
    more: dict[str, Any] = field(default_factory=dict)  # each subject checks its own
    baselines: bytes = b""


def encode(
    boot: bytes,
    alarms: Alarms,
    zones: Zones,
    book: PanelBook,
    site: Site,
    *,
    kept: dict[str, Any] | None = None,
    more: dict[str, Any] | None = None,
    baselines: bytes = b"",
) -> bytes:
    """The snapshot of what must survive. kept: of `effects_memory.keep`; more: by subject;
    baselines: of `baselines.refresh`."""
    standing = np.flatnonzero((alarms.phase != Phase.CLEAR) | alarms.lost_in_alarm).tolist()
    in_order = list(alarms.order) + [k for k in standing if k not in alarms.order]
    order = np.array(in_order, np.int64)
    rows = zip(
        site.ids[order].tolist(),
        alarms.phase[order].tolist(),
        alarms.lost_in_alarm[order].tolist(),
        alarms.vote[order].tolist(),
        alarms.acked[order].tolist(),
        [alarms.order.get(k, 0) for k in in_order],
        strict=True,
    )
    first = alarms.first
    top: dict[str, Any] = {
        "v": VERSION,
        "boot": boot,
        "count": alarms.count,
        "silenced": alarms.silenced,
        "first": None if first is None else list(astuple(first)),
        "points": [list(row) for row in rows],
        "zones": [
            site.plan.zones[z].name for z in np.flatnonzero(zones.flags & np.uint32(FIRE)).tolist()
        ],
        "panel": [
            [site.plan.devices[device].name, address, flags]
            for (device, address), flags in book.standing.items()
        ],
        "more": more or {},
    }
    if kept:
        top["effects"] = kept
    if baselines:
        top["baselines"] = baselines
    return _fitting(top)


def _fitting(top: dict[str, Any]) -> bytes:
    """The snapshot within its bound. Thousands of long names in one fire must not end the process:
    baselines go first, which the sensors teach again, then zones, which their points' votes make
    again, then the panel's latest words, and at the very end what is no alarm at all."""
    data = cbor2.dumps(top, canonical=True)
    if len(data) > ALARM_STATE_BYTES_MAX:
        top.pop("baselines", None)
        data = cbor2.dumps(top, canonical=True)
    if len(data) > ALARM_STATE_BYTES_MAX:
        data = cbor2.dumps({**top, "zones": []}, canonical=True)
    while len(data) > ALARM_STATE_BYTES_MAX:
        assert top["panel"] or top["more"], "points alone always fit"
        if top["panel"]:
            top = {**top, "zones": [], "panel": top["panel"][: len(top["panel"]) // 2]}
        else:  # without them all is in service, and no test runs: the side of the alarm
            top = {**top, "more": {}}
        data = cbor2.dumps(top, canonical=True)
    return data


def decode(data: bytes) -> Memory:
    """A snapshot. Raises MemoryDamagedError; no bytes raise anything else."""
    if len(data) > ALARM_STATE_BYTES_MAX:
        raise MemoryDamagedError(f"{len(data)} bytes, more than {ALARM_STATE_BYTES_MAX}")
    try:
        top = cbor2.loads(data)
    except Exception as e:  # any damage is the same single error
        raise MemoryDamagedError(f"not CBOR: {type(e).__name__}") from e
    if not isinstance(top, dict):
        raise MemoryDamagedError(f"expected a map, found {type(top).__name__}")
    if top.get("v") != VERSION or isinstance(top.get("v"), bool):
        raise MemoryDamagedError(f"expected version {VERSION}, found {str(top.get('v'))[:40]!r}")
    first = top.get("first")
    return Memory(
        boot=_typed(top.get("boot"), bytes, "boot"),
        count=_number(top.get("count"), COUNT_MAX, "count"),
        silenced=_typed(top.get("silenced"), bool, "silenced"),
        first=None if first is None else _first(first),
        points=tuple(_point(row) for row in _rows(top.get("points"), POINTS_MAX, "points")),
        zones=tuple(_text(name, "zones") for name in _rows(top.get("zones"), POINTS_MAX, "zones")),
        baselines=_typed(top.get("baselines", b""), bytes, "baselines"),
        panel=tuple(_panel(row) for row in _rows(top.get("panel"), PANEL_ALARMS_MAX * 2, "panel")),
        effects=_effects(top.get("effects")),
        more=_typed(top.get("more", {}), dict, "more"),
    )


def _effects(value: Any) -> EffectsMemory:
    try:
        return read_kept(value)
    except ValueError as e:
        raise MemoryDamagedError(f"effects: {e}") from e


def _typed(value: Any, kind: type[Any], where: str) -> Any:
    if type(value) is not kind:
        raise MemoryDamagedError(f"{where}: expected {kind.__name__}, found {type(value).__name__}")
    return value


def _number(value: Any, most: int, where: str) -> int:
    number: int = _typed(value, int, where)
    if not 0 <= number <= most:
        raise MemoryDamagedError(f"{where}: expected 0..{most}")
    return number


def _text(value: Any, where: str) -> str:
    text: str = _typed(value, str, where)
    if len(text) > NAME_MAX:
        raise MemoryDamagedError(f"{where}: a name of {len(text)} characters")
    return text


def _rows(value: Any, most: int, where: str) -> list[Any]:
    rows: list[Any] = _typed(value, list, where)
    if len(rows) > most:
        raise MemoryDamagedError(f"{where}: {len(rows)} entries, at most {most}")
    return rows


def _row(value: Any, length: int, where: str) -> list[Any]:
    row = _rows(value, length, where)
    if len(row) != length:
        raise MemoryDamagedError(f"{where}: expected {length} elements, found {len(row)}")
    return row


def _first(value: Any) -> FirstAlarm:
    source, name, mono_ns, wall_ns = _row(value, 4, "first")
    return FirstAlarm(
        _text(source, "first"),
        _text(name, "first"),
        _number(mono_ns, 2**63, "first"),
        _number(wall_ns, 2**63, "first"),
    )


def _point(value: Any) -> PointMemory:
    point_id, phase, lost, vote, acked, wall_ns = _row(value, 6, "points")
    return PointMemory(
        _number(point_id, 2**32 - 1, "points"),
        Phase(_number(phase, max(Phase), "points")),
        _typed(lost, bool, "points"),
        _typed(vote, bool, "points"),
        _typed(acked, bool, "points"),
        _number(wall_ns, 2**63, "points"),
    )


def _manual(value: Any) -> tuple[str, int]:
    name, wall_ns = _row(value, 2, "manual")
    return _text(name, "manual"), _number(wall_ns, 2**63, "manual")


def _panel(value: Any) -> tuple[str, str, int]:
    device, address, flags = _row(value, 3, "panel")
    return (_text(device, "panel"), _text(address, "panel"), _number(flags, 0xFFFF, "panel"))
