"""What the record does for a platform's commands, and what people on the site see of proposals."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.ipc import Connection, Message, Refused
from agent.record.journal import Journal, StoreBusy
from agent.record.orders import Orders, Rules
from agent.record.proposals import Proposals
from agent.record.ring import Db
from agent.record.settings import Settings
from agent.record.survey import Place
from config.limits import COMMAND_OUTCOMES_WAITING_MAX, COURIER_STATE_TEXT_MAX, S


@dataclass(frozen=True, slots=True)
class Field:
    """The field process: its connections, and how it is asked who is on duty."""

    connections: Callable[[], Sequence[Connection]]
    ask: Callable[[str, str, Sequence[Connection]], None]


class Desk:
    """The hands of `Orders`. resend(courier, args): "" or why not."""

    def __init__(
        self, settings: Settings, journal: Journal, field: Field, places: list[Place], *,
        resend: Callable[[str, Mapping[str, Any]], str],
        put_on_record: Callable[[Mapping[str, Any]], object], forgot: bool = False,
    ) -> None:  # fmt: skip
        self._mono_ns = settings.clock.mono_ns
        self._journal = journal
        self._field = field
        self._resend = resend
        self._put_on_record = put_on_record
        self._proposals = Proposals(settings.directory / "proposals")
        self._duty_until_ns: dict[str, int] = {}
        self._unsaid: deque[Mapping[str, Any]] = deque(maxlen=COMMAND_OUTCOMES_WAITING_MAX)
        site = settings.site
        rules = Rules(site.gateway, settings.commander, site.orders, settings.chance)
        self.orders = Orders(rules, self, places, settings.clock.now, forgot=forgot)

    # --- verbs of record.sock ---

    async def proposals(self, _connection: Connection, _message: Message) -> Message:
        """Every proposal that nobody refused, without its data."""
        return {"proposals": await asyncio.to_thread(self._proposals.all)}

    async def proposal(self, _connection: Connection, message: Message) -> Message:
        """One proposal with its data."""
        return {"proposal": await self._found(_number(message))}

    async def decide(self, connection: Connection, message: Message) -> Message:
        """Somebody on the site accepts or refuses a proposal: {number, accept, who, why}."""
        number = _number(message)
        found = await self._found(number)
        words = {k: str(message.get(k, ""))[:COURIER_STATE_TEXT_MAX] for k in ("who", "why")}
        accept = message.get("accept") is True
        self.put_on_record(
            {
                "event": "proposal", "number": number, "kind": found["kind"],
                "title": found["title"], "hash": found["hash"],
                "outcome": "accepted" if accept else "refused", "uid": connection.peer.uid, **words,
            }
        )  # fmt: skip
        if not accept:
            await asyncio.to_thread(self._proposals.drop, number)
        return {}

    async def _found(self, number: int) -> dict[str, Any]:
        found = await asyncio.to_thread(self._proposals.get, number)
        if found is None:
            raise Refused("unknown", f"there is no proposal {number}")
        return found

    # --- time ---

    def tick(self, now_ns: int) -> None:
        """End duty checks that nobody answered; say what could not be said."""
        self._say()
        for courier in [c for c, until_ns in self._duty_until_ns.items() if now_ns >= until_ns]:
            self._end_duty(courier)
            self.put_on_record({"event": "duty_missed", "courier": courier})

    def answered(self) -> None:
        """Somebody on the site answered: the platforms' questions are over."""
        for courier in list(self._duty_until_ns):
            self._end_duty(courier)

    def _end_duty(self, courier: str) -> None:
        del self._duty_until_ns[courier]
        self._field.ask(courier, "", self._field.connections())

    # --- hands ---

    async def keep_place(self, place: Place) -> bool:
        """Whether it is durable now."""
        try:
            await self._journal.ask(Db.EVENTS, lambda store: store.save_places([place]))
        except StoreBusy:
            return False
        return True

    def put_on_record(self, body: Mapping[str, Any]) -> None:
        """An event of the record itself; with no room for it in memory, as soon as there is."""
        self._unsaid.append(body)
        self._say()

    def _say(self) -> None:
        while self._unsaid and self._put_on_record(self._unsaid[0]) is not None:
            self._unsaid.popleft()

    def acknowledge(self, who: str) -> bool:
        """Tell the field process."""
        message = {"e": "order", "verb": "acknowledge", "who": who}
        told = [connection.send(message) for connection in self._field.connections()]
        return any(told)

    def ask_duty(self, courier: str, minutes: int) -> bool:
        """Tell the field process; it sounds the duty tone until somebody answers."""
        there = self._field.connections()
        if not there:
            return False
        self._duty_until_ns[courier] = self._mono_ns() + minutes * 60 * S
        text = f"the platform asks who is on duty: answer within {minutes} min"
        self._field.ask(courier, text, there)
        return True

    def resend(self, courier: str, args: Mapping[str, Any]) -> str:
        """Have the courier's destination get batches again; "" or why not."""
        return self._resend(courier, args)

    async def propose(self, number: int, proposal: dict[str, Any]) -> bool:
        """Keep it for somebody on the site."""
        try:
            await asyncio.to_thread(self._proposals.keep, number, proposal)
        except OSError:
            return False
        return True


def _number(message: Message) -> int:
    number = message.get("number")
    if type(number) is not int or number < 0:
        raise Refused("malformed", "expected the number of a proposal")
    return number
