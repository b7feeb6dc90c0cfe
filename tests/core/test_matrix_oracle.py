"""Any matrix in any state: what is on is what the rows say, read by a slow and naive reader."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from core_world import FIRE, PRE, SUP, World
from hypothesis import given, settings
from hypothesis import strategies as st
from matrix_world import with_rows

from agent.core import effects
from agent.core.alarms import INVESTIGATED, TEST_ALARM
from agent.core.look import Scene
from agent.core.types import Verb
from config.limits import TEST_PULSE_NS, S
from config.plan import OFF_CAUSE, OFF_RESET, OFF_SILENCE, Effect
from config.words import Flag

MANUAL = int(Flag.MANUAL)
RANKS = ("evacuate", "alert", "pulse", "steady")
KINDS = ("heat", "panel_point", "manual", "contact")
ADDRESSES = ("L1 D1", "L1 D2", "L2 D1")
STATE = st.sampled_from([FIRE, FIRE, FIRE, PRE, SUP])
LEAF = st.one_of(
    st.tuples(st.just("zone"), st.integers(0, 2), STATE, st.just("")),
    st.tuples(st.just("device"), st.integers(0, 2), STATE, st.just("")),
    st.tuples(st.just("point"), st.integers(0, 8), STATE, st.just("")),
    st.tuples(st.just("kind"), st.sampled_from(KINDS), STATE, st.just(-1)),
    st.tuples(st.just("kind"), st.just("heat"), STATE, st.sampled_from([0, 1])),
    st.tuples(st.just("address"), st.just(1), STATE, st.sampled_from(["L1 D1", "L1 *", "*"])),
)
TERM = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, min_size=1, max_size=3).flatmap(
        lambda found: st.integers(1, len(found)).map(lambda k: ("of", k, tuple(found)))
    ),
    max_leaves=5,
)


def leaves(term: Any) -> list[Any]:
    return [term] if term[0] != "of" else [x for child in term[2] for x in leaves(child)]


def effect_of(parts: tuple[Any, ...]) -> Effect:
    term, outputs, switches, pattern, after, off, in_test, acts, region = parts
    state = 0
    for leaf in leaves(term):
        state |= leaf[2]
    return Effect("rule", 0, state, tuple(outputs), pattern, after * S, off, in_test,
                  "acts" if acts else "waits", region, "", tuple(switches), term)  # fmt: skip


ROW = st.tuples(
    TERM,
    st.lists(st.integers(0, 3), min_size=1, max_size=2, unique=True),
    st.sampled_from([(), (), (4,)]),
    st.sampled_from(["evacuate", "alert", "pulse"]),
    st.sampled_from([0, 0, 0, 5, 12]),
    st.integers(1, OFF_CAUSE | OFF_SILENCE | OFF_RESET),
    st.sampled_from(["nothing", "pulse"]),
    st.booleans(),
    st.sampled_from(["", "", "cn"]),
).map(effect_of)
FLAGS = st.sampled_from(
    [0, 0, FIRE, FIRE, FIRE | MANUAL, PRE, SUP, FIRE | INVESTIGATED, TEST_ALARM, FIRE | PRE]
)
STEP = st.one_of(
    st.tuples(
        st.just("flags"),
        st.dictionaries(st.integers(0, 8), FLAGS, max_size=4),
        st.dictionaries(st.integers(0, 2), st.sampled_from([0, FIRE, PRE, SUP]), max_size=2),
    ),
    st.tuples(
        st.just("panel"), st.sampled_from(ADDRESSES), st.sampled_from([0, FIRE, FIRE | MANUAL, SUP])
    ),
    st.tuples(st.just("hush"), st.booleans()),
    st.tuples(st.just("verb"), st.sampled_from([Verb.SILENCE, Verb.RESET, Verb.EVACUATE])),
    st.tuples(st.just("wait"), st.integers(1, 8)),
)


@dataclass
class Reader:
    """Reads rows one by one, with nothing but dictionaries and loops."""

    world: World

    def __post_init__(self) -> None:
        n = len(self.world.plan.effects)
        self.since: list[int | None] = [None] * n
        self.latched, self.tested = [False] * n, [False] * n
        self.pulse: list[int] = [0] * n
        self.general, self.evacuate, self.resetting, self.silenced = False, False, False, False
        self.before: set[Any] = set()

    def flags(self, leaf: Any, *, hush: bool, acts: bool, knock: bool) -> int:
        w = self.world
        word, ref = leaf[0], leaf[1]
        told = {a: f for (d, a), f in w.state.book.standing.items() if d == 1}
        if hush and 1 in w.state.book.silenced:
            told = dict.fromkeys(told, 0)
        table = w.plan.points
        if word == "address":
            prefix = leaf[3].removesuffix("*")
            exact = prefix == leaf[3]
            hits = [f for a, f in told.items() if (a == prefix if exact else a.startswith(prefix))]
            return int(np.bitwise_or.reduce(np.array([0, *hits])))
        if word == "zone":
            out = int(w.state.zones.flags[ref])
            return out | FIRE if knock and w.state.zones.votes[ref] else out
        if word == "point":
            among = [ref]
        elif word == "device":
            among = [k for k in range(9) if int(w.state.site.device[k]) == ref]
        else:
            zone = leaf[3]
            among = list(range(9)) if zone < 0 else list(w.plan.zones[zone].points)
            among = [k for k in among if table.kinds[k] == ref]
        out = 0
        for k in among:
            f = int(w.state.alarms.effective[k])
            out |= f if acts or not f & INVESTIGATED else f & ~FIRE
        if word == "device" and ref == 1:
            for f in told.values():
                out |= f
        return out

    def true(self, term: Any, **how: bool) -> bool:
        if term[0] == "of":
            return sum(self.true(child, **how) for child in term[2]) >= int(term[1])
        return bool(self.flags(term, **how) & term[2])

    def manual(self, leaf: Any) -> bool:
        """Whether a pressed call point is behind a true input."""
        w, word, ref = self.world, leaf[0], leaf[1]
        if not self.true(leaf, hush=False, acts=True, knock=False):
            return False
        both = FIRE | MANUAL
        told = {a: f for (d, a), f in w.state.book.standing.items() if f & both == both}
        prefix = str(leaf[3]).removesuffix("*")
        if word == "address":
            return any(
                a == prefix if prefix == leaf[3] else a.startswith(prefix) for a in told
            )  # fmt: skip
        pressed = {k for k in range(9) if int(w.state.alarms.effective[k]) & both == both}
        if word == "zone":
            return bool(pressed & set(w.plan.zones[ref].points))
        if word == "point":
            return ref in pressed
        if word == "device":
            return any(int(w.state.site.device[k]) == ref for k in pressed) or (
                ref == 1 and bool(told)
            )
        zone = leaf[3]
        among = set(range(9)) if zone < 0 else set(w.plan.zones[zone].points)
        return any(k in among and w.plan.points.kinds[k] == ref for k in pressed)

    def due(self, *, hush: bool) -> bool:
        """The general alarm of two devices, a call point, or a zone that counts itself."""
        w = self.world
        told = [f for (d, _), f in w.state.book.standing.items()
                if f & FIRE and not (hush and d in w.state.book.silenced)]  # fmt: skip
        fires = [k for k in range(9) if int(w.state.alarms.effective[k]) & FIRE]
        if any(f & MANUAL for f in told):
            return True
        if any(int(w.state.alarms.effective[k]) & MANUAL for k in fires):
            return True
        if any(int(w.state.zones.flags[z]) & FIRE and w.plan.zones[z].needed > 1 for z in range(3)):
            return True
        kinds = [w.plan.points.kinds[k] for k in fires]
        devices = {int(w.state.site.device[k]) for k in fires}
        two = len(fires) > 1 and (
            len(devices) > 1
            or any(kind in ("panel_point", "contact", "manual") for kind in kinds)
            or len(kinds) > len(set(kinds))
        )
        return two or len(told) + bool(fires) > 1

    def any_fire(self, *, hush: bool) -> bool:
        w = self.world
        return any(int(f) & FIRE for f in w.state.alarms.effective) or any(
            f & FIRE and not (hush and d in w.state.book.silenced)
            for (d, _), f in w.state.book.standing.items()
        )

    def read(self) -> dict[int, str]:
        """One pass: output -> pattern."""
        rows = self.world.plan.effects
        want: dict[int, str] = {}
        audible: set[Any] = set()
        sounding: list[tuple[int, str]] = []
        steady: list[int] = []
        held = self.hold()
        confirmed = any(row.region == "cn" for row in rows)
        due = confirmed and self.due(hush=False)
        if due:
            self.general = True
        elif self.resetting or not (confirmed and self.any_fire(hush=False)):
            self.general = False
        hushed = (due and not self.due(hush=True)) or (
            self.any_fire(hush=False) and not self.any_fire(hush=True)
        )
        if self.evacuate or (self.general and not hushed):
            audible.add(-1)
        for i, (on, quiet) in held.items():
            if on and not quiet:
                audible.add(i)
        self.silence_ends(audible)
        for i, row in enumerate(rows):
            on = held[i][0]
            if i in audible and not (self.silenced and row.off & OFF_SILENCE):
                pattern = row.pattern if row.region != "cn" else "alert"
                sounding += [(o, pattern) for o in row.outputs]
            if on:
                steady += row.switches
        if -1 in audible and not self.silenced:
            loud = {o for r in rows if r.state & FIRE for o in r.outputs}
            loud = loud or {i for i, o in enumerate(self.world.plan.outputs) if o.kind == "siren"}
            sounding += [(o, "evacuate") for o in loud]
        sounding += self.pulses()
        for output, pattern in [*sounding, *((o, "steady") for o in steady)]:
            if output not in want or RANKS.index(pattern) < RANKS.index(want[output]):
                want[output] = pattern
        self.resetting = False
        self.before = audible
        return want

    def hold(self) -> dict[int, tuple[bool, bool]]:
        """Row -> (on, quiet because its panel was silenced)."""
        w, held = self.world, {}
        for i, row in enumerate(w.plan.effects):
            cn = row.region == "cn"
            how = {"acts": cn or row.investigation == "acts", "knock": cn}
            cause = self.true(row.terms, hush=False, **how)
            heard = cause and self.true(row.terms, hush=True, **how)
            if not cause:
                self.since[i] = None
            elif row.after_ns and self.since[i] is None:
                self.since[i] = w.ns
            since = self.since[i]
            ready = cause and (
                since is None or w.ns - since >= row.after_ns or self.latched[i]
                or any(self.manual(leaf) for leaf in leaves(row.terms))
            )  # fmt: skip
            latched = self.latched[i] or (ready and not row.off & OFF_CAUSE)
            if not ready and self.resetting and row.off & OFF_RESET:
                latched = False
            if not ready and self.silenced and row.off & OFF_SILENCE:
                latched = False
            self.latched[i] = latched
            held[i] = (ready or latched, cause and not heard and bool(row.off & OFF_SILENCE))
        return held

    def silence_ends(self, audible: set[Any]) -> None:
        """A fire, or a pre-alarm of a cause that no row had yet, is news."""
        rows = self.world.plan.effects
        known = [rows[i].terms for i in self.before if i >= 0]
        for i in audible - self.before:
            states = [leaf[2] for leaf in leaves(rows[i].terms)] if i >= 0 else [FIRE]
            fresh = i < 0 or rows[i].terms not in known
            if FIRE in states or (PRE in states and fresh):
                self.silenced = False

    def pulses(self) -> list[tuple[int, str]]:
        w, out = self.world, []
        for i, row in enumerate(w.plan.effects):
            how = {"hush": False, "acts": True, "knock": False}
            tested = any(self.flags(x, **how) & TEST_ALARM for x in leaves(row.terms))
            if tested and not self.tested[i] and row.in_test == "pulse":
                self.pulse[i] = w.ns + TEST_PULSE_NS
            self.tested[i] = tested
            if self.pulse[i] > w.ns:
                out += [(o, "pulse") for o in row.outputs]
        return out


def do(w: World, reader: Reader, step: tuple[Any, ...]) -> None:
    state = w.state
    if step[0] == "flags":
        for k, flags in step[1].items():
            state.alarms.effective[k] = flags
        for z, flags in step[2].items():
            state.zones.flags[z] = flags
        state.zones.votes[:] = [
            sum(bool(int(state.alarms.effective[k]) & FIRE) for k in zone.points)
            for zone in w.plan.zones
        ]
    elif step[0] == "panel":
        if step[2]:
            state.book.standing[1, step[1]] = step[2]
        else:
            state.book.standing.pop((1, step[1]), None)
    elif step[0] == "hush":
        state.book.silenced = {1} if step[1] else set()
    elif step[0] == "wait":
        w.ns += step[1] * S
    elif step[1] is Verb.SILENCE:
        state.alarms.silenced = reader.silenced = True
    elif step[1] is Verb.RESET:
        effects.reset(state.effects, state.alarms)
        reader.resetting, reader.evacuate = True, False
    else:
        effects.evacuate(state.effects, state.alarms)
        reader.evacuate, reader.silenced = True, False


@settings(max_examples=250, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=5), st.lists(STEP, min_size=1, max_size=12))
def test_what_is_on_is_what_the_rows_say(rows: list[Effect], steps: list[tuple[Any, ...]]) -> None:
    w = World(with_rows(*rows))
    w.tick()
    reader = Reader(w)
    assert w.state.health is not None
    on: dict[int, str] = {}
    for step in steps:
        do(w, reader, step)
        w.ns += 1
        scene = Scene(w.state.alarms, w.state.zones, w.state.health, w.state.book)
        orders, _ = effects.decide(w.state.effects, scene, w.state.site, w.now())
        for order in orders:
            if order.on:
                on[order.output] = order.pattern
            else:
                del on[order.output]
        assert on == reader.read(), step
        assert w.state.alarms.silenced == reader.silenced
