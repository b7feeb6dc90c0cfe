"""The compiled plan: what every process loads instead of YAML.

Flat tables, numeric columns as packed little-endian bytes, so that a process takes what it needs
without objects per point and without numpy where it has no arrays. The position of a point in its
table is its *index* (dense, valid for this plan only); its *id* is stable for the life of the
site and is what leaves the gateway. The file is CBOR: a map with the sections of `Plan`, each
section a byte string of its own, so that a courier decodes ten lines and not ten thousand points.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import cbor2

from config.limits import PLAN_BYTES_MAX

PLAN_VERSION = 3

PARAMS = (
    "range_min",  # below this the sensor cannot read: quality BAD
    "range_max",
    "fire_level",  # absolute level of fire, 2 of 3 valid samples
    "fire_clear",  # below this (above it, for falling) the level is gone
    "prealarm_level",
    "prealarm_clear",
    "low_level",  # falling quantity (pressure, tank level): supervisory
    "low_clear",
    "trend_tau_s",  # time constant of level and slope; NaN: no filters, hence no baseline either
    "trend_slope_per_s",  # slope that, with the rise, is a trend pre-alarm
    "trend_rise",  # rise above the slow baseline that the trend needs
    "baseline_tau_s",
    "trend_forecast_s",  # a trend must also be at the fire level within this
    "trend_jump_per_s",  # what rises faster than any fire moves the frame, not the trend ...
    "trend_jump_min",  # ... but noise of one sample is no jump
    "baseline_start",  # clean value of commissioning; NaN takes the first median
    "baseline_up_per_s",  # the baseline follows no faster than this
    "baseline_down_per_s",
    "baseline_cap",  # and no higher than this
    "offset_prealarm",  # levels above the baseline
    "offset_fire",
    "heavy_level",  # far above fire: said in the record
    "heavy_clear",
    "high_level",  # too much of a quantity that is no sign of fire: supervisory
    "high_clear",
    "high_high_level",  # second stage of it, and of low
    "high_high_clear",
    "low_low_level",
    "low_low_clear",
    "on_delay_s",  # a level must stand unbroken for so long before it counts ...
    "off_delay_s",  # ... and be gone for so long before it is over
    "fall_allow",  # slow fall (CUSUM): how far below its baseline a quantity may be for ever
    "fall_limit_s",  # the sum of what is beyond, in unit seconds, that is a fall
    "chatter_count",  # changes of side of a level, within about the memory, that are chatter
    "chatter_memory_s",
    "chatter_hold_s",  # unbroken presence before a level of a chattering sensor counts
    "chatter_quiet_s",  # without a change of side for so long the chatter is over
    "flat_band",  # within this band for flat_s the sensor is stuck
    "flat_s",
    "step_size",  # a change in one sample that no room makes ...
    "step_count",  # ... so many within about the chatter memory are a loose contact
)
"""Columns of `PointTable.params`, float64, NaN where a detector is off. The unit is the point's."""


class PlanError(Exception):
    """The plan file cannot be used. The text says what was expected and what to do."""


@dataclass(frozen=True, slots=True)
class PointTable:
    """All points, sorted by id; one entry, or packed element, a point."""

    ids: bytes  # u4
    names: tuple[str, ...]  # "device.point"
    devices: bytes  # u2, index into Plan.devices
    kinds: tuple[str, ...]
    units: tuple[str, ...]
    modes: bytes  # u1, words.Mode
    resolutions: bytes  # f8, engineering units of one step on the wire; 0 sends float64
    stale_ns: bytes  # i8
    params: bytes  # f8, row-major [point, PARAMS]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, slots=True)
class Line:
    """One line, owned by one bus master."""

    name: str
    kind: str  # words.LineKind
    host: str = ""
    tcp_port: int = 0
    serial_port: str = ""
    baud: int = 9600
    parity: str = "N"  # N, E, O
    stop_bits: int = 1
    reply_timeout_ns: int = 0
    turnaround_ns: int = 0  # extra silence before each request
    data_bits: int = 8  # 7 or 8; Modbus has 8
    direction: str = "auto"  # words.Direction: who turns an RS-485 transceiver around


