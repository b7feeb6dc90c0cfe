"""What the record needs of a plan: its name, its point table, its couriers."""

from __future__ import annotations

import struct
from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Any

from agent.child import from_child
from agent.uplink.table import Table, encode_table, split_table, table_hash
from config.plan import PlanError, PointTable, read_plan, section
from config.words import OPEN_DATA_KINDS


@dataclass(frozen=True, slots=True)
class Site:
    """Of a plan. resolutions: poll -> packed float64 ("<f8").

    table_parts: the data of the batches that carry the point table, deflated.
    """

    gateway: str
    table_parts: tuple[bytes, ...]
    table_hash: bytes
    resolutions: dict[int, bytes]
    couriers: tuple[str, ...]
    unsigned: frozenset[str] = frozenset()  # couriers whose destination signs nothing
    orders: dict[str, tuple[str, ...]] = field(default_factory=dict)  # courier -> what it may bring


def read_site(path: Path) -> Site:
    """From a plan's file, through a child of this process. Only before there are threads.

    Raises config.plan.PlanError, or OSError when there is no child.
    """
    return Site(*from_child(path, lambda: astuple(site_of(read_plan(path))), PlanError))


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
    # Open data holds nothing back, so the record knows nothing of it.
    carriers = [c for c in section(plan, "couriers") if c.kind not in OPEN_DATA_KINDS]
    return Site(
        gateway=section(plan, "site_id"),
        table_parts=tuple(split_table(encoded)),
        table_hash=table_hash(encoded),
        resolutions=resolutions,
        couriers=tuple(c.name for c in carriers),
        unsigned=frozenset(c.name for c in carriers if c.kind != "mqtt"),
        orders={c.name: tuple(c.settings.get("commands", ())) for c in carriers},
    )


def _names(plan: bytes, kind: str) -> tuple[str, ...]:
    rows: Any = section(plan, kind)
    return tuple(row.name for row in rows)
