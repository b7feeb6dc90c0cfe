"""docs/alarm-states.md, drawn from the tables themselves: a test compares it with the tables."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any

from agent.core import alarms, delay, disable, walktest

Table = Mapping[Any, tuple[IntEnum, IntEnum]]

_HEAD = """# The states of an alarm

Drawn from the tables that the gateway runs on (agent/core); a test compares them. An arrow says
what happened, and after the stroke what follows. What is not drawn changes nothing.
"""
_FIRES = {
    alarms.Origin.GATEWAY: "A fire of our own detectors and contacts",
    alarms.Origin.PANEL: "A fire that a panel told",
    alarms.Origin.GATED: "A fire on a point that is disabled or in test",
}
_ORIGIN_TEXT = {
    alarms.Origin.GATEWAY: "It latches: only a reset ends it, and only while the point reads good "
    "below its clear level, or cannot be read and is disabled. *Returns*: it was gone for a while, "
    "somebody had acknowledged or silenced it, and it is there again: a new alarm.",
    alarms.Origin.PANEL: "It follows the panel. A lost link clears nothing, nor does our reset, "
    "unless the panel has disabled the address since.",
    alarms.Origin.GATED: "It is logged and counts for nothing, so it latches nothing. When the "
    "gate opens while it is live, it becomes one of the kinds above. A fire that counted "
    "before its point was disabled keeps the kind that it has.",
}


def document() -> str:
    """The whole file."""
    parts = [_HEAD]
    for origin, title in _FIRES.items():
        rows = {(p, e): out for (o, p, e), out in alarms.FIRE_TABLE.items() if o is origin}
        parts.append(_section(title, _ORIGIN_TEXT[origin], rows))
    parts.append(
        _section(
            "A disablement",
            "Of a point, zone, output or courier; it gates effects and takes nothing back.",
            disable.DISABLE_TABLE,
        )
    )
    parts.append(
        _section("A walk test", "One group at a time, started on site.", walktest.WALK_TABLE)
    )
    parts.append(
        _section(
            "A point in a walk test",
            "*Real* ends the test: the alarm counts, and so does every other one of the group.",
            walktest.POINT_TABLE,
        )
    )
    parts.append(
        _section(
            "An investigation",
            "By day, of the first fire. It holds back effects, never the call to the centre.",
            delay.DELAY_TABLE,
        )
    )
    return "\n".join(parts)


def _section(title: str, text: str, table: Table) -> str:
    return f"## {title}\n\n{text}\n\n```mermaid\n{chart(table)}```\n"


def chart(table: Table) -> str:
    """One arrow a pair of states; the events that take the same way share it."""
    first = min(phase for phase, _ in table)
    lines = ["stateDiagram-v2", f"    [*] --> {_state(first)}"]
    arrows: dict[tuple[Any, Any], list[str]] = {}
    for (phase, event), (after, act) in sorted(table.items()):
        if phase == after and not act:
            continue
        follows = f" / {_words(act)}" if act else ""
        arrows.setdefault((phase, after), []).append(f"{_words(event)}{follows}")
    for (phase, after), labels in arrows.items():
        lines += [f"    {_state(phase)} --> {_state(after)}: {label}" for label in labels]
    return "".join(f"{line}\n" for line in lines)


def _state(phase: IntEnum) -> str:
    return phase.name.title().replace("_", "")


def _words(word: IntEnum) -> str:
    return word.name.lower().replace("_", " ")
