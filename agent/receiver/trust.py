"""Whom a receiver believes: the trust list of gateways' keys, and its own signing key."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from agent.uplink import check
from agent.uplink.cose import Signer, Trust, TrustedKey, kid_of
from config.limits import TRUST_FILE_BYTES_MAX

TRUST_VERSION = 1


class TrustProblem(Exception):  # noqa: N818 -- reaches a person as a problem
    """A trust list or key that cannot be used. The text says what to do."""


@dataclass(frozen=True, slots=True)
class TrustList:
    """Keys by id, and the gateways they speak for."""

    trust: Trust
    gateways: frozenset[str]


def read_trust(path: Path) -> TrustList:
    """{"version": 1, "keys": [{gateway, kid, algorithm, public}, ...]} as `embergate-fw public`
    writes it. A key speaks for one gateway; a gateway may have several keys. Raises TrustProblem.
    """
    try:
        with path.open("rb") as f:
            raw = f.read(TRUST_FILE_BYTES_MAX + 1)
    except OSError as e:
        raise TrustProblem(f"{path}: {e.strerror}; 'embergate-fw public' writes one") from None
    if len(raw) > TRUST_FILE_BYTES_MAX:
        raise TrustProblem(f"{path}: larger than {TRUST_FILE_BYTES_MAX} bytes: not a trust list")
    try:
        document = json.loads(raw)
        rows = document["keys"]
        if document["version"] != TRUST_VERSION or not isinstance(rows, list):
            raise KeyError("version")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise TrustProblem(
            f'{path}: expected {{"version": {TRUST_VERSION}, "keys": [...]}}; '
            "'embergate-fw public DIR --gateway ID --into FILE' writes it"
        ) from None
    keys: dict[bytes, TrustedKey] = {}
    for number, row in enumerate(rows):
        kid, key = _entry(f"{path}: keys[{number}]", row)
        if keys.setdefault(kid, key).gateway != key.gateway:
            raise TrustProblem(
                f"{path}: keys[{number}]: key {kid.hex()} speaks for {keys[kid].gateway!r} already"
            )
    gateways = frozenset(str(key.gateway) for key in keys.values())
    return TrustList(Trust(keys.values()), gateways)


def _entry(where: str, row: Any) -> tuple[bytes, TrustedKey]:
    if not isinstance(row, dict):
        raise TrustProblem(f"{where}: expected a map with gateway, kid, algorithm, public")
    if row.get("algorithm") != "ed25519":
        raise TrustProblem(f"{where}: expected algorithm 'ed25519', found {row.get('algorithm')!r}")
    gateway = row.get("gateway")
    if not isinstance(gateway, str) or not check.GATEWAY.fullmatch(gateway):
        raise TrustProblem(f"{where}: expected a gateway id, found {gateway!r}")
    try:
        public = base64.b64decode(row["public"], validate=True)
        kid = bytes.fromhex(row["kid"])
    except (KeyError, TypeError, ValueError):
        raise TrustProblem(f"{where}: expected 'public' in base64 and 'kid' in hex") from None
    if len(public) != 32 or kid_of(public) != kid:
        raise TrustProblem(f"{where}: 'kid' is not that of the public key: {len(public)} bytes")
    return kid, TrustedKey(public, gateway)


def read_signer(directory: Path) -> Signer:
    """The platform's key, DIRECTORY/platform.key. Raises TrustProblem, which never quotes it."""
    path = directory / "platform.key"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as e:
        raise TrustProblem(
            f"{path}: {e.strerror}; make it with 'embergate-fw platform-keys --out {directory}'"
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TrustProblem(f"{path}: expected an Ed25519 private key in PEM") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise TrustProblem(f"{path}: expected an Ed25519 key, found another algorithm")
    return Signer(key)
