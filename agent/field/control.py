"""The verbs of the field socket: what people and the console may ask and order."""

from __future__ import annotations

import pwd
from collections.abc import Callable, Mapping
from typing import Any

from agent.core import view
from agent.core.types import Command, Verb
from agent.field.runtime import Runtime
from agent.ipc import Connection, Handler, Message, Refused, Role
from config.limits import POINTS_PAGE_MAX


def verb_table(
    runtime: Runtime, extra_status: Callable[[], dict[str, Any]]
) -> Mapping[str, tuple[Role, Handler]]:
    """The one table: verb -> (role that may use it, handler)."""

    def status(_: Connection, __: Message) -> Message:
        now = runtime.clock.now()
        return {"status": view.status(runtime.state, now), "gateway": extra_status()}

    def points(_: Connection, message: Message) -> Message:
        first, count = int(message.get("first", 0)), int(message.get("count", POINTS_PAGE_MAX))
        if first < 0 or not 0 < count <= POINTS_PAGE_MAX:
            raise Refused("malformed", f"expected first >= 0 and count 1 to {POINTS_PAGE_MAX}")
        rows = view.points(runtime.state, runtime.clock.now(), first, count)
        return {"points": rows, "total": len(runtime.plan.points)}

    def order(verb: Verb) -> Handler:
        def handler(connection: Connection, _: Message) -> Message:
            command = Command(verb, who=_user(connection), source="control socket")
            if not runtime.command(command):
                raise Refused("busy", "too many orders wait; try again")
            return {"status": view.status(runtime.state, runtime.clock.now())}

        return handler

    return {
        "status": (Role.VIEW, status),
        "points": (Role.VIEW, points),
        "acknowledge": (Role.ACKNOWLEDGE, order(Verb.ACKNOWLEDGE)),
        "silence": (Role.ACKNOWLEDGE, order(Verb.SILENCE)),
        "reset": (Role.OPERATE, order(Verb.RESET)),
    }


def _user(connection: Connection) -> str:
    try:
        return pwd.getpwuid(connection.peer.uid).pw_name
    except KeyError:
        return f"uid {connection.peer.uid}"
