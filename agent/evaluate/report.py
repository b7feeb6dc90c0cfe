"""The report as one HTML file that needs nothing else: no script, no network, no date."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from agent.evaluate import svg
from agent.evaluate.run import Result
from config.limits import EVALUATE_PLOTS_MAX

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1020px;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0}th,td{border:1px solid #ccc;padding:2px 8px;
text-align:right;font-variant-numeric:tabular-nums}th{background:#f3f3f3}td:first-child,
th:first-child{text-align:left}.no{color:#c40000;font-weight:600}.yes{color:#1a7f37}
svg{display:block;margin:.4em 0;max-width:100%;height:auto}
svg text{font:11px system-ui,sans-serif;fill:#444}.g{stroke:#e5e5e5}.z{stroke:#888}
.m{text-anchor:middle}.e{text-anchor:end}.small{color:#666;font-size:13px}
"""
_EVENTS = ("prealarm", "fire")


def html_of(result: Result) -> str:
    """The whole page."""
    d = result.document
    parts = [
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">"
        f"<title>Evaluation of {escape(d['site']['name'])}</title><style>{_STYLE}</style></head>"
        f"<body><h1>Evaluation of {escape(d['site']['name'])}</h1>"
        f"<p>Site file <b>{escape(d['site']['file'])}</b> on the recordings of "
        f"<b>{escape(d['data'])}</b>. Leads are seconds earlier than the reference, a fixed level "
        "behind a median of three; a miss counts as the end of the recording.</p>"
    ]  # fmt: skip
    parts += _goals("What was asked", d["goals"])
    parts += ["<h2>Growth classes</h2>", _classes(d["classes"])]
    if "against" in d:
        parts += _against(d)
    for sweep in d["sweeps"]:
        parts += _sweep(sweep)
    rows = [(r["name"], r["prealarm_lead_s"], r["fire_lead_s"]) for r in d["recordings"]]
    parts += ["<h2>Leads</h2>", _legend(), svg.dots(rows, "leads of every recording")]
    parts += ["<h2>Recordings</h2>", _recordings(d["recordings"])]
    for k, row in enumerate(d["recordings"]):
        parts += _recording(result, row, drawn=k < EVALUATE_PLOTS_MAX)
    parts.append("</body></html>\n")
    return "\n".join(p for p in parts if p)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Cells are HTML already."""
    top = "".join(f"<th>{escape(h)}</th>" for h in head)
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


def number(value: float | None, digits: int = 1) -> str:
    """A figure as text; nothing is a dash."""
    return "–" if value is None else f"{value:.{digits}f}"


def _goals(title: str, goals: Sequence[dict[str, Any]]) -> list[str]:
    if not goals:
        return []
    rows = [
        [
            escape(g["class"]),
            escape(goal_text(g)),
            number(g["found"]),
            f'<span class="{"yes" if g["reached"] else "no"}">'
            f"{'reached' if g['reached'] else 'not reached'}</span>",
            escape(g["worst"]),
        ]
        for g in goals
    ]
    return [f"<h2>{title}</h2>", table(("class", "asked", "found", "", "worst"), rows)]


def goal_text(goal: dict[str, Any]) -> str:
    """`prealarm_lead at least 40 s in the median`."""
    words = goal["asked"].removesuffix("_each").replace("_", " ")
    bound = "at least" if goal["at_least"] else "at most"
    unit = f" {goal['unit']}" if goal["unit"] else ""
    scope = ""
    if goal["at_least"]:
        scope = " in every recording" if goal["asked"].endswith("_each") else " in the median"
    if goal["spared"]:
        scope += f" but {', '.join(goal['spared'])}"
    return f"{words} {bound} {goal['limit']:g}{unit}{scope}"


def _classes(classes: dict[str, dict[str, Any]]) -> str:
    head = ["class", "n"]
    for what in (*_EVENTS, "reference"):
        head += [f"{what} median s", "p90 s", "missed"]
    for what in _EVENTS:
        head += [f"{what} lead median s", "least s"]
    head += ["before ignition", "false fires", "per point-day", "false pre-alarms",
             "per point-day", "reference false", "faults"]  # fmt: skip
    rows = []
    for name, c in classes.items():
        row = [escape(name), str(c["recordings"])]
        for what in (*_EVENTS, "reference"):
            after = c[f"{what}_after_s"] or {}
            row += [number(after.get("median")), number(after.get("p90")),
                    str(c[f"{what}_missed"])]  # fmt: skip
        for what in _EVENTS:
            lead = c[f"{what}_lead_s"] or {}
            row += [number(lead.get("median")), number(lead.get("least"))]
        row += [str(c["before_ignition"])]
        for what in reversed(_EVENTS):
            row += [str(c[f"false_{what}s"]), number(c[f"false_{what}s_per_point_day"], 4)]
        row += [str(c["false_references"]), str(c["faults"])]
        rows.append(row)
    return table(head, rows)


def _against(d: dict[str, Any]) -> list[str]:
    other = d["against"]
    name = escape(other["site"]["file"])
    parts = [f"<h2>What if: {name}</h2>", _classes(other["classes"])]
    parts += _goals(f"What was asked, with {name}", other["goals"])
    rows = []
    for a, b in zip(d["recordings"], other["recordings"], strict=True):
        row = [escape(a["name"])]
        for what in _EVENTS:
            key = f"{what}_t_s"
            both = a[key] is not None and b[key] is not None
            row += [number(a[key]), number(b[key]), number(a[key] - b[key] if both else None)]
        rows.append(row)
    head = ["recording"]
    for what in _EVENTS:
        head += [f"{what} s", "what if s", "earlier by s"]
    return [*parts, table(head, rows)]


def _sweep(sweep: dict[str, Any]) -> list[str]:
    rows = []
    for step in sweep["rows"]:
        for name, c in step["classes"].items():
            row = [f"{step['value']:g}", escape(name)]
            for what in _EVENTS:
                lead = c[f"{what}_lead_s"] or {}
                row += [number(lead.get("median")), number(lead.get("least")),
                        str(c[f"{what}_missed"])]  # fmt: skip
            row += [str(c["before_ignition"]), str(c["false_fires"]), str(c["false_prealarms"])]
            rows.append(row)
    head = [sweep["parameter"], "class"]
    for what in _EVENTS:
        head += [f"{what} lead median s", "least s", "missed"]
    head += ["before ignition", "false fires", "false pre-alarms"]
    return [f"<h2>Sweep of {escape(sweep['parameter'])}</h2>", table(head, rows)]


def _recordings(recordings: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            escape(r["name"]),
            escape(r["class"]),
            number(r["reference_t_s"]),
            number(r["prealarm_t_s"]),
            number(r["prealarm_lead_s"]),
            number(r["fire_t_s"]),
            number(r["fire_lead_s"]),
            str(sum(c["faults"] for c in r["counts"].values())),
        ]
        for r in recordings
    ]
    head = ("recording", "class", "reference s", "pre-alarm s", "lead s", "fire s", "lead s",
            "faults")  # fmt: skip
    return table(head, rows)


def _legend() -> str:
    return "<p>" + " ".join(
        f'<span style="color:{colour}">●</span> {name}'
        for name, colour in svg.EVENT_COLOURS.items()
    ) + "</p>"  # fmt: skip


def _recording(result: Result, row: dict[str, Any], *, drawn: bool) -> list[str]:
    parts = [f"<h3>{escape(row['name'])}</h3>"]
    start = f", starts {escape(row['start'])}" if row["start"] else ""
    parts.append(
        f'<p class="small">{escape(row["class"])}, {row["truth"]}{start}: {row["rows"]} rows of '
        f"{row['points']} points every {row['interval_s']:g} s, {row['samples_bad']} bad samples, "
        f"{row['rows_not_later']} rows not later than the one before</p>"
    )
    series = result.series.get(row["name"])
    if drawn and series is not None:
        zero_ns = series.ns[0] - round(row["first_t_s"] * 1e9) if series.ns else 0
        parts.append(svg.course(series, row, zero_ns))
    if row["marks"]:
        marks = [
            [f"{m['t_s']:.1f}", escape(m["what"]), escape(f"{m['of']} {m['name']}"),
             escape(m["text"])]
            for m in row["marks"][:12]
        ]  # fmt: skip
        left = len(row["marks"]) - len(marks)
        parts.append(table(("s", "what", "of", ""), marks))
        if left > 0:
            parts.append(f'<p class="small">and {left} more in the JSON</p>')
    return parts
