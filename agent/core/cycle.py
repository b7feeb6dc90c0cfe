"""The heart: cycle(state, inputs, now) -> (state, orders, records).

Ownership: the caller hands its `State` over and takes the one in the outcome back. The arrays in
it are updated in place, so the state that went in must not be used again; nothing else is shared.
The same state, inputs and now give the same outcome: no clock is read, nothing is random, and no
iteration order depends on anything but the inputs.

Order within a cycle: recalled alarm state and operators' commands first (what they speak of is what
stood before; a sample of the same cycle can raise an alarm again), then the panels' own events and
the samples, then read-backs and health, then zones and effects on what came of it all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from agent.core import (
    alarms,
    baselines,
    commands,
    delay,
    detect,
    disable,
    effects,
    effects_memory,
    health,
    kernels,
    lasting,
    look,
    memory,
    panel,
    recall,
    records,
    signals,
    texts,
    walktest,
    zones,
)
from agent.core.image import new_image
from agent.core.site import compile_site
from agent.core.state import State
from agent.core.step import step
from agent.core.types import Inputs, Notice, Now, Order, Record, Verb
from config.limits import (
    BLOCKS_PER_CYCLE_MAX,
    COMMANDS_PER_CYCLE_MAX,
    INPUTS_PER_CYCLE_MAX,
    NOTICES_MAX,
    RECORDS_PER_CYCLE_MAX,
)
from config.plan import Plan
from config.words import Lane, Mode

_TELEMETRY = int(Mode.TELEMETRY)  # a number: see agent.core.alarms
_DECIDED = np.uint32(kernels.READY | kernels.INVALID | kernels.STALE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a cycle decided. Orders and records are in order.

    alarm_state: canonical CBOR to be persisted, None when nothing of it changed. Of several the
    latest stands.
    """

    state: State
    orders: tuple[Order, ...]
    records: tuple[Record, ...]
    alarm_state: bytes | None


def new_state(
    plan: Plan,
    boot_id: bytes,
    kernel: detect.Kernel = step,
    *,
    held_outputs: frozenset[int] = frozenset(),
) -> State:
    """A gateway that knows nothing yet: every point NOT_READY.

    kernel: from `kernel_loader.load_kernel`; the default is the slow twin. held_outputs: what the
    latch re-applied before the first cycle; they stay on until their cause is known to be gone.
    """
    site = compile_site(plan)
    return State(
        site=site,
        kernel=kernel,
        boot_id=boot_id,
        image=new_image(site),
        alarms=alarms.new_alarms(site),
        zones=zones.new_zones(site),
        effects=effects.new_effects(site, held_outputs),
        baselines=baselines.new_baselines(site),
        book=panel.PanelBook(),
        signals=signals.new_signals(site),
    )


def cycle(state: State, inputs: Inputs, now: Now) -> Outcome:
    """One decision on everything since the last one. Costs microseconds when nothing changed."""
    assert len(inputs.blocks) <= BLOCKS_PER_CYCLE_MAX
    assert len(inputs.commands) <= COMMANDS_PER_CYCLE_MAX
    assert len(inputs.notices) <= NOTICES_MAX
    for bounded in (inputs.failures, inputs.read_backs, inputs.lines, inputs.panel_events,
                    inputs.texts):  # fmt: skip
        assert len(bounded) <= INPUTS_PER_CYCLE_MAX
    out: list[Record] = []
    orders: list[Order] = []
    if state.health is None:
        state.health = health.new_health(state.site, now.mono_ns)
        out.append(_start_record(state, now))
    merged = inputs.recalled is not None
    if inputs.recalled is not None:
        out += _recall(state, inputs.recalled, now)
    for command in inputs.commands:
        out += commands.obey(state, command, now, orders)
        _all_clear(state)
    for event in inputs.panel_events:
        out += panel.take(state.book, state.alarms, state.site, event, now.wall_ns)
        _all_clear(state)
    _samples(state, inputs, now, out)
    for reading in inputs.texts:
        out += texts.take(state.texts, state.site.plan, reading)
    pressed, more = signals.step(state, inputs, now)
    out += more
    for command in pressed:
        out += commands.obey(state, command, now, orders)
        _all_clear(state)
    _health(state, state.health, inputs, now, out, orders)
    out += disable.step(state, now)
    if walktest.due(state, now) or delay.due(state, now):
        state.alarms.touched = True
    if state.alarms.touched or effects.due(state.effects, now.mono_ns):
        _decide(state, state.health, now, out, orders, merged)
    if state.effects.unproven_ns:
        out += effects.overdue(state.effects, state.site, now.mono_ns)
    hushed = any(c.verb is Verb.SILENCE for c in (*inputs.commands, *pressed))
    final = signals.finish(state, orders, out, now, hushed)
    assert len(out) <= RECORDS_PER_CYCLE_MAX
    if baselines.refresh(
        state.baselines, state.site, state.image, now.mono_ns, at_once=inputs.stopping
    ):
        state.alarms.unsaved = True
    return Outcome(state, tuple(final), tuple(out), _snapshot(state))


def _all_clear(state: State) -> None:
    """When no fire is left, the next alarm is a first one, even within the same cycle."""
    if state.alarms.first is not None and not signals.fire_stands(state):
        state.alarms.first = None
        state.alarms.unsaved = True


def _start_record(state: State, now: Now) -> Record:
    plan = state.site.plan
    body = {
        "site": plan.site_id,
        "plan": plan.digest,
        "boot": state.boot_id,
        "points": len(plan.points),
        "zones": len(plan.zones),
        "outputs": len(plan.outputs),
    }
    return Record(Lane.EVENT, "system/start", "system", now.mono_ns, body)