@dataclass(frozen=True, slots=True)
class Device:
    """One unit on a line."""

    name: str
    line: int
    unit: int
    profile: str = ""
    heartbeat: tuple[int, ...] = ()  # (function, address, width, freeze_ns): must keep changing
    output_timeout_ns: int = 0  # its outputs fall back when nobody writes for so long; 0: never


@dataclass(frozen=True, slots=True)
class Poll:
    """One read request and how its reply becomes values; columns packed, one element a value."""

    device: int
    function: int  # 1 coils, 2 discrete inputs, 3 holding registers, 4 input registers
    address: int  # 0-based, as on the wire
    count: int
    interval_ns: int
    alarm: bool  # carries points that can alarm: a cycle runs after it at once
    points: bytes  # u4, point index
    offsets: bytes  # u2, registers (or bits) from `address`
    types: bytes  # u1, index into value_types.VALUE_TYPES
    bits: bytes  # u1, value_types.bit_field: first bit and width in the register; 255: whole
    scales: bytes  # f8; value = raw * scale + bias
    biases: bytes  # f8
    rules: bytes  # u2, index into Plan.rules; 65535 none
    confirms: bytes = b""  # u1, 1: a first alarm is read again at once; b"" for none


NO_RULE = 65_535


@dataclass(frozen=True, slots=True)
class WordRule:
    """How a device's word becomes a state. Cases are tried in order; all that match are or-ed."""

    cases: tuple[tuple[int, int, int], ...]  # (mask, equals, words.Flag)
    bad: tuple[tuple[int, int], ...] = ()  # (mask, equals): not programmed, absent, sentinel
    not_ready: tuple[tuple[int, int], ...] = ()  # (mask, equals): warm-up


@dataclass(frozen=True, slots=True)
class PanelRule:
    """What a panel's word does. Rules are tried in order, the first that matches counts.

    pattern: of a text, a regular expression without case; of ID3000, the event code.
    """

    pattern: str
    action: str  # words.PanelAction
    flags: int  # words.Flag that it sets or clears
    address: str = ""  # instead of the address in the text, e.g. "mains"


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel that tells events on a line of its own, in the words of its dialect."""

    device: int
    dialect: str
    protocol: str  # words.PanelProtocol
    encoding: str
    silence_ns: int  # not heard for so long is a fault; 0: it speaks only when something happens
    record: str  # of a text: "line", or "blank" when an empty line ends an event
    begin: bytes  # of a text: what starts an event, b"" when nothing tells
    mark: bytes  # of a text: the line with it says what happened, the others where; b"": all do
    checksum: str  # of ID3000: "crc16" or "sum8"
    station: str  # of ESPA 4.4.4: our address, one character
    address: str  # pattern of a point's address in a text; its group, or all of it
    time: str  # pattern of the panel's time, with named groups
    rules: tuple[PanelRule, ...]


@dataclass(frozen=True, slots=True)
class Zone:
    """A place with a name; `needed` points in alarm make its fire."""

    name: str
    points: tuple[int, ...]
    needed: int = 1
    window_ns: int = 0  # double knock: a first knock that stands for longer is fire; 0: for ever
    trend_fire: bool = False  # one trend is fire here, without a second point that agrees
    acknowledge_ns: int = 0  # T1: by day a first fire waits so long for somebody to see it ...
    investigate_ns: int = 0  # T2: ... and then so long for somebody to look; 0 and 0: it does not


@dataclass(frozen=True, slots=True)
class DayHours:
    """When people are there to investigate. Local time; `last` before `first`: over midnight."""

    days: int  # bit 0 is Monday; of the day on which the hours begin
    first: int  # minute of the day
    last: int  # and the one before which they end


@dataclass(frozen=True, slots=True)
class WalkGroup:
    """Zones that are walk-tested together. Every zone is a group of its own, too."""

    name: str
    zones: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Output:
    """A coil or a GPIO line with its read-back, and what hangs on it."""

    name: str
    device: int  # -1: a line of a GPIO chip
    coil: int  # 0-based; the offset of a GPIO line
    readback_ns: int = 1_000_000_000  # how often it is read back
    kind: str = "siren"  # words.OutputKind
    chip: str = ""  # path of the GPIO chip
    drive: str = ""  # of a GPIO line: push-pull, open-drain, open-source
    inverted: bool = False  # on is a coil that is off, a line that is low
    idle_energised: bool = False  # current flows while the output is off
    means: tuple[str, ...] = ()  # words.Meaning; the gateway itself drives it, not the matrix
    steady: bool = False  # its line is too slow for a pattern: on is on
    spare: int = 0  # plans of this version that are in service have a number here; not used

    @property
    def on_bus(self) -> bool:
        """Whether a bus master drives it."""
        return self.device >= 0


@dataclass(frozen=True, slots=True)
class Input:
    """A button or a supervision contact: a GPIO line, or a point that a device tells."""

    name: str
    role: str  # words.InputRole
    chip: str = ""  # path of the GPIO chip; "": `number` is a point
    number: int = 0  # offset of the line, or index of the point
    active_low: bool = False  # of a GPIO line
    bias: str = ""  # of a GPIO line: pull-up, pull-down, none
    debounce_ns: int = 0
    inverted: bool = False  # of a point: active while no flag of it stands


@dataclass(frozen=True, slots=True)
class SelfTest:
    """When outputs are tried. Wall time is the site's: UTC and a fixed offset."""

    silent_ns: int = 0  # every so often; 0: never
    weekday: int = -1  # of the audible test, 0 Monday; -1: never
    minute: int = 0  # of the day
    duration_ns: int = 0
    offset_s: int = 0


