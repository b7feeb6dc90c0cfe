"""The bus master: owns one line, runs one transaction at a time, never raises on what comes in.

Everything happens in callbacks of the event loop (bytes came, a deadline passed, an order was
given), so that a transaction costs two turns of the loop and no task. Orders pre-empt: they wait
for at most the transaction in flight, which ends at its own absolute deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from config.limits import (
    DAMAGED_WAIT_NS,
    LINK_SILENCE_NS_MAX,
    MALFORMED_RUN_MAX,
    MASTER_IDLE_NS_MAX,
    RECONNECT_WAIT_NS_MAX,
    RECONNECT_WAIT_NS_MIN,
    REST_GAP_NS,
    S,
)
from config.plan import Plan
from config.words import LineKind
from drivers.link.opening import open_link
from drivers.link.stream import LinkError
from drivers.modbus.beside import Beside
from drivers.modbus.frame import (
    Matcher,
    MbapMatcher,
    RtuMatcher,
)
from drivers.modbus.jam import Jam, Tail
from drivers.modbus.polling import PollWork, Told
from drivers.modbus.schedule import FOREVER_NS, Schedule, Slot, Unit
from drivers.modbus.sink import Sink
from drivers.modbus.slots import line_slots
from drivers.modbus.timing import LineTiming
from drivers.reading import Failure, LineState, PollFailure, ReadBack
from drivers.siren.coil import Coil, CoilRun, Coils


@dataclass(slots=True)
class _Flight:
    """The transaction in flight."""

    job: Slot | Coil | CoilRun
    unit: Unit
    on: bool  # what a coil write says
    sent_ns: int
    deadline_ns: int


class BusMaster:
    """Polls every `Poll` of the plan on its line, reads its outputs back and carries out orders.

    up: whether the link is open. last_attempt_ns: when an attempt last ended, or the schedule was
    last found empty; at most about CONNECT_TIMEOUT_NS old while the master lives (for the
    watchdog). counters: by unit number.
    """

    def __init__(
        self, plan: Plan, line: int, sink: Sink, *, mono_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._line_index = line
        self._sink = sink
        self._mono_ns = mono_ns
        self._timing = LineTiming(plan.lines[line])
        kind = plan.lines[line].kind
        self._tells_late = kind == LineKind.TCP  # a late reply shows by its transaction id
        self._serial = kind == LineKind.RS485
        self._matcher: Matcher = MbapMatcher() if kind == LineKind.TCP else RtuMatcher()
        self._link = open_link(plan.lines[line], self._on_bytes, self._on_lost)
        self.counters: dict[int, Unit] = {}
        self._coils = Coils(
            [
                (index, plan.devices[out.device].unit, out)
                for index, out in enumerate(plan.outputs)
                if out.on_bus and plan.devices[out.device].line == line
            ],
            {d.unit: d.output_timeout_ns for d in plan.devices if d.line == line},
        )
        # RTU has no transaction id: after silence the unit gets time to say its late reply.
        guard_ns = 0 if kind == LineKind.TCP else self._timing.reply_timeout_ns
        slots, self._seeds = line_slots(plan, line, self._timing, self._coils.runs, self._unit)
        self._slots_of_line = slots
        self._schedule = Schedule(slots, guard_ns)
        self.up = False
        self.jams = 0  # requests sent although the line never fell silent
        self._jam = Jam(self._timing.quiet_ns + self._timing.reply_timeout_ns)
        self._tail = Tail()
        self._blamed: Unit | None = None  # for its unending reply the connection is renewed
        self.last_attempt_ns = mono_ns()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._ended: asyncio.Future[str] | None = None
        self._flight: _Flight | None = None
        self._heard = False  # bytes came since the request was sent
        self._busy_until_ns = 0  # our own last frame is on the wire until then
        self._last_rx_ns = 0
        self._unanswered_ns = 0  # since when nothing on this link answers; 0 when something does
        self._up_ns = 0
        self._told_down = False

    def _unit(self, number: int) -> Unit:
        if number not in self.counters:
            self.counters[number] = Unit(number)
        return self.counters[number]

    # --- the life of the link -------------------------------------------------------------

    async def run(self) -> None:
        """Open the link, and open it again, until cancelled.

        Raises only what the sink raises: a defect of ours, never what a device sent.
        """
        self._loop = asyncio.get_running_loop()
        self._schedule.start(self._mono_ns(), self._seeds)
        wait_ns = RECONNECT_WAIT_NS_MIN
        try:
            while True:
                try:
                    await self._link.open()
                except LinkError as e:
                    self._went_down(str(e))
                else:
                    self._ended = self._loop.create_future()
                    self._went_up()
                    text = await self._ended
                    if self._answered_since_up():
                        wait_ns = RECONNECT_WAIT_NS_MIN
                    if self._blamed is None:
                        self._went_down(text)
                    else:
                        self._halt(self._mono_ns())  # nobody needs to hear of it if it opens again
                        continue
                await self._rest(wait_ns)
                wait_ns = min(2 * wait_ns, RECONNECT_WAIT_NS_MAX)
        finally:
            self.up = False
            self._disarm()
            self._flight = None
            self._link.close()

    async def _rest(self, wait_ns: int) -> None:
        """Wait before the next attempt to connect, in steps that the watchdog can see."""
        until_ns = self._mono_ns() + wait_ns
        while (left_ns := until_ns - self._mono_ns()) > 0:
            self.last_attempt_ns = self._mono_ns()
            await asyncio.sleep(min(left_ns, MASTER_IDLE_NS_MAX) / S)
        self.last_attempt_ns = self._mono_ns()

    def _answered_since_up(self) -> bool:
        return any(unit.last_reply_ns >= self._up_ns for unit in self.counters.values())

    def _went_up(self) -> None:
        now_ns = self._mono_ns()
        self._up_ns = now_ns
        self.up = True
        self._told_down = False
        self._unanswered_ns = 0
        self._jam.calm()
        self._tail.end()
        self._last_rx_ns = now_ns  # a line that was just opened has not been seen silent yet
        self._schedule.forgive(self._blamed)
        self._blamed = None
        self._coils.forgive()
        self._sink.line(LineState(self._line_index, now_ns, up=True))
        self._step()

    def _halt(self, now_ns: int) -> None:
        """Nothing is in flight on a link that is gone."""
        self.up = False
        self.last_attempt_ns = now_ns
        self._disarm()
        flight, self._flight = self._flight, None
        self._matcher.settle()
        if flight is not None and isinstance(flight.job, Slot):
            self._schedule.abandoned(flight.job, now_ns)

    def _went_down(self, text: str) -> None:
        now_ns = self._mono_ns()
        self._halt(now_ns)
        if self._told_down:
            return  # said once, not at every attempt
        self._told_down = True
        self._sink.line(LineState(self._line_index, now_ns, up=False, text=text))
        for slot in self._slots_of_line:
            if isinstance(slot.work, PollWork):
                failure = PollFailure(slot.work.poll, now_ns, Failure.LINK_DOWN)
                self._give_up(slot.work, failure, FOREVER_NS)
                slot.query = slot.work.query
        for run in self._coils.runs:
            for coil in run.coils:
                self._sink.read_back(ReadBack(coil.output, now_ns, None))

    # --- callbacks of the loop ------------------------------------------------------------

    def _on_lost(self, text: str) -> None:
        self._end(text)

    def _on_bytes(self, data: bytes) -> None:
        try:
            now_ns = self._mono_ns()
            self._last_rx_ns = now_ns
            self._heard = True
            verdict = self._matcher.feed(data)
            if verdict is not None:
                self._answer(verdict, now_ns)
                self._step()
            elif self._tail.awaited:
                if self._tail.came(len(data)):
                    self._step()
            elif self._flight is not None and self._matcher.damaged:
                # The reply came, and is spoiled: no other will come.
                spoiled_ns = now_ns + self._timing.silence_ns + DAMAGED_WAIT_NS
                if spoiled_ns < self._flight.deadline_ns:
                    self._flight.deadline_ns = spoiled_ns
                    self._arm(spoiled_ns, now_ns)
        except Exception as e:  # noqa: BLE001 -- a callback has no caller: run() raises it instead
            self._crash(e)

    def _on_timer(self) -> None:
        try:
            self._timer = None
            flight = self._flight
            if flight is not None:
                now_ns = self._mono_ns()
                if now_ns < flight.deadline_ns:
                    self._arm(flight.deadline_ns, now_ns)
                    return
                self._no_answer(flight, now_ns)
            self._step()
        except Exception as e:  # noqa: BLE001 -- as above
            self._crash(e)

    def _end(self, text: str) -> None:
        if self._ended is not None and not self._ended.done():
            self.up = False
            self._disarm()
            self._ended.set_result(text)

    def _crash(self, error: Exception) -> None:
        self.up = False
        self._disarm()
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(error)

    def _arm(self, at_ns: int, now_ns: int) -> None:
        assert self._loop is not None
        self._disarm()
        self._timer = self._loop.call_at(
            self._loop.time() + max(0, at_ns - now_ns) / S, self._on_timer
        )

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- one transaction --------------------------------------------------------------------

    def order(self, output: int, on: bool) -> None:
        """From now on `output` (index in the plan, on this line) shall be `on`.

        Level-triggered: the last order stands and is retried for ever until it is written and
        reads back right. It goes before every poll. May be called before `run`, and from the
        sink.
        """
        self._coils.order(output, on)
        self._step()

    def rewrite(self, output: int) -> None:
        """Write the standing order of `output` once more, for a self-test."""
        self._coils.rewrite(output)
        self._step()

    def _step(self) -> None:
        """Start what is due, or arm the timer for when something will be."""
        while self.up and self._flight is None:
            now_ns = self._mono_ns()
            if self._tail.awaited and not self._tail_over(now_ns):
                return
            due_ns = min(self._coils.next_ns(), self._schedule.next_ns())
            if due_ns > now_ns:
                self.last_attempt_ns = now_ns
                self._jam.calm()
                self._arm(min(due_ns, now_ns + MASTER_IDLE_NS_MAX), now_ns)
                return
            if not self._tells_late and (late := self._link.drain()):
                self._last_rx_ns = now_ns
                self._matcher.feed(late)
            quiet_at_ns = max(self._last_rx_ns, self._busy_until_ns) + self._timing.quiet_ns
            if quiet_at_ns > now_ns and not self._jammed(now_ns):
                self._arm(quiet_at_ns, now_ns)
                return
            job = self._coils.pick(now_ns) or self._schedule.pick(now_ns)
            if job is not None:
                self._send(job, now_ns)

    def _tail_over(self, now_ns: int) -> bool:
        """Whether no reply is still dribbling in, or it was waited for long enough.

        An order waits for none. On a stream nothing can be answered before the rest has come, and
        a unit that never ends would keep the line for itself: a new connection has no rest.
        """
        tail = self._tail
        if self._coils.next_ns() <= now_ns:
            tail.end()
            return True
        stops_ns = self._last_rx_ns + REST_GAP_NS
        if now_ns < min(stops_ns, tail.until_ns):
            self._arm(min(stops_ns, tail.until_ns), now_ns)
            return False
        tail.end()
        if self._serial or now_ns >= stops_ns:
            return True
        self._blamed = self._unit(tail.unit)
        self._link.close()
        self._end(f"unit {tail.unit}: {Failure.INCOMPLETE}")
        return False

    def _jammed(self, now_ns: int) -> bool:
        """Whether silence was awaited for long enough; then a request is sent all the same."""
        if not self._jam.waited(now_ns):
            return False
        self.jams += 1
        if self._jam.begins:
            text = "jammed: the line never falls silent; something on it talks without end"
            self._sink.line(LineState(self._line_index, now_ns, up=True, text=text, jammed=True))
        return True

    def _send(self, job: Slot | Coil | CoilRun, now_ns: int) -> None:
        query = job.query() if isinstance(job, Coil) else job.query
        timing = self._timing
        frame = self._matcher.expect(query)
        self._busy_until_ns = now_ns + len(frame) * timing.char_ns
        deadline_ns = self._busy_until_ns + timing.reply_timeout_ns + timing.reply_ns(query)
        unit = self._unit(query.unit)
        unit.requests += 1
        on = bool(job.wanted) if isinstance(job, Coil) else False
        if self._jam.over(now_ns):
            text = "the line falls silent again"
            self._sink.line(LineState(self._line_index, now_ns, up=True, text=text, jammed=False))
        self._flight = _Flight(job, unit, on, now_ns, deadline_ns)
        self._heard = False
        if not self._unanswered_ns:
            self._unanswered_ns = now_ns
        self._arm(deadline_ns, now_ns)
        self._link.write(frame)

    def _answer(self, verdict: bytes | int, now_ns: int) -> None:
        """The matched reply (its payload) or exception (its code) came."""
        flight = self._flight
        assert flight is not None
        unit = flight.unit
        self._close_flight(unit, now_ns)
        self._unanswered_ns = 0
        unit.took(now_ns - flight.sent_ns, now_ns)
        if isinstance(verdict, int):
            unit.exceptions += 1
            unit.answered()
            self._refused(flight, verdict, now_ns)
            return
        unit.replies += 1
        unit.answered()
        job = flight.job
        if isinstance(job, Coil):
            self._coils.wrote(job, flight.on)
            return
        if isinstance(job, Slot):
            job.cost_ns = now_ns - flight.sent_ns + self._timing.quiet_ns
            work = job.work
            if isinstance(work, PollWork):
                told = work.took(verdict, now_ns, job.cost_ns, noisy=unit.noisy)
                self._told(job, work, told, now_ns)
                return
            if isinstance(work, Beside):
                reading = work.took(verdict, now_ns, noisy=unit.noisy)
                (self._schedule.at_once if work.again else self._schedule.succeeded)(job, now_ns)
                if reading is not None:
                    self._sink.text(reading)
                return
            self._schedule.succeeded(job, now_ns)
            job = work
        self._tell(self._coils.read(job, verdict, now_ns))

    def _told(self, slot: Slot, work: PollWork, told: Told, now_ns: int) -> None:
        """Hand out what a poll made of its reply, and put its slot where it belongs."""
        slot.query = work.query
        slot.unit.doubted_reads += told.doubted
        if told.again:
            self._schedule.at_once(slot, now_ns)
        elif told.failure is not None and told.failure.why is Failure.EXCEPTION:
            self._schedule.excepted(slot, now_ns)
        else:
            self._schedule.succeeded(slot, now_ns)
        for block in told.blocks:
            self._sink.block(block)
        if told.failure is not None:
            self._sink.failed(told.failure)

    def _give_up(self, work: PollWork, failure: PollFailure, next_ns: int) -> None:
        for block in work.give_up(next_ns):
            self._sink.block(block)
        self._sink.failed(failure)

    def _refused(self, flight: _Flight, code: int, now_ns: int) -> None:
        job = flight.job
        if isinstance(job, Coil):
            self._tell([self._coils.write_failed(job, now_ns, silent=False)])
            return
        if isinstance(job, Slot):
            work = job.work
            if isinstance(work, PollWork):
                noisy = flight.unit.noisy
                told = work.refused(code, now_ns, job.cost_ns, noisy=noisy)
                self._told(job, work, told, now_ns)
                return
            self._schedule.excepted(job, now_ns)
            if isinstance(work, Beside):
                if (reading := work.refused(now_ns)) is not None:
                    self._sink.text(reading)
                return
            job = work
        self._tell(self._coils.read_failed(job, now_ns, silent=False))

    def _no_answer(self, flight: _Flight, now_ns: int) -> None:
        """The deadline passed."""
        why = Failure.MALFORMED if self._heard else Failure.TIMEOUT
        if self._heard:
            flight.unit.malformed += 1
            if not self._tells_late:
                flight.unit.spoilt()
            flight.unit.malformed_run = (
                0 if self._matcher.damaged else flight.unit.malformed_run + 1
            )
        else:
            flight.unit.timeouts += 1
        damaged = self._matcher.damaged
        missing = self._matcher.missing
        if missing and not damaged:
            why = Failure.INCOMPLETE
            flight.unit.incomplete += 1
            until_ns = now_ns + self._timing.reply_timeout_ns
            self._tail.begin(flight.unit.number, missing, until_ns)
        self._close_flight(flight.unit, now_ns)
        job = flight.job
        # Noise now and then is no silence; a unit that sends nothing else is as good as dead.
        noisy = self._heard and not self._tells_late
        noisy = noisy and flight.unit.malformed_run <= MALFORMED_RUN_MAX
        if isinstance(job, Slot) and (damaged or noisy):
            self._schedule.damaged(job, now_ns, whole=damaged)
        elif isinstance(job, Slot):
            self._schedule.unanswered(job, now_ns)
        elif not damaged:
            self._schedule.order_unanswered(flight.unit, now_ns)
        if not self._serial and now_ns - self._unanswered_ns > LINK_SILENCE_NS_MAX:
            # The other end may have forgotten this connection; a new one costs little.
            self._link.close()
            self._end(f"no reply to any request for {LINK_SILENCE_NS_MAX // S} s")
        if isinstance(job, Coil):
            self._tell([self._coils.write_failed(job, now_ns, silent=True)])
            return
        if isinstance(job, Slot):
            work = job.work
            if isinstance(work, PollWork):
                self._give_up(work, PollFailure(work.poll, now_ns, why), job.due_ns)
                job.query = work.query
                return
            if isinstance(work, Beside):
                return
            job = work
        self._tell(self._coils.read_failed(job, now_ns, silent=True))

    def _close_flight(self, unit: Unit, now_ns: int) -> None:
        self._flight = None
        self._disarm()
        self.last_attempt_ns = now_ns
        unit.discarded(self._matcher.settle())

    def _tell(self, read_backs: list[ReadBack]) -> None:
        for read_back in read_backs:
            self._sink.read_back(read_back)
