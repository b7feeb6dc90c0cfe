"""How a PIN is kept: scrypt (RFC 7914) with a salt of its own, never plain.

`scrypt$LOG2_N$R$P$SALT$HASH`, salt and hash as URL-safe base64 without padding. The cost is in the
text, so that it can be raised later without touching the PINs that exist.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass

from config.limits import PIN_LOG2_N_MAX, PIN_PARALLEL_MAX

LOG2_N, BLOCK, PARALLEL = 14, 8, 5
"""16 MB and about a quarter of a second on a small machine."""
SALT_BYTES, HASH_BYTES = 16, 32
_FORM = re.compile(r"scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([\w-]{22})\$([\w-]{43})", re.ASCII)


@dataclass(frozen=True, slots=True)
class PinHash:
    """A parsed hash."""

    log2_n: int
    block: int
    parallel: int
    salt: bytes
    hash: bytes

    def fits(self, pin: str) -> bool:
        """Whether it is the hash of this PIN; takes as long for any PIN."""
        return hmac.compare_digest(
            _scrypt(pin, self.salt, self.log2_n, self.block, self.parallel), self.hash
        )

    def text(self) -> str:
        """As it stands in the site file."""
        cost = f"{self.log2_n}${self.block}${self.parallel}"
        return f"scrypt${cost}${_base64(self.salt)}${_base64(self.hash)}"


def make(pin: str, salt: bytes, *, log2_n: int = LOG2_N, parallel: int = PARALLEL) -> PinHash:
    """The hash of a PIN. salt: SALT_BYTES, random."""
    assert len(salt) == SALT_BYTES
    return PinHash(log2_n, BLOCK, parallel, salt, _scrypt(pin, salt, log2_n, BLOCK, parallel))


def parse(text: str) -> PinHash | None:
    """A hash from its text; None when it is none, or checking it would cost too much."""
    found = _FORM.fullmatch(text)
    if found is None:
        return None
    log2_n, block, parallel = (int(found[i]) for i in (1, 2, 3))
    if not (1 <= log2_n <= PIN_LOG2_N_MAX and block == BLOCK):
        return None
    if not 1 <= parallel <= PIN_PARALLEL_MAX:
        return None
    try:
        salt, digest = (base64.urlsafe_b64decode(found[i] + "==") for i in (4, 5))
    except binascii.Error:
        return None
    if len(salt) != SALT_BYTES or len(digest) != HASH_BYTES:
        return None
    return PinHash(log2_n, block, parallel, salt, digest)


def _scrypt(pin: str, salt: bytes, log2_n: int, block: int, parallel: int) -> bytes:
    memory = 128 * block * ((1 << log2_n) + parallel + 2)
    return hashlib.scrypt(
        pin.encode(), salt=salt, n=1 << log2_n, r=block, p=parallel, maxmem=2 * memory,
        dklen=HASH_BYTES,
    )  # fmt: skip


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
