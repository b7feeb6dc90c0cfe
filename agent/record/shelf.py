"""Which batches there are, by epoch and lane: what couriers can be offered. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from agent.record.sealer import EpochPlace, Number
from agent.record.survey import Survey


class Shelf:
    """First and last number of each lane in each epoch; ordinals and names of epochs."""

    def __init__(self, epochs: Iterable[EpochPlace], surveys: Iterable[Survey], now: int) -> None:
        self.now = now  # ordinal of the open epoch
        self._names = {e.ordinal: e.epoch for e in epochs}
        self._ordinals = {e.epoch: e.ordinal for e in epochs}
        self._ranges: dict[str, dict[int, tuple[int, int]]] = {}
        for survey in surveys:
            for (lane, ordinal), ends in survey.ranges.items():
                self._ranges.setdefault(lane, {})[ordinal] = ends

    def added(self, number: Number) -> None:
        """A batch was sealed."""
        lane = self._ranges.setdefault(number.lane, {})
        first, _ = lane.get(number.ordinal, (number.seq, 0))
        lane[number.ordinal] = (first, number.seq)

    def removed(self, lane: str, ordinal: int, seq: int) -> None:
        """A lane was evicted up to and including a batch."""
        ranges = self._ranges.get(lane, {})
        for past in [o for o in ranges if o < ordinal]:
            del ranges[past]
        if ordinal in ranges:
            _, last = ranges[ordinal]
            if seq < last:
                ranges[ordinal] = (seq + 1, last)
            else:
                del ranges[ordinal]

    def ends(self, lane: str, ordinal: int) -> tuple[int, int] | None:
        """(first, last) number there is, None for none."""
        return self._ranges.get(lane, {}).get(ordinal)

    def ordinals(self, lane: str) -> list[int]:
        """Epochs that have batches of a lane, oldest first."""
        return sorted(self._ranges.get(lane, ()))

    def lanes(self) -> list[str]:
        """Every lane that has batches."""
        return list(self._ranges)

    def epoch(self, ordinal: int) -> bytes:
        """The name of an epoch."""
        return self._names[ordinal]

    def ordinal(self, epoch: bytes) -> int | None:
        """The ordinal of an epoch, None when it is not ours."""
        return self._ordinals.get(epoch)
