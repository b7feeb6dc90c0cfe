"""From a reading to a GPIO line, beside a relay board that is dead; latch, release, keys."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import numpy as np

from agent.compile import check_file
from agent.core.cycle import new_state
from agent.core.types import ClockState, Command, Now, Verb
from agent.field.latch import Latch
from agent.field.recordlink import RecordLink
from agent.field.runtime import Runtime
from config.limits import S
from drivers.reading import ReadingBlock
from drivers.siren.gpio import GpioLines

sys.path.append(str(Path(__file__).parents[1] / "drivers"))
from gpio_chips import Chips

CHIP = "/dev/gpiochip0"
SITE = """
site: {id: gpio, name: Test, region: eu}
links:
  control: {kind: tcp, host: 127.0.0.1, port: 1}
devices:
  inputs:
    link: control
    unit: 1
    poll: 1s
    points:
      knock: {register: discrete 0, kind: contact, state: fire, active: 1}
  relays: {link: control, unit: 9, profile: relay-8}
zones:
  hall: {points: [inputs.knock], alarm: any}
sirens:
  board: {device: relays, coil: 0}
  wire: {gpio: gpiochip0, line: 17, active: low}
signals:
  lamp: {kind: lamp, gpio: gpiochip0, line: 5, means: fire}
  trouble: {kind: fault, gpio: gpiochip0, line: 26}
inputs:
  silence: {role: silence, gpio: gpiochip0, line: 22}
effects:
  - {when: {zone: hall, state: fire}, sound: [board, wire], pattern: evacuate}
"""


class Dead:
    """A bus master whose board never answers."""

    last_attempt_ns = 0
    up = True
    jams = 0

    def __init__(self) -> None:
        self.counters: dict[int, Any] = {}
        self.orders: list[tuple[int, bool]] = []

    def order(self, output: int, on: bool) -> None:
        self.orders.append((output, on))

    def rewrite(self, output: int) -> None:
        self.orders.append((output, False))


class World:
    """One gateway in this process."""

    def __init__(self, home: Path, chips: Chips) -> None:
        (home / "site.yaml").write_text(SITE)
        checked = check_file(home / "site.yaml")
        assert checked.plan is not None, checked.problems
        self.ns, self.chips, self.board = 1000 * S, chips, Dead()
        plan = checked.plan
        self.latch = Latch(home / "latch.cbor", b"boot", plan.digest)
        on = self.latch.read()
        held = frozenset(k for k, o in enumerate(plan.outputs) if o.name in on)
        state = new_state(plan, b"boot", held_outputs=held)
        self.runtime = Runtime(plan, state, self, self.latch)
        self.gpio = GpioLines(plan, self.runtime, chips.open, lambda: self.ns)
        chips.wire.setdefault((CHIP, 22), True)  # pulled up: the key is open
        link = RecordLink(home / "none", b"", b"boot", self.runtime, lambda: self.ns)
        self.runtime.attach([self.board], link, on, self.gpio)

    def now(self) -> Now:
        return Now(self.ns, self.ns, ClockState.UNSET)

    def sample(self, value: float) -> None:
        self.ns += S
        point = np.zeros(1, np.int32)
        block = ReadingBlock(
            0, self.ns, point, np.array([value], np.float64), np.zeros(1, np.uint8)
        )
        self.runtime.block(block)

    def wire(self, line: int) -> bool:
        return self.chips.wire[CHIP, line]


def test_a_wire_sounds_in_the_cycle_that_decides_whatever_the_board_does(tmp_path: Path) -> None:
    w = World(tmp_path, Chips())
    w.gpio.look()
    assert (w.wire(17), w.wire(5), w.wire(26)) == (True, False, False), "idle, and fault at first"
    w.runtime.recalled(b"")
    w.sample(0)
    assert w.wire(26) is True, "energised: all is well"
    w.sample(1)
    assert (w.wire(17), w.wire(5)) == (False, True)
    assert (0, True) in w.board.orders
    assert set(w.latch.read()) == {"board", "wire"}, "no lamp is restored"
    for _ in range(4):
        w.sample(1)
        w.gpio.look()
        w.runtime.run_cycle()
    assert w.runtime.state.effects.faulted == {0}, "the dead board is a fault of its own siren"
    assert w.wire(26) is False
    assert w.runtime.release()
    assert w.wire(17) is False, "a stop leaves the siren as it is"


def test_the_latch_sounds_the_wire_with_its_first_level(tmp_path: Path) -> None:
    place, chips = tmp_path, Chips()
    before = World(place, chips)
    before.runtime.recalled(b"")
    before.sample(1)
    chips.log.clear()
    after = World(place, chips)
    after.gpio.look()
    assert (17, False) in chips.log
    assert (17, True) not in chips.log


def test_a_key_on_a_wire_silences(tmp_path: Path) -> None:
    async def life() -> None:
        w = World(tmp_path, Chips())
        w.chips.wire[CHIP, 22] = True
        task = asyncio.create_task(w.gpio.run())
        await asyncio.sleep(0)
        w.ns += S
        w.runtime.run_cycle()
        w.sample(0)
        w.sample(1)
        assert w.wire(17) is False
        w.chips.press(CHIP, 22, False, w.ns)
        w.chips.press(CHIP, 22, True, w.ns + S)
        w.ns += 2 * S
        async with asyncio.timeout(5):
            while not w.wire(17):
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(life())


def test_a_siren_test_is_not_latched(tmp_path: Path) -> None:
    w = World(tmp_path, Chips())
    w.gpio.look()
    w.runtime.recalled(b"")
    w.sample(0)
    w.runtime.command(Command(Verb.SIREN_TEST, "eve", "test"))
    assert w.wire(17) is False
    assert w.latch.read() == {}
    w.ns += 11 * S
    w.runtime.run_cycle()
    assert w.wire(17) is True
