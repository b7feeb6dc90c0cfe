"""The shell around the cycle: collects inputs, runs the cycle, hands out orders and records.

From the moment a block arrives to the moment the orders stand in their line's queue there is no
await, no disk and no network. The latch goes to tmpfs after the orders are out.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from agent.core.cycle import cycle
from agent.core.state import State
from agent.core.types import (
    Command,
    Delivery,
    DutyCheck,
    Inputs,
    Notice,
    Now,
    Order,
    Record,
)
from agent.field.counters import counters_record
from agent.field.hands import Handle, Hands
from agent.field.latch import Latch
from agent.field.recordlink import RecordLink
from agent.notify import Notifier
from config.limits import (
    BLOCKS_PER_CYCLE_MAX,
    BUS_ATTEMPT_NS_MAX,
    COMMANDS_PER_CYCLE_MAX,
    COUNTERS_EVENT_NS,
    CYCLE_LATE_NS_MAX,
    CYCLE_TICK_NS,
    INPUTS_PER_CYCLE_MAX,
    LATENESS_KEPT,
    NOTICES_MAX,
)
from config.plan import Plan
from config.words import Flag, OutputKind
from drivers.modbus.schedule import Unit
from drivers.reading import (
    InputLevel,
    LineState,
    PanelEvent,
    PollFailure,
    ReadBack,
    ReadingBlock,
    TextReading,
)
from drivers.siren.gpio import GpioLines

LOG = logging.getLogger("embergate.field")


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> Now:
        """The time, read once."""


class Master(Protocol):
    """What the runtime needs of a bus master or a panel's client."""

    last_attempt_ns: int
    up: bool
    jams: int

    @property
    def counters(self) -> Mapping[int, Unit]:
        """By unit number; empty where no unit is asked."""

    def order(self, output: int, on: bool) -> None:
        """Pre-empt the line's polls for this output."""

    def rewrite(self, output: int) -> None:
        """Write the standing order once more."""


