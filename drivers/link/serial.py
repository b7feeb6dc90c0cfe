"""A serial port, for RS-485. pyserial opens and configures it; the event loop reads it."""

from __future__ import annotations

import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable

import serial

from config.plan import Line
from drivers.link.port import find_port
from drivers.link.stream import DescriptorStream, LinkError

_TIOCGRS485, _TIOCSRS485 = (
    0x542E,
    0x542F,
)  # linux/serial.h: struct serial_rs485, flags first, eight words in all
_RS485_ENABLED, _RTS_ON_SEND = 1, 2


class SerialLink(DescriptorStream):
    """Exclusive use, raw mode, 8 data bits. Opens pseudo-terminals as well as real ports.

    After an unplug the descriptor reads an error or end of file, `on_lost` is called, and `open`
    works again as soon as the device is back, under whatever node (`find_port`).

    Direction: where the driver knows RS-485 it drives RTS with each frame itself. Elsewhere RTS is
    set and left alone: an adapter that needs no help ignores it, and switching it from here would
    cut off or add to the last byte, because only the driver knows when that has left.
    """

    def __init__(
        self, line: Line, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]
    ) -> None:
        super().__init__(on_bytes, on_lost)
        self._line = line

    async def open(self) -> None:
        """Open the port. Raises LinkError when it is missing, refused or in use."""
        try:
            port = serial.Serial(
                find_port(self._line.serial_port),
                self._line.baud,
                parity=self._line.parity,
                stopbits=self._line.stop_bits,
                timeout=0,
                # VMIN=1, VTIME=0: an empty port reads EAGAIN, so that end of file means unplugged.
                inter_byte_timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as e:  # SerialException is an OSError
            raise LinkError(f"serial port {self._line.serial_port}: {_reason(e)}") from e
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            # USB adapters hold bytes back for up to 16 ms; a pseudo-terminal cannot be told.
            port.set_low_latency_mode(True)
        fd = port.fileno()
        if not drives_direction(fd):
            with contextlib.suppress(OSError, termios.error):
                port.rts = True

        def close() -> None:
            with contextlib.suppress(OSError, termios.error):
                # Unsent bytes of a dead line must not hold the close for the kernel's 30 s.
                termios.tcflush(fd, termios.TCIOFLUSH)
            with contextlib.suppress(OSError):
                port.close()

        self.attach(fd, close)


def drives_direction(fd: int) -> bool:
    """Have the driver turn RS-485 transceivers around; False when it does not know how."""
    words = struct.pack("8I", _RS485_ENABLED | _RTS_ON_SEND, 0, 0, 0, 0, 0, 0, 0)
    try:
        found = fcntl.ioctl(fd, _TIOCGRS485, bytes(len(words)))
        if not struct.unpack("8I", found)[0] & _RS485_ENABLED:  # the board's own polarity stands
            fcntl.ioctl(fd, _TIOCSRS485, words)
    except OSError:
        return False
    return True


def _reason(e: Exception) -> str:
    text = str(e)
    if "exclusively lock" in text:
        return "in use by another process; a line has one master"
    return text
