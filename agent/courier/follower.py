"""Follows the record for a destination that signs nothing. The record may go and come."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from agent.courier.backoff import Backoff
from agent.courier.deliveries import Deliveries
from agent.courier.reading import records_of
from agent.courier.window import BatchId
from agent.ipc import Client, IpcError, Refused
from agent.notify import Notifier
from agent.uplink.batch import Batch
from agent.uplink.errors import UplinkError
from agent.uplink.events import EventRecord, event_of
from config.limits import (
    COURIER_EVENTS_WAITING_MAX,
    COURIER_LATEST_WAIT_NS,
    COURIER_STATE_TEXT_MAX,
    RECONNECT_WAIT_NS_MAX,
    RECONNECT_WAIT_NS_MIN,
    RECORD_FOLLOW_WAIT_NS,
    S,
)

log = logging.getLogger("embergate.courier")

Take = Callable[[BatchId, Batch, list[EventRecord]], int]
"""A batch and its records that were not seen before -> how many messages were made of it."""


class Follower:
    """The record's side of such a courier.

    prime(records): once, before the first batch: what the record holds of late, oldest first, so
    that the courier knows the state of what does not change now.
    """

    def __init__(
        self, name: str, gateway: str, socket: Path, rng: random.Random, take: Take,
        prime: Callable[[list[EventRecord]], None],
    ) -> None:  # fmt: skip
        self.deliveries = Deliveries()
        self.duty_answered: Callable[[int], None] = lambda _: None  # on the site, when
        # (topic, memory) of a notice that an earlier process of this courier left standing.
        self.recalled: Callable[[str, dict[str, Any]], None] = lambda _topic, _memory: None
        self._name = name
        self._gateway = gateway
        self._socket = socket
        self._take = take
        self._prime = prime
        self._primed = False
        self._held: list[dict[str, Any]] = []  # offered while priming
        self._client: Client | None = None
        self._backoff = Backoff(rng, RECONNECT_WAIT_NS_MIN, RECONNECT_WAIT_NS_MAX)
        self._changed = asyncio.Event()
        self._told: tuple[bool, str] | None = None
        self._notices: dict[str, tuple[str, dict[str, Any]]] = {}
        self._events: deque[tuple[str, dict[str, Any]]] = deque(maxlen=COURIER_EVENTS_WAITING_MAX)
        self._notifier = Notifier()
        self._trouble = ""

    # --- the record ---

    async def run(self) -> None:
        """Follow, and follow again, until cancelled."""
        while True:
            try:
                await self._follow()
                self._say("the record closed its socket")
            except (IpcError, TimeoutError) as e:
                self._say(f"no record: {e or 'no answer'}")
            except Refused as e:
                self._say(f"the record refused: {e.text}")
            finally:
                client, self._client = self._client, None
                if client is not None:
                    client.close()
            await asyncio.sleep(self._backoff.next_ns() / S)

    async def _follow(self) -> None:
        self._held = []
        self._told = None
        client = await Client.connect(self._socket, self._on_event)
        try:
            reply = await client.call("follow", RECORD_FOLLOW_WAIT_NS, courier=self._name)
            if reply.get("gateway") != self._gateway:
                raise IpcError(
                    f"expected the record of {self._gateway!r}, found {reply.get('gateway')!r}: "
                    "both must run the same plan"
                )
            self._recall(reply.get("notices"))
            await self._prime_from(client)
            self._client = client
            self._backoff.reset()
            self._say("")
            for topic, (text, memory) in list(self._notices.items()):
                client.send("courier_notice", topic=topic, text=text, memory=memory)
            for _ in range(len(self._events)):
                event, body = self._events.popleft()
                self.event(event, **body)
            self._changed.set()  # what was confirmed while the record was away
            telling = asyncio.create_task(self._tell_delivered(client))
            try:
                await client.closed.wait()
            finally:
                telling.cancel()
                await asyncio.gather(telling, return_exceptions=True)
        finally:
            client.close()

    def _recall(self, standing: Any) -> None:
        """Before the first batch: the answer may be among them."""
        for topic, text, memory in standing if isinstance(standing, list) else ():
            if topic not in self._notices:
                self._notices[topic] = (text, memory)
                self.recalled(topic, memory)

    async def _prime_from(self, client: Client) -> None:
        if not self._primed:
            try:
                rows = (await client.call("log"))["rows"]
                self._prime([_of_log(r) for row in rows for r in row["records"]])
            except (Refused, TimeoutError, UplinkError, TypeError, LookupError):
                log.info("starts without knowing what happened before")
            self._primed = True
        held, self._held = self._held, []
        for message in held:
            self._offer(message)

    def _on_event(self, message: dict[str, Any]) -> None:
        mono_ns = message.get("mono_ns")
        if message.get("e") == "duty_answered" and isinstance(mono_ns, int):
            self.duty_answered(mono_ns)
        if message.get("e") != "batch":
            return
        if self._primed:
            self._offer(message)
        else:
            self._held.append(message)  # bounded by the record's window

    def _offer(self, message: dict[str, Any]) -> None:
        epoch, lane, seq, data = (message.get(key) for key in ("epoch", "lane", "seq", "bytes"))
        if not (
            isinstance(epoch, bytes)
            and isinstance(lane, str)
            and isinstance(seq, int)
            and isinstance(data, bytes)
        ):
            return
        batch_id = BatchId(epoch, lane, seq)
        if not self.deliveries.offered(batch_id):
            self._changed.set()
            return
        try:
            batch, records = records_of(data)
        except UplinkError as e:
            log.warning("batch %s/%d cannot be read: %s", lane, seq, e.text)
            self.event("unreadable", lane=lane, number=seq)
        else:
            new = [r for r in records if self.deliveries.is_new(r.session, r.seq)]
            self.deliveries.expects(batch_id, self._take(batch_id, batch, new))
        self._changed.set()

    # --- towards the record ---

    def confirmed(self, batch: BatchId) -> None:
        """The destination took one message of a batch."""
        self.deliveries.confirmed(batch)
        self._changed.set()

    async def _tell_delivered(self, client: Client) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            for batch in self.deliveries.ready():
                try:
                    await client.call(
                        "delivered", epoch=batch.epoch, lane=batch.lane, seq=batch.seq
                    )
                except Refused as e:
                    # Of a record that died before its disk had it: there is nobody to tell.
                    log.info("%s/%d: %s", batch.lane, batch.seq, e.text)
                except (IpcError, TimeoutError):
                    client.close()  # told again to the next one
                    return
                self.deliveries.forget(batch)

    def event(self, event: str, **body: Any) -> None:
        """Put something that the destination did on record; the latest wait while it is away."""
        log.info("%s %s", event, body)
        client = self._client
        if client is None or not client.send("courier_event", event=event, body=body):
            self._events.append((event, body))

    async def latest(self, polls: Collection[int]) -> dict[int, tuple[int, bytes, bytes]]:
        """(wall_ns, values "<f8", qualities) of polls, of those that the record knows now."""
        if self._client is None:
            return {}
        try:
            reply = await self._client.call("latest", COURIER_LATEST_WAIT_NS, polls=[*polls])
            return {poll: (row[0], row[1], row[2]) for poll, row in reply["polls"].items()}
        except (IpcError, Refused, TimeoutError, LookupError, AttributeError):
            return {}

    def notice(self, topic: str, text: str, memory: dict[str, Any]) -> None:
        """Show something on the site; an empty text ends it. memory: what this courier needs of it
        when it starts again meanwhile."""
        self._notices[topic] = (text, memory)
        if self._client is not None:
            self._client.send("courier_notice", topic=topic, text=text, memory=memory)

    def state(self, connected: bool, text: str) -> None:
        """Tell whether the destination is reached, when that changed."""
        state = (connected, text[:COURIER_STATE_TEXT_MAX])
        if state == self._told or self._client is None:
            return
        if self._client.send("courier_state", connected=connected, text=state[1]):
            self._told = state
            log.info(
                "%s%s", "connected" if connected else "not connected", f": {text}" * bool(text)
            )
            self._notifier.status(text or "connected")

    def _say(self, text: str) -> None:
        if text != self._trouble:
            self._trouble = text
            log.info("%s", text or "follows the record")


def _of_log(row: list[Any]) -> EventRecord:
    """A row of the verb `log`, which leaves the session out."""
    return event_of([bytes(16), *row])
