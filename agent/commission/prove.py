"""Proves a profile: every word of every rule, from a simulated device through the real bus master.

The simulator serves the device on a loopback port and shares no code with the gateway's decoder;
what each word must read as is worked out from the rule by the simulator's side, and by the
examples that the profile quotes from its manual.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from agent.commission.proof_site import bench
from config.desk_limits import PROFILE_PROOF_STEP_NS
from config.limits import S
from config.plan import Plan
from config.problems import Problem
from config.profile_facts import Example
from config.profiles import Profile
from config.value_types import NO_BIT
from config.words import FLAG_WORDS, Mode, Quality
from drivers.modbus.master import BusMaster
from drivers.reading import LineState, PollFailure, ReadBack, ReadingBlock, TextReading
from drivers.simulator.building import Building
from drivers.simulator.fields import RAW_LIMITS, Field, base_type, raw_of, words_of
from drivers.simulator.states import flag_names, flags_of

_READS = (1, 2, 3, 4)
_COIL_WRITES = (5, 15)


@dataclass(frozen=True, slots=True)
class Step:
    """Words in a point's place, and what they must read as (NaN where the quality is not GOOD)."""

    words: tuple[int, ...]
    quality: Quality
    value: float
    state: bool
    source: str  # "rule", or "example 3"

    def expected(self) -> str:
        """For people."""
        return reading_text(self.quality, self.value, state=self.state)


@dataclass(frozen=True, slots=True)
class Difference:
    """A word that did not read as it must."""

    point: str
    words: tuple[int, ...]
    source: str
    expected: str
    found: str


@dataclass(slots=True)
class Proof:
    """The outcome. functions: how often each Modbus function went over the wire."""

    points: int = 0
    steps: int = 0
    examples: int = 0
    coils: int = 0
    functions: Counter[int] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    problems: tuple[Problem, ...] = ()
    left_off: int = 0

    @property
    def good(self) -> bool:
        """Whether everything read as it must and nothing was written but coils."""
        return not self.problems and not self.differences


def reading_text(quality: Quality, value: float, *, state: bool) -> str:
    """`fire and fault`, `not ready`, `12.5`."""
    if quality is not Quality.GOOD:
        return quality.name.lower().replace("_", " ")
    if state:
        return " and ".join(flag_names(int(value))) or "normal"
    return f"{value:g}"


class _Sink:
    """Keeps the last reading of every point and counts the blocks of every poll."""

    def __init__(self, points: int, polls: int) -> None:
        self.value = np.full(points, math.nan)
        self.quality = np.full(points, int(Quality.NOT_READY), np.uint8)
        self.blocks = [0] * polls
        self.outputs: dict[int, bool | None] = {}
        self.texts: dict[int, str | None] = {}
        self.last_failure = ""
        self.came = asyncio.Event()

    def block(self, block: ReadingBlock) -> None:
        self.value[block.point] = block.value
        self.quality[block.point] = block.quality
        self.blocks[block.poll] += 1
        self.came.set()

    def failed(self, failure: PollFailure) -> None:
        self.last_failure = f"{failure.why}"
        self.came.set()

    def text(self, reading: TextReading) -> None:
        self.texts[reading.text] = reading.value
        self.came.set()

    def read_back(self, read_back: ReadBack) -> None:
        self.outputs[read_back.output] = read_back.on
        self.came.set()

    def line(self, state: LineState) -> None:
        self.last_failure = state.text
        self.came.set()


async def prove(profile: Profile, directory: Path | None = None) -> Proof:
    """Run the proof. Raises TimeoutError when the path itself does not work."""
    proof = Proof()
    made = bench(profile, directory)
    if made.plan is None:
        proof.problems, proof.left_off = made.problems, made.left_off
        return proof
    building = Building(made.plan)
    await building.start()
    try:
        line = building.lines["bus"]
        port = getattr(line, "port", 0)
        served = replace(made.plan.lines[0], tcp_port=port)
        plan = replace(made.plan, lines=(served,))
        sink = _Sink(len(plan.points), len(plan.polls))
        master = BusMaster(plan, 0, sink)
        running = asyncio.create_task(master.run())
        try:
            await _prove_points(profile, plan, building, sink, proof)
            await _prove_coils(plan, building, master, sink, proof)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
        proof.functions = Counter(getattr(line, "responder").asked)  # noqa: B009 -- a TcpLine here
    finally:
        await building.stop()
    _prove_no_writes(profile, proof)
    return proof


def _prove_no_writes(profile: Profile, proof: Proof) -> None:
    allowed = (*_READS, *_COIL_WRITES) if profile.coils else _READS
    for function, count in proof.functions.items():
        if function not in allowed:
            proof.differences.append(
                Difference("", (), "wire", "reads only", f"function {function}, {count} times")
            )


async def _prove_points(
    profile: Profile, plan: Plan, building: Building, sink: _Sink, proof: Proof
) -> None:
    registers = building.registers
    examples: dict[str, list[tuple[int, Example]]] = {}
    for number, example in enumerate(profile.examples, 1):
        examples.setdefault(f"device.{example.point}", []).append((number, example))
    queues: list[tuple[int, Field, list[Step]]] = []
    for index, name in enumerate(plan.points.names):
        place = registers.fields(index)[0]
        state = registers.mode(index) is Mode.STATE
        steps = list(_rule_steps(place, state=state))
        steps += [_example_step(n, e) for n, e in examples.get(name, [])]
        proof.examples += len(examples.get(name, []))
        queues.append((index, place, steps))
    proof.points = len(queues)
    for group in _apart(queues):
        await _prove_group(plan, building, sink, group, proof)