@dataclass(frozen=True, slots=True)
class Effect:
    """One row of the cause-and-effect matrix; docs/cause-and-effect.md says what the words mean.

    A cause "rule" has its inputs in `terms`: ("zone" | "device" | "point" | "input", index, state,
    ""), ("kind", kind, state, index of a zone or -1), ("address", index of the panel's device,
    state, address) or ("of", how many of them, terms).
    """

    cause: str  # "zone", "device", "point", "rule"
    ref: int  # index of the zone, device or point
    state: int  # words.Flag; of a rule all that its inputs name
    outputs: tuple[int, ...]  # sounded with the pattern
    pattern: str = "evacuate"
    after_ns: int = 0  # the cause must stand for so long; a manual call point never waits
    off: int = 3  # OFF_CAUSE | OFF_SILENCE: what switches it off
    in_test: str = "nothing"  # or "pulse": of a cause in a walk test
    investigation: str = "waits"  # or "acts": while our own delay holds a fire back
    region: str = ""  # "cn": one device warns, two independent ones are the general alarm
    message: str = ""
    switches: tuple[int, ...] = ()  # switched on, without a pattern; silence does not touch them
    terms: tuple[Any, ...] = ()
    text: str = ""  # the cause in words


OFF_CAUSE, OFF_SILENCE, OFF_RESET = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Courier:
    """One destination; `settings` is what its kind needs."""

    name: str
    kind: str
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a PIN."""

    name: str
    level: str  # words.LEVELS
    pin: str  # as `embergate pin` wrote it, see config.pin: never the PIN itself


@dataclass(frozen=True, slots=True)
class Text:
    """Registers of a device that hold characters: read on their own, shown and recorded."""

    id: int  # stable, from the same ledger as those of points
    name: str  # device and name, as of points
    device: int
    function: int
    address: int
    count: int  # registers
    interval_ns: int
    encoding: str
    low_first: bool  # the first character is in the low byte


@dataclass(frozen=True, slots=True)
class Plan:
    """A whole site, compiled. `digest` is SHA-256 of the source files and the id ledger."""

    version: int
    digest: bytes
    site_id: str
    site_name: str
    region: str
    points: PointTable
    lines: tuple[Line, ...]
    devices: tuple[Device, ...]
    polls: tuple[Poll, ...]
    rules: tuple[WordRule, ...]
    zones: tuple[Zone, ...]
    outputs: tuple[Output, ...]
    effects: tuple[Effect, ...]
    couriers: tuple[Courier, ...]
    panels: tuple[Panel, ...] = ()
    people: tuple[Person, ...] = ()
    day: tuple[DayHours, ...] = ()
    test_groups: tuple[WalkGroup, ...] = ()
    inputs: tuple[Input, ...] = ()
    self_tests: tuple[SelfTest, ...] = ()
    texts: tuple[Text, ...] = ()


_ROWS: dict[str, type[Any]] = {
    "lines": Line,
    "devices": Device,
    "polls": Poll,
    "rules": WordRule,
    "zones": Zone,
    "outputs": Output,
    "effects": Effect,
    "couriers": Courier,
    "panels": Panel,
    "people": Person,
    "day": DayHours,
    "test_groups": WalkGroup,
    "inputs": Input,
    "self_tests": SelfTest,
    "texts": Text,
}


_CHECK = "check"


def _row(value: Any) -> list[Any]:
    row = [getattr(value, f.name) for f in fields(value)]
    if isinstance(value, Panel):
        row[-1] = [_row(rule) for rule in value.rules]
    return row


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list) else value


def encode_plan(plan: Plan) -> bytes:
    """The plan as CBOR: {section: bstr .cbor rows}, and {"check": CRC-32 of all sections}."""
    sections: dict[str, bytes] = {}
    for f in fields(Plan):
        value = getattr(plan, f.name)
        if f.name == "points":
            value = _row(value)
        elif f.name in _ROWS:
            value = [_row(v) for v in value]
        sections[f.name] = cbor2.dumps(value)
    return cbor2.dumps({**sections, _CHECK: _checksum(sections)})


def _checksum(sections: dict[str, bytes]) -> int:
    """A card that flips one bit must not move a fire level or a siren's coil."""
    crc = 0
    for name in sorted(sections):
        crc = zlib.crc32(sections[name], zlib.crc32(name.encode(), crc))
    return crc


