"""The verbs of the field socket: what people and the console may ask and order.

Looking costs its own bounded share of the loop (agent.ipc_guests), orders are few a second, and
nothing reaches the cycle that was not found right before (agent.field.orders).
"""

from __future__ import annotations

import asyncio
import pwd
from collections.abc import Callable, Mapping
from typing import Any

from agent.core import view
from agent.core.types import Command, Record, Verb
from agent.field.fanout import Fanout
from agent.field.orders import RULES, Names, read_order
from agent.field.people import People
from agent.field.runtime import Runtime
from agent.ipc import Connection, Handler, Message, Refused, Role
from agent.ipc_guests import Allowance
from config.limits import (
    FANOUT_PAGE,
    ORDERS_BURST,
    ORDERS_PER_S,
    POINTS_PAGE_MAX,
    REFUSED_ORDER_EVENT_NS,
    REFUSED_ORDER_KINDS_MAX,
)
from config.words import Lane, Mode


class Control:
    """The verbs, and what they remember of who asked."""

    def __init__(self, runtime: Runtime, extra_status: Callable[[], dict[str, Any]]) -> None:
        self._runtime = runtime
        self._extra_status = extra_status
        self._names = Names.of(runtime.plan)
        self._orders = Allowance(ORDERS_PER_S, ORDERS_BURST, self._mono_ns)
        self.people = People(runtime.plan.people, self._mono_ns)
        self.fanout = Fanout(runtime)
        self.refusals = Refusals(runtime)

    def _mono_ns(self) -> int:
        return self._runtime.clock.now().mono_ns

    def verbs(self) -> Mapping[str, tuple[Role, Handler]]:
        """The one table. Whoever may look may ask for an order: its level is judged with it."""
        orders = {verb.value: (Role.VIEW, self._order_handler(verb)) for verb in Verb}
        return {
            "status": (Role.VIEW, self._status),
            "points": (Role.VIEW, self._points),
            "names": (Role.VIEW, self._page_of_names),
            "subscribe": (Role.VIEW, lambda connection, _: self.fanout.add(connection)),
            "unlock": (Role.VIEW, self._unlock),
            **orders,
        }

    def stop(self) -> None:
        """End what runs beside the loop."""
        self.fanout.stop()
        self.people.stop()
        self.refusals.stop()

    # --- looking ------------------------------------------------------------------------------

    def _status(self, _: Connection, __: Message) -> Message:
        now = self._runtime.clock.now()
        gateway = {
            **self._extra_status(),
            "viewing": self.fanout.told(),
            "locked_out": self.people.told(),
        }
        return {"status": view.status(self._runtime.state, now), "gateway": gateway}

    def _points(self, _: Connection, message: Message) -> Message:
        first, count = _page(message, POINTS_PAGE_MAX)
        rows = view.points(self._runtime.state, self._runtime.clock.now(), first, count)
        plan = self._runtime.plan
        return {"points": rows, "total": len(plan.points) + len(plan.texts)}

    def _page_of_names(self, _: Connection, message: Message) -> Message:
        first, count = _page(message, FANOUT_PAGE)
        part, plan = slice(first, first + count), self._runtime.plan
        if message.get("of") == "zones":
            zones = plan.zones[part]
            return {"names": [z.name for z in zones], "needed": [z.needed for z in zones]}
        return {
            "names": list(plan.points.names[part]),
            "units": list(plan.points.units[part]),
            "states": [mode == Mode.STATE for mode in plan.points.modes[part]],
        }

    # --- ordering -----------------------------------------------------------------------------

    def _order_handler(self, verb: Verb) -> Handler:
        def handler(connection: Connection, message: Message) -> Any:
            said = read_order(verb, message, self._names)
            self._must_be_new(connection, message)
            user = user_name(connection)

            def give(who: str, source: str) -> Message:
                command = Command(
                    verb, who, source, said.target, said.duration_ns, said.word, said.why
                )
                record = self._runtime.command(command)
                if record is None:
                    raise Refused("busy", "too many orders wait; try again")
                now = self._runtime.clock.now()
                return {"status": view.head(self._runtime.state, now), "record": record}

            if "person" in message or "pin" in message:
                return self._by_person(connection, message, RULES[verb].level, verb.value, give)
            self._must_have(connection, connection.roles, RULES[verb].level, verb.value, user)
            return give(user, "control socket")

        return handler

    async def _by_person(
        self,
        connection: Connection,
        message: Message,
        level: Role,
        verb: str,
        give: Callable[[str, str], Message],
    ) -> Message:
        user = user_name(connection)
        name = message.get("person")
        try:
            roles = await self.people.level(name, message.get("pin"), connection.peer.uid)
        except Refused as e:
            if e.code in ("wrong_pin", "locked"):
                who = str(name) if self.people.known(str(name)) else ""
                self.refusals.add(verb, who, user, e.code)
            raise
        self._must_have(connection, roles, level, verb, str(name))
        return give(str(name), f"control socket, PIN, user {user}")

    def _unlock(self, connection: Connection, message: Message) -> Any:
        self._must_be_new(connection, message)

        def give(who: str, source: str) -> Message:
            self.people.unlock(message.get("name"))
            body = {"verb": "unlock", "who": who, "source": source, "name": message["name"]}
            self._runtime.say(Record(Lane.EVENT, "operator", "operator", self._mono_ns(), body))
            return {"record": body}

        if "person" in message or "pin" in message:
            return self._by_person(connection, message, Role.CONFIGURE, "unlock", give)
        user = user_name(connection)
        self._must_have(connection, connection.roles, Role.CONFIGURE, "unlock", user)
        return give(user, "control socket")

    def _must_be_new(self, connection: Connection, message: Message) -> None:
        """An order is taken once: its number is higher than any before on its connection."""
        number = message.get("n")
        if type(number) is not int or number <= connection.last_order:
            raise Refused("replayed", "an order needs a number of its own, higher than the last")
        if not self._orders.take(connection.peer.uid):
            raise Refused("busy", f"at most {ORDERS_PER_S} orders a second; try again")
        connection.last_order = number

    def _must_have(
        self, connection: Connection, roles: Role, level: Role, verb: str, who: str
    ) -> None:
        if not roles & level:
            self.refusals.add(verb, who, user_name(connection), "forbidden")
            needed = str(level.name).lower()
            raise Refused("forbidden", f"{who} may not use '{verb}': it needs level {needed}")


