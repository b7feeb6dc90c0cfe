"""Orders to the gateway: `ack`, `silence`, `reset`, `disable`, `test`, `manual` and the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from agent.cli.control import AsJson, RunDir, ask, plain
from agent.cli.language import BY_LOCALE, LangOption, tongue
from agent.cli.pin import ask_pin
from agent.cli.run import default_run_dir
from agent.cli.standing import span
from agent.cli.told_words import told
from agent.cli.words import TEXTS, flag_words, say
from agent.core.types import Verb
from config.quantity import compatible, convert, parse

Person = Annotated[
    str | None,
    typer.Option("--as", help="who orders it: a person of the site file; asks for the PIN"),
]
Why = Annotated[str, typer.Option("--why", help="the reason, for the record")]
Target = Annotated[
    str, typer.Argument(help="point/DEVICE.POINT, zone/NAME, output/NAME or courier/NAME")
]
Length = Annotated[str, typer.Option("--for", help="how long: 30min, 8h; default: the site's")]

_KNOWN = ("verb", "who", "source")  # of an order's record; the rest is what came of it


def register(app: typer.Typer) -> None:
    """Add the commands."""
    _simple(
        app, "ack", Verb.ACKNOWLEDGE, "Somebody has seen it: the buzzer stops, sirens sound on."
    )
    _simple(app, "acknowledge", Verb.ACKNOWLEDGE, "The same as 'ack'.")
    _simple(app, "silence", Verb.SILENCE, "Sirens off; the alarm stays, a new one sounds again.")
    _simple(app, "reset", Verb.RESET, "Clear the alarms whose cause is gone. What burns stays.")
    _simple(app, "duty", Verb.DUTY, "Answer a duty check of the monitoring centre.")
    _simple(app, "manual", Verb.MANUAL, "Raise the gateway's own manual alarm. Needs no level.")
    _simple(app, "evacuate", Verb.EVACUATE, "The guard confirms: the general alarm.")
    app.command("disable")(disable)
    app.command("enable")(enable)
    app.command("test")(walk_test)
    app.command("siren-test")(siren_test)
    app.command("lamp-test")(lamp_test)
    app.command("classify")(classify)
    app.command("unlock")(unlock)


def _simple(app: typer.Typer, name: str, verb: Verb, text: str) -> None:
    """A verb that is about everything."""
    if verb in (Verb.MANUAL, Verb.EVACUATE):

        def reasoned(
            run: RunDir = None, person: Person = None, why: Why = "", as_json: AsJson = False,
            lang: LangOption = BY_LOCALE,
        ) -> None:  # fmt: skip
            give(verb, run, person, lang, as_json=as_json, why=why)

        app.command(name, help=text)(reasoned)
        return

    def bare(
        run: RunDir = None,
        person: Person = None,
        as_json: AsJson = False,
        lang: LangOption = BY_LOCALE,
    ) -> None:
        give(verb, run, person, lang, as_json=as_json)

    app.command(name, help=text)(bare)


def disable(
    target: Target,
    length: Length = "",
    why: Why = "",
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Take a point, zone, output or courier out of service for a time. A fire that stands stays."""
    duration_ns = _duration_ns(length, tongue(lang))
    give(Verb.DISABLE, run, person, lang, as_json=as_json, target=target, why=why,
         duration_ns=duration_ns)  # fmt: skip


