"""`make bench`: every figure, one JSON line each, and docs/benchmarks.md."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from bench import (
    alarm_cycle,
    city,
    control,
    drain,
    durable,
    hung,
    kernel,
    latency,
    lines,
    load,
    receiver,
    start,
)
from bench.figures import Figures

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"
Given = argparse.Namespace

PARTS: dict[str, Callable[[Figures, Given], None]] = {
    "kernel": lambda figures, _: kernel.measure(figures),
    "start": lambda figures, _: start.measure(figures, 20, 500),
    "load": lambda figures, given: _loads(figures, given.seconds),
    "durable": lambda figures, _: durable.measure(figures),
    "drain": lambda figures, _: drain.measure(figures),
    "hung": lambda figures, _: hung.measure(figures),
    "receiver": lambda figures, _: receiver.measure(figures),
    "city": lambda figures, _: city.measure(figures),
    "latency": lambda figures, given: latency.measure(figures, given.repeats),
    "lines": lambda figures, given: lines.measure(figures, given.seconds),
    "cycle": lambda figures, _: alarm_cycle.measure(figures),
    "control": lambda figures, given: control.measure(figures, 20, 500, given.seconds),
}
"""In the order in which they are measured."""


def _loads(figures: Figures, seconds: int) -> None:
    for devices in (20, 2):
        load.measure(figures, devices, 500, seconds)


def main() -> None:
    """Run all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; default: all")
    parser.add_argument("--repeats", type=int, default=100, help="changes of each latency series")
    parser.add_argument("--seconds", type=int, default=60, help="length of each load")
    given = parser.parse_args()
    figures = Figures()
    for name in given.parts or PARTS:
        PARTS[name](figures, given)
    if not given.parts:
        figures.write(DOCUMENT)


if __name__ == "__main__":
    main()
