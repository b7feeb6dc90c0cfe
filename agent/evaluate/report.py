"""The report as one HTML file that needs nothing else: no script, no network, no date."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from agent.evaluate import svg, svg_figures
from agent.evaluate.phrases import Say, class_name, speaker
from agent.evaluate.run import Result
from config.desk_limits import EVALUATE_PLOTS_MAX

_STYLE = """
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:1020px;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:.6em 0}th,td{border:1px solid #ccc;padding:2px 8px;
text-align:right;font-variant-numeric:tabular-nums}th{background:#f3f3f3}td:first-child,
th:first-child{text-align:left}.no{color:#c40000;font-weight:600}.yes{color:#1a7f37}
svg{display:block;margin:.4em 0;max-width:100%;height:auto}
svg text{font:11px system-ui,sans-serif;fill:#444}.g{stroke:#e5e5e5}.z{stroke:#888}
.m{text-anchor:middle}.e{text-anchor:end}.small{color:#666;font-size:13px}
"""
_EVENTS = {"prealarm": "pre-alarm", "fire": "fire"}
_TRADES_MAX = 8  # drawings of one sweep
_ALL = {**_EVENTS, "reference": "reference"}
_FALSE = {"fires": "fires", "prealarms": "pre-alarms"}


def html_of(result: Result, language: str = "en") -> str:
    """The whole page. language: of words; what the core says is in English."""
    d, say = result.document, speaker(language)
    title = say("Evaluation of {name}", name=escape(d["site"]["name"]))
    files = {"site": f"<b>{escape(d['site']['file'])}</b>", "data": f"<b>{escape(d['data'])}</b>"}
    parts = [
        f'<!DOCTYPE html><html lang="{language}"><head><meta charset="utf-8">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>",
        "<p>" + say(
            "Site file {site} on the recordings of {data}. Leads are seconds earlier than the "
            "reference, a fixed level behind a median of three; a miss counts as the end of the "
            "recording.", **files,
        ) + "</p>",
    ]  # fmt: skip
    parts += _goals(say, say("What was asked"), d["goals"])
    parts += [f"<h2>{say('Growth classes')}</h2>", *_classes(say, d["classes"])]
    if "against" in d:
        parts += _against(say, d)
    for sweep in d["sweeps"]:
        parts += _sweep(say, sweep, d["classes"])
    rows = [(r["name"], r["prealarm_lead_s"], r["fire_lead_s"]) for r in d["recordings"]]
    parts += [f"<h2>{say('Leads')}</h2>", _legend(say), svg.dots(rows, say)]
    parts += [f"<h2>{say('Recordings')}</h2>", _recordings(say, d["recordings"])]
    for k, row in enumerate(d["recordings"]):
        parts += _recording(say, result, row, drawn=k < EVALUATE_PLOTS_MAX)
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


def interval(ends: Sequence[float] | None, digits: int = 1) -> str:
    """`12.0…14.5`; nothing is a dash."""
    return "–" if ends is None else f"{ends[0]:.{digits}f}…{ends[1]:.{digits}f}"


def _goals(say: Say, title: str, goals: Sequence[dict[str, Any]]) -> list[str]:
    if not goals:
        return []
    rows = [
        [
            escape(g["class"]),
            escape(goal_text(g, say)),
            number(g["found"]),
            f'<span class="{"yes" if g["reached"] else "no"}">'
            f"{say('reached' if g['reached'] else 'not reached')}</span>",
            escape(g["worst"]),
        ]
        for g in goals
    ]
    head = (say("class"), say("asked"), say("found"), "", say("worst"))
    return [f"<h2>{title}</h2>", table(head, rows)]


def goal_text(goal: dict[str, Any], say: Say) -> str:
    """`prealarm lead at least 40 s in the median`."""
    asked = goal["asked"]
    words = asked.removesuffix("_each").replace("_", " ")
    args = {
        "what": say(words) if words in ("prealarm lead", "fire lead", "prealarm missed", "missed",
                                        "before ignition") else words,
        "limit": f"{goal['limit']:g}", "spared": ", ".join(goal["spared"]),
    }  # fmt: skip
    if not goal["at_least"]:
        return say("{what} at most {limit}", **args)
    if not asked.endswith("_each"):
        return say("{what} at least {limit} s in the median", **args)
    if not goal["spared"]:
        return say("{what} at least {limit} s in every recording", **args)
    return say("{what} at least {limit} s in every recording but {spared}", **args)


# --- growth classes -------------------------------------------------------------------------------


def _classes(say: Say, classes: dict[str, dict[str, Any]]) -> list[str]:
    """Three tables: times, leads, and what was false."""
    times, leads, false = [], [], []
    for key, c in classes.items():
        name = escape(class_name(key, say))
        row = [name, str(c["recordings"])]
        for what in _ALL:
            after = c[f"{what}_after_s"] or {}
            row += [number(after.get("median")), number(after.get("p90")),
                    str(c[f"{what}_missed"])]  # fmt: skip
        times.append(row)
        row = [name]
        for what in _EVENTS:
            lead = c[f"{what}_lead_s"] or {}
            row += [number(lead.get("median")), interval(lead.get("median_95")),
                    number(lead.get("least"))]  # fmt: skip
        leads.append(row)
        row = [name, str(c["before_ignition"]), number(c["fire_free_point_days"], 2)]
        for what in _FALSE:
            per_day = f"false_{what}_per_point_day"
            row += [str(c[f"false_{what}"]), number(c[per_day], 4), interval(c[f"{per_day}_95"], 4)]
        false.append([*row, str(c["false_references"]), str(c["faults"])])
    first, second = [say("class"), say("n")], [say("class")]
    third = [say("class"), say("before ignition"), say("point-days")]
    for word in _ALL.values():
        first += [say("{what} after s", what=say(word)), say("p90 s"), say("missed")]
    for word in _EVENTS.values():
        second += [say("{what} lead s", what=say(word)), say("95 %"), say("least s")]
    for word in _FALSE.values():
        third += [say("false {what}", what=say(word)), say("per point-day"), say("95 %")]
    note = say(
        "Intervals of 95 % are of medians, by drawing recordings again (fixed seed), and exact "
        "ones of rare counts."
    )
    return [
        table(first, times), _drawn_times(say, classes), table(second, leads),
        table([*third, say("false reference"), say("faults")], false),
        f'<p class="small">{note}</p>',
    ]  # fmt: skip


def _drawn_times(say: Say, classes: dict[str, dict[str, Any]]) -> str:
    rows = []
    for key, c in classes.items():
        for what, word in _ALL.items():
            after = c[f"{what}_after_s"]
            if after is not None:
                label = f"{class_name(key, say)}, {say(word)}"
                rows.append((label, what, after["p10"], after["median"], after["p90"]))
    drawing = svg_figures.spans(rows, say("Time to detect"))
    text = say("From the 10th to the 90th percentile, with the median; seconds after ignition.")
    return f'{drawing}<p class="small">{text}</p>' if drawing else ""


# --- what if, sweeps ------------------------------------------------------------------------------


def _against(say: Say, d: dict[str, Any]) -> list[str]:
    other = d["against"]
    name = escape(other["site"]["file"])
    parts = [f"<h2>{say('What if: {name}', name=name)}</h2>", *_classes(say, other["classes"])]
    parts += _goals(say, say("What was asked, with {name}", name=name), other["goals"])
    text = say("Seconds earlier with the second file, and more false alarms with it.")
    parts.append(f'<p class="small">{text}</p>')
    rows = []
    for key, c in other["differences_of_classes"].items():
        row = [escape(class_name(key, say)), str(c["recordings"])]
        for what in _EVENTS:
            by = c[f"{what}_earlier_s"] or {}
            row += [number(by.get("median")), interval(by.get("median_95")),
                    str(c[f"{what}_earlier"]), str(c[f"{what}_later"])]  # fmt: skip
        row += [f"{c[f'more_false_{what}']:+d}" for what in _FALSE]
        rows.append([*row, f"{c['more_faults']:+d}"])
    head = [say("class"), say("n")]
    for word in _EVENTS.values():
        head += [say("{what} earlier by s", what=say(word)), say("95 %"), say("earlier"),
                 say("later")]  # fmt: skip
    more = [*(say("more false {what}", what=say(w)) for w in _FALSE.values()), say("more faults")]
    parts.append(table([*head, *more], rows))
    rows = []
    together = zip(d["recordings"], other["recordings"], other["differences"], strict=True)
    for a, b, difference in together:
        row = [escape(a["name"])]
        for what in _EVENTS:
            key = f"{what}_t_s"
            row += [number(a[key]), number(b[key]), number(difference[f"{what}_earlier_s"])]
        row += [f"{difference[f'more_false_{what}']:+d}" for what in _FALSE]
        rows.append([*row, f"{difference['more_faults']:+d}"])
    head = [say("recording")]
    for word in _EVENTS.values():
        head += [say("{what} s", what=say(word)), say("what if s"), say("earlier by s")]
    return [*parts, table([*head, *more], rows)]


def _sweep(say: Say, sweep: dict[str, Any], own: dict[str, dict[str, Any]]) -> list[str]:
    rows = []
    for step in sweep["rows"]:
        for key, c in step["classes"].items():
            row = [" · ".join(f"{v:g}" for v in step["values"]), escape(class_name(key, say))]
            for what in _EVENTS:
                lead = c[f"{what}_lead_s"] or {}
                row += [number(lead.get("median")), interval(lead.get("median_95")),
                        number(lead.get("least")), str(c[f"{what}_missed"])]  # fmt: skip
            row.append(str(c["before_ignition"]))
            for what in _FALSE:
                row += [str(c[f"false_{what}"]), number(c[f"false_{what}_per_point_day"], 4)]
            rows.append(row)
    name = " · ".join(sweep["parameters"])
    head = [name, say("class")]
    for word in _EVENTS.values():
        head += [say("{what} lead s", what=say(word)), say("95 %"), say("least s"), say("missed")]
    head.append(say("before ignition"))
    for word in _FALSE.values():
        head += [say("false {what}", what=say(word)), say("per point-day")]
    drawings = [
        svg_figures.trade(sweep, own, key, say) for key in own if key != "(all)"
    ][:_TRADES_MAX]  # fmt: skip
    text = say("Median lead over false alarms per point-day; ring: the site file as it is.")
    return [
        f"<h2>{say('Sweep of {name}', name=escape(name))}</h2>",
        f'{_legend(say)}{"".join(drawings)}<p class="small">{text}</p>',
        table(head, rows),
    ]


# --- recordings -----------------------------------------------------------------------------------


def _recordings(say: Say, recordings: Sequence[dict[str, Any]]) -> str:
    rows = [
        [
            escape(r["name"]),
            escape(class_name(r["class"], say)),
            number(r["reference_t_s"]),
            number(r["prealarm_t_s"]),
            number(r["prealarm_lead_s"]),
            number(r["fire_t_s"]),
            number(r["fire_lead_s"]),
            str(sum(c["faults"] for c in r["counts"].values())),
        ]
        for r in recordings
    ]
    head = [say("recording"), say("class"), say("{what} s", what=say("reference"))]
    for word in _EVENTS.values():
        head += [say("{what} s", what=say(word)), say("lead s")]
    return table([*head, say("faults")], rows)


def _legend(say: Say) -> str:
    return "<p>" + " ".join(
        f'<span style="color:{colour}">●</span> {say(svg.EVENT_WORDS[name])}'
        for name, colour in svg.EVENT_COLOURS.items()
    ) + "</p>"  # fmt: skip


def _recording(say: Say, result: Result, row: dict[str, Any], *, drawn: bool) -> list[str]:
    parts = [f"<h3>{escape(row['name'])}</h3>"]
    text = say(
        "{growth}, {truth}{start}: {rows} rows of {points} points every {step} s, {bad} bad "
        "samples, {late} rows not later than the one before",
        growth=escape(class_name(row["class"], say)),
        truth=say("burning" if row["truth"] == "fire" else row["truth"]),
        start=say(", starts {start}", start=escape(row["start"])) if row["start"] else "",
        rows=row["rows"], points=row["points"], step=f"{row['interval_s']:g}",
        bad=row["samples_bad"], late=row["rows_not_later"],
    )  # fmt: skip
    parts.append(f'<p class="small">{text}</p>')
    series = result.series.get(row["name"])
    if drawn and series is not None:
        zero_ns = series.ns[0] - round(row["first_t_s"] * 1e9) if series.ns else 0
        parts.append(svg.course(series, row, zero_ns, say))
    if row["marks"]:
        marks = [
            [f"{m['t_s']:.1f}", escape(say(_ALL.get(m["what"], m["what"]))),
             escape(f"{_of(m['of'], say)} {m['name']}"), escape(m["text"])]
            for m in row["marks"][:12]
        ]  # fmt: skip
        left = len(row["marks"]) - len(marks)
        parts.append(table(("s", say("what"), say("of"), say("note")), marks))
        if left > 0:
            more = say("and {count} more in the JSON", count=left)
            parts.append(f'<p class="small">{more}</p>')
    return parts


def _of(what: str, say: Say) -> str:
    return say(what) if what in ("point", "zone") else what
