"""What a centre knows by a number: the points of a plan, and the zones and sirens given one."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from config.plan import PointTable, section


@dataclass(frozen=True, slots=True)
class Source:
    """key: the source of its records. number: None for a point that was given none. kind, unit:
    of points."""

    key: str
    what: str  # point, zone or output
    name: str
    number: int | None
    stable: int = 0  # a point's id, which no other point ever had
    kind: str = ""
    unit: str = ""


def sources_of(plan: bytes, numbers: Mapping[str, int]) -> Iterator[Source]:
    """Every point, with the number that is given; zones and sirens only where one is given."""
    points: PointTable = section(plan, "points")
    ids = struct.unpack(f"<{len(points)}I", points.ids)
    for i, name, kind, unit in zip(ids, points.names, points.kinds, points.units, strict=True):
        yield Source(f"point/{i}", "point", name, numbers.get(name), i, kind, unit)
    for what in ("zone", "output"):
        for row in section(plan, f"{what}s"):
            if row.name in numbers:
                yield Source(f"{what}/{row.name}", what, row.name, numbers[row.name])
