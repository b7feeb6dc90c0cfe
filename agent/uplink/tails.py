"""What heartbeats say of the ends of the lanes, against what is held. Pure.

A receiver that drains a backlog is behind and goes on; one whose batches are kept from it stands
still while the gateway says that there is more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.uplink.heartbeat import Heartbeat
from agent.uplink.history import Finding, History
from config.limits import TAIL_PATIENCE_NS
from config.words import Lane

State = list[Any]


@dataclass(slots=True)
class _Line:
    """Heartbeats that follow each other, by ordinal and monotonic time."""

    last: tuple[int, int] = (-1, -1)
    behind: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Lane -> since when, at which number."""


class Tails:
    """Of one gateway.

    A gateway whose record was put back from an older copy counts its epochs from there, below what
    was heard before: its heartbeats are a line of their own, told apart from what is only late or
    sent again by an ordinal that another epoch has.
    """

    def __init__(self) -> None:
        self._first, self._again = _Line(), _Line()

    @property
    def waits(self) -> bool:
        """Whether a lane is behind: only then is there anything to remember."""
        return bool(self._first.behind or self._again.behind)

    def dump(self) -> State:
        """All of it, ready for CBOR."""
        return [
            part
            for line in (self._first, self._again)
            for part in (*line.last, {lane: list(at) for lane, at in line.behind.items()})
        ]

    @classmethod
    def load(cls, state: State) -> Tails:
        """The inverse of dump()."""
        self = cls()
        for line, at in ((self._first, 0), (self._again, 3)):
            if len(state) > at:  # an older state has one line
                ordinal, mono_ns, behind = state[at : at + 3]
                line.last = (ordinal, mono_ns)
                line.behind = {lane: (since, at) for lane, (since, at) in behind.items()}
        return self

    def beat(self, beat: Heartbeat, history: History) -> list[Finding]:
        """Judge a heartbeat whose signature was believed; one that is not newer says nothing."""
        again = history.is_taken(beat.ordinal, beat.epoch)
        line = self._again if again else self._first
        now = (beat.ordinal, beat.mono_ns)
        if now <= line.last:
            return []
        if beat.ordinal != line.last[0]:
            line.behind.clear()
        line.last = now
        out: list[Finding] = []
        if again:
            text = (
                f"it counts its epochs from {beat.ordinal} again and was at {history.newest}: an "
                "older copy of its record was put back, or its key is in two places"
            )
            out.append(Finding("rolled_back", True, Lane.EPOCH, beat.epoch, beat.ordinal, text))
        for lane, (seq, digest) in beat.heads.items():
            top, held = history.top(beat.epoch, lane, seq)
            if top >= seq or history.declared_gone(lane, beat.epoch, seq):
                line.behind.pop(lane, None)
                if held and held != digest:
                    text = "a heartbeat names another batch under this number"
                    out.append(Finding("fork", True, lane, beat.epoch, seq, text))
                continue
            since, at = line.behind.get(lane, (beat.mono_ns, top))
            if at != top:
                since = beat.mono_ns  # it comes, only late
            line.behind[lane] = (since, top)
            if beat.mono_ns - since >= TAIL_PATIENCE_NS:
                text = f"the gateway has {lane} up to {seq}; nothing after {top} arrives"
                out.append(Finding("tail_missing", True, lane, beat.epoch, top + 1, text))
        return out
