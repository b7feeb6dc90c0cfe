"""The link of a Modbus line, by its kind."""

from __future__ import annotations

from collections.abc import Callable

from config.plan import Line
from config.words import LineKind
from drivers.link.stream import Link
from drivers.link.tcp import TcpLink


def open_link(
    line: Line, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
) -> Link:
    """The link of a line, not opened yet."""
    if line.kind == LineKind.RS485:
        from drivers.link.serial import SerialLink  # noqa: PLC0415 -- TCP sites need no pyserial

        return SerialLink(line, on_bytes, on_lost)
    return TcpLink(line, on_bytes, on_lost)
