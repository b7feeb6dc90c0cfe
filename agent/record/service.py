"""The record process: one loop that seals, stores, offers, answers, and waits for no disk."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agent.core.types import ClockState, Now
from agent.ipc import Connection, Handler, Message, Refused, Role
from agent.record.acks import take_ack
from agent.record.alarm_state import UNREADABLE, AlarmStateFiles
from agent.record.clockwatch import ClockWatch
from agent.record.epochs import next_epoch
from agent.record.evict import Cut, declare, plan_cuts
from agent.record.hint import read_hint, write_hint
from agent.record.intake import Intake
from agent.record.journal import Journal, StoreBusy
from agent.record.logbook import log_rows
from agent.record.messages import notice, raw_of, rows_of
from agent.record.offers import Courier, Stream
from agent.record.ring import Db, Entry, db_of
from agent.record.routing import routing_verb
from agent.record.sealer import EpochPlace, Number, Sealer
from agent.record.settings import SOFTWARE, Settings
from agent.record.shelf import Shelf
from agent.record.soundness import judge_by
from agent.record.store import Place, Row, Store
from agent.record.tables import table_is_kept
from agent.record.told import Told
from agent.record.unsigned import Said, notice_of, take_delivered
from agent.record.worker import Worker
from config.limits import (
    ALARM_STATE_BYTES_MAX,
    COURIER_ABSENT_NS,
    COURIER_STATE_TEXT_MAX,
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
            judge_by(settings.signer),
        )  # fmt: skip
        self._alarm_files = AlarmStateFiles(settings.directory)
        self._alarm_worker = Worker("alarm-state", self._alarm_files, settings.clock.mono_ns)
        self._alarm_state: bytes | None = None
        self._recalling = True  # what the disk holds of it is not known yet
        self._fields: set[Connection] = set()
        self._followers: dict[Connection, Courier] = {}
        self.faults: dict[str, str] = {}
        self._session = b""
        self._durable: dict[Db, tuple[bytes, int]] = dict.fromkeys(Db, (b"", 0))
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusals: dict[str, int] = {}
        self._said = Said()
        self.told = Told()
        self._watch = ClockWatch(settings.clock.boot_id, settings.clock.now())
        self._started_ns = settings.clock.mono_ns()
        self._refusals_ns = self._places_ns = self._evict_ns = self._started_ns
        self._heartbeat_ns = self._started_ns
        self._cutting: dict[Number, tuple[Db, list[Cut]]] = {}

    # --- start and end --------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the files, recall the alarm state, open an epoch."""
        s, now = self.settings, self._clock.now()
        openings = await self.journal.open()
        await self._recall()
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
        epochs: dict[int, EpochPlace] = {}
        for opening in (events, telemetry):
            epochs |= {e.ordinal: e for x in (opening.survey, opening.salvaged) for e in x.epochs}
        epochs[sealer.place.ordinal] = sealer.place
        surveys = [opening.survey for opening in openings.values()]
        self._shelf = Shelf(epochs.values(), surveys, sealer.place.ordinal)
        self.journal.begin(list(epochs.values()))
        places = [place for survey in surveys for place in survey.places]
        ring = self.journal.ring
        self._couriers = {
            n: Courier(n, self._shelf, ring, places, unsigned=n in s.site.unsigned)
            for n in s.site.couriers
        }
        self._save_places()
        for db in Db:
            self._durable[db] = (openings[db].survey.session, openings[db].survey.mark)
        self._intake = Intake(sealer, self.journal, self._shelf, s.site, s.chance(16))
        kept = not events.error and await table_is_kept(
            self.journal, self._shelf, s.site.table_hash
        )
        self._intake.begin(now, table_is_kept=kept)
        for db, opening in openings.items():
            if opening.trouble:
                self._fault(f"record.{db}", f"{db}.db {opening.trouble}")
        self.journal.tick()

    async def _recall(self) -> None:
        """Read the alarm state; a disk that takes long is waited for beside everything else.

        Until it answered nobody knows whether there was a fire, and the field is told just that.
        """
        reading = asyncio.get_running_loop().create_task(self._read_alarm_state())
        self._tasks.add(reading)
        reading.add_done_callback(self._tasks.discard)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.shield(reading)

    async def _read_alarm_state(self) -> None:
        state: bytes | None = None
        try:
            state = await self._alarm_worker.ask(lambda files: files.read())
        except OSError as e:
            self._fault("record.recall", e.strerror or str(e))
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
            self._fault("record.malformed", text)
        for courier in self._couriers.values():
            if not courier.follows and now.mono_ns - self._started_ns > COURIER_ABSENT_NS:
                self._courier_fault(courier, "the courier process is not there")
        if self._intake.refusing and self.journal.ring.room(Lane.EVENT):
            for connection in list(self._fields):
                connection.close()  # it comes again and submits what had to wait
        if now.mono_ns - self._places_ns >= PLACES_WRITE_NS:
            self._places_ns = now.mono_ns
            self._save_places()
        if now.mono_ns - self._heartbeat_ns >= HEARTBEAT_NS:
            self._heartbeat_ns = now.mono_ns
            self._heartbeat(now)
        if now.mono_ns - self._refusals_ns >= REFUSAL_EVENT_NS:
            self._refusals_ns = now.mono_ns
            self._tell_refusals(now)
        if now.mono_ns - self._evict_ns >= EVICT_LOOK_NS:
            self._evict_ns = now.mono_ns
            for db in Db:
                self._spawn(self._evict(db))
        self._pump()

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
        for db, places in self._moved_places():
            await self._save(db, places)
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
                self._spawn(self._delete(*cut))
        self._pump()

    def disk(self, text: str) -> None:
        """A fault of the disk, or its end."""
        self._fault("record.disk", text)

    def restart(self, why: str) -> None:
        """End; the service manager starts us again."""
        self.why = self.why or why
        self.ended.set()

    def _fault(self, source: str, text: str) -> None:
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
            "routing": (
                Role.FIELD,
                routing_verb(lambda: self._couriers, self._must_be_field, self._pump),
            ),
            "follow": (Role.COURIER, self._follow),
            "ack": (Role.COURIER, self._ack),
            "delivered": (Role.COURIER, self._delivered),
            "courier_state": (Role.COURIER, self._courier_state),
            "courier_event": (Role.COURIER, self._courier_event),
            "courier_notice": (Role.COURIER, self._courier_notice),
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
        taken = self._intake.submit(rows_of(message, "events"), self._clock.now())
        self._pump()
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
            self._fault("record.alarm_state", f"the alarm state cannot be kept: {e}")
            raise Refused("disk", str(e)) from e
        self._fault("record.alarm_state", "")
        return {}

    def _must_be_field(self, connection: Connection) -> None:
        if connection not in self._fields:
            raise Refused("hello_first", "say hello first")

    def _follow(self, connection: Connection, message: Message) -> Message:
        courier = self._couriers.get(str(message.get("courier")))
        if courier is None:
            known = ", ".join(self._couriers) or "none"
            raise Refused("unknown_courier", f"the plan has these couriers: {known}")
        self._followers[connection] = courier
        connection.on_close.append(lambda: self._left(connection))
        courier.follow(connection)
        asyncio.get_running_loop().call_soon(self._pump)  # after the answer
        return {"gateway": self.settings.site.gateway}

    def _left(self, connection: Connection) -> None:
        courier = self._followers.pop(connection, None)
        if courier is None:
            return
        courier.leave(connection)
        if not courier.follows:
            courier.connected = False
            self._courier_fault(courier, "the courier process is not there")
            self.told.ask(courier.name, "", self._fields)

    async def _ack(self, connection: Connection, message: Message) -> Message:
        courier = self._courier_of(connection)
        if courier.unsigned:
            raise Refused("unsigned", "this destination has no signed acknowledgements")
        raw = message.get("message")
        if not isinstance(raw, bytes):
            raise Refused("malformed", "expected the acknowledgement as bytes")

        async def read(number: Number) -> bytes | None:
            def job(store: Store) -> bytes | None:
                return store.get(number.lane, number.ordinal, number.seq)

            try:
                found: bytes | None = await self.journal.ask(db_of(number.lane), job)
            except StoreBusy as e:
                raise Refused("busy", str(e)) from e
            return found

        try:
            advanced = await take_ack(
                raw, courier, gateway=self.settings.site.gateway, trust=self.settings.platform,
                shelf=self._shelf, ring=self.journal.ring, read=read,
            )  # fmt: skip
        except Refused as e:
            if e.code not in ("stale", "busy"):
                key = f"{courier.name}: {e.code}"
                self._refusals[key] = self._refusals.get(key, 0) + 1
            raise
        self._pump()
        return {"advanced": advanced}

    def _courier_of(self, connection: Connection) -> Courier:
        courier = self._followers.get(connection)
        if courier is None:
            raise Refused("follow_first", "say which courier you are: follow")
        return courier

    def _courier_state(self, connection: Connection, message: Message) -> Message:
        courier = self._courier_of(connection)
        courier.connected = bool(message.get("connected"))
        courier.text = str(message.get("text", ""))[:COURIER_STATE_TEXT_MAX]
        self._courier_fault(courier, "" if courier.connected else courier.text or "no connection")
        return {}

    def _delivered(self, connection: Connection, message: Message) -> Message:
        advanced = take_delivered(message, self._courier_of(connection), self._shelf)
        if advanced:
            self._save_places()  # at once: a centre must not hear of an old fire a second time
            self._pump()
        return {"advanced": advanced}

    def _courier_event(self, connection: Connection, message: Message) -> Message:
        self._said.add(self._courier_of(connection).name, message)
        return {}

    def _courier_notice(self, connection: Connection, message: Message) -> Message:
        courier = self._courier_of(connection)
        self.told.ask(courier.name, notice_of(message), self._fields)
        return {}

    def _courier_fault(self, courier: Courier, text: str) -> None:
        courier.text = text or courier.text
        self._fault(f"courier.{courier.name}", text)

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
            "couriers": [courier.status() for courier in self._couriers.values()],
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

    def _pump(self) -> None:
        now_ns = self._clock.mono_ns()
        for courier in self._couriers.values():
            courier.pump(now_ns, partial(self._fetch, courier))
        self.told.calls(self._couriers.values(), self._shelf, self._fields)

    def _fetch(self, courier: Courier, stream: Stream, after: int) -> None:
        async def fetch() -> None:
            lane, ordinal = stream
            rows: list[Row] | None = await self.journal.ask_quietly(
                db_of(lane), lambda store: store.fetch(lane, ordinal, after)
            )
            courier.fetched(stream, rows)
            if rows:
                self._pump()

        self._spawn(fetch())

    def _heartbeat(self, now: Now) -> None:
        message = {"e": "heartbeat", "bytes": self._intake.heartbeat(now)}
        for courier in self._couriers.values():
            if not courier.unsigned:
                courier.tell(message)

    def _moved_places(self) -> list[tuple[Db, list[Place]]]:
        moved = [place for c in self._couriers.values() for place in c.dirty_places()]
        parts = [(db, [place for place in moved if db_of(place[1]) is db]) for db in Db]
        return [(db, places) for db, places in parts if places]

    def _save_places(self) -> None:
        for db, places in self._moved_places():
            self._spawn(self._save(db, places))

    async def _save(self, db: Db, places: list[Place]) -> None:
        # A place that is not kept costs a resend after the next start, nothing else.
        await self.journal.ask_quietly(db, lambda store: store.save_places(places))

    def _tell_refusals(self, now: Now) -> None:
        for key, count in list(self._refusals.items()):
            courier, code = key.split(": ", 1)
            body = {"event": "ack_refused", "courier": courier, "code": code, "count": count}
            if self._intake.own_event(f"courier/{courier}", body, now) is not None:
                del self._refusals[key]
        for source, body in self._said.take():
            self._intake.own_event(source, body, now)

    # --- making room ----------------------------------------------------------------------------

    async def _evict(self, db: Db) -> None:
        """Declare what has to go; `_delete` removes it once that is on disk."""
        now = self._clock.now()
        # Nobody's word but a time server's makes events old enough to go: a clock may jump.
        wall_ns = now.wall_ns if now.clock is ClockState.SYNCHRONISED else 0
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
            for courier in self._couriers.values():
                courier.evicted(lane, ordinal, seq)

        def job(store: Store) -> None:
            for cut in cuts:
                store.delete(*cut)

        await self.journal.ask_quietly(db, job)
        self._pump()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
