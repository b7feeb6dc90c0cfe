"""The exchanges of GB/T 26875.3 with one centre: what is sent, sent again, and answered. Pure.

Fire has a slot of its own, so it never waits for the confirmation of anything else. An exchange
that is not confirmed in time, or is denied, is sent again, the very bytes of the first time
(clause 6.5); all tries of a round fit into 10 s. A round that fails makes the path lost, and the
next one begins: a fire is never given up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from agent.courier.gb26875_book import Book, Message
from agent.courier.gb26875_requests import answer_of
from agent.courier.window import BatchId
from config.limits import (
    GB26875_BEAT_FAST_NS,
    GB26875_DENIED_WAIT_NS,
    GB26875_ERRORS_MAX,
    GB26875_FALSE_START_NS,
    GB26875_RECONNECT_TRIES,
    S,
)
from config.words import Lane
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import (
    Command,
    Dialect,
    Frame,
    FrameDecoder,
    FrameError,
    Stamp,
    Wrong,
    encode_frame,
    stamp_of,
)

READ_VALUES, INITIALISE, SET_CLOCK, DUTY_CHECK = 63, 89, 90, 91
HEARTBEATS = ("empty", "status", "none")


@dataclass(frozen=True, slots=True)
class Settings:
    """Of one centre. heartbeat: one of HEARTBEATS. stream: TCP, so that a dead path is dropped."""

    source: int
    destination: int
    dialect: Dialect = field(default_factory=Dialect)
    stream: bool = True
    reply_ns: int = 2_500_000_000
    resends: int = 3
    heartbeat: str = "empty"
    beat_ns: int = 20 * S
    offset_s: int = 8 * 3600


@dataclass(frozen=True, slots=True)
class Calls:
    """What the session asks of its shell.

    send: False when it could not go. drop: end the connection. confirmed: a message of a batch is
    done. event: to be put on record. duty: the centre asks who is on duty, minutes; 0: over.
    measure: have the book know what these component numbers read now, then go on; it may come to
    nothing, and goes on in any case.
    """

    send: Callable[[bytes], bool]
    drop: Callable[[str], None]
    confirmed: Callable[[BatchId], None]
    event: Callable[[str, dict[str, Any]], None]
    duty: Callable[[int], None]
    wall_ns: Callable[[], int]
    measure: Callable[[list[int], Callable[[], None]], None] = lambda _numbers, go_on: go_on()


@dataclass(slots=True)
class _Exchange:
    """unit: None for an empty frame. serial and frame: of the first try, and then no others."""

    unit: gb.Unit | None
    batch: BatchId | None  # None: a heartbeat, or something of our own
    urgent: bool
    beat: bool = False
    serial: int = 0
    frame: bytes = b""
    tries: int = 0
    refused: bool = False  # denied a whole round
    unanswered: int = 0  # tries in a row without any word from the other end
    due_ns: int = 0


@dataclass(slots=True)
class Counters:
    """Of this process."""

    sent: int = 0
    confirmed: int = 0
    resent: int = 0
    denied: int = 0
    given_up: int = 0
    rounds_failed: int = 0
    errors: int = 0


class Session:
    """Everything between a queue of messages and the bytes of a connection."""

    def __init__(self, settings: Settings, book: Book, calls: Calls) -> None:
        self.counters = Counters()
        self.book = book
        self._settings = settings
        self._calls = calls
        self._decoder = FrameDecoder(settings.dialect)
        self._urgent: deque[_Exchange] = deque()
        self._soon: deque[_Exchange] = deque()  # what goes along with a fire, or was asked for
        self._bulk: deque[_Exchange] = deque()
        self._flight: dict[int, _Exchange] = {}
        self._serial = 0
        self._up = False
        self._silent = False  # the last round had no answer
        self._proved = False  # something was confirmed on this connection
        self._heard_ns = self._beat_due_ns = 0
        self._errors = 0
        self._skew_ns = 0
        self._duty_until_ns = 0
        self._duty_asked = (0, "")  # number and time of the question

    # --- what is to be told ---

    def tell(self, message: Message, batch: BatchId | None) -> None:
        """Queue a message; `batch` is confirmed when the centre has it."""
        exchange = _Exchange(gb.Unit(message.type, (message.made,)), batch, message.urgent)
        if message.urgent:
            self._urgent.append(exchange)
        elif batch is None or batch.lane == Lane.FIRE:
            self._soon.append(exchange)  # behind a backlog it would hold up the next fires
        else:
            self._bulk.append(exchange)

    @property
    def urgent(self) -> bool:
        """Whether a fire waits for the centre."""
        return bool(self._urgent) or any(e.urgent for e in self._flight.values())

    def _begin(self, exchange: _Exchange) -> None:
        """Number it and label it with the time of sending: that of its first try."""
        exchange.serial, self._serial = self._serial, (self._serial + 1) & 0xFFFF
        while self._serial in self._flight:
            self._serial = (self._serial + 1) & 0xFFFF
        unit, dialect = exchange.unit, self._settings.dialect
        data = b"" if unit is None else gb.encode_unit(unit, dialect, self._now())
        exchange.frame = self._frame(Command.SEND, exchange.serial, data)

    def _frame(self, command: Command, serial: int, data: bytes = b"") -> bytes:
        s = self._settings
        frame = Frame(
            serial, s.source, s.destination, command, data, self._now(), s.dialect.user_version
        )
        return encode_frame(frame, s.dialect)

    def _now(self) -> Stamp:
        return stamp_of(self._calls.wall_ns() + self._skew_ns, self._settings.offset_s)

    # --- the connection ---

    def connected(self, now_ns: int) -> None:
        """A fresh connection; with UDP, the socket. What was under way goes out again at once."""
        self._up, self._proved = True, not self._settings.stream and self._proved
        self._decoder = FrameDecoder(self._settings.dialect)
        self._errors = 0
        self._heard_ns = now_ns
        self._beat_due_ns = now_ns  # the first one proves the path
        self._set_skew(0)
        for exchange in self._flight.values():
            exchange.due_ns, exchange.unanswered = now_ns, 0
        self.tick(now_ns)

    def disconnected(self) -> None:
        """The connection is gone. Heartbeats are forgotten, everything else is kept."""
        self._up = False
        for exchange in [e for e in self._flight.values() if e.beat]:
            del self._flight[exchange.serial]

    def unreachable(self) -> None:
        """The connection could not be made: there is one centre, it is tried again."""

    @property
    def path(self) -> tuple[bool, str]:
        """Whether the centre answers, and what is wrong when it does not."""
        if self._silent:
            return False, "the centre does not confirm what it is sent"
        if not self._up:
            return False, "not connected"
        if any(e.refused for e in self._flight.values()):
            return False, "the centre denies a fire"
        if not self._proved and self._settings.heartbeat != "none":
            return False, "the centre has not answered yet"
        return True, ""

    # --- time ---

    def tick(self, now_ns: int) -> None:
        """Resends, heartbeats, and whatever may go now. Cheap; called often."""
        if self._duty_until_ns and now_ns >= self._duty_until_ns:
            self._end_duty("duty_missed")
        if not self._up:
            return
        if self._decoder.waiting and now_ns - self._heard_ns >= GB26875_FALSE_START_NS:
            self._heard_ns = now_ns
            self._take(self._decoder.give_up(), now_ns)
        for exchange in list(self._flight.values()):
            if exchange.due_ns <= now_ns and self._up:
                self._again(exchange, now_ns)
        self._fill(now_ns)
        if self._up and self._settings.heartbeat != "none" and now_ns >= self._beat_due_ns:
            self._beat(now_ns)

    def _again(self, exchange: _Exchange, now_ns: int) -> None:
        if exchange.tries > self._settings.resends:
            self.counters.rounds_failed += 1
            self._silent = True
            if exchange.beat:
                del self._flight[exchange.serial]
                self._beat_due_ns = now_ns + GB26875_BEAT_FAST_NS
                return
            exchange.tries = 0
        if self._settings.stream and exchange.unanswered >= GB26875_RECONNECT_TRIES:
            # Its bytes may wait in a dead connection's buffer: the next try goes over a new one.
            self._calls.drop("the centre does not answer")
            return
        self._send(exchange, now_ns)

    def _send(self, exchange: _Exchange, now_ns: int) -> None:
        if not exchange.frame:
            self._begin(exchange)
        exchange.tries += 1
        exchange.unanswered += 1
        exchange.due_ns = now_ns + self._settings.reply_ns
        self._flight[exchange.serial] = exchange
        self.counters.sent += exchange.tries == 1
        self.counters.resent += exchange.tries > 1
        if not self._calls.send(exchange.frame):
            self._calls.drop("the connection takes no more")

    def _fill(self, now_ns: int) -> None:
        for queue, urgent in ((self._urgent, True), (self._soon or self._bulk, False)):
            busy = any(e.urgent == urgent and e.due_ns <= now_ns + self._settings.reply_ns
                       for e in self._flight.values() if not e.beat)  # fmt: skip
            if queue and not busy and self._up:
                self._send(queue.popleft(), now_ns)

    def _beat(self, now_ns: int) -> None:
        self._beat_due_ns = now_ns + self._settings.beat_ns
        if any(not e.urgent for e in self._flight.values()):
            return  # what is under way proves the path as well
        unit = None
        if self._settings.heartbeat == "status":
            unit = gb.Unit(21, (self.book.device_status(self._calls.wall_ns()),))
        self._send(_Exchange(unit, None, urgent=False, beat=True), now_ns)

    # --- what comes in ---

    def received(self, data: bytes, now_ns: int) -> None:
        """Bytes of the connection, or one datagram."""
        self._heard_ns = now_ns
        self._take(self._decoder.feed(data), now_ns)
        if not self._settings.stream:
            self._decoder = FrameDecoder(self._settings.dialect)  # a datagram ends where it ends

    def _take(self, found: list[Frame | FrameError], now_ns: int) -> None:
        for one in found:
            if isinstance(one, FrameError):
                self._wrong(one)
            elif one.command in (Command.CONFIRM, Command.DENY):
                self._errors = 0
                self._answered(one, now_ns)
            elif one.command in (Command.CONTROL, Command.REQUEST, Command.SEND):
                self._errors = 0
                self._asked(one, now_ns)
            elif one.command != Command.RESPONSE:
                self._unknown(one)
        if self._up:
            self._fill(now_ns)

    def _wrong(self, error: FrameError) -> None:
        self.counters.errors += 1
        self._errors += 1
        if self._errors > GB26875_ERRORS_MAX:
            self._calls.drop("what comes is no GB/T 26875.3")
            return
        stray = error.wrong is Wrong.START and not error.command
        answers = (Command.CONFIRM, Command.DENY, Command.RESPONSE)
        if not stray and error.wrong is not Wrong.VERSION and error.command not in answers:
            self._reply(Command.DENY, error.serial)

    def _unknown(self, frame: Frame) -> None:
        """A user's command: none was agreed on (6.5: an unknown command is denied)."""
        self.counters.errors += 1
        if self._is_mine(frame):
            self._reply(Command.DENY, frame.serial)

    def _is_mine(self, frame: Frame) -> bool:
        return frame.destination in (self._settings.source, 0)

    def _answered(self, frame: Frame, now_ns: int) -> None:
        # Some centres answer with the addresses as they came; what names others is for others.
        if not self._is_mine(frame) and frame.source != self._settings.source:
            self.counters.errors += 1
            return
        exchange = self._flight.get(frame.serial)
        if exchange is None:
            return  # a second answer to what was sent twice
        exchange.unanswered = 0
        self._silent, self._proved = False, True
        if frame.command == Command.DENY:
            self._denied(exchange, now_ns)
            return
        del self._flight[exchange.serial]
        self.counters.confirmed += 1
        self._beat_due_ns = now_ns + self._settings.beat_ns
        if exchange.batch is not None:
            self._calls.confirmed(exchange.batch)

    def _denied(self, exchange: _Exchange, now_ns: int) -> None:
        """Sent again at once; a whole round denied: later, or for anything but fire, given up."""
        self.counters.denied += 1
        if exchange.tries <= self._settings.resends:
            self._send(exchange, now_ns)
            return
        self._calls.event("denied", {"fire": exchange.urgent, "beat": exchange.beat})
        if exchange.urgent:
            exchange.refused = True
            exchange.tries = 0
            exchange.due_ns = now_ns + GB26875_DENIED_WAIT_NS  # meanwhile its slot is free
            return
        del self._flight[exchange.serial]
        self.counters.given_up += 1
        if exchange.batch is not None:
            self._calls.confirmed(exchange.batch)

    # --- what the centre wants ---

    def _asked(self, frame: Frame, now_ns: int) -> None:
        if not self._is_mine(frame):
            self.counters.errors += 1
            return  # for somebody else
        if frame.command == Command.SEND:
            self._reply(Command.DENY if frame.data else Command.CONFIRM, frame.serial)
            return
        try:
            unit = gb.decode_unit(frame.data, self._settings.dialect)
        except gb.UnitError:
            self._reply(Command.DENY, frame.serial)
            return
        if frame.command == Command.CONTROL:
            self._ordered(unit, frame, now_ns)
            return
        if unit.type == READ_VALUES:
            numbers = [asked.number for asked in unit.objects]
            self._calls.measure(numbers, partial(self._answer, unit, frame.serial))
        else:
            self._answer(unit, frame.serial)

    def _answer(self, unit: gb.Unit, serial: int) -> None:
        if not self._up:
            return  # it asked over a connection that is gone
        answer = answer_of(unit, self.book, self._calls.wall_ns(), self._settings.dialect)
        if answer is None:
            self._reply(Command.DENY, serial)
            return
        data = gb.encode_unit(answer, self._settings.dialect, self._now())
        self._reply(Command.RESPONSE, serial, data)

    def _ordered(self, unit: gb.Unit, frame: Frame, now_ns: int) -> None:
        if unit.type not in (INITIALISE, SET_CLOCK, DUTY_CHECK):
            self._reply(Command.DENY, frame.serial)
            return
        self._reply(Command.CONFIRM, frame.serial)
        if unit.type == INITIALISE:
            self._initialise()
        elif unit.type == SET_CLOCK:
            self._clock(unit.objects[0].time)
        elif not self._duty_until_ns or self._duty_asked != (frame.serial, str(frame.time)):
            # The same one that comes again while it stands lacked our confirmation, nothing else.
            self._duty_asked = (frame.serial, str(frame.time))
            minutes = max(1, unit.objects[0].minutes)
            self._duty_until_ns = now_ns + minutes * 60 * S
            self._calls.event("duty_check", {"minutes": minutes})
            self._calls.duty(minutes)

    def _initialise(self) -> None:
        """Of this session alone: its clock, its errors; and the centre is told what stands."""
        self._set_skew(0)
        self._errors = 0
        wall_ns = self._calls.wall_ns()
        self.tell(Message(21, self.book.device_status(wall_ns), urgent=False), None)
        self.tell(Message(1, self.book.system_status(wall_ns), urgent=False), None)
        self._calls.event("initialise", {})

    def _clock(self, stamp: Stamp) -> None:
        """Nobody proved who asks: the time labels this session's frames, and nothing else."""
        theirs_ns = stamp.wall_ns(self._settings.offset_s)
        if theirs_ns is None:
            self._calls.event("clock", {"valid": False})
            return
        skew_ns = theirs_ns - self._calls.wall_ns()
        self._set_skew(skew_ns)
        self._calls.event("clock", {"valid": True, "skew_ms": skew_ns // 1_000_000})

    def _set_skew(self, skew_ns: int) -> None:
        self._skew_ns = self.book.clock_skew_ns = skew_ns

    @property
    def duty(self) -> dict[str, Any]:
        """The question that stands, for `recall_duty` of another process."""
        serial, time = self._duty_asked
        return {"until_ns": self._duty_until_ns, "serial": serial, "time": time}

    def recall_duty(self, memory: Mapping[str, Any]) -> None:
        """A question stands that was put to an earlier process."""
        self._duty_until_ns = int(memory.get("until_ns", 0))
        self._duty_asked = (int(memory.get("serial", 0)), str(memory.get("time")))

    def answer_duty(self, now_ns: int) -> None:
        """Somebody on the site acknowledged."""
        if self._duty_until_ns:
            self.tell(self.book.duty_answer(self._calls.wall_ns()), None)
            self._end_duty("duty_answered")
            self.tick(now_ns)

    def _end_duty(self, event: str) -> None:
        self._duty_until_ns = 0
        self._calls.duty(0)
        self._calls.event(event, {})

    def _reply(self, command: Command, serial: int, data: bytes = b"") -> None:
        if not self._calls.send(self._frame(command, serial, data)):
            self._calls.drop("the connection takes no more")
