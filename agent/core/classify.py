"""Afterwards, somebody says what an alarm was: real, false or a test, and why."""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agent.core.alarms import PastAlarm
from agent.core.types import Command, Now, Record
from config.limits import NAME_CHARS_MAX, ORDER_TEXT_CHARS_MAX, PAST_ALARMS_MAX
from config.words import Lane

if TYPE_CHECKING:
    from agent.core.state import State

WORDS = ("real", "false", "test")


def classify(state: State, command: Command, now: Now) -> tuple[str, list[Record]]:
    """(what was wrong, records). The target is "alarm/NUMBER", or "point/NAME": its last alarm."""
    if command.word not in WORDS:
        return f"expected one of {', '.join(WORDS)}, found {command.word[:40]!r}", []
    kind, _, name = command.target.partition("/")
    last = state.alarms.last
    for i in range(len(last) - 1, -1, -1):
        past = last[i]
        if (kind == "alarm" and str(past.number) == name) or (
            kind in ("point", "panel") and name == past.name
        ):
            break
    else:
        many = f"the last {PAST_ALARMS_MAX} alarms are kept"
        return f"no alarm is known as {command.target[:80]!r}; {many}", []
    last[i] = replace(past, word=command.word)
    state.alarms.unsaved = True
    body: dict[str, Any] = {
        "number": past.number,
        "source": past.source,
        "name": past.name,
        "wall_ns": past.wall_ns,
        "word": command.word,
        "was": past.word,
        "why": command.why[:ORDER_TEXT_CHARS_MAX],
        "who": command.who[:NAME_CHARS_MAX],
    }
    source = f"alarm/{past.number}"
    return "", [Record(Lane.EVENT, source, "classification", now.mono_ns, body)]


def rows(state: State) -> list[dict[str, Any]]:
    """For people: the last alarms, the latest first."""
    return [
        {
            "number": past.number,
            "source": past.source,
            "name": past.name,
            "wall_ns": past.wall_ns,
            "word": past.word,
        }
        for past in reversed(state.alarms.last)
    ]


def dump(state: State) -> list[list[Any]]:
    """For the snapshot."""
    return [[p.number, p.source, p.name, p.wall_ns, p.word] for p in state.alarms.last]


def restore(state: State, kept: Any) -> None:
    """Alarms from before a restart come before those of this life."""
    if not isinstance(kept, list):
        return
    last = state.alarms.last
    known = {(p.number, p.source) for p in last}
    old = []
    for row in kept[-PAST_ALARMS_MAX:]:
        if isinstance(row, list) and [type(v) for v in row] == [int, str, str, int, str]:
            past = PastAlarm(*row)
            if (past.number, past.source) not in known and abs(past.wall_ns) < 2**63:
                old.append(past)
    state.alarms.last = deque([*old, *last], PAST_ALARMS_MAX)
