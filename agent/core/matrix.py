"""The cause-and-effect matrix as tables: rows, their inputs and outputs, evaluated all at once.

A vector holds the flags of everything that a row can look at; an input of a row (a leaf) is one
element of it and a mask. `any`, `all` and `at least k of n` are gates over leaves and gates, a
level at a time. A pass costs a few array operations, whatever stands in alarm.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.site import FOREVER_NS, I4, I8, U4, Bools, Site
from config.limits import PANEL_ALARMS_MAX
from config.plan import OFF_CAUSE, OFF_RESET, OFF_SILENCE, Effect
from config.words import Flag, OutputKind

FIRE, PREALARM = int(Flag.FIRE), int(Flag.PREALARM)
MANUAL_FIRE = 1 << 28  # in the vector alone: somebody pressed a manual call point here
PATTERNS = ("evacuate", "alert", "pulse", "steady")
"""Of two rows that want one output, the earlier pattern wins. `steady`: switched on, no rhythm."""
EVACUATE, ALERT, PULSE, STEADY = range(4)
NOTHING = 255  # of an output that shall be off
_OWN_KINDS = frozenset({"panel_point", "contact", "manual"})
_WORD_KIND = "state_word"


U1 = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Level:
    """Gates of one depth; their values follow those of the levels below."""

    children: I8
    starts: I8
    needed: I8


@dataclass(frozen=True, slots=True)
class Tables:
    """r rows, l leaves. All but `matches` stands still while the gateway runs."""

    rows: tuple[Effect, ...]
    slot: I8  # [l] element of the vector
    sees_devices: bool  # a row looks at a device
    mask: U4  # [l] which flags make it true
    leaf_row: I8  # [l]
    levels: tuple[Level, ...]
    root: I8  # [r] its value
    groups: I4  # points of all kinds that rows look at, one after the other ...
    group_start: I8  # ... and where each begins
    addresses: tuple[tuple[int, str], ...]  # (device, address; `*` at its end: all that begin so)
    matches: dict[tuple[int, str], tuple[int, ...]]  # told -> which of these; filled on the way
    sound: tuple[I8, I8, U1]  # rows, outputs, patterns, one entry each siren of a row
    switch: tuple[I8, I8]  # rows and outputs that are switched without a pattern
    sounders: I8  # every output that a row of fire sounds, else every siren: the general alarm
    after_ns: I8  # [r]
    delayed: bool
    until_cause: Bools  # [r] its end switches it off
    until_silence: Bools
    until_reset: Bools
    has_pulses: bool
    pulses: Bools  # [r] one pulse in a walk test
    acts: Bools  # [r] does not wait for our own investigation
    warns: bool  # a row does what `confirmed` says
    confirmed: Bools  # [r] warns on one device; the general alarm is for two
    tells: I8  # rows with a message
    has_fire: Bools  # [r]
    has_prealarm: Bools
    keys: tuple[bytes, ...]  # [r] the same over restarts and other rows' edits
    causes: tuple[Any, ...]  # [r] equal for rows of one cause
    own: Bools  # [n] a detector by itself
    word: Bools  # [n] a word about the detector whose other values are points, too
    kind: I8  # [n]


class _Builder:
    """Collects leaves and gates of rows, then numbers them."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.z, self.n, self.d = len(site.plan.zones), len(site), len(site.plan.devices)
        self.i = len(site.plan.inputs)
        self.leaves: list[tuple[int | tuple[str, int], int, int]] = []  # slot, mask, row
        self.gates: list[tuple[int, int, list[tuple[bool, int]]]] = []  # depth, needed, children
        self.sees_devices = False
        self.groups: dict[tuple[str, int], int] = {}
        self.addresses: dict[tuple[int, str], int] = {}

    def cause(self, term: Sequence[Any], row: int) -> tuple[bool, int]:
        """(is it a gate, its number) of one term of a plan.Effect."""
        if term[0] == "of":
            children = [self.cause(child, row) for child in term[2]]
            depth = 1 + max((self.gates[i][0] for gate, i in children if gate), default=0)
            self.gates.append((depth, term[1], children))
            return True, len(self.gates) - 1
        word, ref, state = term[0], term[1], term[2]
        self.leaves.append((self._slot(word, ref, term), state, row))
        return False, len(self.leaves) - 1

    def _slot(self, word: str, ref: Any, term: Sequence[Any]) -> int | tuple[str, int]:
        if word == "zone":
            return int(ref)
        if word == "point":
            return self.z + int(ref)
        if word == "device":
            self.sees_devices = True
            return self.z + self.n + int(ref)
        if word == "input":
            return self.z + self.n + self.d + int(ref)
        if word == "kind":
            number = self.groups.setdefault((ref, term[3]), len(self.groups))
            return ("group", number)
        assert word == "address", f"the plan has an effect with cause {word!r}"
        return ("address", self.addresses.setdefault((ref, term[3]), len(self.addresses)))

    def number(self, slot: int | tuple[str, int]) -> int:
        """Groups and addresses come after all else; how many there are is known at the end."""
        base = self.z + self.n + self.d + self.i
        if isinstance(slot, int):
            return slot
        return base + slot[1] + (len(self.groups) if slot[0] == "address" else 0)

    def finish(self, roots: list[tuple[bool, int]]) -> tuple[tuple[Level, ...], list[int]]:
        order = sorted(range(len(self.gates)), key=lambda i: self.gates[i][0])
        place = {gate: len(self.leaves) + at for at, gate in enumerate(order)}

        def value(item: tuple[bool, int]) -> int:
            return place[item[1]] if item[0] else item[1]

        levels = []
        for depth in sorted({g[0] for g in self.gates}):
            mine = [self.gates[i] for i in order if self.gates[i][0] == depth]
            counts = [len(children) for _, _, children in mine]
            levels.append(
                Level(
                    np.array([value(c) for _, _, children in mine for c in children], np.int64),
                    np.cumsum([0, *counts[:-1]]),
                    np.array([needed for _, needed, _ in mine], np.int64),
                )
            )
        return tuple(levels), [value(r) for r in roots]

    def group_points(self) -> tuple[I4, I8]:
        """The points of each (kind, zone or -1)."""
        table = self.site.plan.points
        chosen: list[list[int]] = []
        for kind, zone in self.groups:
            among = range(self.n) if zone < 0 else self.site.plan.zones[zone].points
            chosen.append([k for k in among if table.kinds[k] == kind])
        starts = np.cumsum([0, *(len(c) for c in chosen[:-1])])
        assert all(chosen), "the check refuses a kind that no point has"
        return np.array([k for c in chosen for k in c], np.int32), starts.astype(np.int64)


