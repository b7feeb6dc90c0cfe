"""`make bench`: every figure, one JSON line each, and docs/benchmarks.md."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench import drain, durable, kernel, latency, lines, load, start
from bench.figures import Figures

DOCUMENT = Path(__file__).parents[2] / "docs" / "benchmarks.md"


def main() -> None:
    """Run all, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help="load, start, kernel, latency, durable, drain, lines; default all"
    )
    parser.add_argument("--repeats", type=int, default=100, help="changes of each latency series")
    parser.add_argument("--seconds", type=int, default=60, help="length of each load")
    args = parser.parse_args()
    parts = args.parts or ["kernel", "start", "load", "durable", "drain", "latency", "lines"]
    figures = Figures()
    if "kernel" in parts:
        kernel.measure(figures)
    if "start" in parts:
        start.measure(figures, 20, 500)
    if "load" in parts:
        load.measure(figures, 20, 500, args.seconds)
        load.measure(figures, 2, 500, args.seconds)
    if "durable" in parts:
        durable.measure(figures)
    if "drain" in parts:
        drain.measure(figures)
    if "latency" in parts:
        latency.measure(figures, args.repeats)
    if "lines" in parts:
        lines.measure(figures, args.seconds)
    if not args.parts:
        figures.write(DOCUMENT)


if __name__ == "__main__":
    main()
