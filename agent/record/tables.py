"""Whether the journal holds the point table already: a restart does not seal it again."""

from __future__ import annotations

from agent.record.journal import Journal
from agent.record.ring import Db
from agent.record.shelf import Shelf
from agent.record.store import Store
from agent.uplink.batch import decode_payload
from agent.uplink.cbor import decode
from agent.uplink.errors import UplinkError
from agent.uplink.table import decode_part
from config.limits import TABLE_PARTS_MAX
from config.words import Lane


async def table_is_kept(journal: Journal, shelf: Shelf, name: bytes) -> bool:
    """Whether all parts of the table `name` are the newest of their lane in some epoch kept."""
    ordinals = shelf.ordinals(Lane.TABLE)[-4:]

    def job(store: Store) -> bool:
        for ordinal in reversed(ordinals):
            ends = shelf.ends(Lane.TABLE, ordinal)
            after = -1 if ends is None else max(ends[0], ends[1] - TABLE_PARTS_MAX) - 1
            rows = store.fetch(Lane.TABLE, ordinal, after)
            if _complete([row.data for row in rows], name):
                return True
        return False

    return bool(ordinals) and await journal.ask_quietly(Db.EVENTS, job) is True


def _complete(messages: list[bytes], name: bytes) -> bool:
    found: set[int] = set()
    parts = 0
    for message in messages:
        try:
            # Our own file, behind our own checks: the payload is read without its signature.
            part = decode_part(decode_payload(decode(message[1:])[2]).data)
        except (UplinkError, TypeError, LookupError):
            continue
        if part.hash == name:
            found.add(part.index)
            parts = part.parts
    return parts > 0 and found == set(range(parts))
