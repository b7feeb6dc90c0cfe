"""Ed25519 keys of a device and of the platform: made where they are used, never overwritten.

A private key is written to a file of its own that nobody else can read (mode 0600 from its first
byte, whatever the umask) and appears under its name whole or not at all: it is linked there, and a
link never replaces a file. Nothing here logs, prints or puts a secret in an error.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

ALGORITHM = "ed25519"
TRUST_VERSION = 1
KID_BYTES = 8
KEY_FILE_BYTES_MAX = 8_192
TRUST_FILE_BYTES_MAX = 64 * 1024 * 1024
_GATEWAY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class KeyProblem(Exception):  # noqa: N818 -- it reaches a person as a problem, not as a traceback
    """A key file or trust list that cannot be made or used. The text says what to do."""


@dataclass(frozen=True, slots=True)
class PublicKey:
    """The public half of a key. `raw` is the 32 bytes of RFC 8032."""

    raw: bytes

    @property
    def kid(self) -> bytes:
        """Key identifier: the first 8 bytes of SHA-256 of the raw public key."""
        return hashlib.sha256(self.raw).digest()[:KID_BYTES]


def create_keys(out: Path, name: str) -> PublicKey:
    """Make `name`.key (PKCS #8 PEM, 0600) and `name`.pub (PEM, 0644) in `out`.

    Raises KeyProblem when either exists already: a key that is replaced cuts the chain of every
    record it ever signed, so taking it away is a decision of a person.
    """
    key_path, pub_path = out / f"{name}.key", out / f"{name}.pub"
    for path in (key_path, pub_path):
        if os.path.lexists(path):
            raise KeyProblem(
                f"{path} exists and is never overwritten; move it away yourself if the key is "
                "really to be replaced"
            )
    private = Ed25519PrivateKey.generate()
    public = PublicKey(private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        out.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(key_path, pem, 0o600)
        _write_new(pub_path, public_pem(public), 0o644)
    except OSError as e:
        raise KeyProblem(f"{e.filename or out}: {e.strerror}; the keys were not made") from None
    return public


def public_pem(public: PublicKey) -> bytes:
    """SubjectPublicKeyInfo, PEM."""
    key = Ed25519PublicKey.from_public_bytes(public.raw)
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def read_public(path: Path) -> PublicKey:
    """The public key of a PEM file, or of a directory that holds device.pub or device.key.

    Raises KeyProblem.
    """
    if path.is_dir():
        found = [path / n for n in ("device.pub", "device.key") if (path / n).is_file()]
        if not found:
            raise KeyProblem(f"{path}: expected device.pub; make it with 'embergate-fw keys'")
        path = found[0]
    try:
        pem = _read_capped(path, KEY_FILE_BYTES_MAX)
    except OSError as e:
        raise KeyProblem(f"{path}: {e.strerror}") from None
    try:
        key: Any
        if b"PRIVATE KEY" in pem:
            key = load_pem_private_key(pem, password=None)
            key = key.public_key()
        else:
            key = load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # `from None`: what the parser says may quote the file.
        raise KeyProblem(f"{path}: expected an Ed25519 key in PEM, found something else") from None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{path}: expected an Ed25519 key, found a key of another algorithm")
    return PublicKey(key.public_bytes(Encoding.Raw, PublicFormat.Raw))


def trust_entry(public: PublicKey, gateway: str) -> dict[str, str]:
    """What a receiver needs to believe this gateway. The algorithm is named, never a number."""
    if not _GATEWAY.fullmatch(gateway):
        raise KeyProblem(
            f"expected the site id (letters, digits, '.', '_', '-'; at most 64), found {gateway!r}"
        )
    return {
        "gateway": gateway,
        "kid": public.kid.hex(),
        "algorithm": ALGORITHM,
        "public": base64.b64encode(public.raw).decode("ascii"),
    }


def add_to_trust(path: Path, entry: dict[str, str]) -> bool:
    """Add an entry to a trust list file, made when absent. False when it is in there already.

    Raises KeyProblem when the file is not a trust list, or knows the key under another gateway:
    two gateways with one key are a clone.
    """
    keys: list[Any] = []
    try:
        document = json.loads(_read_capped(path, TRUST_FILE_BYTES_MAX))
        keys = document["keys"]
        if document["version"] != TRUST_VERSION or not isinstance(keys, list):
            raise KeyError("version")
    except FileNotFoundError:
        pass
    except OSError as e:
        raise KeyProblem(f"{path}: {e.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeyProblem(
            f'{path}: expected a trust list {{"version": {TRUST_VERSION}, "keys": [...]}}'
        ) from None
    for known in keys:
        if isinstance(known, dict) and known.get("kid") == entry["kid"]:
            if known.get("gateway") == entry["gateway"]:
                return False
            raise KeyProblem(
                f"{path}: key {entry['kid']} belongs to gateway {known.get('gateway')!r} already; "
                "each gateway makes a key of its own"
            )
    text = json.dumps({"version": TRUST_VERSION, "keys": [*keys, entry]}, indent=2) + "\n"
    try:
        _replace(path, text.encode(), 0o644)
    except OSError as e:
        raise KeyProblem(f"{path}: {e.strerror}; nothing was changed") from None
    return True


def _read_capped(path: Path, cap: int) -> bytes:
    with path.open("rb") as f:
        data = f.read(cap + 1)
    if len(data) > cap:
        raise KeyProblem(f"{path}: larger than {cap} bytes: not what was expected here")
    return data


def _temporary(path: Path, data: bytes, mode: int) -> Path:
    """A synced file with these bytes beside `path`, with `mode` from its first byte."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(fd, "wb") as f:
            os.fchmod(f.fileno(), mode)  # a umask can only take away
            f.write(data)
            f.flush()
            os.fsync(f.fileno())
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    return temporary


def _write_new(path: Path, data: bytes, mode: int) -> None:
    temporary = _temporary(path, data, mode)
    try:
        os.link(temporary, path)  # fails when `path` exists, also in a race: never replaces
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _replace(path: Path, data: bytes, mode: int) -> None:
    temporary = _temporary(path, data, mode)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    with contextlib.suppress(OSError):  # some file systems cannot sync a directory
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
