"""What every driver yields: blocks of readings, failures, read-backs, panel events.

A block is one transaction's worth of points, not one object a point. Stamps are monotonic
nanoseconds, taken when the last byte of the reply arrived: the age of a value is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ReadingBlock:
    """The points of one reply.

    point: int32[n], indices into the plan's point table, constant for a poll.
    value: float64[n], engineering units; for state points the sum of words.Flag.
    quality: uint8[n], words.Quality. A value whose quality is not GOOD is not a measurement.
    """

    poll: int
    mono_ns: int
    point: NDArray[np.int32]
    value: NDArray[np.float64]
    quality: NDArray[np.uint8]


class Failure(StrEnum):
    """Why a transaction gave no values."""

    TIMEOUT = "timeout"
    LINK_DOWN = "link_down"
    EXCEPTION = "exception"  # the unit answered with a Modbus exception
    MALFORMED = "malformed"  # only bytes that match no request came
    INCOMPLETE = "its reply begins and does not end in time"
    FROZEN = "its heartbeat stands still"


@dataclass(frozen=True, slots=True)
class PollFailure:
    """A poll that failed, and why."""

    poll: int
    mono_ns: int
    why: Failure
    exception_code: int = 0


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What an output's coil reads, or that it could not be read (`on` is None)."""

    output: int
    mono_ns: int
    on: bool | None
    written: bool = False  # True: this answers a write, False: a periodic read-back


@dataclass(frozen=True, slots=True)
class TextReading:
    """What a text of a device says (`text`: index in the plan); None: it refuses to be read."""

    text: int
    mono_ns: int
    value: str | None


@dataclass(frozen=True, slots=True)
class InputLevel:
    """What a local input (index in Plan.inputs) reads; `on` is None when it cannot be read."""

    input: int
    mono_ns: int
    on: bool | None


@dataclass(frozen=True, slots=True)
class LineState:
    """A line's link came up or went down.

    jammed: while the link is up, whether something talks on the line without end; None when
    nothing is said of that.
    """

    line: int
    mono_ns: int
    up: bool
    text: str = ""
    jammed: bool | None = None


PANEL_WHOLE = "device"
"""The address of what a panel, or its transmission device, says of itself as a whole."""


class PanelKind(StrEnum):
    """What a panel's event is about."""

    STATE = "state"  # of one address
    CLEAR_ALL = "clear_all"  # `flags` end at all of the panel's addresses: reset, system normal
    SILENCE = "silence"  # the panel's sounders were silenced ...
    SOUND = "sound"  # ... or sounded again, at the panel
    NOTE = "note"  # worth the record, no state
    CLOCK = "clock"  # the panel's clock went wrong, or is right again (skew_s 0)


@dataclass(frozen=True, slots=True)
class PanelEvent:
    """An event that a panel told of itself, in its words and ours."""

    device: int
    mono_ns: int
    flags: int  # words.Flag that the event sets, or clears
    address: str  # the panel's own address of the point
    text: str
    clears: bool = False
    kind: PanelKind = PanelKind.STATE
    panel_time: str = ""  # as far as the panel told it: 2008-12-02T17:24, or 17:24:30
    skew_s: int = 0  # with CLOCK: how far the panel's clock is ahead of ours
