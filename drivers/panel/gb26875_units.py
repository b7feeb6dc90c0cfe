"""Application data units of GB/T 26875.3-2011, clause 8: every object type that it defines. Pure.

A unit is `type | count | objects`. Objects have no length of their own: their size follows from
the type, but for the strings of types 6 and 26. The fields of each type are a row of a table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from drivers.panel.gb26875 import STANDARD, Dialect, Stamp, pack_stamp, unpack_stamp

TEXT_BYTES = 31


class UnitError(Exception):
    """The data of a frame are not a unit. The text says what was expected."""


@dataclass(frozen=True, slots=True)
class SystemStatus:
    """Type 1. status: SYSTEM_* bits."""

    system: int
    address: int
    status: int
    time: Stamp


@dataclass(frozen=True, slots=True)
class ComponentStatus:
    """Type 2. status: STATUS_* bits."""

    system: int
    address: int
    component: int
    number: int  # the component's address, raw
    status: int
    text: str
    time: Stamp


@dataclass(frozen=True, slots=True)
class AnalogueValue:
    """Type 3. value: steps of the quantity's resolution (ANALOGUE_STEPS)."""

    system: int
    address: int
    component: int
    number: int
    quantity: int
    value: int
    time: Stamp


@dataclass(frozen=True, slots=True)
class Operation:
    """Type 4. flags: OPERATION_* bits."""

    system: int
    address: int
    flags: int
    operator: int
    time: Stamp


@dataclass(frozen=True, slots=True)
class SystemVersion:
    """Type 5."""

    system: int
    address: int
    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class SystemConfiguration:
    """Type 6."""

    system: int
    address: int
    text: str


@dataclass(frozen=True, slots=True)
class ComponentConfiguration:
    """Type 7."""

    system: int
    address: int
    component: int
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class SystemTime:
    """Type 8."""

    system: int
    address: int
    time: Stamp


@dataclass(frozen=True, slots=True)
class DeviceStatus:
    """Type 21, of the transmission device itself. status: DEVICE_* bits."""

    status: int
    time: Stamp


@dataclass(frozen=True, slots=True)
class DeviceOperation:
    """Type 24. flags: OPERATION_* bits, bit 5 being the answer to a duty check."""

    flags: int
    operator: int
    time: Stamp


@dataclass(frozen=True, slots=True)
class DeviceVersion:
    """Type 25."""

    major: int
    minor: int


@dataclass(frozen=True, slots=True)
class DeviceConfiguration:
    """Type 26."""

    text: str


@dataclass(frozen=True, slots=True)
class DeviceTime:
    """Types 28 (read) and 90 (set)."""

    time: Stamp


@dataclass(frozen=True, slots=True)
class ReadSystem:
    """Types 61, 65, 66, 68."""

    system: int
    address: int


@dataclass(frozen=True, slots=True)
class ReadComponent:
    """Types 62, 63, 67."""

    system: int
    address: int
    number: int


@dataclass(frozen=True, slots=True)
class ReadOperations:
    """Type 64."""

    system: int
    address: int
    count: int
    start: Stamp


@dataclass(frozen=True, slots=True)
class ReadDevice:
    """Types 81, 85, 86, 88 and the order 89."""

    reserved: int = 0


@dataclass(frozen=True, slots=True)
class ReadDeviceOperations:
    """Type 84."""

    count: int
    start: Stamp


@dataclass(frozen=True, slots=True)
class DutyCheck:
    """Type 91, 查岗: someone on duty shall answer within so many minutes."""

    minutes: int


