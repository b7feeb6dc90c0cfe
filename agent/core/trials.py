"""Tests of outputs: sounded for a while, or written once more and read back. Pure.

A siren under test is taken from the matrix and given back when its time is over, when anybody
silences it, and at once when there is a fire. "Passed" says that it read back as ordered: it proves
the coil or the line, never the sound.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from agent.core.site import Site
from agent.core.types import ClockState, Now, Order, Record
from config.limits import READBACK_WAIT_NS, SELF_TEST_LATE_MIN, TEST_READ_NS, S
from config.words import Lane
from drivers.reading import ReadBack

FIRST_SILENT_NS = 60 * S  # after a start: everything has been read by then
_WEEKS_MAX = 2**31
_WEEK_MIN = 7 * 24 * 60
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday


@dataclass(slots=True)
class Trial:
    """One output under test. sounds: it is on until `until_ns`, else it was only written again."""

    test: str  # "siren-test", "audible", "silent"
    who: str
    sounds: bool
    expects: bool  # what it must read
    pattern: str
    asked_ns: int
    until_ns: int
    passed: bool = False
    rewritten: bool = False  # only a read-back that answers a write counts


@dataclass(slots=True)
class Trials:
    """base: what the matrix last ordered; settling: outputs that were given back just now."""

    running: dict[int, Trial] = field(default_factory=dict)
    base: dict[int, Order] = field(default_factory=dict)
    settling: dict[int, int] = field(default_factory=dict)
    silent_due_ns: int = 0
    audible_week: int = -1  # the week whose audible test was made

    @property
    def sounding(self) -> bool:
        """Whether anything is on for a test."""
        return any(trial.sounds for trial in self.running.values())


def sound(
    trials: Trials, outputs: list[int], test: str, who: str, span: tuple[int, int],
    pattern: str = "evacuate",
) -> list[Order]:  # fmt: skip
    """Sound `outputs`. span: now, until."""
    out = []
    for k in outputs:
        trials.running[k] = Trial(test, who, True, True, pattern, *span)
        out.append(Order(k, True, pattern, span[0], kept=False))
    return out


def retry_writes(trials: Trials, outputs: list[int], never: set[int], now_ns: int) -> list[Order]:
    """Silent test: write once more what is off. never: was never ordered, hence only read."""
    out = []
    for k in outputs:
        trial = Trial("silent", "", False, False, "", now_ns, now_ns + TEST_READ_NS)
        trial.rewritten = k not in never
        trials.running[k] = trial
        out.append(Order(k, False, "", now_ns, kept=False, again=True))
    return out


def read(trials: Trials, back: ReadBack) -> bool:
    """Note a read-back; True when it is of a test alone, and no business of the matrix."""
    trial = trials.running.get(back.output)
    if trial is not None:
        fresh = back.mono_ns >= trial.asked_ns and (back.written or not trial.rewritten)
        trial.passed = trial.passed or (fresh and back.on == trial.expects)
        return trial.sounds
    until_ns = trials.settling.get(back.output)
    if until_ns is None:
        return False
    if back.mono_ns < until_ns and back.on:
        return True
    del trials.settling[back.output]
    return False


def give_back(
    trials: Trials, site: Site, now_ns: int, *, all_of_them: bool, fire: bool
) -> tuple[list[Order], list[Record]]:
    """End what is over, passed or due; everything that sounds, when there is a fire."""
    orders: list[Order] = []
    out: list[Record] = []
    for k, trial in list(trials.running.items()):
        cut = (all_of_them or fire) and now_ns < trial.until_ns
        over = cut or now_ns >= trial.until_ns
        if not over and (trial.sounds or not trial.passed):
            continue
        del trials.running[k]
        if trial.sounds:
            base = trials.base.get(k)
            on, pattern = (base.on, base.pattern) if base is not None else (False, "")
            orders.append(Order(k, on, pattern, now_ns, kept=on))
            if not on:
                trials.settling[k] = now_ns + READBACK_WAIT_NS
        elif cut:
            continue  # nobody knows what came of it
        out.append(_result(site, k, trial, now_ns, cut=cut))
    return orders, out


def matrix(trials: Trials, orders: list[Order]) -> list[Order]:
    """Orders of the matrix: one that switches on ends a test, one that switches off waits."""
    out = []
    for order in orders:
        trials.base[order.output] = order
        trial = trials.running.get(order.output)
        if trial is not None and order.on:
            del trials.running[order.output]
        elif trial is not None and trial.sounds:
            continue
        out.append(order)
    return out


def _result(site: Site, k: int, trial: Trial, now_ns: int, *, cut: bool) -> Record:
    name = site.plan.outputs[k].name
    body = {"name": name, "test": trial.test, "passed": trial.passed}
    if cut:
        body["cut"] = True
    if trial.who:
        body["who"] = trial.who
    return Record(Lane.EVENT, f"output/{name}/test", "output_test", now_ns, body)


# --- the schedule -------------------------------------------------------------------------------


def silent_due(trials: Trials, site: Site, now_ns: int) -> bool:
    """Whether the silent test is due now."""
    every_ns = site.plan.self_tests[0].silent_ns if site.plan.self_tests else 0
    if not every_ns:
        return False
    if not trials.silent_due_ns:
        trials.silent_due_ns = now_ns + FIRST_SILENT_NS
    if now_ns < trials.silent_due_ns:
        return False
    trials.silent_due_ns = now_ns + every_ns
    return True


def audible_due(trials: Trials, site: Site, now: Now) -> bool:
    """Whether the week's audible test is due: only with a clock that was set, and on time."""
    if not site.plan.self_tests or now.clock is ClockState.UNSET:
        return False
    plan = site.plan.self_tests[0]
    if not plan.duration_ns:
        return False
    local_min = (now.wall_ns // S + plan.offset_s) // 60 + _EPOCH_WEEKDAY * 24 * 60
    week, minute = divmod(local_min, _WEEK_MIN)
    late = minute - plan.weekday * 24 * 60 - plan.minute
    if not 0 <= late < SELF_TEST_LATE_MIN or week == trials.audible_week:
        return False
    trials.audible_week = week
    return True


def dump(trials: Trials) -> int | None:
    """For the snapshot: the week whose audible test was made, so that no restart repeats it."""
    return trials.audible_week if trials.audible_week >= 0 else None


def restore(trials: Trials, kept: Any) -> None:
    """After a restart."""
    if type(kept) is int:
        trials.audible_week = max(trials.audible_week, min(kept, _WEEKS_MAX))
