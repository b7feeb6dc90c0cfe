"""What a receiver knows: gateways, heads of their chains, and everything that is not whole."""

from __future__ import annotations

import json
from typing import Any

from agent.receiver.readings import Tables, kept_batch
from agent.receiver.store import Store
from agent.uplink.errors import UplinkError
from agent.uplink.history import Finding
from config.words import Lane

_NOW_KNOWN = ("gap", "missing_epoch", "truncated")
"""Conditions that end when the missing batch comes: judged from the chains as they are now."""


def report(store: Store, fires_max: int = 1_000) -> dict[str, Any]:
    """Everything as JSON-ready values. `findings` are errors, `remarks` are not.

    {gateways: [{gateway, last_ns, batches, events, readings, epochs, lanes: [...], findings,
    remarks}], batches, events, readings, epochs, fires: [...], findings: [...], remarks: [...]}
    """
    names = {row["gateway"] for row in store.rows("select distinct gateway from gateways")}
    names |= {row["gateway"] for row in store.rows("select distinct gateway from findings")}
    readings = _readings(store)
    gateways = [_gateway(store, name, readings.get(name, 0)) for name in sorted(names)]
    out: dict[str, Any] = {"gateways": gateways}
    for key in ("batches", "events", "readings", "epochs"):
        out[key] = sum(g[key] for g in gateways)
    out["fires"] = _fires(store, fires_max)
    for key in ("findings", "remarks"):
        out[key] = [{"gateway": g["gateway"], **f} for g in gateways for f in g[key]]
    return out


def _gateway(store: Store, name: str, readings: int) -> dict[str, Any]:
    lanes = store.rows(
        "select lane, epoch, count(*) as batches, max(seq) as head, sum(length(bytes)) as bytes "
        "from batches where gateway = ? group by lane, epoch order by min(received_ns)",
        name,
    )
    history = store.history(name)
    for row in lanes:
        whole = history.acknowledge(row["epoch"], row["lane"])
        row["acknowledged"] = None if whole is None else whole[0]
        row["epoch"] = row["epoch"].hex()
    stored = store.rows(
        "select code, lane, epoch, seq, error, text, count, first_ns, last_ns from findings "
        "where gateway = ? order by first_ns",
        name,
    )
    for row in stored:
        row["epoch"] = row["epoch"].hex()
    now = [_finding(f) for f in history.problems()]
    lasting = [row for row in stored if row["code"] not in _NOW_KNOWN]
    (seen,) = store.rows("select max(last_ns) as at from gateways where gateway = ?", name)
    (events,) = store.rows("select count(*) as n from events where gateway = ?", name)
    return {
        "gateway": name,
        "last_ns": seen["at"],
        "batches": sum(row["batches"] for row in lanes),
        "events": events["n"],
        "readings": readings,
        "epochs": sum(row["lane"] == Lane.EPOCH for row in lanes),
        "lanes": lanes,
        "findings": now + [_plain(row) for row in lasting if row["error"]],
        "remarks": [_plain(row) for row in lasting if not row["error"]],
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "lane": finding.lane,
        "epoch": finding.epoch.hex(),
        "seq": finding.seq,
        "text": finding.text,
    }


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in row.items() if k != "error"}


def _fires(store: Store, most: int) -> list[dict[str, Any]]:
    rows = store.rows(
        "select gateway, source, what, wall_ns, mono_ns, folded, body from events "
        "where lane = ? order by wall_ns, seq limit ?",
        Lane.FIRE,
        most,
    )
    return [{**json.loads(row.pop("body")), **row} for row in rows]


def _readings(store: Store) -> dict[str, int]:
    """Readings by gateway: as counted when they came, or now where the table came later."""
    totals: dict[str, int] = {}
    for row in store.rows(
        "select gateway, sum(readings) as n from batches where lane = ? group by gateway",
        Lane.TELEMETRY,
    ):
        totals[row["gateway"]] = row["n"] or 0
    tables = Tables(store)
    for row in store.rows(
        "select gateway, bytes from batches where lane = ? and readings is null", Lane.TELEMETRY
    ):
        try:
            n = tables.count(row["gateway"], kept_batch(row["bytes"]))
        except UplinkError:
            continue  # it was reported as unreadable when it came
        totals[row["gateway"]] += n or 0
    return totals
