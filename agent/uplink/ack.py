"""Acknowledgements: the platform says, signed, up to where it holds a lane of an epoch."""

from __future__ import annotations

from dataclasses import dataclass

from agent.uplink import cbor, check
from agent.uplink.batch import EPOCH_BYTES, HASH_BYTES
from agent.uplink.cose import ACK_TYPE, Signer, Trust
from agent.uplink.errors import UplinkError

ACK_BYTES_MAX = 1024
_KEYS = frozenset(range(7))


@dataclass(frozen=True, slots=True)
class Ack:
    """Cumulative: everything of (epoch, lane) up to `seq` is held durably.

    hash: SHA-256 of the bytes of batch `seq`. For the lane "epoch" `seq` is the ordinal, and
    `epoch` the epoch that batch opened. wall_ns: Unix time of the platform.
    """

    gateway: str
    epoch: bytes
    lane: str
    seq: int
    hash: bytes
    wall_ns: int


def seal_ack(ack: Ack, signer: Signer) -> bytes:
    """The signed bytes of an acknowledgement."""
    row = (check.VERSION, ack.gateway, ack.epoch, ack.lane, ack.seq, ack.hash, ack.wall_ns)
    return signer.sign(ACK_TYPE, cbor.encode(dict(enumerate(row))))


def open_ack(message: bytes, trust: Trust) -> Ack:
    """Verify, then decode. Raises UplinkError as Trust.verify does, or "version"."""
    if len(message) > ACK_BYTES_MAX:
        raise UplinkError("too_large", f"{len(message)} bytes, at most {ACK_BYTES_MAX}")
    payload, _ = trust.verify(message, ACK_TYPE)
    value = cbor.decode(payload, items_max=32)
    fields = check.versioned(value, "ack", _KEYS)
    return Ack(
        gateway=check.gateway(fields[1]),
        epoch=check.raw(fields[2], "epoch", EPOCH_BYTES),
        lane=check.lane(fields[3]),
        seq=check.uint(fields[4], "seq"),
        hash=check.raw(fields[5], "hash", HASH_BYTES),
        wall_ns=check.uint(fields[6], "wall"),
    )
