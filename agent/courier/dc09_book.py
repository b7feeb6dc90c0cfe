"""From records to events of Contact ID (SIA DC-05) and SIA DCS. Pure.

A pre-alarm is a near alarm or a supervisory event and never a fire. What is gated (disabled, test)
is told as such and calls nobody. An event has a zone number: the one that the site gives, else the
point's stable id, which no other point ever had; 0 is no zone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agent.courier.dc09_frame import Format
from agent.uplink.events import EventRecord
from config.words import Flag

ZONE_MAX = {Format.ADM_CID: 999, Format.SIA_DCS: 9_999}
"""The largest zone number: three digits and four."""


@dataclass(frozen=True, slots=True)
class Code:
    """An event in both languages: Contact ID's number, SIA's words for its begin and its end."""

    contact_id: int
    begin: str
    end: str


FIRE = Code(110, "FA", "FH")
_FIRES = {
    "smoke": Code(111, "FA", "FH"),
    "heat": Code(114, "KA", "KH"),
    "temperature": Code(114, "KA", "KH"),
    "cable_temperature": Code(114, "KA", "KH"),
    "flow": Code(113, "SA", "SH"),
    "gas": Code(151, "GA", "GH"),
    "co": Code(162, "GA", "GH"),
}
"""Kind of point -> its fire; whatever else is FIRE. 151 and 162 from memory of DC-05."""
MANUAL = Code(115, "FA", "FH")
_PREALARM = Code(118, "FS", "FV")
_SUPERVISORY = {
    "water_pressure": Code(201, "FS", "FV"),
    "level": Code(204, "FS", "FV"),
}
_SUPERVISED = Code(200, "FS", "FV")
_FAULT = Code(380, "FT", "FJ")
_BYPASS = Code(571, "FB", "FU")
_TEST = Code(604, "FX", "FK")
_SIREN = Code(321, "YA", "YH")
_DEVICE = Code(333, "ET", "ER")
_SYSTEM = Code(300, "YX", "YZ")
_MAINS = Code(301, "AT", "AR")
_BATTERY = Code(302, "YT", "YR")
_PATH = Code(350, "YC", "YK")
_RESET = Code(305, "OR", "OR")
_INPUTS = {"mains": _MAINS, "battery": _BATTERY, "tamper": Code(137, "TA", "TR")}
_STATES = (Flag.SUPERVISORY, Flag.FAULT, Flag.DISABLED, Flag.TEST)
_PANEL_PLACES = {"mains": _MAINS, "battery": _BATTERY}
_SYSTEM_PLACES = {"mains": _MAINS, "battery": _BATTERY, "standby": _BATTERY}


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is, in the receiver's numbers."""

    zone: int
    name: str
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One event to be told. urgent: of a fire."""

    code: Code
    begins: bool
    place: Place
    wall_ns: int
    urgent: bool = False

    def contact_id(self) -> str:
        """`QEEE GG CCC`; partition 01."""
        kind = 1 if self.begins else 3
        return f"{kind}{self.code.contact_id:03} 01 {self.place.zone:03}"

    def sia(self, *, text: bool) -> str:
        """`Nri1/FA0007`, with the name of the place between carets."""
        word = self.code.begin if self.begins else self.code.end
        out = f"Nri1/{word}{self.place.zone:04}"
        name = _plain(self.place.name) if text else ""
        return f"{out}^{name}^" if name else out


def _plain(name: str) -> str:
    """Printable ASCII: receivers that decode as ASCII fail on anything else. A name that is written
    otherwise has none: what is left of 3号楼12层 would be 312, which is another place."""
    if not name.isascii():
        return ""
    return "".join(c for c in name if " " <= c <= "~" and c not in '[]|^"')[:32].strip()


class Book:
    """places: source of records -> Place. prealarm: whether a pre-alarm is told at all."""

    def __init__(self, places: Mapping[str, Place], *, prealarm: bool) -> None:
        self._places = places
        self._prealarm = prealarm

    def take(self, records: Sequence[EventRecord]) -> list[Event]:
        """What the receiver is to hear, in order."""
        return [event for record in records for event in self._take(record)]

    def _take(self, record: EventRecord) -> list[Event]:
        if record.what in ("point", "zone", "panel", "manual") and "to" in record.body:
            return self._transition(record)
        if record.what == "operator":
            return self._operation(record)
        if isinstance(record.body.get("fault"), bool):
            return self._fault(record)
        return []

    def _transition(self, record: EventRecord) -> list[Event]:
        before, after = record.body.get("from", 0), record.body["to"]
        if type(before) is not int or type(after) is not int:
            return []
        place = self._places.get(record.source)
        if place is None and record.what == "panel":
            place = Place(0, f"{record.body.get('name', '')} {record.body.get('address', '')}")
        if record.what == "manual":
            place = Place(0, str(record.body.get("name", "")))  # the gateway's own button
        if place is None:
            return []  # a zone without a number: its points are told
        gated = record.body.get("gated") is True
        changed = Flag(before ^ after)
        out = []
        if changed & Flag.FIRE and not gated:
            code = MANUAL if (before | after) & Flag.MANUAL else _FIRES.get(place.kind, FIRE)
            begins = bool(after & Flag.FIRE)
            out.append(Event(code, begins, place, record.wall_ns, urgent=True))
        if changed & Flag.PREALARM and not gated and self._prealarm and not after & Flag.FIRE:
            out.append(Event(_PREALARM, bool(after & Flag.PREALARM), place, record.wall_ns))
        panel_place = _PANEL_PLACES.get(str(record.body.get("address")))
        for flag in _STATES:
            if not changed & flag or (gated and flag is Flag.SUPERVISORY):
                continue
            code = _state_code(flag, place.kind)
            if flag is Flag.FAULT and record.what == "panel" and panel_place is not None:
                code = panel_place
            out.append(Event(code, bool(after & flag), place, record.wall_ns))
        return out

    def _operation(self, record: EventRecord) -> list[Event]:
        if record.body.get("verb") != "reset":
            return []
        who = Place(0, str(record.body.get("who") or "operator"))
        return [Event(_RESET, True, who, record.wall_ns)]

    def _fault(self, record: EventRecord) -> list[Event]:
        """Of a device, a line, an output, or the gateway itself."""
        name = str(record.body.get("name") or record.source)
        code = {"device": _DEVICE, "line": _DEVICE, "output": _SIREN}.get(record.what, _SYSTEM)
        if record.source.startswith(("system/courier.", "courier/")):
            code = _PATH
        for word, known in _SYSTEM_PLACES.items():
            if record.what == "system" and word in record.source:
                code = known
        if record.what == "input" and record.source.count("/") == 1:
            code = _INPUTS.get(str(record.body.get("role")), code)
        place = self._places.get(record.source.removesuffix("/fault"), Place(0, name))
        return [Event(code, bool(record.body["fault"]), place, record.wall_ns)]


def _state_code(flag: Flag, kind: str) -> Code:
    if flag is Flag.SUPERVISORY:
        return _SUPERVISORY.get(kind, _SUPERVISED)
    return {Flag.FAULT: _FAULT, Flag.DISABLED: _BYPASS, Flag.TEST: _TEST}[flag]
