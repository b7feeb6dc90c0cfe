"""The receiver's loop: a connection to the broker, groups of messages, acknowledgements back."""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from agent.courier.backoff import Backoff
from agent.courier.broker import SettingsProblem, address
from agent.courier.mqtt import Dial, Dialer, Link, LinkError, Listener
from agent.courier.window import URGENT
from agent.receiver.ingest import TOPICS, ChainId, Ingest, Message, Note
from agent.receiver.store import Store, StoreFailed
from agent.receiver.trust import TrustProblem, read_trust
from agent.uplink.cose import Signer
from config.limits import (
    COURIER_RECONNECT_NS_MAX,
    COURIER_RECONNECT_NS_MIN,
    MQTT_PACKET_BYTES_MAX,
    RECEIVER_ACKS_SENT_MAX,
    RECEIVER_GROUP_MAX,
    RECEIVER_GROUP_NS,
    RECEIVER_QUEUE_BYTES_MAX,
    RECEIVER_RECEIVE_MAX,
    S,
)

log = logging.getLogger("embergate.receive")
_TICK_S = 1.0


class Receiver:
    """Receives until it is cancelled; what it says goes to `tell`, from a thread of its own.

    group: of a shared subscription (MQTT 5, 4.8.2): the broker gives each message to one of its
    receivers, which all work on one database. Empty: this one gets everything.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        trust: Path,
        signer: Signer,
        store: Store,
        tell: Callable[[Note], None],
        group: str = "",
    ) -> None:
        self._settings = settings
        self._trust_path = trust
        self._trust_stamp = _stamp(trust)
        self._tell = tell
        self._ingest = Ingest(store, read_trust(trust), signer, time.time_ns, tell)
        self._backoff = Backoff(
            random.Random(),  # noqa: S311 -- jitter, not a secret
            COURIER_RECONNECT_NS_MIN,
            COURIER_RECONNECT_NS_MAX,
        )
        self._topics = tuple(f"$share/{group}/{topic}" if group else topic for topic in TOPICS)
        self._urgent: deque[Message] = deque()  # fires, and what is needed to acknowledge them
        self._queue: deque[Message] = deque()
        self._thread = ThreadPoolExecutor(1, "store")  # verifies and commits; the loop receives
        self._queued_bytes = 0
        self._dropped = 0
        self._acks: dict[ChainId, Message] = {}
        self._unconfirmed: set[int] = set()
        self._arrived = asyncio.Event()
        self._ended = asyncio.Event()
        self._why = ""
        self._dialer = Dialer(time.monotonic_ns)
        self._link: Link | None = None
        self._client_id = f"embergate-receive-{secrets.token_hex(6)}"

    async def run(self) -> None:
        """All loops, until cancelled; then DISCONNECT."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._serve())
                group.create_task(self._work())
                group.create_task(self._watch_trust())
        finally:
            if self._link is not None:
                self._link.close()
            self._thread.shutdown()

    async def _serve(self) -> None:
        while True:
            self._ended.clear()
            try:
                self._link = await self._connect()
            except (LinkError, SettingsProblem) as e:
                self._tell(Note("link", "", text=f"{self._settings['url']}: {e}", error=True))
            else:
                self._backoff.reset()
                self._tell(Note("link", "", text=f"{self._settings['url']}: connected"))
                await self._ended.wait()
                self._link = None
                text = f"{self._settings['url']}: {self._why}"
                self._tell(Note("link", "", text=text, error=True))
            await asyncio.sleep(self._backoff.next_ns() / S)

    async def _connect(self) -> Link:
        dial = Dial(
            address=address(self._settings),
            client_id=self._client_id,
            topics=self._topics,
            packet_bytes_max=MQTT_PACKET_BYTES_MAX,
            receive_max=RECEIVER_RECEIVE_MAX,
        )
        listener = Listener(
            message=self._on_message,
            puback=self._on_puback,
            room=self._answer,
            ended=self._on_ended,
        )
        return await self._dialer.connect(dial, listener)

    def _on_puback(self, mid: int, _reason: int) -> None:
        # Whatever the broker thinks of it: a gateway that misses it asks again by a resend.
        self._unconfirmed.discard(mid)

    def _answer(self) -> None:
        """Publish acknowledgements; of one chain only the latest, since they are cumulative."""
        link = self._link
        while link is not None and link.is_up and self._acks:
            if len(self._unconfirmed) >= min(RECEIVER_ACKS_SENT_MAX, link.receive_max):
                return
            key = next(iter(self._acks))
            ack = self._acks.pop(key)
            mid = link.publish(ack.topic, ack.payload)
            if mid is not None:
                self._unconfirmed.add(mid)

    def _on_ended(self, why: str) -> None:
        self._unconfirmed.clear()
        self._why = why
        self._ended.set()

    def _on_message(self, topic: str, payload: bytes) -> None:
        if self._queued_bytes + len(payload) > RECEIVER_QUEUE_BYTES_MAX:
            self._dropped += 1  # not acknowledged, so its courier sends it again
            return
        urgent = topic.rpartition("/")[2] in URGENT
        (self._urgent if urgent else self._queue).append(Message(topic, payload))
        self._queued_bytes += len(payload)
        self._arrived.set()

    async def _work(self) -> None:
        """Group by group: one commit for what came while the one before was made."""
        loop = asyncio.get_running_loop()
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._urgent or self._queue:
                if not self._urgent and len(self._queue) < RECEIVER_GROUP_MAX:
                    await asyncio.sleep(RECEIVER_GROUP_NS / S)
                group = self._next_group()
                try:
                    acks = await loop.run_in_executor(self._thread, self._ingest.take, group)
                except StoreFailed as e:
                    # Nothing was acknowledged: all of it comes again when there is room.
                    log.error("the database does not take batches: %s", e)
                    await asyncio.sleep(_TICK_S)
                    continue
                self._acks.update(acks)
                self._answer()

    def _next_group(self) -> list[Message]:
        group: list[Message] = []
        for queue in (self._urgent, self._queue):
            while queue and len(group) < RECEIVER_GROUP_MAX:
                group.append(queue.popleft())
        self._queued_bytes -= sum(len(m.payload) for m in group)
        return group

    async def _watch_trust(self) -> None:
        """A gateway that was added is believed without a restart; a broken list changes nothing."""
        while True:
            await asyncio.sleep(_TICK_S)
            stamp = _stamp(self._trust_path)
            if stamp == self._trust_stamp:
                continue
            self._trust_stamp = stamp
            try:
                self._ingest.trust = read_trust(self._trust_path)
            except TrustProblem as e:
                log.error("the trust list of before stays in force: %s", e)
            else:
                log.info("%s: read again", self._trust_path)


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        s = path.stat()
    except OSError:
        return (0, 0, 0)
    return (s.st_mtime_ns, s.st_size, s.st_ino)
