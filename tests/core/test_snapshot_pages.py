"""The snapshot is made of kept parts: it is what encoding it anew gives, byte for byte."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest
from core_world import POINTS, World, plan_of
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import effects_memory, lasting, memory
from config.limits import S


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["rise"] * 6 + ["fall", "acknowledge", "lose"]), st.integers(0, 199)
        ),
        min_size=20,
        max_size=90,
    )
)
def test_kept_parts_give_the_same_bytes(steps: list[tuple[str, int]]) -> None:
    name, *rest = POINTS[0]
    many: list[Any] = [(f"{name}{i}", *rest) for i in range(200)]
    state = World(plan_of(many, zones=(), effects=())).state
    a, site = state.alarms, state.site
    n = len(site)
    packed = memory.Packed()
    for at, (what, number) in enumerate(steps):
        k = number % n
        if what == "rise" and k not in a.order:
            a.phase[k], a.vote[k], a.order[k] = 1, True, at * S
        elif what == "fall":
            a.phase[k], a.vote[k], a.acked[k] = 0, False, False
            a.order.pop(k, None)
        elif what == "acknowledge":
            a.acked |= a.vote
        elif what == "lose":
            a.lost_in_alarm[k] ^= True
        kept, more = effects_memory.keep(state.effects), lasting.dump(state)
        zones, book, boot = state.zones, state.book, state.boot_id
        data = memory.encode(boot, a, zones, book, site, kept=kept, more=more, packed=packed)
        assert data == memory.encode(boot, a, zones, book, site, kept=kept, more=more)
        assert data == cbor2.dumps(cbor2.loads(data), canonical=True)
        rows = cbor2.loads(data)["points"]
        assert [row[0] for row in rows][: len(a.order)] == [int(site.ids[k]) for k in a.order]


@pytest.mark.parametrize(
    "wall_ns", [0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63 - 1]
)
def test_a_time_of_any_size_is_kept_in_the_shortest_form(wall_ns: int) -> None:
    state = World().state
    a = state.alarms
    a.phase[0], a.vote[0], a.order[0] = 1, True, wall_ns
    data = memory.encode(state.boot_id, a, state.zones, state.book, state.site)
    assert data == cbor2.dumps(cbor2.loads(data), canonical=True)
    assert [point.wall_ns for point in memory.decode(data).points] == [wall_ns]
