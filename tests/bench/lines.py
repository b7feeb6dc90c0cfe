"""Field lines: paced pseudo-terminals, dead units, corrupted bytes, the planner."""

from __future__ import annotations

import asyncio
import math
import multiprocessing
import os
import random
import select
import struct
import time
import tty
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np
from bench.figures import Figures

from config.limits import DAMAGED_WAIT_NS, MALFORMED_RUN_MAX, MS, S
from config.plan import (
    NO_RULE,
    PARAMS,
    PLAN_VERSION,
    Device,
    Line,
    Plan,
    PointTable,
    Poll,
)
from config.value_types import NO_BIT, VALUE_TYPES
from drivers.link.loop import new_loop
from drivers.modbus.frame import RtuMatcher, rtu_frame
from drivers.modbus.master import BusMaster
from drivers.modbus.planner import Want, plan_requests
from drivers.modbus.polling import PollWork
from drivers.modbus.schedule import Schedule, Slot, Unit
from drivers.modbus.timing import LineTiming
from drivers.reading import LineState, PollFailure, ReadBack, ReadingBlock, TextReading

UNITS = 8
REGISTERS = 10
TURNAROUND_NS = 5 * MS
REQUEST_BYTES = 8
REPLY_BYTES = 5 + 2 * REGISTERS
FIFO_BYTES = 8  # a port hands over what it has when so many came, or the frame ended


def measure(figures: Figures, seconds: int) -> None:
    """Every figure of a line."""
    for baud, bar in ((9_600, 95), (19_200, 95), (115_200, 90)):
        _rate(figures, baud, bar, seconds)
    _dead(figures, seconds)
    _corrupted(figures, 1_000_000)
    _planner(figures)


# --- the other end ------------------------------------------------------------------------------


class _Peer:
    """Units on a pseudo-terminal, in a process of their own. Each byte has its time on the wire."""

    def __init__(self, control: Connection, baud: int, silence_ns: int, dead: set[int]) -> None:
        self.control = control
        self.char_ns = 10 * S // baud
        self.silence_ns = silence_ns
        self.dead = dead
        self.master, slave = os.openpty()
        tty.setraw(slave)
        self.idle_from_ns = 0
        self.early = 0  # requests inside the silence
        self.count = 0
        control.send(os.ttyname(slave))

    def run(self) -> None:
        while True:
            heard: list[Connection | int] = [self.master, self.control]
            ready, _, _ = select.select(heard, [], [])
            if self.control in ready:
                order = self.control.recv()
                if order is None:
                    return
                self.dead = order
                self.control.send((self.count, self.early))
            if self.master in ready:
                self.answer(os.read(self.master, 256), time.monotonic_ns())

    def answer(self, request: bytes, now_ns: int) -> None:
        assert len(request) == REQUEST_BYTES, request.hex()
        self.count += 1
        self.early += now_ns < self.idle_from_ns + self.silence_ns
        self.idle_from_ns = now_ns + REQUEST_BYTES * self.char_ns
        if request[0] in self.dead:
            return
        reply = rtu_frame(request[0], struct.pack(">BB", 3, 2 * REGISTERS) + bytes(2 * REGISTERS))
        begin_ns = self.idle_from_ns + TURNAROUND_NS
        for at in range(0, len(reply), FIFO_BYTES):
            part = reply[at : at + FIFO_BYTES]
            self.idle_from_ns = begin_ns + (at + len(part)) * self.char_ns
            _until(self.idle_from_ns)
            os.write(self.master, part)


def _until(at_ns: int) -> None:
    """Wake on time: asleep until shortly before, then awake."""
    left_ns = at_ns - time.monotonic_ns() - 300_000
    if left_ns > 0:
        time.sleep(left_ns / S)
    while time.monotonic_ns() < at_ns:
        pass


def _serve(control: Connection, baud: int, silence_ns: int, dead: set[int]) -> None:
    _Peer(control, baud, silence_ns, dead).run()


# --- our end ------------------------------------------------------------------------------------


@dataclass
class _Count:
    """Replies of each unit, with their times."""

    replies: list[list[int]] = field(default_factory=lambda: [[] for _ in range(UNITS)])

    def block(self, block: ReadingBlock) -> None:
        self.replies[block.poll].append(block.mono_ns)

    def failed(self, failure: PollFailure) -> None:
        """Counted by the master."""

    def text(self, reading: TextReading) -> None:
        """There are none."""

    def read_back(self, read_back: ReadBack) -> None:
        """There are no outputs."""

    def line(self, state: LineState) -> None:
        """Stays up."""

    def between(self, units: range, from_ns: int, to_ns: int) -> int:
        return sum(from_ns <= t < to_ns for u in units for t in self.replies[u])


@dataclass(frozen=True)
class _Run:
    count: _Count
    from_ns: int
    to_ns: int
    revived_ns: int
    early: int
    cpu_share: float


