"""The record process: one loop that seals, stores, offers, answers, and waits for no disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agent.core.types import ClockState, Now
from agent.ipc import Connection, Handler, Message, Refused, Role
from agent.record.alarm_state import UNREADABLE, AlarmStateFiles
from agent.record.clockwatch import ClockWatch
from agent.record.couriers import Couriers
from agent.record.epochs import known_epochs, next_epoch
from agent.record.evict import Cut, declare, plan_cuts
from agent.record.hint import read_hint, write_hint
from agent.record.intake import Intake
from agent.record.journal import Journal, StoreBusy
from agent.record.logbook import log_rows
from agent.record.messages import duty_is_answered, notice, raw_of, rows_of
from agent.record.ring import Db, Entry, db_of
from agent.record.sealer import Number, Sealer
from agent.record.settings import SOFTWARE, Settings
from agent.record.shelf import Shelf
from agent.record.soundness import judge_by
from agent.record.store import Store
from agent.record.tables import table_is_kept
from agent.record.told import Told
from agent.record.worker import Worker
from config.limits import (
    ALARM_STATE_BYTES_MAX,
    EVICT_LOOK_NS,
    HEARTBEAT_NS,
    PLACES_WRITE_NS,
    RECORD_STOP_NS,
    RECORD_TICK_NS,
    REFUSAL_EVENT_NS,
    S,
)
from config.words import Lane


class Service:
    """Composition and verbs. `ended` is set when the process has to end: `why` says so."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._clock = settings.clock
        self.ended = asyncio.Event()
        self.why = ""
        self.journal = Journal(
            settings.directory, settings.clock.mono_ns, self, settings.make_store, settings.free,
            judge_by(settings.signer, settings.site.gateway),
        )  # fmt: skip
        self._alarm_files = AlarmStateFiles(settings.directory)
        self._alarm_worker = Worker("alarm-state", self._alarm_files, settings.clock.mono_ns)
        self._alarm_state: bytes | None = None
        self._recalling = True  # what the disk holds of it is not known yet
        self._fields: set[Connection] = set()
        self.faults: dict[str, str] = {}
        self._session = b""
        self._durable: dict[Db, tuple[bytes, int]] = dict.fromkeys(Db, (b"", 0))
        self._tasks: set[asyncio.Task[None]] = set()
        self.told = Told()
        self._watch = ClockWatch(settings.clock.boot_id, settings.clock.now())
        self._started_ns = settings.clock.mono_ns()
        self._refusals_ns = self._places_ns = self._evict_ns = self._started_ns
        self._heartbeat_ns = self._started_ns
        self._cutting: dict[Number, tuple[Db, list[Cut]]] = {}

    # --- start and end --------------------------------------------------------------------------

    async def start(self, hurry: asyncio.Event | None = None) -> None:
        """Open the files, recall the alarm state, open an epoch.

        hurry: set when a fire waits. Only once: a record that ended because its disk came to life
        gives it all its time, or it would begin without it again and again.
        """
        s = self.settings
        recall = self._recall()
        patient = s.run_dir / "record.patient"
        openings = await self.journal.open(None if patient.exists() else hurry)
        with contextlib.suppress(OSError):
            patient.unlink(missing_ok=True)
        if not any(opening.error for opening in openings.values()):
            await asyncio.wait((recall,), timeout=1)
        now = self._clock.now()
        events, telemetry = openings[Db.EVENTS], openings[Db.TELEMETRY]
        hint_path = s.run_dir / "record.epoch"
        owner = s.signer.kid + s.site.gateway.encode()
        before, what = next_epoch(events, telemetry, read_hint(hint_path, owner), SOFTWARE)
        sealer = Sealer(
            s.signer, s.site.gateway, self._clock.boot_id, s.chance(8), before, what, now
        )
        self._place = sealer.place
        with contextlib.suppress(OSError):  # tmpfs; only a start without a disk misses it
            write_hint(hint_path, owner, sealer.place)
        epochs = known_epochs(events, telemetry)
        epochs[sealer.place.ordinal] = sealer.place
        surveys = [opening.survey for opening in openings.values()]
        self._shelf = Shelf(epochs.values(), surveys, sealer.place.ordinal)
        self.journal.begin(list(epochs.values()))
        places = [place for survey in surveys for place in survey.places]
        self._intake = Intake(sealer, self.journal, self._shelf, s.site, s.chance(16))
        # The counter of commands may be older than we are: damaged, or put back from a copy.
        forgot = bool(events.damage or events.error or events.tail_lost)
        forgot |= before is not None and (Lane.EPOCH, before.ordinal) not in events.survey.ranges
        self._couriers = Couriers(self, self._shelf, self._intake, places, forgot=forgot)
        self._couriers.save_places()
        for db in Db:
            self._durable[db] = (openings[db].survey.session, openings[db].survey.mark)
        kept = not events.error and await table_is_kept(
            self.journal, self._shelf, s.site.table_hash
        )
        self._intake.begin(now, table_is_kept=kept)
        for db, opening in openings.items():
            if opening.trouble:
                self.fault(f"record.{db}", f"{db}.db {opening.trouble}")
        self.journal.tick()

    def _recall(self) -> asyncio.Task[None]:
        """Read the alarm state; a disk that takes long is waited for beside everything else.

        Until it answered nobody knows whether there was a fire, and the field is told just that.
        """
        reading = asyncio.get_running_loop().create_task(self._read_alarm_state())
        self._tasks.add(reading)
        reading.add_done_callback(self._tasks.discard)
        return reading

    async def _read_alarm_state(self) -> None:
        state: bytes | None = None
        try:
            state = await self._alarm_worker.ask(lambda files: files.read())
        except OSError as e:
            self.fault("record.recall", e.strerror or str(e))
            state = UNREADABLE
        self._recalling = False
        if self._alarm_state is None:
            self._alarm_state = state
        for connection in list(self._fields):  # they said hello before the disk answered
            connection.send({"e": "recalled", "state": state})

    async def run(self) -> None:
        """Everything that is due by time, until cancelled."""
        while True:
            self.tick()
            await asyncio.sleep(RECORD_TICK_NS / S)

    def tick(self) -> None:
        """One look at everything that is due by time."""
        now = self._clock.now()
        self._watch.look(now, partial(self._intake.own_event, "record/clock"))
        self._intake.tick(now)
        self.journal.tick()
        if self._intake.malformed:
            text = f"{self._intake.malformed} records or blocks of the field cannot be sealed"
            self.fault("record.malformed", text)
        self._couriers.tick(now.mono_ns)
        if self._intake.refusing and self.journal.ring.room(Lane.EVENT):
            for connection in list(self._fields):
                connection.close()  # it comes again and submits what had to wait
        if now.mono_ns - self._places_ns >= PLACES_WRITE_NS:
            self._places_ns = now.mono_ns
            self._couriers.save_places()
        if now.mono_ns - self._heartbeat_ns >= HEARTBEAT_NS:
            self._heartbeat_ns = now.mono_ns
            self._heartbeat(now)
        if now.mono_ns - self._refusals_ns >= REFUSAL_EVENT_NS:
            self._refusals_ns = now.mono_ns
            self._couriers.put_on_record(now)
        if now.mono_ns - self._evict_ns >= EVICT_LOOK_NS:
            self._evict_ns = now.mono_ns
            for db in Db:
                self.spawn(self._evict(db))
        self._couriers.pump()

    async def stop(self) -> None:
        """Seal and store what there is, remember the places, close the files."""
        for task in list(self._tasks):
            task.cancel()
        self._intake.close(self._clock.now())
        deadline_ns = self._clock.mono_ns() + RECORD_STOP_NS
        while any(self.journal.ring.pending(db) for db in Db):
            self.journal.tick()
            if self._clock.mono_ns() >= deadline_ns or self.journal.trouble():
                break
            await asyncio.sleep(0.005)
        for db, places in self._couriers.moved_places():
            await self._couriers.save(db, places)
        await asyncio.to_thread(self.journal.stop, 1.0)
        await asyncio.to_thread(self._alarm_worker.stop, 1.0)

    # --- what the journal tells -----------------------------------------------------------------

    def made_durable(self, entries: Sequence[Entry]) -> None:
        """Tell the field, and the couriers get what waited for it."""
        for entry in entries:
            db = db_of(entry.sealed.number.lane)
            if entry.session:
                self._durable[db] = (entry.session, entry.mark)
                if entry.session == self._session:
                    what = "durable" if db is Db.EVENTS else "telemetry_durable"
                    for connection in list(self._fields):
                        connection.send({"e": what, "seq": entry.mark})
            cut = self._cutting.pop(entry.sealed.number, None)
            if cut is not None:
                self.spawn(self._delete(*cut))
        self._couriers.pump()

    def disk(self, text: str) -> None:
        """A fault of the disk, or its end."""
        self.fault("record.disk", text)

    def restart(self, why: str) -> None:
        """End; the service manager starts us again."""
        with contextlib.suppress(OSError):
            (self.settings.run_dir / "record.patient").touch()
        self.why = self.why or why
        self.ended.set()

    def field(self) -> Sequence[Connection]:
        """The field process of now, if it is there."""
        return list(self._fields)

    def fault(self, source: str, text: str) -> None:
        """A fault that the field is told of; without a text, its end."""
        if self.faults.get(source, "") == text:
            return
        if text:
            self.faults[source] = text
        else:
            del self.faults[source]
        for connection in list(self._fields):
            connection.send(notice(source, text))

    # --- verbs ----------------------------------------------------------------------------------

    def verbs(self) -> Mapping[str, tuple[Role, Handler]]:
        """The verb table of record.sock."""
        return {
            "hello": (Role.FIELD, self._hello),
            "submit": (Role.FIELD, self._submit),
            "telemetry": (Role.FIELD, self._telemetry),
            "alarm_state": (Role.FIELD, self._keep_alarm_state),
            **self._couriers.verbs(),
            "routing": (Role.FIELD, self._routing),
            "status": (Role.VIEW, self._status),
            "log": (Role.VIEW, self._log),
        }

    def _hello(self, connection: Connection, message: Message) -> Message:
        session = raw_of(message, "session", 16)
        if raw_of(message, "boot", 16) != self._clock.boot_id:
            raise Refused("foreign", "the field process is of another boot")
        self._session = session
        marks = {db: mark if of == session else 0 for db, (of, mark) in self._durable.items()}
        self._intake.hello(session, marks[Db.EVENTS], marks[Db.TELEMETRY], self._clock.now())
        self._fields = {connection}  # the field of now; an older connection says nothing any more
        connection.on_close.append(lambda: self._fields.discard(connection))
        for source, text in self.faults.items():
            connection.send(notice(source, text))
        self.told.again(connection)
        return {
            "durable": marks[Db.EVENTS],
            "telemetry_durable": marks[Db.TELEMETRY],
            "epoch": self._place.epoch,
            "state": self._alarm_state,
            "recalling": self._recalling,
        }

    def _submit(self, connection: Connection, message: Message) -> Message:
        self._must_be_field(connection)
        rows = rows_of(message, "events")
        taken = self._intake.submit(rows, self._clock.now())
        answers = [row[4] for row in rows if duty_is_answered(row)]
        if answers:
            self._couriers.duty_answered(max(answers))
        self._couriers.pump()
        return {"taken": taken}

    def _telemetry(self, connection: Connection, message: Message) -> Message:
        self._must_be_field(connection)
        dropped = message.get("dropped") or {}
        if not isinstance(dropped, dict):
            raise Refused("malformed", "dropped: expected a map of readings by poll")
        self._intake.telemetry(rows_of(message, "blocks"), dropped, self._clock.now())
        return {}

    async def _keep_alarm_state(self, connection: Connection, message: Message) -> Message:
        self._must_be_field(connection)
        state = message.get("state")
        if not isinstance(state, bytes) or len(state) > ALARM_STATE_BYTES_MAX:
            raise Refused("malformed", f"expected at most {ALARM_STATE_BYTES_MAX} bytes of state")
        self._alarm_state = state
        try:
            await self._alarm_worker.ask(lambda files: files.write(state))
        except Exception as e:  # the disk, or too many that wait for it
            self.fault("record.alarm_state", f"the alarm state cannot be kept: {e}")
            raise Refused("disk", str(e)) from e
        self.fault("record.alarm_state", "")
        return {}

    def _routing(self, connection: Connection, message: Message) -> Message:
        self._must_be_field(connection)
        return self._couriers.route(message)

    def _must_be_field(self, connection: Connection) -> None:
        if connection not in self._fields:
            raise Refused("hello_first", "say hello first")

    def _status(self, _connection: Connection, _message: Message) -> Message:
        return {
            "gateway": self.settings.site.gateway,
            "epoch": self._place.epoch.hex(),
            "ordinal": self._place.ordinal,
            "faults": dict(self.faults),
            "lanes": {
                lane: ends[1]
                for lane in self._shelf.lanes()
                if (ends := self._shelf.ends(lane, self._place.ordinal)) is not None
            },
            "store": self.journal.status(),
            "malformed": self._intake.malformed,
            "couriers": self._couriers.status(),
        }

    def status_of(self, courier: str) -> dict[str, Any]:
        """One courier's part of the status."""
        return self._couriers[courier].status()

    def first_of(self, lane: str) -> int:
        """The first number there is of a lane in the open epoch, -1 for none."""
        ends = self._shelf.ends(lane, self._place.ordinal)
        return -1 if ends is None else ends[0]

    async def _log(self, _connection: Connection, message: Message) -> Message:
        try:
            return await log_rows(self.journal, message)
        except StoreBusy as e:
            raise Refused("busy", str(e)) from e

    # --- couriers -------------------------------------------------------------------------------

    def _heartbeat(self, now: Now) -> None:
        message = {
            "e": "heartbeat",
            "bytes": self._intake.heartbeat(now, self._couriers.desk.orders.nonce),
        }
        self._couriers.tell(message)

    # --- making room ----------------------------------------------------------------------------

    async def _evict(self, db: Db) -> None:
        """Declare what has to go; `_delete` removes it once that is on disk."""
        now = self._clock.now()
        # Nobody's word but a time server's makes events old enough to go: a clock may jump. And not
        # even its word moves on at once: the years that were left out made nothing old.
        ahead_ns = max(0, self._watch.stepped_ns)
        wall_ns = now.wall_ns - ahead_ns if now.clock is ClockState.SYNCHRONISED else 0
        if any(of is db for of, _ in self._cutting.values()):
            return
        cuts = await self.journal.ask_quietly(db, lambda store: plan_cuts(store, db, wall_ns))
        if not cuts:
            return
        body, losses = declare(cuts, self._shelf.epoch)
        entry = self._intake.own_event("record/store", body, self._clock.now(), losses)
        if entry is not None:
            self._cutting[entry.sealed.number] = (db, cuts)

    async def _delete(self, db: Db, cuts: list[Cut]) -> None:
        for lane, ordinal, seq in cuts:
            self._shelf.removed(lane, ordinal, seq)
            self._couriers.evicted((lane, ordinal, seq))

        def job(store: Store) -> None:
            for cut in cuts:
                store.delete(*cut)

        await self.journal.ask_quietly(db, job)
        self._couriers.pump()

    def spawn(self, work: Any) -> None:
        """Do something in the background."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
