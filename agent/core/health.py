"""Silence is a fault: stale points, silent devices, lines that are down.

A timer pass, vectorised; it knows nothing of values. One record a source and transition: when a
line is down it says so once and covers its devices, a silent device covers its points, and many
points of one device that go stale in one pass are one fault of the device.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from agent.core import kernels, records
from agent.core.alarms import Alarms
from agent.core.image import Image
from agent.core.site import I4, I8, Bools, Site
from agent.core.types import Record
from config.limits import CYCLE_TICK_NS, FAULT_NAMES_MAX, STALE_EACH_MAX, WARM_UP_NS_MAX
from config.words import Mode, Quality
from drivers.reading import LineState, PollFailure

_STALE = np.uint32(kernels.STALE)
_READY = np.uint32(kernels.READY)
_GIVEN_UP = np.uint32(kernels.STALE | kernels.INVALID)
_SAYS_NOTHING = np.uint32(kernels.FLAG_MASK | kernels.TREND | kernels.INVALID | kernels.WAS_OVER)
_NOT_READY, _TELEMETRY = int(Quality.NOT_READY), int(Mode.TELEMETRY)  # see agent.core.alarms
_NOBODY: I4 = np.zeros(0, np.int32)


@dataclass(slots=True)
class Health:
    """State of n points, d devices, and the lines."""

    start_ns: int
    heard_ns: I8  # [d] last reply of a device that carried values
    silent: Bools  # [d] nothing heard for too long; covered by its line's fault or with its own
    faulted: Bools  # [d] a fault record of the device stands
    line_down: Bools  # [l]
    why: dict[int, str] = field(default_factory=dict)  # device -> last failure of a poll
    jammed: set[int] = field(default_factory=set)  # lines on which something talks without end
    sweep_due_ns: int = 0
    age: I8 = field(default_factory=lambda: np.zeros(0, np.int64))  # [n] scratch
    old: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))  # [n] scratch


def new_health(site: Site, start_ns: int) -> Health:
    """Everything is expected to be heard from `start_ns` on."""
    d, n = len(site.plan.devices), len(site)
    return Health(
        start_ns=start_ns,
        heard_ns=np.full(d, start_ns, np.int64),
        silent=np.zeros(d, np.bool_),
        faulted=np.zeros(d, np.bool_),
        line_down=np.zeros(len(site.plan.lines), np.bool_),
        sweep_due_ns=start_ns,
        age=np.zeros(n, np.int64),
        old=np.zeros(n, np.bool_),
    )


def hear(health: Health, site: Site, poll: int, mono_ns: int) -> None:
    """A poll's reply carried values."""
    device = site.poll_device[poll]
    health.heard_ns[device] = max(int(health.heard_ns[device]), mono_ns)


def fail(health: Health, site: Site, failure: PollFailure) -> None:
    """A poll gave nothing: only why is kept, for the fault's text."""
    text = str(failure.why)
    if failure.exception_code:
        text += f" {failure.exception_code}"
    health.why[site.poll_device[failure.poll]] = text


def line(health: Health, site: Site, state: LineState) -> list[Record]:
    """A line went down or came back; its devices get their time anew when it does.

    A jam is a fault of its own beside that: the line is open, and nobody gets a word in.
    """
    if state.jammed is not None:
        return _jam(health, site, state, jammed=state.jammed)
    down = not state.up
    if bool(health.line_down[state.line]) == down:
        return []
    health.line_down[state.line] = down
    if state.up:
        # A device whose own fault stands is not well because its line is: it must answer first.
        on_line = (site.device_line == state.line) & ~health.faulted
        health.heard_ns[on_line] = np.maximum(health.heard_ns[on_line], state.mono_ns)
    name = site.plan.lines[state.line].name
    text = f"line {name} is down: {state.text}" if down else f"line {name} is up"
    return [
        records.fault_record(
            f"line/{name}", "line", state.mono_ns, fault=down, text=text, name=name
        )
    ]


def _jam(health: Health, site: Site, state: LineState, *, jammed: bool) -> list[Record]:
    if jammed == (state.line in health.jammed):
        return []
    (health.jammed.add if jammed else health.jammed.discard)(state.line)
    name = site.plan.lines[state.line].name
    return [
        records.fault_record(
            f"line/{name}/jam", "line", state.mono_ns, fault=jammed,
            text=f"line {name}: {state.text}", name=name,
        )
    ]  # fmt: skip


