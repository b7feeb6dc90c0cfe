"""Time on a line: what its polls take of it, and how long an alarm and a siren may wait. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from config.limits import (
    ALARM_POLLS_RUN_MAX,
    FREEZE_POLLS,
    PATTERN_LINE_FACTOR,
    PROBE_PAUSE_FACTOR,
    S,
)
from config.plan import Line, Output, Plan
from config.rhythms import shortest_ns
from config.words import LineKind
from drivers.modbus.frame import Query, read_query, write_coil_query
from drivers.modbus.timing import LineTiming

DEAD = (0, 1, 3)
"""Numbers of dead units that the latencies are told for."""


_PATTERNS = {
    "siren": ("alert", "pulse"),
    "relay": ("alert", "pulse"),
    "lamp": ("flash",),
    "buzzer": ("tone-fire", "tone-duty", "tone-fault"),
    "fault": ("flash",),
}
"""What an output of a kind may have to do."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Of one line.

    share: of the line's time, the least that its polls and read-backs can take; above 1 they
    cannot all be done. requests_per_s, registers_per_s: of all polls, texts, read-backs and
    heartbeats (16 bits count as a register).
    alarm_ns: from a change at a device to the end of the reply that tells it, at most, with
    DEAD[i] units dead; (0, 0, 0) on a line without alarm points. siren_ns: from a decision to the
    end of the coil's write request, at most. Both take it that a living unit answers within 10 ms.
    """

    share: float
    requests_per_s: float
    registers_per_s: float
    alarm_ns: tuple[int, ...]
    siren_ns: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Work:
    query: Query
    interval_ns: int
    alarm: bool


def budgets(plan: Plan) -> tuple[Budget, ...]:
    """One for each line of the plan. TCP takes no time of its own on the wire."""
    return tuple(_budget(plan, i, line) for i, line in enumerate(plan.lines))


def with_speed(plan: Plan) -> tuple[Output, ...]:
    """The outputs, those whose line is too slow for patterns marked `steady`.

    In a round every output of the line is written once and read back, between polls. The shortest
    part of every pattern must have room for PATTERN_LINE_FACTOR rounds: with less, an output would
    lag behind the others, and polls behind the outputs.
    """
    out = []
    rounds = [_round_ns(plan, i, line) for i, line in enumerate(plan.lines)]
    for output in plan.outputs:
        if output.on_bus:
            patterns = _PATTERNS[output.kind]
            least = min(map(shortest_ns, patterns))
            round_ns = rounds[plan.devices[output.device].line]
            out.append(replace(output, steady=least < PATTERN_LINE_FACTOR * round_ns))
        else:
            out.append(output)
    return tuple(out)


def _round_ns(plan: Plan, index: int, line: Line) -> int:
    if line.kind == LineKind.SERIAL:
        return 0
    timing = LineTiming(line)
    outputs = [o for o in plan.outputs if o.on_bus and plan.devices[o.device].line == index]
    write = timing.likely_ns(write_coil_query(1, 0, on=True))
    return len(outputs) * (write + timing.likely_ns(read_query(1, 1, 0, 1)))


def _work(plan: Plan, index: int) -> list[_Work]:
    out = []
    for poll in plan.polls:
        device = plan.devices[poll.device]
        if device.line == index:
            query = read_query(device.unit, poll.function, poll.address, poll.count)
            out.append(_Work(query, poll.interval_ns, poll.alarm))
    for device in plan.devices:
        if device.line == index and device.heartbeat:
            function, address, width, freeze_ns = device.heartbeat
            query = read_query(device.unit, function, address, width)
            out.append(_Work(query, freeze_ns // FREEZE_POLLS, alarm=False))
    for text in plan.texts:
        device = plan.devices[text.device]
        if device.line == index:
            query = read_query(device.unit, text.function, text.address, text.count)
            out.append(_Work(query, text.interval_ns, alarm=False))
    for output in plan.outputs:
        if output.on_bus and (device := plan.devices[output.device]).line == index:
            query = read_query(device.unit, 1, output.coil, 1)
            out.append(_Work(query, output.readback_ns, alarm=False))
    return out


def _budget(plan: Plan, index: int, line: Line) -> Budget:
    if line.kind in (LineKind.SERIAL, LineKind.TCP_LISTEN):
        return Budget(0.0, 0.0, 0.0, (0,) * len(DEAD), (0,) * len(DEAD))  # a panel's own port
    timing = LineTiming(line)
    works = _work(plan, index)
    share = sum(_least_ns(timing, w.query) / w.interval_ns for w in works)
    # The reply has the function and the length before its data.
    words = sum(-(-(w.query.reply_bytes - 2) // 2) * S / w.interval_ns for w in works)
    write = write_coil_query(1, 0, on=True)
    likely = [timing.likely_ns(w.query) for w in works]
    worst = max((timing.worst_ns(w.query) for w in works), default=0)
    leaves_ns = timing.quiet_ns + timing.request_ns(write)
    return Budget(
        share,
        sum(S / w.interval_ns for w in works),
        words,
        tuple(_alarm_ns(timing, works, dead, worst) for dead in DEAD),
        tuple((worst if dead else max(likely, default=0)) + leaves_ns for dead in DEAD),
    )


def _least_ns(timing: LineTiming, query: Query) -> int:
    """A request and its reply, each with the silence before it; an instantly answering unit."""
    wire_ns = timing.request_ns(query) + timing.reply_ns(query)
    return wire_ns + timing.silence_ns + timing.quiet_ns if timing.char_ns else timing.quiet_ns


def _alarm_ns(timing: LineTiming, works: list[_Work], dead: int, worst_ns: int) -> int:
    """A change just behind a poll waits for the next one, which may be the last of a round.

    A round: every alarm poll once, the rest in its turns between them, and the probes of dead
    units, which get one part in (1 + PROBE_PAUSE_FACTOR) of the time.
    """
    alarms = [w for w in works if w.alarm]
    if not alarms:
        return 0
    rest_ns = max((timing.likely_ns(w.query) for w in works if not w.alarm), default=0)
    turns = -(-len(alarms) // ALARM_POLLS_RUN_MAX)
    round_ns = sum(timing.likely_ns(w.query) for w in alarms) + turns * rest_ns
    probes = min(dead, 1 + round_ns // max(1, (1 + PROBE_PAUSE_FACTOR) * worst_ns))
    round_ns += probes * worst_ns
    return max(round_ns, *(w.interval_ns for w in alarms)) + round_ns
