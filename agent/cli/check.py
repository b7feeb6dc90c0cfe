"""`embergate check` and `embergate plan`."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.budget import DEAD, Budget, budgets
from agent.cli.centre_text import centre_lines, points_without_zone
from agent.cli.desk_words import say
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.signals_text import outputs_told, signal_lines
from agent.compile import Checked, check_file, plan_file
from config.ledger import ledger_path
from config.limits import MS
from config.model import Site, TcpLink, Text
from config.plan import Plan
from config.problems import EXIT_CONFIG, as_json, render
from config.quantity import time_text
from config.registers import long_form, short_form
from config.signal_checks import lacking

_LISTED = 40  # points listed one by one; a larger site is summed up

SiteArgument = Annotated[Path, typer.Argument(help="the site file", show_default=False)]
JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable")]


def register(app: typer.Typer) -> None:
    """Add the commands `check` and `plan`."""
    app.command("check")(check)
    app.command("plan")(plan)


def check(
    site: SiteArgument, *, as_json_: JsonOption = False, lang: LangOption = BY_LOCALE
) -> None:
    """Check a site file and say how it is understood. Exit 78 when it has problems."""
    lang = tongue(lang)
    checked = check_file(site)
    _report(checked, json_=as_json_, lang=lang)
    if as_json_:
        print(json.dumps(_summary(checked), ensure_ascii=False, indent=1))
    else:
        print(_echo(checked, lang), end="")


def plan(
    site: SiteArgument,
    *,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="the plan file")] = None,
    as_json_: JsonOption = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Compile a site file to the plan that every process loads. Exit 78 when it has problems."""
    target = out or site.with_name("plan.cbor")
    lang = tongue(lang)
    checked = _planned(site, target, json_=as_json_, lang=lang)
    assert checked.plan is not None
    if as_json_:
        print(json.dumps({**_summary(checked), "plan": str(target)}, ensure_ascii=False, indent=1))
    else:
        digest = checked.plan.digest.hex()[:16]
        print(say("plan.made", lang, file=target, points=len(checked.plan.points), digest=digest))
        print(say("plan.ids", lang, file=ledger_path(site)))


def plan_or_exit(site: Path, *, lang: str = "en") -> Plan:
    """The plan of `site`, written nowhere; print its problems and exit 78 when it has any."""
    checked = check_file(site)
    _report(checked, json_=False, lang=lang)
    assert checked.plan is not None
    return checked.plan


def compile_or_exit(site: Path, out: Path, *, lang: str = "en") -> Plan:
    """Compile `site` into the plan file `out`; print its problems and exit 78 when it has any."""
    checked = _planned(site, out, json_=False, lang=lang)
    assert checked.plan is not None
    return checked.plan


def _planned(site: Path, out: Path, *, json_: bool, lang: str) -> Checked:
    try:
        checked = plan_file(site, out)
    except OSError as e:
        typer.echo(say("file.unwritable", lang, file=e.filename or out, why=e.strerror), err=True)
        raise typer.Exit(1) from e
    _report(checked, json_=json_, lang=lang)
    return checked


def _report(checked: Checked, *, json_: bool, lang: str) -> None:
    """Print problems and exit; do nothing when there are none."""
    if not checked.problems:
        return
    if json_:
        body = {"problems": [as_json(p) for p in checked.problems], "left_off": checked.left_off}
        print(json.dumps(body, ensure_ascii=False, indent=1))
    else:
        typer.echo(render(checked.problems, lang, checked.left_off), err=True, nl=False)
    raise typer.Exit(EXIT_CONFIG)


def _summary(checked: Checked) -> dict[str, Any]:
    plan, site = checked.plan, checked.site
    assert plan is not None
    assert site is not None
    ids = checked.ledger.ids()
    return {
        "problems": [],
        "site": plan.site_id,
        "digest": plan.digest.hex(),
        "lines": [
            {"name": line.name, "kind": line.kind, **counts, "budget": asdict(budget)}
            for line, counts, budget in zip(
                plan.lines, _line_counts(plan), budgets(plan), strict=True
            )
        ],
        "outputs": outputs_told(plan),
        "signals_lacking": list(lacking(site)) if site.signals or site.inputs else [],
        "zones_lacking": points_without_zone(plan),
        "panels": [
            {
                "name": plan.devices[p.device].name,
                "dialect": p.dialect,
                "supervised": p.silence_ns > 0,
                "rules": len(p.rules),
            }
            for p in plan.panels
        ],
        "points": [
            {
                "id": ids[f"{d.name}.{p.name}"],
                "name": f"{d.name}.{p.name}",
                "register": [short_form(p.function, p.address), long_form(p.function, p.address)],
                "kind": p.kind,
                "unit": p.unit,
            }
            for d in site.devices
            for p in d.points
        ],
        "texts": [
            {
                "id": ids[f"{d.name}.{t.name}"],
                "name": f"{d.name}.{t.name}",
                "register": [short_form(t.function, t.address), long_form(t.function, t.address)],
                "length": t.width,
                "encoding": t.encoding,
            }
            for d in site.devices
            for t in d.texts
        ],
    }


