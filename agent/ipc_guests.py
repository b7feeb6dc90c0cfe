"""What people's clients may cost: plain requests only, and a bounded share of the loop.

The field process decides and sounds sirens in the same loop that answers people. However many
clients come however fast and ask whatever they like, they get IPC_TURN_NS at a time, and then
everything else has as long. Half of it is for who knocks (agent.ipc_entrance); of the rest each
user has one request in turn, and of a user each client, so that whoever asks a thousand things
keeps nobody waiting for longer than one of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from config.limits import (
    IPC_REQUEST_DEPTH_MAX,
    IPC_REQUEST_ITEMS_MAX,
    IPC_TURN_NS,
    IPC_USERS_MAX,
    S,
)


class NotPlain(Exception):  # noqa: N818 -- it is an answer, not a failure of the program
    """A request has what none needs: tags, endless lengths, too many items, too deep a nest."""


def must_be_plain(body: bytes) -> None:
    """Refuse CBOR whose decoding could cost more than its length. Raises NotPlain.

    A tag makes a decoder build numbers of a million digits or compile a pattern out of ten bytes.
    """
    at, items = 0, 0
    left = [1]  # items still to come, of each level
    while left:
        if left[-1] == 0:
            left.pop()
            continue
        left[-1] -= 1
        items += 1
        if items > IPC_REQUEST_ITEMS_MAX:
            raise NotPlain(f"more than {IPC_REQUEST_ITEMS_MAX} items")
        if at >= len(body):
            raise NotPlain("it ends too early")
        major, info = body[at] >> 5, body[at] & 31
        at += 1
        if info > 27 or major == 6:
            raise NotPlain("tags and endless lengths have no place in it")
        value, at = _argument(body, at, info)
        if major in (2, 3):
            at += value
            if at > len(body):
                raise NotPlain("it ends too early")
        elif major in (4, 5):
            left.append(value * (2 if major == 5 else 1))
            if len(left) > IPC_REQUEST_DEPTH_MAX:
                raise NotPlain(f"deeper than {IPC_REQUEST_DEPTH_MAX}")
    if at != len(body):
        raise NotPlain("bytes follow it")


def _argument(body: bytes, at: int, info: int) -> tuple[int, int]:
    if info < 24:
        return info, at
    end = at + (1 << (info - 24))
    if end > len(body):
        raise NotPlain("it ends too early")
    return int.from_bytes(body[at:end], "big"), end


class Guest(Protocol):
    """A connection that may have requests waiting."""

    @property
    def user(self) -> int:
        """Whose it is."""

    def serve_one(self) -> bool:
        """Answer one request; whether there may be another one."""


class Handle(Protocol):
    """A call to come that can be taken back."""

    def cancel(self) -> None: ...


def _later(wait_ns: int, call: Callable[[], None]) -> Handle:
    return asyncio.get_running_loop().call_later(wait_ns / 1e9, call)


class Turns:
    """Guests in turn. Nothing runs while nobody asks."""

    def __init__(
        self,
        mono_ns: Callable[[], int] = time.monotonic_ns,
        later: Callable[[int, Callable[[], None]], Handle] = _later,
    ) -> None:
        self._mono_ns = mono_ns
        self._later = later
        self._waiting: dict[int, dict[Guest, None]] = {}  # of each user, in order of arrival
        self._knocks: Callable[[int], bool] | None = None
        self._spent_ns = 0  # since the last rest
        self._ended_ns = 0
        self._rest: Handle | None = None
        self._serving = False

    def want(self, guest: Guest) -> None:
        """Serve it now, or in its turn."""
        self._waiting.setdefault(guest.user, {})[guest] = None
        self._wake()

    def knock(self, let_in: Callable[[int], bool]) -> None:
        """Somebody is at the door: `let_in` until a time; it says whether there may be more."""
        self._knocks = let_in
        self._wake()

    def stop(self) -> None:
        """Serve nobody any more."""
        self._waiting.clear()
        self._knocks = None
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _wake(self) -> None:
        if self._rest is None and not self._serving:
            self._turn()

    def _turn(self) -> None:
        self._rest = None
        began_ns = self._mono_ns()
        if began_ns - self._ended_ns > IPC_TURN_NS:
            self._spent_ns = 0
        left_ns = IPC_TURN_NS - self._spent_ns
        self._serving = True
        try:
            self._serve(began_ns, left_ns)
        finally:
            self._serving = False
            self._ended_ns = self._mono_ns()
            self._spent_ns += self._ended_ns - began_ns
            waits = bool(self._waiting) or self._knocks is not None
            if self._spent_ns >= IPC_TURN_NS or waits:
                self._rest = self._later(self._spent_ns, self._turn)
                self._spent_ns = 0

    def _serve(self, began_ns: int, left_ns: int) -> None:
        knocks, self._knocks = self._knocks, None
        if knocks is not None and knocks(began_ns + left_ns // 2):
            self._knocks = knocks
        first = True
        while self._waiting and (first or self._mono_ns() < began_ns + left_ns):
            first = False
            self._serve_next()

    def _serve_next(self) -> None:
        """One request of the user who waits longest, who then waits for all others again."""
        user, guests = next(iter(self._waiting.items()))
        del self._waiting[user]
        guest = next(iter(guests))
        del guests[guest]
        if guest.serve_one():
            guests[guest] = None
        if guests:
            self._waiting[user] = {**guests, **self._waiting.get(user, {})}


class Allowance:
    """How often a user id may do something: so often a second, and so often at once."""

    def __init__(self, per_s: int, burst: int, mono_ns: Callable[[], int]) -> None:
        self._each_ns = S // per_s
        self._burst = burst
        self._mono_ns = mono_ns
        self._full_ns: dict[int, int] = {}  # user id -> when all of its burst is there again

    def take(self, user: int) -> bool:
        """Whether it may once more now."""
        now_ns = self._mono_ns()
        full_ns = max(self._full_ns.pop(user, 0), now_ns)
        allowed = full_ns - now_ns <= (self._burst - 1) * self._each_ns
        if len(self._full_ns) >= IPC_USERS_MAX:
            del self._full_ns[next(iter(self._full_ns))]
        self._full_ns[user] = full_ns + self._each_ns if allowed else full_ns
        return allowed
