"""Hears a line without a word of its own: chunks with their times, for listening and recording."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from agent.commission.lines import ToolError
from config.limits import S
from config.plan import Line
from config.words import LineKind
from drivers.link.opening import open_link
from drivers.link.stream import LinkError
from drivers.modbus.line_file import Chunk


async def overhear(
    line: Line, chunk: Callable[[Chunk], None], wait_ns: int,
    *, mono_ns: Callable[[], int] = time.monotonic_ns,
) -> None:  # fmt: skip
    """Tell every chunk of bytes, times counted from the first one, for `wait_ns`.

    Nothing is ever written to the line. Raises ToolError when it cannot be opened or is lost.
    """
    if line.kind == LineKind.TCP:
        raise ToolError(
            f"{line.name}: nobody else's requests can be heard on a TCP connection; "
            "a serial port beside the master can",
            f"{line.name}：TCP 连接上听不到其他主站的请求；请在主站旁并接串口",
        )
    ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    first_ns = 0

    def came(data: bytes) -> None:
        nonlocal first_ns
        now_ns = mono_ns()
        first_ns = first_ns or now_ns
        chunk(Chunk(now_ns - first_ns, data))

    def lost(text: str) -> None:
        if not ended.done():
            ended.set_result(text)

    link = open_link(line, came, lost)
    try:
        await link.open()
    except LinkError as e:
        raise ToolError(str(e), e.zh) from e
    try:
        async with asyncio.timeout(wait_ns / S):
            text = await ended
        raise ToolError(f"{line.name}: {text}")
    except TimeoutError:
        return
    finally:
        link.close()
