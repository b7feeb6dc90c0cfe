"""Cause and effect: rows that are active → what each output shall be → orders on change.

Which causes are there is agent.core.matrix; this module knows delays, latches, silence, the general
alarm and the outputs. An output is in one of three states of knowledge: never ordered in this life
(the latch on tmpfs may hold it on), ordered on, ordered off. What was never ordered is not switched
off for lack of a cause until the alarm state from before the restart was recalled, or until an
operator says so. "Commanded" is not "proven": a read-back proves the coil, and nothing proves the
sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agent.core import matrix, records
from agent.core.alarms import Alarms
from agent.core.look import Scene, Seen, look
from agent.core.site import FOREVER_NS, I8, Bools, Site
from agent.core.types import Now, Order, Record
from config.limits import READBACK_WAIT_NS, TEST_PULSE_NS
from config.words import Lane
from drivers.reading import ReadBack

_LANE = Lane.EVENT
GENERAL = -1
"""Stands among the active rows for the general alarm."""


@dataclass(slots=True)
class Commanded:
    """One output: the last order, and what is known of it."""

    on: bool
    pattern: str
    mono_ns: int


@dataclass(slots=True)
class Outputs:
    """What was ordered, and what is known of it."""

    commanded: dict[int, Commanded] = field(default_factory=dict)
    unproven_ns: dict[int, int] = field(default_factory=dict)  # output -> since when
    faulted: set[int] = field(default_factory=set)
    reads: dict[int, bool | None] = field(default_factory=dict)  # output -> last read-back
    held: frozenset[int] = frozenset()  # the latch re-applied these before the first cycle
    barred: frozenset[int] = frozenset()  # disabled by an operator (agent.core.disable)
    settled: bool = False  # an output that was never ordered is to be off


@dataclass(slots=True, kw_only=True)
class Effects(Outputs):
    """State of the matrix and its outputs."""

    tables: matrix.Tables
    latched: Bools  # [r] on, whether the cause is still there or not
    since_ns: I8  # [r] since when a cause with a delay is there; FOREVER_NS: it is not
    since_wall_ns: I8  # [r] the same by the wall clock, for a restart
    tested: Bools  # [r] a cause is in a walk test and in alarm
    pulse_ns: I8  # [r] until when a row pulses for a walk test; FOREVER_NS: it does not
    active: frozenset[int] = frozenset()  # rows that sound, but for a silence; GENERAL
    general: str = (
        ""  # why the general alarm stands: "devices", "manual", "zone", "time"; "" when not
    )
    evacuate: bool = False  # ordered by the guard, until a reset
    resetting: bool = False  # a reset was ordered since the last pass
    next_ns: int = FOREVER_NS  # when a delay or a pulse ends: a pass is due
    telling: frozenset[int] = frozenset()  # rows whose message stands
    wanted: matrix.U1  # [outputs] as it was in the last pass, and hence is ordered


def new_effects(site: Site, held: frozenset[int] = frozenset()) -> Effects:
    """Nothing active."""
    tables = matrix.compile_matrix(site)
    r = len(tables.rows)
    return Effects(
        tables=tables,
        latched=np.zeros(r, np.bool_),
        since_ns=matrix.no_time(r),
        since_wall_ns=np.zeros(r, np.int64),
        tested=np.zeros(r, np.bool_),
        pulse_ns=matrix.no_time(r),
        held=held,
        wanted=np.full(len(site.plan.outputs), matrix.NOTHING, np.uint8),
    )


def due(effects: Effects, mono_ns: int) -> bool:
    """Whether a delay ended, or a pulse."""
    return mono_ns >= effects.next_ns


def evacuate(effects: Effects, alarms: Alarms) -> None:
    """The guard confirms: the general alarm, also without any fire; it ends with a reset."""
    effects.evacuate = True
    alarms.silenced = False
    alarms.touched = True
    alarms.unsaved = True


def reset(effects: Effects, alarms: Alarms) -> None:
    """A reset was ordered: what is latched and has no cause any more ends in the next pass."""
    effects.resetting = True
    effects.evacuate = False
    alarms.touched = True
    alarms.unsaved = True


def decide(
    effects: Effects, scene: Scene, site: Site, now: Now, *, known: bool = False
) -> tuple[list[Order], list[Record]]:
    """Orders for what changed. News end a silence; `known`: nothing is news after a restart."""
    t, alarms, now_ns = effects.tables, scene.alarms, now.mono_ns
    before = effects.active
    seen = look(t, scene, site)
    out: list[Record] = []
    ready = _delays(effects, seen, alarms, now, out)
    _latch(effects, ready, alarms)
    on = ready | effects.latched
    audible = on & (seen.heard | ~seen.cause | ~t.until_silence)
    general = _general(effects, seen, alarms, now_ns, out)
    rows = frozenset(np.flatnonzero(audible).tolist() + [GENERAL] * general)
    effects.active = rows
    effects.resetting = False
    if alarms.silenced and not known and _news(t, rows - before, before):
        alarms.silenced = False
        alarms.unsaved = True
    sounding = audible & ~t.until_silence if alarms.silenced else audible
    loud = sounding & ~t.confirmed if t.warns else sounding
    want = matrix.wanted(t, len(site.plan.outputs), loud, on)
    if t.warns:
        _warn(t, want, sounding & t.confirmed)
    if general and not alarms.silenced:
        want[t.sounders] = matrix.EVACUATE
    _tests(effects, seen.tested, want, now_ns)
    _overrule(effects, want)
    _tell(effects, on, now_ns, out)
    effects.next_ns = _next(effects, now_ns)
    orders, more = _order(effects, site, want, now_ns)
    return orders, out + more


def _delays(effects: Effects, seen: Seen, alarms: Alarms, now: Now, out: list[Record]) -> Bools:
    """Rows whose cause is there and has stood for long enough."""
    t, now_ns = effects.tables, now.mono_ns
    if not t.delayed:
        return seen.cause
    running = effects.since_ns != FOREVER_NS
    starts = seen.cause & (t.after_ns > 0) & ~running
    ends = ~seen.cause & running
    effects.since_ns[starts] = now_ns
    effects.since_wall_ns[starts] = now.wall_ns
    effects.since_ns[ends] = FOREVER_NS
    alarms.unsaved = alarms.unsaved or bool((starts | ends).any())
    waits = (t.after_ns > 0) & (now_ns - effects.since_ns < t.after_ns)
    ready = seen.cause & (~waits | seen.manual | effects.latched)
    for i in np.flatnonzero(starts & ~ready).tolist():
        row = t.rows[i]
        body = {"name": row.text, "row": i + 1, "delay_s": row.after_ns / 1e9}
        out.append(Record(Lane.EVENT, f"effect/{i + 1}/delay", "effect", now_ns, body))
    return ready


def _latch(effects: Effects, ready: Bools, alarms: Alarms) -> None:
    """What does not end with its cause stays on until what ends it."""
    t = effects.tables
    latched = effects.latched | (ready & ~t.until_cause)
    if effects.resetting:
        latched &= ready | ~t.until_reset
    if alarms.silenced:
        latched &= ready | ~t.until_silence
    if (latched != effects.latched).any():
        alarms.unsaved = True
    effects.latched = latched


def _general(effects: Effects, seen: Seen, alarms: Alarms, now_ns: int, out: list[Record]) -> bool:
    """Whether the general alarm sounds, but for a silence of ours."""
    t, was = effects.tables, effects.general
    why = seen.general if t.warns else ""
    if why and not was:
        effects.general = why
    elif was and not why and (effects.resetting or not seen.fires):
        effects.general = ""
    alarms.unsaved = alarms.unsaved or effects.general != was
    reason = effects.general or ("guard" if effects.evacuate else "")
    told = GENERAL in effects.telling
    if bool(reason) != told:
        effects.telling ^= {GENERAL}
        body = {"name": "general alarm", "on": bool(reason), "why": reason}
        out.append(Record(Lane.EVENT, "effect/general", "effect", now_ns, body))
    return effects.evacuate or bool(effects.general and not seen.general_hushed)


def _warn(t: matrix.Tables, want: matrix.U1, warning: Bools) -> None:
    """One device: the rows' own sirens, as an alert. The general alarm comes on top."""
    row, output, _ = t.sound
    sirens = output[warning[row]]
    want[sirens] = np.minimum(want[sirens], np.uint8(matrix.ALERT))


