"""Sealing: numbers, hashes and signatures of one epoch. Pure; randomness and time are arguments.

Each lane is a chain of its own. Nothing is ever sealed twice: the bytes made here are the bytes
that are stored, offered and resent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from agent.core.types import Now
from agent.uplink.batch import ZERO_HASH, Batch, Codec, Loss, hash_of, seal
from agent.uplink.cose import Signer
from agent.uplink.events import EpochData, encode_epoch
from agent.uplink.heartbeat import Heartbeat, seal_heartbeat
from config.words import Lane


@dataclass(frozen=True, slots=True)
class Number:
    """Which batch, by the ordinal of its epoch. Sorts as a lane's history does."""

    lane: str
    ordinal: int
    seq: int


@dataclass(frozen=True, slots=True)
class Sealed:
    """A batch as it is kept. wall_ns is 0 when the clock was not set: its age is not known."""

    number: Number
    epoch: bytes
    data: bytes
    hash: bytes
    wall_ns: int


@dataclass(frozen=True, slots=True)
class EpochPlace:
    """An epoch in the chain of epochs."""

    ordinal: int
    epoch: bytes
    hash: bytes


class Sealer:
    """The open epoch of one gateway."""

    def __init__(
        self,
        signer: Signer,
        gateway: str,
        boot: bytes,
        epoch: bytes,
        before: EpochPlace | None,
        what: EpochData,
        now: Now,
    ) -> None:
        self._signer = signer
        self._gateway = gateway
        self._boot = boot
        self._next: dict[str, int] = {}
        self._prev: dict[str, bytes] = {}
        ordinal = 0 if before is None else before.ordinal + 1
        opening = Batch(
            gateway=gateway,
            epoch=epoch,
            lane=Lane.EPOCH,
            seq=ordinal,
            prev=ZERO_HASH if before is None else before.hash,
            boot=boot,
            mono_first_ns=now.mono_ns,
            mono_last_ns=now.mono_ns,
            wall_ns=now.wall_ns,
            clock=int(now.clock),
            codec=Codec.CBOR,
            data=encode_epoch(what),
        )
        data = seal(opening, signer)
        number = Number(Lane.EPOCH, ordinal, ordinal)
        self.opening = Sealed(number, epoch, data, hash_of(data), _known_wall(now))
        self.place = EpochPlace(ordinal, epoch, self.opening.hash)

    def heartbeat(self, now: Now, nonce: bytes = b"") -> bytes:
        """Signed: (seq, hash) of the last batch sealed in every lane, the epoch's own included."""
        heads = {str(lane): (seq - 1, self._prev[lane]) for lane, seq in self._next.items()}
        heads[str(Lane.EPOCH)] = (self.place.ordinal, self.place.hash)
        beat = Heartbeat(
            self._gateway, self.place.epoch, self.place.ordinal, self._boot, now.mono_ns,
            now.wall_ns, int(now.clock), heads, nonce,
        )  # fmt: skip
        return seal_heartbeat(beat, self._signer)

    def seal(
        self,
        lane: str,
        codec: Codec,
        data: bytes,
        now: Now,
        *,
        mono_first_ns: int,
        table: bytes = b"",
        losses: Sequence[Loss] = (),
    ) -> Sealed:
        """The next batch of a lane. Raises UplinkError "too_large", and no number is used up.

        now: when the last of it happened; mono_first_ns: when the first did.
        """
        assert lane != Lane.EPOCH, "an epoch has one batch of its own"
        seq = self._next.get(lane, 0)
        batch = Batch(
            gateway=self._gateway,
            epoch=self.place.epoch,
            lane=lane,
            seq=seq,
            prev=self._prev.get(lane, self.place.hash),
            boot=self._boot,
            mono_first_ns=min(mono_first_ns, now.mono_ns),
            mono_last_ns=now.mono_ns,
            wall_ns=now.wall_ns,
            clock=int(now.clock),
            codec=codec,
            data=data,
            table=table,
            losses=tuple(losses),
        )
        message = seal(batch, self._signer)
        own_hash = hash_of(message)
        self._next[lane] = seq + 1
        self._prev[lane] = own_hash
        number = Number(lane, self.place.ordinal, seq)
        return Sealed(number, self.place.epoch, message, own_hash, _known_wall(now))


def _known_wall(now: Now) -> int:
    return now.wall_ns if now.clock else 0