def _plan(line: Line) -> Plan:
    n = REGISTERS
    polls = [
        Poll(
            unit, 3, 0, n, 50 * MS, False,
            np.arange(unit * n, unit * n + n, dtype="<u4").tobytes(),
            np.arange(n, dtype="<u2").tobytes(),
            bytes([VALUE_TYPES.index("uint16")]) * n, bytes([NO_BIT]) * n,
            np.ones(n, "<f8").tobytes(), np.zeros(n, "<f8").tobytes(),
            np.full(n, NO_RULE, "<u2").tobytes(),
        )
        for unit in range(UNITS)
    ]  # fmt: skip
    size = UNITS * n
    points = PointTable(
        np.arange(size, dtype="<u4").tobytes(), tuple(f"p{i}" for i in range(size)),
        bytes(2 * size), ("measure",) * size, ("",) * size, bytes(size), bytes(8 * size),
        bytes(8 * size), bytes(8 * size * len(PARAMS)),
    )  # fmt: skip
    devices = tuple(Device(f"u{n}", 0, n + 1) for n in range(UNITS))
    return Plan(
        PLAN_VERSION, bytes(32), "bench", "Bench", "eu", points, (line,), devices, tuple(polls),
        (), (), (), (), (),
    )  # fmt: skip


def run_line(baud: int, dead: int, settle_s: float, seconds: float) -> _Run:
    """Poll UNITS units as fast as the line goes, of which the last `dead` are silent."""
    silent = set(range(UNITS + 1 - dead, UNITS + 1))
    ours, theirs = multiprocessing.Pipe()
    silence_ns = LineTiming(Line("riser", "rs485", baud=baud)).silence_ns
    peer = multiprocessing.Process(
        target=_serve, args=(theirs, baud, silence_ns, silent), daemon=True
    )
    peer.start()
    line = Line("riser", "rs485", serial_port=ours.recv(), baud=baud)
    count = _Count()

    async def go() -> _Run:
        master = BusMaster(_plan(line), 0, count)
        task = asyncio.create_task(master.run())
        await asyncio.sleep(settle_s)
        from_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns()
        await asyncio.sleep(seconds)
        to_ns, cpu_ns = time.monotonic_ns(), time.process_time_ns() - cpu_ns
        ours.send(set())
        early = (await asyncio.to_thread(ours.recv))[1]
        revived_ns = to_ns
        while dead and not all(count.replies[-dead:]) and time.monotonic_ns() < to_ns + 20 * S:
            await asyncio.sleep(0.05)
            revived_ns = time.monotonic_ns()
        task.cancel()
        return _Run(count, from_ns, to_ns, revived_ns, early, cpu_ns / (to_ns - from_ns))

    try:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(go())
    finally:
        ours.send(None)
        peer.join(5)


def theory_per_s(baud: int) -> float:
    """Transactions that fit: request, turnaround, reply, silence."""
    timing = LineTiming(Line("riser", "rs485", baud=baud))
    wire_ns = (REQUEST_BYTES + REPLY_BYTES) * timing.char_ns
    return S / (wire_ns + TURNAROUND_NS + timing.silence_ns)


def _rate(figures: Figures, baud: int, bar: int, seconds: int) -> None:
    run = run_line(baud, 0, 1.0, seconds)
    rate = run.count.between(range(UNITS), run.from_ns, run.to_ns) * S / (run.to_ns - run.from_ns)
    how = f"{seconds} s, {REGISTERS}-register replies, 5 ms turnaround, bytes at the true rate"
    share = 100 * rate / theory_per_s(baud)
    figures.add(f"line_{baud}_rate", share, "% of theory", how, f">= {bar}")
    figures.add(f"line_{baud}_in_silence", run.early, "requests", how, "0")
    figures.add(f"line_{baud}_cpu", 100 * run.cpu_share, "% of a core", how)


def _dead(figures: Figures, seconds: int) -> None:
    all_of = theory_per_s(9_600)
    for dead, bar in ((1, 90), (3, 80)):
        run = run_line(9_600, dead, 15.0, max(seconds, 30))
        healthy = range(UNITS - dead)
        rate = run.count.between(healthy, run.from_ns, run.to_ns) * S / (run.to_ns - run.from_ns)
        how = f"{max(seconds, 30)} s at 9,600 baud, {dead} of {UNITS} units silent since 15 s"
        figures.add(f"line_{dead}_dead_rate", 100 * rate / all_of, "% of theory", how, f">= {bar}")
        back_s = (run.revived_ns - run.to_ns) / S
        figures.add(f"line_{dead}_dead_revived", back_s, "s", how + ", until all answer", "<= 10")


# --- without a line -----------------------------------------------------------------------------


@dataclass
class Corrupted:
    """What came of a simulated line on which one byte in a hundred is changed."""

    wrong: int = 0  # values taken that were never sent
    taken: int = 0  # replies with a right checksum
    blocks: int = 0  # readings told
    passed: int = 0  # wrong replies whose checksum was right all the same
    doubted: int = 0  # reads made once more
    crc_errors: int = 0
    given_up: int = 0  # times that the schedule took a unit for dead
    silence_ns_max: int = 0  # of one unit, without a reading


