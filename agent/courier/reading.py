"""The records of a batch, for couriers whose destination cannot verify one.

The record offers only what it sealed itself, over its own socket, so the payload is read without
its signature and this process needs no cryptography.
"""

from __future__ import annotations

from agent.uplink import cbor
from agent.uplink.batch import Batch, Codec, decode_payload
from agent.uplink.errors import UplinkError
from agent.uplink.events import EventRecord, decode_events

_SIGN1_TAG = 0xD2


def records_of(message: bytes) -> tuple[Batch, list[EventRecord]]:
    """A batch of the lanes fire or event, and its records. Raises UplinkError."""
    if not message or message[0] != _SIGN1_TAG:
        raise UplinkError("malformed", "expected a COSE_Sign1 with tag 18")
    parts = cbor.decode(message[1:], items_max=8)
    if not isinstance(parts, list) or len(parts) != 4 or not isinstance(parts[2], bytes):
        raise UplinkError("malformed", "expected [protected, {}, payload, signature]")
    batch = decode_payload(parts[2])
    if batch.codec != Codec.CBOR:
        raise UplinkError("malformed", f"codec {batch.codec} carries no events")
    return batch, decode_events(batch.data)