def section(data: bytes, name: str) -> Any:
    """One section of an encoded plan, decoded: a tuple of rows, a `PointTable` or a scalar.

    Raises PlanError when the file is not a plan of this version.
    """
    return _decode(_sections(data), name)


def decode_plan(data: bytes) -> Plan:
    """The whole plan. Raises PlanError."""
    sections = _sections(data)
    return Plan(**{f.name: _decode(sections, f.name) for f in fields(Plan)})


def _sections(data: bytes) -> dict[str, bytes]:
    if len(data) > PLAN_BYTES_MAX:
        raise PlanError(f"expected a plan of at most {PLAN_BYTES_MAX} bytes, found {len(data)}")
    try:
        sections = cbor2.loads(data)
        check = sections.pop(_CHECK, None)
        whole = check == _checksum(sections)
        version = cbor2.loads(sections["version"])
    except Exception as e:  # any malformed file is the same single error
        raise PlanError("this is not a plan; run 'embergate plan SITE.yaml'") from e
    if version != PLAN_VERSION:
        raise PlanError(
            f"expected plan version {PLAN_VERSION}, found {version!r}; "
            "run 'embergate plan SITE.yaml' again"
        )
    if not whole:
        raise PlanError(
            "the plan is damaged: its checksum does not match; "
            "run 'embergate plan SITE.yaml' again, and have the card or disk looked at"
        )
    return dict(sections)


def _decode(sections: dict[str, bytes], name: str) -> Any:
    try:
        value = _tuples(cbor2.loads(sections[name]))
        if name == "points":
            return PointTable(*value)
        if name in _ROWS:
            rows = tuple(_ROWS[name](*row) for row in value)
            if name == "panels":
                rows = tuple(replace(p, rules=tuple(PanelRule(*r) for r in p.rules)) for p in rows)
            return rows
    except Exception as e:  # as above
        raise PlanError(
            f"section '{name}' of the plan is damaged; run 'embergate plan SITE.yaml' again"
        ) from e
    return value


def read_plan(path: Path) -> bytes:
    """The bytes of a plan file. Raises PlanError when it is missing or too large."""
    try:
        if path.stat().st_size > PLAN_BYTES_MAX:
            raise PlanError(f"{path}: larger than {PLAN_BYTES_MAX} bytes: not a plan")
        return path.read_bytes()
    except OSError as e:
        raise PlanError(f"{path}: {e.strerror}; run 'embergate plan SITE.yaml'") from e
