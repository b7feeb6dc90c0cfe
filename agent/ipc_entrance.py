"""The door of a server: who may not come in is told so and is gone before anything is made for him.

A connection costs the loop a transport, a protocol and a task; to turn somebody away costs three
system calls. So the door is kept by hand: nobody who opens and closes connections as fast as he can
gets more than his rate of them, and the queue behind him stays short.
"""

from __future__ import annotations

import asyncio
import errno
import socket
import struct
import time
from collections.abc import Callable

from agent.ipc_guests import Turns
from agent.ipc_roles import Peer
from config.limits import IPC_LET_IN_AT_ONCE, IPC_NO_FILES_RETRY_NS

_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Entrance:
    """Takes connections off a listening socket, in turn with everything else that guests cost.

    `judge` says in bytes why a peer may not come in, or b"" when it may; `let_in` has the socket
    from then on.
    """

    def __init__(
        self,
        sock: socket.socket,
        turns: Turns,
        judge: Callable[[Peer], bytes],
        let_in: Callable[[socket.socket, Peer], None],
    ) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._turns = turns
        self._judge = judge
        self._let_in = let_in
        self._retry: asyncio.TimerHandle | None = None

    def open(self) -> None:
        """Wait for who comes."""
        self._retry = None
        asyncio.get_running_loop().add_reader(self._sock.fileno(), self._knocked)

    def close(self) -> None:
        """Nobody any more."""
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        if self._retry is not None:
            self._retry.cancel()
        self._sock.close()

    def _knocked(self) -> None:
        asyncio.get_running_loop().remove_reader(self._sock.fileno())
        self._turns.knock(self.take_until)

    def take_until(self, end_ns: int) -> bool:
        """Take who waits, until a monotonic time; whether there may be more."""
        let_in = 0
        while let_in < IPC_LET_IN_AT_ONCE:
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, InterruptedError):
                self.open()
                return False
            except OSError as e:
                if e.errno in _NO_ROOM:
                    wait_s = IPC_NO_FILES_RETRY_NS / 1e9
                    self._retry = asyncio.get_running_loop().call_later(wait_s, self.open)
                else:  # that one is gone already
                    self.open()
                return False
            let_in += self._take(sock)
            if time.monotonic_ns() >= end_ns:
                break
        return True

    def _take(self, sock: socket.socket) -> bool:
        sock.setblocking(False)
        peer = _peer_of(sock)
        why = self._judge(peer)
        if not why:
            self._let_in(sock, peer)
            return True
        try:
            sock.send(why)  # its buffer is empty: it fits or the peer is gone
        except OSError:
            pass
        finally:
            sock.close()
        return False


def _peer_of(sock: socket.socket) -> Peer:
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return Peer(*struct.unpack("3i", raw))
