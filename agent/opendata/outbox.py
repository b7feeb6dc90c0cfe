"""What is still to be published, and what is on its way. Pure.

A state is made when it leaves, so that however long the broker takes, it gets the latest and each
topic waits once: the bound is the number of topics.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

from config.opendata_limits import OPENDATA_TICK_MESSAGES, OPENDATA_WINDOW

LOUD, SOON, TREE, QUIET = range(4)  # a fire; a state; what is announced; a value that moved
Make = Callable[[str], tuple[str, bytes] | None]
"""(topic, payload) of a key, made when it leaves; None: there is nothing any more."""


class Outbox:
    """Keys in four classes. `send` answers a message id, or None when it cannot go now."""

    def __init__(self) -> None:
        self._waiting: tuple[dict[str, Make], ...] = ({}, {}, {}, {})
        self._under_way: dict[int, tuple[str, int, Make]] = {}  # by message id
        self._refused: dict[str, tuple[int, Make]] = {}  # by the broker, for now
        self._sent: dict[str, bytes] = {}  # key -> digest of what the broker has, of states
        self._budget = OPENDATA_TICK_MESSAGES

    def put(self, key: str, rank: int, make: Make) -> None:
        """A key has something new. It keeps the better of two places."""
        self._refused.pop(key, None)
        for other, waiting in enumerate(self._waiting):
            if key in waiting:
                if other <= rank:
                    waiting[key] = make
                    return
                del waiting[key]
        self._waiting[rank][key] = make

    def left(self, *ranks: int) -> int:
        """How many wait in these classes, and all that is under way."""
        return sum(len(self._waiting[rank]) for rank in ranks) + len(self._under_way)

    def tick(self) -> None:
        """A new share of messages."""
        self._budget = OPENDATA_TICK_MESSAGES

    def pump(self, send: Callable[[str, bytes], int | None], window: int, bytes_max: int) -> int:
        """Send what may go now; how many were too large for this broker."""
        large = 0
        for rank, waiting in enumerate(self._waiting):
            while waiting and self._budget > 0:
                if len(self._under_way) >= min(window, OPENDATA_WINDOW):
                    return large
                key = next(iter(waiting))
                make = waiting[key]
                made = make(key)
                if made is None or len(made[1]) + len(made[0]) + 64 > bytes_max:
                    large += made is not None
                    del waiting[key]
                    continue
                digest = blake2b(made[1], digest_size=8).digest()
                if self._sent.get(key) == digest:
                    del waiting[key]
                    continue
                mid = send(*made)
                if mid is None:
                    return large
                del waiting[key]
                self._budget -= 1
                self._under_way[mid] = (key, rank, make)
                self._sent[key] = digest
        return large

    def acknowledged(self, mid: int, *, taken: bool) -> bool:
        """The broker answered; whether the message was ours."""
        sent = self._under_way.pop(mid, None)
        if sent is not None and not taken:
            key, rank, make = sent
            self._sent.pop(key, None)
            self._refused[key] = (rank, make)
        return sent is not None

    def again(self) -> None:
        """What the broker refused is tried once more: a quota, or an access list, may be mended."""
        refused, self._refused = self._refused, {}
        for key, (rank, make) in refused.items():
            self.put(key, rank, make)

    def forget(self, key: str) -> None:
        """It goes again, even if it is the same."""
        self._sent.pop(key, None)

    def connection_lost(self) -> None:
        """The broker may have lost what it was given: nothing is known to be there."""
        for waiting in self._waiting:
            waiting.clear()
        self._under_way.clear()
        self._refused.clear()
        self._sent.clear()
