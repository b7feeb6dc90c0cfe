"""Acknowledgements: believed only when signed by the pinned key, and of bytes that we sealed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from agent.ipc import Refused
from agent.record.offers import Courier
from agent.record.ring import Ring
from agent.record.sealer import Number
from agent.record.shelf import Shelf
from agent.uplink.ack import Ack, open_ack
from agent.uplink.batch import hash_of
from agent.uplink.cose import Trust
from agent.uplink.errors import UplinkError
from config.words import Lane

Read = Callable[[Number], Awaitable[bytes | None]]


async def take_ack(
    message: bytes, courier: Courier, *, gateway: str, trust: Trust, shelf: Shelf, ring: Ring,
    read: Read,
) -> int:  # fmt: skip
    """How many batches the acknowledgement moved. Raises Refused.

    Codes: "no_platform_key", those of open_ack(), "foreign", "unknown" (no such epoch or lane),
    "future" (a number that was not sealed yet), "mismatch" (of other bytes), "stale",
    "unknown_batch" (sealed once, and not held any more), "rolled_back" (of a later epoch than the
    open one: this record is older than what was received of this gateway).
    """
    if not len(trust):
        raise Refused("no_platform_key", "no platform key is pinned (keys/platform.pub)")
    try:
        ack = open_ack(message, trust)
    except UplinkError as e:
        raise Refused(e.code, e.text) from None
    if ack.gateway != gateway:
        raise Refused("foreign", f"it is for {ack.gateway!r}, this is {gateway!r}")
    number, beyond = _number(ack, shelf)
    if number.seq <= courier.acked((number.lane, number.ordinal)):
        courier.seen_again(number)
        raise Refused("stale", f"{ack.lane} is acknowledged further than {ack.seq} already")
    if beyond:
        return courier.acknowledged(number)
    own_hash = courier.flight_hash(number)
    if own_hash is None:
        entry = ring.get(number)
        data = entry.sealed.data if entry is not None else await read(number)
        if data is None:
            raise Refused("unknown_batch", f"{ack.lane} {ack.seq} is not held any more")
        own_hash = hash_of(data)
    if own_hash != ack.hash:
        raise Refused("mismatch", f"{ack.lane} {ack.seq} has another hash here")
    return courier.acknowledged(number)


def _number(ack: Ack, shelf: Shelf) -> tuple[Number, bool]:
    """(which batch, whether it is the last of those that we hold and not the one that is named).

    What left from memory before the power went was never stored here, and the other end has it: in
    an epoch that is closed, its word covers all that we hold of the lane.
    """
    ordinal = shelf.ordinal(ack.epoch)
    if ordinal is None and ack.lane == Lane.EPOCH and ack.seq > shelf.now:
        raise Refused(
            "rolled_back",
            f"the platform holds epoch {ack.seq} of this gateway, this record is at {shelf.now}: "
            "an older copy of it was put back, or another machine has this gateway's key",
        )
    if ordinal is None:
        raise Refused("unknown", f"epoch {ack.epoch.hex()} is not ours")
    ends = shelf.ends(ack.lane, ordinal)
    if ends is None:
        raise Refused("unknown", f"there is nothing of lane {ack.lane!r} in that epoch")
    if ack.seq > ends[1] and ordinal != shelf.now:
        return Number(ack.lane, ordinal, ends[1]), True
    if ack.seq > ends[1]:
        raise Refused("future", f"{ack.lane} {ack.seq} was never sealed; the last is {ends[1]}")
    return Number(ack.lane, ordinal, ack.seq), False
