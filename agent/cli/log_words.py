"""What a record of the log says, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.cli.told_words import told, who
from agent.cli.words import flag_words, say
from config.words import FLAG_WORDS

_COUNTED = (("points", "points"), ("others", "others"), ("cleared", "cleared"), ("refused", "stay"))
_PLAIN = (
    "word",
    "event",
    "state",
    "text",
    "why",
    "how",
)  # of the gateway, or of people

_TYPED = {  # by people, here or in the site file: as it is
    ("operator", "why"), ("disablement", "why"), ("classification", "why"), ("effect", "text"),
}  # fmt: skip


def in_words(what: str, body: Mapping[str, Any], language: str) -> str:
    """One record's body."""
    return "; ".join(_words(what, body, language))


def _words(what: str, body: Mapping[str, Any], language: str) -> Iterator[str]:
    yield from _changed(what, body, language)
    if "verb" in body:
        yield from _order(body, language)
    if isinstance(body.get("fault"), bool):
        yield say("fault" if body["fault"] else "normal", language)
    if isinstance(body.get("on"), bool):
        kind = "reads" if body.get("read_back") else ""
        yield say(f"log.{kind}{'_' if kind else ''}{'on' if body['on'] else 'off'}", language)
    if body.get("pattern"):
        yield told(str(body["pattern"]), language)
    if what == "output_test":
        test = body.get("test")
        yield say("verb.siren-test", language) if test == "siren-test" else str(test)
        yield say("log.passed" if body.get("passed") else "log.not_passed", language)
        if body.get("cut"):
            yield say("log.cut", language)
    if body.get("who"):
        yield who(str(body["who"]), language)
    if body.get("target"):
        yield str(body["target"])
    for key in _PLAIN:
        if body.get(key) and body[key] != "order":  # that it was ordered says who ordered it
            text = str(body[key])
            yield text if (what, key) in _TYPED else told(text, language)
    if body.get("source"):
        yield say("log.from", language, source=told(str(body["source"]), language))
    if type(body.get("count")) is int and "refused" in body and body["count"] > 1:
        yield say("log.times", language, count=body["count"])


def _changed(what: str, body: Mapping[str, Any], language: str) -> Iterator[str]:
    """The state, before and after, and what was read; or that a boot begins."""
    if what == "system" and "boot" in body and "plan" in body:
        yield say("log.starts", language)
    if type(body.get("to")) is int:
        before = body.get("from", 0)
        yield f"{_flags(before, language)} → {_flags(body['to'], language)}"
    if type(body.get("says")) is int:
        if body["says"] != body.get("to"):
            yield say("log.says", language, flags=_flags(body["says"], language))
    elif isinstance(body.get("value"), int | float):
        yield f"{body['value']:g}"


def _order(body: Mapping[str, Any], language: str) -> Iterator[str]:
    """An order: refused, not carried out, or done with what came of it."""
    verb, refused = say(f"verb.{body['verb']}", language), body.get("refused")
    if isinstance(refused, str) and "count" in body:
        yield say("log.refused", language, code=refused, verb=verb)
        return
    yield verb
    if why := body.get("error") or (refused if isinstance(refused, str) else ""):
        yield say("log.failed", language, why=told(str(why), language))
    for key, told_as in _COUNTED:
        if type(body.get(key)) is int and body[key]:
            yield say(f"log.{told_as}", language, value=body[key])


def _flags(value: int, language: str) -> str:
    return flag_words([word for word, flag in FLAG_WORDS.items() if value & int(flag)], language)
