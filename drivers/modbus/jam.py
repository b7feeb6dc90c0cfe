"""What keeps a line from being free: one that never falls silent, a reply that does not end. Pure.

Time is an argument. Both waits end at an absolute time, whatever still comes in.
"""

from __future__ import annotations

from config.limits import JAM_CLEAR_NS, JAMS_RUN_MAX


class Jam:
    """Requests sent although the line was not silent, and whether that is a jam.

    patience_ns: how long silence is awaited before a request goes out all the same.
    """

    def __init__(self, patience_ns: int) -> None:
        self._patience_ns = patience_ns
        self._run = 0  # the last ones, each less than JAM_CLEAR_NS after the one before
        self._last_ns = 0
        self._since_ns = 0  # since when silence is awaited; 0 when it is not

    def calm(self) -> None:
        """Nothing is waited for."""
        self._since_ns = 0

    def waited(self, now_ns: int) -> bool:
        """Whether silence was awaited for long enough; then a request goes out all the same."""
        if not self._since_ns:
            self._since_ns = now_ns
        if now_ns - self._since_ns <= self._patience_ns:
            return False
        self._run += 1
        self._last_ns = now_ns
        return True

    @property
    def begins(self) -> bool:
        """Whether the last one makes the line a jammed one."""
        return self._run == JAMS_RUN_MAX

    def over(self, now_ns: int) -> bool:
        """A request goes out. Whether it ends a jam that was told."""
        self._since_ns = 0
        if not self._run or now_ns - self._last_ns <= JAM_CLEAR_NS:
            return False
        told, self._run = self._run >= JAMS_RUN_MAX, 0
        return told


class Tail:
    """The rest of a reply that began and was not complete at its deadline.

    It keeps the line busy: what is asked meanwhile meets the rest, and on a stream cannot be
    answered before it. So the rest is given its unit's time once more, and no longer.
    """

    def __init__(self) -> None:
        self._bytes = 0
        self.until_ns = 0
        self.unit = 0

    def begin(self, unit: int, missing: int, until_ns: int) -> None:
        """`missing` bytes of the reply of `unit` were not there at its deadline."""
        self._bytes, self.until_ns, self.unit = missing, until_ns, unit

    def came(self, size: int) -> bool:
        """More bytes came. Whether the rest is complete now."""
        self._bytes = max(0, self._bytes - size)
        return not self._bytes

    def end(self) -> None:
        """It is not waited for any longer."""
        self._bytes = 0

    @property
    def awaited(self) -> bool:
        """Whether bytes are missing still."""
        return self._bytes > 0