def _tests(effects: Effects, tested: Bools, want: matrix.U1, now_ns: int) -> None:
    """One pulse for a cause in a walk test, where the row says so and nothing else sounds."""
    t = effects.tables
    began, effects.tested = effects.tested, tested
    if not t.has_pulses:
        return
    begins = tested & ~began & t.pulses
    effects.pulse_ns[begins] = now_ns + TEST_PULSE_NS
    effects.pulse_ns[effects.pulse_ns <= now_ns] = FOREVER_NS
    row, output, _ = t.sound
    sirens = output[(effects.pulse_ns != FOREVER_NS)[row]]
    want[sirens] = np.minimum(want[sirens], np.uint8(matrix.PULSE))


def _overrule(effects: Effects, want: matrix.U1) -> None:
    """A disabled output stays off."""
    for output in effects.barred:
        want[output] = matrix.NOTHING


def _tell(effects: Effects, on: Bools, now_ns: int, out: list[Record]) -> None:
    """Messages of rows, in the record when they begin and when they end."""
    t = effects.tables
    if not t.tells.size:
        return
    kept = effects.telling & {GENERAL}
    telling = frozenset(t.tells[on[t.tells]].tolist())
    for i in sorted(telling ^ (effects.telling - kept)):
        row = t.rows[i]
        body = {"name": row.text, "row": i + 1, "text": row.message, "on": i in telling}
        out.append(Record(Lane.EVENT, f"effect/{i + 1}", "effect", now_ns, body))
    effects.telling = telling | kept


