"""From what the field process says to sealed batches in the journal.

Events are sealed as they are submitted, fire in a batch of its own. Their numbers (session, seq)
are taken in once: what comes again after a restart of either side is recognised by them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agent.core.types import Now
from agent.record.gather import Gather, Telemetry
from agent.record.journal import Journal
from agent.record.plan_table import Site
from agent.record.ring import Entry
from agent.record.sealer import Sealed, Sealer
from agent.record.shelf import Shelf
from agent.uplink import check
from agent.uplink.batch import Codec, Loss, LossReason
from agent.uplink.errors import UplinkError
from agent.uplink.events import EventRecord, encode_events, event_of
from config.limits import BATCH_EVENTS_MAX, LOSSES_MAX, TELEMETRY_BATCH_NS
from config.words import Lane

EVENT_BYTES_MAX = 64 * 1024
_EVENT_BATCH_BYTES = 256 * 1024
_POLL_MAX = 2**32 - 1


class Intake:
    """Seals into the open epoch. Everything is synchronous and touches no disk."""

    def __init__(
        self, sealer: Sealer, journal: Journal, shelf: Shelf, site: Site, own: bytes
    ) -> None:
        self._sealer = sealer
        self._journal = journal
        self._shelf = shelf
        self._table = site.table_hash
        self._table_parts = site.table_parts
        self._gather = Gather(site.resolutions)
        self._own_session = own
        self._own_seq = 0
        self._session = b""
        self._taken = 0
        self._ahead: set[int] = set()  # fire taken in while older events had to wait
        self._telemetry_taken = 0
        # Latest block of each poll, for centres that ask for a value; nobody else needs it.
        self.latest: dict[int, tuple[int, bytes, bytes]] | None = {} if site.unsigned else None
        self._dropped: dict[int, int] = {}
        self._summaries_dropped = 0
        self.refusing = False  # the ring is full: events stay with the field process
        self.malformed = 0

    # --- the epoch ------------------------------------------------------------------------------

    def begin(self, now: Now, *, table_is_kept: bool) -> None:
        """The epoch itself, and the point table unless the journal has it already."""
        entries = [self._entry(self._sealer.opening, now)]
        if not table_is_kept:
            for part in self._table_parts:
                sealed = self._sealer.seal(
                    Lane.TABLE, Codec.TABLE_PART, part, now, mono_first_ns=now.mono_ns
                )
                entries.append(self._entry(sealed, now))
        self._table_parts = ()  # sealed, or not needed
        self._journal.add(entries)

    def heartbeat(self, now: Now, nonce: bytes) -> bytes:
        """Signed heads of all lanes."""
        return self._sealer.heartbeat(now, nonce)

    # --- events ---------------------------------------------------------------------------------

    def hello(self, session: bytes, durable: int, telemetry_durable: int, now: Now) -> None:
        """A field process is there: what it calls `session`, and what of it is on disk.

        What is sealed and not on disk yet counts as taken in: it will not be sealed again.
        """
        if session != self._session:
            self.flush(now)  # under the old session
            self._session, self._taken = session, durable
            self._telemetry_taken = telemetry_durable
            self._ahead.clear()
        self.refusing = False

    def submit(self, rows: Sequence[Any], now: Now) -> int:
        """Seal what is new among [seq, lane, source, what, mono, wall, clock, folded, body].

        Returns the number up to which everything is taken in.
        """
        groups: dict[str, list[EventRecord]] = {Lane.FIRE: [], Lane.EVENT: []}
        last = self._taken
        for row in rows:
            seq = row[0] if isinstance(row, list) and row else None
            if type(seq) is not int or seq <= last:
                continue
            if seq > check.UINT_MAX:  # it would be the mark of all before it
                self.malformed += 1
                continue
            last = seq
            if seq in self._ahead:
                continue
            record, lane = self._record(row)
            if record is not None and lane in groups:
                groups[lane].append(record)
            else:
                self.malformed += 1
        if self.refusing or not self._journal.ring.room(Lane.EVENT):
            self.refusing = True
            self._fire_alone(groups[Lane.FIRE], now)
            return self._taken
        entries: list[Entry] = []
        for lane, records in groups.items():
            entries += self._seal_events(lane, records, now)
        self._ahead = {seq for seq in self._ahead if seq > last}
        self._taken = last
        if entries:
            self._close(entries, last)
            self._journal.add(entries)
        return self._taken

    def _fire_alone(self, records: list[EventRecord], now: Now) -> None:
        """The ring is full of what the disk does not take; fire still leaves for the couriers."""
        if not records or not self._journal.ring.room(Lane.FIRE):
            return
        entries = self._seal_events(Lane.FIRE, records, now)
        self._ahead |= {record.seq for record in records}
        self._journal.add(entries)

    def _record(self, row: list[Any]) -> tuple[EventRecord | None, str]:
        try:
            seq, lane, *rest = check.array(row, "event", 9)
            record = event_of([self._session, seq, *rest])
            if len(encode_events([record])) > EVENT_BYTES_MAX:
                return None, ""
        except (UplinkError, ValueError, TypeError):
            return None, ""  # counted by the caller: our own field process does not write these
        return record, str(lane)

    def _seal_events(self, lane: str, records: list[EventRecord], now: Now) -> list[Entry]:
        entries: list[Entry] = []
        part: list[EventRecord] = []
        size = 0
        for record in records:
            weight = len(encode_events([record]))
            if part and (len(part) >= BATCH_EVENTS_MAX or size + weight > _EVENT_BATCH_BYTES):
                entries.append(self._seal_part(lane, part, now))
                part, size = [], 0
            part.append(record)
            size += weight
        if part:
            entries.append(self._seal_part(lane, part, now))
        return entries

    def _seal_part(
        self, lane: str, records: list[EventRecord], now: Now, losses: Sequence[Loss] = ()
    ) -> Entry:
        sealed = self._sealer.seal(
            lane,
            Codec.CBOR,
            encode_events(records),
            now,
            mono_first_ns=min(record.mono_ns for record in records),
            table=self._table,
            losses=losses,
        )
        return self._entry(sealed, now)

    def _close(self, entries: list[Entry], mark: int) -> None:
        """One transaction holds all of a submission, and with it the field's place."""
        for entry in entries[:-1]:
            entry.closes = False
        entries[-1].session, entries[-1].mark = self._session, mark

    def own_event(
        self, source: str, body: Mapping[str, Any], now: Now, losses: Sequence[Loss] = ()
    ) -> Entry | None:
        """An event of the record itself; None, and it is not said, when the ring is full."""
        if not self._journal.ring.room(Lane.EVENT):
            return None
        self._own_seq += 1
        record = EventRecord(
            self._own_session, self._own_seq, source, "system", now.mono_ns, now.wall_ns,
            int(now.clock), 0, body,
        )  # fmt: skip
        entry = self._seal_part(Lane.EVENT, [record], now, losses)
        self._journal.add([entry])
        return entry

    # --- telemetry ------------------------------------------------------------------------------

    def telemetry(self, blocks: Sequence[Any], dropped: Mapping[Any, Any], now: Now) -> None:
        """Gather blocks; those taken in before are passed over."""
        for poll, readings in dropped.items():
            if 0 <= int(poll) <= _POLL_MAX and int(readings) >= 0:
                self._drop({int(poll): int(readings)})
            else:
                self.malformed += 1
        for row in blocks:
            seq = row[0] if isinstance(row, list) and row else None
            if type(seq) is not int or not self._telemetry_taken < seq <= check.UINT_MAX:
                continue
            self._telemetry_taken = seq
            try:
                if len(check.array(row, "block", 7)) and self._gather.jumps(row):
                    self.close(now)
                elif self._gather.full(row):
                    self.flush(now)
                self._gather.add(row, now.mono_ns)
                if self.latest is not None:
                    self.latest[row[1]] = (row[3], row[5], row[6])
            except (UplinkError, TypeError):
                self.malformed += 1

    def tick(self, now: Now) -> None:
        """Seal the telemetry that is due."""
        if len(self._gather) and now.mono_ns - self._gather.began_ns >= TELEMETRY_BATCH_NS:
            self.flush(now)
        if self._gather.summing.due(now.mono_ns):
            self._summary(now)

    def close(self, now: Now) -> None:
        """Seal everything gathered: another time begins, or the end has come."""
        self.flush(now)
        if not len(self._gather.summing):
            return
        if not self._summary(now):
            self._gather.summing.drop()
            self._summaries_dropped += 1

    def _summary(self, now: Now) -> bool:
        """Seal the summary. With no room in memory it goes on growing: it says what it covers."""
        if not self._journal.ring.room(Lane.SUMMARY):
            return False
        made = self._gather.summing.take()
        lost, self._summaries_dropped = self._summaries_dropped, 0
        sealed = self._sealer.seal(
            Lane.SUMMARY,
            Codec.SUMMARY,
            made.data,
            made.last,
            mono_first_ns=made.mono_first_ns,
            table=self._table,
            losses=[Loss(LossReason.DROPPED, Lane.SUMMARY, b"", 0, lost)] if lost else (),
        )
        self._journal.add([self._entry(sealed, now)])
        return True

    def flush(self, now: Now) -> None:
        """Seal what was gathered; with no room for it in memory, drop and count it."""
        if not len(self._gather):
            return
        if not self._journal.ring.room(Lane.TELEMETRY):
            self._drop(self._gather.drop())
            return
        gathered: Telemetry = self._gather.take()
        losses = [
            Loss(LossReason.DROPPED, f"telemetry/{poll}", b"", 0, count)
            for poll, count in sorted(self._dropped.items())[:LOSSES_MAX]
        ]
        sealed = self._sealer.seal(
            Lane.TELEMETRY,
            Codec.COLUMNS,
            gathered.data,
            gathered.last,
            mono_first_ns=gathered.mono_first_ns,
            table=self._table,
            losses=losses,
        )
        for loss in losses:
            del self._dropped[int(loss.lane.split("/")[1])]
        entry = self._entry(sealed, now)
        entry.session, entry.mark = self._session, gathered.mark
        self._journal.add([entry])

    def _drop(self, counts: Mapping[int, int]) -> None:
        for poll, readings in counts.items():
            self._dropped[poll] = min(check.UINT_MAX, self._dropped.get(poll, 0) + readings)

    def _entry(self, sealed: Sealed, now: Now) -> Entry:
        self._shelf.added(sealed.number)
        return Entry(sealed, now.mono_ns)