def due(health: Health, now_ns: int) -> bool:
    """Whether the timer pass is due. Half a tick early is on time: timers jitter."""
    if now_ns < health.sweep_due_ns:
        return False
    health.sweep_due_ns = now_ns + CYCLE_TICK_NS // 2
    return True


def sweep(
    health: Health, alarms: Alarms, site: Site, image: Image, now_ns: int
) -> tuple[NDArray[np.int32], list[Record]]:
    """Find what fell silent or came back: (points that were lost just now, records)."""
    silent = now_ns - health.heard_ns > site.device_stale_ns
    out: list[Record] = []
    health.silent = silent
    never_ready = _never_ready(health, site, image, now_ns)
    newly = _stale_points(health, site, image, now_ns)
    crowd = _cover(health, alarms, site, newly) if newly.size else set()
    if newly.size:
        image.words[newly, kernels.BITS] = (image.bits[newly] & _SAYS_NOTHING) | _STALE
        image.words[newly, kernels.QUALITY] = Quality.STALE
    if crowd or silent.any() or health.faulted.any():
        covers = silent & ~health.line_down[site.device_line]
        out += _device_records(health, alarms, site, image, (covers, crowd), now_ns)
    return np.concatenate((newly, never_ready)), out


def _never_ready(health: Health, site: Site, image: Image, now_ns: int) -> I4:
    """Points that can alarm and have said "warming up" for too long: from now on faulty.

    INVALID stays until the kernel sees valid samples again.
    """
    waiting = image.quality == _NOT_READY
    if not waiting.any():
        return _NOBODY
    waiting &= (image.bits & _GIVEN_UP == 0) & (site.modes != _TELEMETRY)
    waiting &= image.mono_ns != kernels.NEVER
    valid_ns = np.maximum(image.stamps[:, kernels.LAST_VALID], health.start_ns)
    found: I4 = np.flatnonzero(waiting & (now_ns - valid_ns > WARM_UP_NS_MAX)).astype(np.int32)
    image.words[found, kernels.BITS] = (image.bits[found] & ~_READY) | np.uint32(kernels.INVALID)
    return found


def _stale_points(health: Health, site: Site, image: Image, now_ns: int) -> I4:
    """Points that are too old and do not say so yet."""
    np.subtract(now_ns, image.mono_ns, out=health.age)
    np.greater(health.age, site.stale_ns, out=health.old)
    if not health.old.any():
        return _NOBODY
    health.old &= image.bits & _STALE == 0
    newly: I4 = np.flatnonzero(health.old).astype(np.int32)
    # A point without a sample counts from the start.
    from_start = now_ns - health.start_ns > site.stale_ns[newly]
    late: I4 = newly[from_start | (image.mono_ns[newly] != kernels.NEVER)]
    return late


def _cover(health: Health, alarms: Alarms, site: Site, newly: I4) -> set[int]:
    """Mark points whose silence is their device's; the devices that lost a crowd of points."""
    device = site.device[newly]
    number = np.bincount(device, minlength=len(site.plan.devices))
    crowded = (number > STALE_EACH_MAX) & ~health.silent
    alarms.covered[newly] = health.silent[device] | crowded[device]
    return set(np.flatnonzero(crowded).tolist())


def _device_records(
    health: Health,
    alarms: Alarms,
    site: Site,
    image: Image,
    now: tuple[Bools, set[int]],
    now_ns: int,
) -> list[Record]:
    covers, crowd = now
    out: list[Record] = []
    for d in np.flatnonzero(covers != health.faulted).tolist() + sorted(crowd):
        mine = site.device == d
        stale = mine & alarms.covered & (image.bits & _STALE != 0)
        silent = bool(health.silent[d])
        fault = bool(covers[d]) or (health.faulted[d] if silent else bool(stale.any()))
        if bool(fault) == bool(health.faulted[d]):
            continue
        health.faulted[d] = fault
        name = site.plan.devices[d].name
        text = f"device {name} answers again"
        if fault:
            why = health.why.get(d, "no reply")
            text = (
                f"device {name} is silent: {why}"
                if covers[d]
                else f"device {name} lost {int(stale.sum())} of {int(mine.sum())} points: {why}"
            )
        names = [site.plan.points.names[k] for k in np.flatnonzero(stale)[:FAULT_NAMES_MAX]]
        out.append(
            records.fault_record(
                f"device/{name}",
                "device",
                now_ns,
                fault=fault,
                text=text,
                name=name,
                points=int(stale.sum()),
                names=names,
            )
        )
    return out
