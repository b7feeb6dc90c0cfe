"""`embergate profile list|show|new|test`: register maps of devices, as data."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from agent.cli.desk_words import say
from agent.cli.language import BY_LOCALE, LangOption, tongue
from config.dialects import load_dialect
from config.limits import SITE_FILE_BYTES_MAX
from config.problems import EXIT_CONFIG, Problem, Problems, render
from config.profiles import DIRECTORY, Profile, load_profile, own_profile, profile_names
from config.quantity import time_text
from config.registers import short_form

JsonOption = Annotated[bool, typer.Option("--json", help="machine-readable")]
NameArgument = Annotated[
    str, typer.Argument(help="a profile's name, or a file like ./my-device.yaml")
]
_DIFFERENCES_SHOWN = 40


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    group = typer.Typer(
        help="Profiles: register maps of devices. They read; none resets, silences or disables a "
        "panel. Yours lie beside the site file and are named there as ./NAME.yaml.",
        no_args_is_help=True,
    )
    group.command("list")(list_)
    group.command("show")(show)
    group.command("new")(new)
    group.command("test")(prove_)
    app.add_typer(group, name="profile")


def list_(*, as_json_: JsonOption = False, lang: LangOption = BY_LOCALE) -> None:
    """The profiles that come with the product."""
    lang = tongue(lang)
    profiles = [_load(name, lang) for name in profile_names()]
    if as_json_:
        print(json.dumps([_facts(p) for p in profiles], ensure_ascii=False, indent=1))
        return
    table = Table(*(say(k, lang) for k in ("profile", "device", "manual", "revision")), box=None)
    for p in profiles:
        table.add_row(p.name, p.title, p.manual, p.revision)
    Console().print(table)


def show(name: NameArgument, *, as_json_: JsonOption = False, lang: LangOption = BY_LOCALE) -> None:
    """What one profile knows."""
    lang = tongue(lang)
    profile = _load(name, lang)
    if as_json_:
        print(json.dumps(_facts(profile), ensure_ascii=False, indent=1))
        return
    print(f"{profile.name}: {profile.title}")
    print(say("profile.manual", lang, manual=profile.manual, revision=profile.revision))
    for family in profile.families:
        first = family.place(family.member([low for low, _ in family.ranges]))
        corners = family.corners()
        place = short_form(*first) if first else ""
        print(say("profile.family", lang, first=corners[0], last=corners[-1], place=place))
    for point, fields in profile.points.items():
        kind = fields["kind"].value if "kind" in fields else say("profile.kind", lang)
        register_ = fields["register"].value
        print(say("profile.point", lang, point=point, register=register_, kind=kind))
    if profile.coils:
        print(say("profile.coils", lang, last=profile.coils - 1))
    if profile.output_timeout_ns is not None:
        after_ns = profile.output_timeout_ns
        text = time_text(after_ns) if after_ns else say("none", lang)
        print(say("profile.timeout", lang, time=text))
    if profile.heartbeat is not None:
        beat = profile.heartbeat
        place = short_form(beat.function, beat.address)
        print(say("profile.heartbeat", lang, place=place, time=time_text(beat.within_ns)))
    use = ", ".join(profile.default_use) or say("nothing", lang)
    print(say("profile.use", lang, points=use))


def new(
    file: Annotated[Path, typer.Argument(help="the file to make, beside the site file")],
    *,
    title: Annotated[str, typer.Option(help="maker and model")] = "Maker and model",
    manual: Annotated[str, typer.Option(help="the manual's title")] = "title of the manual",
    revision: Annotated[str, typer.Option(help="the manual's revision")] = "its revision or date",
    panel: Annotated[
        bool, typer.Option("--panel", help="a dialect: the words of a panel on its own port")
    ] = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Start a profile, or a panel's dialect, of your own. It passes `profile test` as it is."""
    lang = tongue(lang)
    text = (_DIALECT if panel else _TEMPLATE).format(
        name=file.stem,
        title=json.dumps(title, ensure_ascii=False),
        manual=json.dumps(manual, ensure_ascii=False),
        revision=json.dumps(revision, ensure_ascii=False),
    )
    try:
        with file.open("x", encoding="utf-8") as f:
            f.write(text)
    except FileExistsError as e:
        typer.echo(say("profile.there", lang, file=file), err=True)
        raise typer.Exit(1) from e
    except OSError as e:
        typer.echo(say("file.unwritable", lang, file=file, why=e.strerror), err=True)
        raise typer.Exit(1) from e
    print(say("profile.made", lang, file=file))
    word = "panel" if panel else "profile"
    print(say("profile.named", lang, word=word, file=file.name))