class Runtime:
    """One gateway's decisions, from readings to orders. It is the sink of every bus master."""

    def __init__(self, plan: Plan, state: State, clock: Clock, latch: Latch) -> None:
        self.plan = plan
        self.state = state
        self.clock = clock
        self._latch = latch
        self._masters: Sequence[Master] = ()
        self._link: RecordLink | None = None
        self._blocks: list[ReadingBlock] = []
        self._failures: list[PollFailure] = []
        self._texts: list[TextReading] = []
        self._read_backs: list[ReadBack] = []
        self._lines: list[LineState] = []
        self._panel_events: list[PanelEvent] = []
        self._notices: dict[str, Notice] = {}
        self._commands: list[Command] = []
        self._levels: list[InputLevel] = []
        self._deliveries: dict[str, Delivery] = {}
        self._duty_checks: dict[str, DutyCheck] = {}
        self._hands: Hands | None = None
        self._let_go: frozenset[int] = frozenset()  # of the last moments: no cycle takes them back
        self._gpio: GpioLines | None = None
        self._recalled: bytes | None = None
        self._heard = False  # what was before the start is known
        self._on: dict[str, str] = {}  # what the latch holds
        self._answer: dict[str, Any] = {}  # what the last order came to
        self.cycles = 0
        self._stopping = False
        self._broken: Exception | None = None  # what ended a cycle half-way
        self.first_cycle_ns = 0  # when the first cycle with readings ended
        self.latest_lateness_ns = 0
        self.lateness_ns_max = 0
        self.lateness_ns: deque[int] = deque(maxlen=LATENESS_KEPT)
        self.latch_fault = False

    def attach(
        self,
        masters: Sequence[Master],
        link: RecordLink,
        on: dict[str, str],
        gpio: GpioLines | None = None,
    ) -> None:
        """Connect what the runtime drives. `on`, from the latch, sounds again before all else."""
        self._masters = masters
        self._link = link
        self._on = dict(on)
        self._gpio = gpio
        self._hands = Hands(self.plan, masters, gpio, lambda: self.clock.now().mono_ns, _later)
        for k, output in enumerate(self.plan.outputs):
            if output.name in on:
                self._hands.order(Order(k, True, on[output.name], self.clock.now().mono_ns))

    def release(self) -> bool:
        """The process ends by order: fault outputs let go. Whether there are any."""
        assert self._hands is not None
        faults = [k for k, o in enumerate(self.plan.outputs) if o.kind == OutputKind.FAULT]
        self._let_go = frozenset(faults)
        for k in faults:
            self._hands.order(Order(k, True, "steady", self.clock.now().mono_ns))
        return bool(faults)

    # --- the sink of the bus masters ------------------------------------------------------

    def block(self, block: ReadingBlock) -> None:
        """Readings arrived: decide at once when they can alarm."""
        if self._link is not None:
            self._link.telemetry.add(block, self.clock.now())
        self._blocks.append(block)
        if self.plan.polls[block.poll].alarm or len(self._blocks) >= BLOCKS_PER_CYCLE_MAX:
            self.run_cycle()

    def failed(self, failure: PollFailure) -> None:
        """A poll gave nothing."""
        self._failures.append(failure)
        self._bound(self._failures)

    def text(self, reading: TextReading) -> None:
        """A text of a device was read."""
        self._texts.append(reading)
        self._bound(self._texts)

    def read_back(self, read_back: ReadBack) -> None:
        """An output was read."""
        self._read_backs.append(read_back if self._hands is None else self._hands.told(read_back))
        self._bound(self._read_backs)

    def level(self, level: InputLevel) -> None:
        """A local input was read, or told an edge: a button is looked at at once."""
        self._levels.append(level)
        self._bound(self._levels)
        if level.on:
            self.run_cycle()

    def chip(self, chip: str, fault: bool, text: str) -> None:
        """A GPIO chip is gone, or back."""
        self.notice(Notice(f"gpio.{chip.rpartition('/')[2]}", fault, text))

    def line(self, line: LineState) -> None:
        """A line came up or went down."""
        self._lines.append(line)
        self._bound(self._lines)

    def panel(self, events: Sequence[PanelEvent]) -> None:
        """A panel told events: a fire is decided at once, in its order with what came before."""
        for event in events:
            self._panel_events.append(event)
            self._bound(self._panel_events)
        if any(e.flags & Flag.FIRE and not e.clears for e in self._panel_events):
            self.run_cycle()

    # --- the record's voice -----------------------------------------------------------------

    def recalled(self, alarm_state: bytes) -> None:
        """The alarm state from before the restart: it adds fires, it never clears one."""
        self._recalled = alarm_state
        self.run_cycle()

    def notice(self, notice: Notice) -> None:
        """A fault elsewhere in the gateway; of one source the latest stands."""
        if notice.source not in self._notices and len(self._notices) >= NOTICES_MAX:
            self.run_cycle()
        self._notices[notice.source] = notice

    def delivery(self, delivery: Delivery) -> None:
        """What became of the fire lane at one destination; the latest stands."""
        self._deliveries[delivery.courier] = delivery

    def duty(self, check: DutyCheck) -> None:
        """A centre asks who is on duty."""
        self._duty_checks[check.courier] = check
        self.run_cycle()

    # --- the cycle ----------------------------------------------------------------------------

    def command(self, command: Command) -> dict[str, Any] | None:
        """An operator's order, carried out in this cycle: what is on record of it.

        None when too many wait.
        """
        if len(self._commands) >= COMMANDS_PER_CYCLE_MAX:
            return None
        self._commands.append(command)
        self._answer = {}
        self.run_cycle()
        return self._answer

    def lines_up(self) -> list[bool]:
        """Which lines have their link, in the plan's order."""
        return [master.up for master in self._masters]

    def say(self, record: Record) -> None:
        """Something for the record that the core has no part in."""
        if self._link is not None:
            self._link.events.add(record, self.clock.now())
            self._link.kick()

    def run_cycle(self) -> None:
        """Decide on everything since the last cycle.

        What goes wrong in here is our own defect and leaves half a decision: the process ends,
        also when a socket's callback, which nobody waits for, was the caller (see `run_timer`).
        """
        try:
            self._decide()
        except Exception as e:
            self._broken = e
            raise

    def last_cycle(self) -> None:
        """Decide once more before a stop in good order: what is kept now and then is kept now."""
        self._stopping = True
        self.run_cycle()

    def _decide(self) -> None:
        now = self.clock.now()
        inputs = Inputs(
            blocks=tuple(self._blocks),
            failures=tuple(self._failures),
            panel_events=tuple(self._panel_events),
            commands=tuple(self._commands),
            read_backs=tuple(self._read_backs),
            lines=tuple(self._lines),
            notices=tuple(self._notices.values()),
            texts=tuple(self._texts),
            recalled=self._recalled,
            levels=tuple(self._levels),
            deliveries=tuple(self._deliveries.values()),
            duty_checks=tuple(self._duty_checks.values()),
            stopping=self._stopping,
        )
        self._heard = self._heard or self._recalled is not None
        first = not self.first_cycle_ns and bool(self._blocks)
        self._panel_events.clear()
        self._texts.clear()
        for queue in (self._blocks, self._failures, self._commands, self._read_backs, self._lines):
            queue.clear()
        for named in (self._notices, self._deliveries, self._duty_checks):
            named.clear()
        self._levels.clear()
        self._recalled = None
        outcome = cycle(self.state, inputs, now)
        self.state = outcome.state
        if outcome.orders:
            self._send_orders(outcome.orders)
        if self._link is not None:
            for record in outcome.records:
                self._link.events.add(record, now)
            if outcome.records:
                self._link.kick()
            if outcome.alarm_state is not None:
                self._link.keep(outcome.alarm_state)
            if self._heard:
                self._link.route(self.state.disabled.couriers())
        self._log_faults(outcome.records)
        for record in outcome.records:
            if record.what == "operator":
                self._answer = record.body
        self.cycles += 1
        if first:
            self.first_cycle_ns = self.clock.now().mono_ns

    def _send_orders(self, orders: Sequence[Order]) -> None:
        assert self._hands is not None
        before = dict(self._on)
        for order in orders:
            if order.output in self._let_go:
                continue
            self._hands.order(order)
            name = self.plan.outputs[order.output].name
            if order.kept and order.on:
                self._on[name] = order.pattern
            elif order.kept:
                self._on.pop(name, None)
        if before != self._on:
            self._write_latch()

    def _write_latch(self) -> None:
        try:
            self._latch.write(self._on)
        except OSError as e:
            if self.latch_fault:
                return
            self.latch_fault = True
            self.notice(Notice("field.latch", fault=True, text=f"{self._latch.path}: {e.strerror}"))
        else:
            if self.latch_fault:
                self.latch_fault = False
                self.notice(Notice("field.latch", fault=False, text="the latch is written again"))

    def _log_faults(self, records: Sequence[Record]) -> None:
        """The gateway's own faults also go to the journal, which explains them (agent.journal)."""
        for record in records:
            if record.what == "system" and "fault" in record.body:
                name = str(record.body.get("name", record.source))
                level = logging.WARNING if record.body["fault"] else logging.INFO
                LOG.log(level, "%s: %s", name, record.body["text"], extra={"source": name})

    def say_counters(self) -> None:
        """The traffic of every line, for the record."""
        if self._link is None:
            return
        now = self.clock.now()
        for line, master in zip(self.plan.lines, self._masters, strict=True):
            record = counters_record(
                line.name, master.counters, master.jams, now.mono_ns, up=master.up
            )
            self._link.events.add(record, now)
        self._link.kick()

    def _bound(self, queue: Sequence[object]) -> None:
        if len(queue) >= INPUTS_PER_CYCLE_MAX:
            self.run_cycle()

    # --- the timer ------------------------------------------------------------------------------

    async def run_timer(self, notifier: Notifier, status_text: Callable[[], str]) -> None:
        """Cycles on a timer, and the watchdog's beat, until cancelled."""
        due_ns = self.clock.now().mono_ns
        ready = told = False
        beat_due_ns = 0
        counters_due_ns = due_ns + COUNTERS_EVENT_NS
        while True:
            due_ns += CYCLE_TICK_NS
            now_ns = self.clock.now().mono_ns
            if now_ns > due_ns + CYCLE_TICK_NS:
                due_ns = now_ns  # late: no burst of ticks to catch up
            await asyncio.sleep(max(0, due_ns - now_ns) / 1e9)
            if self.latch_fault:
                self._write_latch()  # what sounds now must sound again after a crash
            if self._broken is not None:
                raise self._broken
            self.run_cycle()
            now_ns = self.clock.now().mono_ns
            self.latest_lateness_ns = max(0, now_ns - due_ns)
            self.lateness_ns_max = max(self.lateness_ns_max, self.latest_lateness_ns)
            self.lateness_ns.append(self.latest_lateness_ns)
            if self.first_cycle_ns and not told:
                notifier.status("deciding on first readings")
                told = True
            if not ready and all(map(_scanned, self._masters)):
                notifier.ready(status_text())
                ready = True
            if now_ns >= counters_due_ns:
                self.say_counters()
                counters_due_ns = now_ns + COUNTERS_EVENT_NS
            if now_ns >= beat_due_ns and self.alive(now_ns):
                notifier.watchdog()
                beat_due_ns = now_ns + 4 * CYCLE_TICK_NS

    def alive(self, now_ns: int) -> bool:
        """A cycle ended on time and every master finished or timed out an attempt lately.

        A stale sensor, a silent relay board or a full disk do not count: they are faults.
        """
        if self.latest_lateness_ns > CYCLE_LATE_NS_MAX:
            return False
        hands = [*self._masters, *([self._gpio] if self._gpio is not None else [])]
        return all(now_ns - m.last_attempt_ns < BUS_ATTEMPT_NS_MAX for m in hands)


def _later(wait_ns: int, call: Callable[[], None]) -> Handle:
    return asyncio.get_running_loop().call_later(wait_ns / 1e9, call)


def _scanned(master: Master) -> bool:
    """Whether every unit of a line was asked once, or the line has no link to ask through."""
    return not master.up or all(unit.requests for unit in master.counters.values())


def run_directory_ready(path: Path) -> None:
    """Make the run directory of a trial; a service has it from systemd. Raises OSError."""
    path.mkdir(mode=0o750, parents=True, exist_ok=True)
