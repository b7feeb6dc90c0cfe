"""What does not change while the process runs: of the plan, and of who else is asked."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from agent.child import from_child
from agent.courier.broker import SettingsProblem
from agent.ipc import Client, IpcError, Refused
from config.plan import PlanError, PointTable, read_plan, section
from config.words import OPEN_DATA_KINDS


@dataclass(frozen=True, slots=True)
class Known:
    """One courier of open data, and the points of the plan; columns have one entry a point."""

    name: str
    site: str
    site_name: str
    settings: Mapping[str, Any]
    ids: tuple[int, ...]
    points: tuple[str, ...]
    kinds: tuple[str, ...]
    modes: bytes  # words.Mode
    carriers: tuple[str, ...]  # the couriers that carry the record


def read_known(plan: Path, name: str, kind: str) -> Known:
    """From the plan, through a child of this process: a large plan, once decoded, leaves memory
    that never comes back. Only before there are threads.

    Raises PlanError, SettingsProblem, or OSError when there is no child.
    """

    def read() -> tuple[Any, ...]:
        known = known_of(read_plan(plan), name, kind)
        return tuple(getattr(known, f.name) for f in fields(known))

    return Known(*from_child(plan, read, PlanError, SettingsProblem))


def known_of(data: bytes, name: str, kind: str) -> Known:
    """From the bytes of a plan. Raises PlanError, SettingsProblem."""
    couriers = section(data, "couriers")
    courier = next((c for c in couriers if c.name == name), None)
    if courier is None or courier.kind != kind:
        raise SettingsProblem(f"no courier of kind {kind} is called {name!r}")
    table: PointTable = section(data, "points")
    return Known(
        name=name,
        site=str(section(data, "site_id")),
        site_name=str(section(data, "site_name")),
        settings=courier.settings,
        ids=struct.unpack(f"<{len(table)}I", table.ids),
        points=table.names,
        kinds=table.kinds,
        modes=table.modes,
        carriers=tuple(c.name for c in couriers if c.kind not in OPEN_DATA_KINDS),
    )


async def status_of(socket: Path) -> dict[str, Any] | None:
    """The status that a process tells; None when it does not."""
    try:
        client = await Client.connect(socket)
    except IpcError:
        return None
    try:
        return await client.call("status")
    except (IpcError, Refused, TimeoutError):
        return None
    finally:
        client.close()
