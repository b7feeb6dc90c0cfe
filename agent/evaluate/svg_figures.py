"""Small drawings of many recordings together: times of classes, and what a sweep trades."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from agent.evaluate.phrases import Say
from agent.evaluate.svg import EVENT_COLOURS, EVENT_WORDS, HEIGHT, WIDTH, Frame, nice_ticks

_NAMES = 240  # px of names at the left


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


def trade(sweep: dict[str, Any], own: dict[str, dict[str, Any]], say: Say) -> str:
    """Median lead over false alarms per point-day, one dot a combination and event; "" of nothing.

    own: the classes of the site file without a change, as rings.
    """
    dots: list[tuple[str, float, float, str]] = []  # event, x, y, label
    for values, classes in [
        *((step["values"], step["classes"]) for step in sweep["rows"]),
        (None, own),
    ]:
        of_all: dict[str, Any] = classes.get("(all)") or next(iter(classes.values()), {})
        for what in ("prealarm", "fire"):
            lead = of_all.get(f"{what}_lead_s")
            if not lead:
                continue
            rate = of_all[f"false_{what}s_per_point_day"] or 0.0
            label = "" if values is None else " · ".join(f"{v:g}" for v in values)
            dots.append((what, rate, lead["median"], label))
    if not dots:
        return ""
    ys, most = [d[2] for d in dots], max(d[1] for d in dots)
    spread = max(ys) - min(ys) or 1.0
    right = most * 1.08 or 1.0
    frame = Frame(-0.04 * right, right, min(ys) - 0.06 * spread, max(ys) + 0.06 * spread)
    parts = [
        frame.open(f"{say('median lead s')} / {say('false alarms per point-day')}"),
        frame.grid(""),
        f'<text x="{WIDTH - 12}" y="{HEIGHT - 1}" class="e">{say("false alarms per point-day")}'
        f'</text><text x="4" y="11">{say("median lead s")}</text>',
    ]
    for what, rate, lead, label in dots:
        x, y, colour = frame.x(rate), frame.y(lead), EVENT_COLOURS[what]
        if not label:
            parts.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="7" fill="none" stroke="{colour}"/>')
            continue
        text = f"{say(EVENT_WORDS[what])} {label}: {lead:.1f} s, {rate:.4g}"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"><title>{escape(text)}'
            f'</title></circle><text x="{x + 7:.1f}" y="{y + 4:.1f}">{escape(label)}</text>'
        )
    parts.append("</svg>")
    return "".join(parts)
