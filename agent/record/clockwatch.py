"""What the wall clock does while the record looks: it is set for the first time, or it jumps.

A machine without a battery starts in 1970. What it seals until somebody sets its clock has
monotonic stamps only; the record of that moment gives all of them their time afterwards. Pure.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from agent.core.types import Now
from config.limits import CLOCK_STEP_NS


class ClockWatch:
    """Looked at several times a second."""

    def __init__(self, boot: bytes, now: Now) -> None:
        self.stepped_ns = 0  # how far it was set in all since it was set first
        self._boot = boot
        self._last = now

    def look(self, now: Now, tell: Callable[[dict[str, Any], Now], object]) -> None:
        """Tell what happened since the last look; again at the next look when tell gives None.

        by_ns: how far the clock went beside the monotonic one, signed.
        """
        by_ns = (now.wall_ns - now.mono_ns) - (self._last.wall_ns - self._last.mono_ns)
        if not self._last.clock and now.clock:
            event = "clock_established"
        elif now.clock and abs(by_ns) >= CLOCK_STEP_NS:
            event = "clock_stepped"
        else:
            self._last = now
            return
        body = {
            "event": event, "boot": self._boot, "mono_ns": now.mono_ns, "wall_ns": now.wall_ns,
            "clock": int(now.clock), "by_ns": by_ns,
        }  # fmt: skip
        if tell(body, now) is not None:
            self._last = now
            self.stepped_ns += by_ns if event == "clock_stepped" else 0
