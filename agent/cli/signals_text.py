"""What `embergate check` says of outputs: what is on when nothing drives them, and what lacks."""

from __future__ import annotations

from typing import Any

from config.model import Site
from config.plan import Output, Plan
from config.quantity import time_text
from config.signal_checks import lacking


def outputs_told(plan: Plan) -> list[dict[str, Any]]:
    """Every output for `check --json`."""
    return [
        {
            "name": o.name,
            "kind": o.kind,
            "place": _place(plan, o),
            "idle_energised": o.idle_energised,
            "means": list(o.means),
            "patterns": not o.steady,
            "timeout_ns": _timeout_ns(plan, o),
        }
        for o in plan.outputs
    ]


def signal_lines(plan: Plan, site: Site) -> list[str]:
    """Outputs that are more than a plain coil, and what the site shows and sounds nowhere."""
    out = [f"  {line}" for o in plan.outputs if (line := _line(plan, o))]
    if not site.signals and not site.inputs:
        return out
    lacks = lacking(site)
    if lacks:
        out.append(f"  this site lacks: {', '.join(lacks)}")
    return out


def _place(plan: Plan, output: Output) -> str:
    if not output.on_bus:
        return f"{output.chip} line {output.coil}"
    return f"{plan.devices[output.device].name} coil {output.coil}"


def _timeout_ns(plan: Plan, output: Output) -> int:
    """After how long without a master its board lets go; 0: never, or not known."""
    return plan.devices[output.device].output_timeout_ns if output.on_bus else 0


def _line(plan: Plan, output: Output) -> str:
    """What is worth a line; "" for a coil that is a siren and released when off."""
    said = []
    if output.means:
        said.append(f"tells {', '.join(output.means)}")
    if output.idle_energised:
        said.append("energised while it is off: it comes on when its supply is lost")
    if output.steady:
        said.append("its line is too slow for patterns: steadily on")
    if timeout_ns := _timeout_ns(plan, output):
        said.append(f"released after {time_text(timeout_ns)} of silence")
    if output.on_bus and output.kind == "siren" and not said:
        return ""
    return f"{output.kind} {output.name} ({_place(plan, output)}){': ' if said else ''}" + (
        "; ".join(said)
    )
