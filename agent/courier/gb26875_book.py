"""From records to what GB/T 26875.3 has words for, and the state that a centre may ask for. Pure.

A point is a component with an address; the site as a whole is one system, the gateway the
transmission device. A pre-alarm never sets the fire bit: it is a supervisory state, or nothing.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agent.uplink.events import EventRecord
from config import quantity
from config.limits import GB26875_OPERATIONS_MAX
from config.words import Flag
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import stamp_of

COMPONENT_TYPES = {
    "heat": 31, "smoke": 42, "co": 74, "gas": 11, "water_pressure": 99, "level": 92,
    "residual_current": 17, "cable_temperature": 18, "flow": 96, "temperature": 30,
    "contact": 85, "manual": 23,
}  # fmt: skip
"""Kind of point -> component type (table 5); whatever else is generic, 0."""
SOUNDER = 121
UNITS = {"°C": (3, "°C"), "K": (3, "°C"), "°F": (3, "°C"), "m": (2, "m"), "cm": (2, "m"),
          "mm": (2, "m"), "%LEL": (6, "%LEL"), "V": (8, "V"), "A": (9, "A"),
          "L/min": (10, "L/s"), "L/s": (10, "L/s"), "m3/h": (10, "L/s"), "kPa": (5, "kPa"),
          "MPa": (5, "kPa"), "bar": (5, "kPa"), "Pa": (5, "kPa"), "mbar": (5, "kPa"),
          "hPa": (5, "kPa"), "psi": (5, "kPa")}  # fmt: skip
"""Unit -> (quantity of type 3, its unit). Pressure goes as kPa: a step of 0.1 MPa says nothing;
residual current in mA has no quantity."""

_FIRE, _PREALARM, _TEST = int(Flag.FIRE), int(Flag.PREALARM), int(Flag.TEST)
_PLAIN = (
    (int(Flag.FAULT), gb.STATUS_FAULT),
    (int(Flag.DISABLED), gb.STATUS_SHIELDED),
)
_COUNTS = (
    (_FIRE, gb.STATUS_FIRE),
    (int(Flag.SUPERVISORY), gb.STATUS_SUPERVISORY),
    (int(Flag.ACTIVATED), gb.STATUS_STARTED),
    (int(Flag.FEEDBACK), gb.STATUS_FEEDBACK),
    (int(Flag.DELAY), gb.STATUS_DELAY),
)
_OPERATIONS = {
    "reset": gb.OPERATION_RESET,
    "silence": gb.OPERATION_SILENCE,
    "acknowledge": gb.OPERATION_CONFIRM,
}


_SUPPLIES = {"mains": gb.DEVICE_MAINS_FAULT, "battery": gb.DEVICE_STANDBY_FAULT}
"""Role of an input -> bit of type 21."""


def status_word(flags: int, *, gated: bool = False, prealarm: bool = True) -> int:
    """The component's status word of words.Flag. gated: it counts for nothing and calls nobody."""
    word = 0 if flags & _TEST else gb.STATUS_NORMAL
    for flag, bit in _PLAIN:
        word |= bit if flags & flag else 0
    if not gated:
        for flag, bit in _COUNTS:
            word |= bit if flags & flag else 0
        if flags & _PREALARM and prealarm:
            word |= gb.STATUS_SUPERVISORY
    return word


@dataclass(frozen=True, slots=True)
class Component:
    """One that the centre knows. unit: of its value, "" when it has none that it could be told."""

    number: int
    type: int
    name: str
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Style:
    """How this centre wants it. offset_s: its local time ahead of UTC."""

    system: int = 1
    address: int = 1
    offset_s: int = 8 * 3600
    prealarm: bool = True
    values: bool = False


@dataclass(frozen=True, slots=True)
class Message:
    """An object to be sent. urgent: of a fire."""

    type: int
    made: Any
    urgent: bool


@dataclass(slots=True)
class _State:
    word: int
    wall_ns: int
    session: bytes
    seq: int
    value: float | None = None