def term_of(row: Effect) -> Sequence[Any]:
    """The cause of a row as one term."""
    if row.cause == "rule":
        terms: Sequence[Any] = row.terms
        return terms
    return (row.cause, row.ref, row.state, "")


def leaves_of(term: Sequence[Any]) -> list[Sequence[Any]]:
    """Every input under a term."""
    if term[0] != "of":
        return [term]
    return [leaf for child in term[2] for leaf in leaves_of(child)]


def compile_matrix(site: Site) -> Tables:
    """Number the plan's rows. The plan was checked; a bad one is our own error."""
    rows = site.plan.effects
    build = _Builder(site)
    roots = [build.cause(term_of(row), i) for i, row in enumerate(rows)]
    levels, root = build.finish(roots)
    group_points, group_start = build.group_points()
    states = [[leaf[2] for leaf in leaves_of(term_of(row))] for row in rows]
    pairs = [(i, o, PATTERNS.index(row.pattern)) for i, row in enumerate(rows) for o in row.outputs]
    switches = [(i, o) for i, row in enumerate(rows) for o in row.switches]
    sound_row, sound_output, rank = (np.array(c) for c in zip(*pairs, strict=True)) if pairs else (
        np.zeros(0), np.zeros(0), np.zeros(0))  # fmt: skip
    after = np.array([row.after_ns for row in rows], np.int64)
    kinds = site.plan.points.kinds
    names = {name: i for i, name in enumerate(sorted(set(kinds)))}
    return Tables(
        rows=rows,
        slot=np.array([build.number(slot) for slot, _, _ in build.leaves], np.int64),
        sees_devices=build.sees_devices,
        mask=np.array([mask for _, mask, _ in build.leaves], np.uint32),
        leaf_row=np.array([row for _, _, row in build.leaves], np.int64),
        levels=levels,
        root=np.array(root, np.int64),
        groups=group_points,
        group_start=group_start,
        addresses=tuple(build.addresses),
        matches={},
        sound=(sound_row.astype(np.int64), sound_output.astype(np.int64), rank.astype(np.uint8)),
        switch=(
            np.array([i for i, _ in switches], np.int64),
            np.array([o for _, o in switches], np.int64),
        ),
        sounders=_sounders(site),
        after_ns=after,
        delayed=bool(after.any()),
        until_cause=_bools(row.off & OFF_CAUSE for row in rows),
        until_silence=_bools(row.off & OFF_SILENCE for row in rows),
        until_reset=_bools(row.off & OFF_RESET for row in rows),
        has_pulses=any(row.in_test == "pulse" for row in rows),
        pulses=_bools(row.in_test == "pulse" for row in rows),
        acts=_bools(row.investigation == "acts" for row in rows),
        warns=any(row.region == "cn" for row in rows),
        confirmed=_bools(row.region == "cn" for row in rows),
        tells=np.array([i for i, row in enumerate(rows) if row.message], np.int64),
        has_fire=_bools(any(s & FIRE for s in found) for found in states),
        has_prealarm=_bools(any(s & PREALARM for s in found) for found in states),
        keys=tuple(_keys(site)),
        causes=tuple(
            row.terms if row.cause == "rule" else (row.cause, row.ref) for row in rows
        ),
        own=_bools(kind in _OWN_KINDS for kind in kinds),
        word=_bools(kind == _WORD_KIND for kind in kinds),
        kind=np.array([names[kind] for kind in kinds], np.int64),
    )  # fmt: skip