def prove_(
    name: NameArgument, *, as_json_: JsonOption = False, lang: LangOption = BY_LOCALE
) -> None:
    """Simulate the device and compare every word of every rule, read by the real bus master."""
    lang = tongue(lang)
    import logging  # noqa: PLC0415 -- only to calm pymodbus

    from agent.commission.prove import prove  # noqa: PLC0415 -- brings pymodbus

    logging.getLogger("pymodbus").setLevel(logging.CRITICAL)
    if own_profile(name) and _is_dialect(Path(name)):
        _prove_dialect(name, as_json_, lang)
        return
    profile = _load(name, lang)
    directory = Path(name).parent if own_profile(name) else None
    try:
        proof = asyncio.run(prove(profile, directory))
    except TimeoutError as e:
        typer.echo(say("profile.slow", lang, name=name), err=True)
        raise typer.Exit(1) from e
    if proof.problems:
        _exit_with(proof.problems, proof.left_off, lang)
    if as_json_:
        body = {
            "profile": profile.name, "points": proof.points, "words": proof.steps,
            "examples": proof.examples, "coils": proof.coils,
            "functions": dict(proof.functions),
            "differences": [
                {"point": d.point, "words": list(d.words), "source": d.source,
                 "expected": d.expected, "found": d.found} for d in proof.differences
            ],
        }  # fmt: skip
        print(json.dumps(body, ensure_ascii=False, indent=1))
    else:
        for d in proof.differences[:_DIFFERENCES_SHOWN]:
            words = " ".join(f"{w:04X}" for w in d.words)
            print(say("profile.differs", lang, point=d.point, words=words, source=d.source,
                      expected=d.expected, found=d.found))  # fmt: skip
        print(say("profile.tested", lang, name=profile.name, points=proof.points,
                  words=proof.steps, examples=proof.examples, coils=proof.coils,
                  result=_result(len(proof.differences), lang)))  # fmt: skip
        if not proof.examples and (profile.points or profile.families):
            print(say("profile.no_examples", lang))
    if not proof.good:
        raise typer.Exit(1)


def _is_dialect(path: Path) -> bool:
    """Whether a file says of itself that it is a panel's dialect."""
    try:
        with path.open("rb") as f:
            head = f.read(SITE_FILE_BYTES_MAX)
    except OSError:
        return False  # `_load` says why
    return any(line.startswith(b"dialect:") for line in head.splitlines())


def _prove_dialect(name: str, as_json_: bool, lang: str) -> None:
    from agent.commission.dialect_proof import prove_dialect  # noqa: PLC0415 -- as above

    problems = Problems()
    path = Path(name)
    dialect = load_dialect(f"./{path.name}", problems, path.parent)
    if dialect is None:
        _exit_with(problems.in_order(), problems.left_off, lang)
    assert dialect is not None
    found = prove_dialect(dialect)
    if as_json_:
        rows = [{"says": d.says, "expected": d.expected, "found": d.found} for d in found]
        body = {"dialect": dialect.name, "rules": len(dialect.rules),
                "examples": len(dialect.examples), "differences": rows}  # fmt: skip
        print(json.dumps(body, ensure_ascii=False, indent=1))
    else:
        for d in found[:_DIFFERENCES_SHOWN]:
            print(say("dialect.differs", lang, says=d.says, expected=d.expected, found=d.found))
        print(say("dialect.tested", lang, name=dialect.name, rules=len(dialect.rules),
                  examples=len(dialect.examples), result=_result(len(found), lang)))  # fmt: skip
    if found:
        raise typer.Exit(1)


def _result(differences: int, lang: str) -> str:
    key = "profile.differences" if differences else "profile.as_expected"
    return say(key, lang, count=differences)


def _load(name: str, lang: str) -> Profile:
    """The profile, or exit 78 with its problems."""
    problems = Problems()
    if own_profile(name):
        path = Path(name)
        if not path.is_file():
            typer.echo(say("profile.no_file", lang, name=name), err=True)
            raise typer.Exit(EXIT_CONFIG)
        profile = load_profile(f"./{path.name}", problems, path.parent)
    elif name in profile_names():
        profile = load_profile(name, problems)
    else:
        near = problems.suggest(name, profile_names())
        hint = say("profile.near" if near else "profile.see", lang, near=near)
        typer.echo(say("profile.unknown", lang, name=name, hint=hint), err=True)
        raise typer.Exit(EXIT_CONFIG)
    if profile is None:
        _exit_with(problems.in_order(), problems.left_off, lang)
    assert profile is not None
    return profile


