"""One recording through cycle(), at its own time: what was raised, when, and what the reference
would have said.

Nothing here decides anything: samples go in as blocks, as the field process hands them over, and
what comes out is written down. Between samples the core is woken as its timer would wake it,
often at first and then less and less, for in a long gap nothing new can happen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.core.cycle import cycle, new_state
from agent.core.state import State
from agent.core.types import ClockState, Command, Inputs, Now, Record, Verb
from agent.evaluate.reference import Reference
from agent.evaluate.series import Series
from agent.evaluate.source import Frame, Source
from agent.evaluate.watch import Watch
from config import model
from config.desk_limits import EVALUATE_GAP_TICKS_MAX, EVALUATE_MARKS_KEPT
from config.evaluation import Truth
from config.limits import BLOCKS_PER_CYCLE_MAX, CYCLE_TICK_NS, STALE_INTERVALS, STALE_NS_MIN, S
from config.words import Flag, Mode, Quality
from drivers.reading import ReadingBlock

_BEGIN_NS = 3_600 * S  # of the replay's monotonic clock
_WALL_NS = 1_800_000_000 * S  # what a recording without dates is labelled with
_FIRE, _PREALARM, _FAULT = int(Flag.FIRE), int(Flag.PREALARM), int(Flag.FAULT)
_RESET = Command(Verb.RESET, "evaluation", "evaluation")
Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that began, at recording time."""

    ns: int
    what: str  # "prealarm", "fire", "fault"
    of: str  # "point", "zone", or what the fault is of
    name: str
    text: str = ""


@dataclass(slots=True)
class Replayed:
    """What came of a recording. Times are the recording's own, in ns; None: never.

    marks are the first that began; counts of all are keyed (phase, what, of), with phase "before"
    (fire-free), "after" (ignition) or "unknown".
    """

    first_ns: int = 0
    last_ns: int = 0
    rows: int = 0
    samples: int = 0
    bad: int = 0
    late: int = 0  # stamps that were not later than the one before
    free_point_ns: int = 0  # fire-free time, summed over the points that can alarm
    prealarm_ns: int | None = None  # first after ignition
    fire_ns: int | None = None
    reference_ns: int | None = None
    reference_false: int = 0
    resets: int = 0
    standing: bool = False  # an alarm stood at ignition, and did not yield to a reset
    counts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    marks: list[Mark] = field(default_factory=list)
    series: Series | None = None


