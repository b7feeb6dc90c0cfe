"""One poll of a line: its requests, its values, and what is asked once more. Pure.

Time is an argument. Between the bytes of a reply and the block that the rest of the gateway sees
lie three decisions: whether the read must be taken apart (`parts`), whether a device whose
heartbeat stands still has said anything, and whether an alarm is read again at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.limits import CONFIRM_NS_MAX
from config.plan import PARAMS, Plan, Poll
from config.words import Flag, Mode, Quality
from drivers.modbus.beside import Heartbeat
from drivers.modbus.doubt import Doubt
from drivers.modbus.frame import Query
from drivers.modbus.parts import Parts
from drivers.modbus.schedule import FOREVER_NS
from drivers.modbus.values import PollDecoder, Qualities, Values
from drivers.reading import Failure, PollFailure, ReadingBlock

_GOOD = int(Quality.GOOD)  # numpy takes 10 us to see that a member of an enum is a number
_ALARMS = int(Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY)
_FIRE, _PREALARM, _LOW = (PARAMS.index(f"{n}_level") for n in ("fire", "prealarm", "low"))


@dataclass(slots=True)
class Told:
    """What came of a reply. again: the slot is asked once more at once."""

    blocks: tuple[ReadingBlock, ...] = ()
    failure: PollFailure | None = None
    again: bool = False
    doubted: bool = False  # ... because the line is noisy


class PollWork:
    """What a poll does with its replies."""

    def __init__(self, plan: Plan, index: int, heartbeat: Heartbeat | None) -> None:
        poll = plan.polls[index]
        self.poll = index
        self._decoder = PollDecoder(poll, plan.rules)
        self._parts = Parts(plan.devices[poll.device].unit, poll)
        self._heartbeat = heartbeat
        self._confirm = _Confirm(plan, poll, _chosen(poll)) if any(poll.confirms) else None
        everything = _Confirm(plan, poll, np.ones(len(self._decoder.point), np.bool_))
        self._doubt = Doubt(self._decoder, everything.number, everything.alarms)
        self._payload = b""
        self._held: ReadingBlock | None = None  # an alarm that waits for its second read

    @property
    def query(self) -> Query:
        """The next request."""
        return self._parts.query

    def took(self, payload: bytes, now_ns: int, cost_ns: int, *, noisy: bool = False) -> Told:
        """A reply to `query`. cost_ns: what a second read would take.

        noisy: replies of the unit were spoilt lately (see `doubt`).
        """
        if not self._parts.took(payload):
            return Told(again=True)
        return self._round(now_ns, cost_ns, noisy)

    def refused(self, code: int, now_ns: int, cost_ns: int, *, noisy: bool = False) -> Told:
        """An exception answered `query`."""
        if not self._parts.refused(code):
            return Told(again=True)
        if self._parts.code:
            failure = PollFailure(self.poll, now_ns, Failure.EXCEPTION, self._parts.code)
            return Told(self.give_up(FOREVER_NS), failure)
        return self._round(now_ns, cost_ns, noisy)

    def give_up(self, next_ns: int) -> tuple[ReadingBlock, ...]:
        """No reply came: an alarm that waited to be confirmed is told as it was first seen.

        next_ns: when the next request goes out. One in doubt waits for it, if that is soon.
        """
        self._parts.abandon()
        held, self._held = self._held, None
        doubted = self._doubt.given_up(self._payload, next_ns)
        if doubted is not None:
            read_ns, (value, quality) = doubted
            return (ReadingBlock(self.poll, read_ns, self._decoder.point, value, quality),)
        return () if held is None else (held,)

    def _round(self, now_ns: int, cost_ns: int, noisy: bool) -> Told:
        payload, missing = self._parts.payload, self._parts.missing
        if noisy and self._doubt.asks_again(payload, self._payload, now_ns, cost_ns):
            return Told(again=True, doubted=True)
        value, quality = self._doubt.decided() if noisy else self._doubt.believed(payload)
        unchanged, self._payload = payload == self._payload, payload
        if self._heartbeat is not None and self._heartbeat.frozen and unchanged:
            # What a frozen device repeats is no news; what it changes all the same, is.
            return Told(failure=PollFailure(self.poll, now_ns, Failure.FROZEN))
        if missing is not None:
            value = np.where(missing, np.nan, value)
            quality = np.where(missing, np.uint8(Quality.BAD), quality)
        block = ReadingBlock(self.poll, now_ns, self._decoder.point, value, quality)
        held, self._held = self._held, None
        if self._confirm is None:
            return Told((block,))
        if held is not None:
            self._confirm.told(value, quality)
            late = now_ns - held.mono_ns > CONFIRM_NS_MAX
            return Told((held, block) if late else (block,))
        state, number = self._confirm.news(value, quality)
        if cost_ns > CONFIRM_NS_MAX or not (state or number):
            self._confirm.told(value, quality)
            return Told((block,))
        if state:
            self._held = block
            return Told(again=True)
        self._confirm.told(value, quality)
        return Told((block,), again=True)


def _chosen(poll: Poll) -> NDArray[np.bool_]:
    return np.frombuffer(poll.confirms, np.uint8).astype(np.bool_)


class _Confirm:
    """Which values of a poll are seen in alarm for the first time.

    A state is held back until the second read agrees: that one is told instead of the first. A
    number is told at once, and its second sample follows at once: two of three make a fire.
    """

    def __init__(self, plan: Plan, poll: Poll, chosen: NDArray[np.bool_]) -> None:
        point = np.frombuffer(poll.points, "<u4").astype(np.intp)
        modes = np.frombuffer(plan.points.modes, np.uint8)[point]
        self._state: NDArray[np.bool_] = chosen & (modes == Mode.STATE)
        self._number: NDArray[np.bool_] = chosen & (modes == Mode.ANALOGUE)
        params = np.frombuffer(plan.points.params, "<f8").reshape(-1, len(PARAMS))[point]
        levels = np.fmin(params[:, _FIRE], params[:, _PREALARM])
        self._high: Values = np.where(np.isnan(levels), np.inf, levels)
        self._low: Values = np.where(np.isnan(params[:, _LOW]), -np.inf, params[:, _LOW])
        self._fire: Values = np.where(np.isnan(params[:, _FIRE]), np.inf, params[:, _FIRE])
        self.number: NDArray[np.bool_] = modes != Mode.STATE
        self._was: NDArray[np.int64] = np.zeros(len(point), np.int64)

    def news(self, value: Values, quality: Qualities) -> tuple[bool, bool]:
        """Whether a state, and whether a number, is newly in alarm."""
        fresh = (self.alarms(value, quality) & ~self._was) != 0
        return bool((fresh & self._state).any()), bool((fresh & self._number).any())

    def told(self, value: Values, quality: Qualities) -> None:
        """The values that the gateway knows now."""
        self._was = self.alarms(value, quality)

    def alarms(self, value: Values, quality: Qualities) -> NDArray[np.int64]:
        """The alarm flags that each value is or means, int64[n]."""
        good = quality == _GOOD
        flags = np.where(self._state & good, value, 0).astype(np.int64) & _ALARMS
        number = np.where(self._number & good, value, np.nan)
        with np.errstate(invalid="ignore"):
            flags |= np.where(number >= self._fire, int(Flag.FIRE), 0)
            flags |= np.where(number >= self._high, int(Flag.PREALARM), 0)
            flags |= np.where(number <= self._low, int(Flag.SUPERVISORY), 0)
        return flags
