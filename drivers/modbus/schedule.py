"""Which poll is next on a line. Pure: time is an argument.

Every poll sits in exactly one place, a heap or the transaction in flight, so it can never be
queued twice; one that is late skips to the next point of its own time grid, without a burst.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from config.limits import (
    ALARM_POLLS_RUN_MAX,
    DAMAGED_RETRY_NS,
    FIRST_ROUND_NS,
    NOISY_REPLIES,
    PHASE_SPREAD_NS,
    POLL_PHASES,
    PROBE_PAUSE_FACTOR,
    UNIT_BACKOFF_NS_MAX,
    UNIT_BACKOFF_NS_MIN,
)
from drivers.modbus.frame import Discards, Query
from drivers.modbus.round_trips import RoundTrips

FOREVER_NS = 1 << 62


@dataclass(slots=True)
class Unit:
    """A unit of a line, and what is known of its health and its traffic."""

    number: int
    failures: int = 0  # requests without a reply since the last reply
    blocked_until_ns: int = 0
    requests: int = 0
    replies: int = 0
    timeouts: int = 0  # silence
    incomplete: int = 0  # of the malformed: a reply that began and did not end in time
    malformed: int = 0  # only bytes that were no reply to the request
    malformed_run: int = 0  # ... since the last reply
    exceptions: int = 0
    crc_errors: int = 0
    stale_discarded: int = 0  # whole frames of this unit that answered something else
    foreign_discarded: int = 0  # whole frames of other units
    garbage_bytes: int = 0
    doubted_reads: int = 0  # reads that were made once more, because the line is noisy
    noisy_for: int = 0  # replies that are still doubted
    slots_skipped: int = 0  # points of a grid that passed while the line was busy or the unit dead
    last_reply_ns: int = 0
    round_trip_ns: int = 0  # of the last reply
    round_trip_ns_max: int = 0
    round_trips: RoundTrips = field(default_factory=RoundTrips)

    @property
    def dead(self) -> bool:
        """Silent more than once in a row: it is probed, and nobody waits for it."""
        return self.failures > 1

    @property
    def noisy(self) -> bool:
        """Whether a reply of it was spoilt lately: a right checksum alone proves little."""
        return self.noisy_for > 0

    def spoilt(self) -> None:
        """A reply came damaged."""
        self.noisy_for = NOISY_REPLIES

    def took(self, round_trip_ns: int, now_ns: int) -> None:
        """A reply or an exception came after `round_trip_ns`."""
        self.malformed_run = 0
        self.noisy_for = max(0, self.noisy_for - 1)
        self.last_reply_ns = now_ns
        self.round_trip_ns = round_trip_ns
        self.round_trip_ns_max = max(self.round_trip_ns_max, round_trip_ns)
        self.round_trips.add(round_trip_ns)

    def discarded(self, discards: Discards) -> None:
        """What came beside the reply was thrown away."""
        if discards.crc_errors:
            self.spoilt()
        self.crc_errors += discards.crc_errors
        self.stale_discarded += discards.stale
        self.foreign_discarded += discards.foreign
        self.garbage_bytes += discards.garbage_bytes

    def told(self) -> dict[str, int]:
        """For status and record: all counters, and percentiles of the round trip."""
        out = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "round_trips"}
        for percent in (50, 95, 99):
            out[f"round_trip_ns_p{percent}"] = self.round_trips.percentile_ns(percent)
        return out

    def answered(self) -> None:
        """The unit lives: a reply or an exception came."""
        self.failures = 0
        self.blocked_until_ns = 0

    def silent(self, now_ns: int, guard_ns: int) -> None:
        """A request went unanswered.

        The first time the unit is only left alone for `guard_ns`, in which a late reply can come
        and go; from the second time on the wait doubles.
        """
        self.failures += 1
        self.blocked_until_ns = now_ns + (
            guard_ns if self.failures == 1 else max(guard_ns, backoff_ns(self.failures - 1))
        )


def backoff_ns(attempt: int) -> int:
    """Wait after the `attempt`-th failure in a row (1, 2, ...), doubling up to the maximum."""
    return min(UNIT_BACKOFF_NS_MIN << min(attempt - 1, 16), UNIT_BACKOFF_NS_MAX)


@dataclass(slots=True, eq=False)
class Slot:
    """A request that is repeated for ever on its own time grid."""

    unit: Unit
    query: Query
    interval_ns: int
    alarm: bool
    work: Any  # what the owner does with the reply
    cost_ns: int = 0  # of the line's time, when the unit answers as it usually does
    worst_ns: int = 0  # until its deadline, when it does not
    phase_ns: int = 0
    due_ns: int = 0
    failures: int = 0  # in a row, while the unit answered other requests


class Schedule:
    """The polls of one line: alarm polls first, then the one that has waited longest.

    guard_ns: how long a unit is left alone after one unanswered request.
    """

    def __init__(self, slots: Sequence[Slot], guard_ns: int) -> None:
        self._slots = tuple(slots)
        self._guard_ns = guard_ns
        self._alarm: list[tuple[int, int, Slot]] = []
        self._rest: list[tuple[int, int, Slot]] = []
        self._first: Slot | None = None  # goes before all others: see `at_once`
        self._alarm_run = 0
        self._held_until_ns = 0  # a poll of the rest waits for the alarm poll that is due then
        self._probe_after_ns = 0  # no dead unit is probed before
        self._pushes = 0

    def start(self, now_ns: int, seeds: Sequence[int]) -> None:
        """Put every slot on its grid. `seeds`: one number a slot, that of its device.

        Devices are spread over POLL_PHASES phases, so that they are not all read in one burst,
        and no more than that: waking an idle processor costs more than a transaction (20 devices
        of four requests a second: 183 µs a transaction with 20 phases, 99 with 4, 57 with one).
        The phases are those of the monotonic clock, the same for all lines. The first read comes
        within FIRST_ROUND_NS.
        """
        for slot, seed in zip(self._slots, seeds, strict=True):
            phase = seed % POLL_PHASES
            slot.phase_ns = phase * PHASE_SPREAD_NS // POLL_PHASES
            slot.due_ns = now_ns + phase * FIRST_ROUND_NS // POLL_PHASES
            self._push(slot)

    def next_ns(self) -> int:
        """When a slot may be due next; FOREVER_NS when there is none."""
        if self._first is not None:
            return 0
        alarm_ns = self._alarm[0][0] if self._alarm else FOREVER_NS
        rest_ns = max(self._rest[0][0], self._held_until_ns) if self._rest else FOREVER_NS
        return min(alarm_ns, rest_ns)

    def pick(self, now_ns: int) -> Slot | None:
        """Take the slot to run now; it comes back through one of the verdicts below."""
        if self._first is not None:
            slot, self._first = self._first, None
            return slot
        alarm = self._ready(self._alarm, now_ns)
        rest = self._ready(self._rest, now_ns)
        if alarm is not None and (rest is None or self._alarm_run < ALARM_POLLS_RUN_MAX):
            heapq.heappop(self._alarm)
            # Only a run that keeps someone waiting counts.
            self._alarm_run = self._alarm_run + 1 if rest is not None else 0
            return alarm
        if rest is not None and alarm is None and not self._fits(rest, now_ns):
            return None
        if rest is not None:
            heapq.heappop(self._rest)
            self._alarm_run = 0
        return rest

    def _fits(self, slot: Slot, now_ns: int) -> bool:
        """Whether a poll of the rest ends before the next alarm poll is due.

        One that does not waits for that one, and goes right behind it, where the most room is;
        when even that is too little, after ALARM_POLLS_RUN_MAX alarm polls it goes all the same.
        """
        if not self._alarm or self._alarm_run >= ALARM_POLLS_RUN_MAX:
            return True
        due_ns = self._alarm[0][0]
        ends_ns = now_ns + (slot.worst_ns if slot.unit.failures else slot.cost_ns)
        # An alarm poll that is due behind this one keeps nobody waiting who could go first.
        if due_ns <= now_ns or ends_ns <= due_ns:
            return True
        self._held_until_ns = due_ns
        return False

    def at_once(self, slot: Slot, now_ns: int) -> None:
        """The unit answered, and is asked again before anything else is (orders excepted)."""
        assert self._first is None, "one transaction at a time"
        slot.unit.answered()
        slot.due_ns = now_ns
        self._first = slot

    def succeeded(self, slot: Slot, now_ns: int) -> None:
        """A reply came."""
        slot.unit.answered()
        slot.failures = 0
        self._again(slot, now_ns, self._next_on_grid(slot, now_ns))

    def excepted(self, slot: Slot, now_ns: int) -> None:
        """The unit answered with an exception: it lives, and the request is repeated for ever."""
        slot.unit.answered()
        slot.failures += 1
        later_ns = self._next_on_grid(slot, now_ns)
        self._again(slot, now_ns, min(later_ns, now_ns + UNIT_BACKOFF_NS_MAX))

    def unanswered(self, slot: Slot, now_ns: int) -> None:
        """Silence or nonsense came. The unit is probed again soon, then ever more rarely.

        A single block that stays silent while the rest of its unit answers has a back-off of its
        own, so that it does not slow the others.
        """
        unit = slot.unit
        own_ns = now_ns
        if unit.failures:  # dead now: of the line's time, probes take one part in some
            self._probe_after_ns = now_ns + PROBE_PAUSE_FACTOR * slot.worst_ns
        if unit.failures == 0:
            slot.failures += 1
            if slot.failures > 1:
                own_ns += backoff_ns(slot.failures - 1)
        unit.silent(now_ns, self._guard_ns)
        later_ns = min(self._next_on_grid(slot, now_ns), now_ns + UNIT_BACKOFF_NS_MIN)
        # Behind the unit's other requests, which wait for the same moment: the next probe is
        # another one, so that one silent block cannot make a unit look dead.
        self._again(slot, now_ns, max(later_ns, own_ns, unit.blocked_until_ns + 1))

    def damaged(self, slot: Slot, now_ns: int, *, whole: bool = True) -> None:
        """The reply came spoiled: the unit lives, and is asked again soon.

        whole: a reply with a wrong checksum. Otherwise only bytes came that could be anything,
        the late reply to an older request too: the unit gets its time to fall silent.
        """
        slot.unit.answered()
        slot.failures = 0
        wait_ns = DAMAGED_RETRY_NS
        if not whole:
            wait_ns = self._guard_ns
            slot.unit.blocked_until_ns = now_ns + wait_ns
        self._again(slot, now_ns, min(self._next_on_grid(slot, now_ns), now_ns + wait_ns))

    def order_unanswered(self, unit: Unit, now_ns: int) -> None:
        """An order to `unit` met silence. Orders keep their own pace; its polls stand back."""
        unit.silent(now_ns, self._guard_ns)

    def abandoned(self, slot: Slot, now_ns: int) -> None:
        """The link went away during the request."""
        self._again(slot, now_ns, now_ns)

    def forgive(self, but: Unit | None = None) -> None:
        """The line is back: what its units did before says nothing, except of one."""
        for slot in self._slots:
            if slot.unit is not but:
                slot.unit.answered()
                slot.failures = 0
        if but is None:
            self._probe_after_ns = 0

    def _next_on_grid(self, slot: Slot, now_ns: int) -> int:
        return now_ns + slot.interval_ns - (now_ns - slot.phase_ns) % slot.interval_ns

    def _again(self, slot: Slot, now_ns: int, due_ns: int) -> None:
        missed = (now_ns - slot.due_ns) // slot.interval_ns
        if missed > 0:
            slot.unit.slots_skipped += missed
        slot.due_ns = due_ns
        self._push(slot)

    def _ready(self, heap: list[tuple[int, int, Slot]], now_ns: int) -> Slot | None:
        while heap and heap[0][0] <= now_ns:
            slot = heap[0][2]
            free_ns = slot.unit.blocked_until_ns
            if slot.unit.dead:
                free_ns = max(free_ns, self._probe_after_ns)
            if free_ns <= now_ns:
                return slot
            heapq.heappop(heap)
            slot.due_ns = free_ns
            self._push(slot)
        return None

    def _push(self, slot: Slot) -> None:
        self._pushes += 1  # breaks ties: who came first goes first
        # The probe of a dead unit takes longer than an alarm may: it waits with the rest.
        heap = self._alarm if slot.alarm and not slot.unit.dead else self._rest
        heapq.heappush(heap, (slot.due_ns, self._pushes, slot))
