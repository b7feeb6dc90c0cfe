"""What if: the same recordings with a second site file, recording by recording.

Positive is earlier with the second file. What never came counts as the end of the recording, as it
does in leads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agent.evaluate.score import EVENTS, Figures
from agent.evaluate.spread import spread

_FALSE = ("prealarms", "fires")


def differences(mine: Sequence[Figures], other: Sequence[Figures]) -> list[Figures]:
    """One row a recording, in the same order."""
    return [_difference(a, b) for a, b in zip(mine, other, strict=True)]


def _difference(a: Figures, b: Figures) -> Figures:
    assert a["name"] == b["name"]
    row: Figures = {"name": a["name"], "class": a["class"]}
    for what in EVENTS:
        found = [r[f"{what}_t_s"] for r in (a, b)]
        first, second = (a["last_t_s"] if t is None else t for t in found)
        never = found == [None, None]
        row[f"{what}_earlier_s"] = None if never or a["truth"] == "fire-free" else first - second
    for what in _FALSE:
        more = [r["counts"].get("before", {}).get(what, 0) for r in (b, a)]
        row[f"more_false_{what}"] = more[0] - more[1]
    row["more_faults"] = _faults(b) - _faults(a)
    return row


def _faults(row: Figures) -> int:
    return sum(c["faults"] for c in row["counts"].values())


def differences_of_classes(rows: Sequence[Figures]) -> dict[str, Figures]:
    """Of each growth class: how many are earlier, later and the same, and by how much."""
    out: dict[str, Any] = {}
    names = sorted({r["class"] for r in rows})
    for name in [*names, *(["(all)"] if len(names) > 1 else [])]:
        of = [r for r in rows if name in ("(all)", r["class"])]
        figures: Figures = {"recordings": len(of)}
        for what in EVENTS:
            values = [v for r in of if (v := r[f"{what}_earlier_s"]) is not None]
            figures[f"{what}_earlier_s"] = spread(values)
            figures[f"{what}_earlier"] = sum(v > 0 for v in values)
            figures[f"{what}_later"] = sum(v < 0 for v in values)
        for what in (*(f"more_false_{f}" for f in _FALSE), "more_faults"):
            figures[what] = sum(r[what] for r in of)
        out[name] = figures
    return out
