"""Many points at once come out as each of them by itself."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from core_world import HEAT, World, plan_of
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import alarms, kernels, many
from agent.core.alarms import Alarms, Event, Phase
from agent.core.types import Record
from config.limits import S
from config.words import Flag, Mode

N = 24
GATES = (0, 0, int(Flag.DISABLED), int(Flag.TEST), int(Flag.DELAY))
BITS = (
    kernels.READY | kernels.BELOW_CLEAR, kernels.READY, kernels.READY | kernels.FIRE,
    kernels.READY | kernels.PREALARM, kernels.READY | kernels.TREND, kernels.STALE, 0,
    kernels.INVALID | kernels.PREALARM, kernels.READY | kernels.FIRE | int(Flag.DISABLED),
    kernels.READY | kernels.BELOW_CLEAR | int(Flag.DISABLED), kernels.READY | kernels.CHATTER,
)  # fmt: skip


def building(seed: int) -> World:
    """Heat points and a panel's, every one of them somewhere in its life."""
    kinds: list[Any] = [("heat", Mode.ANALOGUE, HEAT), ("panel_point", Mode.STATE, {})]
    world = World(plan_of([(f"p{i}", i % 2, *kinds[i % 2]) for i in range(N)], (), ()))
    a, image = world.state.alarms, world.state.image
    rng = np.random.default_rng(seed)
    image.words[:, kernels.BITS] = rng.choice(BITS, N)
    a.gates[:] = rng.choice(GATES, N)
    a.phase[:] = rng.choice(list(map(int, Phase)), N, p=[0.5, 0.3, 0.2])
    a.vote[:] = (a.phase != int(Phase.CLEAR)) & rng.choice([True, False], N)
    a.acked[:] = a.vote & rng.choice([True, False], N)
    a.lost_in_alarm[:] = rng.random(N) < 0.1
    a.covered[:] = rng.random(N) < 0.1
    held = (a.phase == int(Phase.HELD)) & (world.state.site.from_panel | ~a.vote)
    a.phase[held] = int(Phase.LIVE)  # only what counted, and is ours, is ever held
    a.flags[:] = rng.choice([0, int(Flag.FIRE), int(Flag.FAULT)], N)
    a.order.update({k: k * S for k in np.flatnonzero(a.vote).tolist()})
    a.silenced = bool(rng.random() < 0.5)
    image.state[:, kernels.VALUE] = rng.choice([np.nan, 20.0, 60.0], N)
    return world


def state_of(a: Alarms) -> list[Any]:
    values = [getattr(a, f.name) for f in fields(a)]
    return [v.tolist() if isinstance(v, np.ndarray) else v for v in values]


def told(records: list[Record]) -> list[Any]:
    return sorted((r.source, r.lane, r.what, r.mono_ns, sorted(r.body.items())) for r in records)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(sorted(set(GATES) - {0})), st.integers(0, 60))
def test_gates_of_many_points_are_those_of_each(seed: int, gate: int, seconds: int) -> None:
    one, all_ = building(seed), building(seed)
    stamp = (1_000 * S + seconds * S, 2_000 * S)
    points = np.random.default_rng(seed).permutation(N)[: N // 2 + 1]
    a, site, image = one.state.alarms, one.state.site, one.state.image
    single = [
        record
        for k in points.tolist()
        for record in alarms.gate(a, site, image, k, int(a.gates[k]) ^ gate, stamp)
    ]
    b = all_.state.alarms
    together = many.gate(
        b, all_.state.site, all_.state.image, points, b.gates[points] ^ np.uint32(gate), stamp
    )
    assert state_of(a) == state_of(b)
    assert told(single) == told(together)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32))
def test_events_of_many_points_are_those_of_each(seed: int) -> None:
    one, all_ = building(seed), building(seed)
    stamp = (1_000 * S, 2_000 * S)
    points = np.arange(N)
    events = np.random.default_rng(seed).choice(
        [Event.FALLS, Event.UNKNOWN, Event.RESET, Event.RESET_REFUSED], N
    )
    a, site, image = one.state.alarms, one.state.site, one.state.image
    single = [
        record
        for k, event in zip(points.tolist(), events.tolist(), strict=True)
        for record in alarms.settle(a, site, image, k, Event(event), stamp, "reset")
    ]
    b = all_.state.alarms
    together = many.settle(
        b, all_.state.site, all_.state.image, points, events.astype(np.uint8), stamp, "reset"
    )
    assert state_of(a) == state_of(b)
    assert told(single) == told(together)
