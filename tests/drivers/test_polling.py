"""One poll between bytes and block: taken apart, frozen, confirmed. No time passes."""

from __future__ import annotations

import struct
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_peers import make_plan, make_poll

from config.limits import CONFIRM_NS_MAX, MS, S
from config.plan import PARAMS, Device, Line, Plan, Poll, WordRule
from config.words import Flag, Mode, Quality
from drivers.modbus.beside import Heartbeat
from drivers.modbus.frame import Query
from drivers.modbus.parts import Parts
from drivers.modbus.polling import PollWork, Told
from drivers.modbus.schedule import FOREVER_NS
from drivers.reading import Failure


def _poll(offsets: list[int], count: int, function: int = 3) -> Poll:
    n = len(offsets)
    return replace(
        make_poll(100, n, function=function),
        count=count,
        offsets=np.array(offsets, "<u2").tobytes(),
    )


def _ask(query: Query) -> tuple[int, int]:
    return struct.unpack(">HH", query.pdu[1:5])


class _Unit:
    """Answers reads of what it has, value = address; refuses what touches anything else."""

    def __init__(self, has: set[int], function: int = 3) -> None:
        self.has, self.function = has, function
        self.asked: list[tuple[int, int]] = []

    def answer(self, query: Query) -> bytes | int:
        first, count = _ask(query)
        self.asked.append((first, count))
        span = range(first, first + count)
        if not self.has.issuperset(span):
            return 2
        if self.function in (1, 2):
            data = bytearray((count + 7) // 8)
            for k, address in enumerate(span):
                data[k // 8] |= (address % 3 == 0) << k % 8
            return bytes(data)
        return struct.pack(f">{count}H", *span)

    def round(self, parts: Parts) -> int:
        """One poll; returns the number of requests."""
        before = len(self.asked)
        while True:
            reply = self.answer(parts.query)
            over = parts.refused(reply) if isinstance(reply, int) else parts.took(reply)
            if over:
                return len(self.asked) - before


@given(
    st.lists(st.integers(0, 60), min_size=1, max_size=12, unique=True),
    st.sets(st.integers(0, 60), max_size=12),
    st.sampled_from([1, 3]),
)
def test_only_the_refused_gap_stays_open_and_no_value_is_lost(
    offsets: list[int], absent: set[int], function: int
) -> None:
    offsets = [o - min(offsets) for o in sorted(offsets)]
    absent -= set(offsets)  # a gap of the device, never a point
    count = offsets[-1] + 1
    unit = _Unit({100 + a for a in range(count)} - {100 + a for a in absent}, function)
    parts = Parts(1, _poll(offsets, count, function))
    guilty = 0
    for left, right in pairwise(offsets):
        guilty += bool(absent & set(range(left, right)))
    for _ in range(2 * len(offsets) + 2):
        unit.round(parts)
        assert parts.missing is None
        if function == 3:
            words = struct.unpack(f">{count}H", parts.payload)
            assert [words[o] for o in offsets] == [100 + o for o in offsets]
        else:
            bits = np.unpackbits(np.frombuffer(parts.payload, np.uint8), bitorder="little")
            assert [bits[o] for o in offsets] == [(100 + o) % 3 == 0 for o in offsets]
    assert unit.round(parts) == parts.requests == guilty + 1


def test_a_refused_point_costs_only_itself_and_comes_back() -> None:
    unit = _Unit({100, 101, 110})
    parts = Parts(1, _poll([0, 5, 10], 11))
    unit.round(parts)
    assert parts.missing is not None
    assert parts.missing.tolist() == [False, True, False]
    for _ in range(5):
        unit.round(parts)
    unit.has = set(range(100, 111))
    for _ in range(8):
        unit.round(parts)
    requests = unit.round(parts)
    assert requests == 1, "with nothing refused, the read is whole again"


def test_a_read_without_gaps_is_not_taken_apart() -> None:
    parts = Parts(1, _poll([0, 1, 2], 3))
    assert parts.refused(2)
    assert parts.code == 2
    other = Parts(1, _poll([0, 9], 10))
    assert other.refused(6), "a busy device has not said that a register is missing"
    assert other.code == 6


# --- heartbeat ------------------------------------------------------------------------------


def _site(polls: list[Poll], rules: tuple[WordRule, ...] = ()) -> Plan:
    line = Line("riser", "rs485", serial_port="x")
    return make_plan([line], [Device("d", 0, 1)], polls, rules=rules)


def test_a_frozen_device_says_nothing_but_what_it_changes() -> None:
    heart = Heartbeat(1, (3, 7, 1, 10 * S))
    work = PollWork(_site([make_poll(0, 1)]), 0, heart)
    heart.took(b"\0\1", S)
    assert work.took(b"\0\5", S, MS).blocks
    heart.took(b"\0\1", 10 * S)
    assert work.took(b"\0\5", 10 * S, MS).blocks
    heart.took(b"\0\1", 11 * S)
    told = work.took(b"\0\5", 11 * S, MS)
    assert not told.blocks
    assert told.failure is not None
    assert told.failure.why is Failure.FROZEN
    assert work.took(b"\0\6", 12 * S, MS).blocks, "a register that moves is news all the same"
    heart.took(b"\0\2", 13 * S)
    assert work.took(b"\0\6", 13 * S, MS).blocks


# --- confirmation -----------------------------------------------------------------------------


def _contact() -> PollWork:
    rule = WordRule(((1, 1, int(Flag.FIRE)),))
    plan = _site([replace(make_poll(0, 1, alarm=True, rule=0), confirms=b"\1")], (rule,))
    plan = replace(plan, points=replace(plan.points, modes=bytes([Mode.STATE])))
    return PollWork(plan, 0, None)


def _values(told: Told) -> list[float]:
    return [float(block.value[0]) for block in told.blocks]


def test_a_contact_that_bounced_once_is_not_told() -> None:
    work = _contact()
    assert _values(work.took(b"\0\0", 0, MS)) == [0]
    first = work.took(b"\0\1", S, MS)
    assert (first.again, first.blocks) == (True, ())
    second = work.took(b"\0\0", S + 20 * MS, MS)
    assert (second.again, _values(second)) == (False, [0])


def test_a_contact_that_stays_is_told_with_the_second_read_and_only_then() -> None:
    work = _contact()
    assert work.took(b"\0\1", S, MS).again
    assert _values(work.took(b"\0\1", S + 20 * MS, MS)) == [1]
    third = work.took(b"\0\1", 2 * S, MS)
    assert (third.again, _values(third)) == (False, [1]), "an alarm that stands asks nothing more"


@pytest.mark.parametrize("late_ns", [20 * MS, CONFIRM_NS_MAX + 1])
def test_an_alarm_is_never_lost_on_the_way_to_its_second_read(late_ns: int) -> None:
    work = _contact()
    work.took(b"\0\1", S, MS)
    assert [b.value[0] for b in work.give_up(FOREVER_NS)] == [1]
    work = _contact()
    work.took(b"\0\1", S, MS)
    told = _values(work.took(b"\0\0", S + late_ns, MS))
    assert told == ([0] if late_ns < CONFIRM_NS_MAX else [1, 0])


def test_a_line_too_slow_for_a_second_read_tells_the_first() -> None:
    assert _values(_contact().took(b"\0\1", S, CONFIRM_NS_MAX + 1)) == [1]


def test_a_number_above_its_level_is_told_and_sampled_again_at_once() -> None:
    plan = _site([replace(make_poll(0, 1, alarm=True), confirms=b"\1")])
    params = np.full(len(PARAMS), np.nan)
    params[PARAMS.index("fire_level")] = 57.0
    points = replace(
        plan.points, modes=bytes([Mode.ANALOGUE]), params=params.astype("<f8").tobytes()
    )
    work = PollWork(replace(plan, points=points), 0, None)
    assert not work.took(b"\0\x20", 0, MS).again
    first = work.took(b"\0\x60", S, MS)
    assert (first.again, _values(first)) == (True, [96])
    second = work.took(b"\0\x60", S + 20 * MS, MS)
    assert (second.again, _values(second)) == (False, [96])
    assert not work.took(b"\0\x60", 2 * S, MS).again


def test_a_refused_point_of_a_block_is_bad_and_the_others_are_good() -> None:
    poll = _poll([0, 10], 11)
    work = PollWork(_site([poll]), 0, None)
    told = work.refused(2, S, MS)
    assert told.again
    assert work.took(b"\0\7", S, MS).again
    told = work.refused(2, S, MS)
    (block,) = told.blocks
    assert block.quality.tolist() == [Quality.GOOD, Quality.BAD]
    assert block.value[0] == 7
    assert np.isnan(block.value[1])