def _next(effects: Effects, now_ns: int) -> int:
    """When something here changes by itself."""
    ends = int(effects.pulse_ns.min(initial=FOREVER_NS))
    running = effects.since_ns != FOREVER_NS
    if running.any():
        ready_ns = (effects.since_ns + effects.tables.after_ns)[running]
        ends = min(ends, int(ready_ns[ready_ns > now_ns].min(initial=FOREVER_NS)))
    return ends


def _order(
    effects: Effects, site: Site, want: matrix.U1, now_ns: int
) -> tuple[list[Order], list[Record]]:
    """What differs from the last orders. An output that was never ordered and is not wanted
    stays as it is, but for a disabled one that the latch holds on."""
    orders: list[Order] = []
    out: list[Record] = []
    differs = want != effects.wanted
    differs[list(effects.barred & effects.held - effects.commanded.keys())] = True
    changed = np.flatnonzero(differs)
    effects.wanted = want
    for output, wanted in zip(changed.tolist(), want[changed].tolist(), strict=True):
        on = wanted != matrix.NOTHING
        pattern = matrix.PATTERNS[wanted] if on else ""
        last = effects.commanded.get(output)
        if last is not None and (last.on, last.pattern) == (on, pattern):
            continue
        order, record = _command(effects, site, output, on, pattern, now_ns)
        orders.append(order)
        out.append(record)
    return orders, out


def _news(t: matrix.Tables, new: frozenset[int], old: frozenset[int]) -> bool:
    """Whether newly active rows tell more than was silenced.

    A row of fire always does, and the general alarm; one of pre-alarm unless its cause was active
    in some row already.
    """
    known = {t.causes[i] for i in old if i != GENERAL}
    return any(
        i == GENERAL or t.has_fire[i] or (t.has_prealarm[i] and t.causes[i] not in known)
        for i in new
    )


