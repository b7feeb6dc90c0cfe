"""Between the record and a broker: what is offered goes out, what is acknowledged comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from agent.courier.acks import Covered, covered
from agent.courier.mqtt import FAILED, NO_SUBSCRIBER
from agent.courier.window import Batch, BatchId, Offer, Window
from agent.ipc import IpcError, Refused
from agent.uplink import check
from config.limits import (
    BATCH_BYTES_MAX,
    COMMAND_BYTES_MAX,
    COMMANDS_PENDING_MAX,
    COURIER_ACKS_PENDING_MAX,
    COURIER_EPOCH_ACKS_NS,
    COURIER_PROGRESS_NS,
    COURIER_STATE_TEXT_MAX,
    MQTT_ACK_BYTES_MAX,
    S,
)
from config.words import Lane

_REASONS = {
    0x80: "unspecified error",
    0x83: "implementation specific error",
    0x87: "not authorized: its access list must let this gateway write its up topics",
    0x90: "topic name invalid",
    0x97: "quota exceeded",
    0x99: "payload format invalid",
}
_HELD = ("stale", "unknown_batch")
"""Refusals after a verified signature that mean: acknowledged before, or not held any more."""
_LEFT_OVER = ("unknown", "future", "mismatch", "rolled_back")
"""Refusals after a verified signature that a batch of a record that died before can meet."""


class Outlet(Protocol):
    """What the relay needs of a connection to a broker."""

    @property
    def is_up(self) -> bool: ...
    @property
    def writable(self) -> bool: ...
    @property
    def receive_max(self) -> int: ...
    @property
    def packet_max(self) -> int: ...
    @property
    def refused(self) -> Mapping[str, str]: ...
    def takes(self, topic: str, payload: bytes) -> bool: ...
    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> int | None: ...
    def publish_once(self, topic: str, payload: bytes, *, retain: bool = False) -> None: ...


class RecordSide(Protocol):
    """What the relay needs of its connection to the record."""

    async def call(self, verb: str, **args: Any) -> dict[str, Any]: ...
    def send(self, verb: str, **args: Any) -> bool: ...


def _batch_of(message: dict[str, Any]) -> Batch | None:
    epoch, lane, seq, data, durable = (
        message.get(name) for name in ("epoch", "lane", "seq", "bytes", "durable")
    )
    if (
        isinstance(epoch, bytes)
        and isinstance(lane, str)
        and check.LANE.fullmatch(lane)
        and isinstance(seq, int)
        and isinstance(data, bytes)
        and isinstance(durable, bool)
    ):
        return Batch(BatchId(epoch, lane, seq), data, durable)
    return None


def up_topic(gateway: str, lane: str) -> str:
    """Where batches of a lane go (docs/uplink.md)."""
    return f"embergate/1/{gateway}/up/{lane}"


def ack_topic(gateway: str) -> str:
    """Where the platform's acknowledgements come."""
    return f"embergate/1/{gateway}/down/ack"


def command_topic(gateway: str) -> str:
    """Where the platform's commands come."""
    return f"embergate/1/{gateway}/down/command"


