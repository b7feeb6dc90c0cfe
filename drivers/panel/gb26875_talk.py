"""GB/T 26875.3 as an input: the monitoring centre's side, towards a panel or a user information
transmission device (用户信息传输装置) of the building. Pure.

Every upload is confirmed with its own serial, a damaged one is denied, so that the device sends it
again (clause 6.5). What a status word says becomes words of the dialect, one for each bit that is
set ("fire manual call point 裙楼一层") and one for each that is not ("fire ended ..."), so that
the meaning is data and a site can have rules of its own. A word without fire ends the fire of its
own address and of no other. Bit 0 (0 = test) gates nothing: many devices never set it. Nothing but
confirmations and read requests is ever sent; orders to the device (89, 90, 91) are not.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

from config.limits import GB26875_FALSE_START_NS, PANEL_ASK_NS, PANEL_REPLIES_MAX
from config.plan import Panel
from drivers.panel import gb26875_units as gb
from drivers.panel.clock import PanelTime
from drivers.panel.gb26875 import (
    Command,
    Dialect,
    Frame,
    FrameDecoder,
    FrameError,
    Stamp,
    Wrong,
    encode_frame,
)
from drivers.panel.rules import Rules, printable
from drivers.panel.talk import Counters, Heard, Said
from drivers.reading import PANEL_WHOLE, PanelKind

NUMBERINGS = ("raw", "zone_low", "loop_high")
"""How the four bytes of a component's address are meant (clause 8 leaves it open): one number;
zone in the low word and point in the high one; loop in the high word and point in the low one."""

_STATUS_WORDS = (
    (gb.STATUS_FIRE, "fire"),
    (gb.STATUS_FAULT, "fault"),
    (gb.STATUS_SHIELDED, "disabled"),
    (gb.STATUS_SUPERVISORY, "supervisory"),
    (gb.STATUS_STARTED, "started"),
    (gb.STATUS_FEEDBACK, "feedback"),
    (gb.STATUS_DELAY, "delay"),
)
_COMPONENT_WORDS = (*_STATUS_WORDS, (gb.COMPONENT_POWER_FAULT, "power fault"))
_SYSTEM_WORDS = (
    *_STATUS_WORDS,
    (gb.SYSTEM_MAINS_FAULT, "mains fault"),
    (gb.SYSTEM_STANDBY_FAULT, "standby supply fault"),
    (gb.SYSTEM_BUS_FAULT, "bus fault"),
    (gb.SYSTEM_MANUAL, "manual mode"),
)
_DEVICE_WORDS = (
    (gb.DEVICE_FIRE, "fire"),
    (gb.DEVICE_FAULT, "fault"),
    (gb.DEVICE_MAINS_FAULT, "mains fault"),
    (gb.DEVICE_STANDBY_FAULT, "standby supply fault"),
    (gb.DEVICE_CHANNEL_FAULT, "channel fault"),
    (gb.DEVICE_LINE_FAULT, "panel line fault"),
)
_OPERATION_WORDS = (
    (gb.OPERATION_RESET, "reset"),
    (gb.OPERATION_SILENCE, "silence"),
    (gb.OPERATION_MANUAL_ALARM, "manual alarm"),
    (gb.OPERATION_CLEARED, "alarm cleared"),
    (gb.OPERATION_SELF_TEST, "self-test"),
    (gb.OPERATION_CONFIRM, "acknowledge"),
    (gb.OPERATION_TEST, "test"),
)
_OPERATIONS = "operation"  # the address under which the keys of a panel stand
_COMPONENTS = {
    10: "gas detector", 11: "gas detector", 12: "gas detector", 13: "gas detector",
    16: "electrical fire alarm", 17: "residual current detector", 18: "cable temperature detector",
    21: "loop", 22: "repeater", 23: "manual call point", 24: "hydrant button",
    25: "fire detector", 30: "heat detector", 31: "heat detector", 32: "heat detector",
    33: "heat detector", 34: "line heat detector", 37: "fibre heat detector",
    40: "smoke detector", 41: "smoke detector", 42: "smoke detector", 43: "beam detector",
    44: "aspirating detector", 50: "multi-sensor detector", 51: "multi-sensor detector",
    61: "flame detector", 62: "flame detector", 69: "flame detector", 74: "gas detector",
    78: "video detector", 84: "module", 85: "input module", 86: "output module", 91: "fire pump",
    92: "fire water tank", 95: "sprinkler pump", 96: "water flow indicator",
    97: "supervised valve", 98: "alarm valve", 99: "pressure switch", 102: "fire door",
    103: "fire damper", 111: "smoke fan", 117: "shutter", 121: "sounder",
}  # fmt: skip


class Gb26875Talk:
    """The centre's side of the line. `Talk`.

    Panel.address is the numbering, Panel.time "bcd" where time tags are binary coded decimal.
    """

    pipelined = True  # every frame has an answer of its own

    def __init__(self, panel: Panel) -> None:
        assert panel.address in NUMBERINGS, panel.address
        self.counters = Counters()
        self._rules = Rules(panel)
        self._numbering = panel.address
        self._dialect = Dialect(bcd=panel.time == "bcd")
        self._decoder = FrameDecoder(self._dialect)
        self._peer: tuple[int, int, int] | None = None  # the device, what it calls us, its version
        self._serial = 0
        self._heard_ns = 0
        self._asked_ns = 0

    def restart(self) -> None:
        """A new link: nothing of before belongs to what comes now."""
        self._decoder = FrameDecoder(self._dialect)
        self._peer = None
        self._serial = 0

    def receive(self, data: bytes, now_ns: int) -> Heard:
        """Bytes came."""
        out = self.tick(now_ns)
        self._heard_ns = now_ns
        for found in self._decoder.feed(data):
            self._take(found, now_ns, out)
        return out

    def tick(self, now_ns: int) -> Heard:
        """Give up a frame that does not end; ask a device for its state when it is time to."""
        out = Heard()
        if self._decoder.waiting and now_ns - self._heard_ns > GB26875_FALSE_START_NS:
            self._heard_ns = now_ns
            for found in self._decoder.give_up():
                self._take(found, now_ns, out)
        if self._peer is not None and now_ns - self._asked_ns >= PANEL_ASK_NS:
            self._ask(now_ns, out)
        return out

    def _take(self, found: Frame | FrameError, now_ns: int, out: Heard) -> None:
        if isinstance(found, FrameError):
            self.counters.damaged += 1
            if found.wrong not in (Wrong.START, Wrong.VERSION):
                self._reply(out, Command.DENY, found)
            return
        self.counters.frames += 1
        first = self._peer is None
        self._peer = (found.source, found.destination, found.user_version)
        if found.command == Command.SEND:
            self._reply(out, Command.CONFIRM, found)
        if found.command in (Command.CONTROL, Command.REQUEST):
            self._reply(out, Command.DENY, found)  # nobody orders or asks anything of us
        elif found.command in (Command.SEND, Command.RESPONSE) and found.data:
            self._unit(found, out)
        if first:
            self._ask(now_ns, out)  # what it told before we were there

    def _ask(self, now_ns: int, out: Heard) -> None:
        """Read the device's status (type 81): what stands, and a sign of life if it never beats."""
        assert self._peer is not None
        self._asked_ns = now_ns
        device, centre, version = self._peer
        self._serial = (self._serial + 1) & 0xFFFF
        data = gb.encode_unit(gb.Unit(81, (gb.ReadDevice(),)), self._dialect)
        self._send(
            out, Frame(self._serial, centre, device, Command.REQUEST, data, user_version=version)
        )

    def _reply(self, out: Heard, command: Command, to: Frame | FrameError) -> None:
        time = to.time if isinstance(to, Frame) else Stamp()
        version = to.user_version if isinstance(to, Frame) else 1
        self._send(out, Frame(to.serial, to.destination, to.source, command, b"", time, version))

    def _send(self, out: Heard, frame: Frame) -> None:
        if len(out.replies) < PANEL_REPLIES_MAX:  # the rest is sent to us again
            self.counters.replies += 1
            out.replies.append(encode_frame(frame, self._dialect))

    # --- what it says ---------------------------------------------------------------------------

    def _unit(self, frame: Frame, out: Heard) -> None:
        sent = _time_of(frame.time)
        try:
            unit = self._decoded(frame.data)
        except gb.UnitError as e:
            self.counters.not_understood += 1
            if frame.data[0] in gb.LAYOUTS:  # a user's type may be a heartbeat: no news
                self._note(f"type {frame.data[0]} was not understood: {e}", sent, out)
            return
        for found in unit.objects:
            self._object(found, sent, out)

    def _decoded(self, data: bytes) -> gb.Unit:
        """By the standard, or with the time tags that some devices add everywhere."""
        try:
            return gb.decode_unit(data, self._dialect)
        except gb.UnitError:
            try:
                return gb.decode_unit(data, Dialect(bcd=self._dialect.bcd, tags_everywhere=True))
            except gb.UnitError:
                pass
            raise

    def _object(self, found: Any, sent: PanelTime | None, out: Heard) -> None:
        if isinstance(found, gb.ComponentStatus):
            sort = _COMPONENTS.get(found.component, f"type {found.component}")
            address = f"{_place(found)}/{self._number(found.number)}"
            self._status(found, _COMPONENT_WORDS, address, f"{sort} {found.text}", sent, out)
        elif isinstance(found, gb.SystemStatus):
            self._status(found, _SYSTEM_WORDS, _place(found), "system", sent, out)
        elif isinstance(found, gb.DeviceStatus):
            self._status(found, _DEVICE_WORDS, PANEL_WHOLE, "transmission device", sent, out)
        elif isinstance(found, gb.Operation | gb.DeviceOperation):
            self._operation(found, sent, out)
        elif isinstance(found, gb.SystemConfiguration | gb.DeviceConfiguration):
            self._note(f"configuration: {found.text}", sent, out)

    def _number(self, number: int) -> str:
        if self._numbering == "zone_low":
            return f"{number & 0xFFFF}-{number >> 16}"
        if self._numbering == "loop_high":
            return f"{number >> 16}-{number & 0xFFFF}"
        return str(number)

    def _status(
        self,
        told: gb.ComponentStatus | gb.SystemStatus | gb.DeviceStatus,
        words: tuple[tuple[int, str], ...],
        address: str,
        what: str,
        sent: PanelTime | None,
        out: Heard,
    ) -> None:
        """A whole status word: what it sets, then what it does not set any more."""
        at = _time_of(told.time) or sent
        ended: dict[str, int] = {}
        begin = len(out.said)
        for bit, word in words:
            if told.status & bit:
                self._say(f"{word} {what}", address, at, sent, out)
                continue
            said = self._rules.of_text(f"{word} ended {what}", address)
            if said is not None and said.clears and said.kind is PanelKind.STATE:
                ended[said.address] = ended.get(said.address, 0) | said.flags
        for place, cleared in ended.items():
            flags = cleared & ~_set_flags(out.said[begin:], place)
            if flags:
                text = printable(f"ended {what}")
                out.said.append(Said(PanelKind.STATE, flags, True, place, text, at, sent=sent))

    def _operation(
        self, found: gb.Operation | gb.DeviceOperation, sent: PanelTime | None, out: Heard
    ) -> None:
        at = _time_of(found.time) or sent
        duty = isinstance(found, gb.DeviceOperation)
        for bit, key in _OPERATION_WORDS:
            if not found.flags & bit:
                continue
            word = "duty answer" if duty and bit == gb.OPERATION_DUTY_ANSWER else key
            self._say(f"{word} by operator {found.operator}", _OPERATIONS, at, sent, out)

    def _say(
        self, text: str, address: str, at: PanelTime | None, sent: PanelTime | None, out: Heard
    ) -> None:
        said = self._rules.of_text(printable(text), address)
        self.counters.not_understood += not self._rules.understood
        if said is not None:
            self.counters.events += 1
            out.said.append(
                Said(said.kind, said.flags, said.clears, said.address, said.text, at, sent=sent)
            )

    def _note(self, text: str, sent: PanelTime | None, out: Heard) -> None:
        self.counters.events += 1
        out.said.append(Said(PanelKind.NOTE, 0, False, "", printable(text)[:160], sent, sent=sent))


def _place(found: gb.ComponentStatus | gb.SystemStatus) -> str:
    return f"{found.system}.{found.address}"


def _set_flags(saids: Sequence[Said], address: str) -> int:
    """What the same word sets at an address: several bits may mean one flag."""
    flags = 0
    for said in saids:
        if said.address == address and not said.clears:
            flags |= int(said.flags)
    return flags


def _time_of(stamp: Stamp) -> PanelTime | None:
    """A tag as the panel's time; None when there is no such date."""
    try:  # the panel's own local time, whatever zone that is
        date = dt.date(2000 + stamp.year, stamp.month, stamp.day)
        clock = dt.time(stamp.hour, stamp.minute, stamp.second)
    except ValueError:
        return None
    second = clock.hour * 3_600 + clock.minute * 60 + clock.second
    shown = f"{date}T{clock.isoformat('seconds')}"
    return PanelTime(shown, (date - dt.date(1970, 1, 1)).days, second)
