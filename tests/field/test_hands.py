"""Orders to levels: patterns in step, lines that are too slow, boards that are dead."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.budget import with_speed
from agent.core.types import Order
from agent.field.hands import Hands
from config.limits import MS, S
from config.plan import Device, Line, Output, Plan, PointTable
from drivers.reading import ReadBack

EMPTY = PointTable(b"", (), b"", (), (), b"", b"", b"", b"")


class Clock:
    """Time in our hand, and one timer."""

    def __init__(self) -> None:
        self.ns = 0
        self.due: tuple[int, Callable[[], None]] | None = None

    def later(self, wait_ns: int, call: Callable[[], None]) -> Clock:
        self.due = (self.ns + wait_ns, call)
        return self

    def cancel(self) -> None:
        self.due = None

    def move(self, ns: int) -> None:
        end = self.ns + ns
        while self.due is not None and self.due[0] <= end:
            (self.ns, call), self.due = self.due, None
            call()
        self.ns = end


class Driver:
    """Notes levels with their time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.log: list[tuple[int, int, bool]] = []
        self.rewritten: list[int] = []

    def order(self, output: int, on: bool) -> None:
        self.log.append((self.clock.ns // MS, output, on))

    def rewrite(self, output: int) -> None:
        self.rewritten.append(output)


def plan_with(*outputs: Output, baud: int = 9600) -> Plan:
    line = Line("riser", "rs485", baud=baud, reply_timeout_ns=300 * MS)
    return Plan(
        3, b"", "s", "S", "eu", EMPTY, (line,), (Device("relays", 0, 9),), (), (), (), outputs,
        (), (),
    )  # fmt: skip


def hands_of(*outputs: Output) -> tuple[Hands, Clock, Driver, Driver]:
    clock = Clock()
    bus, gpio = Driver(clock), Driver(clock)
    return Hands(plan_with(*outputs), [bus], gpio, lambda: clock.ns, clock.later), clock, bus, gpio


COIL, SLOW = Output("coil", 0, 0), Output("slow", 0, 1, steady=True)
WIRE = Output("wire", -1, 4, S, "siren", "/dev/gpiochip0", "push-pull")


def on(output: int, pattern: str) -> Order:
    return Order(output, True, pattern, 0)


def test_an_order_goes_to_its_line_at_once() -> None:
    hands, _, bus, gpio = hands_of(COIL, SLOW, WIRE)
    hands.order(on(0, "evacuate"))
    hands.order(on(2, "evacuate"))
    hands.order(Order(2, False, "", 0))
    hands.order(Order(0, False, "", 0, again=True))
    assert bus.log == [(0, 0, True)]
    assert gpio.log == [(0, 2, True), (0, 2, False)]
    assert bus.rewritten == [0]


def test_outputs_with_one_pattern_sound_together_on_coils_and_wires() -> None:
    hands, clock, bus, gpio = hands_of(COIL, SLOW, WIRE)
    hands.order(on(0, "alert"))
    hands.order(on(1, "alert"))
    clock.move(300 * MS)
    hands.order(on(2, "alert"))
    clock.move(3_000 * MS)
    assert [(t, v) for t, k, v in bus.log if k == 0] == [
        (0, True), (1000, False), (2000, True), (3000, False),
    ]  # fmt: skip
    assert [(t, v) for t, _, v in gpio.log] == [
        (300, True), (1000, False), (2000, True), (3000, False),
    ]  # fmt: skip
    assert [(k, v) for _, k, v in bus.log if k == 1] == [(1, True)], "too slow: steadily on"
    hands.order(on(0, "evacuate"))
    hands.order(Order(2, False, "", 0))
    assert clock.due is None
    assert bus.log[-1][1:] == (0, True)
    assert gpio.log[-1][1:] == (2, False)


def test_a_pause_of_a_pattern_reads_as_ordered_and_anything_else_does_not() -> None:
    hands, clock, _, _ = hands_of(COIL)
    assert hands.told(ReadBack(0, 1, True)).on is True
    hands.order(on(0, "alert"))
    for level in (True, False):
        assert tuple(hands.told(ReadBack(0, 1, v)).on for v in (level, not level)) == (True, False)
        assert hands.told(ReadBack(0, 1, None)).on is None
        clock.move(S)


@pytest.mark.parametrize(("baud", "outputs", "steady"), [(9600, 2, False), (1200, 8, True)])
def test_a_line_that_is_too_slow_for_patterns_sounds_steadily(
    baud: int, outputs: int, steady: bool
) -> None:
    plan = plan_with(*(Output(f"o{k}", 0, k) for k in range(outputs)), WIRE, baud=baud)
    speeds = [o.steady for o in with_speed(plan)]
    assert speeds == [steady] * outputs + [False]
