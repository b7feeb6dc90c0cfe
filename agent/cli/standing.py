"""What people have to know beside the alarms: what is out of service, what runs, who has to answer.

The lines of `embergate status` and `embergate top` below the big state.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.text import Text

from agent.cli.told_words import named, told, who
from agent.cli.words import say

NAMES_MAX = 8  # of one line; the rest is counted


def standing(status: Mapping[str, Any], language: str) -> Iterator[Text]:
    """The most urgent first."""
    if manual := status["manual"]:
        name = named(manual["name"], language)
        args = {"name": name, "time": clock_time(manual["wall_ns"])}
        yield Text(say("standing.manual", language, **args), style="bold red")
    for check in status["duty"]:
        args = {"name": check["name"], "text": told(check["text"], language)}
        yield Text(say("standing.duty", language, **args), style="bold magenta")
    if delay := status["delay"]:
        args = {"name": delay["name"], "left": span(delay["left_s"], language)}
        yield Text(say(f"standing.{delay['phase']}", language, **args), style="bold red")
    for call in status["calls"]:
        if call["waiting"]:
            yield Text(say("standing.call", language, **call), style="bold yellow")
    if test := status["test"]:
        yield from _walk_test(test, language)
    for trial in status["tests"]:
        if trial["test"] != "silent":
            yield Text(say("standing.trial", language, name=trial["name"]), style="blue")
    for entry in status["disabled"]:
        left = span(entry["left_s"], language)
        why = entry["why"] or say("standing.no_reason", language)
        args = {
            "target": entry["target"],
            "who": who(entry["who"], language),
            "why": why,
            "left": left,
        }
        yield Text(say("standing.disabled", language, **args), style="cyan")


def _walk_test(test: Mapping[str, Any], language: str) -> Iterator[Text]:
    tested, untested = test["tested"], test["untested"]
    args = {
        "group": test["group"],
        "who": who(test["who"], language),
        "tested": len(tested),
        "all": len(tested) + len(untested),
        "left": span(test["left_s"], language),
    }
    key = "standing.test_ending" if test["ending"] else "standing.test"
    yield Text(say(key, language, **args), style="blue")
    if untested and not test["ending"]:
        yield Text(say("standing.untested", language, names=some(untested, language)), style="blue")


def some(names: Sequence[str], language: str) -> str:
    """Names, as many as fit a line."""
    shown = ", ".join(names[:NAMES_MAX])
    left = len(names) - NAMES_MAX
    return f"{shown} {say('more', language, count=left)}" if left > 0 else shown


def span(seconds: int, language: str) -> str:
    """How long, as people say it: 90 s, 12 min, 7 h 58 min."""
    minutes = -(-seconds // 60)
    if seconds <= 120:
        return say("span.s", language, s=seconds)
    if minutes <= 120:
        return say("span.min", language, m=minutes)
    return say("span.h", language, h=minutes // 60, m=minutes % 60)


def clock_time(wall_ns: int) -> str:
    """A moment by the local clock."""
    return datetime.fromtimestamp(wall_ns / 1e9).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def past_rows(alarms: Sequence[Mapping[str, Any]], language: str) -> list[list[str]]:
    """The last alarms by number, as `embergate classify` asks for them."""
    return [
        [
            f"alarm/{a['number']}",
            clock_time(a["wall_ns"]),
            named(a["name"], language),
            told(a["word"], language) if a["word"] else "-",
        ]
        for a in alarms
    ]
