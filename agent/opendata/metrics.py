"""The gateway as metrics: pure, from what its processes tell of themselves.

Names say their units. What is not known is left out and never 0.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from agent.opendata.exposition import Exposition, Sample, labels
from agent.opendata.picture import Picture
from config.opendata_limits import SCRAPE_FAULTS_MAX
from config.words import FLAG_WORDS

_SHOWN = ("fire", "prealarm", "supervisory", "fault", "disabled", "test")
_CLOCKS = ("unset", "holdover", "synchronised")
_UNIT_COUNTERS = (
    ("requests", "requests sent to a unit"),
    ("replies", "replies that were right"),
    ("timeouts", "requests without a reply in time"),
    ("exceptions", "replies that refused"),
    ("crc_errors", "frames with a wrong checksum"),
    ("malformed", "replies that cannot be"),
    ("stale_discarded", "late replies to an older request, thrown away"),
    ("garbage_bytes", "bytes that belong to no frame"),
)
Rows = list[Mapping[str, Any]]


def tell_gateway(out: Exposition, picture: Picture) -> None:
    """Alarms, zones, sirens, panels, lines and the clock, from one picture."""
    status = picture.status
    flags, counts = status.get("flags", ()), status.get("counts", {})
    out.add("embergate_state", "gauge", "1 when the state stands anywhere in the building",
            ((labels({"state": word}), word in flags) for word in FLAG_WORDS))  # fmt: skip
    out.add("embergate_points_in_state", "gauge", "points with the state",
            ((labels({"state": word}), n) for word, n in counts.items()))  # fmt: skip
    for key, name, about in (
        ("points", "points", "points of the plan"),
        ("stale", "points_stale", "points without a sample for too long"),
        ("not_ready", "points_not_ready", "points without a first sample"),
        ("alarms", "alarms", "alarms that stand"),
        ("unacknowledged", "alarms_unacknowledged", "fires that nobody acknowledged"),
        ("silenced", "silenced", "1 when the sirens were silenced"),
    ):
        out.gauge(f"embergate_{name}", about, status.get(key))
    general = status.get("effects", {}).get("general")
    out.gauge("embergate_general_alarm", "1 while the general alarm stands",
              None if general is None else bool(general))  # fmt: skip
    _faults(out, status)
    _zones(out, picture)
    _around(out, picture)


def _faults(out: Exposition, status: Mapping[str, Any]) -> None:
    faults = status.get("faults", [])
    out.gauge("embergate_faults", "faults beyond points that stand", len(faults))
    sources = dict.fromkeys(fault["source"] for fault in faults[:SCRAPE_FAULTS_MAX])
    out.add("embergate_fault", "gauge", "1 for each fault that stands, by its source",
            ((labels({"source": source}), 1) for source in sources))  # fmt: skip


def _around(out: Exposition, picture: Picture) -> None:
    outputs: Rows = list(picture.outputs)
    for key, name, about in (
        ("on", "ordered", "1 when a siren, lamp or relay is ordered on"),
        ("read_back", "read_back", "1 when it reads as on; no line when nothing is known"),
        ("fault", "fault", "1 when it does not read as ordered"),
        ("disabled", "disabled", "1 while it is out of service"),
    ):
        _each(out, f"embergate_output_{name}", about, "output", outputs, key)
    _each(out, "embergate_panel_lost", "1 when a panel is not heard", "panel",
          list(picture.panels), "lost")  # fmt: skip
    _each(out, "embergate_panel_told", "states that a panel told and did not take back", "panel",
          list(picture.panels), "told")  # fmt: skip
    out.add("embergate_line_up", "gauge", "1 when a line is connected",
            ((labels({"line": name}), bool(up)) for name, up in picture.lines))  # fmt: skip
    _, wall_ns, clock = picture.now
    out.add("embergate_clock_state", "gauge", "1 for what the wall clock is worth",
            ((labels({"state": word}), i == clock) for i, word in enumerate(_CLOCKS)))  # fmt: skip
    out.gauge("embergate_clock_seconds", "the wall clock, since 1970", wall_ns / 1e9)


def _zones(out: Exposition, picture: Picture) -> None:
    names = [labels({"zone": name}) for name in picture.zone_names]
    out.add("embergate_zone_state", "gauge", "1 when the state stands in a zone",
            ((f'{of[:-1]},state="{word}"}}', bool(flags & FLAG_WORDS[word]))
             for of, flags in zip(names, picture.zone_flags, strict=True)
             for word in _SHOWN))  # fmt: skip
    for column, name, about in (
        (picture.zone_votes, "votes", "points of a zone in alarm"),
        (picture.zone_needed, "needed", "points in alarm that make its fire"),
        (picture.zone_healthy, "healthy", "points of a zone that can vote"),
    ):
        out.add(f"embergate_zone_{name}", "gauge", about, zip(names, column, strict=True))


def tell_field(out: Exposition, reply: Mapping[str, Any]) -> None:
    """The field process of itself: `status` of its socket."""
    told = reply.get("gateway", {})
    out.counter("embergate_field_cycles_total", "cycles of the core", told.get("cycles"))
    late = told.get("lateness_ms_max")
    out.gauge("embergate_field_cycle_lateness_max_seconds", "the latest cycle since the start",
              None if late is None else late / 1e3)  # fmt: skip
    cost = told.get("viewing", {}).get("cost_ms_max")
    out.gauge("embergate_field_picture_max_seconds", "the dearest picture for viewers",
              None if cost is None else cost / 1e3)  # fmt: skip
    out.gauge("embergate_field_viewers", "who looks", told.get("viewing", {}).get("viewers"))
    out.gauge("embergate_field_safe_mode", "1 after three crashes in a minute",
              told.get("safe_mode"))  # fmt: skip
    out.gauge("embergate_field_record_connected", "1 when the record takes what it says",
              told.get("record_connected"))  # fmt: skip
    out.gauge("embergate_field_events_waiting", "events not yet durable",
              told.get("events_waiting"))  # fmt: skip
    out.counter("embergate_field_telemetry_dropped_total", "readings that found no room",
                told.get("telemetry_dropped"))  # fmt: skip
    lines = told.get("lines", [])
    out.add("embergate_line_jams_total", "counter", "times that something talked without end",
            ((labels({"line": x["name"]}), x["jams"]) for x in lines if "jams" in x))  # fmt: skip
    units = [
        (labels({"line": line["name"], "unit": unit["number"]}), unit)
        for line in lines
        for unit in line.get("units", ())
    ]
    for key, about in _UNIT_COUNTERS:
        out.add(f"embergate_unit_{key}_total", "counter", about,
                ((of, unit[key]) for of, unit in units if key in unit))  # fmt: skip
    key = "round_trip_ns_p95"
    out.add("embergate_unit_round_trip_p95_seconds", "gauge",
            "of the last requests, the time that 95 of 100 took at most",
            ((of, unit[key] / 1e9) for of, unit in units if unit.get("replies")))  # fmt: skip


def tell_record(out: Exposition, reply: Mapping[str, Any]) -> None:
    """The record process of itself: `status` of its socket."""
    out.gauge("embergate_record_epoch", "number of the open epoch", reply.get("ordinal"))
    lanes = reply.get("lanes", {})
    out.add("embergate_record_lane_last", "gauge", "number of a lane's last batch in the epoch",
            ((labels({"lane": lane}), last) for lane, last in lanes.items()))  # fmt: skip
    out.gauge("embergate_record_faults", "faults of the record", len(reply.get("faults", ())))
    out.counter("embergate_record_malformed_total", "records that could not be sealed",
                reply.get("malformed"))  # fmt: skip
    store = reply.get("store", {})
    out.gauge("embergate_record_disk_trouble", "1 when the disk does not take what is sealed",
              bool(store.get("trouble")) if store else None)  # fmt: skip
    waits = store.get("not_durable", {})
    out.add("embergate_record_not_durable_batches", "gauge", "sealed, not yet on the disk",
            ((labels({"file": db}), n) for db, n in waits.items()))  # fmt: skip
    out.gauge("embergate_record_not_durable_bytes", "sealed, not yet on the disk",
              store.get("not_durable_bytes"))  # fmt: skip
    # 0: the kernel does not count it here, or it does not run long enough.
    out.counter("embergate_record_written_bytes_total", "written to the disk since the start",
                store.get("written_bytes") or None)  # fmt: skip
    out.gauge("embergate_record_written_day_bytes", "written to the disk in a day, at the pace "
              "of the last one", store.get("written_day_bytes") or None)  # fmt: skip
    couriers: Rows = reply.get("couriers", [])
    for key, name, about in (
        ("connected", "connected", "1 when the destination answers"),
        ("waiting", "waiting_batches", "batches that it has not acknowledged"),
        ("under_way", "under_way_batches", "batches on their way"),
    ):
        _each(out, f"embergate_courier_{name}", about, "courier", couriers, key)


def _each(out: Exposition, name: str, about: str, label: str, rows: Rows, key: str) -> None:
    samples: Iterable[Sample] = (
        (labels({label: row["name"]}), row[key]) for row in rows if row.get(key) is not None
    )
    out.add(name, "gauge", about, samples)