# Bits of type 1 (system) and type 2 (component); the first eight are the same.
STATUS_NORMAL, STATUS_FIRE, STATUS_FAULT, STATUS_SHIELDED = 1, 2, 4, 8
STATUS_SUPERVISORY, STATUS_STARTED, STATUS_FEEDBACK, STATUS_DELAY = 16, 32, 64, 128
COMPONENT_POWER_FAULT = 256
SYSTEM_MAINS_FAULT, SYSTEM_STANDBY_FAULT, SYSTEM_BUS_FAULT = 256, 512, 1024
SYSTEM_MANUAL, SYSTEM_CONFIGURATION_CHANGED, SYSTEM_RESET = 2048, 4096, 8192
# Bits of types 4 and 24.
OPERATION_RESET, OPERATION_SILENCE, OPERATION_MANUAL_ALARM, OPERATION_CLEARED = 1, 2, 4, 8
OPERATION_SELF_TEST, OPERATION_CONFIRM, OPERATION_TEST = 16, 32, 64
OPERATION_DUTY_ANSWER = 32  # type 24
# Bits of type 21.
DEVICE_NORMAL, DEVICE_FIRE, DEVICE_FAULT, DEVICE_MAINS_FAULT = 1, 2, 4, 8
DEVICE_STANDBY_FAULT, DEVICE_CHANNEL_FAULT, DEVICE_LINE_FAULT = 16, 32, 64

ANALOGUE_STEPS: dict[int, tuple[str, float]] = {
    1: ("1", 1.0),
    2: ("m", 0.01),
    3: ("°C", 0.1),
    4: ("MPa", 0.1),
    5: ("kPa", 0.1),
    6: ("%LEL", 0.1),
    7: ("s", 1.0),
    8: ("V", 0.1),
    9: ("A", 0.1),
    10: ("L/s", 0.1),
    11: ("m3/min", 0.1),
    12: ("m/s", 1.0),
}
"""Quantity of type 3 -> (unit, engineering units of one step)."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """fields: B and H unsigned, I a component's address, h signed, T a tag, D 31 bytes of text,
    S text with its length in a byte before it."""

    made: type[Any]
    fields: str
    most: int
    up: bool


LAYOUTS: dict[int, _Layout] = {
    1: _Layout(SystemStatus, "BBHT", 102, True),
    2: _Layout(ComponentStatus, "BBBIHDT", 22, True),
    3: _Layout(AnalogueValue, "BBBIBhT", 63, True),
    4: _Layout(Operation, "BBBBT", 102, True),
    5: _Layout(SystemVersion, "BBBB", 1, True),
    6: _Layout(SystemConfiguration, "BBS", 3, True),
    7: _Layout(ComponentConfiguration, "BBBID", 26, True),
    8: _Layout(SystemTime, "BBT", 1, True),
    21: _Layout(DeviceStatus, "BT", 1, True),
    24: _Layout(DeviceOperation, "BBT", 127, True),
    25: _Layout(DeviceVersion, "BB", 1, True),
    26: _Layout(DeviceConfiguration, "S", 1, True),
    28: _Layout(DeviceTime, "T", 1, True),
    61: _Layout(ReadSystem, "BB", 102, False),
    62: _Layout(ReadComponent, "BBI", 22, False),
    63: _Layout(ReadComponent, "BBI", 63, False),
    64: _Layout(ReadOperations, "BBBT", 1, False),
    65: _Layout(ReadSystem, "BB", 1, False),
    66: _Layout(ReadSystem, "BB", 3, False),
    67: _Layout(ReadComponent, "BBI", 26, False),
    68: _Layout(ReadSystem, "BB", 1, False),
    81: _Layout(ReadDevice, "B", 1, False),
    84: _Layout(ReadDeviceOperations, "BT", 1, False),
    85: _Layout(ReadDevice, "B", 1, False),
    86: _Layout(ReadDevice, "B", 1, False),
    88: _Layout(ReadDevice, "B", 1, False),
    89: _Layout(ReadDevice, "B", 1, False),
    90: _Layout(DeviceTime, "T", 1, False),
    91: _Layout(DutyCheck, "B", 1, False),
}
"""Every defined type; all other numbers are reserved or the user's."""

_EXTRA_TAG_ALWAYS = (5, 6, 7, 8, 21, 25, 26, 28)  # with Dialect.tags_everywhere
_NUMBERS = {"B": "<B", "H": "<H", "I": "<I", "h": "<h"}


@dataclass(frozen=True, slots=True)
class Unit:
    """Objects of one type."""

    type: int
    objects: tuple[Any, ...]


def clip(text: str, most: int) -> bytes:
    """GB18030 of at most `most` bytes, cut between characters. Never fails."""
    out = b""
    for character in text:
        one = character.encode("gb18030", "replace")
        if len(out) + len(one) > most:
            break
        out += one
    return out


