"""The other end of the field socket's subscription: the picture, kept up to date.

Needed by `embergate top` and by whatever else shows a gateway; see agent.field.fanout for what
comes over the socket.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.ipc import Client, Message
from agent.names import all_names


class Viewer:
    """Arrays of all points and zones as the gateway showed them last."""

    def __init__(self) -> None:
        self.client: Client | None = None
        self.changed = asyncio.Event()
        self.seq = 0  # of the last picture, 0 before the first
        self.whole = False  # every page came
        self.status: dict[str, Any] = {}
        self.outputs: list[dict[str, Any]] = []
        self.panels: list[dict[str, Any]] = []
        self.lines: list[list[Any]] = []
        self.now: list[int] = [0, 0, 0]
        self.names: list[str] = []
        self.units: list[str] = []
        self.states: list[bool] = []  # whether the value of a point is a set of flags
        self.zone_names: list[str] = []
        self.zone_needed: list[int] = []
        self._pages = 0

    @classmethod
    async def connect(cls, path: Path) -> Viewer:
        """Subscribe, and learn the names. Raises IpcError, Refused, TimeoutError."""
        viewer = cls()
        viewer.client = client = await Client.connect(path, viewer.take)
        try:
            for of, names, more in (
                ("points", viewer.names, viewer.units),
                ("zones", viewer.zone_names, viewer.zone_needed),
            ):
                states = viewer.states if of == "points" else None
                await all_names(client, of, names, more, states)
            viewer._make(len(viewer.names), len(viewer.zone_names))
            await client.call("subscribe")
        except BaseException:
            client.close()
            raise
        return viewer

    def close(self) -> None:
        """End it."""
        if self.client is not None:
            self.client.close()

    def _make(self, points: int, zones: int) -> None:
        self.values: NDArray[np.float32] = np.full(points, np.nan, np.float32)
        self.flags: NDArray[np.uint32] = np.zeros(points, np.uint32)
        self.qualities: NDArray[np.uint8] = np.ones(points, np.uint8)
        self.zone_flags: NDArray[np.uint32] = np.zeros(zones, np.uint32)
        self.zone_votes: NDArray[np.uint32] = np.zeros(zones, np.uint32)
        self.zone_healthy: NDArray[np.uint32] = np.zeros(zones, np.uint32)

    def take(self, message: Message) -> None:
        """One message of the subscription."""
        kind = message.get("e")
        if kind == "page":
            first = message["first"]
            count = len(message["qualities"])
            self._put(slice(first, first + count), message)
            self._pages += count
        elif kind == "view":
            for key in ("status", "outputs", "panels", "lines", "now"):
                setattr(self, key, message[key])
            points, zones = message["points"], message["zones"]
            self._put(_u4(points["at"]), points)
            at = _u4(zones["at"])
            self.zone_flags[at] = _u4(zones["flags"])
            self.zone_votes[at] = _u4(zones["votes"])
            self.zone_healthy[at] = _u4(zones["healthy"])
            self.whole = self._pages >= len(self.names)
            self.seq = message["seq"]
            self.changed.set()

    def _put(self, at: slice | NDArray[np.uint32], columns: Message) -> None:
        self.values[at] = np.frombuffer(columns["values"], "<f4")
        self.flags[at] = _u4(columns["flags"])
        self.qualities[at] = np.frombuffer(columns["qualities"], np.uint8)


def _u4(data: bytes) -> NDArray[np.uint32]:
    return np.frombuffer(data, "<u4")