def settle(effects: Outputs, site: Site, now_ns: int) -> tuple[list[Order], list[Record]]:
    """From now on an output that was never ordered is to be off; order so what reads on."""
    if effects.settled:
        return [], []
    effects.settled = True
    orders: list[Order] = []
    out: list[Record] = []
    reads_on = {output for output, on in effects.reads.items() if on}
    for output in sorted(reads_on | effects.held):
        if output not in effects.commanded:
            order, record = _command(effects, site, output, False, "", now_ns)
            orders.append(order)
            out.append(record)
    return orders, out


def _command(
    effects: Outputs, site: Site, output: int, on: bool, pattern: str, now_ns: int
) -> tuple[Order, Record]:
    effects.commanded[output] = Commanded(on, pattern, now_ns)
    effects.unproven_ns[output] = now_ns
    name = site.plan.outputs[output].name
    body = {"name": name, "on": on, "pattern": pattern}
    record = Record(_LANE, f"output/{name}", "output", now_ns, body)
    return Order(output, on, pattern, now_ns), record


def read_back(
    effects: Outputs, site: Site, read: ReadBack, now_ns: int
) -> tuple[list[Order], list[Record]]:
    """Compare what a coil reads with what was ordered; order again when it differs."""
    last = effects.commanded.get(read.output)
    effects.reads[read.output] = read.on
    if last is not None and read.mono_ns < last.mono_ns:
        return [], []  # taken before the order
    if last is None and not effects.settled:
        if read.on is None:
            effects.unproven_ns.setdefault(read.output, read.mono_ns)
        else:
            effects.unproven_ns.pop(read.output, None)
            return [], _proven(effects, site, read, None)
        return [], []
    expected = last.on if last is not None else False
    if read.on == expected:
        since_ns = effects.unproven_ns.pop(read.output, None)
        return [], _proven(effects, site, read, since_ns if last is not None else None)
    effects.unproven_ns.setdefault(read.output, read.mono_ns)
    if read.on is None or read.written:
        return [], []  # the bus master is at it: it tries until the coil is written
    if last is not None:
        return [Order(read.output, last.on, last.pattern, now_ns)], []
    order, record = _command(effects, site, read.output, False, "", now_ns)
    return [order], [record]


def _proven(effects: Outputs, site: Site, read: ReadBack, since_ns: int | None) -> list[Record]:
    """The coil reads as ordered: say so once after an order, and end a fault."""
    name = site.plan.outputs[read.output].name
    out: list[Record] = []
    if since_ns is not None:
        body = {"name": name, "on": read.on, "read_back": True}
        out.append(Record(Lane.EVENT, f"output/{name}", "output", read.mono_ns, body))
    if read.output in effects.faulted:
        effects.faulted.discard(read.output)
        out.append(_fault(site, read.output, read.mono_ns, False, "output reads as ordered"))
    return out


def overdue(effects: Outputs, site: Site, now_ns: int) -> list[Record]:
    """Outputs that did not read back as ordered for too long are faults."""
    out: list[Record] = []
    for output, since_ns in effects.unproven_ns.items():
        if now_ns - since_ns <= READBACK_WAIT_NS or output in effects.faulted:
            continue
        effects.faulted.add(output)
        last = effects.commanded.get(output)
        ordered = "never ordered" if last is None else f"ordered {'on' if last.on else 'off'}"
        reads = {True: "on", False: "off", None: "nothing"}[effects.reads.get(output)]
        text = f"output is {ordered} and reads {reads}: check the relay board and its line"
        out.append(_fault(site, output, now_ns, True, text))
    return out


def _fault(site: Site, output: int, mono_ns: int, fault: bool, text: str) -> Record:
    name = site.plan.outputs[output].name
    return records.fault_record(
        f"output/{name}/fault", "output", mono_ns, fault=fault, text=text, name=name
    )
