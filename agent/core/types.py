"""What goes into a cycle and what comes out. Frozen values, stamped by the caller.

What every cycle makes, or makes by the hundred, is a named tuple: a frozen dataclass takes three
times as long.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from functools import partial
from typing import Any, NamedTuple

from config.words import Lane
from drivers.reading import (
    InputLevel,
    LineState,
    PanelEvent,
    PollFailure,
    ReadBack,
    ReadingBlock,
    TextReading,
)


class ClockState(IntEnum):
    """What the wall clock is worth. Detection never waits for it."""

    UNSET = 0
    HOLDOVER = 1
    SYNCHRONISED = 2


@dataclass(frozen=True, slots=True)
class Now:
    """The time of a cycle. Monotonic decides; wall labels, and says whether it is day.

    offset_s: local time minus UTC.
    """

    mono_ns: int
    wall_ns: int
    clock: ClockState
    offset_s: int = 0


class Verb(StrEnum):
    """What an operator can order. The first three are three verbs, never one."""

    ACKNOWLEDGE = "acknowledge"
    SILENCE = "silence"
    RESET = "reset"
    DISABLE = "disable"  # a point, zone, output or courier, until an expiry
    ENABLE = "enable"
    TEST = "test"  # starts the walk test of a group; without a target it ends the one that runs
    CLASSIFY = "classify"  # an alarm, afterwards: real, false or test, with a reason
    EVACUATE = "evacuate"  # the guard confirms: the general alarm
    MANUAL = "manual"  # the manual alarm of the gateway itself, called to the centre
    DUTY = "duty"  # the answer to a duty check
    SIREN_TEST = "siren-test"
    LAMP_TEST = "lamp-test"


@dataclass(frozen=True, slots=True)
class Command:
    """An operator's order. `who` and `source` go to the record.

    target: what it is about, "point/DEVICE.POINT", "zone/NAME", "output/NAME", "courier/NAME" or
    "group/NAME"; "" where the verb is about everything. duration_ns: of a disablement or a test,
    0 for the default. word: of a classification "real", "false" or "test". why: in their words.
    """

    verb: Verb
    who: str
    source: str
    target: str = ""
    duration_ns: int = 0
    word: str = ""
    why: str = ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A fault, or its end, that another part of the gateway reports of itself (disk, kernel)."""

    source: str  # coalescing key, e.g. "record.disk"
    fault: bool
    text: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of the fire lane at one destination, as the record has it."""

    courier: str
    sealed: int  # fire batches that the record sealed since its start
    waiting: int  # fire batches that the destination has not acknowledged
    connected: bool


@dataclass(frozen=True, slots=True)
class DutyCheck:
    """A monitoring centre asks who is on duty (查岗), or does not ask any more."""

    courier: str
    asked: bool
    text: str = ""


class Inputs(NamedTuple):
    """Everything since the last cycle, in order and bounded (config.limits)."""

    blocks: tuple[ReadingBlock, ...] = ()
    failures: tuple[PollFailure, ...] = ()
    panel_events: tuple[PanelEvent, ...] = ()
    commands: tuple[Command, ...] = ()
    read_backs: tuple[ReadBack, ...] = ()
    lines: tuple[LineState, ...] = ()
    notices: tuple[Notice, ...] = ()
    texts: tuple[TextReading, ...] = ()
    # Persisted alarm state, merged in: it adds, it never clears. b"" says that there is none, which
    # is knowledge too: outputs that the latch holds on without a cause may then go off.
    recalled: bytes | None = None
    levels: tuple[InputLevel, ...] = ()
    deliveries: tuple[Delivery, ...] = ()
    duty_checks: tuple[DutyCheck, ...] = ()
    stopping: bool = False  # the last cycle before a stop in good order


class Order(NamedTuple):
    """What an output shall be from now on. Level-triggered: the last order stands."""

    output: int
    on: bool
    pattern: str
    mono_ns: int
    kept: bool = True  # the latch restores it after a crash; not of a test or a lamp
    again: bool = False  # nothing changes: it is written once more and read back, for a self-test


class Record(NamedTuple):
    """Something that happened, on its way to the signed record.

    source: coalescing key, e.g. "point/17", "zone/2", "output/0". Of one source the latest
    transition matters most; how many were folded into it is counted on the way.
    body: CBOR-ready map; the keys are those of docs/uplink.md.
    """

    lane: Lane
    source: str
    # "point", "zone", "panel", "output", "effect", "device", "line", "operator", "system",
    # "counters", "disablement", "test", "delay", "classification", "manual",
    # "input", "duty", "output_test", "text"
    what: str
    mono_ns: int
    body: dict[str, Any]


record_of: Callable[[tuple[Lane, str, str, int, dict[str, Any]]], Record]
record_of = partial(tuple.__new__, Record)
"""A record of its fields in order, for whoever makes a thousand: `Record()` takes twice as long."""
