"""How much of a suite runs: a slice with every run of the tests, all of it in `make crash`."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import TypeVar

from buildings import Nursery

T = TypeVar("T")
WHOLE = os.environ.get("CRASH_SUITE") == "whole"
AT_ONCE = 6
"""Records that live side by side: most of their time they wait for each other's answers."""


def tell(text: str) -> None:
    """A figure, for whoever runs the whole suite."""
    sys.stdout.write(f"\n{text}\n")


def share(everything: Iterable[T], part: int) -> list[T]:
    """All of it, or `part` of it, spread over the whole."""
    items = list(everything)
    if WHOLE or len(items) <= part:
        return items
    return [items[(2 * n + 1) * len(items) // (2 * part)] for n in range(part)]


def everyone(
    shim: Path, cases: Iterable[T], one: Callable[[Nursery, T], Awaitable[None]], wait_s: float
) -> None:
    """Run a case after the other, several side by side, all within a time."""

    async def run() -> None:
        waiting = list(cases)[::-1]

        async def work(nursery: Nursery) -> None:
            while waiting:
                await one(nursery, waiting.pop())

        async with asyncio.timeout(wait_s), Nursery(shim) as nursery, asyncio.TaskGroup() as group:
            for _ in range(min(AT_ONCE, len(waiting))):
                group.create_task(work(nursery))

    asyncio.run(run())
