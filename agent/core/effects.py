"""Cause and effect: rows that are active → what each output shall be → orders on change.

An output is in one of three states of knowledge: never ordered in this life (the latch on tmpfs
may hold it on), ordered on, ordered off. What was never ordered is not switched off for lack of a
cause until the alarm state from before the restart was recalled, or until an operator says so.
"Commanded" is not "proven": a read-back proves the coil, and nothing proves the sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from agent.core import panel, records
from agent.core.alarms import Alarms
from agent.core.health import Health
from agent.core.site import Site
from agent.core.types import Order, Record
from agent.core.zones import Zones
from config.limits import READBACK_WAIT_NS
from config.words import Flag, Lane
from drivers.reading import ReadBack

_FIRE, _PREALARM, _FAULT = int(Flag.FIRE), int(Flag.PREALARM), int(Flag.FAULT)
PATTERN_RANK = {"evacuate": 0, "alert": 1, "pulse": 2}
"""Of two rows that sound one output, the more urgent pattern wins; unknown ones come last."""


@dataclass(slots=True)
class Commanded:
    """One output: the last order, and what is known of it."""

    on: bool
    pattern: str
    mono_ns: int


@dataclass(slots=True)
class Effects:
    """State of the matrix and the outputs."""

    active: frozenset[int] = frozenset()  # rows whose cause is there
    commanded: dict[int, Commanded] = field(default_factory=dict)
    unproven_ns: dict[int, int] = field(default_factory=dict)  # output -> since when
    faulted: set[int] = field(default_factory=set)
    reads: dict[int, bool | None] = field(default_factory=dict)  # output -> last read-back
    held: frozenset[int] = frozenset()  # the latch re-applied these before the first cycle
    barred: frozenset[int] = frozenset()  # disabled by an operator (agent.core.disable)
    settled: bool = False  # an output that was never ordered is to be off


def device_flags(alarms: Alarms, health: Health, book: panel.PanelBook, site: Site) -> list[int]:
    """What effects see of each device: its points, its panel's events, its silence."""
    out = book.device_flags(len(site.plan.devices))
    if site.by_device.size:
        ored = np.bitwise_or.reduceat(alarms.effective[site.by_device], site.device_start)
        for d, flags in zip(site.device_with_points.tolist(), ored.tolist(), strict=True):
            out[d] |= flags
    for d in np.flatnonzero(health.silent).tolist():
        out[d] |= _FAULT
    for panel_port in site.plan.panels:
        if health.line_down[site.device_line[panel_port.device]]:
            out[panel_port.device] |= _FAULT  # its own line: nothing else tells that it is lost
    return out


def active_rows(site: Site, zones: Zones, alarms: Alarms, devices: list[int]) -> frozenset[int]:
    """Rows of the matrix whose cause is there now."""
    zone_flags = zones.flags.tolist()
    rows = set()
    for i, row in enumerate(site.plan.effects):
        if row.cause == "zone":
            flags = zone_flags[row.ref]
        elif row.cause == "device":
            flags = devices[row.ref]
        else:
            assert row.cause == "point", f"the plan has an effect with cause {row.cause!r}"
            flags = int(alarms.effective[row.ref])
        if flags & row.state:
            rows.add(i)
    return frozenset(rows)


def desired(site: Site, rows: frozenset[int]) -> dict[int, str]:
    """Output -> pattern, for every output that shall be on."""
    out: dict[int, str] = {}
    for i in sorted(rows):
        row = site.plan.effects[i]
        for output in row.outputs:
            best = out.get(output)
            if best is None or _rank(row.pattern) < _rank(best):
                out[output] = row.pattern
    return out


def _rank(pattern: str) -> int:
    return PATTERN_RANK.get(pattern, len(PATTERN_RANK))


def decide(
    effects: Effects, alarms: Alarms, site: Site, rows: frozenset[int], now_ns: int
) -> tuple[list[Order], list[Record]]:
    """Orders for what changed. News end a silence."""
    news = _news(site, rows - effects.active, effects.active)
    effects.active = rows
    if alarms.silenced and news:
        alarms.silenced = False
        alarms.unsaved = True
    want = {} if alarms.silenced else desired(site, rows)
    want = {output: pattern for output, pattern in want.items() if output not in effects.barred}
    orders: list[Order] = []
    out: list[Record] = []
    for output in sorted(want.keys() | effects.commanded.keys()):
        on, pattern = output in want, want.get(output, "")
        last = effects.commanded.get(output)
        if last is not None and (last.on, last.pattern) == (on, pattern):
            continue
        order, record = _command(effects, site, output, on, pattern, now_ns)
        orders.append(order)
        out.append(record)
    return orders, out


def _news(site: Site, new: frozenset[int], old: frozenset[int]) -> bool:
    """Whether newly active rows tell more than was silenced.

    A row of fire always does; one of pre-alarm unless its cause was active in some row already.
    """
    known = {(site.plan.effects[i].cause, site.plan.effects[i].ref) for i in old}
    for i in new:
        row = site.plan.effects[i]
        if row.state & _FIRE or (row.state & _PREALARM and (row.cause, row.ref) not in known):
            return True
    return False


def settle(effects: Effects, site: Site, now_ns: int) -> tuple[list[Order], list[Record]]:
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
    effects: Effects, site: Site, output: int, on: bool, pattern: str, now_ns: int
) -> tuple[Order, Record]:
    effects.commanded[output] = Commanded(on, pattern, now_ns)
    effects.unproven_ns[output] = now_ns
    name = site.plan.outputs[output].name
    body = {"name": name, "on": on, "pattern": pattern}
    record = Record(Lane.EVENT, f"output/{name}", "output", now_ns, body)
    return Order(output, on, pattern, now_ns), record


def read_back(
    effects: Effects, site: Site, read: ReadBack, now_ns: int
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


def _proven(effects: Effects, site: Site, read: ReadBack, since_ns: int | None) -> list[Record]:
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


def overdue(effects: Effects, site: Site, now_ns: int) -> list[Record]:
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
