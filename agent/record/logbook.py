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
from config.limits import LOG_BYTES_MAX, LOG_ROWS_MAX
from config.words import Lane

_LANES = (Lane.FIRE, Lane.EVENT)
_ID_MAX = 2**63 - 1


async def log_rows(journal: Journal, message: Message) -> Message:
    """{after, before, limit, lane, oldest, since_ns} -> {rows, last, more}.

    A row: {id, lane, ordinal, seq, boot, records: [[seq, source, what, mono_ns, wall_ns, clock,
    folded, body], ...]}. At most `limit` batches between two ids, oldest first: the newest of them,
    or with `oldest` the oldest. more: there may be others. To page on, ask after the last id, or
    before the first one. Raises Refused, StoreBusy.
    """
    after, before = _number(message, "after", 0), _number(message, "before", _ID_MAX)
    limit, since_ns = _number(message, "limit", LOG_ROWS_MAX), _number(message, "since_ns", 0)
    lane, oldest = message.get("lane"), message.get("oldest", False)
    if limit < 1 or type(oldest) is not bool:
        raise Refused("malformed", "limit: expected 1 or more; oldest: expected true or false")
    if lane is not None and lane not in _LANES:
        raise Refused("malformed", "lane: expected fire or event")
    lanes = [str(lane)] if lane is not None else [str(name) for name in _LANES]
    limit = min(limit, LOG_ROWS_MAX)
    rows: list[Row] = await journal.ask(
        Db.EVENTS,
        lambda store: store.log(
            lanes, after, limit, before=before, oldest=oldest, since_ns=since_ns
        ),
    )
    whole = len(rows) == limit
    out: list[dict[str, Any]] = []
    size = 0
    for row in rows if oldest else reversed(rows):
        size += 2 * len(row.data)
        if size > LOG_BYTES_MAX and out:
            whole = True
            break  # the rest is asked for next
        out.append(_row(row))
    if not oldest:
        out.reverse()
    return {"rows": out, "last": out[-1]["id"] if out else after, "more": whole}


def _number(message: Message, key: str, default: int) -> int:
    value = message.get(key, default)
    if type(value) is not int or not 0 <= value <= _ID_MAX:
        raise Refused("malformed", f"{key}: expected a whole number that is not negative")
    return value


def _row(row: Row) -> dict[str, Any]:
    head = {"id": row.id, "lane": row.lane, "ordinal": row.ordinal, "seq": row.seq, "boot": b""}
    try:
        batch = decode_payload(decode(row.data[1:])[2])
        records = decode_events(batch.data)
    except (UplinkError, TypeError, LookupError):
        return {**head, "records": [], "text": "cannot be read; run 'embergate verify'"}
    return {
        **head,
        "boot": batch.boot,
        "records": [
            [r.seq, r.source, r.what, r.mono_ns, r.wall_ns, r.clock, r.folded, dict(r.body)]
            for r in records
        ],
    }
