"""A glance into an acknowledgement, without a key: of what use it is, the record decides.

The courier hands the platform's message to the record, which verifies it. Only after the record
has believed it does the courier look at which batches it means. `agent.uplink.ack` is for who
verifies; it needs cryptography, which a courier does without.
"""

from __future__ import annotations

from typing import NamedTuple

from agent.uplink import cbor
from agent.uplink.errors import UplinkError

_SIGN1_TAG = 0xD2
_EPOCH, _LANE, _SEQ = 2, 3, 4


class Covered(NamedTuple):
    """All batches of a lane of an epoch up to `seq`."""

    epoch: bytes
    lane: str
    seq: int


def covered(message: bytes) -> Covered | None:
    """What an acknowledgement speaks of; None when it is none."""
    if not message or message[0] != _SIGN1_TAG:
        return None
    try:
        parts = cbor.decode(message[1:], items_max=8)
        fields = cbor.decode(parts[2], items_max=32)
        epoch, lane, seq = fields[_EPOCH], fields[_LANE], fields[_SEQ]
    except (UplinkError, TypeError, LookupError):
        return None
    if type(epoch) is not bytes or type(lane) is not str or type(seq) is not int:
        return None
    return Covered(epoch, lane, seq)
