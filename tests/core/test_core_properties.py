"""Random lives of a gateway: samples, losses, operators, panels, power cuts. The rules hold."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from core_world import (
    BUTTON,
    CONTACT,
    DISABLED,
    FIRE,
    LEVELS_ONLY,
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
from life_ops import CONTACTS, GROUPS, HEATS, PANEL_SAYS, PANELS, TARGETS, likely, story

from agent.core import disable, kernels
from agent.core import signals as signals_core
from agent.core.alarms import INVESTIGATED
from agent.core.delay import Phase as Waiting
from agent.core.types import ClockState, Record, Verb
from agent.core.walktest import Phase as Walking
from config.limits import WALK_OUTLAST_NS, WALK_RESET_NS, S
from config.plan import OFF_RESET, Courier, DayHours, Effect, Output, WalkGroup
from config.words import Flag, Lane, Mode, Quality
from drivers.reading import LineState, PanelEvent

LATCHED = 2  # an output that a reset alone ends
LOST = kernels.STALE | kernels.INVALID
HEAT_VALUES = st.sampled_from([20.0, 20.0, 45.0, 50.0, 56.0, 60.0, 150.0, math.nan, 1260.5, 53.9])
WORDS = st.sampled_from([0, 0, 0, FIRE, FIRE, FIRE | DISABLED, DISABLED, int(Flag.TEST), -1])

Sample = st.tuples(
    st.just("sample"),
    st.dictionaries(st.sampled_from(HEATS), HEAT_VALUES, max_size=3),
    st.dictionaries(st.sampled_from(PANELS + CONTACTS), WORDS, max_size=4),
    st.sampled_from([S // 2, S, S, S, 0, 5 * S]),
    st.integers(1, 3),
)
ORDERS = st.one_of(
    st.tuples(
        st.just("order"),
        st.sampled_from([Verb.DISABLE, Verb.ENABLE]),
        st.sampled_from(TARGETS),
        st.sampled_from([0, 60 * S, 86_400 * S]),
        st.just(""),
    ),
    st.tuples(
        st.just("order"), st.just(Verb.TEST), st.sampled_from(GROUPS),
        st.sampled_from([0, 100 * S]), st.just(""),
    ),
    st.tuples(
        st.just("order"), st.just(Verb.CLASSIFY), st.sampled_from(["alarm/1", "point/contact"]),
        st.just(0), st.sampled_from(["real", "false", "bogus"]),
    ),
    st.tuples(
        st.just("order"),
        st.sampled_from([Verb.EVACUATE, Verb.MANUAL, Verb.DUTY, Verb.SIREN_TEST, Verb.LAMP_TEST]),
    ),
)  # fmt: skip
Op = st.one_of(
    Sample,
    Sample,
    Sample,
    st.tuples(st.just("quiet"), st.integers(1, 4)),
    st.tuples(st.just("tick"), st.integers(1, 8)),
    ORDERS,
    ORDERS,
    st.tuples(st.just("order"), st.sampled_from([Verb.ACKNOWLEDGE, Verb.SILENCE, Verb.RESET])),
    st.tuples(st.just("wait"), st.sampled_from([16, 31, 76, 700, 1_801, 30_000, 90_000])),
    st.tuples(st.just("clock"), st.sampled_from(ClockState)),
    st.tuples(st.just("panel"), st.sampled_from(["L1", "L2"]), st.sampled_from(PANEL_SAYS)),
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
    told: dict[str, int] = field(default_factory=dict)  # what the panel said, by address
    counted: set[str] = field(default_factory=set)  # and which of it is a fire that counts
    latched: bool = False  # the row of output LATCHED was on, and nothing ended it

    def tell(self, address: str, flags: int, *, clears: bool) -> bool:
        """The panel's word in the model; whether it is a new fire."""
        before = self.told.get(address, 0)
        after = self.told[address] = before & ~flags if clears else before | flags
        new = bool(after & FIRE and not after & DISABLED and address not in self.counted)
        if new:
            self.counted.add(address)
        if not after & FIRE:
            self.counted.discard(address)
        return new

    def reset_told(self) -> None:
        """Whoever resets ends what the panel does not watch any more."""
        for address in [a for a in self.counted if self.told[a] & DISABLED]:
            self.tell(address, FIRE, clears=True)

    def do(self, op: tuple[Any, ...]) -> None:
        w = self.world
        count = w.state.alarms.count
        silenced, points = w.state.alarms.silenced, set(np.flatnonzero(w.state.alarms.vote))
        burnt = [w.zone(z) & FIRE for z in range(3)]
        before = {k: w.flags(k) if w.state.alarms.vote[k] else 0 for k in range(9)}
        first_new = len(w.records)
        self.act(op)
        restarted = w is not self.world
        records = self.world.records[0 if restarted else first_new :]
        self.check(op, before)
        self.check_latched(op, records)
        votes = set(np.flatnonzero(self.world.state.alarms.vote))
        for z, zone in enumerate(self.world.plan.zones):
            stays = burnt[z] and votes & set(zone.points)
            assert not stays or self.world.zone(z) & FIRE, "a zone's fire latches"
        if not restarted and count < self.world.state.alarms.count:
            assert not self.world.state.alarms.silenced, "a new alarm sounds again"
        if restarted:
            follows = set(PANELS) if op[0] == "late" else set()  # read again: the panel's own word
            assert points - follows <= votes, "a restart loses no fire"
            new = op[0] == "late" and any("number" in r.body for r in records)
            if silenced and points & votes | self.counted and not new:
                assert self.world.state.alarms.silenced, "nor who has silenced it"
        self.check_orders(op, before, records)

    def act(self, op: tuple[Any, ...]) -> None:
        w, kind = self.world, op[0]
        if kind == "sample":
            for _ in range(op[4]):
                self.feed({**op[1], **op[2]}, op[3])
        elif kind == "quiet":
            for _ in range(op[1]):
                self.feed(normal(), S)
        elif kind == "tick":
            w.tick(op[1])
        elif kind == "order":
            more = dict(zip(("target", "duration_ns", "word"), op[2:], strict=False))
            if op[1] is Verb.RESET:
                self.reset_told()
            w.order(op[1], **more)
        elif kind == "wait":
            w.ns += op[1] * S
            w.run()
        elif kind == "clock":
            w.clock = op[1]
            w.tick()
        elif kind == "panel":
            w.ns += 1
            new = self.tell(op[1], op[2][0], clears=op[2][1])
            out = w.run(
                panel_events=(PanelEvent(1, w.ns, op[2][0], op[1], "text", clears=op[2][1]),)
            )
            source = f"panel/panel/{op[1]}"
            called = any(r.source == source and r.body["to"] & FIRE for r in out
                         if r.lane is Lane.FIRE)  # fmt: skip
            assert called == new, "a fire that a panel tells is called when it counts, once"
        elif kind == "line":
            w.ns += 1
            w.run(lines=(LineState(op[1], w.ns, up=op[2]),))
        elif kind == "read":
            w.ns += 1
            w.read_back(op[1], op[2])
        elif kind == "late":
            self.restart(crash=op[1], before=op[2])
        else:
            self.restart(crash=kind == "crash")

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

    def restart(self, *, crash: bool, before: dict[int, float] | None = None) -> None:
        """before: read, with the panel's fires told again, until the record answers."""
        old = self.world
        self.lives += 1
        self.good.clear()
        boot = b"boot-0123456789a" if crash else f"boot {self.lives:11d}".encode()
        held = frozenset(old.on) if crash else frozenset()
        self.world = w = World(old.plan, boot=boot, start_ns=old.ns + S, held=held)
        w.on = dict(old.on) if crash else {}
        w.saved, w.clock, w.wall0 = old.saved, old.clock, old.wall0
        if before is not None:
            for _ in range(3):
                self.feed(before, S)
            again = sorted(self.counted)
            w.run(panel_events=[PanelEvent(1, w.ns, FIRE, a, "again") for a in again])
        w.run(recalled=old.saved or b"")

    def check(self, op: tuple[Any, ...], before: dict[int, int]) -> None:
        w = self.world
        now = {k: w.flags(k) for k in range(9)}
        gone = [k for k in range(9) if before[k] & FIRE and not now[k] & FIRE]
        reset = op[:2] == ("order", Verb.RESET)
        for k in gone:
            off = reset and bool(before[k] & DISABLED)  # whoever resets has disabled it
            if k in PANELS:
                assert off or op[0] in ("sample", "quiet", "late"), (
                    "the panel's fire follows the panel"
                )
                assert off or not int(self.good[k]) & FIRE
                continue
            assert reset, "only a reset clears what is ours"
            if (off and k not in self.good) or w.state.image.bits[k] & LOST:
                assert off, "nothing readable says that it is gone"
                continue
            value = self.good[k]  # a KeyError here: cleared without a good reading
            assert value < 54.0 if k in HEATS else not int(value) & FIRE
        for k in (PRESS, VOLTS):
            assert not now[k] & FIRE
        alarms = w.state.alarms
        told = bool(self.counted)
        assert {address for _, address in w.state.book.votes} == self.counted
        assert signals_core.fire_stands(w.state) == (
            told or bool(alarms.vote.any()) or w.state.signals.manual is not None
        )
        causes = any(int(f) & (FIRE | PRE) for f in alarms.effective) or told
        signals = w.state.signals
        manual = signals.manual is not None
        causes = causes or w.state.effects.evacuate or manual
        tested = signals.trials.running.keys()
        assert not tested or not (manual or alarms.vote.any()), "a fire ends every test"
        on = [output for output in w.on if output not in tested and output != LATCHED]
        assert causes or w.state.effects.held or not on, "nothing sounds without a cause"
        counted = {k for k in range(9) if alarms.vote[k]}
        assert all(now[k] & FIRE for k in counted)
        for k in range(9):
            if now[k] & FIRE and not now[k] & (DISABLED | int(Flag.TEST)) and k in self.good:
                assert k in counted, "a fire that nothing gates counts"
        if alarms.silenced:
            assert not on
            return
        self.check_sirens(counted, told)

    def check_sirens(self, counted: set[int], told: bool) -> None:
        """Every fire sounds what the matrix says, unless somebody or our own delay holds it."""
        w = self.world
        barred = {i for i in (0, 1) if disable.output_disabled(w.state, i)}
        assert not barred & set(w.on), "a disabled siren is off"
        waits = {k for k in counted if w.state.alarms.effective[k] & INVESTIGATED}
        assert len(waits) <= 1
        assert BUTTON not in waits, "a manual call point never waits"
        if BUTTON in counted and w.state.alarms.effective[BUTTON] & int(Flag.MANUAL):
            assert w.zone(2) & (FIRE | DISABLED), "nor for a second detector"
        off = {z for z in (0, 1, 2) if w.zone(z) & DISABLED}
        must: set[int] = set()
        if counted & {A, B} - waits and 0 not in off:
            must.add(0)
            assert w.on.get(0, "evacuate") == "evacuate"
        if {B, C} <= counted and 1 not in off:
            must.add(1)
        if CONTACT in counted - waits:
            must.add(1)
        if counted & set(PANELS) or (told and 1 not in w.state.book.silenced):
            must |= {0, 1}
        assert must - barred <= set(w.on)

    def check_latched(self, op: tuple[Any, ...], records: list[Record]) -> None:
        """A row that only a reset ends is on until one that finds its cause gone, over all else."""
        w = self.world
        told = [r.body["to"] for r in records if r.source == "zone/any"]
        if any(to & PRE for to in (*told, w.zone(0))):
            self.latched = True
        elif op[:2] == ("order", Verb.RESET):
            self.latched = False
        if LATCHED not in w.state.signals.trials.running:
            waits = LATCHED in w.state.effects.held and LATCHED not in w.state.effects.commanded
            assert waits or (LATCHED in w.on) == self.latched

    def check_orders(
        self, op: tuple[Any, ...], before: dict[int, int], records: list[Record]
    ) -> None:
        """What operators did gates, and takes nothing back; what counts is called at once."""
        w = self.world
        a = w.state.alarms
        for k in range(9):
            if not a.vote[k] or before[k]:
                continue
            if op[0] not in ("crash", "power cut", "late"):
                assert not w.flags(k) & (DISABLED | int(Flag.TEST)), "gated points do not alarm"
            source = f"point/{101 + k}"
            calls = [r for r in records if r.source == source and r.lane is Lane.FIRE]
            assert calls, "a fire that counts is called, whatever waits"
        if op[:2] == ("order", Verb.SILENCE):
            assert all(a.vote[k] for k in range(9) if before[k]), "silence clears nothing"
        if w.state.walk.phase is Walking.RUNNING:
            assert not a.vote.any(), "a fire ends the test"
        if w.clock is ClockState.UNSET:
            assert w.state.delay.phase is Waiting.NONE, "no clock, no delay"
            if op[0] == "power cut":
                assert not w.state.disabled.standing
        for record in records:
            for key in ("from", "to"):
                value = record.body.get(key, 0)
                assert not isinstance(value, int) or value < 1 << 16, "inner bits stay inside"
        for record in records:
            if record.what == "point" and "number" in record.body:
                k = record.body["id"] - 101
                again = op[0] == "late" and before[k]  # read again before it was recalled
                assert again or not a.acked[k], "a new alarm is to be seen"
        for k, tested in w.state.walk.alarms.items():
            longest_ns = WALK_RESET_NS + WALK_OUTLAST_NS
            late = w.ns - tested.since_ns >= longest_ns
            assert not (a.phase[k] and late), "what outlasts its reset is no test"
        gated = {t for t in w.state.disabled.standing if t.startswith("point/")}
        names = w.plan.points.names
        assert all(w.flags(names.index(t[6:])) & DISABLED for t in gated)


