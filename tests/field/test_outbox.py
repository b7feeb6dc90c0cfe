"""The outboxes: bounded, nothing durable is sent again, nothing else is lost uncounted."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from agent.core.types import ClockState, Now, Record
from agent.field.outbox import EventOutbox, TelemetryOutbox
from config.limits import OUTBOX_PER_SOURCE, OUTBOX_TELEMETRY_BYTES_MAX
from config.words import Lane
from drivers.reading import ReadingBlock

NOW = Now(mono_ns=1, wall_ns=2, clock=ClockState.HOLDOVER)


def record(source: str, n: int = 0) -> Record:
    return Record(Lane.EVENT, source, "point", mono_ns=n, body={"n": n})


def test_chatter_costs_a_bounded_number_of_entries_and_keeps_the_latest() -> None:
    box = EventOutbox()
    for n in range(1_000):
        box.add(record("point/1", n), NOW)
    rows = box.take()
    assert len(rows) == OUTBOX_PER_SOURCE
    assert rows[-1][8] == {"n": 999}
    assert sum(row[7] for row in rows) + len(rows) == 1_000


def test_a_fire_that_a_later_word_absorbs_is_still_called() -> None:
    box = EventOutbox()
    for n in range(OUTBOX_PER_SOURCE - 1):
        box.add(record("point/1", n), NOW)
    fire = {"from": 0, "to": 1, "number": 7, "value": 60.0}
    box.add(Record(Lane.FIRE, "point/1", "point", 8, fire), NOW)
    box.add(Record(Lane.EVENT, "point/1", "point", 9, {"from": 1, "to": 9, "value": 90.0}), NOW)
    *others, last = box.take()
    assert [row[1] for row in others] == [Lane.EVENT.value] * (OUTBOX_PER_SOURCE - 1)
    assert (last[1], last[4], last[7]) == (Lane.FIRE.value, 9, 1)
    assert last[8] == {"from": 0, "to": 9, "number": 7, "value": 90.0}
    assert fire == {"from": 0, "to": 1, "number": 7, "value": 60.0}


def test_other_sources_are_untouched_by_a_chatterer() -> None:
    box = EventOutbox()
    box.add(record("point/2", 7), NOW)
    for n in range(100):
        box.add(record("point/1", n), NOW)
    assert [row[8] for row in box.take() if row[2] == "point/2"] == [{"n": 7}]


def test_what_is_not_durable_is_sent_again_after_a_new_connection() -> None:
    box = EventOutbox()
    for n in range(3):
        box.add(record(f"point/{n}", n), NOW)
    first = box.take()
    box.add(record("point/9", 9), NOW)
    box.resume(first[0][0])
    assert [row[8]["n"] for row in box.take()] == [1, 2, 9]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.integers(0, 3)),
            st.just(("take", 0)),
            st.tuples(st.just("durable"), st.integers(0, 40)),
            st.tuples(st.just("resume"), st.integers(0, 40)),
        ),
        max_size=80,
    )
)
def test_any_sequence_is_bounded_and_counts_everything(steps: list[tuple[str, int]]) -> None:
    box = EventOutbox()
    added = confirmed = confirmed_max = 0
    taken: dict[int, int] = {}
    for what, arg in steps:
        if what == "add":
            added += 1
            box.add(record(f"s/{arg}", added), NOW)
        elif what == "take":
            for row in box.take():
                assert row[0] > confirmed_max, "a durable event was sent again"
                taken[row[0]] = row[7] + 1
        else:
            confirmed = min(arg, max(taken, default=0))
            confirmed_max = max(confirmed_max, confirmed)
            (box.durable if what == "durable" else box.resume)(confirmed)
        assert len(box) <= 4 * (2 * OUTBOX_PER_SOURCE + 1)
    while rows := box.take():
        taken |= {row[0]: row[7] + 1 for row in rows}
    assert sum(taken.values()) >= added - box.let_go


def block(poll: int, n: int = 4) -> ReadingBlock:
    return ReadingBlock(
        poll, 5, np.arange(n, dtype=np.int32), np.ones(n), np.zeros(n, dtype=np.uint8)
    )


def test_telemetry_waits_until_durable_and_comes_again_after_a_new_connection() -> None:
    box = TelemetryOutbox()
    for poll in range(3):
        box.add(block(poll), NOW)
    rows, dropped = box.take(1 << 20)
    assert [row[1] for row in rows] == [0, 1, 2]
    assert dropped == {}
    box.resume(rows[0][0])
    again, _ = box.take(1 << 20)
    assert [row[1] for row in again] == [1, 2]


def test_telemetry_beyond_its_bound_drops_the_oldest_and_declares_it() -> None:
    box = TelemetryOutbox()
    blocks = OUTBOX_TELEMETRY_BYTES_MAX // 8_000 + 50
    for _ in range(blocks):
        box.add(block(7, 1_000), NOW)
    rows, dropped = box.take(1 << 40)
    assert dropped == {7: box.dropped_readings}
    assert len(rows) * 1_000 + dropped[7] == blocks * 1_000
    box.undeclared(dropped)
    assert box.take(1) == ([], dropped)
