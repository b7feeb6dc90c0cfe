"""Notifier ID3000 and Pearl serial protocol: `>`, two letters, fields, checksum, CR. Pure.

`>IS` is the panel's poll and is answered `>IACK`; `>IE` is an event. Nothing else is ever sent:
the panel takes reset, silence and disable commands in the same format, and they are not ours.
Half duplex panels check with CRC-16/XMODEM as four hexadecimal digits over all after `>`, full
duplex ones with the sum modulo 256 as two.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from config.limits import PANEL_GAP_NS, PANEL_RECORD_BYTES_MAX
from config.plan import Panel
from drivers.panel.clock import PanelTime
from drivers.panel.rules import Rules, printable
from drivers.panel.talk import Counters, Damage, Heard

_CR = 0x0D
_ACKNOWLEDGE = b">IACK\r"
_WORD_BYTES = 2
_EVENT = re.compile(
    rb"IE(?P<panel>\d\d)(?P<code>\d{3})(?P<day>[1-7])"
    rb"(?P<hour>\d\d)(?P<minute>\d\d)(?P<second>\d\d)"
    rb"(?P<loop>\d\d)(?P<zone>\d{5})"
    rb"(?:(?P<sort>[SM])(?P<device>\d\d)(?P<type>..)?)?(?P<rest>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line with a good checksum: all between `>` and the checksum."""

    body: bytes

    @property
    def word(self) -> bytes:
        """The two letters that say what it is."""
        return self.body[:2]


@dataclass(frozen=True, slots=True)
class Event:
    """An `>IE` line. place: `02/L01S023`, `02/Z00004` or `02`, beginning with the panel."""

    code: int
    time: PanelTime | None
    place: str
    text: bytes


def checksum(body: bytes, kind: str) -> bytes:
    """The digits that belong behind `body`. kind: crc16 or sum8."""
    if kind == "crc16":
        return b"%04X" % binascii.crc_hqx(body, 0)
    return b"%02X" % (sum(body) % 256)


class Id3000Decoder:
    """Bytes in, lines out. At most PANEL_RECORD_BYTES_MAX bytes are held."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._digits = len(checksum(b"", kind))
        self._buffer = bytearray()

    @property
    def pending(self) -> bool:
        """Whether something is half there."""
        return bool(self._buffer)

    def restart(self) -> None:
        """Forget what is half there."""
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Line | Damage]:
        """What is complete now."""
        out: list[Line | Damage] = []
        for byte in data:
            if byte == _CR:
                out += self._line(bytes(self._buffer))
                self._buffer.clear()
                continue
            self._buffer.append(byte)
            if len(self._buffer) >= PANEL_RECORD_BYTES_MAX:
                out.append(Damage("expected CR", len(self._buffer)))
                self._buffer.clear()
        return out

    def _line(self, data: bytes) -> list[Line | Damage]:
        # Noise, or a line whose CR was lost, may stand before the last `>`; a quoted text may
        # hold a `>` of its own, then the first one begins the line.
        for begin in sorted({data.find(b">"), data.rfind(b">")} - {-1}):
            body, check = data[begin + 1 : -self._digits], data[-self._digits :]
            if len(body) >= _WORD_BYTES and check.upper() == checksum(body, self._kind):
                noise = data[:begin].strip()
                lost = [Damage("expected '>'", len(noise))] if noise else []
                return [*lost, Line(body)]
        return [Damage("expected a line and its checksum", len(data))] if data.strip() else []


def parse_event(body: bytes) -> Event | None:
    """The fields of an `IE` line; None when it has another layout."""
    match = _EVENT.match(body)
    if match is None:
        return None
    panel, loop, zone = (match[k].decode() for k in ("panel", "loop", "zone"))
    place = panel
    if match["sort"]:
        place += f"/L{loop}{match['sort'].decode()}{match['device'].decode()}"
    elif int(zone):
        place += f"/Z{zone}"
    hour, minute, second = (int(match[k]) for k in ("hour", "minute", "second"))
    time = None
    if hour < 24 and minute < 60 and second < 60:
        shown = f"{hour:02}:{minute:02}:{second:02}"
        time = PanelTime(shown, None, hour * 3_600 + minute * 60 + second)
    return Event(int(match["code"]), time, place, match["rest"].strip(b'" '))


class Id3000Talk:
    """Listens, and answers the panel's polls. `Talk`."""

    pipelined = False

    def __init__(self, panel: Panel) -> None:
        self.counters = Counters()
        self._rules = Rules(panel)
        self._encoding = panel.encoding
        self._decoder = Id3000Decoder(panel.checksum)
        self._last_ns = 0

    def restart(self) -> None:
        """A new link."""
        self._decoder.restart()

    def receive(self, data: bytes, now_ns: int) -> Heard:
        """Bytes came."""
        out = self.tick(now_ns)
        self._last_ns = now_ns
        for line in self._decoder.feed(data):
            if isinstance(line, Damage):
                self.counters.damaged += 1
                continue
            self.counters.frames += 1
            if line.word in (b"IS", b"IE"):
                self.counters.replies += 1
                out.replies.append(_ACKNOWLEDGE)
            if line.word == b"IE":
                self._event(line.body, out)
        return out

    def tick(self, now_ns: int) -> Heard:
        """A line that is not ended in time never will be: without a checksum it says nothing."""
        if self._decoder.pending and now_ns - self._last_ns > PANEL_GAP_NS:
            self._decoder.restart()
            self.counters.damaged += 1
        return Heard()

    def _event(self, body: bytes, out: Heard) -> None:
        event = parse_event(body)
        if event is None:
            self.counters.not_understood += 1
            return
        words = printable(event.text.decode(self._encoding, "replace"))
        text = f"event {event.code:03}" + (f" {words}" if words else "")
        said = self._rules.of_code(event.code, text, event.place, event.time)
        if not self._rules.understood:
            self.counters.not_understood += 1
        if said is not None:
            self.counters.events += 1
            out.said.append(said)
