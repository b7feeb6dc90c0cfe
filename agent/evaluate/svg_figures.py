"""Small drawings of many recordings together: times of classes, and what a sweep trades."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from agent.evaluate.phrases import Say, class_name
from agent.evaluate.svg import EVENT_COLOURS, EVENT_WORDS, HEIGHT, WIDTH, Frame, nice_ticks

_NAMES = 240  # px of names at the left
_LABELS = 3  # of dots in one place


def spans(rows: Sequence[tuple[str, str, float, float, float]], title: str) -> str:
    """(label, event, p10, median, p90) as a bar with a tick each; "" of nothing."""
    if not rows:
        return ""
    low = min(0.0, *(r[2] for r in rows))
    high = max(1.0, *(r[4] for r in rows))
    height, width = 34 + 15 * len(rows), WIDTH - _NAMES - 20

    def x(value: float) -> float:
        return _NAMES + (value - low) / (high - low) * width

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{escape(title)}">'
    ]
    parts += [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="16" y2="{height - 14}" class="g"/>'
        f'<text x="{x(tick):.1f}" y="12" class="m">{tick:g} s</text>'
        for tick in nice_ticks(low, high)
    ]
    for k, (label, what, first, middle, last) in enumerate(rows):
        y, colour = 30 + 15 * k, EVENT_COLOURS[what]
        parts.append(
            f'<text x="{_NAMES - 8}" y="{y + 4}" class="e">{escape(label[:40])}</text>'
            f'<line x1="{x(first):.1f}" x2="{x(last):.1f}" y1="{y}" y2="{y}" stroke="{colour}" '
            f'stroke-width="5" stroke-opacity="0.35"/>'
            f'<line x1="{x(middle):.1f}" x2="{x(middle):.1f}" y1="{y - 5}" y2="{y + 5}" '
            f'stroke="{colour}" stroke-width="2.5"/>'
        )
    parts.append("</svg>")
    return "".join(parts)


def trade(sweep: dict[str, Any], own: dict[str, dict[str, Any]], growth: str, say: Say) -> str:
    """Median lead of a class over all false alarms per point-day; "" when it has no lead.

    A dot a combination and event; those in one place share a label. own: the classes of the site
    file without a change, as rings.
    """
    found: dict[tuple[str, float, float], list[str]] = {}
    for values, classes in [*((r["values"], r["classes"]) for r in sweep["rows"]), (None, own)]:
        of_all = classes.get("(all)", classes[growth])
        for what in ("prealarm", "fire"):
            lead = classes[growth][f"{what}_lead_s"]
            if lead:
                rate = of_all[f"false_{what}s_per_point_day"] or 0.0
                labels = found.setdefault((what, rate, lead["median"]), [])
                labels.append("" if values is None else " · ".join(f"{v:g}" for v in values))
    if not found:
        return ""
    ys, right = [y for _, _, y in found], max(x for _, x, _ in found) * 1.08 or 1.0
    spread = max(ys) - min(ys) or 1.0
    frame = Frame(-0.04 * right, right, min(ys) - 0.06 * spread, max(ys) + 0.06 * spread)
    parts = [
        frame.open(f"{say('median lead s')} / {say('false alarms per point-day')}"),
        frame.grid(""),
        f'<text x="{WIDTH - 12}" y="{HEIGHT - 1}" class="e">{say("false alarms per point-day")}'
        f'</text><text x="4" y="11">{escape(class_name(growth, say))}: {say("median lead s")}'
        "</text>",
    ]
    for (what, rate, lead), labels in found.items():
        x, y, colour = frame.x(rate), frame.y(lead), EVENT_COLOURS[what]
        if "" in labels:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="none" stroke="{colour}"/>')
        named = [label for label in labels if label]
        if not named:
            continue
        text = f"{say(EVENT_WORDS[what])} {', '.join(named)}: {lead:.1f} s, {rate:.4g}"
        shown = ", ".join(named[:_LABELS]) + (" …" if len(named) > _LABELS else "")
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{escape(text)}'
            f'</title></circle><text x="{x + 9:.1f}" y="{y + 4:.1f}">{escape(shown)}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)