def _recall(state: State, data: bytes, now: Now) -> list[Record]:
    again, state.recalled = state.recalled, True
    if not data:
        state.book.recalled = True
        return []
    try:
        found = memory.decode(data)
    except memory.MemoryDamagedError as e:
        state.recalled = again  # not knowledge: what the latch holds on waits for an operator
        text = f"the alarm state from before the restart is damaged: {e}; check the building"
        return [records.fault_record("system/recall", "system", now.mono_ns, fault=True, text=text)]
    state.book.recalled = True
    baselines.recall(state.baselines, state.site, state.image, found.baselines)
    holders = recall.Holders(state.alarms, state.zones, state.book, state.site, state.image)
    same_boot = found.boot == state.boot_id
    effects_memory.merge(state.effects, found.effects, now, same_boot=same_boot)
    before = state.alarms.count
    out = recall.merge(found, holders, state.boot_id, now, again=again)
    out += signals.restore(state, found.more.get("manual"), now)
    if not again:
        out += lasting.restore(state, found, now)
    added = state.alarms.count - before
    signals.recall_seen(state, found.count, found.more.get("seen"), added)
    return out


def _samples(state: State, inputs: Inputs, now: Now, out: list[Record]) -> None:
    assert state.health is not None
    for block in inputs.blocks:
        changed = detect.step(state.kernel, state.site, state.image, block)
        health.hear(state.health, state.site, block.poll, block.mono_ns)
        if changed.size:
            stamp = (block.mono_ns, now.wall_ns - (now.mono_ns - block.mono_ns))
            out += alarms.evaluate(state.alarms, state.site, state.image, changed, stamp)


def _health(
    state: State,
    well: health.Health,
    inputs: Inputs,
    now: Now,
    out: list[Record],
    orders: list[Order],
) -> None:
    """Read-backs, failures, lines, notices, and the timer pass when it is due."""
    for read in inputs.read_backs:
        found = signals.read_back(state, read, now.mono_ns)
        more_orders, more = found or effects.read_back(state.effects, state.site, read, now.mono_ns)
        orders += more_orders
        out += more
    for failure in inputs.failures:
        health.fail(well, state.site, failure)
    for line in inputs.lines:
        more = health.line(well, state.site, line)
        out += more
        state.alarms.touched = state.alarms.touched or bool(more)  # a lost panel is a cause, too
    for notice in inputs.notices:
        out += _notice(state, notice, now)
    if not health.due(well, now.mono_ns):
        return
    stale, more = health.sweep(well, state.alarms, state.site, state.image, now.mono_ns)
    out += more
    state.alarms.touched = state.alarms.touched or bool(more)  # a silent device is a cause, too
    if zones.window_over(state.zones, state.site, now.mono_ns):
        state.alarms.touched = True
    if stale.size:
        stamp = (now.mono_ns, now.wall_ns)
        out += alarms.evaluate(state.alarms, state.site, state.image, stale, stamp)
    if not state.effects.settled and state.recalled and _all_decided(state):
        commands.settle_outputs(state, now, out, orders)
        state.alarms.touched = True


def _all_decided(state: State) -> bool:
    """Every point that can alarm has said something, or is known to be lost."""
    undecided = (state.image.bits & _DECIDED == 0) & (state.site.modes != _TELEMETRY)
    return not undecided.any()


def _notice(state: State, notice: Notice, now: Now) -> list[Record]:
    standing = state.notices.get(notice.source)
    if notice.fault == (standing is not None):
        return []  # only a beginning and an end are news
    if notice.fault:
        assert len(state.notices) < NOTICES_MAX, "sources of notices are a fixed, small set"
        state.notices[notice.source] = notice
    else:
        del state.notices[notice.source]
    return [
        records.fault_record(
            f"system/{notice.source}",
            "system",
            now.mono_ns,
            fault=notice.fault,
            text=notice.text,
            name=notice.source,
        )
    ]


def _decide(
    state: State,
    well: health.Health,
    now: Now,
    out: list[Record],
    orders: list[Order],
    merged: bool,
) -> None:
    """Zones and effects, on what changed."""
    a, site = state.alarms, state.site
    stamp = (now.mono_ns, now.wall_ns)
    for k, why in zones.agreeing(a, site, state.image).items():
        out += alarms.settle_fire(a, site, state.image, k, why, stamp)
    out += walktest.step(state, now)
    out += delay.step(state, now)
    a.raised.clear()
    a.rose.clear()
    more, zone_fire_changed = zones.evaluate(state.zones, a, site, state.image, now.mono_ns)
    out += more
    a.unsaved = a.unsaved or zone_fire_changed
    _all_clear(state)
    scene = look.Scene(a, state.zones, well, state.book, state.signals.panel)
    more_orders, more = effects.decide(state.effects, scene, site, now, known=merged)
    orders += more_orders
    out += more
    if a.silenced and not state.effects.active and a.first is None:
        a.silenced = False  # all is clear: the next alarm is a new one
        a.unsaved = True
    a.touched = False


def _snapshot(state: State) -> bytes | None:
    if not state.alarms.unsaved:
        return None
    state.alarms.unsaved = False
    data = memory.encode(
        state.boot_id,
        state.alarms,
        state.zones,
        state.book,
        state.site,
        kept=effects_memory.keep(state.effects),
        more=lasting.dump(state),
        baselines=state.baselines.packed,
        packed=state.packed,
    )
    if data == state.saved:
        return None
    state.saved = data
    return data
