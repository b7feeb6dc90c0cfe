"""The plan as the core uses it: dense arrays and look-ups that never change while it runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from agent.core.rows import prepare
from config.plan import PARAMS, Plan
from config.words import Mode

I4 = NDArray[np.int32]
I8 = NDArray[np.int64]
U4 = NDArray[np.uint32]
F8 = NDArray[np.float64]
Bools = NDArray[np.bool_]

_TELEMETRY = int(Mode.TELEMETRY)  # a number: see agent.core.alarms
FOREVER_NS = 2**62  # an age that no point reaches
GATEWAY_KINDS = frozenset({"contact", "manual"})
"""STATE points that are ours to latch: a wire on our input. All others are a panel's own words."""


HEAT, SMOKE, CO = 1, 2, 4
QUANTITIES = {
    "heat": HEAT,
    "cable_temperature": HEAT,
    "temperature": HEAT,
    "smoke": SMOKE,
    "co": CO,
}
"""What of a fire a kind sees; two that agree are fire."""


@dataclass(frozen=True, slots=True)
class Site:
    """What stands still. n points, z zones, d devices; m memberships of alarm points in zones."""

    plan: Plan
    ids: I8  # [n] stable ids
    index_of: dict[int, int]  # stable id -> index
    named: dict[str, int]  # name -> index of the point
    zone_named: dict[str, int]  # name -> index of the zone
    modes: NDArray[np.uint8]  # [n] words.Mode
    device: I4  # [n] device of a point
    from_panel: Bools  # [n] the alarm follows the panel's own reset
    stale_ns: I8  # [n]
    params: F8  # [n, PARAMS]
    rows: F8  # [r, kernels.ROW_COLUMNS] the different rows of params, prepared for the kernel
    row: U4  # [n] which of them is a point's
    zones_of: dict[int, tuple[int, ...]]  # point -> zones, alarm points only
    member_point: I8  # [m] wide: an index of any other width is converted at every use
    member_zone: I8  # [m]
    zone_needed: I8  # [z]
    member_sees: I8  # [m] HEAT, SMOKE, CO or 0
    sees_co: bool  # any of them does
    zone_together: Bools  # [z] it takes two, and there are two
    zones_have_windows: bool
    zone_window_ns: I8  # [z] a first knock that stands for longer is fire; FOREVER_NS: never
    zone_trend_fire: Bools  # [z] one trend is fire
    zone_size: I8  # [z] members that can alarm
    poll_device: tuple[int, ...]
    device_stale_ns: I8  # [d] silence of a device, FOREVER_NS when it has no points
    device_line: I4  # [d]
    by_device: I4  # [n] points ordered by device ...
    device_start: I8  # ... where each device with points begins ...
    device_with_points: I4  # ... and which device that is

    def __len__(self) -> int:
        return len(self.ids)


def compile_site(plan: Plan) -> Site:
    """Unpack a plan. The plan was checked when it was compiled; a bad one is our own error."""
    table = plan.points
    n = len(table)
    ids = np.frombuffer(table.ids, "<u4").astype(np.int64)
    modes = np.frombuffer(table.modes, np.uint8).copy()
    device = np.frombuffer(table.devices, "<u2").astype(np.int32)
    stale_ns = np.frombuffer(table.stale_ns, "<i8").astype(np.int64)
    params = np.frombuffer(table.params, "<f8").astype(np.float64).reshape(n, len(PARAMS))
    # Thousands of points have a dozen rows: shared, they stay in the nearest cache. By bytes: NaN.
    whole = np.ascontiguousarray(params).view(f"V{params.shape[1] * 8}").ravel()
    _, first, row = np.unique(whole, return_index=True, return_inverse=True)
    assert len(ids) == len(modes) == len(device) == len(stale_ns) == n
    stale_ns[stale_ns <= 0] = FOREVER_NS
    zones_of, member_point, member_zone = _memberships(plan, modes)
    zone_needed = np.array([zone.needed for zone in plan.zones], np.int64)
    zone_size = np.bincount(member_zone, minlength=len(plan.zones))
    device_stale_ns = np.full(len(plan.devices), FOREVER_NS, np.int64)
    np.minimum.at(device_stale_ns, device, stale_ns)
    by_device = np.argsort(device, kind="stable").astype(np.int32)
    present, start = np.unique(device[by_device], return_index=True)
    ours = np.array([kind in GATEWAY_KINDS for kind in table.kinds], np.bool_)
    return Site(
        plan=plan,
        ids=ids,
        index_of={int(point_id): k for k, point_id in enumerate(ids)},
        named={name: k for k, name in enumerate(table.names)},
        zone_named={zone.name: z for z, zone in enumerate(plan.zones)},
        modes=modes,
        device=device,
        from_panel=(modes == Mode.STATE) & ~ours.reshape(n),
        stale_ns=stale_ns,
        params=np.ascontiguousarray(params),
        rows=prepare(params[first]),
        row=row.astype(np.uint32),
        zones_of=zones_of,
        member_point=member_point,
        member_zone=member_zone,
        zone_needed=zone_needed,
        member_sees=np.array([QUANTITIES.get(table.kinds[k], 0) for k in member_point], np.int64),
        sees_co=any(QUANTITIES.get(table.kinds[k]) == CO for k in member_point),
        zone_together=(zone_needed >= 2) & (zone_size >= 2),
        zones_have_windows=any(zone.window_ns for zone in plan.zones),
        zone_window_ns=np.array([z.window_ns or FOREVER_NS for z in plan.zones], np.int64),
        zone_trend_fire=np.array([z.trend_fire for z in plan.zones], np.bool_),
        zone_size=zone_size,
        poll_device=tuple(poll.device for poll in plan.polls),
        device_stale_ns=device_stale_ns,
        device_line=np.array([d.line for d in plan.devices], np.int32),
        by_device=by_device,
        device_start=start.astype(np.int64),
        device_with_points=present.astype(np.int32),
    )


def _memberships(plan: Plan, modes: NDArray[np.uint8]) -> tuple[dict[int, tuple[int, ...]], I8, I8]:
    """Zones of each point that can alarm; points and zones [m] of the memberships, by zone."""
    zones_of: dict[int, tuple[int, ...]] = {}
    pairs: list[tuple[int, int]] = []
    for z, zone in enumerate(plan.zones):
        for k in dict.fromkeys(zone.points):
            if modes[k] != _TELEMETRY:
                zones_of[k] = (*zones_of.get(k, ()), z)
                pairs.append((k, z))
    point, zones = np.array(pairs, np.int64).reshape(-1, 2).T
    return zones_of, np.ascontiguousarray(point), np.ascontiguousarray(zones)
