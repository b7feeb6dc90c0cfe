"""What `embergate check` says of outputs: what is on when nothing drives them, and what lacks."""

from __future__ import annotations

from typing import Any

from agent.cli.desk_words import say
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


def signal_lines(plan: Plan, site: Site, lang: str) -> list[str]:
    """Outputs that are more than a plain coil, and what the site shows and sounds nowhere."""
    out = [line for o in plan.outputs if (line := _line(plan, o, lang))]
    if not site.signals and not site.inputs:
        return out
    lacks = [_lack(what, lang) for what in lacking(site)]
    if lacks:
        out.append(say("lacks", lang, what=say("and", lang).join(lacks)))
    return out


def _lack(what: str, lang: str) -> str:
    """what: as `lacking` says it: `lamp fire`, `tone duty`, `fault output`."""
    kind, _, means = what.partition(" ")
    if kind not in ("lamp", "tone"):
        return say(what, lang)
    return say(kind, lang, means=say(f"means.{means}", lang))


def _place(plan: Plan, output: Output, lang: str = "en") -> str:
    if not output.on_bus:
        return say("output.line", lang, chip=output.chip, number=output.coil)
    device = plan.devices[output.device].name
    return say("output.coil", lang, device=device, number=output.coil)


def _timeout_ns(plan: Plan, output: Output) -> int:
    """After how long without a master its board lets go; 0: never, or not known."""
    return plan.devices[output.device].output_timeout_ns if output.on_bus else 0


def _line(plan: Plan, output: Output, lang: str) -> str:
    """What is worth a line; "" for a coil that is a siren and released when off."""
    said = []
    if output.means:
        means = say("and", lang).join(say(f"means.{m}", lang) for m in output.means)
        said.append(say("output.means", lang, means=means))
    if output.idle_energised:
        said.append(say("output.idle", lang))
    if output.steady:
        said.append(say("output.steady", lang))
    if timeout_ns := _timeout_ns(plan, output):
        said.append(say("output.timeout", lang, time=time_text(timeout_ns)))
    if output.on_bus and output.kind == "siren" and not said:
        return ""
    kind = say(f"kind.{output.kind}", lang)
    text = say("output", lang, kind=kind, name=output.name, place=_place(plan, output, lang))
    return text + (
        say("output.said", lang, said=say("output.and", lang).join(said)) if said else ""
    )
