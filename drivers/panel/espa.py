"""ESPA 4.4.4 (November 1984), ISO 1745 basic mode: frames, and the paging system's side. Pure.

The panel is the control station and polls; this side has a station address and never anything to
send, so it answers a poll of itself with EOT. When the panel has a message it polls itself and
then selects us: `1 ENQ 2 ENQ`. We answer ACK, take the block, answer ACK again, and EOT ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from config.limits import ESPA_BLOCK_NS, ESPA_SELECT_NS, PANEL_RECORD_BYTES_MAX
from config.plan import Panel
from drivers.panel.rules import Rules, printable
from drivers.panel.talk import Counters, Damage, Heard

SOH, STX, ETX, EOT, ENQ, ACK, NAK = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x15
RS, US = 0x1E, 0x1F
_CALL, _STATUS = "1", "2"
_CALL_ADDRESS, _MESSAGE, _CALL_TYPE, _PRIORITY = "1", "2", "4", "6"
_CONTROLS = frozenset((EOT, ENQ, ACK, NAK))
_ENDS = frozenset((SOH, ETX, EOT, ENQ))  # what stands in no block's header and data but ends it
_BAD_CHECK = b"1\x15"  # NAK, transmission error


@dataclass(frozen=True, slots=True)
class Control:
    """EOT, ENQ, ACK or NAK; `prefix` is the character before ENQ (an address) or NAK, or ""."""

    code: int
    prefix: str


@dataclass(frozen=True, slots=True)
class Block:
    """SOH header STX records ETX BCC with a good BCC. records: identifier to data, raw bytes."""

    header: str
    records: tuple[tuple[str, bytes], ...]

    def get(self, identifier: str) -> bytes:
        """The data of the first record with this identifier, b"" without one."""
        return next((data for key, data in self.records if key == identifier), b"")


def block_check(data: bytes) -> int:
    """XOR of all after SOH up to and including ETX."""
    out = 0
    for byte in data:
        out ^= byte
    return out


class EspaDecoder:
    """Bytes in, frames out. At most PANEL_RECORD_BYTES_MAX bytes are held."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def restart(self) -> None:
        """Forget what is half there."""
        self._buffer.clear()

    def feed(self, data: bytes) -> list[Control | Block | Damage]:
        """What is complete now. After damage the next SOH or control character counts again."""
        self._buffer += data
        out: list[Control | Block | Damage] = []
        at = 0
        while at < len(self._buffer):
            used, found = self._next(at)
            if not used:
                break
            at += used
            if found is not None:
                out.append(found)
        del self._buffer[:at]
        return out

    def _next(self, at: int) -> tuple[int, Control | Block | Damage | None]:
        """(bytes used, what they are) from `at`; 0 bytes when more must come."""
        first = self._buffer[at]
        if first == SOH:
            return self._block(at)
        if first in _CONTROLS:
            return 1, Control(first, "")
        if at + 1 == len(self._buffer):
            return 0, None  # a prefix, perhaps
        if self._buffer[at + 1] in (ENQ, NAK):
            return 2, Control(self._buffer[at + 1], chr(first))
        return 1, Damage("expected SOH or a control character", 1)

    def _block(self, at: int) -> tuple[int, Block | Damage | None]:
        end = next((i for i in range(at + 1, len(self._buffer)) if self._buffer[i] in _ENDS), -1)
        if end >= 0 and self._buffer[end] != ETX:
            # The block was cut off and the sender goes on; the address before ENQ belongs to it.
            used = end - at - (self._buffer[end] == ENQ and end > at + 1)
            return used, Damage("expected ETX", used)
        if end < 0 or end + 1 == len(self._buffer):
            size = len(self._buffer) - at
            if size >= PANEL_RECORD_BYTES_MAX:
                return size, Damage("expected ETX", size)
            return 0, None
        used = end + 2 - at
        if used > PANEL_RECORD_BYTES_MAX:
            return used, Damage("expected a shorter block", used)
        body = bytes(self._buffer[at + 1 : end + 1])
        if block_check(body) != self._buffer[end + 1]:
            return used, Damage("expected another block check character", used)
        return used, _parsed(body)


