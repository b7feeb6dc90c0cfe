"""A pseudo-terminal that stands where the plan's serial port is.

The name is a symbolic link to /dev/pts/N, spelled in a way of our own (/dev/../dev/pts/N): a
link left behind by a killed simulator is recognised and nothing else is ever overwritten.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import socket
import termios
import tty
from pathlib import Path

from drivers.simulator.fields import SimulatorError

_MARK = "/dev/../dev/pts/"


class Terminal:
    """One open pair. `fd` is the device's end: raw, not blocking."""

    def __init__(self, path: Path) -> None:
        """Open the pair and make `path` a link to the master's end. Raises SimulatorError."""
        self.path = path
        self._lock = _lock(path)
        try:
            _remove_stale(path)
            self.fd, self._slave = os.openpty()
            tty.setraw(self._slave)
            os.set_blocking(self.fd, False)
            self._target = _MARK + Path(os.ttyname(self._slave)).name
            try:
                path.symlink_to(self._target)
            except OSError as e:
                os.close(self.fd)
                os.close(self._slave)
                raise SimulatorError(
                    f"{path}: cannot make the serial port's link here: {e.strerror}; "
                    "give the link a 'port' in a directory that you can write"
                ) from e
        except BaseException:
            self._lock.close()
            raise

    def release(self) -> None:
        """Let the port be opened again after a client that asked for exclusive use is gone.

        We hold the other end open for good, so the kernel never sees a last close, which is what
        would end TIOCEXCL.
        """
        fcntl.ioctl(self._slave, termios.TIOCNXCL)

    def close(self) -> None:
        """Remove the link, if it is still ours, and close the pair: a client reads end of file."""
        with contextlib.suppress(FileNotFoundError):
            if self.path.is_symlink() and str(self.path.readlink()) == self._target:
                self.path.unlink()
        os.close(self.fd)
        os.close(self._slave)
        self._lock.close()


def _lock(path: Path) -> socket.socket:
    """Hold the port's name for this process; the kernel lets go of it when the process dies."""
    absolute = os.path.realpath(path.parent) + "/" + path.name
    name = "\0embergate-simulator-" + hashlib.sha256(absolute.encode()).hexdigest()[:32]
    lock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        lock.bind(name)
    except OSError as e:
        lock.close()
        raise SimulatorError(f"{path}: another simulator serves this port; stop it first") from e
    return lock


def _remove_stale(path: Path) -> None:
    if path.is_symlink():
        target = str(path.readlink())
        if not target.startswith(_MARK):
            raise SimulatorError(
                f"{path}: expected nothing or a link of an earlier simulator, found a link to "
                f"{target}; remove it, or give the link another 'port'"
            )
        path.unlink()
    elif path.exists():
        raise SimulatorError(
            f"{path}: expected nothing, found a real device or file; it is not touched: "
            "give the link another 'port'"
        )
