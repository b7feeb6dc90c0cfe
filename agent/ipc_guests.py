"""What people's clients may cost: plain requests only, and a bounded share of the loop.

The field process decides and sounds sirens in the same loop that answers people. However many
clients ask however fast, their requests get IPC_TURN_NS at a time, one request of each client in
turn, and then everything else has as long.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from config.limits import IPC_REQUEST_DEPTH_MAX, IPC_REQUEST_ITEMS_MAX, IPC_TURN_NS


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

    def serve_one(self) -> bool:
        """Answer one request; whether there may be another one."""


class Turns:
    """Guests in turn. Nothing runs while nobody asks."""

    def __init__(self, mono_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._mono_ns = mono_ns
        self._waiting: dict[Guest, None] = {}  # in order of arrival, each once
        self._spent_ns = 0  # since the last rest
        self._ended_ns = 0
        self._rest: asyncio.TimerHandle | None = None

    def want(self, guest: Guest) -> None:
        """Serve it now, or in its turn."""
        self._waiting[guest] = None
        if self._rest is None:
            self._turn()

    def stop(self) -> None:
        """Serve nobody any more."""
        self._waiting.clear()
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None

    def _turn(self) -> None:
        self._rest = None
        began_ns = now_ns = self._mono_ns()
        if began_ns - self._ended_ns > IPC_TURN_NS:
            self._spent_ns = 0
        end_ns = began_ns + IPC_TURN_NS - self._spent_ns
        while self._waiting and (now_ns < end_ns or now_ns == began_ns):
            guest = next(iter(self._waiting))
            del self._waiting[guest]
            if guest.serve_one():
                self._waiting[guest] = None
            now_ns = self._mono_ns()
        self._spent_ns += now_ns - began_ns
        self._ended_ns = now_ns
        if self._spent_ns >= IPC_TURN_NS or self._waiting:
            loop = asyncio.get_running_loop()
            self._rest = loop.call_later(self._spent_ns / 1e9, self._turn)
            self._spent_ns = 0
