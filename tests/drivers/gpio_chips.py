"""A GPIO chip that exists in memory only: wires with levels, and lines that can be had of it."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field

from drivers.siren.gpio import Want


@dataclass
class Chips:
    """All chips of a machine. `wire` has the physical levels; `log` every change that we made."""

    present: set[str] = field(default_factory=lambda: {"/dev/gpiochip0"})
    taken: set[tuple[str, int]] = field(default_factory=set)
    wire: dict[tuple[str, int], bool] = field(default_factory=dict)
    stuck: set[tuple[str, int]] = field(default_factory=set)  # a wire that does not follow
    log: list[tuple[int, bool]] = field(default_factory=list)
    lines: dict[tuple[str, int], FakeLine] = field(default_factory=dict)

    def open(self, want: Want) -> FakeLine:
        if want.chip not in self.present:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        if (want.chip, want.line) in self.taken:
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        line = self.lines[want.chip, want.line] = FakeLine(self, want)
        return line

    def press(self, chip: str, line: int, level: bool, mono_ns: int) -> None:
        """The outside world moves a wire: an edge, where somebody listens."""
        self.wire[chip, line] = level
        there = self.lines.get((chip, line))
        if there is not None and there.want.initial is None:
            there.edges.append((mono_ns, level != there.want.active_low))
            os.write(there.pipe[1], b"e")


class FakeLine:
    """One requested line."""

    def __init__(self, chips: Chips, want: Want) -> None:
        self.chips, self.want = chips, want
        self.place = want.chip, want.line
        self.edges: list[tuple[int, bool]] = []
        self.pipe = os.pipe()
        if want.initial is not None:
            self._drive(want.initial)

    @property
    def fd(self) -> int:
        return self.pipe[0]

    def _here(self) -> None:
        if self.want.chip not in self.chips.present:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV))

    def _drive(self, on: bool) -> None:
        level = on != self.want.active_low
        if self.place not in self.chips.stuck:
            self.chips.wire[self.place] = level
        self.chips.log.append((self.want.line, level))

    def set_value(self, on: bool) -> None:
        self._here()
        self._drive(on)

    def get_value(self) -> bool:
        self._here()
        return self.chips.wire.get(self.place, False) != self.want.active_low

    def read_edges(self) -> list[tuple[int, bool]]:
        self._here()
        os.read(self.pipe[0], 64)
        out, self.edges = self.edges, []
        return out

    def release(self) -> None:
        for fd in self.pipe:
            os.close(fd)
