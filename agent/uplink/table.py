"""The point table: what the numbers of the record mean. Sealed before its first use.

It is named by the SHA-256 of its CBOR; telemetry and events carry that hash. A table travels
deflated, in one part as a rule.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.uplink import cbor, check
from agent.uplink.errors import UplinkError
from config.limits import BATCH_DATA_BYTES_MAX, POINTS_MAX, TABLE_PART_BYTES_MAX, TABLE_PARTS_MAX

_KEYS = frozenset(range(8))
_DEFLATE_LEVEL = 9


@dataclass(frozen=True, slots=True)
class Table:
    """Columns have one entry a point. polls: poll number -> point ids in the order of values.

    resolutions: engineering units of one step; 0 sends float64. names of other sources:
    {"zones": [...], "outputs": [...], "devices": [...], "lines": [...]}, by index.
    """

    ids: tuple[int, ...]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    units: tuple[str, ...]
    resolutions: tuple[float, ...]
    polls: Mapping[int, tuple[int, ...]]
    sources: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    site: str = ""

    def __len__(self) -> int:
        return len(self.ids)


def encode_table(table: Table) -> bytes:
    """The CBOR of a table; its SHA-256 is the table's name."""
    return cbor.encode(
        {
            0: list(table.ids),
            1: list(table.names),
            2: list(table.kinds),
            3: list(table.units),
            4: [float(r) for r in table.resolutions],
            5: {poll: list(points) for poll, points in table.polls.items()},
            6: {kind: list(names) for kind, names in table.sources.items()},
            7: table.site,
        }
    )


def table_hash(encoded: bytes) -> bytes:
    """The name of a table, from encode_table()."""
    return hashlib.sha256(encoded).digest()


def decode_table(encoded: bytes) -> Table:
    """A table from its CBOR. Raises UplinkError "malformed"."""
    fields = check.table(cbor.decode(encoded), "table", _KEYS, frozenset())
    ids = [check.uint(v, "point id", 2**32 - 1) for v in check.array(fields[0], "ids")]
    size = len(ids)
    if size > POINTS_MAX or len(set(ids)) != size:
        raise UplinkError("malformed", f"table: expected at most {POINTS_MAX} points, ids once")
    columns = [_texts(fields[key], size) for key in (1, 2, 3)]
    resolutions = check.array(fields[4], "resolutions", size)
    for value in resolutions:
        if type(value) is not float or not math.isfinite(value) or value < 0:
            raise UplinkError("malformed", "resolution: expected a float of 0 or more")
    if type(fields[7]) is not str:
        raise UplinkError("malformed", "table site: expected text")
    return Table(
        ids=tuple(ids),
        names=columns[0],
        kinds=columns[1],
        units=columns[2],
        resolutions=tuple(resolutions),
        polls=_polls(fields[5], set(ids)),
        sources=_sources(fields[6]),
        site=fields[7],
    )


def _texts(value: Any, size: int | None = None) -> tuple[str, ...]:
    column = check.array(value, "table column", size)
    if not all(type(v) is str and len(v) <= 256 for v in column):
        raise UplinkError("malformed", "table column: expected text of at most 256 characters")
    return tuple(column)


def _polls(value: Any, known: set[int]) -> dict[int, tuple[int, ...]]:
    if type(value) is not dict:
        raise UplinkError("malformed", "table polls: expected a map")
    polls: dict[int, tuple[int, ...]] = {}
    for poll, points in value.items():
        row = check.array(points, "poll points")
        if not all(type(p) is int and p in known for p in row):
            raise UplinkError("malformed", f"poll {poll!r:.20}: a point is not in the table")
        polls[check.uint(poll, "poll", 2**32 - 1)] = tuple(row)
    return polls


def _sources(value: Any) -> dict[str, tuple[str, ...]]:
    if type(value) is not dict:
        raise UplinkError("malformed", "table sources: expected a map")
    return {check.text(k, "source kind", 64): _texts(v) for k, v in value.items()}


def split_table(encoded: bytes) -> list[bytes]:
    """The data of the batches of lane table that carry this table, codec TABLE_PART."""
    packed = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -15)
    body = packed.compress(encoded) + packed.flush()
    cuts = range(0, len(body), TABLE_PART_BYTES_MAX)
    name = table_hash(encoded)
    return [
        cbor.encode({0: name, 1: n, 2: len(cuts), 3: body[at : at + TABLE_PART_BYTES_MAX]})
        for n, at in enumerate(cuts)
    ]


@dataclass(frozen=True, slots=True)
class TablePart:
    """One part of a deflated table: `index` of `parts`."""

    hash: bytes
    index: int
    parts: int
    body: bytes


def decode_part(data: bytes) -> TablePart:
    """The data of one batch of lane table. Raises UplinkError "malformed"."""
    fields = check.table(
        cbor.decode(data, items_max=16), "table part", frozenset(range(4)), frozenset()
    )
    parts = check.uint(fields[2], "parts", TABLE_PARTS_MAX)
    index = check.uint(fields[1], "part", TABLE_PARTS_MAX)
    if index >= parts:
        raise UplinkError("malformed", f"table part {index} of {parts}")
    return TablePart(check.raw(fields[0], "table", 32), index, parts, check.raw(fields[3], "part"))


def join_table(parts: Sequence[TablePart]) -> Table:
    """The table from all its parts, in any order. Raises UplinkError.

    "malformed" also when a part is missing or the hash of the whole is not the table's name.
    """
    ordered = sorted(parts, key=lambda part: part.index)
    name = ordered[0].hash if ordered else b""
    if not ordered or [(p.hash, p.index, p.parts) for p in ordered] != [
        (name, n, len(ordered)) for n in range(len(ordered))
    ]:
        raise UplinkError("malformed", "the parts of a table are not complete")
    encoded = inflate(b"".join(p.body for p in ordered), BATCH_DATA_BYTES_MAX)
    if table_hash(encoded) != name:
        raise UplinkError("malformed", "the table is not the one its name says")
    return decode_table(encoded)


def inflate(body: bytes, most: int) -> bytes:
    """Raw deflate of at most `most` bytes, nothing left over. Raises UplinkError "malformed"."""
    stream = zlib.decompressobj(-15)
    try:
        out = stream.decompress(body, most + 1)
    except zlib.error as e:
        raise UplinkError("malformed", f"expected deflated data: {e}") from None
    if len(out) > most:
        raise UplinkError("too_large", f"inflates to more than {most} bytes")
    if not stream.eof or stream.unused_data or stream.unconsumed_tail:
        raise UplinkError("malformed", "deflated data end early or are followed by more")
    return out
