"""`embergate explain`: which detectors watch a point, with which numbers, and why those."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from agent.cli import explain_words as words
from agent.cli import would
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.run import default_run_dir
from agent.compile import check_file
from config.kinds import KINDS, Default
from config.plan import PARAMS, Plan, PlanError, decode_plan, read_plan
from config.problems import EXIT_CONFIG, render
from config.words import Mode

# what it is, the columns that it needs to run, all its columns
_DETECTORS: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    ("a value outside is a fault of the sensor", ("range_min", "range_max"), ()),
    ("fire: two of three samples over the level", ("fire_level",), ("fire_clear",)),
    ("heavy fire, likewise", ("heavy_level",), ("heavy_clear",)),
    ("pre-alarm, likewise", ("prealarm_level",), ("prealarm_clear",)),
    ("above a baseline that follows slow drift", ("offset_fire", "offset_prealarm"),
     ("baseline_start", "baseline_up_per_s", "baseline_down_per_s", "baseline_cap")),
    ("supervisory: too low", ("low_level",), ("low_clear",)),
    ("supervisory, second stage: too low", ("low_low_level",), ("low_low_clear",)),
    ("supervisory: too high", ("high_level",), ("high_clear",)),
    ("supervisory, second stage: too high", ("high_high_level",), ("high_high_clear",)),
    ("trend: pre-alarm; fire when a second point or quantity of its zone agrees",
     ("trend_slope_per_s",),
     ("trend_rise", "trend_forecast_s", "trend_tau_s", "trend_jump_per_s", "trend_jump_min",
      "baseline_tau_s", "baseline_up_per_s", "baseline_down_per_s", "baseline_cap")),
    ("slow fall: supervisory", ("fall_allow",), ("fall_limit_s",)),
    ("delays", ("on_delay_s", "off_delay_s"), ()),
    ("chatter: a fault, and levels then need unbroken presence", ("chatter_count",),
     ("chatter_memory_s", "chatter_hold_s", "chatter_quiet_s")),
    ("stuck: a fault", ("flat_s",), ("flat_band",)),
    ("steps of a loose contact: a fault", ("step_count",), ("step_size",)),
)  # fmt: skip


_OF_COMPENSATION = frozenset(
    {"fire_level", "fire_clear", "baseline_up_per_s", "baseline_down_per_s", "baseline_cap"}
)
_COMPENSATED = "from the fire level: drift hides no fire, EN 54-7 clause 4.8 [recalled]"


@dataclass(frozen=True, slots=True)
class Row:
    """A detector in words and its parameters: (name, value, source)."""

    detector: str
    parameters: list[tuple[str, float, str]]


def register(app: typer.Typer) -> None:
    """Add the command `explain`."""
    app.command("explain")(explain)


def explain(
    point: Annotated[str, typer.Argument(help="device.point", show_default=False)],
    *,
    site: Annotated[Path | None, typer.Option("--site", help="the site file")] = None,
    plan: Annotated[Path | None, typer.Option("--plan", help="the compiled plan")] = None,
    value: Annotated[
        str | None, typer.Option("--value", help="what would it do at this reading, e.g. 61")
    ] = None,
    run: Annotated[Path | None, typer.Option("--run", help="sockets of a running gateway")] = None,
    lang: LangOption = BY_LOCALE,
    as_json_: Annotated[bool, typer.Option("--json", help="machine-readable")] = False,
) -> None:
    """Say which detectors watch a point, with which numbers and from which source.

    And what it would do now: with the reading of the running gateway, or with --value, taken
    through the real kernel as two samples after a calm start.
    """
    lang = tongue(lang)
    table = _load(site, plan)
    if point not in table.points.names:
        near = difflib.get_close_matches(point, table.points.names, 1)
        hint = f"; did you mean '{near[0]}'?" if near else ""
        typer.echo(f"expected a point of this site, found '{point}'{hint}", err=True)
        raise typer.Exit(EXIT_CONFIG)
    k = table.points.names.index(point)
    rows = detectors(table, k)
    if as_json_:
        print(json.dumps([asdict(r) for r in rows], ensure_ascii=False, indent=1))
        return
    for line in _text(table, k, rows, lang):
        print(line)
    if value is not None:
        print("  " + would.at_value(table, k, _reading(value), lang))
    elif run is not None or (default_run_dir() / "field.sock").exists():
        print("  " + would.now(run or default_run_dir(), point, lang))


def _reading(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise typer.BadParameter(
            f"expected a number in the point's unit, found '{value}'"
        ) from None


def _text(table: Plan, k: int, rows: list[Row], lang: str) -> list[str]:
    names = table.points
    out = [f"{names.names[k]}: {names.kinds[k]}, {names.units[k] or words.say('no unit', lang)}"]
    if not rows:
        state = Mode(names.modes[k]) is Mode.STATE
        why = "no detectors: its device says its state" if state else "no detectors: data"
        out.append("  " + words.say(why, lang))
    for row in rows:
        out.append("  " + words.say(row.detector, lang))
        for name, value, source in row.parameters:
            shown = words.say(name, lang)
            label = name if shown == name else f"{shown} {name}"
            out.append(f"    {label} = {value:g}  ({words.source(source, lang)})")
    for zone in table.zones:
        if k in zone.points:
            text = words.zone(zone.needed, zone.window_ns, zone.trend_fire, lang)
            out.append(f"  {words.say('zone', lang)} {zone.name}: {text}")
    return out


def _load(site: Path | None, plan: Path | None) -> Plan:
    if (site is None) == (plan is None):
        raise typer.BadParameter("give either --site or --plan")
    if plan is not None:
        try:
            return decode_plan(read_plan(plan))
        except PlanError as e:
            typer.echo(str(e), err=True)
            raise typer.Exit(EXIT_CONFIG) from e
    assert site is not None
    checked = check_file(site)
    if checked.plan is None:
        typer.echo(render(checked.problems, "en", checked.left_off), err=True, nl=False)
        raise typer.Exit(EXIT_CONFIG)
    return checked.plan


def detectors(plan: Plan, k: int) -> list[Row]:
    """The detectors of point k that run."""
    params = np.frombuffer(plan.points.params, "<f8").reshape(len(plan.points), len(PARAMS))
    values = dict(zip(PARAMS, params[k].tolist(), strict=True))
    known = _defaults(plan.points.kinds[k], values)
    smoke = not math.isnan(values["offset_fire"])
    compensated = _OF_COMPENSATION if smoke else frozenset()
    out: list[Row] = []
    for text, needs, more in _DETECTORS:
        if all(math.isnan(values[name]) for name in needs):
            continue
        rows = [
            (
                name,
                values[name],
                _COMPENSATED if name in compensated else _source(known, name, values[name]),
            )
            for name in needs + more
            if not math.isnan(values[name])
        ]
        out.append(Row(text, rows))
    return out


def _defaults(kind_name: str, values: dict[str, float]) -> dict[str, Default]:
    """The defaults of the class that fits the values best; a plan does not keep the class."""
    kind = KINDS[kind_name]
    offered: list[Mapping[str, Default]] = list(kind.classes.values()) or [kind.defaults]

    def fit(these: Mapping[str, Default]) -> int:
        return sum(values[name] == default.value for name, default in these.items())

    best = offered[0]
    for other in offered[1:]:
        best = other if fit(other) > fit(best) else best
    return dict(best)


def _source(known: dict[str, Default], name: str, value: float) -> str:
    for column in (name, name.replace("offset_", "") + "_level"):  # smoke's levels are offsets
        if column in known and known[column].value == value:
            return known[column].source
    if name.endswith("_clear"):
        return "deadband of the kind, or the site file"
    return "the site file, or computed from it"
