"""Keys and batches for the tests of the uplink. Everything follows from fixed seeds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.uplink.batch import (
    ZERO_HASH,
    Batch,
    Codec,
    Loss,
    LossReason,
    Opened,
    hash_of,
    open_batch,
    seal,
)
from agent.uplink.cose import Signer, Trust, TrustedKey
from agent.uplink.events import EpochData, EventRecord, Head, encode_epoch, encode_events

GATEWAY = "tj-heping-0417"
DEVICE = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
PLATFORM = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64))))
STRANGER = Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96))))
TRUST = Trust([TrustedKey(DEVICE.public, GATEWAY)])
BOOT = bytes(range(16))
SESSION = bytes(range(100, 116))
WALL_NS = 1_790_000_000_000_000_000


def event(seq: int, **body: Any) -> EventRecord:
    return EventRecord(
        SESSION, seq, "point/1017", "point", 5_000_000_000 + seq, WALL_NS + seq, 2, 0,
        {"to": 1, "value": 63.5, **body},
    )  # fmt: skip


def batch(**changes: Any) -> Batch:
    base = Batch(
        gateway=GATEWAY, epoch=b"epoch--1", lane="fire", seq=0, prev=bytes(32), boot=BOOT,
        mono_first_ns=5_000_000_000, mono_last_ns=5_100_000_000, wall_ns=WALL_NS, clock=2,
        codec=Codec.CBOR, data=encode_events([event(1)]),
    )  # fmt: skip
    return replace(base, **changes)


class Maker:
    """Makes whole histories: epochs and chains that join."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.ordinal = -1
        self.epoch = b""
        self._epoch_hash = ZERO_HASH
        self._prev: dict[str, bytes] = {}
        self._seq: dict[str, int] = {}
        self.heads: dict[str, Head] = {}

    def open_epoch(self, losses: tuple[Loss, ...] = (), **changes: Any) -> bytes:
        self.ordinal += 1
        self.epoch = b"epoch-%02d" % self.ordinal
        reason = "start" if self.ordinal else "first"
        data = encode_epoch(EpochData(reason, dict(self.heads), losses, "test"))
        made = batch(
            lane="epoch", epoch=self.epoch, seq=self.ordinal, prev=self._epoch_hash, data=data
        )
        message = seal(replace(made, **changes), DEVICE)
        self._epoch_hash = hash_of(message)
        self._prev, self._seq = {}, {}
        self.messages.append(message)
        return message

    def add(self, lane: str = "event", losses: tuple[Loss, ...] = (), **changes: Any) -> bytes:
        seq = self._seq.get(lane, 0)
        made = batch(
            lane=lane, epoch=self.epoch, seq=seq, prev=self._prev.get(lane, self._epoch_hash),
            losses=losses, data=encode_events([event(1000 * self.ordinal + seq)]),
            mono_last_ns=6_000_000_000 + seq,
        )  # fmt: skip
        message = seal(replace(made, **changes), DEVICE)
        self._seq[lane] = seq + 1
        self._prev[lane] = hash_of(message)
        self.heads[lane] = Head(self.epoch, seq, self._prev[lane])
        self.messages.append(message)
        return message


def opened(message: bytes) -> Opened:
    return open_batch(message, TRUST)


def evicted(lane: str, epoch: bytes, last: int) -> Loss:
    return Loss(LossReason.EVICTED, lane, epoch, 0, last)