def encode_unit(unit: Unit, dialect: Dialect = STANDARD, sent: Stamp | None = None) -> bytes:
    """The data of a frame. sent: the tag that Dialect.tags_everywhere appends.

    An object whose numbers do not fit their fields is a programmer's error.
    """
    layout = LAYOUTS[unit.type]
    assert 1 <= len(unit.objects) <= layout.most, (unit.type, len(unit.objects))
    out = bytearray([unit.type, len(unit.objects)])
    for made in unit.objects:
        assert type(made) is layout.made, (unit.type, made)
        for kind, value in zip(layout.fields, _values(made), strict=True):
            out += _pack(kind, value, dialect)
        if dialect.tags_everywhere and unit.type in _EXTRA_TAG_ALWAYS:
            out += pack_stamp(sent or Stamp(), dialect)
    return bytes(out)


def _values(made: Any) -> list[Any]:
    return [getattr(made, name) for name in made.__dataclass_fields__]


def _pack(kind: str, value: Any, dialect: Dialect) -> bytes:
    if kind == "T":
        return pack_stamp(value, dialect)
    if kind == "D":
        return clip(value, TEXT_BYTES).ljust(TEXT_BYTES, dialect.pad)
    if kind == "S":
        raw = clip(value, 255)
        return bytes([len(raw)]) + raw
    return struct.pack(_NUMBERS[kind], value)


def decode_unit(data: bytes, dialect: Dialect = STANDARD) -> Unit:
    """The objects of a frame's data. Raises UnitError."""
    if len(data) < 2:
        raise UnitError(f"expected a type and a count, found {len(data)} bytes")
    layout = LAYOUTS.get(data[0])
    if layout is None:
        raise UnitError(f"type {data[0]} is not defined")
    if not 1 <= data[1] <= layout.most:
        raise UnitError(f"type {data[0]}: expected 1 to {layout.most} objects, found {data[1]}")
    at, objects = 2, []
    for _ in range(data[1]):
        values = []
        for kind in layout.fields:
            value, at = _unpack(kind, data, at, dialect)
            values.append(value)
        if dialect.tags_everywhere and data[0] in _EXTRA_TAG_ALWAYS:
            _, at = _unpack("T", data, at, dialect)
        objects.append(layout.made(*values))
    if at != len(data):
        raise UnitError(f"type {data[0]}: {len(data) - at} bytes follow the last object")
    return Unit(data[0], tuple(objects))


def _unpack(kind: str, data: bytes, at: int, dialect: Dialect) -> tuple[Any, int]:
    if kind == "T":
        return unpack_stamp(_take(data, at, 6), dialect), at + 6
    if kind == "D":
        return _text(_take(data, at, TEXT_BYTES)), at + TEXT_BYTES
    if kind == "S":
        size = _take(data, at, 1)[0]
        return _text(_take(data, at + 1, size)), at + 1 + size
    form = _NUMBERS[kind]
    size = struct.calcsize(form)
    return struct.unpack(form, _take(data, at, size))[0], at + size


def _take(data: bytes, at: int, size: int) -> bytes:
    part = data[at : at + size]
    if len(part) != size:
        raise UnitError(f"type {data[0]}: the data end early, within an object")
    return part


def _text(raw: bytes) -> str:
    return raw.rstrip(b"\0 ").decode("gb18030", "replace")


def answer_type(request: int) -> int | None:
    """The type that answers a request (61 to 88 less 60); None when it is no request."""
    answer = request - 60
    if request in LAYOUTS and answer in LAYOUTS and LAYOUTS[answer].up:
        return answer
    return None


def split(kind: int, objects: Sequence[Any], dialect: Dialect = STANDARD) -> list[Unit]:
    """Units that hold all objects, each within the type's and the dialect's limit."""
    layout = LAYOUTS[kind]
    out: list[Unit] = []
    part: list[Any] = []
    for made in objects:
        trial = [*part, made]
        over = len(trial) > layout.most
        if part and (over or len(encode_unit(Unit(kind, tuple(trial)), dialect))
                     > dialect.data_bytes_max):  # fmt: skip
            out.append(Unit(kind, tuple(part)))
            trial = [made]
        part = trial
    if part:
        out.append(Unit(kind, tuple(part)))
    return out
