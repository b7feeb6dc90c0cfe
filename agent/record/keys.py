"""The device's signing key and the platform's public key. Never logged, never quoted."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    load_pem_private_key,
    load_pem_public_key,
)

from agent.uplink.cose import Signer, Trust, TrustedKey
from config.limits import KEY_FILE_BYTES_MAX


class KeyProblem(Exception):  # noqa: N818 -- it reaches a person as a problem, not as a traceback
    """A key that cannot be used. The text says what to do and never quotes the file."""


def load_signer(keys: Path, environ: Mapping[str, str] = os.environ) -> Signer:
    """The device's key: systemd's credential `device.key`, or the file in `keys`.

    Raises KeyProblem, also when somebody else may read the file.
    """
    credentials = environ.get("CREDENTIALS_DIRECTORY")
    path = keys / "device.key"
    if credentials and (Path(credentials) / "device.key").exists():
        path = Path(credentials) / "device.key"  # who may read it is the service manager's care
        pem = _read(path, private=False)
    else:
        pem = _read(path, private=True)
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise KeyProblem(
            f"{path}: expected an Ed25519 private key in PEM, found something else; "
            "'embergate-fw keys' makes one"
        )
    return Signer(key)


def load_platform(keys: Path) -> Trust:
    """The pinned key whose acknowledgements are believed; empty when none is pinned yet.

    Raises KeyProblem when there is a file that is not such a key.
    """
    return _pinned(keys / "platform.pub", "the platform's")


def load_commander(keys: Path) -> Trust:
    """The pinned key whose commands are obeyed: another one than the platform's, which is on every
    receiver. Empty when none is pinned; raises KeyProblem as load_platform()."""
    return _pinned(keys / "command.pub", "the command")


def _pinned(path: Path, whose: str) -> Trust:
    if not path.exists():
        return Trust([])
    try:
        key = load_pem_public_key(_read(path, private=False))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise KeyProblem(f"{path}: expected {whose} Ed25519 public key in PEM")
    return Trust([TrustedKey(key.public_bytes_raw())])


def _read(path: Path, *, private: bool) -> bytes:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW * private)
        with os.fdopen(fd, "rb") as f:
            mode = os.fstat(fd).st_mode
            if not stat.S_ISREG(mode):
                raise KeyProblem(f"{path}: expected a file")
            if private and mode & 0o077:
                raise KeyProblem(
                    f"{path}: others may read it (mode {mode & 0o777:04o}); take that away with "
                    f"'chmod 600 {path}' and consider making a new key"
                )
            data = f.read(KEY_FILE_BYTES_MAX + 1)
    except OSError as e:
        raise KeyProblem(f"{path}: {e.strerror}; 'embergate-fw keys' makes keys") from None
    if len(data) > KEY_FILE_BYTES_MAX:
        raise KeyProblem(f"{path}: larger than {KEY_FILE_BYTES_MAX} bytes: not a key")
    return data
