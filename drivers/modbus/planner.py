"""Which requests read the points of one device: registers coalesced into blocks. Pure.

A transaction costs far more than a register (on an RS-485 line at 9,600 baud about twelve
registers, for the frame's overhead, two silences and the turnaround), so wants that lie close
together are read as one. Every want is whole in exactly one request: a 32-bit value is never
torn between two replies.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
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


_COUNT_MAX = {
    function: MODBUS_READ_BITS_MAX if function in _BIT_FUNCTIONS else MODBUS_READ_REGISTERS_MAX
    for function in (1, 2, 3, 4)
}


def count_max(function: int) -> int:
    """The most that one request of this function may read (Modbus V1.1b3, 6.1 to 6.4)."""
    return _COUNT_MAX[function]


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
    classes: dict[tuple[bool, int, int], list[Want]] = defaultdict(list)
    for want in wants:
        assert 1 <= want.width <= _COUNT_MAX[want.function], want
        assert 0 <= want.address <= _ADDRESSES - want.width, want
        assert want.interval_ns > 0, want
        classes[(not want.alarm, want.interval_ns, want.function)].append(want)
    laid: dict[int, list[_Lane]] = defaultdict(list)
    blocks: list[_Block] = []
    for urgency in sorted(classes):
        interval_ns, function = urgency[1:]
        hosts = [lane for lane in laid[function] if lane.carries(interval_ns)]
        waiting = sorted(classes[urgency], key=_want_order)
        rest = [want for want in waiting if not _rides(want, hosts)] if hosts else waiting
        if rest:
            lane = _Lane(interval_ns, _coalesce(rest, gap_max))
            laid[function].append(lane)
            blocks.extend(lane.blocks)
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
        if want.address - self.end > gap_max or end - self.start > _COUNT_MAX[want.function]:
            return False
        self.end = end
        self.wants.append(want)
        return True

    def request(self) -> Request:
        first = self.wants[0]
        keys: tuple[int, ...] = (first.key,)
        if len(self.wants) > 1:
            self.wants.sort(key=_want_order)
            keys = tuple([want.key for want in self.wants])
        count = self.end - self.start
        return Request(first.function, self.start, count, first.interval_ns, first.alarm, keys)


class _Lane:
    """The blocks of one class and function, in the order of address."""

    __slots__ = ("blocks", "interval_ns", "starts")

    def __init__(self, interval_ns: int, blocks: list[_Block]) -> None:
        self.interval_ns = interval_ns
        self.blocks = blocks
        self.starts = [block.start for block in blocks]

    def carries(self, interval_ns: int) -> bool:
        """Whether a want of a class that is planned later, hence less urgent, may ride along.

        Alarm classes are planned first: no alarm want ever meets another kind of host.
        """
        return self.interval_ns <= interval_ns <= self.interval_ns * MODBUS_RIDE_FACTOR_MAX


def _rides(want: Want, hosts: Sequence[_Lane]) -> bool:
    for lane in hosts:
        at = bisect_right(lane.starts, want.address) - 1
        if at >= 0 and want.address + want.width <= lane.blocks[at].end:
            lane.blocks[at].wants.append(want)
            return True
    return False


def _coalesce(wants: Sequence[Want], gap_max: int) -> list[_Block]:
    """Blocks of wants of one class and function, `wants` in the order of address."""
    block = _Block(wants[0])
    blocks = [block]
    bits = wants[0].function in _BIT_FUNCTIONS
    gap = gap_max * _BITS_PER_REGISTER if bits else gap_max
    for want in wants[1:]:
        if not block.takes(want, gap):
            block = _Block(want)
            blocks.append(block)
    return blocks