class Book:
    """What stands, by source. `components` is fixed; its keys are sources of records."""

    def __init__(self, components: Mapping[str, Component], style: Style) -> None:
        self.style = style
        self.components = components
        self.by_number = {c.number: source for source, c in components.items()}
        self.operations: deque[tuple[int, int]] = deque(maxlen=GB26875_OPERATIONS_MAX)
        self.device_operations: deque[tuple[int, int]] = deque(maxlen=GB26875_OPERATIONS_MAX)
        self.clock_skew_ns = 0  # of the session's clock, which the centre may set
        self._states: dict[str, _State] = {}
        self._measured: dict[str, tuple[float, int]] = {}
        self._faults: dict[str, bool] = {}  # source -> whether it is of a line or a device
        self._supplies: dict[str, str] = {}  # source -> role, of supplies in trouble
        self._system = gb.STATUS_NORMAL
        self._device = gb.DEVICE_NORMAL

    # --- records ---

    def prime(self, records: Sequence[EventRecord]) -> None:
        """Know what happened before, and tell nobody."""
        self.take(records)
        self.operations.clear()

    def take(self, records: Sequence[EventRecord]) -> list[Message]:
        """What the centre is to hear of some records: components, then the whole."""
        out = [message for record in records for message in self._take(record)]
        return out + (self._overall(max(r.wall_ns for r in records)) if records else [])

    def _take(self, record: EventRecord) -> list[Message]:
        out: list[Message] = []
        if record.what in ("point", "zone", "panel") and "to" in record.body:
            out += self._transition(record)
        elif record.what == "output" and isinstance(record.body.get("on"), bool):
            flags = int(Flag.ACTIVATED) if record.body["on"] else 0
            out += self._enter(record, status_word(flags), urgent=False)
        elif record.what == "manual" and "to" in record.body:
            out += self._manual(record)
        elif record.what == "operator":
            out += self._operation(record)
        elif record.source == "system/start":
            out += self._anew(record)
        elif isinstance(record.body.get("fault"), bool) and not _is_own(record.source):
            self._fault(record)
        return out

    def _transition(self, record: EventRecord) -> list[Message]:
        before, after = record.body.get("from", 0), record.body["to"]
        if type(before) is not int or type(after) is not int:
            return []
        gated = record.body.get("gated") is True
        word = status_word(after, gated=gated, prealarm=self.style.prealarm)
        urgent = bool((before ^ after) & _FIRE) and not gated
        pre = bool(after & _PREALARM) and not gated and self.style.prealarm
        return self._enter(record, word, urgent=urgent, pre=pre)

    def _enter(
        self, record: EventRecord, word: int, *, urgent: bool, pre: bool = False
    ) -> list[Message]:
        value = record.body.get("value")
        known = self._states.get(record.source)
        if known is None or known.session != record.session or known.seq < record.seq:
            self._states[record.source] = _State(
                word, record.wall_ns, record.session, record.seq,
                float(value) if isinstance(value, int | float) else None,
            )  # fmt: skip
        component = self.components.get(record.source)
        if component is None and record.what == "panel":
            name = str(record.body.get("text") or record.body.get("address") or "")
            component = Component(0, 0, f"{record.body.get('name', '')} {name}")
        if component is None:
            return []
        text = f"预警 {component.name}" if pre and not word & gb.STATUS_FIRE else component.name
        made = self._status(component, word, record.wall_ns, text)
        out = [Message(2, made, urgent)]
        analogue = None
        if self.style.values and isinstance(value, int | float):
            analogue = self._analogue(component, float(value), record.wall_ns)
        if analogue is not None:
            out.append(Message(3, analogue, urgent=False))
        return out

    def _manual(self, record: EventRecord) -> list[Message]:
        """The gateway's own manual alarm: type 24 says so, before the system's word of fire."""
        after = record.body["to"]
        if type(after) is not int:
            return []
        self._enter(record, status_word(after), urgent=True)
        if not after & _FIRE or record.body.get("why") == "recalled":
            return []
        self.device_operations.append((gb.OPERATION_MANUAL_ALARM, record.wall_ns))
        stamp = self._stamp(record.wall_ns)
        made = gb.DeviceOperation(gb.OPERATION_MANUAL_ALARM, 0, stamp)
        return [Message(24, made, urgent=True)]

    def _operation(self, record: EventRecord) -> list[Message]:
        flags = _OPERATIONS.get(str(record.body.get("verb")), 0)
        if not flags:
            return []
        self.operations.append((flags, record.wall_ns))
        return [Message(4, self._operation_of(flags, record.wall_ns), urgent=False)]

    def _anew(self, record: EventRecord) -> list[Message]:
        """The field process started: what stands it says again, a fire it never forgets."""
        self._supplies.clear()
        self._faults = {k: v for k, v in self._faults.items() if k.startswith("system/courier.")}
        gone = [k for k, s in self._states.items() if not s.word & gb.STATUS_FIRE]
        out = []
        for source in gone:
            word = self._states.pop(source).word
            component = self.components.get(source)
            if component is not None and word != gb.STATUS_NORMAL:
                made = self._status(component, gb.STATUS_NORMAL, record.wall_ns, component.name)
                out.append(Message(2, made, urgent=False))
        return out

    def _fault(self, record: EventRecord) -> None:
        role = record.body.get("role")
        if role in _SUPPLIES and record.source.count("/") == 1 and record.body["fault"]:
            self._supplies[record.source] = str(role)
        else:
            self._supplies.pop(record.source, None)
        if record.body["fault"]:
            self._faults[record.source] = record.what in ("line", "device")
        else:
            self._faults.pop(record.source, None)

    def _overall(self, wall_ns: int) -> list[Message]:
        """Types 1 and 21, when they changed."""
        system, device = self.system_word(), self.device_byte()
        out = []
        if system != self._system:
            urgent = bool((system ^ self._system) & gb.STATUS_FIRE)
            self._system = system
            out.append(Message(1, self.system_status(wall_ns), urgent))
        if device != self._device:
            self._device = device
            out.append(Message(21, self.device_status(wall_ns), urgent=False))
        return out

    # --- what stands ---

    def system_word(self) -> int:
        """Type 1: the or of all components; bit 0 says that the gateway itself runs normally."""
        word = gb.STATUS_NORMAL
        for state in self._states.values():
            word |= state.word & 0xFF
        return word | (gb.STATUS_FAULT if self._faults else 0)

    def device_byte(self) -> int:
        """Type 21, of the gateway."""
        fire = self.system_word() & gb.STATUS_FIRE
        out = gb.DEVICE_NORMAL | (gb.DEVICE_FIRE if fire else 0)
        if self._faults:
            out |= gb.DEVICE_FAULT
        if any(self._faults.values()):
            out |= gb.DEVICE_LINE_FAULT
        for role, bit in _SUPPLIES.items():
            out |= bit if role in self._supplies.values() else 0
        return out

    def system_status(self, wall_ns: int) -> gb.SystemStatus:
        """Type 1 now."""
        return gb.SystemStatus(
            self.style.system, self.style.address, self.system_word(), self._stamp(wall_ns)
        )

    def device_status(self, wall_ns: int) -> gb.DeviceStatus:
        """Type 21 now."""
        return gb.DeviceStatus(self.device_byte(), self._stamp(wall_ns))

    def component_status(self, source: str, wall_ns: int) -> gb.ComponentStatus:
        """Type 2 of a known source; normal when nothing was ever said of it."""
        component = self.components[source]
        state = self._states.get(source)
        word, when = (state.word, state.wall_ns) if state else (gb.STATUS_NORMAL, wall_ns)
        return self._status(component, word, when, component.name)

    def analogue(self, source: str) -> gb.AnalogueValue | None:
        """Type 3: the latest value that is known, with its time; None when there is none."""
        component, state = self.components[source], self._states.get(source)
        known = self._measured.get(source)
        if known is None and state is not None and state.value is not None:
            known = state.value, state.wall_ns
        return None if known is None else self._analogue(component, *known)

    def measured(self, source: str, value: float, wall_ns: int) -> None:
        """What a point read just now."""
        self._measured[source] = value, wall_ns

    def forget_measured(self) -> None:
        """They were of a moment that is over."""
        self._measured.clear()

    def configuration(self, source: str) -> gb.ComponentConfiguration:
        """Type 7."""
        c = self.components[source]
        return gb.ComponentConfiguration(
            self.style.system, self.style.address, c.type, c.number, c.name
        )

    def operation_log(self, count: int, since_ns: int) -> list[gb.Operation]:
        """Type 4: the latest `count` since a time."""
        found = [(f, w) for f, w in self.operations if w >= since_ns][-count:]
        return [self._operation_of(flags, wall_ns) for flags, wall_ns in found]

    def device_log(self, count: int, since_ns: int) -> list[gb.DeviceOperation]:
        """Type 24: the latest `count` since a time."""
        found = [(f, w) for f, w in self.device_operations if w >= since_ns][-count:]
        return [gb.DeviceOperation(f, 0, self._stamp(w)) for f, w in found]

    def duty_answer(self, wall_ns: int) -> Message:
        """Somebody on the site answered the centre's duty check."""
        self.device_operations.append((gb.OPERATION_DUTY_ANSWER, wall_ns))
        made = gb.DeviceOperation(gb.OPERATION_DUTY_ANSWER, 0, self._stamp(wall_ns))
        return Message(24, made, urgent=False)

    def _status(
        self, c: Component, word: int, wall_ns: int, text: str
    ) -> gb.ComponentStatus:  # fmt: skip
        return gb.ComponentStatus(
            self.style.system, self.style.address, c.type, c.number, word, text,
            self._stamp(wall_ns),
        )  # fmt: skip

    def _analogue(self, c: Component, value: float, wall_ns: int) -> gb.AnalogueValue | None:
        if c.unit not in UNITS or not math.isfinite(value):
            return None
        kind, unit = UNITS[c.unit]
        steps = round(quantity.convert(value, c.unit, unit) / gb.ANALOGUE_STEPS[kind][1])
        if not -32_768 <= steps <= 32_767:
            return None
        return gb.AnalogueValue(
            self.style.system, self.style.address, c.type, c.number, kind, steps,
            self._stamp(wall_ns),
        )  # fmt: skip

    def _operation_of(self, flags: int, wall_ns: int) -> gb.Operation:
        return gb.Operation(self.style.system, self.style.address, flags, 0, self._stamp(wall_ns))

    def _stamp(self, wall_ns: int) -> Any:
        return stamp_of(wall_ns + self.clock_skew_ns, self.style.offset_s)


def _is_own(source: str) -> bool:
    """A courier's troubles are not the building's: the centre that hears of it is reached."""
    return source.startswith(("system/courier.", "courier/"))
