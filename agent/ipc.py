"""Unix sockets between the processes: length-prefixed CBOR, size caps, SO_PEERCRED, one verb table.

A message is a u32 big-endian length and a CBOR map. Requests carry a verb and a number
`{"v": verb, "n": number, ...}`, replies repeat the number `{"n": number, "ok": true, ...}` or
`{"n": number, "ok": false, "error": code, "text": text}`; what a server tells on its own is
`{"e": event, ...}`. Who may use which verb follows from the peer's user id, which the kernel
vouches for; nothing in a message can raise it.

Who is no process of the gateway is a guest: people's clients. Their requests are small and plain,
are read one at a time, share a bounded part of the loop (agent.ipc_guests), and wait while their
own replies are not read. Bytes that are not the protocol get a word of refusal and the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

import cbor2

from agent.ipc_guests import NotPlain, Turns, must_be_plain
from agent.ipc_roles import Peer, Policy, Role, system_policy
from config.limits import (
    IPC_CLIENTS_MAX,
    IPC_CLIENTS_OF_USER_MAX,
    IPC_CLIENTS_RESERVED,
    IPC_MESSAGE_BYTES_MAX,
    IPC_PARTIAL_NS_MAX,
    IPC_PENDING_REQUESTS_MAX,
    IPC_REQUEST_BYTES_MAX,
    IPC_REQUEST_WAIT_NS,
    IPC_SEND_BUFFER_BYTES_MAX,
)

__all__ = [
    "Client", "Connection", "Handler", "IpcError", "Message", "MessageDecoder", "Peer", "Policy",
    "Refused", "Role", "Server", "encode_message", "system_policy",
]  # fmt: skip

Message = dict[str, Any]
_LENGTH = struct.Struct(">I")


class IpcError(Exception):
    """The socket cannot be used: absent, closed, or its bytes are not the protocol."""


class Refused(Exception):  # noqa: N818 -- it is an answer, not a failure of the program
    """A request that was understood and refused."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


def encode_message(message: Message) -> bytes:
    """One message on the wire. Raises ValueError when it is larger than the cap."""
    body = cbor2.dumps(message)
    if len(body) > IPC_MESSAGE_BYTES_MAX:
        raise ValueError(f"a message of {len(body)} bytes exceeds {IPC_MESSAGE_BYTES_MAX}")
    return _LENGTH.pack(len(body)) + body


