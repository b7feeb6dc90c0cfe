"""Which requests read the points of one device: registers coalesced into blocks. Pure.

A transaction costs far more than a register (on an RS-485 line at 9,600 baud about twelve
registers, for the frame's overhead, two silences and the turnaround), so wants that lie close
together are read as one. Every want is whole in exactly one request: a 32-bit value is never
torn between two replies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from operator import attrgetter

from config.limits import (
    MODBUS_GAP_REGISTERS,
    MODBUS_READ_BITS_MAX,
    MODBUS_READ_REGISTERS_MAX,
    MODBUS_RIDE_FACTOR_MAX,
)

_BIT_FUNCTIONS = (1, 2)
_ADDRESSES = 65_536
_BITS_PER_REGISTER = 16


@dataclass(frozen=True, slots=True)
class Want:
    """One value to read. `width` is in registers, or in bits for functions 1 and 2."""

    key: int
    function: int
    address: int
    width: int
    interval_ns: int
    alarm: bool


@dataclass(frozen=True, slots=True)
class Request:
    """One read request and the keys of the wants that it serves, in the order of address."""

    function: int
    address: int
    count: int
    interval_ns: int
    alarm: bool
    keys: tuple[int, ...]


_want_order = attrgetter("address", "width", "key")


def count_max(function: int) -> int:
    """The most that one request of this function may read (Modbus V1.1b3, 6.1 to 6.4)."""
    return MODBUS_READ_BITS_MAX if function in _BIT_FUNCTIONS else MODBUS_READ_REGISTERS_MAX


def plan_requests(wants: Sequence[Want], *, gap_max: int = MODBUS_GAP_REGISTERS) -> list[Request]:
    """The requests that read `wants`, all of one device; alarm requests first, then the fastest.

    gap_max: unwanted registers that may be read between two wanted ones (16 bits each for
    functions 1 and 2); 0 joins neighbours only.

    Wants join only within one function, interval and alarm class, with one exception that costs
    nothing on the line: a want that lies wholly inside a request planned for a more urgent class
    rides along, when that request is at most MODBUS_RIDE_FACTOR_MAX times as fast (a point asked
    for once a minute is not recorded ten times a second). An alarm want never leaves the alarm
    requests. The result does not depend on the order of `wants`.
    """
    classes: dict[tuple[bool, int], list[Want]] = defaultdict(list)
    for want in wants:
        assert want.function in (1, 2, 3, 4), want
        assert 1 <= want.width <= count_max(want.function), want
        assert 0 <= want.address <= _ADDRESSES - want.width, want
        assert want.interval_ns > 0, want
        classes[(not want.alarm, want.interval_ns)].append(want)
    blocks: list[_Block] = []
    for urgency in sorted(classes):
        waiting = sorted(classes[urgency], key=_want_order)
        rest = [want for want in waiting if not _rides(want, blocks)]
        blocks.extend(_coalesce(rest, gap_max))
    return [block.request() for block in blocks]


class _Block:
    """A request under construction: a span and the wants inside it."""

    __slots__ = ("end", "start", "wants")

    def __init__(self, first: Want) -> None:
        self.start = first.address
        self.end = first.address + first.width
        self.wants = [first]

    def takes(self, want: Want, gap_max: int) -> bool:
        """Join `want` (not before `start`) when gap and length allow."""
        end = max(self.end, want.address + want.width)
        if want.address - self.end > gap_max or end - self.start > count_max(want.function):
            return False
        self.end = end
        self.wants.append(want)
        return True

    def request(self) -> Request:
        first = self.wants[0]
        self.wants.sort(key=_want_order)
        return Request(
            first.function,
            self.start,
            self.end - self.start,
            first.interval_ns,
            first.alarm,
            tuple(want.key for want in self.wants),
        )


def _rides(want: Want, blocks: Iterable[_Block]) -> bool:
    for block in blocks:
        host = block.wants[0]
        if (
            host.function == want.function
            and block.start <= want.address
            and want.address + want.width <= block.end
            and host.interval_ns <= want.interval_ns <= host.interval_ns * MODBUS_RIDE_FACTOR_MAX
            and (host.alarm or not want.alarm)
        ):
            block.wants.append(want)
            return True
    return False


def _coalesce(wants: Sequence[Want], gap_max: int) -> list[_Block]:
    """Blocks of wants of one interval and alarm class, `wants` in the order of address."""
    by_function: dict[int, list[Want]] = defaultdict(list)
    for want in wants:
        by_function[want.function].append(want)
    blocks: list[_Block] = []
    for function in sorted(by_function):
        gap = gap_max * _BITS_PER_REGISTER if function in _BIT_FUNCTIONS else gap_max
        block: _Block | None = None
        for want in by_function[function]:
            if block is None or not block.takes(want, gap):
                block = _Block(want)
                blocks.append(block)
    return blocks