def enable(
    target: Target,
    why: Why = "",
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Put what was disabled back into service."""
    give(Verb.ENABLE, run, person, lang, as_json=as_json, target=target, why=why)


def walk_test(
    group: Annotated[str, typer.Argument(help="the group; none: end the test that runs")] = "",
    length: Length = "",
    why: Why = "",
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Start the walk test of a group, or end it. Anything outside the group stays real."""
    target = group if not group or group.startswith(("group/", "zone/")) else f"group/{group}"
    duration_ns = _duration_ns(length, tongue(lang))
    give(Verb.TEST, run, person, lang, as_json=as_json, target=target, why=why,
         duration_ns=duration_ns)  # fmt: skip


def siren_test(
    siren: Annotated[str, typer.Argument(help="one siren; none: all of them")] = "",
    length: Length = "",
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Sound the sirens for a moment. It ends by itself."""
    target = siren if not siren or siren.startswith("output/") else f"output/{siren}"
    duration_ns = _duration_ns(length, tongue(lang))
    give(Verb.SIREN_TEST, run, person, lang, as_json=as_json, target=target,
         duration_ns=duration_ns)  # fmt: skip


def lamp_test(
    length: Length = "",
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Light every lamp and sound the buzzer for a moment."""
    duration_ns = _duration_ns(length, tongue(lang))
    give(Verb.LAMP_TEST, run, person, lang, as_json=as_json, duration_ns=duration_ns)


def classify(
    target: Annotated[
        str, typer.Argument(help="alarm/NUMBER, point/DEVICE.POINT or 'panel/NAME ADDRESS'")
    ],
    word: Annotated[str, typer.Argument(help="real, false or test")],
    why: Why = "",
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Say afterwards what an alarm was: real, false or a test, and why."""
    give(Verb.CLASSIFY, run, person, lang, as_json=as_json, target=target, word=word, why=why)


def unlock(
    name: Annotated[str, typer.Argument(help="the person who is locked out")],
    run: RunDir = None,
    person: Person = None,
    as_json: AsJson = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Lift the lock-out after too many wrong PINs. Needs the level configure."""
    give("unlock", run, person, lang, as_json=as_json, name=name)


def give(
    verb: str,
    run: Path | None,
    person: str | None,
    lang: str,
    *,
    as_json: bool,
    **args: Any,
) -> None:
    """Send an order and say what it came to; exits with a clear message when it is refused."""
    language = tongue(lang)
    sent = {key: value for key, value in args.items() if value}
    if person is not None:
        sent |= {"person": person, "pin": ask_pin(language)}
    reply = ask(run or default_run_dir(), "field.sock", str(verb), language=language, **sent)
    wrong = _wrong(reply["record"])
    if as_json:
        typer.echo(json.dumps(plain(reply), ensure_ascii=False))
    elif wrong:
        named = say(f"verb.{verb}", language)
        why = told(wrong, language)
        typer.echo(say("order.failed", language, verb=named, why=why), err=True)
    else:
        typer.echo(_outcome(str(verb), reply, language))
    if wrong:
        raise typer.Exit(1)


def _wrong(record: dict[str, Any]) -> str:
    """Why an order was not carried out; "" when it was. A reset counts what it refused."""
    refused = record.get("refused")
    return str(record.get("error") or (refused if isinstance(refused, str) else ""))


def _outcome(verb: str, reply: dict[str, Any], language: str) -> str:
    record = reply["record"]
    what = {key: value for key, value in record.items() if key not in _KNOWN and value}
    lines = [say("order.done", language, verb=say(f"verb.{verb}", language), who=record["who"])]
    lines += [
        f"  {say(f'done.{key}', language, value=_text(key, value, language))}"
        for key, value in what.items()
    ]
    if not what and f"nothing.{verb}" in TEXTS:
        lines.append(f"  {say(f'nothing.{verb}', language)}")
    if "status" in reply:
        lines.append(
            say("order.now", language, flags=flag_words(reply["status"]["flags"], language))
        )
    return "\n".join(lines)


def _text(key: str, value: Any, language: str) -> str:
    if key == "duration_s":
        return span(value, language)
    return ", ".join(map(str, value)) if isinstance(value, list) else told(str(value), language)


def _duration_ns(text: str, language: str) -> int:
    """`30min` in nanoseconds; 0 for none."""
    if not text:
        return 0
    found = parse(text)
    if found is None or not found.unit or not compatible(found.unit, "s") or found.value <= 0:
        typer.echo(say("order.duration", language, value=text), err=True)
        raise typer.Exit(2)
    return round(convert(found.value, found.unit, "s") * 1e9)
