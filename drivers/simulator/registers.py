"""The memory of every simulated device, and the points in it.

One array holds the words of all devices: the four Modbus tables of a unit are runs of it, exactly
as long as the plan's polls and outputs reach. So an address nobody polls is an illegal address,
and ten thousand points change in one numpy statement.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.plan import NO_RULE, Plan, WordRule
from config.value_types import NO_BIT, VALUE_TYPES
from config.words import Mode, Quality
from drivers.simulator.fields import Field, SimulatorError, raw_for, raw_of, sentinel_raw, words_of
from drivers.simulator.states import Meaning, find_word, flags_of, meaning

COILS = 1
HOLDING = 3


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive addresses of one table: [first, end) begin at `word` of the memory."""

    first: int
    end: int
    word: int


class Registers:
    """Memory of all devices of a plan: `memory` is uint16, coils and discrete inputs hold 0 or 1.

    `changed` is called with (point, measured) after a point was set; measured is False when it
    was set to what no sensor measures.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._runs: dict[tuple[int, int], tuple[Run, ...]] = {}
        self._slices: dict[int, slice] = {}
        self._frozen: dict[int, NDArray[np.uint16]] = {}
        self.memory: NDArray[np.uint16] = np.zeros(self._lay_out(), np.uint16)
        self._index = {name: i for i, name in enumerate(plan.points.names)}
        self._modes = np.frombuffer(plan.points.modes, np.uint8)
        self._fields = self._place_points()
        self._sharers = self._count_sharers()
        self._meanings: dict[tuple[WordRule, int], Meaning] = {}
        for text in plan.texts:
            self.set_text(text.name, text.name.partition(".")[2])
        self.changed: Callable[[int, bool], None] = lambda _point, _measured: None

    def _lay_out(self) -> int:
        """Fill `_runs` and `_slices`; the number of words in all."""
        ranges: dict[int, dict[int, list[tuple[int, int]]]] = {}
        for poll in self._plan.polls:
            table = ranges.setdefault(poll.device, {}).setdefault(poll.function, [])
            table.append((poll.address, poll.address + poll.count))
        for text in self._plan.texts:
            table = ranges.setdefault(text.device, {}).setdefault(text.function, [])
            table.append((text.address, text.address + text.count))
        for output in (o for o in self._plan.outputs if o.on_bus):
            table = ranges.setdefault(output.device, {}).setdefault(COILS, [])
            table.append((output.coil, output.coil + 1))
        for index, d in enumerate(self._plan.devices):
            if d.heartbeat:
                function, address, width, _ = d.heartbeat
                table = ranges.setdefault(index, {}).setdefault(function, [])
                table.append((address, address + width))
        word = 0
        for device, tables in ranges.items():
            start = word
            for function, spans in tables.items():
                runs: list[Run] = []
                for first, end in _merged(spans):
                    runs.append(Run(first, end, word))
                    word += end - first
                self._runs[device, function] = tuple(runs)
            self._slices[device] = slice(start, word)
        return word

    def _place_points(self) -> dict[int, tuple[Field, ...]]:
        fields: dict[int, tuple[Field, ...]] = {}
        for poll in self._plan.polls:
            columns = zip(
                np.frombuffer(poll.points, "<u4").tolist(),
                np.frombuffer(poll.offsets, "<u2").tolist(),
                poll.types,
                poll.bits,
                np.frombuffer(poll.scales, "<f8").tolist(),
                np.frombuffer(poll.biases, "<f8").tolist(),
                np.frombuffer(poll.rules, "<u2").tolist(),
                strict=True,
            )
            for point, offset, kind, bit, scale, bias, rule in columns:
                address = poll.address + offset
                word = self.word(poll.device, poll.function, address)
                assert word is not None, "a poll lies within its own run"
                rule_used = None if rule == NO_RULE else self._plan.rules[rule]
                field = Field(
                    poll.device, poll.function, address, word, VALUE_TYPES[kind],
                    bit, scale, bias, rule_used,
                )  # fmt: skip
                fields[point] = (*fields.get(point, ()), field)
        return fields

    def beat(self, *, shared: bool) -> None:
        """Every living device counts its heartbeat on; `shared`: also where a point shows it."""
        for index, device in enumerate(self._plan.devices):
            if device.heartbeat:
                word = self.word(index, *device.heartbeat[:2])
                assert word is not None, "a heartbeat lies within its own run"
                if shared or word not in self._sharers:
                    self.memory[word] = (int(self.memory[word]) + 1) & 0xFFFF

    def _count_sharers(self) -> dict[int, int]:
        count: dict[int, int] = {}
        for fields in self._fields.values():
            for field in fields:
                for word in range(field.word, field.word + field.width):
                    count[word] = count.get(word, 0) + 1
        return count

    # --- as the wire sees it ----------------------------------------------------------------

    def word(self, device: int, function: int, address: int, count: int = 1) -> int | None:
        """Where `count` consecutive addresses begin in the memory; None when one is illegal."""
        runs = self._runs.get((device, function), ())
        at = bisect_right(runs, address, key=lambda run: run.first) - 1
        if at < 0 or address + count > runs[at].end:
            return None
        return runs[at].word + address - runs[at].first

    def read(
        self, device: int, function: int, address: int, count: int
    ) -> NDArray[np.uint16] | None:
        """What a read answers: uint16[count], or None for an illegal address."""
        word = self.word(device, function, address, count)
        if word is None:
            return None
        frozen = self._frozen.get(device)
        if frozen is not None:
            word -= self._slices[device].start
            return frozen[word : word + count]
        return self.memory[word : word + count]

    def write(self, device: int, function: int, address: int, values: list[int]) -> bool:
        """Write to the table that `function` reads (1 or 3). False for an illegal address."""
        assert function in (COILS, HOLDING), "discrete inputs and input registers are read only"
        word = self.word(device, function, address, len(values))
        if word is None:
            return False
        self.memory[word : word + len(values)] = values
        return True

    def freeze(self, device: int, frozen: bool) -> None:
        """From now on reads of the device answer what they would answer now; or no longer."""
        if not frozen:
            self._frozen.pop(device, None)
        elif device in self._slices:
            self._frozen[device] = self.memory[self._slices[device]].copy()

    # --- as the building sees it ------------------------------------------------------------

    def index(self, point: int | str) -> int:
        """Index of a point given by index or name. Raises SimulatorError."""
        if isinstance(point, int):
            if 0 <= point < len(self._plan.points):
                return point
            raise SimulatorError(f"expected a point below {len(self._plan.points)}, found {point}")
        if point not in self._index:
            raise SimulatorError(f"no point is called {point!r}; names are 'device.point'")
        return self._index[point]

    def fields(self, point: int) -> tuple[Field, ...]:
        """Where the point lives; empty when no poll reads it."""
        return self._fields.get(point, ())

    def mode(self, point: int) -> Mode:
        """What the point's value is."""
        return Mode(int(self._modes[point]))

    def set_value(self, point: int | str, value: float, *, clamp: bool = False) -> None:
        """Set an engineering value; NaN sets what a dead sensor leaves. Raises SimulatorError."""
        index = self.index(point)
        if math.isnan(value):
            self.set_quality(index, Quality.BAD)
            return
        with _Naming(self._plan.points.names[index]):
            raws = [raw_for(f, value, clamp=clamp) for f in self._polled(index)]
        self._store(index, raws, measured=True)

    def set_text(self, name: str, value: str) -> None:
        """Set what a text says, zeros behind it. Raises SimulatorError when it does not fit."""
        row = next((t for t in self._plan.texts if t.name == name), None)
        if row is None:
            raise SimulatorError(f"no text is called {name!r}; names are 'device.text'")
        data = value.encode(row.encoding, errors="replace")
        if len(data) > 2 * row.count:
            raise SimulatorError(f"{name}: expected at most {2 * row.count} bytes: {value!r}")
        words = np.frombuffer(data.ljust(2 * row.count, b"\0"), "<u2" if row.low_first else ">u2")
        word = self.word(row.device, row.function, row.address, row.count)
        assert word is not None, "a text lies within its own run"
        self.memory[word : word + row.count] = words

    def set_flags(self, point: int | str, flags: int) -> None:
        """Set a state point to the word that means exactly these flags. Raises SimulatorError."""
        index = self.index(point)
        with _Naming(self._plan.points.names[index]):
            if self.mode(index) is not Mode.STATE:
                raise SimulatorError("expected a number: this is not a state point")
            raws = [self._state_raw(f, flags, Quality.GOOD) for f in self._polled(index)]
        self._store(index, raws, measured=False)

    def set_quality(self, point: int | str, quality: Quality) -> None:
        """Make the point read BAD or NOT_READY, as its rule or its type has it."""
        index = self.index(point)
        raws: list[float] = []
        with _Naming(self._plan.points.names[index]):
            for field in self._polled(index):
                rule = field.rule
                if rule is not None and (rule.bad if quality is Quality.BAD else rule.not_ready):
                    raws.append(self._state_raw(field, 0, quality))
                elif quality is Quality.BAD:
                    raws.append(sentinel_raw(field))
                else:
                    raise SimulatorError(f"its device has no word for {quality.name}")
        self._store(index, raws, measured=False)

    def value(self, point: int | str) -> float:
        """Engineering value now in the register; for state points the flags; NaN when bad."""
        field = self._polled(self.index(point))[0]
        raw = raw_of(field, self.memory[field.word : field.word + field.width])
        if field.rule is not None and math.isfinite(raw):
            flags = flags_of(field.rule, int(raw))
            if flags is None:
                return math.nan
            if field.rule.cases:  # a rule of sentinels alone leaves the number as it is
                return float(flags)
        return raw * field.scale + field.bias

    def _polled(self, index: int) -> tuple[Field, ...]:
        fields = self._fields.get(index, ())
        if not fields:
            raise SimulatorError(f"{self._plan.points.names[index]}: no poll reads this point")
        return fields

    def _state_raw(self, field: Field, flags: int, quality: Quality) -> int:
        if field.rule is None:
            raise SimulatorError("its plan has no rule that says which word means what")
        bits = 1 if field.type == "bit" else 16 * field.width
        bits = bits if field.bit == NO_BIT else field.field_bits
        key = (field.rule, bits)
        if key not in self._meanings:
            self._meanings[key] = meaning(field.rule, bits=bits)
        current = 0
        if self._sharers[field.word] > 1 and field.bit == NO_BIT:  # keep what others see in it
            raw = raw_of(field, self.memory[field.word : field.word + field.width])
            current = int(raw) & 0xFFFF_FFFF if math.isfinite(raw) else 0
        return find_word(self._meanings[key], current, flags=flags, quality=quality)

    def _store(self, index: int, raws: Sequence[float], *, measured: bool) -> None:
        for field, raw in zip(self._fields[index], raws, strict=True):
            if field.bit != NO_BIT and field.type != "bit":
                mask = ((1 << field.field_bits) - 1) << (field.bit & 15)
                put = int(raw) << (field.bit & 15)
                if field.type.endswith("_bs"):
                    mask, put = ((n & 0xFF) << 8 | n >> 8 for n in (mask, put))
                word = int(self.memory[field.word])
                self.memory[field.word] = word & ~mask | put
            else:
                self.memory[field.word : field.word + field.width] = words_of(field, raw)
        self.changed(index, measured)


class _Naming:
    """Adds the point's name to a SimulatorError that passes."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        return None

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, SimulatorError):
            raise SimulatorError(f"{self._name}: {error}") from error


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Sorted, overlapping and touching ranges joined."""
    merged: list[tuple[int, int]] = []
    for first, end in sorted(spans):
        if merged and first <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((first, end))
    return merged
