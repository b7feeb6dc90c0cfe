"""A simulated user information transmission device that speaks GB/T 26875.3 to its centre. Pure.

Frames are made here byte by byte, apart from the gateway's codec. It beats, uploads, sends again
what is not confirmed, answers a read of its status and denies everything else.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime

from config.desk_limits import SIMULATOR_SETS_PENDING_MAX
from config.limits import MS, S
from drivers.simulator.fields import SimulatorError
from drivers.simulator.panel_words import Harm, Telling, harmed

_DEVICE, _CENTRE = 889, 88_888
_BEAT_NS = 2 * S  # in the field 20 to 30 s; nobody wants to wait for a simulated one
_RETRY_NS = 600 * MS
_TRIES = 4
_STATUS = {"normal": 0, "fire": 1, "fault": 2, "disabled": 3, "supervisory": 4, "activated": 5,
           "feedback": 6, "delay": 7}  # fmt: skip
_ENDS = {"fire_cleared": "fire", "fault_cleared": "fault", "enabled": "disabled"}
_SYSTEM = {"mains_fault": 0x101, "mains_restored": 1, "battery_fault": 0x201,
           "battery_restored": 1, "manual": 0x801, "auto": 1}  # fmt: skip
_OPERATION = {"reset": 1, "silence": 2, "manual_alarm": 4}


class TransmissionDevice:
    """numbering: how an address "zone-point" or "loop-point" becomes four bytes."""

    def __init__(self, numbering: str, *, bcd: bool) -> None:
        self._numbering = numbering
        self._bcd = bcd
        self._serial = 0
        self._queue: deque[tuple[bytes, Harm]] = deque()
        self._tries = 0
        self._sent_ns = 0
        self._beat_ns = -_BEAT_NS
        self._status: dict[str, int] = {}
        self._inbox = b""

    def _tag(self, now: datetime) -> bytes:
        parts = (now.second, now.minute, now.hour, now.day, now.month, now.year % 100)
        return bytes((p // 10 * 16 + p % 10) if self._bcd else p for p in parts)

    def _frame(self, command: int, data: bytes, tag: bytes, serial: int | None = None) -> bytes:
        if serial is None:
            serial, self._serial = self._serial, (self._serial + 1) % 65_536
        body = (
            serial.to_bytes(2, "little") + bytes([1, 1]) + tag + _DEVICE.to_bytes(6, "little")
            + _CENTRE.to_bytes(6, "little") + len(data).to_bytes(2, "little") + bytes([command])
            + data
        )  # fmt: skip
        return b"@@" + body + bytes([sum(body) % 256]) + b"##"

    def tell(self, telling: Telling, now: datetime) -> bytes:
        """Queue an upload. address: "12", or "zone-point" where the numbering has both."""
        if len(self._queue) >= SIMULATOR_SETS_PENDING_MAX:
            raise SimulatorError(f"{len(self._queue)} messages are waiting already")
        tag = self._tag(now)
        self._queue.append((self._frame(2, self._data(telling, tag), tag), telling.harm))
        return b""

    def _data(self, telling: Telling, tag: bytes) -> bytes:
        word = telling.word
        if word in _OPERATION:
            if word == "reset":
                self._status.clear()
            return bytes([4, 1, 1, 1, _OPERATION[word], 1]) + tag
        if word in _SYSTEM:
            return bytes([1, 1, 1, 1]) + _SYSTEM[word].to_bytes(2, "little") + tag
        bits = self._status.get(telling.address, 1)
        if word in _ENDS:
            bits &= ~(1 << _STATUS[_ENDS[word]])
        elif word in _STATUS:
            bits |= 1 << _STATUS[word]
        else:
            known = ", ".join((*_STATUS, *_ENDS, *_SYSTEM, *_OPERATION))
            raise SimulatorError(f"expected one of {known}; found {word!r}")
        self._status[telling.address] = bits
        kind = 23 if telling.place.startswith("call point") else 40
        text = telling.place.encode("gb18030", "replace")[:30].ljust(31, b"\0")
        head = bytes([2, 1, 1, 1, kind]) + self._number(telling.address)
        return head + bits.to_bytes(2, "little") + text + tag

    def _number(self, address: str) -> bytes:
        first, _, second = address.partition("-")
        low, high = int(first or "0"), int(second or "0")
        if self._numbering == "loop_high":
            low, high = high, low
        return low.to_bytes(2, "little") + high.to_bytes(2, "little")

    def receive(self, data: bytes, now_ns: int) -> bytes:  # noqa: ARG002 -- no wait of its own
        """The centre confirmed, denied or asked."""
        self._inbox = (self._inbox + data)[-2_048:]
        out = b""
        while (at := self._inbox.find(b"@@")) >= 0 and len(self._inbox) >= at + 30:
            size = 30 + int.from_bytes(self._inbox[at + 24 : at + 26], "little")
            frame, self._inbox = self._inbox[at : at + size], self._inbox[at + size :]
            out += self._answer(frame)
        return out

    def _answer(self, frame: bytes) -> bytes:
        command = frame[26]
        head = self._queue[0][0] if self._queue else b""
        if command == 3 and head[2:4] == frame[2:4]:
            self._queue.popleft()
            self._tries = self._sent_ns = 0
        elif command == 6:
            self._sent_ns = 0  # again, at once
        elif command == 4 and frame[27] == 81:
            tag = bytes(6)
            return self._frame(
                5, bytes([21, 1, 1]) + tag, tag, int.from_bytes(frame[2:4], "little")
            )
        return b""

    def tick(self, now_ns: int) -> bytes:
        """The message at the head of the queue until it is confirmed; else a beat."""
        if self._queue:
            if self._sent_ns and now_ns - self._sent_ns < _RETRY_NS:
                return b""
            frame, harm = self._queue[0]
            if self._tries >= _TRIES:
                self._queue.popleft()
                self._tries = self._sent_ns = 0
                return b""
            self._queue[0] = (frame, Harm.NONE)
            self._tries, self._sent_ns = self._tries + 1, now_ns
            return harmed(frame, harm, 30)
        if now_ns - self._beat_ns < _BEAT_NS:
            return b""
        self._beat_ns = now_ns
        return self._frame(2, b"", bytes(6))
