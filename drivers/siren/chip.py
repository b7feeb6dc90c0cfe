"""libgpiod 2 behind the interface of drivers.siren.gpio. Not tested on hardware."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from datetime import timedelta

import gpiod
from gpiod.edge_event import EdgeEvent
from gpiod.line import Bias, Clock, Direction, Drive, Edge, Value

from config.limits import GPIO_EVENTS_MAX, MS
from drivers.siren.gpio import Want

_DRIVES = {
    "push-pull": Drive.PUSH_PULL,
    "open-drain": Drive.OPEN_DRAIN,
    "open-source": Drive.OPEN_SOURCE,
}
_BIASES = {"pull-up": Bias.PULL_UP, "pull-down": Bias.PULL_DOWN, "none": Bias.DISABLED}
_FILTER_NS = 5 * MS  # the kernel's own debounce: it keeps noise from us, the core does the rest


class Line:
    """One requested line."""

    def __init__(self, want: Want) -> None:
        self._offset = want.line
        try:
            self._request = gpiod.request_lines(
                want.chip, {want.line: settings_of(want)}, "embergate", GPIO_EVENTS_MAX
            )
        except ValueError as e:  # the chip has no such line
            raise OSError(errno.EINVAL, str(e)) from e

    @property
    def fd(self) -> int:
        """Readable when there are edges."""
        return int(self._request.fd)

    def set_value(self, on: bool) -> None:
        """Set the line. Raises OSError."""
        self._request.set_value(self._offset, Value.ACTIVE if on else Value.INACTIVE)

    def get_value(self) -> bool:
        """Read the line. Raises OSError."""
        return bool(self._request.get_value(self._offset) is Value.ACTIVE)

    def read_edges(self) -> Sequence[tuple[int, bool]]:
        """(monotonic ns, level after it) of the edges that wait. Raises OSError."""
        # With active_low a falling edge of the wire is a rising one here: the kernel does that.
        events = self._request.read_edge_events(GPIO_EVENTS_MAX)
        return [(e.timestamp_ns, e.event_type is EdgeEvent.Type.RISING_EDGE) for e in events]

    def release(self) -> None:
        """Give it back. Raises OSError."""
        self._request.release()


def settings_of(want: Want) -> gpiod.LineSettings:
    """How a line is requested."""
    if want.initial is None:
        return gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            bias=_BIASES[want.bias],
            active_low=want.active_low,
            debounce_period=timedelta(microseconds=min(want.debounce_ns, _FILTER_NS) // 1_000),
            event_clock=Clock.MONOTONIC,
        )
    return gpiod.LineSettings(
        direction=Direction.OUTPUT,
        drive=_DRIVES[want.drive],
        active_low=want.active_low,
        output_value=Value.ACTIVE if want.initial else Value.INACTIVE,
    )
