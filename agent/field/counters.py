"""The traffic of the lines, as rows of the record. Pure.

One event a line every COUNTERS_EVENT_NS: totals since the start of the process, so that the
difference of two events is what happened between them, whatever was lost in between.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.core.types import Record
from config.words import Lane
from drivers.modbus.schedule import Unit

COLUMNS = (
    "number",
    "requests",
    "replies",
    "timeouts",
    "malformed",
    "exceptions",
    "crc_errors",
    "stale_discarded",
    "foreign_discarded",
    "garbage_bytes",
    "slots_skipped",
    "round_trip_ns_p50",
    "round_trip_ns_p95",
    "round_trip_ns_p99",
    "round_trip_ns_max",
    "incomplete",
    "doubted_reads",
)
"""Of each row of `units`."""


def counters_record(
    name: str, units: Mapping[int, Unit], jams: int, mono_ns: int, *, up: bool
) -> Record:
    """All units of one line; at most 247 rows of small numbers."""
    rows = []
    for unit in units.values():
        told = unit.told()
        rows.append([told[column] for column in COLUMNS])
    body = {"name": name, "up": up, "jams": jams, "columns": list(COLUMNS), "units": rows}
    return Record(Lane.EVENT, f"line/{name}/counters", "counters", mono_ns, body)
