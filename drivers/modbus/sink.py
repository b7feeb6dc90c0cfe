"""Where a bus master delivers what it reads."""

from __future__ import annotations

from typing import Protocol

from drivers.reading import LineState, PollFailure, ReadBack, ReadingBlock, TextReading


class Sink(Protocol):
    """Where a bus master delivers. Called by the event loop; must not block."""

    def block(self, block: ReadingBlock) -> None:
        """The points of one reply."""

    def failed(self, failure: PollFailure) -> None:
        """A poll that gave no values."""

    def text(self, reading: TextReading) -> None:
        """What a text of a device says."""

    def read_back(self, read_back: ReadBack) -> None:
        """What an output's coil reads."""

    def line(self, state: LineState) -> None:
        """The link came up or went down."""
