"""COSE_Sign1 (RFC 9052, 4.2) with Ed25519, and nothing else of COSE.

The algorithm is fixed here and never read from the wire as a choice: a message whose protected
header differs by one byte from the one we would have written ourselves is refused before a
signature is looked at. Verification comes before decoding of the payload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import (
    Ed25519PrivateKey,
    Ed25519PublicKey,
)

from agent.uplink import cbor
from agent.uplink.content_types import ACK_TYPE, BATCH_TYPE, COMMAND_TYPE, HEARTBEAT_TYPE
from agent.uplink.errors import UplinkError
from config.limits import BATCH_BYTES_MAX

__all__ = [
    "ACK_TYPE",
    "BATCH_TYPE",
    "COMMAND_TYPE",
    "HEARTBEAT_TYPE",
    "KID_BYTES",
    "Signer",
    "Trust",
    "TrustedKey",
    "kid_of",
]

_ALG, _EDDSA, _TYPE, _KID = 1, -8, 3, 4  # RFC 9052 table 2, RFC 9053 table 2
_SIGN1_TAG = 0xD2  # tag 18, one byte
_CONTEXT = cbor.encode(["Signature1", 0, 0, 0])[:-3]  # an array of four begins with its context
KID_BYTES = 8


def kid_of(public: bytes) -> bytes:
    """Key id of a raw 32-byte public key: the first 8 bytes of its SHA-256."""
    assert len(public) == 32, "an Ed25519 public key has 32 bytes"
    return hashlib.sha256(public).digest()[:KID_BYTES]


@cache  # of three content types
def _before_kid(content_type: str) -> bytes:
    """The protected header up to the key id, which ends it: its keys are in that order."""
    whole = cbor.encode({_ALG: _EDDSA, _TYPE: content_type, _KID: bytes(KID_BYTES)})
    return whole[:-KID_BYTES]


def _protected(content_type: str, kid: bytes) -> bytes:
    return _before_kid(content_type) + kid


def _to_be_signed(protected: bytes, payload: bytes) -> bytes:
    """Sig_structure (RFC 9052, 4.4): ["Signature1", protected, h'', payload]."""
    parts = (_CONTEXT, cbor.head(0x40, len(protected)), protected, b"\x40",
             cbor.head(0x40, len(payload)), payload)  # fmt: skip
    return b"".join(parts)


class Signer:
    """Signs with one private key. Never shows it: repr has the key id only."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public: bytes = private.public_key().public_bytes_raw()
        self.kid = kid_of(self.public)

    def __repr__(self) -> str:
        return f"Signer(kid={self.kid.hex()})"

    def sign(self, content_type: str, payload: bytes) -> bytes:
        """COSE_Sign1, tagged, as bytes. Equal input gives equal bytes (RFC 8032)."""
        protected = _protected(content_type, self.kid)
        signature = self._private.sign(_to_be_signed(protected, payload))
        return bytes([_SIGN1_TAG]) + cbor.encode([protected, {}, payload, signature])


@dataclass(frozen=True, slots=True)
class TrustedKey:
    """A public key (raw, 32 bytes) and the only gateway it may speak for; None: any."""

    public: bytes
    gateway: str | None = None


class Trust:
    """The keys whose signatures are believed, by key id."""

    def __init__(self, keys: Iterable[TrustedKey]) -> None:
        self._keys: dict[bytes, tuple[Ed25519PublicKey, str | None]] = {}
        for key in keys:
            public = Ed25519PublicKey.from_public_bytes(key.public)
            self._keys[kid_of(key.public)] = (public, key.gateway)

    def __len__(self) -> int:
        return len(self._keys)

    def gateway_of(self, kid: bytes) -> str | None:
        """The gateway that a key is bound to, None when it is bound to none."""
        return self._keys[kid][1]

    def verify(self, message: bytes, content_type: str) -> tuple[bytes, bytes]:
        """(payload, kid) of a COSE_Sign1 by a trusted key and of this content type.

        Raises UplinkError: "too_large", "malformed", "wrong_type", "unknown_key", "forged".
        """
        if len(message) > BATCH_BYTES_MAX:
            raise UplinkError("too_large", f"{len(message)} bytes, at most {BATCH_BYTES_MAX}")
        if not message or message[0] != _SIGN1_TAG:
            raise UplinkError("malformed", "expected a COSE_Sign1 with tag 18")
        parts = cbor.decode(message[1:], items_max=8)
        if not (
            isinstance(parts, list)
            and len(parts) == 4
            and all(isinstance(parts[i], bytes) for i in (0, 2, 3))
            and parts[1] == {}
            and isinstance(parts[1], dict)
            and len(parts[3]) == 64
        ):
            raise UplinkError("malformed", "expected [protected, {}, payload, signature]")
        protected, _, payload, signature = parts
        kid = _kid(protected, content_type)
        if kid not in self._keys:
            raise UplinkError("unknown_key", f"key {kid.hex()} is not in the trust list")
        try:
            self._keys[kid][0].verify(signature, _to_be_signed(protected, payload))
        except InvalidSignature:
            raise UplinkError("forged", f"the signature is not by key {kid.hex()}") from None
        return payload, kid


def _kid(protected: bytes, content_type: str) -> bytes:
    before = _before_kid(content_type)
    if len(protected) == len(before) + KID_BYTES and protected.startswith(before):
        return protected[-KID_BYTES:]
    header = cbor.decode(protected, items_max=8)
    kid = header.get(_KID) if isinstance(header, dict) else None
    if not isinstance(kid, bytes) or len(kid) != KID_BYTES:
        raise UplinkError("malformed", "expected a key id of 8 bytes in the protected header")
    raise UplinkError(
        "wrong_type", f"expected EdDSA over {content_type}, found the header {header!r:.200}"
    )
