"""Telemetry of kept batches, decoded on demand: the batch is the truth, rows are a view of it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from agent.receiver.store import Store
from agent.uplink import cbor
from agent.uplink.batch import Batch, decode_payload
from agent.uplink.columns import F64, count_readings, decode_columns
from agent.uplink.errors import UplinkError
from agent.uplink.minutes import decode_minutes
from agent.uplink.table import Table, TablePart, join_table
from config.limits import RECEIVER_GATEWAYS_CACHED, RECEIVER_TABLES_CACHED
from config.words import Quality


@dataclass(frozen=True, slots=True)
class Reading:
    """One value of one point. value is None when its quality is not good."""

    gateway: str
    point: int
    name: str
    unit: str
    wall_ns: int
    value: float | None
    quality: str


@dataclass(frozen=True, slots=True)
class Figures:
    """What one point did from first_ns to last_ns (Unix time). None: nothing good was measured."""

    gateway: str
    point: int
    name: str
    unit: str
    first_ns: int
    last_ns: int
    samples: int
    good: int
    minimum: float | None
    maximum: float | None
    mean: float | None


@dataclass(frozen=True, slots=True)
class Meaning:
    """A point table, ready for decoding."""

    table: Table
    steps: dict[int, F64]  # poll -> resolution of each of its points
    row: dict[int, int]  # point id -> row of the table


class Tables:
    """Point tables by gateway and hash, as far as all their parts are held."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: OrderedDict[tuple[str, bytes], Meaning] = OrderedDict()
        self._widths: OrderedDict[tuple[str, bytes], dict[int, int]] = OrderedDict()

    def get(self, gateway: str, name: bytes) -> Meaning | None:
        """A table, None while a part is missing or the parts do not make it."""
        known = self._known.get((gateway, name))
        if known is not None:
            return known
        parts = [TablePart(*row) for row in self._store.table_parts(gateway, name)]
        if not parts:
            return None
        try:
            table = join_table(parts)
        except UplinkError:
            return None
        row = {point: n for n, point in enumerate(table.ids)}
        steps = {
            poll: np.array([table.resolutions[row[p]] for p in points], dtype=np.float64)
            for poll, points in table.polls.items()
        }
        meaning = self._known[gateway, name] = Meaning(table, steps, row)
        if len(self._known) > RECEIVER_TABLES_CACHED:
            self._known.popitem(last=False)
        return meaning

    def _width(self, gateway: str, name: bytes) -> dict[int, int] | None:
        """Points of each poll: all that counting needs of a table, and small."""
        width = self._widths.get((gateway, name))
        if width is None and (meaning := self.get(gateway, name)) is not None:
            width = {poll: len(steps) for poll, steps in meaning.steps.items()}
            self._widths[gateway, name] = width
            if len(self._widths) > RECEIVER_GATEWAYS_CACHED:
                self._widths.popitem(last=False)
        return width

    def count(self, gateway: str, batch: Batch) -> int | None:
        """How many readings a telemetry batch has, from its heads alone; None: no table yet.

        Raises UplinkError when the data is not what the codec says.
        """
        width = self._width(gateway, batch.table)
        if width is None:
            return None
        return count_readings(batch.data, width)

    def _to_wall_ns(self, gateway: str, batch: Batch) -> int:
        """From the batch's monotonic stamps to Unix time, also from before the clock was set."""
        if not batch.clock:
            clocks = self._store.clocks(gateway, batch.boot)
            wall_ns = clocks.wall_ns(batch.boot, batch.mono_last_ns)
            if wall_ns is not None:
                return wall_ns - batch.mono_last_ns
        return batch.wall_ns - batch.mono_last_ns

    def decode(self, gateway: str, batch: Batch) -> Iterator[Reading]:
        """The readings of a telemetry batch, poll by poll. Raises UplinkError."""
        meaning = self.get(gateway, batch.table)
        if meaning is None:
            raise UplinkError("unknown_table", f"table {batch.table.hex()} is not held")
        table = meaning.table
        to_wall_ns = self._to_wall_ns(gateway, batch)
        polls = decode_columns(batch.data, meaning.steps.get, batch.mono_first_ns)
        for part in polls:
            _check_times(int(part.mono_ns.min()) + to_wall_ns, int(part.mono_ns.max()) + to_wall_ns)
        for poll in polls:
            points = table.polls[poll.poll]
            for s, mono_ns in enumerate(poll.mono_ns.tolist()):
                for p, point in enumerate(points):
                    n = meaning.row[point]
                    quality = Quality(int(poll.quality[s, p]))
                    good = quality is Quality.GOOD
                    yield Reading(
                        gateway, point, table.names[n], table.units[n], mono_ns + to_wall_ns,
                        float(poll.value[s, p]) if good else None, quality.name.lower(),
                    )  # fmt: skip

    def minutes(self, gateway: str, batch: Batch) -> Iterator[Figures]:
        """The figures of a summary batch, for points that have a resolution. Raises UplinkError."""
        meaning = self.get(gateway, batch.table)
        if meaning is None:
            raise UplinkError("unknown_table", f"table {batch.table.hex()} is not held")
        table = meaning.table
        to_wall_ns = self._to_wall_ns(gateway, batch)
        first_ns, last_ns = (at + to_wall_ns for at in (batch.mono_first_ns, batch.mono_last_ns))
        _check_times(first_ns, last_ns)
        for part in decode_minutes(batch.data, meaning.steps.get):
            for p, point in enumerate(table.polls[part.poll]):
                if not meaning.steps[part.poll][p]:
                    continue
                good = int(part.good[p])
                low, high, mean = (
                    float(column[p]) if good else None
                    for column in (part.minimum, part.maximum, part.mean)
                )
                n = meaning.row[point]
                yield Figures(
                    gateway, point, table.names[n], table.units[n],
                    first_ns, last_ns, part.samples, good, low, high, mean,
                )  # fmt: skip


def _check_times(first_ns: int, last_ns: int) -> None:
    """Unix times that a column of a file can hold. Raises UplinkError."""
    if max(abs(first_ns), abs(last_ns)) >= 2**63:
        raise UplinkError("malformed", "a time is out of range")


def kept_batch(message: bytes) -> Batch:
    """The payload of a batch from the store: its signature was verified when it came."""
    parts = cbor.decode(message[1:], items_max=8)
    return decode_payload(parts[2])
