"""The exchange of SIA DC-09 with one of two receivers: one message at a time, fire first. Pure.

A message that nobody answers in time is sent again with its sequence number; when all tries fail,
the other receiver has its turn, and so on for ever: a fire is never given up. On the stand-by
receiver the main one is tried again from time to time, with a sign of life, while nothing waits.
A NAK says what time the receiver has: this session's stamps follow it, no clock does. With a key,
only an encrypted ACK counts: anybody on the path can write a plain one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent.courier.dc09_book import FIRE, Event
from agent.courier.dc09_frame import (
    SEQUENCE_MAX,
    Account,
    Answer,
    Format,
    Garbage,
    Keys,
    Reply,
    ReplyDecoder,
    encode,
    time_text,
)
from agent.courier.window import BatchId
from config.centre_limits import DC09_FIRES_IN_ROW_MAX
from config.limits import (
    DC09_ERRORS_MAX,
    DC09_LATE_NS,
    DC09_REFUSED_WAIT_NS,
    DC09_RETURN_NS,
    DC09_SKEW_NS_MAX,
    S,
)
from config.words import Lane


@dataclass(frozen=True, slots=True)
class Settings:
    """Of the centre. receivers: how many there are. supervise_ns: between signs of life."""

    who: Account
    form: Format
    receivers: int = 1
    stream: bool = True
    reply_ns: int = 2_500_000_000
    tries: int = 2
    supervise_ns: int = 60 * S
    text: bool = False


@dataclass(frozen=True, slots=True)
class Calls:
    """What the session asks of its shell.

    send: False when it could not go. drop: end the connection; the next goes to `receiver`.
    confirmed: a message of a batch is done. event: to be put on record. padding: random bytes.
    """

    send: Callable[[bytes], bool]
    drop: Callable[[str], None]
    confirmed: Callable[[BatchId], None]
    event: Callable[[str, dict[str, Any]], None]
    wall_ns: Callable[[], int]
    padding: Callable[[int], bytes]


@dataclass(slots=True)
class _Message:
    event: Event | None  # None: a sign of life
    batch: BatchId | None
    sequence: int = 0
    tries: int = 0
    due_ns: int = 0
    naks: int = 0
    plain: bool = False  # said in the words that every receiver knows
    refused: bool = False  # in those words, too


@dataclass(slots=True)
class Counters:
    """Of this process."""

    sent: int = 0
    confirmed: int = 0
    resent: int = 0
    refused: int = 0
    errors: int = 0
    failovers: int = 0


class Session:
    """Everything between a queue of events and the bytes of a connection."""

    def __init__(self, settings: Settings, calls: Calls, keys: Keys | None = None) -> None:
        self.counters = Counters()
        self.receiver = self._told = 0  # whose turn it is; whose it is by the record
        self._settings = settings
        self._calls = calls
        self._keys = keys
        self._decoder = ReplyDecoder(keys)
        self._urgent: deque[_Message] = deque()
        self._soon: deque[_Message] = deque()  # what goes along with a fire
        self._bulk: deque[_Message] = deque()
        self._flight: _Message | None = None
        self._sequence = 0
        self._up = False
        self._proved = False
        self._heard = False  # on this connection
        self._failed = 0  # receivers in a row that did not answer
        self._reached = False  # one answered, and since then not all were silent
        self._fires = 0  # in a row
        self._beat_due_ns = 0
        self._since_ns = 0  # on this receiver
        self._skew_ns = 0
        self._errors = 0

    # --- what is to be told ---

    def tell(self, event: Event, batch: BatchId | None) -> None:
        """Queue an event; `batch` is confirmed when a receiver has it."""
        goes_along = batch is not None and batch.lane == Lane.FIRE  # or it holds up the next fires
        lesser = self._soon if goes_along else self._bulk
        (self._urgent if event.urgent else lesser).append(_Message(event, batch))

    @property
    def path(self) -> tuple[bool, str]:
        """Whether a receiver answers, and what is wrong when none does."""
        if self._failed >= self._settings.receivers:
            return False, "no receiver answers"
        if any(m.refused for m in self._urgent) or (self._flight and self._flight.refused):
            return False, "the receiver refuses a fire"
        changing = self._settings.receivers > 1 and self._reached  # the other has its turn
        if not self._up and not changing:
            return False, "not connected"
        if not self._proved and not changing:
            return False, "the receiver has not answered yet"
        if self.receiver and self._proved:
            return True, f"on stand-by receiver {self.receiver + 1}"
        return True, "" if self._proved else "changes the receiver"

    @property
    def urgent(self) -> bool:
        """Whether a fire waits for a receiver."""
        return bool(self._urgent) or (self._flight is not None and _is_urgent(self._flight))

    # --- the connection ---

    def connected(self, now_ns: int) -> None:
        """A fresh connection to `receiver`. What was under way goes out again at once."""
        self._up, self._heard = True, False
        self._decoder = ReplyDecoder(self._keys)
        self._errors = 0
        self._beat_due_ns = self._since_ns = now_ns  # the first sign of life proves the path
        if self._flight is not None:
            self._flight.due_ns = now_ns
        self.tick(now_ns)

    def disconnected(self) -> None:
        """The connection is gone. A sign of life is forgotten, everything else is kept.

        One that ended before anything was answered on it is as one that was not made: behind what
        takes connections and ends them there may be no receiver, and the other one is well.
        """
        if self._up and not self._heard:
            self._next_receiver()
        self._up = False
        if self._flight is not None and self._flight.event is None:
            self._flight = None

    def unreachable(self) -> None:
        """The connection could not be made: the other receiver has its turn."""
        self._next_receiver()

    def _next_receiver(self) -> None:
        self._failed += 1
        self._proved = False
        self._reached = self._reached and self._failed < self._settings.receivers
        if self._settings.receivers > 1:
            self.receiver = (self.receiver + 1) % self._settings.receivers
            self.counters.failovers += 1
            if self._failed <= self._settings.receivers:  # silent all of them: said once
                self._tell_receiver()

    def _tell_receiver(self) -> None:
        if self._told != self.receiver:
            self._told = self.receiver
            self._calls.event("failover", {"receiver": self.receiver + 1})

    # --- time ---

    def tick(self, now_ns: int) -> None:
        """Resends, signs of life, and whatever may go now. Cheap; called often."""
        if not self._up:
            return
        flight = self._flight
        if flight is not None and flight.due_ns <= now_ns:
            if flight.tries >= self._settings.tries:
                flight.tries = 0
                self._give_way("the receiver does not answer")
                return
            if not self._yields(flight, now_ns):
                self._send(flight, now_ns)
        if self._flight is None and self._up:
            self._fill(now_ns)

    def _yields(self, flight: _Message, now_ns: int) -> bool:
        """What nobody answered makes room for a fire that came meanwhile; its tries count on."""
        fire = next((m for m in self._urgent if m.due_ns <= now_ns), None)
        if fire is None or _is_urgent(flight):
            return False
        self._urgent.remove(fire)
        if flight.event is not None:
            self._soon.appendleft(flight)
        self._begin(fire, now_ns, flight.tries)
        flight.tries = flight.due_ns = 0
        return True

    def _fill(self, now_ns: int) -> None:
        queues = [self._urgent, self._soon, self._bulk]
        if self._fires >= DC09_FIRES_IN_ROW_MAX:
            queues.append(queues.pop(0))
        for queue in queues:
            ready = next((m for m in queue if m.due_ns <= now_ns), None)
            if ready is not None:
                queue.remove(ready)
                self._begin(ready, now_ns)
                return
        if self.receiver and now_ns - self._since_ns >= DC09_RETURN_NS:
            self.receiver = 0
            self._proved = self._up = False
            self._calls.drop("back to the main receiver")
        elif now_ns >= self._beat_due_ns:
            self._begin(_Message(None, None), now_ns)

    def _begin(self, message: _Message, now_ns: int, tries: int = 0) -> None:
        if message.event is not None:
            self._sequence = self._sequence % SEQUENCE_MAX + 1
            message.sequence = self._sequence
        message.tries = tries
        self._fires = self._fires + 1 if _is_urgent(message) else 0
        self._flight = message
        self._send(message, now_ns)

    def _send(self, message: _Message, now_ns: int) -> None:
        message.tries += 1
        message.due_ns = now_ns + self._settings.reply_ns
        self.counters.sent += message.tries == 1
        self.counters.resent += message.tries > 1
        if not self._calls.send(self._bytes(message)):
            self._give_way("the connection takes no more")

    def _bytes(self, message: _Message) -> bytes:
        wall_ns = self._calls.wall_ns() + self._skew_ns
        form = Format.NULL if message.event is None else self._settings.form
        data = "" if message.event is None else self._data(message.event, message, wall_ns)
        return encode(
            form, message.sequence, self._settings.who, data, wall_ns, self._keys,
            self._calls.padding,
        )  # fmt: skip

    def _data(self, event: Event, message: _Message, wall_ns: int) -> str:
        if message.plain:
            event = Event(FIRE, event.begins, event.place, event.wall_ns, event.urgent)
        if self._settings.form is Format.ADM_CID:
            said = event.contact_id()
        else:
            said = event.sia(text=self._settings.text and not message.plain)
        out = f"#{self._settings.who.account}|{said}"
        if wall_ns - self._skew_ns - event.wall_ns > DC09_LATE_NS and not message.plain:
            out += f"[H{time_text(event.wall_ns)}]"  # when it happened, if that is not now
        return out

    def _give_way(self, why: str) -> None:
        """This receiver does not do it now: over to the other, on a new connection."""
        self._next_receiver()
        self._up = False
        self._calls.drop(why)

    # --- what comes in ---

    def received(self, data: bytes, now_ns: int) -> None:
        """Bytes of the connection, or one datagram."""
        for found in self._decoder.feed(data):
            if isinstance(found, Garbage):
                self.counters.errors += 1
                self._errors += 1
                if self._errors >= DC09_ERRORS_MAX and self._settings.stream and self._up:
                    self._give_way("the receiver speaks something else")
                    return
            else:
                self._errors = 0
                self._answered(found, now_ns)
        if not self._settings.stream:
            self._decoder = ReplyDecoder(self._keys)  # a datagram ends where it ends
        self.tick(now_ns)

    def _answered(self, reply: Reply, now_ns: int) -> None:
        message = self._flight
        if message is None:
            return
        if reply.account not in ("", self._settings.who.account.upper().lstrip("0")):
            self.counters.errors += 1
            return  # for somebody else
        self._heard = True
        if reply.answer is Answer.NAK:
            self._nak(message, reply, now_ns)
        elif reply.sequence != message.sequence:
            return  # late, for one that was answered already
        elif reply.answer is Answer.DUH:
            self._refused(message, now_ns)
        elif self._keys is not None and not self._is_fresh(reply):
            self.counters.errors += 1
        else:
            self._done(message, now_ns)

    def _is_fresh(self, reply: Reply) -> bool:
        """Encrypted, and of now: an old one may have been kept by somebody."""
        if not reply.sealed or reply.wall_ns is None:
            return False
        now_ns = self._calls.wall_ns() + self._skew_ns
        return abs(reply.wall_ns - now_ns) <= DC09_SKEW_NS_MAX

    def _done(self, message: _Message, now_ns: int) -> None:
        self._flight = None
        self._failed = 0
        self._proved = self._reached = True
        self._tell_receiver()
        self._beat_due_ns = now_ns + self._settings.supervise_ns
        self.counters.confirmed += 1
        if message.batch is not None:
            self._calls.confirmed(message.batch)

    def _nak(self, message: _Message, reply: Reply, now_ns: int) -> None:
        """The receiver's time is another: this session's stamps follow it."""
        message.naks += 1
        if reply.wall_ns is None or message.naks > self._settings.tries:
            self._refused(message, now_ns)
            return
        self._skew_ns = reply.wall_ns - self._calls.wall_ns()
        self._calls.event("clock", {"skew_ms": self._skew_ns // 1_000_000})
        message.due_ns = now_ns

    def _refused(self, message: _Message, now_ns: int) -> None:
        """Not understood. A fire is said in the plainest words there are, again and again."""
        self._flight = None
        self.counters.refused += 1
        said = "" if message.event is None else message.event.code.begin
        self._calls.event("refused", {"code": said, "zone": _zone(message)})
        if message.event is not None and message.event.urgent:
            message.due_ns = now_ns + (DC09_REFUSED_WAIT_NS if message.plain else 0)
            message.refused, message.plain, message.naks = message.plain, True, 0
            self._urgent.appendleft(message)
        elif message.batch is not None:
            self._calls.confirmed(message.batch)
        if message.event is None:
            self._beat_due_ns = now_ns + self._settings.supervise_ns


def _is_urgent(message: _Message) -> bool:
    return message.event is not None and message.event.urgent


def _zone(message: _Message) -> int:
    return 0 if message.event is None else message.event.place.zone