def _apart(
    queues: Sequence[tuple[int, Field, list[Step]]],
) -> list[list[tuple[int, Field, list[Step]]]]:
    """Groups of points that share no word: they can be tested at the same time."""
    groups: list[tuple[set[int], list[tuple[int, Field, list[Step]]]]] = []
    for entry in queues:
        words = set(range(entry[1].word, entry[1].word + entry[1].width))
        for taken, group in groups:
            if not taken & words:
                taken.update(words)
                group.append(entry)
                break
        else:
            groups.append((words, [entry]))
    return [group for _, group in groups]


async def _prove_group(
    plan: Plan, building: Building, sink: _Sink, group: list[tuple[int, Field, list[Step]]],
    proof: Proof,
) -> None:  # fmt: skip
    memory = building.registers.memory
    for number in range(max(len(steps) for _, _, steps in group)):
        for _, place, steps in group:
            if number < len(steps):
                words = steps[number].words
                memory[place.word : place.word + len(words)] = words
        await _two_rounds(sink)
        for index, _, steps in group:
            if number < len(steps):
                proof.steps += 1
                _compare(plan, sink, index, steps[number], proof)


def _compare(plan: Plan, sink: _Sink, index: int, step: Step, proof: Proof) -> None:
    quality, value = Quality(int(sink.quality[index])), float(sink.value[index])
    same = quality is step.quality and (
        quality is not Quality.GOOD or math.isclose(value, step.value, rel_tol=1e-9, abs_tol=1e-12)
    )
    if not same:
        found = reading_text(quality, value, state=step.state)
        name = plan.points.names[index].removeprefix("device.")
        proof.differences.append(Difference(name, step.words, step.source, step.expected(), found))


async def _two_rounds(sink: _Sink) -> None:
    """Until every poll was answered twice: the second request was sent after the words were set."""
    until = [count + 2 for count in sink.blocks]
    async with asyncio.timeout(PROFILE_PROOF_STEP_NS / S):
        while any(have < want for have, want in zip(sink.blocks, until, strict=True)):
            sink.came.clear()
            await sink.came.wait()


async def _prove_coils(
    plan: Plan, building: Building, master: BusMaster, sink: _Sink, proof: Proof
) -> None:
    """Every coil on and off again, written and read back."""
    proof.coils = len(plan.outputs)
    for on in (True, False):
        for index in range(len(plan.outputs)):
            master.order(index, on)
        async with asyncio.timeout(PROFILE_PROOF_STEP_NS / S):
            while any(sink.outputs.get(i) is not on for i in range(len(plan.outputs))):
                sink.came.clear()
                await sink.came.wait()
        for output in plan.outputs:
            if building.coil(output.device, output.coil) is not on:
                state = ("off", "on")
                proof.differences.append(
                    Difference(output.name, (), "coil", state[on], state[not on])
                )


# --- steps --------------------------------------------------------------------------------


def _rule_steps(place: Field, *, state: bool) -> Iterator[Step]:
    """Every word that the rule names, none of its bits, all of them; the ends of a number."""
    rule = place.rule
    raws: dict[int, None] = {}
    if place.single_bit:
        raws = {0: None, 1: None}
    elif base_type(place.type) == "float32":
        yield from _float_steps(place)
        return
    else:
        low, high = RAW_LIMITS[base_type(place.type)]
        raws = dict.fromkeys((0, 1, low, high))
    if rule is not None:
        width = 1 if place.single_bit else 16 * place.width
        for _, equals, *_ in (*rule.cases, *rule.not_ready, *rule.bad):
            raw = equals & ((1 << width) - 1)
            raws[_signed(place, raw)] = None
    for raw in raws:
        yield _step(place, words_of(_whole(place), _shifted(place, raw)), "rule", state=state)


def _signed(place: Field, raw: int) -> int:
    low, high = (0, 1) if place.single_bit else RAW_LIMITS[base_type(place.type)]
    return raw - (high - low + 1) if raw > high else raw


def _shifted(place: Field, raw: int) -> int:
    return raw << place.bit if place.bit != NO_BIT and place.type != "bit" else raw


def _whole(place: Field) -> Field:
    return place if place.bit == NO_BIT else replace(place, type="uint16", bit=NO_BIT)


def _float_steps(place: Field) -> Iterator[Step]:
    for raw in (0.0, 1.5, -2.25, math.nan, math.inf):
        yield _step(place, words_of(place, raw), "rule", state=False)


def _step(place: Field, words: tuple[int, ...], source: str, *, state: bool) -> Step:
    """What these words mean, by the simulator's own reading of the rule."""
    raw = raw_of(place, np.array(words, np.uint16))
    rule = place.rule
    if not math.isfinite(raw):
        return Step(words, Quality.BAD, math.nan, state, source)
    if rule is not None:
        word = int(raw) & ((1 << (1 if place.single_bit else 16 * place.width)) - 1)
        if any(word & mask == equals for mask, equals in rule.bad):
            return Step(words, Quality.BAD, math.nan, state, source)
        if any(word & mask == equals for mask, equals in rule.not_ready):
            return Step(words, Quality.NOT_READY, math.nan, state, source)
        if rule.cases:
            return Step(words, Quality.GOOD, float(flags_of(rule, word) or 0), state, source)
    return Step(words, Quality.GOOD, raw * place.scale + place.bias, state, source)


def _example_step(number: int, example: Example) -> Step:
    source = f"example {number}"
    if not isinstance(example.reads, tuple):
        return Step(example.words, Quality.GOOD, example.reads, False, source)
    if "bad" in example.reads:
        return Step(example.words, Quality.BAD, math.nan, True, source)
    if "not_ready" in example.reads:
        return Step(example.words, Quality.NOT_READY, math.nan, True, source)
    flags = sum(int(FLAG_WORDS[w]) for w in example.reads if w != "normal")
    return Step(example.words, Quality.GOOD, float(flags), True, source)
