"""The snapshot is made of kept parts: it is what encoding it anew gives, byte for byte."""

from __future__ import annotations

from typing import Any

import cbor2
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
