"""Readings on their way into a telemetry batch. Pure: bytes of the field in, columns out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from agent.core.types import ClockState, Now
from agent.record.summary import Summing
from agent.uplink import check
from agent.uplink.columns import PollSamples, encode_columns
from agent.uplink.errors import UplinkError
from config.limits import TELEMETRY_READINGS_MAX, TELEMETRY_SAMPLES_MAX, WALL_JUMP_NS
from config.words import Quality

_QUALITY_MAX = np.uint8(max(Quality))


@dataclass(slots=True)
class _Gathered:
    mono: list[int] = field(default_factory=list)
    values: list[bytes] = field(default_factory=list)
    quality: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A batch's worth: `data` is codec COLUMNS; `last` is the time of its last sample."""

    data: bytes
    mono_first_ns: int
    last: Now
    mark: int
    readings: int


class Gather:
    """Collects blocks until a batch is due, full, or the wall clock jumps."""

    def __init__(self, resolutions: Mapping[int, bytes]) -> None:
        self._resolutions = {
            poll: np.frombuffer(packed, dtype="<f8") for poll, packed in resolutions.items()
        }
        self.summing = Summing(self._resolutions)
        self._polls: dict[int, _Gathered] = {}
        self._readings = 0
        self._first_ns = 0
        self._last = Now(0, 0, ClockState.UNSET)
        self._mark = 0
        self.began_ns = 0

    def __len__(self) -> int:
        return self._readings

    def full(self, row: list[Any]) -> bool:
        """Whether there is no room for this block in the batch."""
        if not self._readings:
            return False
        gathered = self._polls.get(row[1])
        return self._readings + len(row[5]) // 8 > TELEMETRY_READINGS_MAX or (
            gathered is not None and len(gathered.mono) >= TELEMETRY_SAMPLES_MAX
        )

    def jumps(self, row: list[Any]) -> bool:
        """Whether the wall clock of this block is another than that of what is gathered."""
        if not self._readings and not len(self.summing):
            return False
        _, _, mono_ns, wall_ns, clock, _, _ = row
        offset_ns = self._last.wall_ns - self._last.mono_ns
        return bool(clock != self._last.clock or abs(wall_ns - mono_ns - offset_ns) > WALL_JUMP_NS)

    def add(self, row: list[Any], now_ns: int) -> None:
        """Take in [seq, poll, mono_ns, wall_ns, clock, values, quality].

        Raises UplinkError "malformed" when it does not fit the table; then nothing is taken.
        """
        seq, poll, mono_ns, wall_ns, clock, values, quality = check.array(row, "block", 7)
        width = len(self._resolutions.get(check.uint(poll, "poll"), ()))
        if not width or len(check.raw(values, "values")) != 8 * width:
            raise UplinkError("malformed", f"poll {poll}: expected {width} values")
        if check.raw(quality, "quality") and len(quality) != width:
            raise UplinkError("malformed", f"poll {poll}: expected {width} qualities or none")
        check.uint(mono_ns, "mono")
        now = Now(mono_ns, check.uint(wall_ns, "wall"), ClockState(check.uint(clock, "clock", 2)))
        self._mark = max(self._mark, check.uint(seq, "block seq"))
        if not self._readings:
            self._first_ns = mono_ns
            self._last = now
            self.began_ns = now_ns
        self._first_ns = min(self._first_ns, mono_ns)
        if mono_ns >= self._last.mono_ns:
            self._last = now
        gathered = self._polls.setdefault(poll, _Gathered())
        gathered.mono.append(mono_ns)
        gathered.values.append(values)
        gathered.quality.append(quality)
        self._readings += width

    def take(self) -> Telemetry:
        """Everything gathered, encoded; the gathering begins anew. Only when there is something."""
        assert self._readings, "nothing was gathered"
        samples = self._release()
        data = encode_columns(samples, self._resolutions.get, self._first_ns)
        return Telemetry(data, self._first_ns, self._last, self._mark, sum(map(_size, samples)))

    def drop(self) -> dict[int, int]:
        """Forget what was gathered but for its summary; how many readings of each poll that was."""
        return {samples.poll: _size(samples) for samples in self._release()}

    def _release(self) -> list[PollSamples]:
        """What was gathered, added to the summary; the gathering begins anew."""
        samples = [
            _samples(poll, gathered, len(self._resolutions[poll]))
            for poll, gathered in sorted(self._polls.items())
        ]
        self._polls = {}
        self._readings = 0
        if samples:
            self.summing.add(samples, self._first_ns, self._last)
        return samples


def _size(samples: PollSamples) -> int:
    return int(samples.value.size)


def _samples(poll: int, gathered: _Gathered, width: int) -> PollSamples:
    count = len(gathered.mono)
    value = np.frombuffer(b"".join(gathered.values), dtype="<f8").reshape(count, width)
    if any(gathered.quality):
        good = bytes(width)
        joined = b"".join(q or good for q in gathered.quality)
        quality = np.minimum(np.frombuffer(joined, dtype=np.uint8), _QUALITY_MAX)
        quality = quality.reshape(count, width)
    else:
        quality = np.zeros((count, width), dtype=np.uint8)
    return PollSamples(poll, np.array(gathered.mono, dtype=np.int64), value, quality)
