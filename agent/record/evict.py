"""What has to go when a file is full. It is declared in the chain first, and removed after that.

Telemetry goes by size, summaries when there is no telemetry left, events last: only beyond a
year and 10,000 rows, or, when the file is twice as large as it should be, beyond 10,000 rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from agent.record.ring import Db
from agent.record.store import Store
from agent.uplink.batch import Loss, LossReason
from config.limits import (
    EVENT_AGE_NS_MIN,
    EVENT_ROWS_MIN,
    EVENTS_DB_BYTES_MAX,
    EVICT_PART,
    TELEMETRY_DB_BYTES_MAX,
)
from config.words import Lane

Cut = tuple[str, int, int]
"""(lane, ordinal, seq): this batch and everything of its lane before it."""

_ROWS_MAX = 4_096


def plan_cuts(
    store: Store,
    db: Db,
    wall_ns: int,
    *,
    telemetry_bytes: int = TELEMETRY_DB_BYTES_MAX,
    events_bytes: int = EVENTS_DB_BYTES_MAX,
    rows_min: int = EVENT_ROWS_MIN,
) -> list[Cut]:
    """What goes now; empty when nothing has to. wall_ns: 0 when the clock is not set."""
    used = store.used_bytes()
    if db is Db.TELEMETRY:
        if used <= telemetry_bytes:
            return []
        for lane in (Lane.TELEMETRY, Lane.SUMMARY):
            cuts = _oldest(store, (lane,), telemetry_bytes // EVICT_PART, 0)
            if cuts:
                return cuts
        return []
    if used <= events_bytes:
        return []
    lanes = (Lane.FIRE, Lane.EVENT)
    spare = store.count(lanes) - rows_min
    if spare <= 0:
        return []
    older_than = 0 if used > 2 * events_bytes else wall_ns - EVENT_AGE_NS_MIN
    if used <= 2 * events_bytes and not wall_ns:
        return []
    return _oldest(store, lanes, events_bytes // EVICT_PART, older_than, min(spare, _ROWS_MAX))


def declare(
    cuts: Sequence[Cut], epoch: Callable[[int], bytes]
) -> tuple[dict[str, Any], list[Loss]]:
    """(body of the event, losses) that say what goes. epoch: the name of an ordinal."""
    losses = [Loss(LossReason.EVICTED, lane, epoch(o), 0, seq) for lane, o, seq in cuts]
    return {"event": "evicted", "lanes": sorted(str(lane) for lane, _, _ in cuts)}, losses


def _oldest(
    store: Store, lanes: Sequence[str], enough: int, older_than: int, limit: int = _ROWS_MAX
) -> list[Cut]:
    """The oldest rows up to `enough` bytes. The last row of a lane stays: it is its head.

    Rows are in the order of their making. One whose clock was not set is as old as the next one
    that has a time, so a start in 1970 makes nothing old.
    """
    rows = store.oldest(lanes, limit + 1)
    keep = {lane: max((r[2], r[3]) for r in rows if r[1] == lane) for lane in {r[1] for r in rows}}
    cuts: dict[str, Cut] = {}
    waiting: list[tuple[int, str, int, int, int, int]] = []
    size = 0
    for row in rows[:limit]:
        _, _, _, _, wall, length = row
        if older_than and wall > older_than:
            break
        waiting.append(row)
        size += length
        if not older_than or wall:
            for _, lane, ordinal, seq, _, _ in waiting:
                if (ordinal, seq) < keep[lane]:
                    cuts[lane] = (lane, ordinal, seq)
            waiting = []
        if size >= enough:
            break
    return list(cuts.values())
