"""Cross-checks of outputs and inputs: boards, coils and lines that exist and are used once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from config.limits import OUTPUT_TIMEOUT_FACTOR
from config.model import Device, Input, Point, Siren, Site
from config.problems import Path
from config.quantity import time_text
from config.words import Meaning, Mode, OutputKind


class Checks(Protocol):
    """What config.checks offers."""

    site: Site

    @property
    def device_of(self) -> Mapping[str, Device]: ...
    def add(
        self, message_id: str, path: Path, hint: str = "", *, key: bool = False, **args: str
    ) -> None: ...
    def line(self, path: Path) -> str: ...
    def reference(
        self, noun: str, value: str, known: Iterable[str], path: Path, section: Path
    ) -> bool: ...
    def point_reference(self, text: str, path: Path) -> Sequence[Point]: ...


def check_outputs(checks: Checks) -> None:
    """Sirens, lamps, relays: their places, and boards that let go when they hear nothing."""
    coils: dict[tuple[str, int], Siren] = {}
    sirens = {s.name for s in checks.site.sirens}
    for out in checks.site.outputs:
        path: Path = (out.section, out.name)
        if out.section != "sirens" and out.name in sirens:
            line = checks.line(("sirens", out.name))
            checks.add("signal.twice", path, key=True, value=out.name, line=line)
        if not out.chip:
            _coil(checks, out, path, coils)
    _lines(checks)


def _coil(checks: Checks, out: Siren, path: Path, coils: dict[tuple[str, int], Siren]) -> None:
    known = checks.device_of
    if not checks.reference("device", out.device, known, (*path, "device"), ("devices",)):
        return
    device = known[out.device]
    if device.panel is not None:
        checks.add("siren.panel", (*path, "device"), "siren.panel", value=out.device)
    if device.coils is not None and out.coil >= device.coils:
        checks.add("siren.coil", (*path, "coil"), coil=str(out.coil), count=str(device.coils),
                   profile=device.profile)  # fmt: skip
    other = coils.setdefault((out.device, out.coil), out)
    if other is not out:
        line = checks.line((other.section, other.name))
        checks.add("siren.twice", (*path, "coil"), other=other.name, line=line)
    timeout_ns = device.output_timeout_ns
    if timeout_ns and out.read_back_ns * OUTPUT_TIMEOUT_FACTOR > timeout_ns:
        checks.add("siren.timeout", (*path, "device"), "siren.timeout", profile=device.profile,
                   value=time_text(timeout_ns), found=time_text(out.read_back_ns))  # fmt: skip


def _lines(checks: Checks) -> None:
    """A GPIO line has one user, whether it is switched or read."""
    users: dict[tuple[str, int], Path] = {}
    rows = [(o.section, o.name, o.chip, o.coil) for o in checks.site.outputs]
    rows += [("inputs", i.name, i.chip, i.line) for i in checks.site.inputs]
    for section, name, chip, line in rows:
        if not chip:
            continue
        other = users.setdefault((chip, line), (section, name))
        if other != (section, name):
            checks.add("gpio.twice", (section, name, "line"), other=str(other[1]),
                       line=checks.line(other))  # fmt: skip


def check_inputs(checks: Checks) -> None:
    """A point that a button or a contact is read from is one state point."""
    for item in checks.site.inputs:
        if item.point:
            _input_point(checks, item)


def _input_point(checks: Checks, item: Input) -> None:
    path: Path = ("inputs", item.name, "point")
    points = checks.point_reference(item.point, path)
    if not points:
        return
    if len(points) != 1 or item.point != f"{item.point.partition('.')[0]}.{points[0].name}":
        checks.add("ref.unknown", path, "", noun="point", value=item.point)
    elif points[0].mode is not Mode.STATE:
        checks.add("input.point", path, value=item.point)


def lacking(site: Site) -> tuple[str, ...]:
    """Meanings that a site shows nowhere; a fault output shows no fault to people."""
    shown = {m for s in site.signals if s.kind is OutputKind.LAMP for m in s.means}
    heard = {m for s in site.signals if s.kind is OutputKind.BUZZER for m in s.means}
    out = [f"lamp {m.value}" for m in Meaning if m not in shown]
    out += [
        f"tone {m.value}" for m in (Meaning.FIRE, Meaning.FAULT, Meaning.DUTY) if m not in heard
    ]
    if not any(s.kind is OutputKind.FAULT for s in site.signals):
        out.append("fault output")
    return tuple(out)
