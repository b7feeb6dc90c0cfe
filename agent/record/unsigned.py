"""What a courier may say whose destination signs nothing: a monitoring centre.

Its word moves its own stored place and nothing else. What it tells of its destination is kept as
events of the record, bounded, and a duty check is asked on the site.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from agent.ipc import Message, Refused
from agent.record.offers import Courier
from agent.record.sealer import Number
from agent.record.shelf import Shelf
from config.limits import COURIER_EVENT_FIELDS_MAX, COURIER_EVENT_WORDS_MAX, COURIER_STATE_TEXT_MAX

_WORD = re.compile(r"[a-z][a-z_]{0,31}")
TOPICS = ("duty",)
"""Of what a courier may tell the site."""


def take_delivered(message: Message, courier: Courier, shelf: Shelf) -> int:
    """How many batches {epoch, lane, seq} moved the courier's own place. Raises Refused.

    Codes: "signed" (the destination has to sign its acknowledgements), "malformed", "unknown" (no
    such epoch), "future" (was never offered to it).
    """
    if not courier.unsigned:
        raise Refused("signed", "the platform's own signed acknowledgement moves this place")
    epoch, lane, seq = (message.get(key) for key in ("epoch", "lane", "seq"))
    if not (isinstance(epoch, bytes) and isinstance(lane, str) and isinstance(seq, int)):
        raise Refused("malformed", "expected epoch, lane and seq")
    ordinal = shelf.ordinal(epoch)
    if ordinal is None:
        raise Refused("unknown", f"epoch {epoch.hex()} is not ours")
    if seq > max(courier.offered((lane, ordinal)), courier.acked((lane, ordinal))):
        raise Refused("future", f"{lane} {seq} was not offered")
    return courier.acknowledged(Number(lane, ordinal, seq))


class Said:
    """What couriers said of their destinations since it was last put on record, by kind."""

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, str], tuple[dict[str, Any], int]] = {}

    def add(self, courier: str, message: Message) -> None:
        """Keep {event, body}: the latest of a kind and how many there were. Raises Refused."""
        event, body = message.get("event"), message.get("body")
        if not isinstance(event, str) or not _WORD.fullmatch(event) or not _is_plain(body):
            raise Refused("malformed", "expected a word as event and a small flat map as body")
        assert isinstance(body, Mapping)
        key = (courier, event)
        kinds = sum(of == courier for of, _ in self._waiting)
        if key not in self._waiting and kinds >= COURIER_EVENT_WORDS_MAX:
            raise Refused("busy", "too many kinds of events at once")
        count = self._waiting.get(key, ({}, 0))[1] + 1
        self._waiting[key] = ({**body, "event": event, "courier": courier}, count)

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """(source, body) of what waits; all of it is forgotten."""
        out = [
            (f"courier/{courier}", {**body, "count": count})
            for (courier, _), (body, count) in self._waiting.items()
        ]
        self._waiting.clear()
        return out


def _is_plain(body: Any) -> bool:
    return (
        isinstance(body, Mapping)
        and len(body) <= COURIER_EVENT_FIELDS_MAX
        and all(isinstance(key, str) and _WORD.fullmatch(key) for key in body)
        and all(
            isinstance(value, bool)
            or (isinstance(value, int) and abs(value) < 2**63)
            or (isinstance(value, str) and len(value) <= COURIER_STATE_TEXT_MAX)
            for value in body.values()
        )
    )


class Notices:
    """What couriers show on the site, for a courier that starts again while it stands."""

    def __init__(self) -> None:
        self._standing: dict[str, dict[str, tuple[str, Mapping[str, Any]]]] = {}

    def take(self, courier: str, message: Message) -> str:
        """The text of {topic, text, memory}; no text ends it. Raises Refused."""
        topic, text, memory = (message.get(key) for key in ("topic", "text", "memory"))
        if topic not in TOPICS or not isinstance(text, str) or not _is_plain(memory):
            words = ", ".join(TOPICS)
            raise Refused("malformed", f"expected a topic ({words}), a text and a small flat map")
        assert isinstance(memory, Mapping)
        text = text[:COURIER_STATE_TEXT_MAX]
        standing = self._standing.setdefault(courier, {})
        if text:
            standing[topic] = (text, memory)
        else:
            standing.pop(topic, None)
        return text

    def of(self, courier: str) -> list[list[Any]]:
        """[topic, text, memory] of what stands."""
        return [[topic, *row] for topic, row in self._standing.get(courier, {}).items()]