class Relay:
    """Owns the window. Everything happens in one loop; nothing here waits but `forward_acks`.

    drop: ends the connection to the broker. progress: called when an acknowledgement advanced.
    resync: ends the connection to the record, so that it is followed anew.
    """

    def __init__(
        self,
        gateway: str,
        now_ns: Callable[[], int],
        *,
        drop: Callable[[str], None],
        progress: Callable[[], None],
        resync: Callable[[], None],
    ) -> None:
        self.window = Window()
        self.record: RecordSide | None = None
        self._gateway = gateway
        self._now_ns = now_ns
        self._drop = drop
        self._progress = progress
        self._resync = resync
        self._link: Outlet | None = None
        self._link_text = "not yet connected"
        self._mids: dict[int, BatchId] = {}
        self._acks: asyncio.Queue[bytes] = asyncio.Queue(COURIER_ACKS_PENDING_MAX)
        self._commands: asyncio.Queue[bytes] = asyncio.Queue(COMMANDS_PENDING_MAX)
        self._advanced_ns = now_ns()
        self._dropped_ns = now_ns()
        self._stall_drop = False  # until an acknowledgement, patience does not start again
        self._epoch_heard_ns = now_ns()  # from when on an epoch nobody waits for is handed on
        self._no_subscriber = False
        self._refusal = ""
        self._ack_problem = ""
        self._record_problem = ""

    # --- the record's side ---

    def on_record_event(self, message: dict[str, Any]) -> None:
        """A batch that the record offers, or a heartbeat; anything else is not for a courier."""
        if message.get("e") == "heartbeat":
            self._heartbeat(message.get("bytes"))
            return
        if message.get("e") != "batch":
            return
        batch = _batch_of(message)
        if batch is None:
            self._record_problem = "the record offered something that is no batch"
            return
        if len(batch.data) > BATCH_BYTES_MAX:
            self._record_problem = f"the record offered a batch of {len(batch.data)} bytes"
            return
        idle = len(self.window) == 0
        offer = self.window.offer(batch)
        if offer in (Offer.FORKED, Offer.FULL):
            self._record_problem = (
                f"the record offered batch {batch.id.lane}/{batch.id.seq}: {offer.value}"
            )
        if offer is Offer.FULL:
            self._resync()  # it counts the batch as under way: only a new follow brings it again
            return
        if idle:
            self._advanced_ns = self._now_ns()  # patience starts when there is something to say
        self.pump()

    def _heartbeat(self, data: object) -> None:
        """Out at once or never: a late one says nothing."""
        link = self._link
        if link is not None and link.is_up and link.writable and isinstance(data, bytes):
            link.publish_once(up_topic(self._gateway, "heartbeat"), data)

    async def forward_acks(self) -> None:
        """Hand acknowledgements to the record, for ever; one that is lost a resend brings again.

        After a resend the platform says much twice. What nothing waits for is not handed on: the
        record is slower than such a flood, and what is new would be lost behind it.
        """
        while True:
            message = await self._acks.get()
            record, what = self.record, covered(message)
            if record is None or (what is not None and not self._of_use(what)):
                continue
            try:
                await record.call("ack", message=message)
            except Refused as e:
                self._ack_refused(message, e)
            except (IpcError, TimeoutError):
                continue
            else:
                self._ack_believed(message)

    def _of_use(self, what: Covered) -> bool:
        """Something waits for it; or it is of an epoch, once in a while: it may be a later one than
        the record knows, which was put back from an older copy then."""
        if self.window.awaits(*what):
            return True
        now_ns = self._now_ns()
        if what.lane != Lane.EPOCH or now_ns < self._epoch_heard_ns:
            return False
        self._epoch_heard_ns = now_ns + COURIER_EPOCH_ACKS_NS
        return True

    async def forward_commands(self) -> None:
        """Hand commands to the record, for ever. What becomes of one is on record, not here."""
        while True:
            message = await self._commands.get()
            record = self.record
            if record is None:
                continue  # nobody to check it: the platform sees no outcome and asks again
            with contextlib.suppress(Refused, IpcError, TimeoutError):
                await record.call("command", message=message)

    def _ack_believed(self, message: bytes) -> None:
        self._ack_problem = ""
        what = covered(message)
        if what is not None and self.window.acknowledged(*what):
            self._advanced()

    def _ack_refused(self, message: bytes, refusal: Refused) -> None:
        what = covered(message)
        if refusal.code in _HELD and what is not None:
            # The reply to the first one may have been lost: without this it went out for ever.
            if self.window.acknowledged(*what):
                self._advanced()
            return
        if refusal.code in _LEFT_OVER and what is not None and self.window.disowned(*what):
            self._advanced()
            return
        self._ack_problem = f"an acknowledgement was refused by the record: {refusal.code}"

    def _advanced(self) -> None:
        self._advanced_ns = self._now_ns()
        self._stall_drop = False
        self._no_subscriber = False
        self._progress()
        self.pump()

    # --- the broker's side ---

    def link_up(self, link: Outlet) -> None:
        """A fresh connection: everything in the window goes out again."""
        self._link = link
        self._mids.clear()
        self._refusal = ""
        self._no_subscriber = False
        if not self._stall_drop:
            self._advanced_ns = self._now_ns()
        self.window.disconnected()
        self.window.limit_sent(link.receive_max)
        self.pump()

    def link_down(self, why: str) -> None:
        """The connection is gone, or none came about."""
        self._link = None
        self._link_text = why
        self._mids.clear()
        self.window.disconnected()

    def on_message(self, topic: str, payload: bytes) -> None:
        """Something from the broker: acknowledgements and commands are of interest."""
        if topic == command_topic(self._gateway) and len(payload) <= COMMAND_BYTES_MAX:
            with contextlib.suppress(asyncio.QueueFull):
                self._commands.put_nowait(payload)
            return
        if topic != ack_topic(self._gateway) or len(payload) > MQTT_ACK_BYTES_MAX:
            return
        if self._acks.full():
            self._acks.get_nowait()  # a later one says more
        self._acks.put_nowait(payload)

    def on_puback(self, mid: int, reason: int) -> None:
        """The broker took a batch, or did not."""
        batch_id = self._mids.pop(mid, None)
        if batch_id is None:
            return
        now_ns = self._now_ns()
        if reason >= FAILED:
            self._refusal = f"the broker refuses batches: {_REASONS.get(reason, f'{reason:#04x}')}"
            self.window.broker_refused(batch_id, now_ns)
            return
        self._refusal = ""
        self._no_subscriber = reason == NO_SUBSCRIBER
        self.window.broker_took(batch_id, now_ns, nobody=self._no_subscriber)

    def pump(self) -> None:
        """Publish what may go now."""
        link = self._link
        if link is None or not link.is_up:
            return
        now_ns = self._now_ns()
        for batch in self.window.due(now_ns, only_fire=not link.writable):
            topic = up_topic(self._gateway, batch.id.lane)
            if not link.takes(topic, batch.data):
                self._refusal = (
                    f"a batch of {len(batch.data)} bytes exceeds the broker's maximum packet size "
                    f"of {link.packet_max}"
                )
                self.window.broker_refused(batch.id, now_ns)
                continue
            mid = link.publish(topic, batch.data)
            if mid is None:
                return  # the connection ended under it: everything waits again
            self._mids[mid] = batch.id

    # --- time ---

    def tick(self) -> None:
        """Once in a while: patience, resends, and whether anything advances at all."""
        now_ns = self._now_ns()
        healthy = self.window.tick(now_ns)
        if self._link is not None and not healthy:
            self._drop("the broker does not confirm what it is sent")
        elif self._link is not None and now_ns - self._remade_ns() >= 2 * COURIER_PROGRESS_NS:
            # A connection can look well and carry nothing: once in a while it is made anew.
            self._dropped_ns = now_ns
            self._stall_drop = True
            self._drop("no acknowledgement from the platform")
        self.pump()

    def _remade_ns(self) -> int:
        if not len(self.window):
            return self._now_ns()
        return max(self._dropped_ns, self._advanced_ns)

    def _stalled(self, now_ns: int) -> bool:
        return len(self.window) > 0 and now_ns - self._advanced_ns >= COURIER_PROGRESS_NS

    def state(self) -> tuple[bool, str]:
        """Whether the destination is reached, and in words what is wrong or odd."""
        if self._link is None:
            return False, self._link_text[:COURIER_STATE_TEXT_MAX]
        deaf = self._link.refused
        if (why := deaf.get(ack_topic(self._gateway))) is not None:
            text = f"the broker does not let this gateway read its acknowledgements: {why}"
            return False, text[:COURIER_STATE_TEXT_MAX]
        if self._refusal:
            return False, self._refusal[:COURIER_STATE_TEXT_MAX]
        if self._no_subscriber:
            return False, "the broker has nobody who listens: the platform's receiver is away"
        if self._stalled(self._now_ns()):
            return False, f"no acknowledgement from the platform for {COURIER_PROGRESS_NS // S} s"
        text = self._ack_problem or self._record_problem
        if not text and (why := deaf.get(command_topic(self._gateway))) is not None:
            text = f"the broker does not let this gateway read its commands: {why}"
        return True, text[:COURIER_STATE_TEXT_MAX]