PLAN = plan_of()
LEVELS = replace(
    PLAN,
    outputs=(*PLAN.outputs, Output("flood", 3, 2)),
    effects=(*PLAN.effects, Effect("zone", 0, PRE, (LATCHED,), off=OFF_RESET)),
    zones=tuple(
        replace(z, acknowledge_ns=30 * S, investigate_ns=60 * S, needed=1 + (z.name == "contacts"))
        if z.name != "two"
        else z
        for z in PLAN.zones
    ),
    day=(DayHours(127, 0, 0),),
    couriers=(Courier("city", "gb26875"),),
    test_groups=(WalkGroup("all", (0, 1, 2)),),
)


@settings(max_examples=20)
@given(st.integers(0, 2**32))
def test_the_rules_hold_over_long_lives(seed: int) -> None:
    rng = random.Random(seed)
    ops: list[tuple[Any, ...]] = []
    while len(ops) < 60:
        ops += story(rng) if rng.random() < 0.15 else [likely(rng)]
    life = Life(World(LEVELS))
    for at, op in enumerate(ops):
        try:
            life.do(op)
        except AssertionError as e:
            e.add_note("\n".join(map(repr, ops[: at + 1])))
            raise


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
    w = World(plan_of([("a", 0, "heat", Mode.ANALOGUE, LEVELS_ONLY)], zones=(), effects=()))
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
    w = World(plan_of([("a", 0, "heat", Mode.ANALOGUE, LEVELS_ONLY)], zones=(), effects=()))
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
