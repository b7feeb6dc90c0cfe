"""What a profile says about a device besides its points: heartbeat, outputs, examples.

Examples are lines of the manual: these words on the wire mean that. `embergate profile test` sends
them through the whole path, so that a rule and the manual cannot drift apart unnoticed.
"""

from __future__ import annotations

from dataclasses import dataclass

import yaml

from config import heartbeat_reader, quantity
from config.desk_limits import PROFILE_EXAMPLES_MAX
from config.limits import POLL_INTERVAL_NS_MAX, POLL_INTERVAL_NS_MIN
from config.problems import Path
from config.shape import Keys, Reader
from config.words import FLAG_WORDS

_EXAMPLE = Keys(("point", "words", "reads"))
_NOT_STATES = ("normal", "not_ready", "bad")


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A register that changes while the device lives; one that stands still is STALE."""

    function: int
    address: int
    within_ns: int

    def row(self) -> tuple[int, ...]:
        """plan.Device.heartbeat."""
        return (self.function, self.address, 1, self.within_ns)


@dataclass(frozen=True, slots=True)
class Example:
    """Words on the wire (bits 0 and 1 for tables of bits) and what they must read as.

    reads: words of FLAG_WORDS, or one of "normal", "not_ready", "bad", or a number.
    """

    point: str
    words: tuple[int, ...]
    reads: tuple[str, ...] | float


def read_heartbeat(reader: Reader, node: yaml.Node, path: Path) -> Heartbeat | None:
    """`{register: 40108, within: 15s}`, as a device of the site file has it."""
    found = heartbeat_reader.read_heartbeat(reader, node, path)
    return None if not found else Heartbeat(found[0], found[1], found[3])


def read_output_timeout(reader: Reader, node: yaml.Node, path: Path) -> int | None:
    """After how long without a master the outputs fall back; 0 for the word `none`: never."""
    if isinstance(node, yaml.ScalarNode) and node.value == "none":
        return 0
    return reader.duration(node, path, POLL_INTERVAL_NS_MIN, POLL_INTERVAL_NS_MAX)


def read_examples(reader: Reader, node: yaml.Node, path: Path) -> tuple[Example, ...]:
    """The list of examples; problems for those that cannot be read."""
    items = reader.items(node, path) or []
    if len(items) > PROFILE_EXAMPLES_MAX:
        reader.problem(
            "too_many", node, path, "", count=str(len(items)), most=str(PROFILE_EXAMPLES_MAX)
        )
        return ()
    found = [_example(reader, item, here) for item, here in items]
    return tuple(e for e in found if e is not None)


def _example(reader: Reader, node: yaml.Node, path: Path) -> Example | None:
    found = reader.fields(node, path, _EXAMPLE)
    if found is None:
        return None
    point = reader.text(found["point"], (*path, "point"), "a point")
    words = tuple(
        reader.integer(n, p, 0, 0xFFFF)
        for n, p in reader.items(found["words"], (*path, "words")) or ()
    )
    if not words:
        reader.problem("list.empty", found["words"], (*path, "words"))
    reads = _reads(reader, found["reads"], (*path, "reads"))
    if point is None or not words or reads is None or any(w is None for w in words):
        return None
    return Example(point, tuple(w or 0 for w in words), reads)


def _reads(reader: Reader, node: yaml.Node, path: Path) -> tuple[str, ...] | float | None:
    if isinstance(node, yaml.ScalarNode) and quantity.NUMBER.fullmatch(node.value):
        return reader.number(node, path)
    known = (*FLAG_WORDS, *_NOT_STATES)
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    words = [reader.choice(n, path, known, "a state") for n in nodes]
    return None if any(w is None for w in words) else tuple(w or "" for w in words)