class Refusals:
    """Orders that were refused, for the record: counted, told at once and then every interval."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._counts: dict[tuple[str, str, str, str], int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, verb: str, who: str, user: str, why: str) -> None:
        """One more. who: a person or user of the gateway, "" for a name that nobody has."""
        key = (verb, who, user, why)
        if key not in self._counts and len(self._counts) >= REFUSED_ORDER_KINDS_MAX:
            key = ("", "", "", why)
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._timer is None:
            self._tell()

    def stop(self) -> None:
        """Tell what is left, and no more after that."""
        for timer in (self._timer, self._tell()):
            if timer is not None:
                timer.cancel()

    def _tell(self) -> asyncio.TimerHandle | None:
        self._timer = None
        if not self._counts:
            return None
        mono_ns = self._runtime.clock.now().mono_ns
        for (verb, who, user, why), count in self._counts.items():
            body = {
                "refused": why,
                "verb": verb,
                "who": who,
                "source": f"control socket, user {user}",
                "count": count,
            }
            source = f"operator/refused/{user}"
            self._runtime.say(Record(Lane.EVENT, source, "operator", mono_ns, body))
        self._counts.clear()
        wait_s = REFUSED_ORDER_EVENT_NS / 1e9
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._tell)
        return self._timer


def _page(message: Message, most: int) -> tuple[int, int]:
    first, count = message.get("first", 0), message.get("count", most)
    if type(first) is not int or type(count) is not int or first < 0 or not 0 < count <= most:
        raise Refused("malformed", f"expected first >= 0 and count 1 to {most}")
    return first, count


def user_name(connection: Connection) -> str:
    """The login of a peer."""
    try:
        return pwd.getpwuid(connection.peer.uid).pw_name
    except KeyError:
        return f"uid {connection.peer.uid}"
