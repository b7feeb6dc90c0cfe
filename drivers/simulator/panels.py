"""Simulated panels on ports of their own: what they print and how they poll. Pure.

Written from what such panels send, apart from the gateway's codecs and dialects, so that the two
can disagree and a test can see it.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from config.desk_limits import SIMULATOR_SETS_PENDING_MAX
from config.limits import MS
from config.plan import Panel
from config.words import PanelProtocol
from drivers.simulator.fields import SimulatorError
from drivers.simulator.panel_words import Harm, SimulatedPanel, Telling, harmed, word_of
from drivers.simulator.transmission import TransmissionDevice

_POLL_NS = 500 * MS
_WAIT_NS = 600 * MS  # for an answer
_TRIES = 3
_NFS_WIDTH = 24

GST9000 = {
    "fire": "首次火警",
    "fire_cleared": "火警恢复",
    "prealarm": "预警",
    "fault": "故障",
    "fault_cleared": "故障恢复",
    "disabled": "屏蔽",
    "enabled": "屏蔽释放",
    "activated": "启动",
    "feedback": "反馈",
    "supervisory": "监管",
    "manual": "手动",
    "auto": "自动",
    "mains_fault": "主电故障",
    "mains_restored": "主电恢复",
    "battery_fault": "备电故障",
    "battery_restored": "备电恢复",
    "reset": "系统复位",
}
NFS = {
    "fire": "FIRE ALARM",
    "fire_cleared": "CLEARED FIRE ALARM",
    "prealarm": "PREALARM",
    "fault": "TROUBLE",
    "fault_cleared": "CLEARED TROUBLE",
    "disabled": "DISABLED",
    "enabled": "CLEARED DISABLED",
    "activated": "ON",
    "supervisory": "SUPERVISORY",
    "mains_fault": "TROUBLE  AC FAIL",
    "mains_restored": "CLEARED TROUBLE  AC FAIL",
    "reset": "SYSTEM RESET",
    "normal": "SYSTEM NORMAL",
    "silence": "SIGNALS SILENCED",
}
ESPA = {
    "fire": "FEUER",
    "prealarm": "VORALARM",
    "fault": "STÖRUNG",
    "disabled": "ABSCHALTUNG",
    "fire_cleared": "FEUER {} RESET",
    "fault_cleared": "STÖRUNG {} RESET",
    "reset": "BMZ RÜCKGESETZT",
}
ID3000 = {
    "fire": 1, "fire_cleared": 19, "prealarm": 10, "fault": 8, "fault_cleared": 20,
    "disabled": 24, "enabled": 23, "activated": 37, "supervisory": 44, "reset": 129,
    "silence": 131, "mains_fault": 289, "battery_fault": 291,
}  # fmt: skip


def make_panel(panel: Panel) -> SimulatedPanel:
    """The simulated panel at the other end of a plan's panel."""
    if panel.protocol == PanelProtocol.ESPA:
        return EspaPanel(panel.station, panel.encoding)
    if panel.protocol == PanelProtocol.ID3000:
        return Id3000Panel(half_duplex=panel.checksum == "crc16")
    if panel.protocol == PanelProtocol.GB26875:
        return TransmissionDevice(panel.address, bcd=panel.time == "bcd")
    return Printer(panel.encoding, gst=panel.record == "blank")


