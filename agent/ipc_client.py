"""The asking end of a socket between processes."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.ipc_wire import (
    IpcError,
    Message,
    MessageDecoder,
    Refused,
    TurnedAway,
    encode_message,
)
from config.limits import (
    IPC_CONNECT_RETRY_NS,
    IPC_LAST_WORD_BYTES_MAX,
    IPC_REQUEST_WAIT_NS,
    IPC_SEND_BUFFER_BYTES_MAX,
)


class Client(asyncio.Protocol):
    """The asking end. Use `await Client.connect(...)`."""

    def __init__(self, on_event: Callable[[Message], None] | None) -> None:
        self._on_event = on_event
        self._decoder = MessageDecoder()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._number = 0
        self._why: tuple[str, str] | None = None  # it was turned away
        self._ended = False  # by this end
        self.closed = asyncio.Event()

    @classmethod
    async def connect(cls, path: Path, on_event: Callable[[Message], None] | None = None) -> Client:
        """Connect to a server's socket. Raises IpcError when nobody listens there."""
        loop = asyncio.get_running_loop()
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.setblocking(False)
            await _reach(sock, str(path))
            _, client = await loop.create_unix_connection(lambda: cls(on_event), sock=sock)
        except OSError as e:
            sock.close()
            raise IpcError(f"{path}: {e.strerror or e}; is the process running?") from e
        except BaseException:
            sock.close()
            raise
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        """Nobody will answer any more. What was said before a write failed is still read."""
        if self._transport is not None and not self._ended:
            with contextlib.suppress(OSError):
                fd = self._transport.get_extra_info("socket").fileno()
                self.data_received(os.read(fd, IPC_LAST_WORD_BYTES_MAX))
        self._transport = None
        self.closed.set()
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(self._gone())

    def data_received(self, data: bytes) -> None:
        """Hand replies to who waits, events to the callback."""
        try:
            messages = self._decoder.feed(data)
        except IpcError:
            self.close()
            return
        for message in messages:
            if "e" in message:
                if message["e"] == "refused":
                    self._why = str(message.get("error")), str(message.get("text"))
                if self._on_event is not None:
                    self._on_event(message)
            elif (future := self._waiting.get(message.get("n", -1))) and not future.done():
                future.set_result(message)

    def send(self, verb: str, **args: Any) -> bool:
        """Tell without waiting; False when the connection is gone or its buffer is full."""
        return self._write({"v": verb, **args})

    def request(self, verb: str, **args: Any) -> asyncio.Future[Message]:
        """Ask now, get the raw reply later. The future raises IpcError when none can come."""
        self._number += 1
        number = self._number
        future: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        future.add_done_callback(lambda _: self._waiting.pop(number, None))
        if not self._write({"v": verb, "n": number, **args}):
            full = IpcError("the connection is closed or its buffer is full")
            future.set_exception(full if self._why is None else self._gone())
        return future

    async def call(self, verb: str, wait_ns: int = IPC_REQUEST_WAIT_NS, **args: Any) -> Message:
        """Ask and wait. Raises Refused, IpcError, or TimeoutError after `wait_ns`."""
        async with asyncio.timeout(wait_ns / 1e9):
            reply = await self.request(verb, **args)
        if not reply.get("ok"):
            raise Refused(str(reply.get("error")), str(reply.get("text")))
        return reply

    @property
    def unsent_bytes(self) -> int:
        """What the server has not yet taken."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def close(self) -> None:
        """End the connection."""
        self._ended = True
        if self._transport is not None:
            self._transport.abort()

    def _gone(self) -> IpcError:
        if self._why is not None:
            return TurnedAway(*self._why)
        return IpcError("the other process closed the connection")

    def _write(self, message: Message) -> bool:
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > IPC_SEND_BUFFER_BYTES_MAX:
            return False
        self._transport.write(encode_message(message))
        return True


async def _reach(sock: socket.socket, path: str) -> None:
    """Connect; a queue that is full is tried again for as long as a request may wait.

    asyncio takes "try again", which is what a full queue says, for the start of a connection.
    """
    tries = IPC_REQUEST_WAIT_NS // IPC_CONNECT_RETRY_NS
    for left in range(tries, -1, -1):
        try:
            sock.connect(path)
        except BlockingIOError:
            if not left:
                raise
            await asyncio.sleep(IPC_CONNECT_RETRY_NS / 1e9)
        else:
            return
