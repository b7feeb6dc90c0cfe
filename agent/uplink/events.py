"""Bodies of codec 0: event records of the lanes fire and event, and what opens an epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.uplink import cbor, check
from agent.uplink.batch import EPOCH_BYTES, HASH_BYTES, Loss, loss_of
from agent.uplink.errors import UplinkError
from config.limits import BATCH_EVENTS_MAX, LOSSES_MAX

LANES_MAX = 32


@dataclass(frozen=True, slots=True)
class EventRecord:
    """One thing that happened. (session, seq) names it for ever, across epochs.

    session: 16 bytes of one run of the process that told it. mono_ns belongs to the boot of the
    batch. folded: how many earlier transitions of the same source were folded into this one.
    """

    session: bytes
    seq: int
    source: str
    what: str
    mono_ns: int
    wall_ns: int
    clock: int
    folded: int
    body: Mapping[str, Any]


def encode_events(records: Sequence[EventRecord]) -> bytes:
    """The data of a batch of the lanes fire and event."""
    assert 0 < len(records) <= BATCH_EVENTS_MAX
    return cbor.encode(
        [
            [r.session, r.seq, r.source, r.what, r.mono_ns, r.wall_ns, r.clock, r.folded, r.body]
            for r in records
        ]
    )


def decode_events(data: bytes) -> list[EventRecord]:
    """The records of a batch. Raises UplinkError "malformed"."""
    rows = check.array(cbor.decode(data), "events")
    if not 0 < len(rows) <= BATCH_EVENTS_MAX:
        raise UplinkError("malformed", f"events: expected 1 to {BATCH_EVENTS_MAX}")
    return [event_of(row) for row in rows]


def event_of(value: Any) -> EventRecord:
    """One record from its array. Raises UplinkError "malformed"."""
    row = check.array(value, "event", 9)
    body = row[8]
    if type(body) is not dict or not all(type(key) is str for key in body):
        raise UplinkError("malformed", "event body: expected a map with text keys")
    return EventRecord(
        session=check.raw(row[0], "session", 16),
        seq=check.uint(row[1], "event seq"),
        source=check.text(row[2], "source"),
        what=check.text(row[3], "what", 64),
        mono_ns=check.uint(row[4], "mono"),
        wall_ns=check.uint(row[5], "wall"),
        clock=check.uint(row[6], "clock", 2),
        folded=check.uint(row[7], "folded"),
        body=body,
    )


@dataclass(frozen=True, slots=True)
class Head:
    """The last durable batch of a lane."""

    epoch: bytes
    seq: int
    hash: bytes


@dataclass(frozen=True, slots=True)
class EpochData:
    """What an epoch batch says.

    reason: "first", "start", "damage" (see docs/uplink.md). heads: the last durable batch of
    each lane before this epoch, but of the lane "epoch" itself, which `prev` names.
    """

    reason: str
    heads: Mapping[str, Head] = field(default_factory=dict)
    losses: tuple[Loss, ...] = ()
    software: str = ""


def encode_epoch(epoch: EpochData) -> bytes:
    """The data of a batch of the lane epoch."""
    return cbor.encode(
        {
            0: epoch.reason,
            1: {lane: [h.epoch, h.seq, h.hash] for lane, h in epoch.heads.items()},
            2: [[int(x.reason), x.lane, x.epoch, x.first, x.last] for x in epoch.losses],
            3: epoch.software,
        }
    )


def decode_epoch(data: bytes) -> EpochData:
    """What an epoch batch says. Raises UplinkError "malformed"."""
    fields = check.table(
        cbor.decode(data, items_max=4_096), "epoch", frozenset(range(4)), frozenset()
    )
    heads, losses = fields[1], check.array(fields[2], "epoch losses")
    if type(heads) is not dict or len(heads) > LANES_MAX or len(losses) > LOSSES_MAX:
        raise UplinkError("malformed", "epoch: expected a map of heads and an array of losses")
    if type(fields[3]) is not str or len(fields[3]) > 64:
        raise UplinkError("malformed", "epoch software: expected text")
    return EpochData(
        reason=check.text(fields[0], "epoch reason", 32),
        heads={check.lane(lane): _head(row) for lane, row in heads.items()},
        losses=tuple(loss_of(row) for row in losses),
        software=fields[3],
    )


def _head(value: Any) -> Head:
    row = check.array(value, "head", 3)
    return Head(
        epoch=check.raw(row[0], "head epoch", EPOCH_BYTES),
        seq=check.uint(row[1], "head seq"),
        hash=check.raw(row[2], "head hash", HASH_BYTES),
    )
