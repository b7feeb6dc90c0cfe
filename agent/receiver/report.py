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


_CLONED = ("fork", "epoch_fork", "foreign")
"""What a key does that speaks from two places, or for another gateway."""


def report(store: Store, gateway: str | None = None, fires_max: int = 1_000) -> dict[str, Any]:
    """Everything, or of one gateway, as JSON-ready values. `findings` are errors, `remarks` are
    not; `clones` are gateways whose key was perhaps copied, with the codes that say so.

    {gateways: [{gateway, last_ns, batches, events, readings, epochs, lanes: [...], findings,
    remarks}], batches, events, readings, epochs, fires: [...], findings: [...], remarks: [...],
    clones: {gateway: [code, ...]}}
    """
    where, of = ("where gateway = ?", (gateway,)) if gateway else ("", ())
    names = {
        row["gateway"]
        for table in ("batches", "findings")
        for row in store.rows(f"select distinct gateway from {table} {where}", *of)  # noqa: S608 -- our words
    }
    readings = _readings(store, gateway)
    gateways = [_gateway(store, name, readings.get(name, 0)) for name in sorted(names)]
    out: dict[str, Any] = {"gateways": gateways}
    for key in ("batches", "events", "readings", "epochs"):
        out[key] = sum(g[key] for g in gateways)
    out["fires"] = _fires(store, gateway, fires_max)
    for key in ("findings", "remarks"):
        out[key] = [{"gateway": g["gateway"], **f} for g in gateways for f in g[key]]
    out["clones"] = {
        g["gateway"]: sorted({f["code"] for f in g["findings"]}.intersection(_CLONED))
        for g in gateways
        if any(f["code"] in _CLONED for f in g["findings"])
    }
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


def _fires(store: Store, gateway: str | None, most: int) -> list[dict[str, Any]]:
    where, of = ("and gateway = ?", (gateway,)) if gateway else ("", ())
    columns = "gateway, source, what, wall_ns, mono_ns, folded, body"
    wheres = f"where lane = ? {where} order by wall_ns, seq limit ?"
    sql = f"select {columns} from events {wheres}"  # noqa: S608 -- our words
    rows = store.rows(sql, Lane.FIRE, *of, most)
    return [{**json.loads(row.pop("body")), **row} for row in rows]


def _readings(store: Store, gateway: str | None) -> dict[str, int]:
    """Readings by gateway: as counted when they came, or now where the table came later."""
    where, of = ("and gateway = ?", (gateway,)) if gateway else ("", ())
    totals: dict[str, int] = {}
    for row in store.rows(
        f"select gateway, sum(readings) as n from batches where lane = ? {where} group by gateway",  # noqa: S608 -- our words
        Lane.TELEMETRY,
        *of,
    ):
        totals[row["gateway"]] = row["n"] or 0
    tables = Tables(store)
    for row in store.rows(
        f"select gateway, bytes from batches where lane = ? and readings is null {where}",  # noqa: S608 -- our words
        Lane.TELEMETRY,
        *of,
    ):
        try:
            n = tables.count(row["gateway"], kept_batch(row["bytes"]))
        except UplinkError:
            continue  # it was reported as unreadable when it came
        totals[row["gateway"]] += n or 0
    return totals