def _exit_with(problems: tuple[Problem, ...], left_off: int, lang: str) -> None:
    typer.echo(render(problems, lang, left_off), err=True, nl=False)
    raise typer.Exit(EXIT_CONFIG)


def _facts(profile: Profile) -> dict[str, Any]:
    beat = profile.heartbeat
    return {
        "profile": profile.name,
        "title": profile.title,
        "manual": profile.manual,
        "revision": profile.revision,
        "points": list(profile.points),
        "families": [f.corners() for f in profile.families],
        "default_use": list(profile.default_use),
        "coils": profile.coils,
        "output_timeout_ns": profile.output_timeout_ns,
        "heartbeat": None if beat is None else {
            "register": short_form(beat.function, beat.address), "within_ns": beat.within_ns,
        },
        "examples": len(profile.examples),
        "built_in": (DIRECTORY / f"{profile.name}.yaml").is_file(),
    }  # fmt: skip


_TEMPLATE = """\
# A register map of your own. Words are those of the site file. Test it with
#   embergate profile test ./{name}.yaml
# Registers: 'input 0' counts from 0 as on the wire, 30001 counts from 1 as many manuals do.
profile: {name}
title: {title}
manual: {manual}
revision: {revision}
default_use: [state, temperature]

# coils: 8               # relay boards: how many coils it has, counted from 0
# heartbeat: {{register: holding 9, within: 10s}}   # a register that changes while it lives

points:
  state:                 # a word that says how the device is
    register: holding 0
    kind: state_word
    type: uint16
    cases:               # all that match count
      - {{bit: 0, state: fire}}
      - {{bit: 1, state: fault}}
      - {{mask: 0x00F0, equals: 0x0010, state: disabled}}
    not_ready:           # warm-up, calibration, inhibit: neither normal nor a fault
      - {{value: 0x0100}}
    bad:                 # absent, not programmed
      - {{value: 0xFFFF}}
  temperature:           # a number
    register: input 0
    kind: measure        # or leave the kind, and its levels, to the site file
    type: int16
    scale: 0.1
    unit: °C
    sentinels: [0x8000]  # what a broken sensor reads

families:                # points that follow a rule: in1 to in8
  - name: in{{input}}
    ranges: {{input: [1, 8]}}
    register: discrete 0
    steps: {{input: 1}}
    point: {{kind: contact, active: 1, state: supervisory}}

examples:                # lines of the manual: these words on the wire mean that
  - {{point: state, words: [0x0000], reads: normal}}
  - {{point: state, words: [0x0003], reads: [fire, fault]}}
  - {{point: state, words: [0x0100], reads: not_ready}}
  - {{point: state, words: [0xFFFF], reads: bad}}
  - {{point: temperature, words: [215], reads: 21.5}}
  - {{point: in8, words: [1], reads: supervisory}}
"""

_DIALECT = """\
# The words of a panel on a port of its own. Test it with
#   embergate profile test ./{name}.yaml
# The first rule that matches counts: what ends a state goes before what begins one.
dialect: {name}
title: {title}
manual: {manual}
revision: {revision}
protocol: text           # a printer port; or espa, id3000
encoding: gb18030        # how its characters are written: ascii, latin-1, gb18030
record: line             # a line is an event; or blank: an empty line ends one
address: '\\d{{3}}-\\d{{3}}'  # where in a text its address is
on_reset: clear          # or keep: the panel's own reset ends nothing

rules:
  - {{when: [系统复位, SYSTEM RESET], clears_all: [fire, fault, activated], reset: true}}
  - {{when: [火警恢复, FIRE CLEARED], clears: [fire]}}
  - {{when: [故障恢复, FAULT CLEARED], clears: [fault]}}
  - {{when: [火警, FIRE], sets: [fire]}}
  - {{when: [故障, FAULT], sets: [fault]}}
  - {{when: [消音, SILENCED], does: silences}}

examples:                # lines that the panel printed, and what they mean
  - {{says: 首次火警 004-017, sets: [fire], at: 004-017}}
  - {{says: 火警恢复 004-017, clears: [fire], at: 004-017}}
  - {{says: SYSTEM RESET, clears_all: [fire, fault, activated]}}
  - {{says: SILENCED, does: silences}}
"""