class MessageDecoder:
    """Bytes in, messages out. Raises IpcError once; the stream cannot be resumed after it."""

    def __init__(self, bytes_max: int = IPC_MESSAGE_BYTES_MAX, *, plain: bool = False) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max
        self._plain = plain

    @property
    def waiting(self) -> int:
        """Bytes that are here and not yet a message that was taken."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """All messages that `data` completes."""
        self.put(data)
        return list(iter(self.take, None))

    def put(self, data: bytes) -> None:
        """Bytes arrived."""
        self._buffer += data

    def take(self) -> Message | None:
        """The next whole message; None when there is none yet."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._bytes_max:
            raise IpcError(f"expected at most {self._bytes_max} bytes, found {length}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        if self._plain:
            try:
                must_be_plain(body)
            except NotPlain as e:
                raise IpcError(f"a request is not plain: {e}") from e
        return _decode(body)


def _decode(body: bytes) -> Message:
    try:
        message = cbor2.loads(body)
    except Exception as e:  # cbor2 raises many types on hostile bytes
        raise IpcError("a message is not CBOR") from e
    if not isinstance(message, dict) or not all(isinstance(k, str) for k in message):
        raise IpcError("a message is not a map with text keys")
    return message


class Connection(asyncio.Protocol):
    """One peer of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._decoder = MessageDecoder()
        self._transport: asyncio.Transport | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._guest = False
        self._unread = False  # its own replies are not read: it is not served meanwhile
        self._partial: asyncio.TimerHandle | None = None
        self.peer = Peer(0, -1, -1)
        self.roles = Role.NONE
        self.last_order = -1  # number of the last order that was taken from it
        self.on_close: list[Callable[[], None]] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Learn who it is; a client too many is closed at once."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        sock = transport.get_extra_info("socket")
        self.peer = _peer_of(sock)
        self.roles = self._server.policy.roles(self.peer)
        self._guest = self._server.guests or not self.roles & (Role.FIELD | Role.COURIER)
        if self._guest:
            self._decoder = MessageDecoder(IPC_REQUEST_BYTES_MAX, plain=True)
        if not self._server.admit(self):
            transport.abort()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Drop what waits for it."""
        self._transport = None
        self._expect_rest(partial=False)
        self._server.forget(self)
        for task in list(self._pending):
            task.cancel()
        for callback in self.on_close:
            callback()

    def data_received(self, data: bytes) -> None:
        """Answer what is complete; bytes that are not the protocol end the connection."""
        if self._guest:
            self._decoder.put(data)
            assert self._transport is not None
            self._transport.pause_reading()  # until what it said is answered
            self._server.turns.want(self)
            return
        try:
            messages = self._decoder.feed(data)
        except IpcError:
            self.close()
            return
        for message in messages:
            self._request(message)

    def pause_writing(self) -> None:
        """Its replies pile up: a guest is not served until it reads them."""
        self._unread = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._unread = False
        if self._guest:
            self._server.turns.want(self)

    def serve_one(self) -> bool:
        """Answer one request of a guest; whether there may be another one."""
        if self._transport is None or self._transport.is_closing() or self._unread:
            return False
        try:
            message = self._decoder.take()
        except IpcError as e:
            self.refuse("malformed", str(e))
            return False
        if message is None:
            self._expect_rest(partial=self._decoder.waiting > 0)
            self._transport.resume_reading()
            return False
        self._expect_rest(partial=False)
        self._request(message)
        return True

    def _expect_rest(self, *, partial: bool) -> None:
        """The rest of a request that was begun must come in time, byte by byte or not."""
        if not partial and self._partial is not None:
            self._partial.cancel()
            self._partial = None
        elif partial and self._partial is None:
            wait_s = IPC_PARTIAL_NS_MAX / 1e9
            self._partial = asyncio.get_running_loop().call_later(
                wait_s, self.refuse, "slow", f"a request that is not whole after {wait_s:.0f} s"
            )

    def refuse(self, code: str, text: str) -> None:
        """Say why, and end the connection."""
        if self._transport is None or self._transport.is_closing():
            return
        self.send({"e": "refused", "error": code, "text": text})
        self._transport.close() if not self._unread else self._transport.abort()

    def send(self, message: Message) -> bool:
        """Queue a message; False, and the connection is closed, when the peer does not read."""
        return self.send_encoded(encode_message(message))

    def send_encoded(self, data: bytes, unsent_max: int = IPC_SEND_BUFFER_BYTES_MAX) -> bool:
        """Queue a message that `encode_message` made, perhaps for many; else as `send`."""
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > unsent_max:
            self.close()
            return False
        self._transport.write(data)
        return True

    @property
    def unsent_bytes(self) -> int:
        """What the peer has not yet taken."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    @property
    def unread_bytes(self) -> int:
        """What it sent and was not yet served."""
        return self._decoder.waiting

    def close(self) -> None:
        """End it without waiting for the peer."""
        if self._transport is not None:
            self._transport.abort()

    def _request(self, message: Message) -> None:
        verb, number = message.get("v"), message.get("n")
        entry = self._server.verbs.get(verb) if isinstance(verb, str) else None
        try:
            if entry is None:
                raise Refused("unknown_verb", f"no verb is called {verb!r}")
            role, handler = entry
            if not self.roles & role:
                raise Refused("forbidden", f"user {self.peer.uid} may not use '{verb}'")
            if len(self._pending) >= IPC_PENDING_REQUESTS_MAX:
                raise Refused("busy", "too many requests under way")
            result = handler(self, message)
        except Refused as e:
            self._reply(number, e)
            return
        except (KeyError, TypeError, ValueError) as e:
            self._reply(number, Refused("malformed", f"'{verb}': {type(e).__name__} {e}"))
            return
        if inspect.isawaitable(result):
            task = asyncio.ensure_future(self._later(number, str(verb), result))
            self._pending.add(task)
            task.add_done_callback(self._pending.discard)
        else:
            self._reply(number, result)

    async def _later(self, number: Any, verb: str, result: Awaitable[Message]) -> None:
        try:
            self._reply(number, await result)
        except Refused as e:
            self._reply(number, e)
        except (KeyError, TypeError, ValueError) as e:
            self._reply(number, Refused("malformed", f"'{verb}': {type(e).__name__} {e}"))

    def _reply(self, number: Any, result: Message | Refused) -> None:
        if not isinstance(number, int):
            return  # sent without a number: nobody waits for an answer
        if isinstance(result, Refused):
            self.send({"n": number, "ok": False, "error": result.code, "text": result.text})
        else:
            self.send({"n": number, "ok": True, **result})


Handler = Callable[[Connection, Message], Message | Awaitable[Message]]


class Server:
    """A listening socket and its verb table. guests: everybody is one, whatever the roles."""

    def __init__(
        self,
        path: Path,
        verbs: Mapping[str, tuple[Role, Handler]],
        policy: Policy,
        *,
        guests: bool = False,
    ) -> None:
        self.path = path
        self.verbs = verbs
        self.policy = policy
        self.guests = guests
        self.turns = Turns()
        self.connections: set[Connection] = set()
        self._server: asyncio.AbstractServer | None = None

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more client.

        Places are kept for the gateway's own processes: people's clients, however many, must not
        keep the field process from its record or a courier from the fire call.
        """
        most = IPC_CLIENTS_MAX
        if not connection.roles & (Role.FIELD | Role.COURIER):
            most -= IPC_CLIENTS_RESERVED
        if len(self.connections) >= most:
            return False
        if not connection.roles & (Role.FIELD | Role.COURIER):
            same = sum(1 for c in self.connections if c.peer.uid == connection.peer.uid)
            if same >= IPC_CLIENTS_OF_USER_MAX:
                return False
        self.connections.add(connection)
        return True

    def forget(self, connection: Connection) -> None:
        """A client is gone."""
        self.connections.discard(connection)

    async def start(self) -> None:
        """Listen. A socket file that an earlier process left is replaced, any other file is not.

        Raises IpcError.
        """
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self.path.lstat().st_mode):
                raise IpcError(f"{self.path}: expected a socket or nothing, found another file")
            self.path.unlink()
        loop = asyncio.get_running_loop()
        old_mask = os.umask(0o117)  # rw for user and group: the directory decides who gets here
        try:
            self._server = await loop.create_unix_server(lambda: Connection(self), str(self.path))
        except OSError as e:
            raise IpcError(f"{self.path}: {e.strerror or e}") from e
        finally:
            os.umask(old_mask)

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._server is None:
            return  # what is at the path is not ours
        self._server.close()
        self.turns.stop()
        for connection in list(self.connections):
            connection.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


