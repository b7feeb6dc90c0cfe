"""The wall time of a monotonic stamp, also from before the clock was set. Pure.

A batch is an anchor by itself: its wall time belongs to its last monotonic stamp. Where it says
that the clock was not set, the first anchor of the same boot that has a time gives it one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Mapping
from typing import Any

from agent.uplink.batch import Batch


def anchor_of(body: Any) -> tuple[bytes, int, int] | None:
    """(boot, mono_ns, wall_ns) of the body of a record that says when the clock was set."""
    if not isinstance(body, Mapping):
        return None
    if body.get("event") not in ("clock_established", "clock_stepped"):
        return None
    boot, mono_ns, wall_ns = (body.get(key) for key in ("boot", "mono_ns", "wall_ns"))
    if type(boot) is not bytes or type(mono_ns) is not int or type(wall_ns) is not int:
        return None
    return (boot, mono_ns, wall_ns) if max(abs(mono_ns), abs(wall_ns)) < 2**62 else None


class Clocks:
    """Anchors of one gateway, by boot. Some thousands of batches cost a few hundred anchors."""

    def __init__(self) -> None:
        self._anchors: dict[bytes, list[tuple[int, int]]] = {}  # boot -> (mono_ns, wall - mono)

    def learn(self, batch: Batch) -> None:
        """Take in a batch; one whose clock was not set teaches nothing."""
        if batch.clock:
            self._add(batch.boot, batch.mono_last_ns, batch.wall_ns)

    def learn_event(self, body: Mapping[str, Any]) -> None:
        """Take in the body of a record; of `clock_established` and `clock_stepped` it learns."""
        found = anchor_of(body)
        if found is not None:
            self.learn_anchor(*found)

    def learn_anchor(self, boot: bytes, mono_ns: int, wall_ns: int) -> None:
        """One moment on both clocks."""
        self._add(boot, mono_ns, wall_ns)

    def wall_ns(self, boot: bytes, mono_ns: int) -> int | None:
        """Unix time of a stamp; None when the clock of that boot was never set.

        By the last anchor at or before it; before the first one, by that one.
        """
        anchors = self._anchors.get(boot)
        if not anchors:
            return None
        at = bisect_right(anchors, mono_ns, key=lambda anchor: anchor[0])
        return mono_ns + anchors[max(0, at - 1)][1]

    def _add(self, boot: bytes, mono_ns: int, wall_ns: int) -> None:
        anchors = self._anchors.setdefault(boot, [])
        offset_ns = wall_ns - mono_ns
        at = bisect_left(anchors, (mono_ns,))
        if at and anchors[at - 1][1] == offset_ns:
            return
        insort(anchors, (mono_ns, offset_ns))
