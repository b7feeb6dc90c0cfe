"""What both kinds of link are: a non-blocking descriptor that the event loop watches.

A bus master needs to empty the receive buffer at the very moment before it sends, and to see
bytes with no copy of them queued elsewhere. The stream layers of asyncio read ahead into buffers
of their own, so a link reads its descriptor itself.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Protocol

from config.limits import LINE_BUFFER_BYTES_MAX, LINK_WRITE_BYTES_MAX

_DRAIN_READS_MAX = 4  # a line that babbles faster than this is jammed; draining must end


class LinkError(Exception):
    """A link could not be opened. The text says what was tried and what was found.

    zh: the same in Chinese; without it the English text stands for both. in_use: somebody else
    has it.
    """

    def __init__(self, text: str, zh: str = "", *, in_use: bool = False) -> None:
        super().__init__(text)
        self.zh = zh or text
        self.in_use = in_use

    def text(self, lang: str) -> str:
        """In that language."""
        return self.zh if lang == "zh" else str(self)


class Link(Protocol):
    """A byte stream that is opened, used and opened again."""

    up: bool

    async def open(self) -> None:
        """Open the stream. Raises LinkError; bounded in time."""

    def write(self, data: bytes) -> None:
        """Send `data`. A failure is told through `on_lost`, later or at once."""

    def drain(self) -> bytes:
        """Take what has arrived and was not read yet, without waiting."""

    def close(self) -> None:
        """Close; tells nobody, and may be called at any time."""


class DescriptorStream:
    """Reading and writing on a descriptor.

    on_bytes: called with what arrived, never with b"". on_lost: called once, with the reason,
    when the other side is gone; the descriptor is closed by then. Both are called by the loop.
    """

    def __init__(self, on_bytes: Callable[[bytes], None], on_lost: Callable[[str], None]) -> None:
        self._on_bytes = on_bytes
        self._on_lost = on_lost
        self._fd = -1
        self._close: Callable[[], None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsent = b""
        self.up = False

    def attach(self, fd: int, close: Callable[[], None]) -> None:
        """Use the non-blocking `fd`; `close` closes it."""
        assert not self.up
        self._fd = fd
        self._close = close
        self._unsent = b""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(fd, self._readable)
        self.up = True

    def close(self) -> None:
        """Stop watching and close."""
        self._detach()

    def _detach(self) -> None:
        if not self.up:
            return
        self.up = False
        assert self._loop is not None
        assert self._close is not None
        self._loop.remove_reader(self._fd)
        self._loop.remove_writer(self._fd)
        self._fd = -1
        self._close()
        self._close = None

    def write(self, data: bytes) -> None:
        """Send all of `data`, or lose the link: a request is never sent in part."""
        if not self.up:
            return
        if self._unsent:
            # The last request has not left yet: nobody takes what we send.
            self._lost_soon("the other side takes no data")
            return
        assert len(data) <= LINK_WRITE_BYTES_MAX
        self._send(data)

    def drain(self) -> bytes:
        """Take what has arrived and was not read yet; at most _DRAIN_READS_MAX buffers full."""
        taken = b""
        for _ in range(_DRAIN_READS_MAX):
            if not self.up:
                break
            try:
                data = os.read(self._fd, LINE_BUFFER_BYTES_MAX)
            except (BlockingIOError, InterruptedError):
                break
            except OSError as e:
                self._lost_soon(e.strerror or str(e))
                break
            if not data:
                self._lost_soon("closed by the other side")
                break
            taken += data
        return taken

    def _send(self, data: bytes) -> None:
        assert self._loop is not None
        try:
            sent = os.write(self._fd, data)
        except (BlockingIOError, InterruptedError):
            sent = 0
        except OSError as e:
            self._lost_soon(e.strerror or str(e))
            return
        rest = data[sent:]
        if rest and not self._unsent:
            self._loop.add_writer(self._fd, self._writable)
        elif self._unsent and not rest:
            self._loop.remove_writer(self._fd)
        self._unsent = rest

    def _writable(self) -> None:
        if self.up and self._unsent:
            self._send(self._unsent)

    def _readable(self) -> None:
        if not self.up:
            return
        try:
            data = os.read(self._fd, LINE_BUFFER_BYTES_MAX)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as e:
            self._lost(e.strerror or str(e))
            return
        if data:
            self._on_bytes(data)
        else:
            self._lost("closed by the other side")

    def _lost_soon(self, text: str) -> None:
        """Close now, tell from the loop: the caller is in the middle of something."""
        assert self._loop is not None
        self._detach()
        self._loop.call_soon(self._on_lost, text)

    def _lost(self, text: str) -> None:
        self._detach()
        self._on_lost(text)
