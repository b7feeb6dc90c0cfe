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

from dataclasses import dataclass, field
from itertools import chain, repeat
from struct import Struct
from typing import Any

import cbor2
import numpy as np

from agent.core.alarms import Alarms, FirstAlarm, Phase
from agent.core.effects_memory import NOTHING_KEPT, EffectsMemory, read_kept
from agent.core.panel import PanelBook
from agent.core.site import I8, Site
from agent.core.zones import FIRE, Zones
from config.limits import ALARM_STATE_BYTES_MAX, PANEL_ALARMS_MAX, POINTS_MAX

_CLEAR = int(Phase.CLEAR)
_NUMBER, _TEXT, _ARRAY, _MAP = 0, 3, 4, 5  # major types of CBOR
_ROW = bytes((_ARRAY << 5 | 6,))  # of a point; see PointMemory
_HEADS = [
    (2**bits - 1, code, Struct(form).pack)
    for bits, code, form in ((8, 24, ">BB"), (16, 25, ">BH"), (32, 26, ">BI"), (64, 27, ">BQ"))
]
_SIGNS = [
    b"".join(map(cbor2.dumps, (sign & 3, bool(sign & 4), bool(sign & 8), bool(sign & 16))))
    for sign in range(32)
]
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


@dataclass(slots=True)
class Packed:
    """Parts of the last snapshot, for the next one: of an order little of it is new."""

    last: I8 = field(default_factory=lambda: np.zeros((3, 0), np.int64))  # points, walls, signs
    rows: list[bytes] = field(default_factory=list)  # of those points
    zone_names: list[bytes] = field(default_factory=list)
    parts: dict[str, tuple[Any, bytes]] = field(default_factory=dict)  # key -> value, its bytes

    def part(self, key: str, value: Any) -> bytes:
        """The bytes of what stands under a key."""
        last = self.parts.get(key)
        if last is None or last[0] != value:
            last = self.parts[key] = value, cbor2.dumps(value, canonical=True)
        return last[1]


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
    packed: Packed | None = None,
) -> bytes:
    """The snapshot of what must survive. kept: of `effects_memory.keep`; more: by subject;
    baselines: of `baselines.refresh`; packed: the caller's, from one snapshot to the next."""
    first = alarms.first
    top: dict[str, Any] = {
        "v": VERSION,
        "boot": boot,
        "count": alarms.count,
        "silenced": alarms.silenced,
        "first": None
        if first is None
        else [first.source, first.name, first.mono_ns, first.wall_ns],
        "panel": [
            [site.plan.devices[device].name, address, flags]
            for (device, address), flags in book.standing.items()
        ],
    }
    if kept:
        top["effects"] = kept
    if baselines:
        top["baselines"] = baselines
    packed = Packed() if packed is None else packed
    on = np.flatnonzero(zones.flags & np.uint32(FIRE)).tolist()
    whole = {key: packed.part(key, value) for key, value in top.items()}
    whole["more"] = _map({key: packed.part("more/" + key, v) for key, v in (more or {}).items()})
    whole["points"] = _points(alarms, site, packed)
    whole["zones"] = _zones(site, on, packed)
    data = _map(whole)
    if len(data) <= ALARM_STATE_BYTES_MAX:
        return data
    top["points"] = cbor2.loads(whole["points"])
    top["more"] = more or {}
    top["zones"] = [site.plan.zones[z].name for z in on]
    return _fitting(top)


def _points(alarms: Alarms, site: Site, packed: Packed) -> bytes:
    """The rows of points, in alarm order. In a fire of hundreds of points few rows are new."""
    order = alarms.order
    other = ((alarms.phase != _CLEAR) | alarms.lost_in_alarm) & ~alarms.vote
    rest = [k for k in np.flatnonzero(other).tolist() if k not in order]
    count = len(order) + len(rest)
    points = np.fromiter(chain(order, rest), np.int64, count)
    walls = np.fromiter(chain(order.values(), repeat(0, len(rest))), np.int64, count)
    signs = (
        alarms.phase[points]
        | alarms.lost_in_alarm[points] * np.uint8(4)
        | alarms.vote[points] * np.uint8(8)
        | alarms.acked[points] * np.uint8(16)
    )
    whole = np.array((points, walls, signs))
    both = min(whole.shape[1], packed.last.shape[1])
    news = np.flatnonzero((whole[:, :both] != packed.last[:, :both]).any(axis=0))
    news = np.append(news, np.arange(both, whole.shape[1]))
    packed.rows[both:] = [b""] * (whole.shape[1] - both)
    ids = site.ids[points[news]].tolist()
    for i, point_id, (_, wall_ns, sign) in zip(
        news.tolist(), ids, whole[:, news].T.tolist(), strict=True
    ):
        wall = _head(_NUMBER, max(0, wall_ns))
        packed.rows[i] = _ROW + _head(_NUMBER, point_id) + _SIGNS[sign] + wall
    packed.last = whole
    return _head(_ARRAY, len(points)) + b"".join(packed.rows)


def _zones(site: Site, on: list[int], packed: Packed) -> bytes:
    if not packed.zone_names:
        packed.zone_names = [cbor2.dumps(zone.name) for zone in site.plan.zones]
    return _head(_ARRAY, len(on)) + b"".join([packed.zone_names[z] for z in on])


def _map(parts: dict[str, bytes]) -> bytes:
    """Canonical: short keys first."""
    out = [_head(_MAP, len(parts))]
    for key in sorted(parts, key=lambda key: (len(key), key)):
        out += [_head(_TEXT, len(key)), key.encode(), parts[key]]
    return b"".join(out)


def _head(major: int, length: int) -> bytes:
    """The head of an array, map or text; of a whole number it is all."""
    if length < 24:
        return bytes((major << 5 | length,))
    for most, code, pack in _HEADS:
        if length <= most:
            return pack(major << 5 | code, length)
    raise AssertionError(f"{length} does not fit into 64 bits")


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


def _panel(value: Any) -> tuple[str, str, int]:
    device, address, flags = _row(value, 3, "panel")
    return (_text(device, "panel"), _text(address, "panel"), _number(flags, 0xFFFF, "panel"))
