"""Heartbeats: the gateway lives, and its lanes stand here. Signed, sent once, kept by nobody.

Not a batch: it has no number and no place in a chain, so that a quiet gateway's journal does not
grow. It makes a tail that was cut away on the way visible within minutes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from agent.uplink import cbor, check
from agent.uplink.batch import EPOCH_BYTES, HASH_BYTES
from agent.uplink.cose import HEARTBEAT_TYPE, Signer, Trust
from agent.uplink.errors import UplinkError
from agent.uplink.events import LANES_MAX

HEARTBEAT_BYTES_MAX = 4_096
_KEYS, _OPTIONAL = frozenset(range(9)), frozenset((9,))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """heads: lane -> (seq, hash) of the last batch sealed in the open epoch, the epoch's included.

    nonce: what a command must carry while the clock is unset, b"" otherwise. ordinal: of the epoch.
    mono_ns of boot `boot`; wall_ns is Unix time then.
    """

    gateway: str
    epoch: bytes
    ordinal: int
    boot: bytes
    mono_ns: int
    wall_ns: int
    clock: int
    heads: Mapping[str, tuple[int, bytes]]
    nonce: bytes = b""


def seal_heartbeat(beat: Heartbeat, signer: Signer) -> bytes:
    """The signed bytes of a heartbeat."""
    heads = {lane: list(head) for lane, head in beat.heads.items()}
    row = (
        check.VERSION, beat.gateway, beat.epoch, beat.ordinal, beat.boot, beat.mono_ns,
        beat.wall_ns, beat.clock, heads,
    )  # fmt: skip
    fields: dict[int, Any] = dict(enumerate(row))
    if beat.nonce:
        fields[9] = beat.nonce
    return signer.sign(HEARTBEAT_TYPE, cbor.encode(fields))


def open_heartbeat(message: bytes, trust: Trust) -> Heartbeat:
    """Verify, then decode. Raises UplinkError as open_batch() does."""
    if len(message) > HEARTBEAT_BYTES_MAX:
        raise UplinkError("too_large", f"{len(message)} bytes, at most {HEARTBEAT_BYTES_MAX}")
    payload, kid = trust.verify(message, HEARTBEAT_TYPE)
    value = cbor.decode(payload, items_max=32 + 4 * LANES_MAX)
    fields = check.versioned(value, "heartbeat", _KEYS, _OPTIONAL)
    heads = fields[8]
    if type(heads) is not dict or len(heads) > LANES_MAX:
        raise UplinkError("malformed", f"heartbeat: expected a map of at most {LANES_MAX} heads")
    beat = Heartbeat(
        gateway=check.gateway(fields[1]),
        epoch=check.raw(fields[2], "epoch", EPOCH_BYTES),
        ordinal=check.uint(fields[3], "ordinal"),
        boot=check.raw(fields[4], "boot", 16),
        mono_ns=check.uint(fields[5], "mono"),
        wall_ns=check.uint(fields[6], "wall"),
        clock=check.uint(fields[7], "clock", 2),
        heads={check.lane(lane): _head(row) for lane, row in heads.items()},
        nonce=check.raw(fields[9], "nonce", 16) if 9 in fields else b"",
    )
    bound = trust.gateway_of(kid)
    if bound is not None and bound != beat.gateway:
        text = f"key {kid.hex()} belongs to {bound!r}, the heartbeat says {beat.gateway!r}"
        raise UplinkError("foreign", text)
    return beat


def _head(value: Any) -> tuple[int, bytes]:
    row = check.array(value, "head", 2)
    return check.uint(row[0], "head seq"), check.raw(row[1], "head hash", HASH_BYTES)
