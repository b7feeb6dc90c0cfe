"""What heartbeats say of the ends of the lanes, against what is held. Pure.

A receiver that drains a backlog is behind and goes on; one whose batches are kept from it stands
still while the gateway says that there is more.
"""

from __future__ import annotations

from typing import Any

from agent.uplink.heartbeat import Heartbeat
from agent.uplink.history import Finding, History
from config.limits import TAIL_PATIENCE_NS

State = list[Any]


class Tails:
    """Of one gateway."""

    def __init__(self) -> None:
        self._last = (-1, -1)  # ordinal and monotonic time of the newest heartbeat
        self._behind: dict[str, tuple[int, int]] = {}  # lane -> since when, at which number

    @property
    def waits(self) -> bool:
        """Whether a lane is behind: only then is there anything to remember."""
        return bool(self._behind)

    def dump(self) -> State:
        """All of it, ready for CBOR."""
        return [*self._last, {lane: list(at) for lane, at in self._behind.items()}]

    @classmethod
    def load(cls, state: State) -> Tails:
        """The inverse of dump()."""
        self = cls()
        ordinal, mono_ns, behind = state
        self._last = (ordinal, mono_ns)
        self._behind = {lane: (since, at) for lane, (since, at) in behind.items()}
        return self

    def beat(self, beat: Heartbeat, history: History) -> list[Finding]:
        """Judge a heartbeat whose signature was believed; one that is not newer says nothing."""
        now = (beat.ordinal, beat.mono_ns)
        if now <= self._last:
            return []
        if beat.ordinal != self._last[0]:
            self._behind.clear()
        self._last = now
        out: list[Finding] = []
        for lane, (seq, digest) in beat.heads.items():
            top, held = history.top(beat.epoch, lane, seq)
            if top >= seq or history.declared_gone(lane, beat.epoch, seq):
                self._behind.pop(lane, None)
                if held and held != digest:
                    text = "a heartbeat names another batch under this number"
                    out.append(Finding("fork", True, lane, beat.epoch, seq, text))
                continue
            since, at = self._behind.get(lane, (beat.mono_ns, top))
            if at != top:
                since = beat.mono_ns  # it comes, only late
            self._behind[lane] = (since, top)
            if beat.mono_ns - since >= TAIL_PATIENCE_NS:
                text = f"the gateway has {lane} up to {seq}; nothing after {top} arrives"
                out.append(Finding("tail_missing", True, lane, beat.epoch, top + 1, text))
        return out
