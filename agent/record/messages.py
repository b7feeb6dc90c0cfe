"""Fields of what comes over the socket, and what is told over it."""

from __future__ import annotations

from typing import Any

from agent.ipc import Message, Refused


def notice(source: str, text: str) -> Message:
    """A fault for the field process to show, or its end."""
    return {"e": "notice", "source": source, "fault": bool(text), "text": text or "as it should be"}


def raw_of(message: Message, key: str, size: int) -> bytes:
    """A field of exactly `size` bytes. Raises Refused "malformed"."""
    value = message.get(key)
    if not isinstance(value, bytes) or len(value) != size:
        raise Refused("malformed", f"{key}: expected {size} bytes")
    return value


def rows_of(message: Message, key: str) -> list[Any]:
    """A field that is an array. Raises Refused "malformed"."""
    value = message.get(key)
    if not isinstance(value, list):
        raise Refused("malformed", f"{key}: expected an array")
    return value


def duty_is_answered(row: Any) -> bool:
    """Whether a record of the field says that somebody answered a duty check."""
    return (
        isinstance(row, list)
        and len(row) == 9
        and row[3] == "duty"
        and isinstance(row[4], int)
        and isinstance(row[8], dict)
        and row[8].get("state") == "answered"
    )
