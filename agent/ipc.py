"""Unix sockets between the processes: length-prefixed CBOR, size caps, SO_PEERCRED, one verb table.

A message is a u32 big-endian length and a CBOR map. Requests carry a verb and a number
`{"v": verb, "n": number, ...}`, replies repeat the number `{"n": number, "ok": true, ...}` or
`{"n": number, "ok": false, "error": code, "text": text}`; what a server tells on its own is
`{"e": event, ...}`. Who may use which verb follows from the peer's user id, which the kernel
vouches for; nothing in a message can raise it.

Who is no process of the gateway is a guest: people's clients. Their requests are small and plain,
are read one at a time, share a bounded part of the loop (agent.ipc_guests) and of the places, and
wait while their own replies are not read. Who has no role at all, and who comes too often, is
turned away at the door (agent.ipc_entrance). Bytes that are not the protocol get a word of
refusal and the end.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
import socket
import stat
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from agent.ipc_client import Client
from agent.ipc_entrance import Entrance
from agent.ipc_guests import Allowance, Turns
from agent.ipc_roles import Peer, Policy, Role, system_policy
from agent.ipc_wire import IpcError, Message, MessageDecoder, Refused, TurnedAway, encode_message
from config.limits import (
    IPC_ARRIVALS_BURST,
    IPC_ARRIVALS_PER_S,
    IPC_BACKLOG,
    IPC_CLIENTS_MAX,
    IPC_CLIENTS_OF_USER_MAX,
    IPC_CLIENTS_RESERVED,
    IPC_PARTIAL_NS_MAX,
    IPC_PENDING_REQUESTS_MAX,
    IPC_REQUEST_BYTES_MAX,
    IPC_SEND_BUFFER_BYTES_MAX,
)

__all__ = [
    "Client", "Connection", "Handler", "IpcError", "Message", "MessageDecoder", "Peer", "Policy",
    "Refused", "Role", "Server", "TurnedAway", "encode_message", "system_policy",
]  # fmt: skip


class Connection(asyncio.Protocol):
    """One peer of a server."""

    def __init__(self, server: Server, peer: Peer, roles: Role) -> None:
        self._server = server
        self._transport: asyncio.Transport | None = None
        self._pending: set[asyncio.Task[None]] = set()
        self._unread = False  # its own replies are not read: it is not served meanwhile
        self._partial: asyncio.TimerHandle | None = None
        self._ended = False
        self.peer = peer
        self.roles = roles
        self._guest = server.is_guest(roles)
        self._decoder = (
            MessageDecoder(IPC_REQUEST_BYTES_MAX, plain=True) if self._guest else MessageDecoder()
        )
        self.last_order = -1  # number of the last order that was taken from it
        self.on_close: list[Callable[[], None]] = []

    @property
    def user(self) -> int:
        """The user id of the peer."""
        return self.peer.uid

    @property
    def guest(self) -> bool:
        """Whether it is no process of the gateway's own."""
        return self._guest

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be heard and answered now."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._ended:  # its place was given away meanwhile
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
        self._ended = True
        if self._transport is None or self._transport.is_closing():
            return
        self.send_encoded(_refusal(code, text))
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
        self._ended = True
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
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.path = path
        self.verbs = verbs
        self.policy = policy
        self.guests = guests
        self.turns = Turns()
        self.connections: dict[Connection, None] = {}  # the oldest first
        self._arrivals = Allowance(IPC_ARRIVALS_PER_S, IPC_ARRIVALS_BURST, mono_ns)
        self._entrance: Entrance | None = None
        self._coming: set[asyncio.Task[None]] = set()

    def is_guest(self, roles: Role) -> bool:
        """Whether a peer with these roles is no process of the gateway's own."""
        return self.guests or not roles & (Role.FIELD | Role.COURIER)

    def forget(self, connection: Connection) -> None:
        """A client is gone."""
        self.connections.pop(connection, None)

    def turn_away(self, peer: Peer) -> bytes:
        """Why there is no room for one more client of this user; b"" when there is."""
        roles = self.policy.roles(peer)
        if not roles:
            return _refusal("forbidden", f"user {peer.uid} has no business here")
        if not self._arrivals.take(peer.uid):
            text = f"user {peer.uid}: more than {IPC_ARRIVALS_PER_S} connections a second"
            return _refusal("busy", text)
        if self._room(peer.uid, guest=self.is_guest(roles)):
            return b""
        return _refusal("busy", "too many connections; close one and try again")

    def _room(self, user: int, *, guest: bool) -> bool:
        """Places are kept for the gateway's own processes: people's clients, however many, must not
        keep the field process from its record or a courier from the fire call. When all are taken,
        who has most of them gives one to who has fewer.
        """
        own = [c for c in self.connections if c.user == user]
        if guest and len(own) >= IPC_CLIENTS_OF_USER_MAX:
            return False
        most = IPC_CLIENTS_MAX - (0 if self.guests or not guest else IPC_CLIENTS_RESERVED)
        if len(self.connections) < most:
            return True
        held: dict[int, list[Connection]] = {}
        for c in self.connections:
            if c.guest or not guest:  # a guest takes no place of a process
                held.setdefault(c.user, []).append(c)
        greedy = max(held.values(), key=len, default=[])
        if len(greedy) <= len(own) + 1:
            return False
        self.forget(greedy[-1])
        greedy[-1].refuse("busy", "its place was needed for another user")
        return True

    def _let_in(self, sock: socket.socket, peer: Peer) -> None:
        connection = Connection(self, peer, self.policy.roles(peer))
        self.connections[connection] = None
        task = asyncio.ensure_future(self._connect(sock, connection))
        self._coming.add(task)
        task.add_done_callback(self._coming.discard)

    async def _connect(self, sock: socket.socket, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.connect_accepted_socket(lambda: connection, sock)
        except OSError:  # it is gone already
            self.forget(connection)
            sock.close()

    async def start(self) -> None:
        """Listen. A socket file that an earlier process left is replaced, any other file is not.

        Raises IpcError.
        """
        with contextlib.suppress(FileNotFoundError):
            if not stat.S_ISSOCK(self.path.lstat().st_mode):
                raise IpcError(f"{self.path}: expected a socket or nothing, found another file")
            self.path.unlink()
        sock = socket.socket(socket.AF_UNIX)
        old_mask = os.umask(0o117)  # rw for user and group: the directory decides who gets here
        try:
            sock.bind(str(self.path))
            sock.listen(IPC_BACKLOG)
        except OSError as e:
            sock.close()
            raise IpcError(f"{self.path}: {e.strerror or e}") from e
        finally:
            os.umask(old_mask)
        self._entrance = Entrance(sock, self.turns, self.turn_away, self._let_in)
        self._entrance.open()

    async def stop(self) -> None:
        """Close the socket and every connection."""
        if self._entrance is None:
            return  # what is at the path is not ours
        self._entrance.close()
        self._entrance = None
        self.turns.stop()
        if self._coming:
            await asyncio.wait(self._coming)
        for connection in list(self.connections):
            connection.close()
        with contextlib.suppress(FileNotFoundError):
            self.path.unlink()


def _refusal(code: str, text: str) -> bytes:
    return encode_message({"e": "refused", "error": code, "text": text})
