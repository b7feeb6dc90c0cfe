"""The verb `log`: events of the journal, decoded, oldest first."""

from __future__ import annotations

from typing import Any

from agent.ipc import Message, Refused
from agent.record.journal import Journal
from agent.record.ring import Db
from agent.record.store import Row
from agent.uplink.batch import decode_payload
from agent.uplink.cbor import decode
from agent.uplink.errors import UplinkError
from agent.uplink.events import decode_events
from config.limits import IPC_MESSAGE_BYTES_MAX, LOG_ROWS_MAX
from config.words import Lane

_LANES = (Lane.FIRE, Lane.EVENT)


async def log_rows(journal: Journal, message: Message) -> Message:
    """{after: id, limit, lane} -> {rows: [...], last: id}. Raises Refused, StoreBusy.

    A row: {id, lane, ordinal, seq, records: [[seq, source, what, mono_ns, wall_ns, clock, folded,
    body], ...]}. The newest `limit` batches after `after`.
    """
    after, limit = message.get("after", 0), message.get("limit", LOG_ROWS_MAX)
    lane = message.get("lane")
    if not isinstance(after, int) or not isinstance(limit, int) or limit < 1:
        raise Refused("malformed", "after and limit: expected numbers")
    if lane is not None and lane not in _LANES:
        raise Refused("malformed", "lane: expected fire or event")
    lanes = [str(lane)] if lane is not None else [str(name) for name in _LANES]
    limit = min(limit, LOG_ROWS_MAX)
    rows: list[Row] = await journal.ask(Db.EVENTS, lambda store: store.log(lanes, after, limit))
    out: list[dict[str, Any]] = []
    size = 0
    for row in reversed(rows):
        size += 2 * len(row.data)
        if size > IPC_MESSAGE_BYTES_MAX // 2:
            break  # the oldest are left out: they are asked for with a smaller limit
        out.append(_row(row))
    out.reverse()
    return {"rows": out, "last": rows[-1].id if rows else after}


def _row(row: Row) -> dict[str, Any]:
    head = {"id": row.id, "lane": row.lane, "ordinal": row.ordinal, "seq": row.seq}
    try:
        records = decode_events(decode_payload(decode(row.data[1:])[2]).data)
    except (UplinkError, TypeError, LookupError):
        return {**head, "records": [], "text": "cannot be read; run 'embergate verify'"}
    return {
        **head,
        "records": [
            [r.seq, r.source, r.what, r.mono_ns, r.wall_ns, r.clock, r.folded, dict(r.body)]
            for r in records
        ],
    }