def _sounders(site: Site) -> I8:
    """The sirens of the building: not the buzzer of a row of faults."""
    plan = site.plan
    for_fire = {o for row in plan.effects if row.state & FIRE for o in row.outputs}
    if not for_fire:  # who orders the general alarm must be heard
        for_fire = {i for i, o in enumerate(plan.outputs) if o.kind == OutputKind.SIREN}
    return np.array(sorted(for_fire), np.int64)


def _bools(values: Any) -> Bools:
    return np.array([bool(v) for v in values], np.bool_)


def _keys(site: Site) -> list[bytes]:
    """Names instead of numbers, so that a row is found again after the plan was edited."""
    outputs = site.plan.outputs
    out = []
    for row in site.plan.effects:
        term = row.text or _named(site, term_of(row))
        names = [outputs[o].name for o in (*row.outputs, *row.switches)]
        text = repr((term, names, row.pattern, row.message, row.off, row.after_ns))
        out.append(hashlib.blake2s(text.encode(), digest_size=8).digest())
    return out


def _named(site: Site, term: Sequence[Any]) -> str:
    if term[0] == "of":
        return repr((term[1], [_named(site, child) for child in term[2]]))
    plan = site.plan
    tables: dict[str, Any] = {"zone": plan.zones, "device": plan.devices, "input": plan.inputs}
    if term[0] == "point":
        return f"point {site.plan.points.names[term[1]]} {term[2]}"
    found = tables.get(term[0])
    return f"{term[0]} {term[1] if found is None else found[term[1]].name} {term[2]} {term[3]}"


