"""Orders to coils under a virtual clock."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from config.limits import MS, ORDER_RETRY_NS_MAX, S
from config.plan import Output
from drivers.modbus.frame import write_coil_query
from drivers.modbus.schedule import FOREVER_NS
from drivers.reading import ReadBack
from drivers.siren.coil import Coil, CoilRun, Coils


def _coils(*places: tuple[int, int]) -> Coils:
    """places: (unit, coil) of outputs 0, 1, ..."""
    return Coils([(n, unit, Output(f"o{n}", 0, coil)) for n, (unit, coil) in enumerate(places)])


def _write(coils: Coils, now_ns: int) -> Coil:
    job = coils.pick(now_ns)
    assert isinstance(job, Coil)
    return job


def _verify(coils: Coils, payload: bytes, now_ns: int) -> list[ReadBack]:
    job = coils.pick(now_ns)
    assert isinstance(job, CoilRun)
    return coils.read(job, payload, now_ns)


def test_nothing_is_written_before_an_order() -> None:
    coils = _coils((9, 0))
    assert coils.pick(0) is None
    assert coils.next_ns() == FOREVER_NS
    assert coils.read(coils.runs[0], b"\x01", 5) == [ReadBack(0, 5, on=True)]
    assert coils.pick(5) is None


def test_an_order_is_written_then_read_back() -> None:
    coils = _coils((9, 4))
    coils.order(0, True)
    job = _write(coils, 0)
    assert job.query().pdu == bytes.fromhex("050004ff00")
    coils.wrote(job, True)
    assert _verify(coils, b"\x01", 7) == [ReadBack(0, 7, on=True, written=True)]
    assert coils.next_ns() == FOREVER_NS
    coils.order(0, True)  # it already stands
    assert coils.next_ns() == FOREVER_NS


def test_all_sirens_are_written_before_the_first_is_verified() -> None:
    coils = _coils((9, 0), (9, 1), (8, 5), (9, 7))
    for output in range(4):
        coils.order(output, True)
    written = []
    while isinstance(job := coils.pick(0), Coil):
        written.append(job.output)
        coils.wrote(job, True)
    assert written == [0, 1, 2, 3]
    assert [(run.unit, run.first, len(run.coils)) for run in coils.runs] == [
        (8, 5, 1),
        (9, 0, 2),
        (9, 7, 1),
    ]


def test_the_last_order_wins_also_during_a_write() -> None:
    coils = _coils((9, 0))
    coils.order(0, True)
    job = _write(coils, 0)
    coils.order(0, False)
    coils.wrote(job, True)  # the acknowledgement of the older order
    assert _write(coils, 0).query().pdu.hex() == "0500000000"


def test_a_coil_that_reads_otherwise_is_written_again() -> None:
    coils = _coils((9, 0))
    coils.order(0, True)
    coils.wrote(_write(coils, 0), True)
    assert _verify(coils, b"\x00", 0) == [ReadBack(0, 0, on=False, written=True)]
    assert coils.pick(0) is None  # paced
    coils.wrote(_write(coils, coils.next_ns()), True)
    now_ns = S
    assert _verify(coils, b"\x01", now_ns)[0].on
    # Much later the relay board loses its supply and comes back with all coils off.
    assert coils.read(coils.runs[0], b"\x00", now_ns) == [ReadBack(0, now_ns, on=False)]
    assert _write(coils, now_ns).wanted is True


def test_a_dead_board_is_tried_for_ever_and_does_not_hold_another() -> None:
    coils = _coils((9, 0), (9, 1), (8, 0))
    for output in range(3):
        coils.order(output, True)
    now_ns = 0
    assert _write(coils, now_ns).unit == 9
    told = coils.write_failed(_write(coils, now_ns), now_ns, silent=True)
    assert told == ReadBack(0, 0, on=None, written=True)
    assert _write(coils, now_ns).output == 2  # not the other coil of the dead board
    coils.wrote(_write(coils, now_ns), True)
    assert _verify(coils, b"\x01", now_ns)[0].output == 2
    attempts = 0
    while now_ns < 60 * S:
        now_ns = max(now_ns, coils.next_ns())
        coils.write_failed(_write(coils, now_ns), now_ns, silent=True)
        attempts += 1
    assert 50 <= attempts <= 70
    assert coils.next_ns() - now_ns <= ORDER_RETRY_NS_MAX
    coils.order(0, False)  # a new order is tried at once
    assert coils.next_ns() <= now_ns


def test_a_refused_coil_does_not_hold_its_neighbour() -> None:
    coils = _coils((9, 0), (9, 1))
    coils.order(0, True)
    coils.order(1, True)
    coils.write_failed(_write(coils, 0), 0, silent=False)
    assert _write(coils, 0).output == 1


def test_a_read_back_that_fails_is_told_and_repeated() -> None:
    coils = _coils((9, 0))
    coils.order(0, True)
    coils.wrote(_write(coils, 0), True)
    run = coils.pick(0)
    assert isinstance(run, CoilRun)
    assert coils.read_failed(run, 0, silent=True) == [ReadBack(0, 0, on=None, written=True)]
    assert coils.pick(0) is None
    assert _verify(coils, b"\x01", coils.next_ns())[0].on


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 5)), max_size=60))
def test_whatever_happens_the_boards_end_as_ordered(script: list[tuple[int, bool, int]]) -> None:
    """Orders, lost writes, lost acknowledgements, lost reads, resets of the board, in any order."""
    places = [(9, 0), (9, 1), (8, 3)]
    coils = _coils(*places)
    real = dict.fromkeys(places, False)
    wanted: dict[int, bool] = {}
    now_ns = 0

    def transact(fault: int) -> None:
        job = coils.pick(now_ns)
        if isinstance(job, Coil):
            assert job.wanted is not None
            if fault != 1:
                real[(job.unit, job.number)] = job.wanted
            if fault in (1, 2):
                coils.write_failed(job, now_ns, silent=True)
            else:
                coils.wrote(job, job.wanted)
        elif job is not None:
            bits = sum(real[(c.unit, c.number)] << (c.number - job.first) for c in job.coils)
            if fault == 3:
                coils.read_failed(job, now_ns, silent=True)
            else:
                coils.read(job, bytes([bits]), now_ns)

    for output, on, fault in script:
        if fault == 4:
            real.update(dict.fromkeys(places, False))
        elif fault == 5:
            coils.order(output, on)
            wanted[output] = on
        transact(fault)
        now_ns += 100 * MS
    for _ in range(10):  # quiet times: periodic read-backs, then whatever they bring about
        for run in coils.runs:
            bits = sum(real[(c.unit, c.number)] << (c.number - run.first) for c in run.coils)
            coils.read(run, bytes([bits]), now_ns)
        for _ in range(6):
            transact(0)
            now_ns += S
    assert {output: real[places[output]] for output in wanted} == wanted
    assert coils.next_ns() == FOREVER_NS


def test_a_board_that_lets_go_is_written_to_before_it_does() -> None:
    coils = Coils([(0, 9, Output("o", 0, 4)), (1, 8, Output("p", 1, 4))], {9: 3 * S})
    for output in (0, 1):
        coils.order(output, True)
    for _ in range(2):
        coils.wrote(_write(coils, 0), True)
    for _ in range(2):
        assert _verify(coils, b"\x01", 0)[0].on
    assert coils.next_ns() == S, "three times in its timeout"
    assert coils.pick(S - 1) is None
    job = _write(coils, S)
    assert (job.output, job.wanted) == (0, True)
    coils.write_failed(job, S, silent=True)
    coils.wrote(_write(coils, 2 * S), True)
    assert _verify(coils, b"\x01", 2 * S) == [ReadBack(0, 2 * S, on=True, written=True)]
    assert coils.next_ns() == 3 * S
    coils.order(0, False)
    coils.wrote(_write(coils, 2 * S), False)
    _verify(coils, b"\x00", 2 * S)
    assert coils.next_ns() == FOREVER_NS, "off is what the board falls back to"


def test_an_inverted_coil_is_off_when_its_output_is_on() -> None:
    coils = Coils([(0, 9, Output("o0", 0, 3, inverted=True)), (1, 9, Output("o1", 0, 4))])
    coils.order(0, True)
    coil = coils.pick(0)
    assert isinstance(coil, Coil)
    assert coil.query() == write_coil_query(9, 3, on=False)
    coils.wrote(coil, on=True)
    (run,) = coils.runs
    told = coils.read(run, bytes([0b00]), 5)
    assert [(r.output, r.on) for r in told] == [(0, True), (1, False)]
    told = coils.read(run, bytes([0b01]), 6)
    assert [(r.output, r.on) for r in told] == [(0, False), (1, False)]
    assert coils.pick(7) is coil, "found otherwise: written again"


def test_a_self_test_writes_once_more_what_stands_and_nothing_that_was_never_ordered() -> None:
    coils = Coils([(0, 9, Output("o0", 0, 3)), (1, 9, Output("o1", 0, 4))])
    coils.rewrite(0)
    assert coils.pick(0) is None
    coils.order(0, False)
    coil = coils.pick(0)
    assert isinstance(coil, Coil)
    coils.wrote(coil, on=False)
    (run,) = coils.runs
    coils.read(run, bytes([0]), 5)
    assert coils.pick(6) is None
    coils.rewrite(0)
    assert coils.pick(6) is coil
    coils.wrote(coil, on=False)
    assert [r.written for r in coils.read(run, bytes([0]), 7)] == [True, False]
