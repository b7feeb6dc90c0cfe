"""A batch: one link of a lane's chain, sealed once, sent and kept as the same bytes.

Keys of the payload map are those of docs/uplink.md. The number of a batch is (epoch, lane, seq);
`prev` is the SHA-256 of the whole bytes of the batch before it in its lane, and for the first of
a lane in an epoch that of the epoch's own batch.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from agent.uplink import cbor, check
from agent.uplink.content_types import BATCH_TYPE
from agent.uplink.errors import UplinkError
from config.limits import BATCH_BYTES_MAX, LOSSES_MAX

if TYPE_CHECKING:  # a courier reads events, and does without cryptography
    from agent.uplink.cose import Signer, Trust

EPOCH_BYTES = 8
HASH_BYTES = 32
ZERO_HASH = bytes(HASH_BYTES)

_VERSION, _GATEWAY, _EPOCH, _LANE, _SEQ, _PREV, _BOOT, _FIRST, _LAST, _WALL, _CLOCK = range(11)
_CODEC, _DATA, _TABLE, _LOSSES = range(11, 15)
_KEYS = frozenset(range(13))
_OPTIONAL = frozenset((_TABLE, _LOSSES))


class Codec(IntEnum):
    """How `data` is to be read."""

    CBOR = 0
    COLUMNS = 1
    TABLE_PART = 2
    SUMMARY = 3


class LossReason(IntEnum):
    """Why something is not in the record. The first two mean: and everything of the lane before."""

    EVICTED = 1  # removed by age or size; all up to `last` of `epoch` is gone
    DAMAGED = 2  # the file was damaged and set aside; all up to `last` of `epoch` is gone
    OVERRUN = 3  # exactly first..last left memory before it could be stored
    DROPPED = 4  # never sealed: `last` is the count, `lane` says of what ("telemetry/POLL")


@dataclass(frozen=True, slots=True)
class Loss:
    """A declared loss. For EVICTED and DAMAGED `first` is 0. For DROPPED it is 0, epoch empty."""

    reason: LossReason
    lane: str
    epoch: bytes
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Batch:
    """The signed payload. mono in ns of boot `boot`; wall_ns is Unix time at `mono_last_ns`."""

    gateway: str
    epoch: bytes
    lane: str
    seq: int
    prev: bytes
    boot: bytes
    mono_first_ns: int
    mono_last_ns: int
    wall_ns: int
    clock: int  # 0 unset, 1 holdover, 2 synchronised
    codec: int
    data: bytes
    table: bytes = b""  # hash of the point table that the data refer to; empty: none
    losses: tuple[Loss, ...] = ()


@dataclass(frozen=True, slots=True)
class Opened:
    """A batch whose signature was believed."""

    batch: Batch
    kid: bytes
    hash: bytes  # SHA-256 of the whole bytes


def hash_of(message: bytes) -> bytes:
    """What `prev` and acknowledgements carry: SHA-256 of a batch's whole bytes."""
    return hashlib.sha256(message).digest()


def seal(batch: Batch, signer: Signer) -> bytes:
    """The bytes that are stored, sent and resent. Raises UplinkError "too_large"."""
    payload: dict[int, object] = {
        _VERSION: check.VERSION,
        _GATEWAY: batch.gateway,
        _EPOCH: batch.epoch,
        _LANE: batch.lane,
        _SEQ: batch.seq,
        _PREV: batch.prev,
        _BOOT: batch.boot,
        _FIRST: batch.mono_first_ns,
        _LAST: batch.mono_last_ns,
        _WALL: batch.wall_ns,
        _CLOCK: batch.clock,
        _CODEC: int(batch.codec),
        _DATA: batch.data,
    }
    if batch.table:
        payload[_TABLE] = batch.table
    if batch.losses:
        payload[_LOSSES] = [_loss_row(loss) for loss in batch.losses]
    message = signer.sign(BATCH_TYPE, cbor.encode(payload))
    if len(message) > BATCH_BYTES_MAX:
        raise UplinkError("too_large", f"{len(message)} bytes, at most {BATCH_BYTES_MAX}")
    return message


def open_batch(message: bytes, trust: Trust) -> Opened:
    """Verify, then decode. Raises UplinkError; "foreign" when the key is another gateway's."""
    payload, kid = trust.verify(message, BATCH_TYPE)
    batch = decode_payload(payload)
    bound = trust.gateway_of(kid)
    if bound is not None and bound != batch.gateway:
        raise UplinkError(
            "foreign", f"key {kid.hex()} belongs to {bound!r}, the batch says {batch.gateway!r}"
        )
    return Opened(batch, kid, hash_of(message))


def decode_payload(payload: bytes) -> Batch:
    """The payload map of a batch whose signature was verified. Raises UplinkError."""
    value = cbor.decode(payload, items_max=64 + 6 * LOSSES_MAX)
    fields = check.versioned(value, "batch", _KEYS, _OPTIONAL)
    losses = check.array(fields[_LOSSES], "losses") if _LOSSES in fields else []
    if len(losses) > LOSSES_MAX or (_LOSSES in fields and not losses):
        raise UplinkError("malformed", f"losses: expected 1 to {LOSSES_MAX}")
    first = check.uint(fields[_FIRST], "mono_first")
    last = check.uint(fields[_LAST], "mono_last")
    if first > last:
        raise UplinkError("malformed", "mono_first is after mono_last")
    return Batch(
        gateway=check.gateway(fields[_GATEWAY]),
        epoch=check.raw(fields[_EPOCH], "epoch", EPOCH_BYTES),
        lane=check.lane(fields[_LANE]),
        seq=check.uint(fields[_SEQ], "seq"),
        prev=check.raw(fields[_PREV], "prev", HASH_BYTES),
        boot=check.raw(fields[_BOOT], "boot", 16),
        mono_first_ns=first,
        mono_last_ns=last,
        wall_ns=check.uint(fields[_WALL], "wall"),
        clock=check.uint(fields[_CLOCK], "clock", 2),
        codec=check.uint(fields[_CODEC], "codec", 255),
        data=check.raw(fields[_DATA], "data"),
        table=check.raw(fields[_TABLE], "table", HASH_BYTES) if _TABLE in fields else b"",
        losses=tuple(loss_of(row) for row in losses),
    )


def _loss_row(loss: Loss) -> list[object]:
    return [int(loss.reason), loss.lane, loss.epoch, loss.first, loss.last]


def loss_of(value: object) -> Loss:
    """A declared loss from its array. Raises UplinkError "malformed"."""
    row = check.array(value, "loss", 5)
    reason = check.uint(row[0], "loss reason", max(LossReason))
    if reason < min(LossReason):
        raise UplinkError("malformed", f"loss reason {reason} is not defined")
    epoch = check.raw(row[2], "loss epoch")
    if len(epoch) != (0 if reason == LossReason.DROPPED else EPOCH_BYTES):
        raise UplinkError("malformed", "loss epoch: wrong length")
    first, last = check.uint(row[3], "loss first"), check.uint(row[4], "loss last")
    if first > last or (first and reason != LossReason.OVERRUN):
        raise UplinkError("malformed", "loss: first does not fit the reason or is after last")
    return Loss(LossReason(reason), check.text(row[1], "loss lane", 64), epoch, first, last)
