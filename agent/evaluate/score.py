"""Figures of replayed recordings: of each, of each growth class, and against what was asked.

Scores are per experiment: channels of one fire are not independent. A miss counts as the end of
the test, for the gateway and for the reference alike. A lead is positive when the gateway was
earlier than the reference.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from agent.evaluate.replay import Replayed
from agent.evaluate.source import Source
from agent.evaluate.spread import percentile, rate_95, spread
from agent.evaluate.watch import Watch
from config.evaluation import Goal, Truth

EVENTS = ("prealarm", "fire")
_DAY_NS = 86_400 * 10**9
Figures = dict[str, Any]


def figures_of(source: Source, truth: Truth, watched: Watch, done: Replayed) -> Figures:
    """All figures of one recording; times in seconds of the recording."""
    end_s = _seconds(source, done.last_ns)
    ignition_s = None if truth.ignition_ns is None else truth.ignition_ns / 1e9
    at = {"prealarm": done.prealarm_ns, "fire": done.fire_ns, "reference": done.reference_ns}
    out: Figures = {
        "name": source.name,
        "class": truth.growth,
        "truth": "unknown" if not truth.known else "fire-free" if ignition_s is None else "fire",
        "ignition_t_s": ignition_s,
        "start": source.start,
        "sha256": source.digest,
        "first_t_s": _seconds(source, done.first_ns),
        "last_t_s": end_s,
        "interval_s": source.interval_ns / 1e9,
        "rows": done.rows,
        "samples": done.samples,
        "samples_bad": done.bad,
        "rows_not_later": done.late,
        "points": len(watched.plan.points),
        "alarm_points": watched.alarm_points,
        "fire_free_point_days": done.free_point_ns / _DAY_NS,
        "resets": done.resets,
        "alarm_stands_at_ignition": done.standing,
    }
    for what, ns in at.items():
        out[f"{what}_t_s"] = None if ns is None else _seconds(source, ns)
    for what in (*EVENTS, "reference"):
        after = None
        if truth.known and ignition_s is not None:
            found = out[f"{what}_t_s"]
            after = (end_s if found is None else found) - ignition_s
        out[f"{what}_after_s"] = after
        out[f"{what}_missed"] = _missed(out, what)
    for what in EVENTS:
        out[f"{what}_lead_s"] = _lead(out, what)
    out["counts"] = _counts(done)
    out["reference_false"] = done.reference_false
    out["marks"] = [
        {"t_s": _seconds(source, m.ns), "what": m.what, "of": m.of, "name": m.name, "text": m.text}
        for m in done.marks
    ]
    return out


def _seconds(source: Source, ns: int) -> float:
    return (ns - source.zero_ns) / 1e9


def _missed(out: Figures, what: str) -> bool:
    """It never came, and there was something: a fire, or the reference came."""
    if out["truth"] == "fire-free" or out[f"{what}_t_s"] is not None:
        return False
    return out["truth"] == "fire" or out["reference_t_s"] is not None


def _lead(out: Figures, what: str) -> float | None:
    if out["truth"] == "fire-free":
        return None
    reference, found, end = out["reference_t_s"], out[f"{what}_t_s"], out["last_t_s"]
    if reference is None and found is None:
        return None
    return float((end if reference is None else reference) - (end if found is None else found))


def _counts(done: Replayed) -> Figures:
    """{phase: {prealarms, fires (of points), zone_prealarms, zone_fires, faults}}."""
    out: Figures = {}
    for phase in ("before", "after", "unknown"):
        row = {
            f"{prefix}{what}s": done.counts[phase, what, of]
            for of, prefix in (("point", ""), ("zone", "zone_"))
            for what in EVENTS
        }
        row["faults"] = sum(
            n for (p, what, _), n in done.counts.items() if (p, what) == (phase, "fault")
        )
        if any(row.values()):
            out[phase] = row
    return out


# --- growth classes -------------------------------------------------------------------------------


def classes_of(recordings: Sequence[Figures]) -> dict[str, Figures]:
    """Figures of each growth class, and of all together when there is more than one."""
    names = sorted({r["class"] for r in recordings})
    out = {name: _class([r for r in recordings if r["class"] == name]) for name in names}
    if len(names) > 1:
        out["(all)"] = _class(recordings)
    return out


def _class(rows: Sequence[Figures]) -> Figures:
    days = sum(r["fire_free_point_days"] for r in rows)
    out: Figures = {"recordings": len(rows), "fire_free_point_days": days}
    for what in (*EVENTS, "reference"):
        after = [r[f"{what}_after_s"] for r in rows if r[f"{what}_after_s"] is not None]
        out[f"{what}_after_s"] = spread(after)
        out[f"{what}_missed"] = sum(r[f"{what}_missed"] for r in rows)
    for what in EVENTS:
        out[f"{what}_lead_s"] = spread(
            [r[f"{what}_lead_s"] for r in rows if r[f"{what}_lead_s"] is not None]
        )
        false = sum(r["counts"].get("before", {}).get(f"{what}s", 0) for r in rows)
        out[f"false_{what}s"] = false
        out[f"false_{what}s_per_point_day"] = false / days if days else None
        out[f"false_{what}s_per_point_day_95"] = rate_95(false, days)
    out["false_references"] = sum(r["reference_false"] for r in rows)
    out["before_ignition"] = sum(before_ignition(r) for r in rows)
    out["faults"] = sum(c["faults"] for r in rows for c in r["counts"].values())
    return out


def before_ignition(row: Figures) -> int:
    """Alarms and pre-alarms of points before the ignition of a fire."""
    if row["truth"] != "fire":
        return 0
    counts = row["counts"].get("before", {})
    return int(counts.get("prealarms", 0) + counts.get("fires", 0))


# --- goals ----------------------------------------------------------------------------------------


def judge(goals: Sequence[Goal], recordings: Sequence[Figures]) -> list[Figures]:
    """Each thing that was asked: what was found, and whether it is reached."""
    out = []
    for goal in goals:
        rows = [r for r in recordings if goal.growth in ("*", r["class"])]
        for key, asked in goal.asked:
            found, worst = _found(key, goal, rows)
            at_least = "lead" in key
            reached = found is not None and (found >= asked if at_least else found <= asked)
            out.append(
                {
                    "class": goal.growth, "asked": key, "limit": asked,
                    "unit": "s" if at_least else "", "at_least": at_least, "found": found,
                    "worst": worst, "recordings": len(rows), "reached": reached,
                    "spared": sorted(
                        r["name"] for r in rows if key.endswith("_each") and _spared(goal, r)
                    ),
                }
            )  # fmt: skip
    return out


def _spared(goal: Goal, row: Figures) -> bool:
    return any(fnmatchcase(row["name"], pattern) for pattern in goal.spared)


def _found(key: str, goal: Goal, rows: Sequence[Figures]) -> tuple[float | None, str]:
    if not rows:
        return None, ""
    if key == "before_ignition":
        return float(sum(before_ignition(r) for r in rows)), ""
    if key in ("missed", "prealarm_missed"):
        which = "fire_missed" if key == "missed" else key
        missed = [r["name"] for r in rows if r[which]]
        return float(len(missed)), ", ".join(missed[:3])
    each = key.endswith("_each")
    column = f"{key.removesuffix('_each')}_s"
    leads = [(r[column], r["name"]) for r in rows if r[column] is not None]
    if each:
        leads = [(v, n) for (v, n) in leads if not any(fnmatchcase(n, p) for p in goal.spared)]
    if not leads:
        return None, ""
    value, name = min(leads)
    return (value, name) if each else (percentile(sorted(v for v, _ in leads), 0.5), "")
