"""Commands: what a platform may ask of a gateway, signed by a key of its own, numbered, expiring.

There are five verbs and no others: nothing remote silences, resets, disables, tests or sounds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import sha256
from typing import Any

from agent.uplink import cbor, check
from agent.uplink.batch import EPOCH_BYTES, HASH_BYTES
from agent.uplink.cose import COMMAND_TYPE, Signer, Trust
from agent.uplink.errors import UplinkError
from config.limits import COMMAND_BYTES_MAX, DUTY_MINUTES_MAX, PROPOSAL_BYTES_MAX, RESEND_MAX

NONCE_BYTES = 16
_KEYS, _OPTIONAL = frozenset(range(7)), frozenset((7,))


class Order(StrEnum):
    """What can be asked."""

    ACKNOWLEDGE = "acknowledge"  # somebody at the platform has seen the alarms
    DUTY = "duty"  # {"minutes"}: someone on the site shall answer
    TIME = "time"  # compare clocks: the outcome says ours
    PROPOSE = "propose"  # {"kind", "title", "data", "hash"}: for somebody on the site to decide on
    RESEND = "resend"  # {"epoch", "lane", "first", "last"}: send these batches again


PROPOSALS = ("configuration", "update")


@dataclass(frozen=True, slots=True)
class PlatformCommand:
    """number: greater than every one before. issued, expires: Unix time. nonce: the gateway's own,
    of its latest heartbeat; needed while its clock is unset, b"" otherwise."""

    gateway: str
    number: int
    order: Order
    args: dict[str, Any] = field(default_factory=dict)
    issued_ns: int = 0
    expires_ns: int = 0
    nonce: bytes = b""


def seal_command(command: PlatformCommand, signer: Signer) -> bytes:
    """The signed bytes of a command."""
    row: dict[int, Any] = dict(
        enumerate(
            (check.VERSION, command.gateway, command.number, str(command.order), command.args,
             command.issued_ns, command.expires_ns)
        )
    )  # fmt: skip
    if command.nonce:
        row[7] = command.nonce
    return signer.sign(COMMAND_TYPE, cbor.encode(row))


def open_command(message: bytes, trust: Trust) -> tuple[PlatformCommand, bytes]:
    """Verify, then decode: the command and the id of the key. Raises UplinkError as Trust.verify
    does, or "version", "malformed", "unknown_order"."""
    if len(message) > COMMAND_BYTES_MAX:
        raise UplinkError("too_large", f"{len(message)} bytes, at most {COMMAND_BYTES_MAX}")
    payload, kid = trust.verify(message, COMMAND_TYPE)
    value = cbor.decode(payload, items_max=64)
    fields = check.versioned(value, "command", _KEYS, _OPTIONAL)
    word = check.text(fields[3], "order", 32)
    if word not in tuple(Order):
        raise UplinkError("unknown_order", f"expected one of {', '.join(Order)}; found {word!r}")
    return PlatformCommand(
        gateway=check.gateway(fields[1]),
        number=check.uint(fields[2], "number"),
        order=Order(word),
        args=_args(Order(word), fields[4]),
        issued_ns=check.uint(fields[5], "issued"),
        expires_ns=check.uint(fields[6], "expires"),
        nonce=check.raw(fields[7], "nonce", NONCE_BYTES) if 7 in fields else b"",
    ), kid


def _args(order: Order, value: Any) -> dict[str, Any]:
    """Exactly the arguments of an order, checked."""
    wanted = {
        Order.DUTY: {"minutes"},
        Order.PROPOSE: {"kind", "title", "data", "hash"},
        Order.RESEND: {"epoch", "lane", "first", "last"},
    }.get(order, set())
    if type(value) is not dict or value.keys() != wanted:
        raise UplinkError("malformed", f"{order}: expected the arguments {sorted(wanted)}")
    if order is Order.DUTY:
        minutes = check.uint(value["minutes"], "minutes", DUTY_MINUTES_MAX)
        if not minutes:
            raise UplinkError("malformed", f"minutes: expected 1 to {DUTY_MINUTES_MAX}, found 0")
        return {"minutes": minutes}
    if order is Order.PROPOSE:
        kind = check.text(value["kind"], "kind", 32)
        if kind not in PROPOSALS:
            raise UplinkError("malformed", f"kind: expected one of {', '.join(PROPOSALS)}")
        data = check.raw(value["data"], "data")
        if len(data) > PROPOSAL_BYTES_MAX:
            raise UplinkError("too_large", f"a proposal has at most {PROPOSAL_BYTES_MAX} bytes")
        digest = check.raw(value["hash"], "hash", HASH_BYTES)
        if digest != sha256(data).digest():
            raise UplinkError("malformed", "hash: expected the SHA-256 of the data")
        return {"kind": kind, "title": check.text(value["title"], "title", 160), "data": data,
                "hash": digest}  # fmt: skip
    if order is Order.RESEND:
        first, last = check.uint(value["first"], "first"), check.uint(value["last"], "last")
        if not first <= last < first + RESEND_MAX:
            raise UplinkError("malformed", f"expected first to last, at most {RESEND_MAX} batches")
        epoch = check.raw(value["epoch"], "epoch", EPOCH_BYTES)
        lane = check.lane(value["lane"])
        return {"epoch": epoch, "lane": lane, "first": first, "last": last}
    return {}
