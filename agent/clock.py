"""The shell's clock: the only place that asks the kernel for the time, the boot and the sync state.

Everything pure gets a `Now`. Whether the wall clock is worth something is the kernel's word
(adjtimex, STA_UNSYNC); where a sandbox forbids that call, systemd-timesyncd's marker file.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable
from pathlib import Path

from agent.boot import boot_id
from agent.core.types import ClockState, Now
from config.limits import CLOCK_STATE_EVERY_NS, WALL_NS_MIN

__all__ = ["SystemClock", "boot_id", "kernel_sync_query"]

_STA_UNSYNC = 0x40  # linux/timex.h
_TIMEX_BYTES = 256  # struct timex has 208 bytes on 64-bit, 128 on 32-bit
_STATUS_AT = struct.calcsize("@Illll")  # modes, offset, freq, maxerror, esterror; then status
_SYNC_MARKER = Path("/run/systemd/timesync/synchronized")


class SystemClock:
    """Monotonic and wall time of this machine, and what the wall time is worth."""

    def __init__(self) -> None:
        self.boot_id = boot_id()
        self._synchronised = kernel_sync_query()
        self._state = ClockState.UNSET
        self._state_due_ns = 0
        self._once = False
        self._offset_s = 0

    def mono_ns(self) -> int:
        """CLOCK_MONOTONIC, nanoseconds of this boot."""
        return time.monotonic_ns()

    def now(self) -> Now:
        """The time, and the clock's state, which is asked for once a second."""
        mono_ns, wall_ns = time.monotonic_ns(), time.time_ns()
        if mono_ns >= self._state_due_ns:
            self._state_due_ns = mono_ns + CLOCK_STATE_EVERY_NS
            self._state = self._judge(wall_ns)
            self._offset_s = time.localtime(wall_ns // 10**9).tm_gmtoff
        return Now(mono_ns, wall_ns, self._state, self._offset_s)

    def _judge(self, wall_ns: int) -> ClockState:
        if self._synchronised():
            self._once = True
            return ClockState.SYNCHRONISED
        if self._once or wall_ns >= WALL_NS_MIN:
            return ClockState.HOLDOVER  # it was set once, or a battery kept it
        return ClockState.UNSET


def kernel_sync_query() -> Callable[[], bool]:
    """A function that says whether the kernel holds the wall clock to be synchronised."""
    try:
        import ctypes  # noqa: PLC0415 -- may be refused where executable memory is

        adjtimex = ctypes.CDLL(None, use_errno=True).adjtimex
        buffer = ctypes.create_string_buffer(_TIMEX_BYTES)
    except (ImportError, OSError, AttributeError, MemoryError):
        return _SYNC_MARKER.exists

    def ask() -> bool:
        ctypes.memset(buffer, 0, _TIMEX_BYTES)  # modes 0: read only
        if adjtimex(buffer) < 0:
            return _SYNC_MARKER.exists()
        (status,) = struct.unpack_from("@i", buffer.raw, _STATUS_AT)
        return not status & _STA_UNSYNC

    return ask
