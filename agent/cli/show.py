"""What status, points and top show, as rich renderables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from agent.cli.effects_status import effects_lines
from agent.cli.standing import past_rows, standing
from agent.cli.told_words import named, place, told
from agent.cli.words import TEXTS, flag_words, say

_COLOURS = {
    "fire": "bold white on red",
    "prealarm": "bold red",
    "supervisory": "bold magenta",
    "fault": "bold yellow",
    "disabled": "cyan",
    "test": "blue",
}
ROWS_MAX = 40  # of one table
PAST_MAX = 5  # of the last alarms


def flags(words: Sequence[str], language: str) -> Text:
    """Flags in the colour of the first of them."""
    colour = next((_COLOURS[word] for word in words if word in _COLOURS), "green")
    return Text(flag_words(words, language), style=colour)


def state(
    status: Mapping[str, Any], language: str, *, most: int = ROWS_MAX
) -> Iterator[RenderableType]:
    """The big state: flags, first alarm, counts, and at `most` so many faults of the gateway."""
    head = Text(f"{status['name'] or status['site']}: ", style="bold")
    head.append(
        flag_words(status["flags"], language).upper(), flags(status["flags"], language).style
    )
    if status["silenced"]:
        head.append("  " + say("silenced", language), "reverse")
    yield head
    if status["first_alarm"]:
        counts = say("alarms", language, count=status["alarms"], unseen=status["unacknowledged"])
        first = named(status["first_alarm"]["name"], language)
        yield Text(f"{say('first_alarm', language)}: {first}; {counts}", style="bold")
    yield from standing(status, language)
    for line in effects_lines(status["effects"], language):
        yield Text(line, style="bold")
    for fault in status["faults"][:most]:
        text = told(fault["text"], language)
        yield Text(
            f"{say('fault', language)}: {place(fault['source'], language)}: {text}", style="yellow"
        )
    if len(status["faults"]) > most:
        yield Text(say("more", language, count=len(status["faults"]) - most))


def parts(status: Mapping[str, Any], language: str) -> Iterator[RenderableType]:
    """Zones that are not normal, outputs, panels, points in alarm, lines."""
    zones = [zone for zone in status["zones"] if zone["flags"]]
    if zones:
        rows = [
            [z["name"], flags(z["flags"], language), f"{z['votes']}/{z['needed']}"] for z in zones
        ]
        yield table("zones", ["name", "flags", "votes"], rows, language)
    if len(zones) < len(status["zones"]):
        yield Text(say("zones.quiet", language, count=len(status["zones"]) - len(zones)))
    if status["outputs"]:
        yield outputs(status["outputs"], language)
    if status["panels"]:
        yield panels(status["panels"], language)
    if status["texts"]:
        yield texts(status["texts"], language)
    if status["active"]:
        yield points(say("active", language), status["active"], language)
    if status["last_alarms"]:
        rows = past_rows(status["last_alarms"][:PAST_MAX], language)
        yield table("past", ["number", "time", "name", "word"], rows, language)
    yield lines(status["lines"], language)


def outputs(rows: Sequence[Mapping[str, Any]], language: str, *, most: int = ROWS_MAX) -> Table:
    """Outputs as ordered and as read."""
    words = {None: "unknown", True: "on", False: "off"}
    return table(
        "outputs",
        ["name", "on", "read", "text"],
        [
            [
                output["name"],
                say(words[output["on"]], language),
                say(words[output["read_back"]], language),
                Text(say("mismatch", language), "bold red")
                if output["fault"]
                else told(output["pattern"], language)
                if not output["disabled"]
                else say("flag.disabled", language),
            ]
            for output in rows
        ],
        language,
        most=most,
    )


def panels(rows: Sequence[Mapping[str, Any]], language: str) -> Table:
    """Panels on ports of their own, with what they told."""
    body = []
    for panel in rows:
        what = [
            f"{r['address'] or '-'}: {flag_words(r['flags'], language)}"
            + (f" ({say('unseen', language)})" if r.get("acknowledged") is False else "")
            for r in panel["standing"]
        ]
        word = "down" if panel["lost"] else "up" if panel["supervised"] else "unsupervised"
        link = say(word, language)
        body.append([panel["name"], link, "; ".join(what[:ROWS_MAX])])
    return table("panels", ["name", "link", "text"], body, language)


def points(title: str, rows: Sequence[Mapping[str, Any]], language: str, *, more: int = 0) -> Table:
    """Points, one a row; and so many `more` that are not among them."""
    body = [
        [
            row["name"],
            flags(row["flags"], language),
            _value(row, language),
            say(f"quality.{row['quality']}", language),
            say("yes", language) if row["acknowledged"] else "",
        ]
        for row in rows
    ]
    columns = ["name", "flags", "value", "quality", "seen"]
    out = table(title, columns, body, language, most=len(body))
    if more > 0:
        out.add_row(say("more", language, count=more))
    return out


def _value(row: Mapping[str, Any], language: str) -> RenderableType:
    if row.get("text") is not None:
        return Text(row["text"])  # a device's own words are no markup
    if row.get("says") is not None:  # its value is a set of flags
        return flag_words(row["says"], language)
    return "-" if row["value"] is None else f"{row['value']:g} {row['unit']}"


def texts(rows: Sequence[Mapping[str, Any]], language: str) -> Table:
    """What devices say in words."""
    body = [[r["name"], Text(r["text"] or "-"), say(f"quality.{r['quality']}", language)]
            for r in rows]  # fmt: skip
    return table("texts", ["name", "text", "quality"], body, language)


def lines(rows: Sequence[Sequence[Any]], language: str) -> Table:
    """Lines with their links."""
    body = [
        [name, Text(say("up" if up else "down", language), "green" if up else "bold red")]
        for name, up in rows
    ]
    return table("lines", ["name", "link"], body, language)


def record(status: Mapping[str, Any] | None, language: str) -> Iterator[RenderableType]:
    """The record's faults, and what each destination has not yet acknowledged."""
    if status is None:
        yield Text(say("record.none", language), style="bold yellow")
        return
    for source, text in status["faults"].items():
        args = {"source": place(source, language), "text": told(text, language)}
        yield Text(say("record.fault", language, **args), style="yellow")
    if day := status["store"].get("written_day_bytes"):
        yield Text(say("record.wear", language, megabytes=f"{day / 1e6:.1f}"))
    if status["couriers"]:
        body = [
            [
                courier["name"],
                say("up" if courier["connected"] else "down", language),
                str(courier["waiting"]),
                str(courier["under_way"]),
                told(courier["text"], language),
            ]
            for courier in status["couriers"]
        ]
        columns = ["name", "link", "waiting", "under_way", "text"]
        yield table("couriers", columns, body, language)


def table(
    title: str,
    columns: Sequence[str],
    rows: Sequence[Sequence[RenderableType]],
    language: str,
    *,
    most: int = ROWS_MAX,
) -> Table:
    """A table with translated title and columns, of at most `most` rows; the rest is counted."""
    out = Table(title=say(title, language) if title in TEXTS else title, title_justify="left")
    for column in columns:
        # Fold: Chinese has no spaces to break at and would be cut off.
        heading = say(f"col.{column}", language)
        out.add_column(heading, no_wrap=column == "time", overflow="fold")
    for row in rows[:most]:
        out.add_row(*row)
    if len(rows) > most:
        out.add_row(say("more", language, count=len(rows) - most))
    return out
