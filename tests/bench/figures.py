"""One JSON line a figure, and docs/benchmarks.md at the end."""

from __future__ import annotations

import json
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure. `bar` is the target as text, empty when there is none."""

    name: str
    value: float
    unit: str
    how: str
    bar: str = ""


class Figures:
    """All figures of one run."""

    def __init__(self) -> None:
        self.rows: list[Figure] = []

    def add(self, name: str, value: float, unit: str, how: str, bar: str = "") -> None:
        """Print a figure and keep it."""
        figure = Figure(name, round(value, 4), unit, how, bar)
        self.rows.append(figure)
        line = {"name": name, "value": figure.value, "unit": unit, "how": how}
        sys.stdout.write(json.dumps(line, ensure_ascii=False) + "\n")
        sys.stdout.flush()

    def write(self, path: Path) -> None:
        """The document."""
        lines = [
            "# Benchmarks",
            "",
            "Written by `make bench`. Figures of one run on one machine "
            f"({platform.machine()}, {platform.system()}, Python {platform.python_version()}, "
            "2 cores); machines differ and are noisy, so compare within a run.",
            "Not measured on a Raspberry Pi.",
            "",
            "| figure | value | unit | target | how |",
            "| --- | ---: | --- | --- | --- |",
        ]
        lines += [f"| {r.name} | {r.value:g} | {r.unit} | {r.bar} | {r.how} |" for r in self.rows]
        path.write_text("\n".join(lines) + "\n")


def percentile(values: Sequence[float], percent: float) -> float:
    """Nearest-rank percentile."""
    ordered = sorted(values)
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]
