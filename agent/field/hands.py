"""The hands: orders become levels of coils and GPIO lines, in the rhythm of their patterns.

A GPIO line is set before this returns; a coil's order stands in its line's queue. Outputs with one
pattern are in step: they share the moment at which it began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from agent.core.types import Order
from config.plan import Plan
from config.rhythms import RHYTHMS, part_of
from drivers.reading import ReadBack


class Driver(Protocol):
    """What drives outputs: a bus master, or the GPIO lines."""

    def order(self, output: int, on: bool) -> None:
        """From now on it shall be so."""

    def rewrite(self, output: int) -> None:
        """Once more."""


class Handle(Protocol):
    """A timer that can be taken back."""

    def cancel(self) -> None: ...


Later = Callable[[int, Callable[[], None]], Handle]
"""Calls back after so many nanoseconds."""


class Hands:
    """Everything that is switched."""

    def __init__(
        self,
        plan: Plan,
        masters: Sequence[Driver],
        gpio: Driver | None,
        mono_ns: Callable[[], int],
        later: Later,
    ) -> None:
        self._plan = plan
        self._masters = masters
        self._gpio = gpio
        self._mono_ns = mono_ns
        self._later = later
        self._running: dict[int, str] = {}  # output -> pattern
        self._level: dict[int, bool] = {}
        self._began: dict[str, int] = {}
        self._timer: Handle | None = None

    def order(self, order: Order) -> None:
        """Carry out one order, at once."""
        if order.again:
            self._driver(order.output).rewrite(order.output)
            return
        output = order.output
        rhythm = order.on and RHYTHMS.get(order.pattern) and not self._plan.outputs[output].steady
        if not rhythm:
            if self._running.pop(output, None) is not None:
                self._forget()
            self._set(output, order.on)
        elif self._running.get(output) != order.pattern:
            self._running[output] = order.pattern
            self._began.setdefault(order.pattern, self._mono_ns())
            self._forget()
            self._beat()

    def told(self, read: ReadBack) -> ReadBack:
        """A read-back in terms of the order: on in a pattern's pause is as ordered."""
        if read.output not in self._running or read.on is None:
            return read
        return replace(read, on=read.on == self._level.get(read.output))

    def _forget(self) -> None:
        for pattern in self._began.keys() - set(self._running.values()):
            del self._began[pattern]
        if self._timer is not None and not self._began:
            self._timer.cancel()
            self._timer = None

    def _beat(self) -> None:
        """Bring every pattern to where it is now, and come again when one changes."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now_ns = self._mono_ns()
        parts = {p: part_of(p, now_ns - began_ns) for p, began_ns in self._began.items()}
        for output, pattern in self._running.items():
            on = parts[pattern][0]
            if self._level.get(output) != on:
                self._set(output, on)
        if parts:
            self._timer = self._later(min(rest for _, rest in parts.values()), self._beat)

    def _set(self, output: int, on: bool) -> None:
        self._level[output] = on
        self._driver(output).order(output, on)

    def _driver(self, output: int) -> Driver:
        place = self._plan.outputs[output]
        if place.on_bus:
            return self._masters[self._plan.devices[place.device].line]
        assert self._gpio is not None, "a plan with GPIO outputs has GPIO lines"
        return self._gpio