class Client(asyncio.Protocol):
    """The asking end. Use `await Client.connect(...)`."""

    def __init__(self, on_event: Callable[[Message], None] | None) -> None:
        self._on_event = on_event
        self._decoder = MessageDecoder()
        self._transport: asyncio.Transport | None = None
        self._waiting: dict[int, asyncio.Future[Message]] = {}
        self._number = 0
        self._end = "the other process closed the connection"
        self.closed = asyncio.Event()

    @classmethod
    async def connect(cls, path: Path, on_event: Callable[[Message], None] | None = None) -> Client:
        """Connect to a server's socket. Raises IpcError when nobody listens there."""
        loop = asyncio.get_running_loop()
        try:
            _, client = await loop.create_unix_connection(lambda: cls(on_event), str(path))
        except OSError as e:
            raise IpcError(f"{path}: {e.strerror or e}; is the process running?") from e
        return client

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, _exc: Exception | None) -> None:
        """Nobody will answer any more."""
        self._transport = None
        self.closed.set()
        for future in list(self._waiting.values()):
            if not future.done():
                future.set_exception(IpcError(self._end))

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
                    self._end = f"refused ({message.get('error')}): {message.get('text')}"
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
            future.set_exception(IpcError("the connection is closed or its buffer is full"))
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
        if self._transport is not None:
            self._transport.abort()

    def _write(self, message: Message) -> bool:
        if self._transport is None or self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size() > IPC_SEND_BUFFER_BYTES_MAX:
            return False
        self._transport.write(encode_message(message))
        return True


def _peer_of(sock: socket.socket) -> Peer:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Peer(*struct.unpack("3i", raw))
