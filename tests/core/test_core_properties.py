"""Random lives of a gateway: samples, losses, operators, panels, power cuts. The rules hold."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from core_world import (
    BUTTON,
    CONTACT,
    DISABLED,
    FIRE,
    LEVELS_ONLY,
    PANEL1,
    PANEL2,
    PRE,
    PRESS,
    VOLTS,
    A,
    B,
    C,
    World,
    normal,
    plan_of,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.types import Verb
from config.limits import S
from config.words import Flag, Quality
from drivers.reading import LineState

HEATS, PANELS, CONTACTS = (A, B, C), (PANEL1, PANEL2), (BUTTON, CONTACT)
HEAT_VALUES = st.sampled_from([20.0, 20.0, 45.0, 50.0, 56.0, 60.0, 150.0, math.nan, 1260.5, 53.9])
WORDS = st.sampled_from([0, 0, 0, FIRE, FIRE, FIRE | DISABLED, DISABLED, int(Flag.TEST), -1])

Sample = st.tuples(
    st.just("sample"),
    st.dictionaries(st.sampled_from(HEATS), HEAT_VALUES, max_size=3),
    st.dictionaries(st.sampled_from(PANELS + CONTACTS), WORDS, max_size=4),
    st.sampled_from([S // 2, S, S, S, 0, 5 * S]),
    st.integers(1, 3),
)
Op = st.one_of(
    Sample,
    Sample,
    Sample,
    st.tuples(st.just("quiet"), st.integers(1, 4)),
    st.tuples(st.just("tick"), st.integers(1, 8)),
    st.tuples(st.just("order"), st.sampled_from(list(Verb))),
    st.tuples(st.just("line"), st.integers(0, 1), st.booleans()),
    st.tuples(st.just("read"), st.integers(0, 1), st.sampled_from([True, False, None])),
    st.just(("power cut",)),
    st.just(("crash",)),
)


@dataclass
class Life:
    """A world, what was fed to it, and the rules after every step."""

    world: World
    good: dict[int, float] = field(default_factory=dict)  # latest sample of this life, if GOOD
    lives: int = 1

    def do(self, op: tuple[Any, ...]) -> None:
        w, kind = self.world, op[0]
        before = {k: w.flags(k) for k in range(9)}
        if kind == "sample":
            for _ in range(op[4]):
                self.feed({**op[1], **op[2]}, op[3])
        elif kind == "quiet":
            for _ in range(op[1]):
                self.feed(normal(), S)
        elif kind == "tick":
            w.tick(op[1])
        elif kind == "order":
            w.order(op[1])
        elif kind == "line":
            w.ns += 1
            w.run(lines=(LineState(op[1], w.ns, up=op[2]),))
        elif kind == "read":
            w.ns += 1
            w.read_back(op[1], op[2])
        else:
            self.restart(crash=kind == "crash")
        self.check(op, before)

    def feed(self, values: dict[int, float], dt_ns: int) -> None:
        w = self.world
        last_ns = w.state.image.mono_ns.copy()
        w.sample(values, 1, step_ns=dt_ns)
        for k, v in values.items():
            if last_ns[k] >= w.ns:
                continue  # a second sample with the same stamp does not count
            possible = -60 <= v <= 200 if k in HEATS else v >= 0
            if possible:
                self.good[k] = v
            else:
                self.good.pop(k, None)

    def restart(self, *, crash: bool) -> None:
        old = self.world
        self.lives += 1
        self.good.clear()
        boot = b"boot-0123456789a" if crash else f"boot {self.lives:11d}".encode()
        held = frozenset(old.on) if crash else frozenset()
        self.world = w = World(old.plan, boot=boot, start_ns=old.ns + S, held=held)
        w.on = dict(old.on) if crash else {}
        w.saved = old.saved
        w.run(recalled=old.saved or b"")

    def check(self, op: tuple[Any, ...], before: dict[int, int]) -> None:
        w = self.world
        now = {k: w.flags(k) for k in range(9)}
        for k in (*HEATS, *CONTACTS):
            if before[k] & FIRE and not now[k] & FIRE:
                assert op == ("order", Verb.RESET), "only a reset clears what is ours"
                value = self.good[k]  # a KeyError here: cleared without a good reading
                assert value < 54.0 if k in HEATS else not int(value) & FIRE
        for k in PANELS:
            if before[k] & FIRE and not now[k] & FIRE:
                assert op[0] in ("sample", "quiet")
                assert not int(self.good[k]) & FIRE
        for k in (PRESS, VOLTS):
            assert not now[k] & FIRE
        causes = any(f & (FIRE | PRE) for f in now.values()) or self.world.state.effects.held
        causes = causes or self.world.state.effects.evacuate
        assert causes or not w.on, "nothing sounds without a cause"
        alarms = w.state.alarms
        counted = {k for k in range(9) if alarms.vote[k]}
        assert all(now[k] & FIRE for k in counted)
        if alarms.silenced:
            assert not w.on
            return
        if counted & {A, B}:
            assert w.on.get(0) == "evacuate"
        if {B, C} <= counted or CONTACT in counted:
            assert 1 in w.on
        if counted & set(PANELS):
            assert set(w.on) == {0, 1}
        for k in range(9):
            if now[k] & FIRE and not now[k] & (DISABLED | int(Flag.TEST)) and k in self.good:
                assert k in counted, "a fire that nothing gates counts"


LEVELS = plan_of()


@settings(max_examples=120)
@given(st.lists(Op, max_size=30))
def test_the_rules_hold_whatever_happens(ops: list[tuple[Any, ...]]) -> None:
    life = Life(World(LEVELS))
    for op in ops:
        life.do(op)


@settings(max_examples=40)
@given(st.lists(Op, max_size=20))
def test_the_same_life_twice_is_the_same(ops: list[tuple[Any, ...]]) -> None:
    lives = []
    for _ in range(2):
        life = Life(World(LEVELS))
        for op in ops:
            life.do(op)
        lives.append(life.world)
    assert lives[0].records == lives[1].records
    assert lives[0].on == lives[1].on
    assert lives[0].saved == lives[1].saved
    assert lives[0].state.image.words.tobytes() == lives[1].state.image.words.tobytes()


@settings(max_examples=60)
@given(
    st.lists(st.sampled_from([20.0, 30.0, 40.0]), min_size=2, max_size=20),
    st.floats(57, 200),
    st.integers(0, 19),
)
def test_one_spike_is_nothing_two_of_three_are_fire(
    base: list[float], spike: float, at: int
) -> None:
    at = min(at, len(base))
    w = World(plan_of([("a", 0, "heat", 1, LEVELS_ONLY)], zones=(), effects=()))
    for v in [*base[:at], spike, *base[at:]]:
        w.sample({0: v})
    assert w.state.alarms.count == 0
    w.sample({0: 20.0}, 3)
    for v in (spike, 20.0, spike):
        assert not w.flags(0) & FIRE
        w.sample({0: v})
    assert w.flags(0) & FIRE


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(st.sampled_from(["nan", "gap", "duplicate", "backward"]), st.integers(1, 3)),
        max_size=4,
    )
)
def test_holes_in_the_data_delay_a_fire_by_no_valid_sample(holes: list[tuple[str, int]]) -> None:
    w = World(plan_of([("a", 0, "heat", 1, LEVELS_ONLY)], zones=(), effects=()))
    w.sample({0: 20.0}, 3)
    w.sample({0: 60.0})
    for hole, times in holes:
        for _ in range(times):
            if hole == "nan":
                w.sample({0: math.nan})
            elif hole == "gap":
                w.tick(4)
            else:
                now_ns = w.ns
                w.ns = int(w.state.image.mono_ns[0]) - (0 if hole == "duplicate" else S)
                (block,) = w.block({0: 20.0})
                w.ns = now_ns
                w.run(blocks=(block,))
    assert not w.flags(0) & FIRE
    w.sample({0: 60.0})
    assert w.flags(0) & FIRE


def test_a_state_point_of_bad_quality_holds_what_it_said() -> None:
    w = World()
    w.quiet()
    w.sample({CONTACT: FIRE}, 1)
    w.sample({CONTACT: 0}, 3, quality=Quality.BAD)
    assert w.flags(CONTACT) & FIRE
