"""The traffic of a line as an event: small, complete, and readable without this program."""

from __future__ import annotations

import cbor2

from agent.field.counters import COLUMNS, counters_record
from config.limits import BATCH_BYTES_MAX, MS
from config.words import Lane
from drivers.modbus.schedule import Unit


def test_every_column_of_every_unit_is_told() -> None:
    units = {n: Unit(n) for n in range(1, 248)}
    units[7].requests = 3
    units[7].timeouts = 1
    for round_trip_ms in (10, 12, 400):
        units[7].took(round_trip_ms * MS, 5)
    record = counters_record("riser", units, 2, 99, up=True)
    assert (record.lane, record.source) == (Lane.EVENT, "line/riser/counters")
    row = dict(zip(COLUMNS, record.body["units"][6], strict=True))
    assert (row["number"], row["requests"], row["timeouts"]) == (7, 3, 1)
    assert 12 * MS <= row["round_trip_ns_p50"] <= 12 * MS * 1.2
    assert 400 * MS <= row["round_trip_ns_p99"] <= 400 * MS * 1.2
    assert row["round_trip_ns_max"] == 400 * MS
    # The largest line fits many times into a batch.
    assert len(cbor2.dumps(record.body)) < BATCH_BYTES_MAX // 20


def test_a_unit_that_never_answered_has_no_percentiles() -> None:
    told = Unit(1).told()
    assert [told[f"round_trip_ns_p{p}"] for p in (50, 95, 99)] == [0, 0, 0]
