"""Routing that an operator disabled: a destination that gets no fire and no event for now.

The field process decides and says so after every hello, and when it changes. The courier's process
goes on and stays connected, telemetry and heartbeats flow; what is held back stays in the chain and
is offered when the routing is enabled again. A record that has just started sends until it is told:
an unknown must not hold a fire back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from agent.ipc import Connection, Handler, Message, Refused
from agent.record.offers import Courier
from config.limits import LINES_MAX


def routing_verb(
    couriers: Callable[[], Mapping[str, Courier]],
    must_be_field: Callable[[Connection], None],
    pump: Callable[[], None],
) -> Handler:
    """`routing {disabled: [courier, ...]}`: all others are enabled."""

    def handler(connection: Connection, message: Message) -> Message:
        must_be_field(connection)
        names = message.get("disabled")
        if not isinstance(names, list) or len(names) > LINES_MAX:
            raise Refused("malformed", f"disabled: expected at most {LINES_MAX} names of couriers")
        for name, courier in couriers().items():
            courier.disabled = name in names
        pump()
        return {}

    return handler
