"""A courier runs until the service manager, or somebody at a terminal, tells it to stop."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable


async def until_told(run: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run `run(stop)`; SIGTERM and SIGINT set `stop`."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await run(stop)
