"""What a line repeats for ever: heartbeats, polls, texts, read-backs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from config.limits import FREEZE_POLLS
from config.plan import Plan
from drivers.modbus.beside import Heartbeat, TextWork
from drivers.modbus.frame import Query
from drivers.modbus.polling import PollWork
from drivers.modbus.schedule import Slot, Unit
from drivers.modbus.timing import LineTiming
from drivers.siren.coil import CoilRun


def line_slots(
    plan: Plan,
    line: int,
    timing: LineTiming,
    runs: Sequence[CoilRun],
    unit_of: Callable[[int], Unit],
) -> tuple[list[Slot], list[int]]:
    """The slots of a line, and of each the index of its device (a seed for its phase)."""
    slots: list[Slot] = []
    seeds: list[int] = []

    def add(query: Query, interval_ns: int, work: object, device: int, alarm: bool) -> None:
        slot = Slot(unit_of(query.unit), query, interval_ns, alarm, work)
        slot.worst_ns = timing.worst_ns(query)
        slot.cost_ns = timing.likely_ns(query)
        slots.append(slot)
        seeds.append(device)

    hearts: dict[int, Heartbeat] = {}
    for index, device in enumerate(plan.devices):
        if device.line == line and device.heartbeat:
            heart = hearts[index] = Heartbeat(device.unit, device.heartbeat)
            add(heart.query, heart.freeze_ns // FREEZE_POLLS, heart, index, False)
    for index, poll in enumerate(plan.polls):
        if plan.devices[poll.device].line == line:
            work = PollWork(plan, index, hearts.get(poll.device))
            add(work.query, poll.interval_ns, work, poll.device, poll.alarm)
    for index, text in enumerate(plan.texts):
        if plan.devices[text.device].line == line:
            words = TextWork(index, plan.devices[text.device].unit, text)
            add(words.query, text.interval_ns, words, text.device, False)
    for run in runs:
        add(run.query, run.interval_ns, run, plan.outputs[run.coils[0].output].device, False)
    return slots, seeds
