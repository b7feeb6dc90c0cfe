"""Who turns an RS-485 transceiver around: the driver, this program by RTS, or nobody.

The kernel's driver does it best (TIOCSRS485), since it knows when the last bit has left. Without
it RTS is set before a frame and released behind it: after the time that its bytes take, and when
the transmitter says that it is empty, where its driver can tell (TIOCSERGETLSR; most USB drivers
can only count what is queued). Not tested on hardware.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import struct
import termios
from collections.abc import Callable

from config.limits import RTS_DRAIN_NS_MAX, S
from config.plan import Line
from config.words import Direction
from drivers.link.stream import LinkError

TIOCGRS485, TIOCSRS485 = 0x542E, 0x542F  # linux/serial.h: struct serial_rs485, flags first
TIOCSERGETLSR, TIOCSER_TEMT = 0x5459, 1
RS485_ENABLED, RTS_ON_SEND = 1, 2

Ioctl = Callable[[int, int, bytes], bytes]


def drives_direction(fd: int, ioctl: Ioctl = fcntl.ioctl) -> bool:
    """Have the driver turn RS-485 transceivers around; False when it does not know how."""
    words = struct.pack("8I", RS485_ENABLED | RTS_ON_SEND, 0, 0, 0, 0, 0, 0, 0)
    try:
        found = ioctl(fd, TIOCGRS485, bytes(len(words)))
        if not struct.unpack("8I", found)[0] & RS485_ENABLED:  # the board's own polarity stands
            ioctl(fd, TIOCSRS485, words)
    except OSError:
        return False
    return True


class RtsSwitch:
    """RTS around each frame. `ioctl` is the port's; it may raise OSError at any time."""

    def __init__(self, fd: int, line: Line, ioctl: Ioctl = fcntl.ioctl) -> None:
        bits = 1 + line.data_bits + (line.parity != "N") + line.stop_bits
        self._char_s = bits / line.baud
        self._fd = fd
        self._ioctl = ioctl
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._give_up_s = 0.0

    def receive(self) -> None:
        """Let others speak. Raises OSError when the port has no RTS."""
        self._set(on=False)

    def before(self) -> None:
        """A frame is about to be written."""
        self.stop()
        with contextlib.suppress(OSError):  # an unplugged port is told by its read
            self._set(on=True)

    def after(self, size: int) -> None:
        """`size` bytes were written."""
        leaves_s = self._loop.time() + size * self._char_s
        self._give_up_s = leaves_s + RTS_DRAIN_NS_MAX / S
        self._timer = self._loop.call_at(leaves_s, self._look)

    def stop(self) -> None:
        """Nothing is released any more: the port closes, or the next frame follows."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        try:
            if self._loop.time() < self._give_up_s and not self._empty():
                self._timer = self._loop.call_later(self._char_s / 2, self._look)
                return
            self._set(on=False)
        except OSError:
            return  # an unplugged port is told by its read

    def _empty(self) -> bool:
        with contextlib.suppress(OSError):
            told = self._ioctl(self._fd, TIOCSERGETLSR, bytes(4))
            return bool(struct.unpack("i", told)[0] & TIOCSER_TEMT)
        queued: int = struct.unpack("i", self._ioctl(self._fd, termios.TIOCOUTQ, bytes(4)))[0]
        return queued == 0

    def _set(self, *, on: bool) -> None:
        request = termios.TIOCMBIS if on else termios.TIOCMBIC
        self._ioctl(self._fd, request, struct.pack("I", termios.TIOCM_RTS))


def direction_of(fd: int, line: Line, ioctl: Ioctl = fcntl.ioctl) -> RtsSwitch | None:
    """The switch that a port's frames need; None when the driver, or nobody, turns it around.

    Raises LinkError when the site asks for what the port cannot do.
    """
    asked = Direction(line.direction)
    if asked is Direction.NONE:
        return None
    if asked is not Direction.RTS and drives_direction(fd, ioctl):
        return None
    if asked is Direction.DRIVER:
        raise LinkError(
            f"serial port {line.serial_port}: its driver knows no RS-485 direction control; "
            "write 'rs485: rts', or 'rs485: none' for an adapter that turns around by itself",
            f"串口 {line.serial_port}：其驱动不支持 RS-485 收发方向控制；"
            "请写 rs485: rts；适配器自动换向时写 rs485: none",
        )
    switch = RtsSwitch(fd, line, ioctl)
    try:
        switch.receive()
    except OSError as e:
        if asked is Direction.RTS:
            raise LinkError(
                f"serial port {line.serial_port}: it has no RTS: {e.strerror}",
                f"串口 {line.serial_port}：没有 RTS 信号：{e.strerror}",
            ) from e
        return None  # a port without RTS has nothing to turn around
    return switch
