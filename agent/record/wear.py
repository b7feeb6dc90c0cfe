"""How much the record has written to its disk: what wears an SD card out, by the kernel's count."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

from config.limits import WEAR_LOOK_NS, WEAR_LOOKS_KEPT, S

_DAY_NS = 86_400 * S


def written_bytes() -> int | None:
    """Bytes that this process had written to storage since its start; None where nobody counts.

    proc(5), /proc/pid/io, write_bytes: pages that were made dirty, whoever writes them out.
    """
    try:
        for line in Path("/proc/self/io").read_text(encoding="ascii").splitlines():
            name, _, value = line.partition(":")
            if name == "write_bytes":
                return int(value)
    except (OSError, ValueError):
        return None
    return None


class Wear:
    """Bytes a day, over the last day, or over as much of it as there was."""

    def __init__(self, now_ns: int, count: Callable[[], int | None] = written_bytes) -> None:
        self._count = count
        self._looks: deque[tuple[int, int]] = deque(maxlen=WEAR_LOOKS_KEPT)
        self._due_ns = now_ns

    def look(self, now_ns: int) -> None:
        """Now and then."""
        if now_ns < self._due_ns:
            return
        self._due_ns = now_ns + WEAR_LOOK_NS
        count = self._count()
        if count is not None:
            self._looks.append((now_ns, count))

    def status(self, now_ns: int) -> dict[str, Any]:
        """written_bytes: since the start. written_day_bytes: at the last day's pace; 0: unknown."""
        count = self._count()
        if count is None or not self._looks:
            return {"written_bytes": 0, "written_day_bytes": 0}
        first_ns, first = self._looks[0]
        span_ns = now_ns - first_ns
        day = (count - first) * _DAY_NS // span_ns if span_ns >= WEAR_LOOK_NS else 0
        return {"written_bytes": count, "written_day_bytes": day}
