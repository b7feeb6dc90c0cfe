"""The schedule under a virtual clock: rates, starvation, back-off, revival. No time passes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import pytest

from config.limits import FIRST_ROUND_NS, MS, S
from config.plan import Line
from drivers.modbus.frame import read_query
from drivers.modbus.schedule import Schedule, Slot, Unit
from drivers.modbus.timing import LineTiming

START_NS = 5_000 * S


def _slot(unit: Unit, ms: int, *, alarm: bool = False, work: object = None) -> Slot:
    return Slot(unit, read_query(unit.number, 3, 0, 1), ms * MS, alarm, work)


def _drive(
    schedule: Schedule,
    until_ns: int,
    cost: Callable[[Slot, int], int],
    *,
    now_ns: int = START_NS,
) -> list[tuple[int, Slot]]:
    """Run transactions one after the other. cost(slot, now) -> ns, negative for no answer."""
    done: list[tuple[int, Slot]] = []
    while True:
        slot = schedule.pick(now_ns)
        if slot is None:
            now_ns = max(now_ns + 1, schedule.next_ns())
        if now_ns >= until_ns:
            return done
        if slot is None:
            continue
        done.append((now_ns, slot))
        took_ns = cost(slot, now_ns)
        now_ns += abs(took_ns)
        if took_ns < 0:
            schedule.unanswered(slot, now_ns)
        else:
            schedule.succeeded(slot, now_ns)


def _schedule(
    slots: list[Slot], seeds: list[int] | None = None, guard_ns: int = 300 * MS
) -> Schedule:
    schedule = Schedule(slots, guard_ns)
    schedule.start(START_NS, seeds or [0] * len(slots))
    return schedule


def test_an_idle_line_keeps_every_rate_exactly() -> None:
    units = [Unit(n) for n in range(5)]
    slots = [_slot(unit, ms, alarm=ms == 100) for unit in units for ms in (100, 1000)]
    runs = _drive(_schedule(slots), START_NS + 10 * S, lambda s, t: MS)
    counts = Counter(id(slot) for _, slot in runs)
    for slot in slots:
        assert counts[id(slot)] == pytest.approx(10 * S / slot.interval_ns, abs=1)


def test_the_first_round_is_prompt_and_spread() -> None:
    slots = [_slot(Unit(n), 60_000) for n in range(20)]
    runs = _drive(_schedule(slots, list(range(20))), START_NS + 900 * MS, lambda s, t: MS)
    firsts = [t for t, _ in runs[:20]]
    assert {id(slot) for _, slot in runs[:20]} == {id(slot) for slot in slots}
    assert max(firsts) < START_NS + FIRST_ROUND_NS
    assert sum(t < START_NS + 10 * MS for t in firsts) <= 5


def test_an_overloaded_line_serves_alarms_first_and_starves_nobody() -> None:
    unit = Unit(1)
    alarms = [_slot(unit, 100, alarm=True) for _ in range(4)]
    rest = [_slot(unit, 200) for _ in range(6)]
    # 40 ms each: the alarm polls alone need 160 ms of every 100.
    runs = _drive(_schedule(alarms + rest), START_NS + 40 * S, lambda s, t: 40 * MS)
    counts = Counter(id(slot) for _, slot in runs)
    alarm_runs = sum(counts[id(slot)] for slot in alarms)
    assert alarm_runs == pytest.approx(0.75 * len(runs), rel=0.02)
    for slot in rest:
        assert counts[id(slot)] == pytest.approx(0.25 * len(runs) / 6, rel=0.1)


def test_a_late_poll_skips_to_its_grid_without_a_burst() -> None:
    slot = _slot(Unit(1), 100)
    runs = _drive(
        _schedule([slot]),
        START_NS + 3 * S,
        lambda s, t: 950 * MS if t == START_NS else MS,
    )
    times = [(t - START_NS) // MS for t, _ in runs]
    assert times[:4] == [0, 1000, 1100, 1200]
    assert slot.unit.slots_skipped == 9


@pytest.mark.parametrize(("dead", "share"), [(1, 0.90), (3, 0.80)])
def test_dead_units_leave_the_healthy_their_rate(dead: int, share: float) -> None:
    """Eight units on a full line: each transaction 50 ms, a silent one 320 ms."""

    def rate(silent: int) -> float:
        units = [Unit(n) for n in range(8)]
        slots = [_slot(unit, 100) for unit in units]

        def cost(slot: Slot, _: int) -> int:
            return -320 * MS if slot.unit.number < silent else 50 * MS

        runs = _drive(_schedule(slots), START_NS + 120 * S, cost)
        return sum(slot.unit.number >= silent for _, slot in runs) / (8 - silent)

    # Per healthy unit, and of the line's time: the dead ones free their own share.
    assert rate(dead) >= share * rate(0)
    units_time = rate(dead) * (8 - dead)
    assert units_time >= share * rate(0) * 8


def test_a_revived_unit_is_back_within_ten_seconds() -> None:
    unit = Unit(1)
    slots = [_slot(unit, 500), _slot(unit, 60_000)]
    back_ns = START_NS + 300 * S

    def cost(_: Slot, now_ns: int) -> int:
        return -300 * MS if now_ns < back_ns else 10 * MS

    runs = _drive(_schedule(slots), START_NS + 320 * S, cost)
    dead = [t for t, _ in runs if t < back_ns]
    assert len(dead) == pytest.approx(300 / 7.3, abs=6)  # probed for ever, and rarely
    for slot in slots:
        assert min(t for t, s in runs if s is slot and t >= back_ns) < back_ns + 10 * S


def test_one_silent_block_leaves_the_rest_of_its_unit_alone() -> None:
    unit = Unit(1)
    good, silent = _slot(unit, 200), _slot(unit, 200)

    def cost(slot: Slot, _: int) -> int:
        return -300 * MS if slot is silent else 10 * MS

    runs = _drive(_schedule([good, silent]), START_NS + 100 * S, cost)
    counts = Counter(id(slot) for _, slot in runs)
    assert counts[id(good)] >= 0.85 * 500
    assert 15 <= counts[id(silent)] <= 25


def test_an_exception_never_stops_a_poll() -> None:
    slot = _slot(Unit(1), 200)
    schedule = _schedule([slot])
    now_ns = START_NS
    for _ in range(1000):
        now_ns = max(now_ns, schedule.next_ns())
        assert schedule.pick(now_ns) is slot
        schedule.excepted(slot, now_ns + MS)
    assert now_ns <= START_NS + 1000 * 200 * MS


def test_after_one_silence_an_rtu_unit_gets_time_for_its_late_reply() -> None:
    unit, other = Unit(1), Unit(2)
    slots = [_slot(unit, 50), _slot(unit, 50), _slot(other, 50)]
    schedule = _schedule(slots, guard_ns=300 * MS)
    first = schedule.pick(START_NS)
    assert first is slots[0]
    schedule.unanswered(first, START_NS + 300 * MS)
    runs = _drive(schedule, START_NS + S, lambda s, t: MS, now_ns=START_NS + 300 * MS)
    asked_again = min(t for t, slot in runs if slot.unit is unit)
    assert asked_again == START_NS + 600 * MS
    assert [slot for t, slot in runs if t < asked_again] == [slots[2]] * 6


def test_a_poll_of_the_rest_does_not_delay_an_alarm_poll_that_falls_due_during_it() -> None:
    unit = Unit(1)
    alarm, slow = _slot(unit, 100, alarm=True), _slot(unit, 1_000)
    slow.cost_ns = 40 * MS
    schedule = _schedule([alarm, slow], [0, 1])
    slow.phase_ns = 70 * MS  # falls due 30 ms before the alarm poll, and takes 40
    runs = _drive(schedule, START_NS + 60 * S, lambda slot, _: 40 * MS if slot is slow else 20 * MS)
    begun = [t for t, slot in runs if slot is alarm]
    late = [(t - START_NS) % (100 * MS) for t in begun[20:]]
    assert max(late) == 0
    assert sum(slot is slow for _, slot in runs) >= 59, "and it is not starved"


def test_a_poll_that_never_fits_goes_all_the_same() -> None:
    unit = Unit(1)
    alarm, slow = _slot(unit, 100, alarm=True), _slot(unit, 1_000)
    slow.cost_ns = 250 * MS
    runs = _drive(
        _schedule([alarm, slow]),
        START_NS + 60 * S,
        lambda slot, _: 250 * MS if slot is slow else 20 * MS,
    )
    assert sum(slot is slow for _, slot in runs) >= 45


def test_probes_of_many_dead_units_leave_most_of_the_line() -> None:
    units = [Unit(n) for n in range(20)]
    slots = [_slot(unit, 50) for unit in units]
    for slot in slots:
        slot.worst_ns = 300 * MS

    def cost(slot: Slot, _: int) -> int:
        return 10 * MS if slot.unit.number < 4 else -300 * MS

    runs = _drive(_schedule(slots), START_NS + 120 * S, cost)
    dead = sum(300 * MS for t, slot in runs if slot.unit.number >= 4 and t > START_NS + 20 * S)
    assert dead <= 27 * S  # of 100
    probed = {slot.unit.number for t, slot in runs if t > START_NS + 80 * S}
    assert probed == set(range(20)), "each is probed for ever"


def test_a_damaged_reply_never_makes_a_unit_look_dead() -> None:
    unit = Unit(1)
    slot = _slot(unit, 1_000)
    schedule = _schedule([slot])
    now_ns = START_NS
    for _ in range(50):
        now_ns = max(now_ns, schedule.next_ns())
        assert schedule.pick(now_ns) is slot
        now_ns += 30 * MS
        schedule.damaged(slot, now_ns)
    assert not unit.dead
    assert now_ns < START_NS + 3 * S, "and it is asked again soon"


@pytest.mark.parametrize(("dead", "share"), [(1, 0.94), (3, 0.85)])
def test_what_dead_units_cost_the_others_at_9600_baud_and_when_they_are_back(
    dead: int, share: float
) -> None:
    """Ten-register polls of eight units, as fast as the line goes: the schedule's own part."""
    timing = LineTiming(Line("riser", "rs485", baud=9_600))
    units = [Unit(n + 1) for n in range(8)]
    slots = [
        Slot(u, read_query(u.number, 3, 0, 10), 50 * MS, alarm=False, work=None) for u in units
    ]
    query = slots[0].query
    good_ns = timing.request_ns(query) + timing.reply_ns(query) + timing.silence_ns + 5 * MS
    for slot in slots:
        slot.worst_ns, slot.cost_ns = timing.worst_ns(query), good_ns
    schedule = Schedule(slots, timing.reply_timeout_ns)
    schedule.start(START_NS, range(8))
    revived_ns = START_NS + 75 * S

    def cost(slot: Slot, now_ns: int) -> int:
        silent = slot.unit.number > 8 - dead and now_ns < revived_ns
        return -timing.worst_ns(query) if silent else good_ns

    done = _drive(schedule, revived_ns + 15 * S, cost)
    begun_ns = START_NS + 15 * S  # they are known to be dead by then
    healthy = [s for t, s in done if begun_ns <= t < revived_ns and s.unit.number <= 8 - dead]
    assert len(healthy) * good_ns >= share * (revived_ns - begun_ns)
    back_ns = [min(t for t, s in done if s.unit is u and t >= revived_ns) for u in units]
    assert max(back_ns) - revived_ns <= 10 * S
