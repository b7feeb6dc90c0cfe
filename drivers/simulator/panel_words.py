"""What all simulated panels share: something to tell, and how it is harmed on its way. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from drivers.simulator.fields import SimulatorError


class Harm(StrEnum):
    """What happens to an event on its way, once."""

    NONE = "none"
    CHECKSUM = "checksum"  # one bit of it is wrong
    HALF = "half"  # the line goes quiet in the middle


@dataclass(frozen=True, slots=True)
class Telling:
    """One event to be told: a word of the protocol's table, or the panel's own text."""

    word: str
    address: str = ""
    place: str = ""
    text: str = ""
    harm: Harm = Harm.NONE


class SimulatedPanel(Protocol):
    """A panel's side of its port. Answers are the bytes that it sends now."""

    def tell(self, telling: Telling, now: datetime) -> bytes:
        """Something happened. Raises SimulatorError for a word that the panel does not have."""

    def receive(self, data: bytes, now_ns: int) -> bytes:
        """The gateway sent something."""

    def tick(self, now_ns: int) -> bytes:
        """Time passed."""


def word_of(table: dict[str, str], telling: Telling) -> str:
    """The panel's text. Raises SimulatorError when it has no such word."""
    if telling.text:
        return telling.text
    if telling.word not in table:
        raise SimulatorError(f"expected one of {', '.join(table)}; found {telling.word!r}")
    return table[telling.word]


def harmed(data: bytes, harm: Harm, at: int) -> bytes:
    """The bytes as they arrive."""
    if harm is Harm.CHECKSUM:
        return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
    return data[: len(data) // 2] if harm is Harm.HALF else data
