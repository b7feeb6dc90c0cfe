"""What leaves the core for the signed record. Bodies use short keys, one meaning each:

  id, name   stable id and name of the point; `name` alone for zones, devices, lines, outputs
  from, to   words.Flag before and after
  value      engineering units, absent when there never was a sample
  quality    words.Quality
  why        what led to it when it is not the value itself: "agreed" (a second point of the zone
             has a trend too), "lost in alarm", "recalled" (from before a restart), "reset",
             "panel" (the panel's own event)
  gated      True: disabled or in test, so it counts for nothing and calls nobody
  detail     what the detectors say beyond the flags, from DETAIL_WORDS, absent when nothing
  forecast   [level, seconds]: at this slope the value is at the fire level in so many seconds;
             with every trend
  number     lifetime count of alarms, on the transition that raised it
  columns, units  of "counters": names of the columns, and one row a unit, totals since the start
  row, delay_s, text  of "effect": the row of the matrix, counted from 1; its delay, its message
  fault      True when a fault begins, False when it ends; `text` says it in words
Transitions into and out of fire go to the fire lane, all else to the event lane.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from agent.core import kernels
from agent.core.image import Image
from agent.core.site import I8, U4, Bools, Site
from agent.core.types import Record, record_of
from config.words import Flag, Lane, Mode

_FIRE = int(Flag.FIRE)
_STATE = int(Mode.STATE)
_FIRE_LANE, _EVENT_LANE = Lane.FIRE, Lane.EVENT  # bound once: see agent.core.alarms
DETAIL_WORDS = {
    "trend": kernels.TREND,
    "heavy": kernels.HEAVY,
    "falling": kernels.FALLING,
    "second stage": kernels.SECOND,
    "chatter": kernels.CHATTER,
    "stuck": kernels.FLAT,
    "steps": kernels.STEPS,
    "needs cleaning": kernels.DIRTY,
}


def lane_of(before: int, after: int, *, gated: bool = False) -> Lane:
    """The fire lane for a change of FIRE that counts, else the event lane."""
    return _FIRE_LANE if (before ^ after) & _FIRE and not gated else _EVENT_LANE


def point_record(
    site: Site,
    image: Image,
    k: int,
    change: tuple[int, int],
    mono_ns: int,
    *,
    why: str = "",
    number: int = 0,
    gated: bool = False,
) -> Record:
    """A point's flags went from change[0] to change[1]."""
    quality, value = int(image.words[k, kernels.QUALITY]), float(image.state[k, kernels.VALUE])
    reads = int(site.ids[k]), quality, value, image.bits_of(k)
    return _point(site, image, k, change, reads, mono_ns, why, number, gated)


def point_records(
    site: Site, image: Image, points: I8, change: tuple[U4, U4], mono_ns: int, *,
    why: str, gated: Bools,
) -> list[Record]:  # fmt: skip
    """`point_record` of points [m], with flags [m] before and after."""
    before, after = change
    value, bits = image.value[points], image.bits[points]
    plain = np.isfinite(value) & (bits & np.uint32(kernels.DETAIL) == 0)
    plain &= site.modes[points] != _STATE
    fire = ((before ^ after) & np.uint32(_FIRE) != 0) & ~gated
    columns = (points, site.ids[points], before, after, image.quality[points], value, bits, gated,
               fire, plain)  # fmt: skip
    names = site.plan.points.names
    out: list[Record] = []
    for k, i, was, now, quality, number, b, off, fires, simple in zip(
        *(column.tolist() for column in columns), strict=True
    ):
        if not simple:
            reads = i, quality, number, b
            out.append(_point(site, image, k, (was, now), reads, mono_ns, why, 0, off))
            continue
        body = {"id": i, "name": names[k], "from": was, "to": now, "quality": quality,
                "value": number}  # fmt: skip
        if why:
            body["why"] = why
        if off:
            body["gated"] = True
        lane = _FIRE_LANE if fires else _EVENT_LANE
        out.append(record_of((lane, f"point/{i}", "point", mono_ns, body)))
    return out


def _point(
    site: Site, image: Image, k: int, change: tuple[int, int], reads: tuple[int, int, float, int],
    mono_ns: int, why: str, number: int, gated: bool,
) -> Record:  # fmt: skip
    """reads: stable id, quality, value, bits."""
    before, after = change
    point_id, quality, value, bits = reads
    body: dict[str, Any] = {
        "id": point_id,
        "name": site.plan.points.names[k],
        "from": before,
        "to": after,
        "quality": quality,
    }
    if math.isfinite(value):
        body["value"] = value
        if site.modes[k] == _STATE:
            body["says"] = int(value)
    if bits & kernels.DETAIL:
        body["detail"] = [word for word, bit in DETAIL_WORDS.items() if bits & bit]
    if bits & kernels.TREND and (ahead := forecast(site, image, k)) is not None:
        body["forecast"] = ahead
    if why:
        body["why"] = why
    if number:
        body["number"] = number
    if gated:
        body["gated"] = True
    return Record(lane_of(before, after, gated=gated), f"point/{point_id}", "point", mono_ns, body)


def forecast(site: Site, image: Image, k: int) -> list[float] | None:
    """[fire level, seconds until it is reached at this slope]; None when it is not rising."""
    level = float(site.params[k, kernels.FIRE_LEVEL])
    slope = float(image.state[k, kernels.SLOPE])
    seconds = (level - float(image.state[k, kernels.MEDIAN])) / slope if slope > 0.0 else math.nan
    return [level, round(max(0.0, seconds), 1)] if math.isfinite(seconds) else None


def fault_record(
    source: str, what: str, mono_ns: int, *, fault: bool, text: str, **more: Any
) -> Record:
    """A fault of anything but a point begins or ends."""
    return Record(Lane.EVENT, source, what, mono_ns, {"fault": fault, "text": text, **more})
