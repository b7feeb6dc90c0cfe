"""An event loop that wakes to the microsecond.

epoll counts whole milliseconds and rounds up, which on a fast line costs a tenth of all
transactions: the silence above 19,200 baud is 1.75 ms, and a wait for it ends at 2 or 3 ms. An
epoll descriptor can itself be waited for, with `select`, whose timeout counts microseconds; that
is one more system call for each sleep, and no spinning.
"""

from __future__ import annotations

import asyncio
import select
import selectors
from typing import Any


class FineSelector(selectors.EpollSelector):
    """epoll with timeouts as short as they are asked for."""

    def __init__(self) -> None:
        super().__init__()
        # Made before anything is watched, so the number is small: select takes none above 1,023.
        assert self.fileno() < 1_024, "the loop is made before a thousand files are open"

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        """As EpollSelector.select; `timeout` in s."""
        if timeout is not None and timeout > 0:
            ready, _, _ = select.select((self.fileno(),), (), (), timeout)
            if not ready:
                return []
            timeout = 0
        return super().select(timeout)


def new_loop() -> asyncio.AbstractEventLoop:
    """A loop for a process that owns lines; give it to asyncio.Runner as its loop_factory."""
    return asyncio.SelectorEventLoop(FineSelector())
