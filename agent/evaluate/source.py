"""What a recording is to the replay, wherever it came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from agent.evaluate.messages import Refused


class BadRecording(Refused):
    """A recording cannot be used. The text names file, row (the header is row 1) and column."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Samples of one stamp. column: i4[m], positions in the list of wanted columns, each once.

    value: f8[m] as recorded, quality: u1[m] words.Quality.
    """

    ns: int
    column: NDArray[np.int32]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]


class Source(Protocol):
    """One recording. zero_ns is the stamp that reports call 0 s; stamps may go backward."""

    name: str
    columns: tuple[str, ...]
    interval_ns: int  # the usual time between two rows
    steps_ns: dict[str, int]  # the usual time between two samples of a column
    zero_ns: int
    translated: bool  # states are words.Flag already, and numbers are in their unit
    start: str  # what the zero is, in words; "" when it is a zero of its own
    digest: str

    def frames(self, wanted: Sequence[str]) -> Iterator[Frame]:
        """The samples of the wanted columns, in the order they were recorded.

        Raises BadRecording.
        """
        ...


def usual_step_ns(stamps: Sequence[int], default_ns: int) -> int:
    """The median of the steps forward."""
    steps = sorted(b - a for a, b in pairwise(stamps) if b > a)
    return steps[len(steps) // 2] if steps else default_ns
