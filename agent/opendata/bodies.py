"""The JSON of each topic. Pure. What is not known is null, and never 0 or false."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from agent.opendata.picture import Picture
from config.opendata_limits import OPENDATA_FAULTS_MAX
from config.words import FLAG_WORDS, Flag, Mode, Quality

_QUALITIES = tuple(q.name.lower() for q in Quality)
_CLOCKS = ("unset", "holdover", "synchronised")
_RANKED = tuple(FLAG_WORDS.items())
Body = dict[str, Any]


def encode(body: Body) -> bytes:
    """As sent: UTF-8, no NaN."""
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def words(flags: int) -> list[str]:
    """Flags in display order: fire first."""
    return [word for word, flag in _RANKED if flags & flag]


def point(picture: Picture, k: int, point_id: int, kind: str, mode: int, main: Flag) -> Body:
    """One point. Its main state is null while nothing stands and its value is not to be believed:
    a fire that stands stays true, whatever becomes of its sensor."""
    standing, good = words(picture.flags[k]), picture.good(k)
    value = float(f"{picture.values[k]:.7g}") if good and mode != Mode.STATE else None
    body: Body = {
        "id": point_id,
        "name": picture.names[k],
        "kind": kind,
        "value": value,
        "unit": picture.units[k],
        "quality": _QUALITIES[picture.qualities[k]],
        "state": standing[0] if standing else "normal" if good else None,
        "states": standing,
    }
    if main:
        word = next(w for w, flag in _RANKED if flag == main)
        body[word] = True if word in standing else False if good else None
    return body


def zone(picture: Picture, k: int) -> Body:
    """One zone."""
    standing = words(picture.zone_flags[k])
    return {
        "name": picture.zone_names[k],
        "state": standing[0] if standing else "normal",
        "states": standing,
        **{word: word in standing for word in ("fire", "prealarm", "supervisory", "fault")},
        "votes": picture.zone_votes[k],
        "needed": picture.zone_needed[k],
        "healthy": picture.zone_healthy[k],
    }


def gateway(picture: Picture, site: str, name: str) -> Body:
    """All of it in one."""
    status = picture.status
    flags, faults = status.get("flags", []), status.get("faults", [])
    general = status.get("effects", {}).get("general")
    first = status.get("first_alarm")
    wall_ns = first["wall_ns"] if first else 0
    return {
        "site": site,
        "name": name,
        "state": flags[0] if flags else "normal",
        "states": flags,
        **{word: word in flags for word in ("fire", "prealarm", "supervisory", "fault")},
        "general_alarm": None if general is None else bool(general),
        "silenced": status.get("silenced"),
        "alarms": status.get("alarms"),
        "unacknowledged": status.get("unacknowledged"),
        "points": status.get("points"),
        "unknown": status.get("stale", 0) + status.get("not_ready", 0),
        "faults": len(faults),
        "fault_texts": [f"{f['source']}: {f['text']}" for f in faults[:OPENDATA_FAULTS_MAX]],
        "first_alarm": first["name"] if first else "",
        "first_alarm_time": _time(wall_ns) if wall_ns else None,
        "clock": _CLOCKS[picture.now[2]],
    }


def _time(wall_ns: int) -> str | None:
    try:
        return datetime.fromtimestamp(wall_ns // 10**9, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def output(row: Mapping[str, Any]) -> Body:
    """A siren, lamp or relay. on: what it reads as; null when it was not read."""
    return {
        "name": row["name"],
        "kind": row["kind"],
        "on": row["read_back"],
        "ordered": row["on"],
        "pattern": row["pattern"],
        "fault": row["fault"],
        "disabled": row["disabled"],
    }


def panel(row: Mapping[str, Any]) -> Body:
    """A panel on a port of its own."""
    standing = sorted({word for told in row["standing"] for word in told["flags"]})
    lost = row["lost"]
    return {
        "name": row["name"],
        "lost": lost,
        "silenced": row["silenced"],
        "told": row["told"],
        "states": standing,
        "fire": True if "fire" in standing else None if lost else False,
    }


def courier(row: Mapping[str, Any]) -> Body:
    """A destination of the record."""
    keys = ("name", "connected", "waiting", "text")
    return {key: row.get(key) for key in keys}