def corrupted_transactions(count: int, seed: int) -> Corrupted:
    """Matcher, polls and schedule of UNITS units at 9,600 baud, each polled every second."""
    rng = random.Random(seed)
    line = Line("riser", "rs485", baud=9_600)
    timing, plan = LineTiming(line), _plan(line)
    matcher, units = RtuMatcher(), [Unit(n + 1) for n in range(UNITS)]
    works = [PollWork(plan, n, None) for n in range(UNITS)]
    slots = [Slot(u, w.query, S, False, w) for u, w in zip(units, works, strict=True)]
    schedule = Schedule(slots, timing.reply_timeout_ns)
    schedule.start(0, range(UNITS))
    good_ns = timing.likely_ns(works[0].query)
    out, now_ns, told_ns = Corrupted(), 0, [0] * UNITS
    for number in range(count):
        slot = schedule.pick(now_ns)
        while slot is None:
            now_ns = max(now_ns + 1, schedule.next_ns())
            slot = schedule.pick(now_ns)
        unit, work = slot.unit, slot.work
        # The registers change with every reading that was told, not while they are read again.
        payload = struct.pack(">IQQ", unit.number, told_ns[unit.number - 1], number % 7 // 6)
        matcher.expect(slot.query)
        reply = _spoil(rng, rtu_frame(unit.number, bytes((3, 2 * REGISTERS)) + payload))
        verdict = matcher.feed(reply)
        damaged = matcher.damaged
        found = matcher.settle()
        out.crc_errors += found.crc_errors
        unit.discarded(found)
        if isinstance(verdict, bytes):
            now_ns += good_ns
            unit.took(good_ns, now_ns)
            out.taken += 1
            out.passed += verdict != payload
            told = work.took(verdict, now_ns, good_ns, noisy=unit.noisy)
            out.doubted += told.doubted
            for block in told.blocks:
                _judge(out, block, payload)
                silence_ns = now_ns - told_ns[unit.number - 1]
                out.silence_ns_max = max(out.silence_ns_max, silence_ns)
                told_ns[unit.number - 1] = now_ns
            (schedule.at_once if told.again else schedule.succeeded)(slot, now_ns)
            continue
        unit.spoilt()
        unit.malformed_run = 0 if damaged else unit.malformed_run + 1
        now_ns += good_ns + DAMAGED_WAIT_NS if damaged else timing.worst_ns(slot.query)
        if damaged or unit.malformed_run <= MALFORMED_RUN_MAX:
            schedule.damaged(slot, now_ns, whole=damaged)
        else:
            schedule.unanswered(slot, now_ns)
        for block in work.give_up(slot.due_ns):
            _judge(out, block, payload)
        out.given_up += unit.dead
    return out


def _judge(out: Corrupted, block: ReadingBlock, payload: bytes) -> None:
    """A register is right when the unit had that value at one of the reads."""
    out.blocks += 1
    sent = np.frombuffer(payload, ">u2").astype(float)
    right = block.value == sent
    right[-1] |= block.value[-1] in (0, 1)  # the register that moves between reads
    out.wrong += int((~right).sum())


def _spoil(rng: random.Random, reply: bytes) -> bytes:
    """One byte in a hundred becomes another."""
    damaged = bytearray(reply)
    at = -1
    while (at := at + 1 + int(math.log(1 - rng.random()) / math.log(0.99))) < len(reply):
        damaged[at] ^= rng.randrange(1, 256)
    return bytes(damaged)


def _corrupted(figures: Figures, count: int) -> None:
    found = corrupted_transactions(count, 20_260_101)
    how = f"{count:,} simulated transactions of {REGISTERS} registers, 1 % of all bytes changed"
    figures.add("line_corrupted_wrong_values", found.wrong, "values", how, "0")
    figures.add("line_corrupted_given_up", found.given_up, "units taken for dead", how, "0")
    figures.add("line_corrupted_passed", found.passed, "wrong replies with a right checksum", how)
    figures.add("line_corrupted_doubted", 100 * found.doubted / count, "% of transactions", how)
    figures.add("line_corrupted_blocks", 100 * found.blocks / count, "% of transactions", how)
    figures.add("line_corrupted_taken", 100 * found.taken / count, "% of transactions", how)
    figures.add("line_corrupted_silence", found.silence_ns_max / S, "s at most", how)


def scattered(devices: int, points: int) -> list[list[Want]]:
    """Points that lie apart, some in alarm, at three intervals."""
    rng = random.Random(1)
    return [
        [
            Want(k, rng.choice((3, 4)), address, rng.choice((1, 2)), rng.choice((1, 5, 60)) * S,
                 rng.random() < 0.3)
            for k, address in enumerate(sorted(rng.sample(range(2_000), points)))
        ]
        for _ in range(devices)
    ]  # fmt: skip


def _planner(figures: Figures) -> None:
    wants = scattered(300, 40)
    took = []
    for _ in range(5):
        begun_ns = time.process_time_ns()
        for of_device in wants:
            plan_requests(of_device)
        took.append((time.process_time_ns() - begun_ns) / MS)
    how = "processor time for 300 devices of 40 scattered points, median of 5"
    figures.add("planner_300x40", sorted(took)[2], "ms", how, "< 100")