class Replay:
    """One recording, one plan, one run."""

    def __init__(
        self, watched: Watch, source: Source, truth: Truth, reset_ns: int | None, kernel: Any
    ) -> None:
        self.watch, self.source, self.truth, self.reset_ns = watched, source, truth, reset_ns
        self.out = Replayed()
        self.state: State = new_state(watched.plan, bytes(16), kernel)
        self.ignition_ns: int | None = None
        if truth.ignition_ns is not None:
            self.ignition_ns = truth.ignition_ns + source.zero_ns
        self._shift_ns = 0  # recording time -> monotonic time
        self._now_ns = 0  # recording time of the last cycle
        self._alarm_since_ns: int | None = None
        self._plain = bool((watched.scale == 1.0).all() and (watched.bias == 0.0).all())
        self._ruled = [(i, rule) for i, rule in enumerate(watched.rules) if rule is not None]
        self._all_points = bool((watched.point >= 0).all())
        alarming = np.frombuffer(watched.plan.points.modes, np.uint8) != Mode.TELEMETRY
        shown = [i for i, k in enumerate(watched.point.tolist()) if k >= 0 and alarming[k]]
        self.out.series = Series(watched.wanted, shown)
        self._reference = Reference(
            watched, self.ignition_ns, fire_free=truth.known and self.ignition_ns is None
        )
        polls = enumerate(watched.plan.polls)
        self._poll_of_device = {poll.device: number for number, poll in reversed(list(polls))}
        self._step_ns = max(CYCLE_TICK_NS, source.interval_ns)
        stale = np.frombuffer(watched.plan.points.stale_ns, "<i8")
        self._stale_ns = int(stale.max(initial=STALE_NS_MIN))

    def run(self, progress: Progress) -> Replayed:
        """All of it. Raises BadRecording."""
        for frames in _grouped(self.source.frames(self.watch.wanted)):
            ns = frames[0].ns
            if not self.out.rows:
                self._begin(ns)
            elif ns > self._now_ns:
                self._pass_time(ns)
            else:
                self.out.late += len(frames)
            self._take(frames)
            progress(len(frames))
        self.out.last_ns = self._now_ns
        assert self.out.series is not None
        self.out.series.finish()
        self.out.reference_ns = self._reference.found_ns
        self.out.reference_false = self._reference.false
        return self.out

    def _begin(self, ns: int) -> None:
        self._shift_ns = _BEGIN_NS - ns
        self._now_ns = self.out.first_ns = ns
        self._cycle(Inputs(recalled=b""))

    def _take(self, frames: list[Frame]) -> None:
        blocks = []
        for frame in frames:
            value, quality = self._translated(frame)
            self.out.rows += 1
            self.out.samples += len(value)
            self.out.bad += int(np.count_nonzero(quality))
            assert self.out.series is not None
            self.out.series.add(frame.ns, frame.column, value)
            self._reference.add(frame, value, quality)
            blocks += self._blocks(frame, value, quality)
        self._now_ns = max(self._now_ns, frames[0].ns)
        for first in range(0, max(1, len(blocks)), BLOCKS_PER_CYCLE_MAX):
            self._cycle(Inputs(blocks=tuple(blocks[first : first + BLOCKS_PER_CYCLE_MAX])))

    def _blocks(
        self, frame: Frame, value: NDArray[np.float64], quality: NDArray[np.uint8]
    ) -> list[ReadingBlock]:
        """A frame as blocks: one a device, for a device that answers is heard by its block."""
        ns = frame.ns + self._shift_ns
        point = self.watch.point[frame.column]
        if not self._all_points:
            kept = point >= 0
            point, value, quality = point[kept], value[kept], quality[kept]
        if len(self._poll_of_device) == 1:
            return [ReadingBlock(0, ns, point, value, quality)]
        device = self.state.site.device[point]
        return [
            ReadingBlock(self._poll_of_device[d], ns, point[of], value[of], quality[of])
            for d in np.unique(device).tolist()
            for of in (device == d,)
        ]

    def _translated(self, frame: Frame) -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
        """Values in the points' units, and states as words.Flag."""
        if self._plain and not self._ruled:
            return frame.value, frame.quality
        value = frame.value * self.watch.scale[frame.column] + self.watch.bias[frame.column]
        quality = frame.quality.copy()
        place = {int(c): i for i, c in enumerate(frame.column)}
        for column, rule in self._ruled:
            i = place.get(column)
            if i is not None and quality[i] == Quality.GOOD:
                value[i], quality[i] = _ruled(rule, float(value[i]))
        return value, quality

    # --- time -------------------------------------------------------------------------------

    def _pass_time(self, until_ns: int) -> None:
        """Run the timer up to the next sample, and what a guard does in the meantime."""
        free = self._phase(self._now_ns) == "before"
        if free:
            end_ns = until_ns if self.ignition_ns is None else min(until_ns, self.ignition_ns)
            watched_ns = min(end_ns - self._now_ns, self._stale_ns)
            self.out.free_point_ns += watched_ns * self.watch.alarm_points
        step, ticks = self._step_ns, 0
        while until_ns - self._now_ns > step + step // 2 and ticks < EVALUATE_GAP_TICKS_MAX:
            self._tick(min(self._now_ns + step, until_ns - 1))
            ticks += 1
            if ticks >= 2 * STALE_INTERVALS:
                step *= 2
        self._guard(until_ns)

    def _tick(self, ns: int) -> None:
        self._guard(ns)
        self._now_ns = ns
        self._cycle(Inputs())

    def _guard(self, until_ns: int) -> None:
        """A false alarm is reset some time later, and at ignition all is as after a reset."""
        if self.ignition_ns is not None and self._now_ns < self.ignition_ns <= until_ns:
            if self._alarms_stand():
                self._reset(max(self._now_ns, self.ignition_ns - 1))
                self.out.standing = self._alarms_stand()
        elif (
            self.reset_ns is not None
            and self._alarm_since_ns is not None
            and self._phase(self._now_ns) == "before"
            and until_ns - self._alarm_since_ns >= self.reset_ns
        ):
            self._reset(max(self._now_ns, min(until_ns, self._alarm_since_ns + self.reset_ns)))

    def _reset(self, ns: int) -> None:
        self._now_ns = ns
        self.out.resets += 1
        self._alarm_since_ns = None
        self._cycle(Inputs(commands=(_RESET,)))
        if self._alarms_stand():
            self._alarm_since_ns = ns  # refused: it is asked again later

    def _alarms_stand(self) -> bool:
        alarms = self.state.alarms
        return bool(alarms.phase.any() or alarms.lost_in_alarm.any())

    def _phase(self, ns: int) -> str:
        if not self.truth.known:
            return "unknown"
        return "before" if self.ignition_ns is None or ns < self.ignition_ns else "after"

    # --- what the core says -----------------------------------------------------------------

    def _cycle(self, inputs: Inputs) -> None:
        mono_ns = self._now_ns + self._shift_ns
        now = Now(mono_ns, _WALL_NS + mono_ns, ClockState.SYNCHRONISED)
        outcome = cycle(self.state, inputs, now)
        self.state = outcome.state
        for record in outcome.records:
            self._note(record)
        if outcome.records and self._alarm_since_ns is None and self._alarms_stand():
            self._alarm_since_ns = self._now_ns

    def _note(self, record: Record) -> None:
        ns = record.mono_ns - self._shift_ns
        body, name = record.body, str(record.body.get("name", record.source))
        if "to" not in body:
            if body.get("fault"):
                self._mark(Mark(ns, "fault", record.what, name, str(body["text"])))
            return
        rising = body["to"] & ~body["from"]
        text = f"{body['value']:.6g}" if "value" in body else str(body.get("why", ""))
        for bit, what in ((_FAULT, "fault"), (_PREALARM, "prealarm"), (_FIRE, "fire")):
            if rising & bit:
                self._mark(Mark(ns, what, record.what, name, text))

    def _mark(self, mark: Mark) -> None:
        phase = self._phase(mark.ns)
        self.out.counts[phase, mark.what, mark.of] += 1
        if len(self.out.marks) < EVALUATE_MARKS_KEPT:
            self.out.marks.append(mark)
        speaks = mark.of == "zone" or (mark.of == "point" and mark.name not in self.watch.in_zone)
        if phase == "before" or not speaks or mark.what == "fault":
            return
        if self.out.prealarm_ns is None:
            self.out.prealarm_ns = mark.ns
        if mark.what == "fire" and self.out.fire_ns is None:
            self.out.fire_ns = mark.ns


def _grouped(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    """Frames of equal stamp together, as one cycle takes them."""
    group: list[Frame] = []
    for frame in frames:
        if group and (frame.ns != group[0].ns or len(group) == BLOCKS_PER_CYCLE_MAX):
            yield group
            group = []
        group.append(frame)
    if group:
        yield group


def _ruled(rule: model.Rule, value: float) -> tuple[float, int]:
    """A word through its rule, as the driver does it: (sum of words.Flag, words.Quality)."""
    word = int(value) & 0xFFFF_FFFF
    if any(word & mask == equals for mask, equals in rule.bad):
        return float("nan"), Quality.BAD
    if any(word & mask == equals for mask, equals in rule.not_ready):
        return float("nan"), Quality.NOT_READY
    flags = 0
    for mask, equals, flag in rule.cases:
        if word & mask == equals:
            flags |= int(flag)
    return (float(flags) if rule.cases else value), Quality.GOOD
