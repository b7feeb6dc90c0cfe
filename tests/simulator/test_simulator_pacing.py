"""The speed of a serial line, computed and then followed byte by byte."""

from __future__ import annotations

import heapq
from collections.abc import Callable

import pytest
from simulated_site import Clock

from drivers.simulator.pacing import Pace, PacedWriter


class Timers:
    """call_later on a test's clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._due: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._dead: set[int] = set()

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        self._count += 1
        due_ns = self._clock.now_ns + round(seconds * 1e9)
        heapq.heappush(self._due, (due_ns, self._count, call))
        return Timer(self._dead, self._count)

    def run(self) -> None:
        while self._due:
            due_ns, number, call = heapq.heappop(self._due)
            if number not in self._dead:
                self._clock.now_ns = max(due_ns, self._clock.now_ns)
                call()


class Timer:
    def __init__(self, dead: set[int], number: int) -> None:
        self._dead, self._number = dead, number

    def cancel(self) -> None:
        self._dead.add(self._number)


@pytest.mark.parametrize(
    ("baud", "parity", "stop_bits", "char_us", "gap_us"),
    [
        (9600, "N", 1, 1041.667, 3645.83),
        (9600, "E", 1, 1145.833, 4010.42),
        (9600, "N", 2, 1145.833, 4010.42),
        (19200, "E", 1, 572.917, 2005.21),
        (115200, "N", 1, 86.806, 1750.0),
    ],
)
def test_characters_and_silences(
    baud: int, parity: str, stop_bits: int, char_us: float, gap_us: float
) -> None:
    pace = Pace.of_line(baud, parity, stop_bits)
    assert pace.char_ns == pytest.approx(char_us * 1000, rel=1e-4)
    assert pace.gap_ns == pytest.approx(gap_us * 1000, rel=1e-4)


def test_a_transaction_takes_what_its_bytes_take() -> None:
    """Reading 10 registers at 9,600 8N1: 8 + 3.5 + 25 characters, 38.02 ms."""
    pace = Pace.of_line(9600, "N", 1)
    clock = Clock()
    timers = Timers(clock)
    out: list[tuple[int, bytes]] = []
    done: list[int] = []
    writer = PacedWriter(
        pace, lambda data: out.append((clock.now_ns, data)), clock, timers.call_later
    )
    begun_ns = clock.now_ns
    begins_ns = pace.reply_begins_ns(pace.received_ns(begun_ns, 8))
    reply = bytes(range(25))
    writer.send(reply, begins_ns, lambda: done.append(clock.now_ns))
    timers.run()
    assert b"".join(data for _, data in out) == reply
    assert (done[0] - begun_ns) / 1e6 == pytest.approx(38.02, abs=0.01)
    sent = 0
    for when_ns, data in out:  # no byte is ahead of the line
        sent += len(data)
        assert when_ns >= begins_ns + sent * pace.char_ns
        assert len(data) <= 2


def test_a_late_wake_up_catches_up() -> None:
    pace = Pace.of_line(9600, "N", 1)
    clock = Clock()
    timers = Timers(clock)
    out: list[bytes] = []
    writer = PacedWriter(pace, out.append, clock, timers.call_later)
    writer.send(bytes(10), clock.now_ns, lambda: None)
    clock.pass_s(0.005)  # the loop was busy: 4 characters have passed
    timers.run()
    assert len(out[0]) == 4
    assert sum(map(len, out)) == 10


def test_a_new_frame_cuts_off_the_old_one() -> None:
    pace = Pace.of_line(9600, "N", 1)
    clock = Clock()
    timers = Timers(clock)
    out: list[bytes] = []
    done: list[str] = []
    writer = PacedWriter(pace, out.append, clock, timers.call_later)
    writer.send(b"aaaa", clock.now_ns, lambda: done.append("a"))
    writer.send(b"bb", clock.now_ns, lambda: done.append("b"))
    timers.run()
    assert b"".join(out) == b"bb"
    assert done == ["b"]
