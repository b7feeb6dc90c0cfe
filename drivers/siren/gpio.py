"""GPIO lines: outputs that are set at once, inputs that tell their edges.

Each line is asked for by itself, so that one that is missing or taken holds up no other, and asked
for again for ever. An output is requested with the level that it shall have: it does not blink.
`Request` is what is used of libgpiod; drivers/siren/chip.py has the real one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from config.limits import GPIO_RETRY_NS, INPUT_LOOK_NS, S
from config.plan import Plan
from config.words import OutputKind
from drivers.reading import InputLevel, ReadBack


class Request(Protocol):
    """One line that is ours. Values are logical: active_low is taken care of. All raise OSError."""

    @property
    def fd(self) -> int: ...
    def set_value(self, on: bool) -> None: ...
    def get_value(self) -> bool: ...
    def read_edges(self) -> Sequence[tuple[int, bool]]: ...
    def release(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Want:
    """A line as it shall be requested. initial: of an output; None for an input with edges."""

    chip: str
    line: int
    initial: bool | None
    active_low: bool
    drive: str = ""
    bias: str = ""
    debounce_ns: int = 0


Opener = Callable[[Want], Request]
"""Requests a line. Raises OSError when the chip is missing or the line is taken."""


class Sink(Protocol):
    """Where the lines deliver. Called by the event loop; must not block."""

    def read_back(self, read_back: ReadBack) -> None: ...
    def level(self, level: InputLevel) -> None: ...
    def chip(self, chip: str, fault: bool, text: str) -> None: ...


@dataclass(slots=True, eq=False)
class _Line:
    index: int  # of the output or the input in the plan
    want: Want
    look_ns: int  # how often it is read
    on: bool = False  # of an output: what is wanted
    ordered: bool = False  # since it was last read back
    request: Request | None = None
    due_ns: int = 0
    text: str = ""  # why it cannot be had

    @property
    def is_output(self) -> bool:
        return self.want.initial is not None


@dataclass(slots=True)
class GpioLines:
    """All lines of the plan on all chips.

    last_attempt_ns, up, jams, counters: what a bus master shows, too. A chip that is gone is a
    fault of its own and no reason to restart.
    """

    plan: Plan
    sink: Sink
    opener: Opener
    mono_ns: Callable[[], int] = time.monotonic_ns
    last_attempt_ns: int = 0
    up: bool = False
    jams: int = 0
    counters: Mapping[int, Any] = field(default_factory=dict)
    _outputs: dict[int, _Line] = field(default_factory=dict)
    _inputs: list[_Line] = field(default_factory=list)
    _lost: set[str] = field(default_factory=set)  # chips with a fault that was told
    _kick: asyncio.Event = field(default_factory=asyncio.Event)
    _loop: asyncio.AbstractEventLoop | None = None

    def __post_init__(self) -> None:
        self.last_attempt_ns = self.mono_ns()
        for k, out in enumerate(self.plan.outputs):
            if not out.on_bus:
                want = Want(out.chip, out.coil, False, out.inverted, out.drive)
                line = self._outputs[k] = _Line(k, want, out.readback_ns)
                line.on = out.kind == OutputKind.FAULT  # until all is known to be well
        for k, item in enumerate(self.plan.inputs):
            if item.chip:
                want = Want(
                    item.chip, item.number, None, item.active_low,
                    bias=item.bias, debounce_ns=item.debounce_ns,
                )  # fmt: skip
                self._inputs.append(_Line(k, want, INPUT_LOOK_NS))

    def __len__(self) -> int:
        return len(self._outputs) + len(self._inputs)

    # --- orders -------------------------------------------------------------------------------

    def order(self, output: int, on: bool) -> None:
        """From now on `output` shall be `on`: set at once, read back a moment later."""
        line = self._outputs[output]
        line.on = on
        self.rewrite(output)

    def rewrite(self, output: int) -> None:
        """Set the line once more to what is wanted."""
        line = self._outputs[output]
        line.ordered = True
        line.due_ns = 0
        if line.request is not None:
            try:
                line.request.set_value(line.on)
            except OSError as e:
                self._lose(line, e)
        self._kick.set()

    # --- the life of the lines ----------------------------------------------------------------

    async def run(self) -> None:
        """Ask for the lines, read them, ask again for those that are lost; until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            while True:
                self._kick.clear()
                self.look()
                wait_ns = max(0, self._next_ns() - self.mono_ns())
                try:
                    async with asyncio.timeout(wait_ns / S):
                        await self._kick.wait()
                except TimeoutError:
                    continue
        finally:
            # The lines stay ours until the process ends: releasing one may switch it.
            for line in self._inputs:
                self._unwatch(line)

    def look(self) -> None:
        """Everything that is due: requests, read-backs, levels."""
        now_ns = self.last_attempt_ns = self.mono_ns()
        for line in (*self._outputs.values(), *self._inputs):
            if line.due_ns > now_ns:
                continue
            if line.request is None:
                self._request(line, now_ns)
            if line.request is not None:
                self._read(line)
            line.due_ns = now_ns + (GPIO_RETRY_NS if line.request is None else line.look_ns)
        self._tell_chips()
        self.up = not self._lost

    def _next_ns(self) -> int:
        lines = (*self._outputs.values(), *self._inputs)
        return min((line.due_ns for line in lines), default=self.mono_ns() + S)

    def _request(self, line: _Line, now_ns: int) -> None:
        want = line.want
        if line.is_output:
            want = Want(want.chip, want.line, line.on, want.active_low, want.drive)
        try:
            line.request = self.opener(want)
        except OSError as e:
            line.text = f"line {want.line}: {e.strerror or e}"
            self._unknown(line, now_ns)
            return
        line.text = ""
        if not line.is_output and self._loop is not None:
            self._loop.add_reader(line.request.fd, self._edges, line)

    def _read(self, line: _Line) -> None:
        assert line.request is not None
        try:
            on = line.request.get_value()
        except OSError as e:
            self._lose(line, e)
            return
        now_ns = self.mono_ns()
        if line.is_output:
            told, line.ordered = line.ordered, False
            self.sink.read_back(ReadBack(line.index, now_ns, on, written=told))
        else:
            self.sink.level(InputLevel(line.index, now_ns, on))

    def _edges(self, line: _Line) -> None:
        """The kernel has edges."""
        if line.request is None:
            return
        try:
            edges = line.request.read_edges()
        except OSError as e:
            self._lose(line, e)
            return
        for mono_ns, on in edges:
            self.sink.level(InputLevel(line.index, mono_ns, on))

    # --- loss ---------------------------------------------------------------------------------

    def _lose(self, line: _Line, error: OSError) -> None:
        self._unwatch(line)
        request, line.request = line.request, None
        line.text = f"line {line.want.line}: {error.strerror or error}"
        line.due_ns = self.mono_ns() + GPIO_RETRY_NS
        if request is not None:
            try:
                request.release()
            except OSError:
                line.text += ", and cannot be released"
        self._unknown(line, self.mono_ns())
        self._kick.set()

    def _unwatch(self, line: _Line) -> None:
        if line.request is not None and not line.is_output and self._loop is not None:
            self._loop.remove_reader(line.request.fd)

    def _unknown(self, line: _Line, now_ns: int) -> None:
        if line.is_output:
            self.sink.read_back(ReadBack(line.index, now_ns, None, written=line.ordered))
        else:
            self.sink.level(InputLevel(line.index, now_ns, None))

    def _tell_chips(self) -> None:
        wrong: dict[str, str] = {}
        for line in (*self._outputs.values(), *self._inputs):
            if line.text:
                wrong.setdefault(line.want.chip, line.text)
        for chip, text in wrong.items():
            if chip not in self._lost:
                self.sink.chip(chip, True, f"{chip} {text}")
        for chip in self._lost - wrong.keys():
            self.sink.chip(chip, False, f"{chip}: all lines are there")
        self._lost = set(wrong)
