"""A serial port, for RS-485 and panels. pyserial opens it; the event loop reads it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import termios
from collections.abc import Callable

import serial

from config.plan import Line
from config.words import LineKind
from drivers.link.direction import Ioctl, RtsSwitch, direction_of
from drivers.link.port import find_port
from drivers.link.stream import DescriptorStream, LinkError


class SerialLink(DescriptorStream):
    """Exclusive use, raw mode. Opens pseudo-terminals as well as real ports.

    After an unplug the descriptor reads an error or end of file, `on_lost` is called, and `open`
    works again as soon as the device is back, under whatever node (`find_port`).

    Direction of RS-485: see `direction`. A panel's own port, and one that nobody turns around,
    has RTS set and left alone; converters that live on its current need that.
    """

    def __init__(
        self,
        line: Line,
        on_bytes: Callable[[bytes], None],
        on_lost: Callable[[str], None],
        *,
        ioctl: Ioctl = fcntl.ioctl,
    ) -> None:
        super().__init__(on_bytes, on_lost)
        self._line = line
        self._ioctl = ioctl
        self._switch: RtsSwitch | None = None

    async def open(self) -> None:
        """Open the port. Raises LinkError when it is missing, refused or in use."""
        try:
            port = serial.Serial(
                find_port(self._line.serial_port),
                self._line.baud,
                bytesize=self._line.data_bits,
                parity=self._line.parity,
                stopbits=self._line.stop_bits,
                timeout=0,
                # VMIN=1, VTIME=0: an empty port reads EAGAIN, so that end of file means unplugged.
                inter_byte_timeout=0,
                exclusive=True,
            )
        except (OSError, ValueError, termios.error) as e:  # SerialException is an OSError
            text, zh = _reason(e)
            port_name = self._line.serial_port
            raise LinkError(
                f"serial port {port_name}: {text}", f"串口 {port_name}：{zh}", in_use=_locked(e)
            ) from e
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            # USB adapters hold bytes back for up to 16 ms; a pseudo-terminal cannot be told.
            port.set_low_latency_mode(True)
        fd = port.fileno()
        self._switch = None
        if self._line.kind == LineKind.RS485:
            try:
                self._switch = direction_of(fd, self._line, self._ioctl)
            except LinkError:
                port.close()
                raise
        if self._switch is None:
            with contextlib.suppress(OSError, termios.error):
                port.rts = True

        def close() -> None:
            if self._switch is not None:
                self._switch.stop()
            with contextlib.suppress(OSError, termios.error):
                # Unsent bytes of a dead line must not hold the close for the kernel's 30 s.
                termios.tcflush(fd, termios.TCIOFLUSH)
            with contextlib.suppress(OSError):
                port.close()

        self.attach(fd, close)

    def write(self, data: bytes) -> None:
        """As DescriptorStream.write, with the transceiver turned around for it."""
        switch = self._switch
        if switch is None or not self.up:
            super().write(data)
            return
        switch.before()
        super().write(data)
        if self.up:
            switch.after(len(data))


def _locked(e: Exception) -> bool:
    return "exclusively lock" in str(e)  # pyserial's words for a lock that another holds


def _reason(e: Exception) -> tuple[str, str]:
    """Why a port does not open, in English and Chinese."""
    text = str(e)
    if _locked(e):
        return (
            "in use by another process; a line has one master",
            "已被其他进程占用；一条线路只能有一个主站",
        )
    number = e.errno if isinstance(e, OSError) else None
    if number == errno.ENOENT:
        return (
            "there is no such port (is the adapter plugged in?)",
            "端口不存在（适配器是否已插好？）",
        )
    if number in (errno.EACCES, errno.EPERM):
        return (
            "this user may not open it; join the group of the port (ls -l shows it), or use sudo",
            "当前用户无权打开；请加入该端口所属的用户组（用 ls -l 查看），或使用 sudo",
        )
    return text, f"无法打开：{text}"
