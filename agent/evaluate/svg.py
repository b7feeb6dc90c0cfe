"""Small drawings as text: a recording's course, and leads of many. No library, no network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

from agent.evaluate.phrases import Say
from agent.evaluate.series import Series

_COLOURS = ("#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#7f7f7f", "#bcbd22", "#e377c2")
EVENT_COLOURS = {
    "ignition": "#000000",
    "prealarm": "#e08a00",
    "fire": "#c40000",
    "reference": "#3366cc",
}
EVENT_WORDS = {
    "ignition": "ignition",
    "prealarm": "pre-alarm",
    "fire": "fire",
    "reference": "reference",
}  # phrases
WIDTH, HEIGHT = 760, 230
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 12, 16, 30


def nice_ticks(low: float, high: float, number: int = 6) -> list[float]:
    """Round values that divide a range into about so many parts."""
    span = max(high - low, 1e-9)
    raw = span / number
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw)
    first = math.ceil(low / step) * step
    return [first + k * step for k in range(int((high - first) / step + 1e-9) + 1)]


def course(series: Series, figures: dict[str, Any], zero_ns: int, say: Say) -> str:
    """One recording: values over time, with ignition, pre-alarm, fire and reference."""
    marks = {
        name: figures["ignition_t_s" if name == "ignition" else f"{name}_t_s"]
        for name in EVENT_COLOURS
    }
    first, last = _window(figures, [m for m in marks.values() if m is not None])
    seconds = [(ns - zero_ns) / 1e9 for ns in series.ns]
    inside = [i for i, t in enumerate(seconds) if first <= t <= last]
    lows = [float(v) for i in inside for v in series.low[i] if not math.isnan(v)]
    highs = [float(v) for i in inside for v in series.high[i] if not math.isnan(v)]
    if not lows or not highs:
        return ""
    bottom, top = min(lows), max(highs)
    if top <= bottom:
        bottom, top = bottom - 1, top + 1
    frame = Frame(first, last, bottom, top)
    parts = [frame.open(say("course of {name}", name=figures["name"])), frame.grid(" s")]
    for c, name in enumerate(series.names):
        path = "".join(
            _bin(frame, seconds[i], float(series.low[i][c]), float(series.high[i][c]))
            for i in inside
        )
        colour = _COLOURS[c % len(_COLOURS)]
        parts.append(
            f'<polyline fill="none" stroke="{colour}" stroke-width="1.2" points="{path.strip()}">'
            f"<title>{escape(name)}</title></polyline>"
        )
    for name, at in marks.items():
        if at is not None:
            parts.append(frame.mark(at, name, say(EVENT_WORDS[name])))
    parts.append("</svg>")
    return "".join(parts)


def _window(figures: dict[str, Any], marks: Sequence[float]) -> tuple[float, float]:
    """What of the recording is shown: the fire when there is one, else all of it."""
    first, last = figures["first_t_s"], figures["last_t_s"]
    if figures["ignition_t_s"] is not None and marks:
        after = max(marks) - figures["ignition_t_s"]
        first = max(first, figures["ignition_t_s"] - max(60.0, 0.3 * after))
        last = min(last, max(marks) + max(60.0, 0.5 * after))
    return first, max(last, first + 1e-3)


def _bin(frame: Frame, t: float, low: float, high: float) -> str:
    if math.isnan(low):
        return ""
    x, y = frame.x(t), frame.y(low)
    return f"{x:.1f},{y:.1f} " + (f"{x:.1f},{frame.y(high):.1f} " if high != low else "")


def dots(rows: Sequence[tuple[str, float | None, float | None]], say: Say) -> str:
    """Leads of pre-alarm and fire of many recordings, one line each; right of 0 is earlier."""
    values = [v for _, a, b in rows for v in (a, b) if v is not None]
    if not values:
        return ""
    low, high = min(0.0, *values), max(1.0, *values)
    height = 34 + 15 * len(rows)
    left, width = 260, WIDTH - 260 - 20

    def x(value: float) -> float:
        return left + (value - low) / (high - low) * width

    parts = [
        f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="{say("leads of every recording")}">'
    ]
    parts += [
        f'<line x1="{x(tick):.1f}" x2="{x(tick):.1f}" y1="16" y2="{height - 14}" class="g"/>'
        f'<text x="{x(tick):.1f}" y="12" class="m">{tick:g} s</text>'
        for tick in nice_ticks(low, high)
    ]
    parts.append(f'<line x1="{x(0):.1f}" x2="{x(0):.1f}" y1="16" y2="{height - 14}" class="z"/>')
    for k, (name, prealarm, fire) in enumerate(rows):
        y = 30 + 15 * k
        parts.append(f'<text x="{left - 8}" y="{y + 4}" class="e">{escape(name[:44])}</text>')
        for what, value in (("prealarm", prealarm), ("fire", fire)):
            if value is not None:
                parts.append(
                    f'<circle cx="{x(value):.1f}" cy="{y}" r="4" fill="{EVENT_COLOURS[what]}">'
                    f"<title>{say(EVENT_WORDS[what])} {value:.1f} s</title></circle>"
                )
    parts.append("</svg>")
    return "".join(parts)


class Frame:
    """Axes: recording time to x, value to y."""

    def __init__(self, first: float, last: float, bottom: float, top: float) -> None:
        pad = 0.04 * (top - bottom)
        self.first, self.last, self.bottom, self.top = first, last, bottom - pad, top + pad

    def x(self, t: float) -> float:
        """Pixels of a time."""
        return _LEFT + (t - self.first) / (self.last - self.first) * (WIDTH - _LEFT - _RIGHT)

    def y(self, v: float) -> float:
        """Pixels of a value."""
        return _TOP + (self.top - v) / (self.top - self.bottom) * (HEIGHT - _TOP - _BOTTOM)

    def open(self, title: str) -> str:
        """The drawing's first tag."""
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
            f'role="img" aria-label="{escape(title)}">'
        )

    def grid(self, unit: str) -> str:
        """Lines and numbers of both axes."""
        out = [
            f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{self.y(v):.1f}" '
            f'y2="{self.y(v):.1f}" class="g"/>'
            f'<text x="{_LEFT - 5}" y="{self.y(v) + 4:.1f}" class="e">{v:g}</text>'
            for v in nice_ticks(self.bottom, self.top)
        ]
        out += [
            f'<text x="{self.x(t):.1f}" y="{HEIGHT - 12}" class="m">{t:g}{unit}</text>'
            for t in nice_ticks(self.first, self.last, 8)
        ]
        return "".join(out)

    def mark(self, at: float, name: str, word: str) -> str:
        """A moment: a dashed line over the whole height."""
        x = self.x(at)
        return (
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{HEIGHT - _BOTTOM}" '
            f'stroke="{EVENT_COLOURS[name]}" stroke-dasharray="4 2"><title>{word} {at:.1f} s'
            "</title></line>"
        )