class Printer:
    """A printer port: GST9000's cabinet printer, or lines of 80 columns as Notifier's."""

    def __init__(self, encoding: str, *, gst: bool) -> None:
        self._encoding = encoding
        self._gst = gst

    def tell(self, telling: Telling, now: datetime) -> bytes:
        """The printed event."""
        if self._gst:
            text = f"\x1b6{now:%y/%m/%d  %H:%M}\n  {telling.address}\n\x1b9"
            text += word_of(GST9000, telling) + "\n"
            if telling.address:
                text += f"{telling.place}\n点型感烟\n"
            text += "\n"
        else:
            text = f"{word_of(NFS, telling):<{_NFS_WIDTH}}{telling.place:<20}"
            text += f"{now:%I:%M}{'AP'[now.hour >= 12]} {now:%m%d%y} {telling.address}\r\n"
        data = text.encode(self._encoding, "replace")
        if telling.harm is Harm.HALF:
            return data[: len(data) * 3 // 4]
        if telling.harm is Harm.CHECKSUM:
            raise SimulatorError("printed text has no checksum")
        return data

    def receive(self, data: bytes, now_ns: int) -> bytes:  # noqa: ARG002 -- a printer port is one way
        """Nothing: it does not listen."""
        return b""

    def tick(self, now_ns: int) -> bytes:  # noqa: ARG002 -- nothing is printed by itself
        """Nothing."""
        return b""


class EspaPanel:
    """A control station: polls the gateway, and itself when it has a message."""

    def __init__(self, station: str, encoding: str) -> None:
        self._station = station.encode()
        self._encoding = encoding
        self._queue: deque[tuple[bytes, Harm]] = deque()
        self._phase = "idle"  # idle, polled, selected, sent
        self._since_ns = 0
        self._tries = 0
        self._harm = Harm.NONE

    def tell(self, telling: Telling, now: datetime) -> bytes:
        """Queue a call: it goes out with the next poll."""
        if len(self._queue) >= SIMULATOR_SETS_PENDING_MAX:
            raise SimulatorError(f"{len(self._queue)} messages are waiting already")
        word = word_of(ESPA, telling)
        point = " ".join(p for p in (telling.address, telling.place) if p)
        text = word.format(telling.address) if "{}" in word else f"{word} {point}".strip()
        text = f"{now:%d.%m.%y %H:%M} {text}" if telling.place == "stamped" else text
        records = ((b"1", b"100"), (b"2", text.encode(self._encoding, "replace")), (b"3", b"1"),
                   (b"4", b"3"), (b"6", b"1"))  # fmt: skip
        body = b"1\x02" + b"\x1e".join(k + b"\x1f" + v for k, v in records) + b"\x03"
        check = 0
        for byte in body:
            check ^= byte
        self._queue.append((b"\x01" + body + bytes([check]), telling.harm))
        return b""

    def receive(self, data: bytes, now_ns: int) -> bytes:
        """The gateway's answer."""
        if self._phase == "polled" and b"\x04" in data:
            self._phase = "idle"
        elif self._phase == "selected" and b"\x06" in data:
            self._tries, self._harm = 0, self._queue[0][1]
            return self._send(now_ns)
        elif self._phase == "sent" and b"\x15" in data:
            return self._send(now_ns) if self._tries < _TRIES else self._end()
        elif self._phase == "sent" and b"\x06" in data:
            self._queue.popleft()
            return self._end()
        return b""

    def _send(self, now_ns: int) -> bytes:
        self._phase, self._since_ns = "sent", now_ns
        self._tries += 1
        harm, self._harm = self._harm, Harm.NONE
        return harmed(self._queue[0][0], harm, 6)

    def _end(self) -> bytes:
        self._phase = "idle"
        return b"\x04"

    def tick(self, now_ns: int) -> bytes:
        """A poll, a select, or EOT after an answer that never came."""
        if self._phase != "idle":
            if now_ns - self._since_ns < _WAIT_NS:
                return b""
            return self._end()
        if not self._queue and now_ns - self._since_ns < _POLL_NS:
            return b""
        self._since_ns = now_ns
        if self._queue:
            self._phase = "selected"
            return b"\x041\x05" + self._station + b"\x05"
        self._phase = "polled"
        return b"\x04" + self._station + b"\x05"


class Id3000Panel:
    """Panel 02: status lines, and events until they are acknowledged."""

    def __init__(self, *, half_duplex: bool) -> None:
        self._half_duplex = half_duplex
        self._queue: deque[tuple[bytes, Harm]] = deque()
        self._status_ns = 0
        self._retry_ns = 0
        self._awaited = ""  # what `>IACK` would be for: "status", "event"

    def _line(self, body: bytes) -> bytes:
        if not self._half_duplex:
            return b">" + body + b"%02X\r" % (sum(body) & 0xFF)
        check = 0
        for byte in body:
            check ^= byte << 8
            for _ in range(8):
                check = (check << 1) ^ (0x1021 if check & 0x8000 else 0)
        return b">" + body + b"%04X\r" % (check & 0xFFFF)

    def tell(self, telling: Telling, now: datetime) -> bytes:
        """Queue an event. address: LLSDD or LLMDD, as `01S023`."""
        if len(self._queue) >= SIMULATOR_SETS_PENDING_MAX:
            raise SimulatorError(f"{len(self._queue)} events are waiting already")
        if telling.word not in ID3000:
            raise SimulatorError(f"expected one of {', '.join(ID3000)}; found {telling.word!r}")
        loop, device = telling.address[:2] or "00", telling.address[2:]
        body = f"IE02{ID3000[telling.word]:03}{now.isoweekday()}{now:%H%M%S}{loop:>02}00004"
        if device:
            body += f'{device}01"{telling.place}"'
        self._queue.append((self._line(body.encode("latin-1", "replace")), telling.harm))
        return b""

    def receive(self, data: bytes, now_ns: int) -> bytes:  # noqa: ARG002 -- no wait of its own
        """`>IACK` ends what was sent last."""
        if self._awaited and b">IACK\r" in data:
            if self._awaited == "event":
                self._queue.popleft()
            self._awaited = ""
        return b""

    def tick(self, now_ns: int) -> bytes:
        """The event at the head of the queue, again and again; else a status line."""
        if self._awaited and now_ns < self._retry_ns:
            return b""
        self._retry_ns = now_ns + _WAIT_NS
        if self._queue:
            self._awaited = "event"
            line, harm = self._queue[0]
            self._queue[0] = (line, Harm.NONE)
            return harmed(line, harm, 5)
        self._awaited = ""
        if now_ns < self._status_ns:
            return b""
        self._awaited = "status"
        self._status_ns = now_ns + _POLL_NS
        return self._line(b"IS0001C000000000000")
