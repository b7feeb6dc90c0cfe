"""What was announced before, kept at the broker itself: this process has no files. Pure.

One retained message: {"version": 1, "discovery": PREFIX, "things": {"point/17": ["sensor/value"]}}.
It always names at least what stands there, so whatever is no more can be taken away, also after a
power cut between the two. Anyone who may write there may forge it; what it can do is to make us
send empty messages to topics of our own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from config.opendata_limits import OPENDATA_LIST_BYTES_MAX

Things = dict[str, frozenset[str]]
_THING = re.compile(r"(?:gateway|(?:zone|point|output|line|panel|courier)/[\w-]{1,64})")
_ENTITY = re.compile(r"(?:sensor|binary_sensor)/[a-z_]{1,40}")
_PREFIX = re.compile(r"[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9_-]{1,64}){0,3}|")


def read_list(data: bytes) -> tuple[str, Things] | None:
    """(prefix of discovery, things), or None when it is no such list. Any bytes."""
    if len(data) > OPENDATA_LIST_BYTES_MAX:
        return None
    try:
        value: Any = json.loads(data)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or value.get("version") != 1:
        return None
    prefix, things = value.get("discovery"), value.get("things")
    if not isinstance(prefix, str) or not isinstance(things, dict):
        return None
    if not _PREFIX.fullmatch(prefix) or prefix.split("/")[0] == "embergate":
        return None
    out: Things = {}
    for thing, entities in things.items():
        if not _THING.fullmatch(thing) or not isinstance(entities, list):
            return None
        if not all(isinstance(e, str) and _ENTITY.fullmatch(e) for e in entities):
            return None
        out[thing] = frozenset(entities)
    return prefix, out


def write_list(prefix: str, things: Mapping[str, Iterable[str]]) -> bytes:
    """The message."""
    body = {
        "version": 1,
        "discovery": prefix,
        "things": {thing: sorted(entities) for thing, entities in sorted(things.items())},
    }
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def merged(a: Mapping[str, frozenset[str]], b: Mapping[str, frozenset[str]]) -> Things:
    """Everything of both."""
    return {thing: a.get(thing, frozenset()) | b.get(thing, frozenset()) for thing in {**a, **b}}


def gone(
    before: Mapping[str, frozenset[str]], now: Mapping[str, frozenset[str]]
) -> tuple[list[str], list[tuple[str, str]]]:
    """(things, (thing, entity)) that are no more."""
    things = [thing for thing in before if thing not in now]
    pairs = [
        (thing, entity)
        for thing, entities in before.items()
        for entity in sorted(entities - now.get(thing, frozenset()))
    ]
    return things, pairs
