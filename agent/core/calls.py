"""The call of a fire to its centres, as the lamps tell it: sending, sent, failed. Pure.

A fire that the record has not sealed yet is being sent, too: with a dead record it fails.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from agent.core.types import Delivery
from config.limits import CALL_FAILED_NS, LAMP_HOLD_NS


@dataclass(slots=True)
class Calls:
    """couriers: those of the plan; nothing is ever sent without any."""

    couriers: frozenset[str]
    latest: dict[str, Delivery] = field(default_factory=dict)
    waiting_ns: dict[str, int] = field(default_factory=dict)  # courier -> since when it waits
    owed_ns: int | None = None  # since when the record owes the seal of a fire
    hold_ns: int | None = None  # the last moment of a call that arrived, or of its fire


def told(calls: Calls, delivery: Delivery, now_ns: int) -> None:
    """The record says how far the fire lane is at one destination."""
    if delivery.courier not in calls.couriers:
        return
    before = calls.latest.get(delivery.courier)
    calls.latest[delivery.courier] = delivery
    if before is None or delivery.sealed != before.sealed:
        calls.owed_ns = None
    if delivery.waiting:
        calls.waiting_ns.setdefault(delivery.courier, now_ns)
    elif calls.waiting_ns.pop(delivery.courier, None) is not None or (
        before is not None and delivery.sealed > before.sealed
    ):
        calls.hold_ns = now_ns


def made(calls: Calls, now_ns: int) -> None:
    """A record of fire left the core."""
    if calls.couriers and calls.owed_ns is None:
        calls.owed_ns = now_ns


def stand(calls: Calls, fire: bool, now_ns: int) -> tuple[bool, bool, bool]:
    """(sending, sent, failed). Sent holds while its fire stands and LAMP_HOLD_NS longer."""
    since = [*calls.waiting_ns.values(), *([] if calls.owed_ns is None else [calls.owed_ns])]
    if since:
        return True, False, now_ns - min(since) >= CALL_FAILED_NS
    if calls.hold_ns is None:
        return False, False, False
    if fire:
        calls.hold_ns = now_ns
    return False, now_ns - calls.hold_ns < LAMP_HOLD_NS, False
