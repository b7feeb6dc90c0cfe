"""A receiver written from docs/uplink.md alone: nothing of the product is imported here.

Sections of the document are named where they are carried out. It keeps everything in memory.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

TYPE = "application/vnd.embergate.{}+cbor"
LIMIT = {"batch": 1_048_576, "ack": 1_024, "heartbeat": 4_096}


class Bad(Exception):
    """Refused; the only argument is a code of section 11."""


def canonical(raw: bytes) -> Any:
    """Section 2: check by encoding again what was decoded."""
    try:
        value = cbor2.loads(raw)
        again = cbor2.dumps(value, canonical=True)
    except Exception:  # noqa: BLE001 -- cbor2 raises many types on hostile bytes
        raise Bad("malformed") from None
    if again != raw:
        raise Bad("malformed")
    return value


def envelope(message: bytes, kind: str, keys: dict[bytes, bytes]) -> tuple[dict[int, Any], bytes]:
    """Section 3, and the order of section 11, 1 and 2."""
    if len(message) > LIMIT[kind]:
        raise Bad("too_large")
    outer = canonical(message)
    parts = outer.value if isinstance(outer, cbor2.CBORTag) and outer.tag == 18 else None
    if not isinstance(parts, list) or len(parts) != 4 or parts[1] != {} or len(parts[3]) != 64:
        raise Bad("malformed")
    protected, _, payload, signature = parts
    header = canonical(protected)
    if set(header) != {1, 3, 4} or header[1] != -8 or header[3] != TYPE.format(kind):
        raise Bad("wrong_type")
    if header[4] not in keys:
        raise Bad("unknown_key")
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    try:
        Ed25519PublicKey.from_public_bytes(keys[header[4]]).verify(signature, signed)
    except InvalidSignature:
        raise Bad("forged") from None
    fields = canonical(payload)
    if not isinstance(fields, dict) or fields.get(0) != 1:
        raise Bad("version")
    return fields, header[4]


class Receiver:
    """Section 11."""

    def __init__(self, private: bytes) -> None:
        self.keys: dict[bytes, bytes] = {}
        self.gateways: dict[bytes, str] = {}
        self.batches: dict[tuple[bytes, str, int], bytes] = {}
        self.fields: dict[tuple[bytes, str, int], dict[int, Any]] = {}
        self.lost: set[tuple[bytes, str, int, int]] = set()
        self.newest = (-1, -1)
        self._key = Ed25519PrivateKey.from_private_bytes(private)
        self._wall_ns = 0

    def trust(self, gateway: str, public: bytes) -> None:
        kid = hashlib.sha256(public).digest()[:8]
        self.keys[kid], self.gateways[kid] = public, gateway

    def take(self, topic: str, message: bytes) -> list[bytes]:
        """The acknowledgements to publish. Raises Bad."""
        found = re.fullmatch(r"embergate/1/([^/]+)/up/([^/]+)", topic)
        assert found
        gateway, lane = found.groups()
        if lane == "heartbeat":
            self._heartbeat(gateway, message)
            return []
        fields, kid = envelope(message, "batch", self.keys)
        if set(range(13)) - set(fields) or set(fields) - set(range(15)):
            raise Bad("malformed")
        if self.gateways[kid] != fields[1] or gateway != fields[1] or lane != fields[3]:
            raise Bad("foreign")
        epoch, seq = fields[2], fields[4]
        held = self.batches.get((epoch, lane, seq))
        if held is not None and held != message:
            raise Bad("fork")
        self._joins(fields, message)
        self.batches[epoch, lane, seq] = message
        self.fields[epoch, lane, seq] = fields
        losses = list(fields.get(14, ()))
        if lane == "epoch":
            losses += canonical(fields[12])[2]
        self.lost |= {(e, ln, a, b) for reason, ln, e, a, b in losses if reason != 4}
        lanes = {ln for e, ln, _ in self.batches if e == epoch} if lane == "epoch" else {lane}
        return [ack for ln in sorted(lanes) if (ack := self._ack(gateway, epoch, ln))]

    def _joins(self, fields: dict[int, Any], message: bytes) -> None:
        """Section 4, chain."""
        epoch, lane, seq = fields[2], fields[3], fields[4]
        if lane == "epoch":
            return
        before = self.batches.get((epoch, lane, seq - 1))
        after = self.fields.get((epoch, lane, seq + 1))
        if seq == 0:
            opened = [m for (e, ln, _), m in self.batches.items() if (e, ln) == (epoch, "epoch")]
            before = opened[0] if opened else None
        if before is not None and hashlib.sha256(before).digest() != fields[5]:
            raise Bad("broken_link")
        if after is not None and after[5] != hashlib.sha256(message).digest():
            raise Bad("broken_link")

    def _ack(self, gateway: str, epoch: bytes, lane: str) -> bytes | None:
        """Section 10."""
        opened = [seq for e, ln, seq in self.batches if (e, ln) == (epoch, "epoch")]
        if not opened:
            return None
        top = opened[0] if lane == "epoch" else self._whole(epoch, lane)
        if top is None:
            return None
        digest = hashlib.sha256(self.batches[epoch, lane, top]).digest()
        self._wall_ns += 1
        payload = {0: 1, 1: gateway, 2: epoch, 3: lane, 4: top, 5: digest, 6: self._wall_ns}
        return self._sign("ack", cbor2.dumps(payload, canonical=True))

    def _whole(self, epoch: bytes, lane: str) -> int | None:
        seq, held = 0, None
        while True:
            if (epoch, lane, seq) in self.batches:
                held, seq = seq, seq + 1
                continue
            ends = [b for e, ln, a, b in self.lost if (e, ln) == (epoch, lane) and a <= seq <= b]
            if not ends or not any(
                s > seq for e, ln, s in self.batches if (e, ln) == (epoch, lane)
            ):
                return held
            seq += 1

    def _sign(self, kind: str, payload: bytes) -> bytes:
        kid = hashlib.sha256(self._key.public_key().public_bytes_raw()).digest()[:8]
        protected = cbor2.dumps({1: -8, 3: TYPE.format(kind), 4: kid}, canonical=True)
        signature = self._key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
        return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))

    def _heartbeat(self, gateway: str, message: bytes) -> None:
        fields, kid = envelope(message, "heartbeat", self.keys)
        if self.gateways[kid] != fields[1] or gateway != fields[1]:
            raise Bad("foreign")
        stamp = (fields[3], fields[5])
        if stamp <= self.newest:
            return
        self.newest = stamp
        for lane, (seq, digest) in fields[8].items():
            held = self.batches.get((fields[2], lane, seq))
            if held is not None and hashlib.sha256(held).digest() != digest:
                raise Bad("fork")
