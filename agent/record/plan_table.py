"""What the record needs of a plan: its name, its point table, its couriers.

Runs before anything large is imported: ten thousand points leave a few megabytes of free memory
in small pieces, and what is imported afterwards fills them. So there is no numpy here.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

from agent.uplink.table import Table, encode_table, table_hash
from config.plan import PointTable, section


@dataclass(frozen=True, slots=True)
class Site:
    """Of a plan. table: the encoded point table. resolutions: poll -> packed float64 ("<f8")."""

    gateway: str
    table: bytes
    table_hash: bytes
    resolutions: dict[int, bytes]
    couriers: tuple[str, ...]
    unsigned: frozenset[str] = frozenset()  # couriers whose destination signs nothing


def site_of(plan: bytes) -> Site:
    """From the bytes of a plan. Raises config.plan.PlanError."""
    points: PointTable = section(plan, "points")
    count = len(points)
    ids = struct.unpack(f"<{count}I", points.ids)
    steps = struct.unpack(f"<{count}d", points.resolutions)
    polls: dict[int, tuple[int, ...]] = {}
    resolutions: dict[int, bytes] = {}
    for number, poll in enumerate(section(plan, "polls")):
        index = struct.unpack(f"<{len(poll.points) // 4}I", poll.points)
        polls[number] = tuple(ids[i] for i in index)
        resolutions[number] = struct.pack(f"<{len(index)}d", *(steps[i] for i in index))
    table = Table(
        ids=ids,
        names=points.names,
        kinds=points.kinds,
        units=points.units,
        resolutions=steps,
        polls=polls,
        sources={kind: _names(plan, kind) for kind in ("zones", "outputs", "devices", "lines")},
        site=section(plan, "site_name"),
    )
    encoded = encode_table(table)
    return Site(
        gateway=section(plan, "site_id"),
        table=encoded,
        table_hash=table_hash(encoded),
        resolutions=resolutions,
        couriers=_names(plan, "couriers"),
        unsigned=frozenset(c.name for c in section(plan, "couriers") if c.kind != "mqtt"),
    )


def _names(plan: bytes, kind: str) -> tuple[str, ...]:
    rows: Any = section(plan, kind)
    return tuple(row.name for row in rows)
