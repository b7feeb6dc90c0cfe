"""One picture of the gateway for all viewers: made once an interval, outside the cycle.

A viewer first gets pages with every point, then each interval what changed since. Every message is
encoded once and its bytes go to all, so that ten viewers cost hardly more than one; who does not
read is dropped and has to come again.

Messages, columns packed little-endian: {"e": "page", "seq", "first", "values": f4, "flags": u4,
"qualities": u1} from a point on; {"e": "view", "seq", "now", "status" (agent.core.view.head),
"outputs", "panels", "lines", "points": {"at": u4, "values", "flags", "qualities"}, "zones":
{"at": u4, "flags": u4, "votes": u4, "healthy": u4}}. A viewer's first "view" has all zones, and
follows its pages. Names do not change and are asked for with the verb `names`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core import view
from agent.field.runtime import Runtime
from agent.ipc import Connection, Message, encode_message
from config.limits import FANOUT_NS, FANOUT_PAGE, FANOUT_UNSENT_BYTES_MAX

_Column = NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Picture:
    """What was sent last: values as the bits of a float32, so that not-a-number equals itself."""

    values: _Column
    flags: _Column
    qualities: _Column
    zones: _Column  # [3, z]: flags, votes, healthy


class Fanout:
    """The viewers. Nothing is made while there are none."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._viewers: set[Connection] = set()
        self._new: set[Connection] = set()
        self._last: Picture | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._seq = 0
        self.cost_ns_max = 0

    def add(self, connection: Connection) -> Message:
        """One more viewer; its pages come with the next picture."""
        if connection not in self._viewers and connection not in self._new:
            self._new.add(connection)
            connection.on_close.append(lambda: self._leave(connection))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(0, self._tick)
        return {
            "interval_ns": FANOUT_NS,
            "points": len(self._runtime.plan.points),
            "zones": len(self._runtime.plan.zones),
        }

    @property
    def running(self) -> bool:
        """Whether there is a next picture to come."""
        return self._timer is not None

    def told(self) -> dict[str, Any]:
        """For the status."""
        viewers = len(self._viewers) + len(self._new)
        return {"viewers": viewers, "cost_ms_max": round(self.cost_ns_max / 1e6, 2)}

    def stop(self) -> None:
        """Make no more pictures."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _leave(self, connection: Connection) -> None:
        self._viewers.discard(connection)
        self._new.discard(connection)

    def _tick(self) -> None:
        if not self._viewers and not self._new:
            self._timer = self._last = None
            return
        # First of all the next one: a defect below must not leave viewers with a picture that
        # looks alive.
        self._timer = asyncio.get_running_loop().call_later(FANOUT_NS / 1e9, self._tick)
        began_ns = time.monotonic_ns()
        self._seq += 1
        picture = self._take()
        shared = self._shared()
        new, self._new = self._new, set()
        if self._viewers and self._last is not None:
            _send(self._viewers, [encode_message({**shared, **_changes(self._last, picture)})])
        if new:
            self._viewers |= new
            _send(new, [*self._pages(picture), encode_message({**shared, **_all_zones(picture)})])
        self._last = picture
        self.cost_ns_max = max(self.cost_ns_max, time.monotonic_ns() - began_ns)

    def _take(self) -> Picture:
        state = self._runtime.state
        zones = np.stack([state.zones.flags, state.zones.votes, state.zones.healthy])
        return Picture(
            values=state.image.value.astype(np.float32).view(np.uint32),
            flags=view.shown_flags(state),
            qualities=view.shown_qualities(state),
            zones=zones.astype(np.uint32),
        )

    def _shared(self) -> Message:
        runtime = self._runtime
        now = runtime.clock.now()
        parts = view.around(runtime.state, now)
        return {
            "e": "view",
            "seq": self._seq,
            "now": [now.mono_ns, now.wall_ns, int(now.clock)],
            "status": view.head(runtime.state, now),
            **parts,
            "lines": [
                [line.name, up]
                for line, up in zip(runtime.plan.lines, runtime.lines_up(), strict=True)
            ],
        }

    def _pages(self, picture: Picture) -> list[bytes]:
        return [
            encode_message({"e": "page", "seq": self._seq, "first": k, **_columns(picture, part)})
            for k in range(0, len(picture.flags), FANOUT_PAGE)
            for part in (slice(k, k + FANOUT_PAGE),)
        ]


def _send(viewers: set[Connection], messages: list[bytes]) -> None:
    for connection in list(viewers):
        for message in messages:
            if not connection.send_encoded(message, FANOUT_UNSENT_BYTES_MAX):
                break


def _columns(picture: Picture, at: slice | NDArray[np.intp]) -> Message:
    return {
        "values": picture.values[at].astype("<u4").tobytes(),
        "flags": picture.flags[at].astype("<u4").tobytes(),
        "qualities": picture.qualities[at].astype("u1").tobytes(),
    }


def _changes(last: Picture, picture: Picture) -> Message:
    points = np.flatnonzero(
        (last.values != picture.values)
        | (last.flags != picture.flags)
        | (last.qualities != picture.qualities)
    )
    zones = np.flatnonzero((last.zones != picture.zones).any(axis=0))
    return {
        "points": {"at": points.astype("<u4").tobytes(), **_columns(picture, points)},
        "zones": _zone_columns(picture, zones),
    }


def _all_zones(picture: Picture) -> Message:
    nothing = np.empty(0, np.intp)
    return {
        "points": {"at": b"", **_columns(picture, nothing)},
        "zones": _zone_columns(picture, np.arange(picture.zones.shape[1])),
    }


def _zone_columns(picture: Picture, at: NDArray[np.intp]) -> Message:
    flags, votes, healthy = (row[at].astype("<u4").tobytes() for row in picture.zones)
    return {"at": at.astype("<u4").tobytes(), "flags": flags, "votes": votes, "healthy": healthy}
