"""The couriers' side of the record's socket: who follows, what each says, what each is offered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from agent.core.types import Now
from agent.ipc import Connection, Handler, Message, Refused, Role
from agent.record.acks import take_ack
from agent.record.desk import Desk, Field
from agent.record.evict import Cut
from agent.record.intake import Intake
from agent.record.journal import Journal, StoreBusy
from agent.record.offers import Courier
from agent.record.ring import Db, db_of
from agent.record.sealer import Number
from agent.record.settings import Settings
from agent.record.shelf import Shelf
from agent.record.store import Row, Store
from agent.record.survey import Place
from agent.record.told import Told
from agent.record.unsigned import Notices, Said, take_delivered
from config.limits import (
    COURIER_ABSENT_NS,
    COURIER_LATEST_POLLS_MAX,
    COURIER_STATE_TEXT_MAX,
    LINES_MAX,
)


class House(Protocol):
    """What the couriers need of the service."""

    settings: Settings
    journal: Journal
    told: Told

    def fault(self, source: str, text: str) -> None: ...
    def spawn(self, work: Any) -> None: ...
    def field(self) -> Sequence[Connection]: ...


class Couriers:
    """All destinations of the plan."""

    def __init__(
        self, house: House, shelf: Shelf, intake: Intake, places: list[Place], *,
        forgot: bool = False,
    ) -> None:  # fmt: skip
        self._house = house
        self._shelf = shelf
        self._intake = intake
        site, ring = house.settings.site, house.journal.ring
        self._all = {
            n: Courier(n, shelf, ring, places, unsigned=n in site.unsigned) for n in site.couriers
        }
        self._followers: dict[Connection, Courier] = {}
        self._refusals: dict[str, int] = {}
        self._said = Said()
        self._notices = Notices()
        self._started_ns = house.settings.clock.mono_ns()
        field = Field(house.field, house.told.ask)
        self.desk = Desk(
            house.settings, house.journal, field, places, resend=self._resend,
            put_on_record=lambda body: self._intake.own_event(
                "record/commands", body, house.settings.clock.now()
            ),
            forgot=forgot,
        )  # fmt: skip

    def verbs(self) -> Mapping[str, tuple[Role, Handler]]:
        """Their part of the verb table."""
        return {
            "follow": (Role.COURIER, self._follow),
            "ack": (Role.COURIER, self._ack),
            "delivered": (Role.COURIER, self._delivered),
            "command": (Role.COURIER, self._command),
            "latest": (Role.COURIER, self._latest),
            "courier_state": (Role.COURIER, self._state),
            "courier_event": (Role.COURIER, self._event),
            "courier_notice": (Role.COURIER, self._notice),
            "proposals": (Role.VIEW, self.desk.proposals),
            "proposal": (Role.CONFIGURE, self.desk.proposal),
            "decide": (Role.CONFIGURE, self.desk.decide),
        }

    def __getitem__(self, name: str) -> Courier:
        return self._all[name]

    def status(self) -> list[dict[str, Any]]:
        """Each one's part of the status."""
        return [courier.status() for courier in self._all.values()]

    # --- verbs ---

    def _follow(self, connection: Connection, message: Message) -> Message:
        courier = self._all.get(str(message.get("courier")))
        if courier is None:
            known = ", ".join(self._all) or "none"
            raise Refused("unknown_courier", f"the plan has these couriers: {known}")
        self._followers[connection] = courier
        connection.on_close.append(lambda: self._left(connection))
        courier.follow(connection)
        asyncio.get_running_loop().call_soon(self.pump)  # after the answer
        gateway = self._house.settings.site.gateway
        return {"gateway": gateway, "notices": self._notices.of(courier.name)}

    def _left(self, connection: Connection) -> None:
        courier = self._followers.pop(connection, None)
        if courier is None:
            return
        courier.leave(connection)
        if not courier.follows:
            courier.connected = False
            self._fault(courier, "the courier process is not there")
            if courier.unsigned:
                self._house.told.ask(courier.name, "", self._house.field())

    async def _ack(self, connection: Connection, message: Message) -> Message:
        courier = self._of(connection)
        if courier.unsigned:
            raise Refused("unsigned", "this destination has no signed acknowledgements")
        raw = message.get("message")
        if not isinstance(raw, bytes):
            raise Refused("malformed", "expected the acknowledgement as bytes")
        settings = self._house.settings
        try:
            advanced = await take_ack(
                raw, courier, gateway=settings.site.gateway, trust=settings.platform,
                shelf=self._shelf, ring=self._house.journal.ring, read=self._read,
            )  # fmt: skip
        except Refused as e:
            if e.code == "rolled_back":
                self._house.fault("record.rolled_back", e.text)
            if e.code not in ("stale", "busy"):
                self._refused(f"{courier.name}: ack_refused: {e.code}")
            raise
        self.pump()
        return {"advanced": advanced}

    async def _read(self, number: Number) -> bytes | None:
        def job(store: Store) -> bytes | None:
            return store.get(number.lane, number.ordinal, number.seq)

        try:
            found: bytes | None = await self._house.journal.ask(db_of(number.lane), job)
        except StoreBusy as e:
            raise Refused("busy", str(e)) from e
        return found

    async def _command(self, connection: Connection, message: Message) -> Message:
        courier = self._of(connection)
        data = message.get("message")
        if not isinstance(data, bytes):
            raise Refused("malformed", "expected the command as bytes")
        try:
            return await self.desk.orders.take(data, courier.name)
        except Refused as e:
            self._refused(f"{courier.name}: command_refused: {e.code}")
            raise

    def _refused(self, key: str) -> None:
        """Count a refusal, "COURIER: EVENT: CODE", until it is put on record."""
        self._refusals[key] = self._refusals.get(key, 0) + 1

    def _of(self, connection: Connection) -> Courier:
        courier = self._followers.get(connection)
        if courier is None:
            raise Refused("follow_first", "say which courier you are: follow")
        return courier

    def _state(self, connection: Connection, message: Message) -> Message:
        courier = self._of(connection)
        courier.connected = bool(message.get("connected"))
        courier.text = str(message.get("text", ""))[:COURIER_STATE_TEXT_MAX]
        self._fault(courier, "" if courier.connected else courier.text or "no connection")
        return {}

    def _delivered(self, connection: Connection, message: Message) -> Message:
        advanced = take_delivered(message, self._of(connection), self._shelf)
        if advanced:
            self.save_places()  # at once: a centre must not hear of an old fire a second time
            self.pump()
        return {"advanced": advanced}

    def _latest(self, connection: Connection, message: Message) -> Message:
        """{polls} -> {polls: {poll: [wall_ns, values, qualities]}}, of those that were read."""
        if not self._of(connection).unsigned:
            raise Refused("signed", "the platform has the telemetry lane")
        asked = message.get("polls")
        if not isinstance(asked, list) or len(asked) > COURIER_LATEST_POLLS_MAX:
            most = COURIER_LATEST_POLLS_MAX
            raise Refused("malformed", f"polls: expected at most {most} numbers")
        latest = self._intake.latest or {}
        return {"polls": {poll: [*latest[poll]] for poll in asked if poll in latest}}

    def _event(self, connection: Connection, message: Message) -> Message:
        self._said.add(self._of(connection).name, message)
        return {}

    def _notice(self, connection: Connection, message: Message) -> Message:
        name = self._of(connection).name
        self._house.told.ask(name, self._notices.take(name, message), self._house.field())
        return {}

    def _fault(self, courier: Courier, text: str) -> None:
        courier.text = text or courier.text
        self._house.fault(f"courier.{courier.name}", text)

    def route(self, message: Message) -> Message:
        """Destinations that an operator disabled get no fire and no event for now: {disabled}.

        The field process says so after every hello, and when it changes. What is held back stays
        in the chain and is offered when it is enabled again. A record that has just started sends
        until it is told: an unknown must not hold a fire back.
        """
        names = message.get("disabled")
        if not isinstance(names, list) or len(names) > LINES_MAX:
            raise Refused("malformed", f"disabled: expected at most {LINES_MAX} names of couriers")
        for name, courier in self._all.items():
            courier.disabled = name in names
        self.pump()
        return {}

    # --- what they are offered ---

    def pump(self) -> None:
        """Offer what there is room for."""
        now_ns = self._house.settings.clock.mono_ns()
        for courier in self._all.values():
            courier.pump(now_ns, self._fetch)
        self._house.told.calls(self._all.values(), self._shelf, self._house.field())

    def _fetch(
        self, stream: tuple[str, int], after: int, take: Callable[[list[Row] | None], None]
    ) -> None:
        async def fetch() -> None:
            lane, ordinal = stream
            rows: list[Row] | None = await self._house.journal.ask_quietly(
                db_of(lane), lambda store: store.fetch(lane, ordinal, after)
            )
            take(rows)
            if rows:
                self.pump()

        self._house.spawn(fetch())

    def _resend(self, name: str, args: Mapping[str, Any]) -> str:
        """Have a courier send a range of batches again; "" or the code of why not."""
        ordinal = self._shelf.ordinal(args["epoch"])
        ends = None if ordinal is None else self._shelf.ends(args["lane"], ordinal)
        if ordinal is None or ends is None:
            return "not_held"
        courier, stream = self._all[name], (args["lane"], ordinal)
        first = max(args["first"], ends[0])
        last = min(args["last"], ends[1], courier.acked(stream))  # the rest is under way anyhow
        if first > last:
            return "not_held" if args["first"] > ends[1] or args["last"] < ends[0] else ""
        if not courier.again.ask(stream, first, last):
            return "busy"
        self.pump()
        return ""

    def duty_answered(self, mono_ns: int) -> None:
        """Somebody on the site answered, at `mono_ns`: what a centre asked waits for no backlog."""
        self.desk.answered()
        for name in self._house.told.duty:
            courier = self._all.get(name)
            if courier is not None and courier.unsigned:
                courier.tell({"e": "duty_answered", "mono_ns": mono_ns}, keeps=True)

    def tell(self, message: Message) -> None:
        """Say something that is no batch to those whose destination checks signatures."""
        for courier in self._all.values():
            if not courier.unsigned:
                courier.tell(message)

    def evicted(self, cut: Cut) -> None:
        """Batches are gone."""
        for courier in self._all.values():
            courier.evicted(*cut)

    # --- time and places ---

    def tick(self, now_ns: int) -> None:
        """Couriers that never came; duty checks that nobody answered."""
        for courier in self._all.values():
            if not courier.follows and now_ns - self._started_ns > COURIER_ABSENT_NS:
                self._fault(courier, "the courier process is not there")
        self.desk.tick(now_ns)

    def moved_places(self) -> list[tuple[Db, list[Place]]]:
        """Places to be kept, by file."""
        moved = [place for c in self._all.values() for place in c.dirty_places()]
        parts = [(db, [place for place in moved if db_of(place[1]) is db]) for db in Db]
        return [(db, places) for db, places in parts if places]

    def save_places(self) -> None:
        """Keep them, in the background."""
        for db, places in self.moved_places():
            self._house.spawn(self.save(db, places))

    async def save(self, db: Db, places: list[Place]) -> None:
        """A place that is not kept costs a resend after the next start, nothing else."""
        await self._house.journal.ask_quietly(db, lambda store: store.save_places(places))

    def put_on_record(self, now: Now) -> None:
        """What was refused, and what couriers said of their destinations."""
        for key, count in list(self._refusals.items()):
            courier, event, code = key.split(": ", 2)
            body = {"event": event, "courier": courier, "code": code, "count": count}
            if self._intake.own_event(f"courier/{courier}", body, now) is not None:
                del self._refusals[key]
        for source, body in self._said.take():
            self._intake.own_event(source, body, now)