@dataclass(frozen=True, slots=True)
class View:
    """What rows look at, one way of looking: z zones, n points, d devices, i inputs."""

    zones: U4
    points: U4
    extra: U4  # [d] what a device's flags have beyond its points'
    inputs: U4  # [i] of the gateway itself: ACTIVATED, FAULT
    standing: dict[tuple[int, str], int]  # what panels told: (device, address) -> flags


def evaluate(tables: Tables, site: Site, view: View) -> Bools:
    """[r] which rows' causes are there."""
    return gates(tables, leaves(tables, vector(tables, site, view)))


def vector(tables: Tables, site: Site, view: View) -> U4:
    """Zones, points, devices, inputs, kinds, addresses."""
    devices = view.extra
    if tables.sees_devices and site.by_device.size:
        devices = devices.copy()
        ored = np.bitwise_or.reduceat(view.points[site.by_device], site.device_start)
        devices[site.device_with_points] |= ored
    parts = [view.zones, view.points, devices, view.inputs]
    if tables.groups.size:
        parts.append(np.bitwise_or.reduceat(view.points[tables.groups], tables.group_start))
    if tables.addresses:
        parts.append(_told(tables, view.standing))
    return np.concatenate(parts)


def _told(tables: Tables, standing: dict[tuple[int, str], int]) -> U4:
    """[a] of each address that rows look at. What a told address matches is worked out once."""
    out = [0] * len(tables.addresses)
    for told, flags in standing.items():
        matches = tables.matches.get(told)
        if matches is None:
            if len(tables.matches) >= 2 * PANEL_ALARMS_MAX:
                tables.matches.clear()
            matches = tuple(i for i, a in enumerate(tables.addresses) if _is_at(told, a))
            tables.matches[told] = matches
        for i in matches:
            out[i] |= flags
    return np.array(out, np.uint32)


def _is_at(told: tuple[int, str], wanted: tuple[int, str]) -> bool:
    if not wanted[1].endswith("*"):
        return told == wanted
    return told[0] == wanted[0] and told[1].startswith(wanted[1][:-1])


def leaves(tables: Tables, flags: U4) -> Bools:
    """Which leaves are true, given the vector."""
    found: Bools = flags[tables.slot] & tables.mask != 0
    return found


def gates(tables: Tables, found: Bools) -> Bools:
    """[r] the gates above the leaves."""
    values = found
    for level in tables.levels:
        counts = np.add.reduceat(values[level.children].astype(np.int64), level.starts)
        values = np.concatenate((values, counts >= level.needed))
    out: Bools = values[tables.root]
    return out


def rows_with(tables: Tables, found: Bools) -> Bools:
    """Rows that have one of these leaves."""
    out = np.zeros(len(tables.rows), np.bool_)
    out[tables.leaf_row[found]] = True
    return out


def wanted(tables: Tables, outputs: int, sounding: Bools, on: Bools) -> U1:
    """[outputs] the pattern that each shall have, NOTHING when off."""
    want = np.full(outputs, NOTHING, np.uint8)
    row, output, rank = tables.sound
    chosen = sounding[row]
    np.minimum.at(want, output[chosen], rank[chosen])
    row, output = tables.switch
    np.minimum.at(want, output[on[row]], np.uint8(STEADY))
    return want


def independent(tables: Tables, site: Site, fires: I8) -> bool:
    """Whether these points are at least two devices that are independent of each other.

    A panel's detector, a contact and a call point are each a device. Of one unit with several
    quantities (a multi-sensor head and its state word) only two values of one quantity are two.
    """
    if len(fires) < 2:
        return False
    if tables.own[fires].any() or len(np.unique(site.device[fires])) > 1:
        return True
    kinds = tables.kind[fires[~tables.word[fires]]]
    return bool(kinds.size) and int(np.bincount(kinds).max()) > 1


def no_time(rows: int) -> I8:
    """[rows] FOREVER_NS: nothing runs."""
    return np.full(rows, FOREVER_NS, np.int64)
