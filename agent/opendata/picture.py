"""The gateway as the field process shows it, without numpy: these processes stay small.

The messages are those of agent.field.fanout. What changed since it was last asked is remembered,
so that a site of ten thousand points costs what moves in it.
"""

from __future__ import annotations

import asyncio
import logging
import random
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agent.courier.backoff import Backoff
from agent.ipc import Client, IpcError, Message, Refused
from agent.names import all_names
from config.limits import RECONNECT_WAIT_NS_MAX, RECONNECT_WAIT_NS_MIN, S
from config.opendata_limits import OPENDATA_SILENT_NS
from config.words import Quality

log = logging.getLogger("embergate.opendata")


class Picture:
    """All points and zones as shown last. points, zones: what moved since `forget_moves`."""

    def __init__(self, names: Sequence[str], zone_names: Sequence[str]) -> None:
        self.names = names
        self.units: list[str] = []
        self.zone_names = zone_names
        self.zone_needed: list[int] = []
        self.values = array("f", [float("nan")]) * len(names)
        self.flags = array("I", [0]) * len(names)
        self.qualities = bytearray([Quality.NOT_READY]) * len(names)
        self.zone_flags = array("I", [0]) * len(zone_names)
        self.zone_votes = array("I", [0]) * len(zone_names)
        self.zone_healthy = array("I", [0]) * len(zone_names)
        self.status: dict[str, Any] = {}
        self.outputs: list[dict[str, Any]] = []
        self.panels: list[dict[str, Any]] = []
        self.lines: list[list[Any]] = []
        self.now: list[int] = [0, 0, 0]
        self.seq = 0
        self.whole = False
        self.points_moved: set[int] = set()
        self.zones_moved: set[int] = set()
        self._came = 0

    def take(self, message: Message) -> bool:
        """One message of the subscription; whether it ends a picture."""
        kind = message.get("e")
        if kind == "page":
            first = message["first"]
            self._put(range(first, first + len(message["qualities"])), message)
            self._came += len(message["qualities"])
            return False
        if kind != "view":
            return False
        for key in ("status", "outputs", "panels", "lines", "now", "seq"):
            setattr(self, key, message[key])
        self._put(array("I", message["points"]["at"]), message["points"])
        zones = message["zones"]
        at = array("I", zones["at"])
        for column, new in (
            (self.zone_flags, zones["flags"]),
            (self.zone_votes, zones["votes"]),
            (self.zone_healthy, zones["healthy"]),
        ):
            for k, value in zip(at, array("I", new), strict=True):
                column[k] = value
        self.zones_moved.update(at)
        self.whole = self.whole or self._came >= len(self.names)
        return self.whole

    def forget_moves(self) -> None:
        """What is to come is new."""
        self.points_moved.clear()
        self.zones_moved.clear()

    def good(self, k: int) -> bool:
        """Whether the value of a point is there and can be believed."""
        value = self.values[k]
        return self.qualities[k] == Quality.GOOD and value - value == 0.0

    def _put(self, at: Sequence[int] | array[int], columns: Message) -> None:
        values, flags = array("f", columns["values"]), array("I", columns["flags"])
        for k, value, flag, quality in zip(at, values, flags, columns["qualities"], strict=True):
            self.values[k] = value
            self.flags[k] = flag
            self.qualities[k] = quality
        self.points_moved.update(at)


class Watch:
    """Keeps a picture: subscribes, and subscribes again. `shown` is told None when it is lost."""

    def __init__(
        self, socket: Path, names: Sequence[str], rng: random.Random,
        shown: Callable[[Picture | None], None],
    ) -> None:  # fmt: skip
        self._socket = socket
        self._expected = names
        self._shown = shown
        self._backoff = Backoff(rng, RECONNECT_WAIT_NS_MIN, RECONNECT_WAIT_NS_MAX)
        self._came = asyncio.Event()
        self._told = ""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self._follow()
            except (IpcError, TimeoutError) as e:
                self._say(f"no field process: {e or 'no answer'}")
            except Refused as e:
                self._say(f"the field process refused: {e.text}")
            self._shown(None)
            await asyncio.sleep(self._backoff.next_ns() / S)

    async def _follow(self) -> None:
        names: list[str] = []
        units: list[str] = []
        zones: list[str] = []
        needed: list[int] = []
        picture: list[Picture] = []
        client = await Client.connect(self._socket, lambda m: self._take(picture, m))
        try:
            await all_names(client, "points", names, units)
            if names != list(self._expected):
                raise IpcError("it runs another plan than this process")
            await all_names(client, "zones", zones, needed)
            picture.append(Picture(self._expected, zones))
            picture[0].units, picture[0].zone_needed = units, needed
            await client.call("subscribe")
            ends = asyncio.ensure_future(client.closed.wait())
            ends.add_done_callback(lambda _: self._came.set())
            while True:
                self._came.clear()
                async with asyncio.timeout(OPENDATA_SILENT_NS / S):
                    await self._came.wait()
                if client.closed.is_set():
                    raise IpcError("it closed the socket")
                self._backoff.reset()
                self._say("")
        finally:
            client.close()  # which ends the wait for its end too

    def _take(self, picture: list[Picture], message: Message) -> None:
        if picture and picture[0].take(message):
            self._shown(picture[0])
            self._came.set()

    def _say(self, text: str) -> None:
        if text != self._told:
            self._told = text
            log.info("%s", text or "sees the field process")
