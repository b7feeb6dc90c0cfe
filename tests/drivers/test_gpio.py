"""GPIO lines on a chip in memory: levels, requests that fail, edges, chips that go and come."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from gpio_chips import Chips
from gpiod.line import Bias, Direction, Drive, Edge, Value
from modbus_peers import make_plan

from config.limits import GPIO_RETRY_NS, S
from config.plan import Input, Output, Plan
from drivers.reading import InputLevel, ReadBack
from drivers.siren.chip import settings_of
from drivers.siren.gpio import GpioLines, Want

CHIP, OTHER = "/dev/gpiochip0", "/dev/gpiochip1"


def siren(name: str, line: int, chip: str = CHIP, **more: object) -> Output:
    return replace(Output(name, -1, line, S, "siren", chip, "push-pull"), **more)  # type: ignore[arg-type]  # -- fields of Output


class World:
    """Lines, their chips, a clock in our hand, and what was told."""

    def __init__(self, outputs: tuple[Output, ...], inputs: tuple[Input, ...] = ()) -> None:
        self.chips = Chips()
        self.ns = 1000 * S
        self.reads: list[ReadBack] = []
        self.levels: list[InputLevel] = []
        self.told: list[tuple[str, bool, str]] = []
        plan: Plan = replace(make_plan([], [], []), outputs=outputs, inputs=inputs)
        self.lines = GpioLines(plan, self, self.chips.open, lambda: self.ns)

    def read_back(self, read_back: ReadBack) -> None:
        self.reads.append(read_back)

    def level(self, level: InputLevel) -> None:
        self.levels.append(level)

    def chip(self, chip: str, fault: bool, text: str) -> None:
        self.told.append((chip, fault, text))

    def look(self, ns: int = 0) -> None:
        self.ns += ns
        self.lines.look()

    def wire(self, line: int, chip: str = CHIP) -> bool:
        return self.chips.wire[chip, line]


@pytest.mark.parametrize("inverted", [False, True])
def test_a_request_carries_the_idle_level_and_an_order_the_other(inverted: bool) -> None:
    w = World((siren("s", 4, inverted=inverted),))
    w.look()
    assert w.wire(4) == inverted
    w.lines.order(0, True)
    assert w.wire(4) != inverted, "set before order() returns"
    w.look()
    assert (w.reads[-1].on, w.reads[-1].written) == (True, True)
    w.lines.order(0, False)
    assert w.wire(4) == inverted


def test_what_was_ordered_before_the_chip_is_there_is_its_first_level() -> None:
    w = World((siren("s", 4),))
    w.chips.present.clear()
    w.lines.order(0, True)
    w.look()
    assert w.reads[-1].on is None
    w.chips.present.add(CHIP)
    w.look(GPIO_RETRY_NS)
    assert w.chips.log == [(4, True)], "no blink of another level"


def test_a_missing_chip_is_told_once_tried_for_ever_and_holds_up_no_other() -> None:
    w = World((siren("a", 1, OTHER), siren("b", 2), siren("c", 3)))
    w.chips.taken.add((CHIP, 3))
    for _ in range(3):
        w.look(GPIO_RETRY_NS)
    assert {(c, f) for c, f, _ in w.told} == {(OTHER, True), (CHIP, True)}
    assert len(w.told) == 2
    assert "busy" in next(t for c, _, t in w.told if c == CHIP)
    w.lines.order(0, True)
    w.lines.order(1, True)
    assert w.wire(2) is True
    w.chips.present.add(OTHER)
    w.chips.taken.clear()
    w.look(GPIO_RETRY_NS)
    assert w.wire(1, OTHER) is True
    assert w.told[2:] == [(c, False, f"{c}: all lines are there") for c in (OTHER, CHIP)] or set(
        w.told[2:]
    ) == {(c, False, f"{c}: all lines are there") for c in (OTHER, CHIP)}


def test_a_chip_that_goes_away_is_asked_for_again() -> None:
    w = World((siren("s", 4),))
    w.look()
    w.chips.present.clear()
    w.lines.order(0, True)
    assert w.reads[-1].on is None
    w.look()
    assert w.told[-1][:2] == (CHIP, True)
    w.chips.present.add(CHIP)
    w.look(GPIO_RETRY_NS)
    assert w.wire(4)
    assert w.told[-1][:2] == (CHIP, False)


def test_a_wire_that_does_not_follow_reads_otherwise() -> None:
    w = World((siren("s", 4),))
    w.chips.stuck.add((CHIP, 4))
    w.look()
    w.lines.order(0, True)
    w.look()
    assert w.reads[-1].on is False
    w.look(S)
    assert w.reads[-1] == ReadBack(0, w.ns, False)


def test_edges_come_with_their_stamps_and_the_level_in_any_case() -> None:
    button = Input("b", "acknowledge", CHIP, 7, active_low=True, bias="pull-up")

    async def life() -> None:
        w = World((), (button,))
        w.chips.wire[CHIP, 7] = True
        task = asyncio.create_task(w.lines.run())
        await asyncio.sleep(0)
        assert w.levels == [InputLevel(0, w.ns, False)]
        w.chips.press(CHIP, 7, False, 5)
        w.chips.press(CHIP, 7, True, 9)
        async with asyncio.timeout(5):
            while len(w.levels) < 3:
                await asyncio.sleep(0)
        assert w.levels[1:3] == [InputLevel(0, 5, True), InputLevel(0, 9, False)]
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(life())


def test_settings_of_the_library_say_what_the_plan_says() -> None:
    out = settings_of(Want(CHIP, 1, True, True, "open-drain"))
    assert (out.direction, out.drive, out.active_low, out.output_value) == (
        Direction.OUTPUT, Drive.OPEN_DRAIN, True, Value.ACTIVE,
    )  # fmt: skip
    into = settings_of(Want(CHIP, 1, None, False, bias="pull-down", debounce_ns=50_000_000))
    assert (into.direction, into.bias, into.edge_detection) == (
        Direction.INPUT, Bias.PULL_DOWN, Edge.BOTH,
    )  # fmt: skip
    assert into.debounce_period.total_seconds() == 0.005
