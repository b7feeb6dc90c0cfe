"""Small checks of decoded fields, each with the same error."""

from __future__ import annotations

import re
from typing import Any

from agent.uplink.errors import UplinkError

UINT_MAX = 2**63 - 1  # fits a signed 64-bit column of any database
VERSION = 1  # of the contract
GATEWAY = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")  # both are levels of a topic
LANE = re.compile(r"[a-z0-9_-]{1,32}")
_NO_LANES = ("heartbeat", "link")


def uint(value: Any, name: str, most: int = UINT_MAX) -> int:
    """A non-negative integer of at most `most`. Raises UplinkError "malformed"."""
    if type(value) is not int or not 0 <= value <= most:
        raise UplinkError("malformed", f"{name}: expected a number from 0 to {most}")
    return value


def raw(value: Any, name: str, size: int | None = None) -> bytes:
    """A byte string, of `size` bytes if given. Raises UplinkError "malformed"."""
    if type(value) is not bytes or (size is not None and len(value) != size):
        wanted = "bytes" if size is None else f"{size} bytes"
        raise UplinkError("malformed", f"{name}: expected {wanted}")
    return value


def text(value: Any, name: str, most: int = 256) -> str:
    """Text of 1 to `most` characters, none of them U+0000, which no database's text column takes.

    Raises UplinkError "malformed".
    """
    if type(value) is not str or not 0 < len(value) <= most:
        raise UplinkError("malformed", f"{name}: expected text of 1 to {most} characters")
    if "\0" in value:
        raise UplinkError("malformed", f"{name}: expected text without U+0000")
    return value


def gateway(value: Any) -> str:
    """The name of a gateway. Raises UplinkError "malformed"."""
    if type(value) is not str or not GATEWAY.fullmatch(value):
        text = "gateway: expected 1 to 64 of A-Z a-z 0-9 . _ -, the first a letter or digit"
        raise UplinkError("malformed", text)
    return value


def lane(value: Any) -> str:
    """The name of a lane. Raises UplinkError "malformed"."""
    if type(value) is not str or not LANE.fullmatch(value) or value in _NO_LANES:
        text = "lane: expected 1 to 32 of a-z 0-9 _ -, and not heartbeat or link"
        raise UplinkError("malformed", text)
    return value


def versioned(
    value: Any, name: str, keys: frozenset[int], optional: frozenset[int] = frozenset()
) -> dict[int, Any]:
    """A payload: such a map, of the version that is known. Raises UplinkError "version" too."""
    if type(value) is dict and (type(value.get(0)) is not int or value[0] != VERSION):
        raise UplinkError("version", f"expected version {VERSION}, found {value.get(0)!r:.80}")
    return table(value, name, keys, optional)


def array(value: Any, name: str, size: int | None = None) -> list[Any]:
    """An array, of `size` items if given. Raises UplinkError "malformed"."""
    if type(value) is not list or (size is not None and len(value) != size):
        wanted = "an array" if size is None else f"an array of {size}"
        raise UplinkError("malformed", f"{name}: expected {wanted}")
    return value


def table(value: Any, name: str, keys: frozenset[int], optional: frozenset[int]) -> dict[int, Any]:
    """A map with exactly these integer keys. Raises UplinkError "malformed"."""
    if type(value) is not dict:
        raise UplinkError("malformed", f"{name}: expected a map")
    found = value.keys()
    if not keys <= found or not found <= keys | optional:
        raise UplinkError(
            "malformed", f"{name}: expected the keys {sorted(keys)}, found {list(found)[:32]}"
        )
    return value