def _line_counts(plan: Plan) -> list[dict[str, int]]:
    polls: Counter[int] = Counter()
    points: Counter[int] = Counter()
    for poll in plan.polls:
        line = plan.devices[poll.device].line
        polls[line] += 1
        points[line] += len(poll.points) // 4
    for text in plan.texts:
        polls[plan.devices[text.device].line] += 1
        points[plan.devices[text.device].line] += 1
    devices = Counter(d.line for d in plan.devices)
    return [
        {"devices": devices[i], "points": points[i], "polls": polls[i]}
        for i in range(len(plan.lines))
    ]


def _echo(checked: Checked, lang: str) -> str:
    """How the site was understood, in a few lines."""
    plan, site = checked.plan, checked.site
    assert plan is not None
    assert site is not None
    out = [
        say("site", lang, site=site.id, points=len(plan.points) + len(plan.texts),
            zones=len(plan.zones), sirens=len(site.sirens), effects=len(plan.effects),
            couriers=len(plan.couriers))
    ]  # fmt: skip
    with_siren = {plan.devices[o.device].line for o in plan.outputs if o.on_bus}
    panels = {plan.devices[p.device].line: p for p in plan.panels}
    rows = zip(site.links, _line_counts(plan), budgets(plan), strict=True)
    for i, (link, counts, budget) in enumerate(rows):
        where = f"{link.host}:{link.port}" if isinstance(link, TcpLink) else link.port
        if i in panels:
            panel = panels[i]
            watched = say("panel.supervised" if panel.silence_ns else "panel.unsupervised", lang)
            name = plan.devices[panel.device].name
            out.append(say("panel", lang, link=link.name, kind=link.kind, where=where, name=name,
                           dialect=panel.dialect, watched=watched))  # fmt: skip
            continue
        text = say("line", lang, name=link.name, kind=link.kind, where=where, **counts)
        if budget.share:
            text += say("line.share", lang, share=budget.share)
        out.append(text)
        out.append(_load_line(budget, lang, siren=i in with_siren))
    out += signal_lines(plan, site, lang)
    out += centre_lines(plan, lang)
    out += _point_lines(site, lang)
    out.append(say("good", lang))
    return "".join(f"{line}\n" for line in out)


def _load_line(budget: Budget, lang: str, *, siren: bool) -> str:
    """Requests, registers and the worst waits of a line."""
    text = say("line.load", lang, requests=budget.requests_per_s, registers=budget.registers_per_s)
    if any(budget.alarm_ns):
        text += say("line.alarm", lang, waits=_waits(budget.alarm_ns, lang))
    if siren:
        text += say("line.siren", lang, waits=_waits(budget.siren_ns, lang))
    return text


def _waits(waits_ns: tuple[int, ...], lang: str) -> str:
    listed = ", ".join(f"{-(-ns // MS)}ms" for ns in waits_ns)
    return say("line.waits", lang, waits=listed, dead=", ".join(map(str, DEAD)))


def _point_lines(site: Site, lang: str) -> list[str]:
    out: list[str] = []
    for device in site.devices:
        for point in device.entries[: max(0, _LISTED - len(out))]:
            register_ = short_form(point.function, point.address)
            bit = "" if point.bit is None else say("point.bit", lang, bit=point.bit)
            if point.bit is not None and point.bits > 1:
                bit += f"-{point.bit + point.bits - 1}"
            forms = f"{register_} = {long_form(point.function, point.address)}{bit}"
            if isinstance(point, Text):
                what = say("point.text", lang, width=point.width, encoding=point.encoding)
                what += say("point.low_first", lang) if point.low_first else ""
            else:
                unit = f", {point.unit}" if point.unit else ""
                what = f"{point.type}, {point.kind}{unit}"
            every = time_text(point.poll_ns)
            name = f"{device.name}.{point.name}"
            out.append(say("point", lang, name=name, forms=forms, what=what, every=every))
    rest = sum(len(d.entries) for d in site.devices) - len(out)
    return [*out, say("points.more", lang, rest=rest)] if rest else out