def _parsed(body: bytes) -> Block | Damage:
    """body: header STX records ETX."""
    header, stx, rest = body[:-1].partition(bytes([STX]))
    if not stx or len(header) != 1:
        return Damage("expected one header character and STX", len(body) + 2)
    records = []
    for part in rest.split(bytes([RS])):
        if not part:
            continue  # some senders end the last record with RS, too
        identifier, us, data = part.partition(bytes([US]))
        if not us:
            return Damage("expected US in a record", len(body) + 2)
        records.append((identifier.decode("latin-1"), data))
    return Block(header.decode("latin-1"), tuple(records))


class _Phase(IntEnum):
    IDLE = 0
    OTHER_POLLED = 1  # another station was polled: it may select us
    SELECTED = 2  # we said ACK and wait for the block


class EspaTalk:
    """The paging system's side of the line. `Talk`."""

    pipelined = False

    def __init__(self, panel: Panel) -> None:
        self.counters = Counters()
        self._rules = Rules(panel)
        self._encoding = panel.encoding
        self._station = panel.station
        self._decoder = EspaDecoder()
        self._phase = _Phase.IDLE
        self._since_ns = 0
        self._heard_ns = 0

    def restart(self) -> None:
        """A new link."""
        self._decoder.restart()
        self._phase = _Phase.IDLE

    def receive(self, data: bytes, now_ns: int) -> Heard:
        """Bytes came."""
        out = self.tick(now_ns)
        self._heard_ns = now_ns
        for frame in self._decoder.feed(data):
            if isinstance(frame, Damage):
                self._damage(out)
                continue
            self.counters.frames += 1
            if isinstance(frame, Control):
                self._control(frame, now_ns, out)
            elif self._phase is _Phase.SELECTED:
                self._reply(out, bytes([ACK]))
                self._since_ns = now_ns
                self._block(frame, out)
        return out

    def tick(self, now_ns: int) -> Heard:
        """Give up what does not go on."""
        wait_ns = {_Phase.OTHER_POLLED: ESPA_SELECT_NS, _Phase.SELECTED: ESPA_BLOCK_NS}
        limit_ns = wait_ns.get(self._phase)
        if limit_ns is not None and now_ns - self._since_ns > limit_ns:
            self._phase = _Phase.IDLE
        if now_ns - self._heard_ns > ESPA_BLOCK_NS:
            self._decoder.restart()
        return Heard()

    def _damage(self, out: Heard) -> None:
        self.counters.damaged += 1
        if self._phase is _Phase.SELECTED:
            self._reply(out, _BAD_CHECK)  # the panel sends it again

    def _control(self, frame: Control, now_ns: int, out: Heard) -> None:
        if frame.code == EOT:
            self._phase = _Phase.IDLE
        elif frame.code == ENQ and frame.prefix == self._station:
            if self._phase is _Phase.IDLE:
                self._reply(out, bytes([EOT]))  # a poll: nothing to send
            else:
                self._phase, self._since_ns = _Phase.SELECTED, now_ns
                self._reply(out, bytes([ACK]))
        elif frame.code == ENQ:
            self._phase, self._since_ns = _Phase.OTHER_POLLED, now_ns

    def _reply(self, out: Heard, data: bytes) -> None:
        self.counters.replies += 1
        out.replies.append(data)

    def _block(self, block: Block, out: Heard) -> None:
        """A call is an event. Other headers are acknowledged and mean nothing here."""
        if block.header not in (_CALL, _STATUS):
            return
        text = self._text(block, _MESSAGE)
        # What the message does not say, its rule can: call type 1 is "reset", priority 1 "alarm".
        tail = [
            f"{word}={self._text(block, key)}"
            for word, key in (("TYPE", _CALL_TYPE), ("PRIORITY", _PRIORITY))
            if block.get(key)
        ]
        said = self._rules.of_text(" ".join([text, *tail]), self._text(block, _CALL_ADDRESS))
        if not self._rules.understood:
            self.counters.not_understood += 1
        if said is not None:
            self.counters.events += 1
            out.said.append(said)

    def _text(self, block: Block, identifier: str) -> str:
        return printable(block.get(identifier).decode(self._encoding, "replace"))
