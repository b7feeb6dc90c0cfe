"""What all panel protocols share: what a panel said, and how a conversation is held. Pure.

A conversation takes bytes and the time and gives replies and events; it owns no link and reads no
clock. Any bytes give events, a wait for more, or a counted damage: nothing here raises.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from drivers.panel.clock import PanelTime
from drivers.reading import PanelKind


@dataclass(frozen=True, slots=True)
class Said:
    """One event in the panel's words and ours: a PanelEvent without its device and stamp."""

    kind: PanelKind
    flags: int  # words.Flag
    clears: bool
    address: str
    text: str
    time: PanelTime | None = None
    sent: PanelTime | None = None  # when the panel sent it, if that is not when it happened


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes that are no frame: what was expected, and how many bytes went."""

    why: str
    size: int


@dataclass(slots=True)
class Counters:
    """Of one panel, since the start."""

    frames: int = 0  # that were whole and good: the panel lives
    events: int = 0
    damaged: int = 0  # wrong checksum, cut off, no frame at all
    not_understood: int = 0  # good frames for whose words the dialect has no rule
    replies: int = 0


@dataclass(slots=True)
class Heard:
    """What came of some bytes, or of time passing."""

    said: list[Said] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)


class Talk(Protocol):
    """A conversation with one panel."""

    counters: Counters
    pipelined: bool  # all answers are sent; else the latest alone, the panel waits for one

    def receive(self, data: bytes, now_ns: int) -> Heard:
        """Bytes came."""

    def tick(self, now_ns: int) -> Heard:
        """Time passed: what is half said may be taken as a whole, or given up."""

    def restart(self) -> None:
        """The link is new: nothing of before belongs to what comes now."""
