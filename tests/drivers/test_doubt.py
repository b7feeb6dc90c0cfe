"""A noisy line: what is read is believed when a second read says the same, and never too late."""

from __future__ import annotations

import asyncio
import random
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_peers import (
    DeviceMemory,
    Send,
    Sink,
    make_plan,
    make_poll,
    pty_peer,
    rtu,
    running,
)

from config.limits import CONFIRM_NS_MAX, MS, NOISY_REPLIES, S
from config.plan import NO_RULE, Device, Line, Plan, WordRule
from config.words import Flag, Mode
from drivers.modbus.frame import crc16
from drivers.modbus.master import BusMaster
from drivers.modbus.polling import PollWork, Told
from drivers.modbus.schedule import FOREVER_NS, Unit


def _plan(count: int, *, state: bool) -> Plan:
    rule = WordRule(((1, 1, int(Flag.FIRE)),))
    poll = make_poll(0, count, alarm=state, rule=0 if state else NO_RULE)
    line = Line("riser", "rs485", serial_port="x")
    plan = make_plan([line], [Device("d", 0, 1)], [poll], rules=(rule,))
    mode = Mode.STATE if state else Mode.TELEMETRY
    return replace(plan, points=replace(plan.points, modes=bytes([mode]) * count))


def _work(count: int = 1, *, state: bool = False) -> PollWork:
    return PollWork(_plan(count, state=state), 0, None)


def _read(work: PollWork, at_ns: int, *words: int, cost_ns: int = 40 * MS) -> Told:
    return work.took(struct.pack(f">{len(words)}H", *words), at_ns, cost_ns, noisy=True)


def _values(told: Told) -> list[float]:
    assert not told.again
    (block,) = told.blocks
    return list(block.value)


def test_a_new_value_needs_two_reads_and_an_old_one_needs_none() -> None:
    work = _work()
    assert _read(work, 0, 7) == Told(again=True, doubted=True)
    assert _values(_read(work, 40 * MS, 7)) == [7]
    assert _values(_read(work, S, 7)) == [7]


def test_a_wrong_reply_with_a_right_checksum_is_outvoted() -> None:
    work = _work(2)
    assert _read(work, 0, 40_000, 1).again
    assert _read(work, 40 * MS, 7, 1).again
    assert _values(_read(work, 80 * MS, 7, 1)) == [7, 1]
    assert _values(_read(work, S, 7, 1)) == [7, 1], "and forgotten"


@given(
    st.lists(st.integers(0, 65_535), min_size=3, max_size=3),
    st.integers(0, 2),
    st.integers(0, 65_535),
)
def test_of_moving_numbers_none_is_taken_from_beyond_the_true_ones(
    true: list[int], at: int, wrong: int
) -> None:
    work = _work()
    read = [*true[:at], wrong, *true[at + 1 :]]
    sound = [*true[:at], *true[at + 1 :]]
    told = Told(again=True)
    for k, word in enumerate(read):
        told = _read(work, k * 40 * MS, word)
        if not told.again:
            break
    taken = _values(told)[0]
    assert min(sound) <= taken <= max(sound) or wrong in sound or read.count(int(taken)) > 1


def test_no_alarm_waits_longer_than_the_budget() -> None:
    quick = _work(state=True)
    assert _values(_read(quick, 0, 1, cost_ns=CONFIRM_NS_MAX + 1)) == [Flag.FIRE], "line too slow"
    lost = _work(state=True)
    assert _read(lost, 0, 1).again
    assert lost.give_up(CONFIRM_NS_MAX) == (), "there is time for another read"
    (block,) = lost.give_up(CONFIRM_NS_MAX + 1)
    assert (list(block.value), block.mono_ns) == ([Flag.FIRE], 0)
    calm = _work(state=True)
    assert _read(calm, 0, 0).again
    assert calm.give_up(FOREVER_NS) == (), "what is no alarm is no news either"


def test_a_unit_is_noisy_for_a_number_of_replies() -> None:
    unit = Unit(1)
    unit.spoilt()
    for k in range(NOISY_REPLIES):
        assert unit.noisy, k
        unit.took(MS, k)
    assert not unit.noisy


def _colliding(good: bytes, rng: random.Random) -> bytes:
    """Another reply of the same length whose own checksum is right: what a collision looks like."""
    body = bytearray(good[:-2])
    body[3:5] = rng.randrange(65_536).to_bytes(2, "big")
    return bytes(body) + crc16(body).to_bytes(2, "little")


@pytest.mark.parametrize("seed", [1])
def test_the_master_takes_no_wrong_value_from_a_noisy_line(seed: int) -> None:
    """Every third reply is damaged, and every ninth is wrong although its checksum is right."""

    async def main() -> None:
        memory, rng, count = DeviceMemory(), random.Random(seed), 0

        async def script(_: int, unit: int, pdu: bytes, send: Send) -> None:
            nonlocal count
            count += 1
            good = rtu(unit, memory.answer(pdu))
            if count % 9 == 5:
                await send(_colliding(good, rng))
            elif count % 3 == 1:
                await send(good[:4] + bytes([good[4] ^ 0x55]) + good[5:])
            else:
                await send(good)

        async with pty_peer(script) as peer:
            sink = Sink()
            plan = make_plan([peer.line()], [Device("u", 0, 1)], [make_poll(7, 3)])
            master = BusMaster(plan, 0, sink)
            async with running(master):
                await sink.until(lambda: len(sink.blocks) >= 30)
            assert {tuple(v) for v in sink.values(0)} == {(7, 8, 9)}
            assert master.counters[1].doubted_reads >= 2
            assert not master.counters[1].dead

    asyncio.run(main())
