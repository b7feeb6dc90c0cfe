"""From messages to kept batches and signed acknowledgements: verify, judge, keep, then answer.

Nothing here knows MQTT. A group of messages is one transaction; the acknowledgements are made
after it is durable, so what was acknowledged is never lost, and what was lost comes again.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agent.receiver.readings import Tables
from agent.receiver.store import Held, Store
from agent.receiver.trust import TrustList
from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import Opened, open_batch
from agent.uplink.cose import Signer
from agent.uplink.errors import UplinkError
from agent.uplink.events import EventRecord, decode_events
from agent.uplink.heartbeat import open_heartbeat
from agent.uplink.history import Finding, History, Kind
from agent.uplink.table import decode_part
from agent.uplink.tails import Tails
from config.words import Lane

TOPICS = ("embergate/1/+/up/#",)
UNKNOWN = "?"  # a sender that no key vouches for: its claims of a name are not kept by name

ChainId = tuple[str, bytes, str]
"""(gateway, epoch, lane)"""


@dataclass(frozen=True, slots=True)
class Message:
    """What came, and where."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Note:
    """Something to tell a person. what: "batch", "duplicate", "refused", "finding", "link"."""

    what: str
    gateway: str
    lane: str = ""
    epoch: bytes = b""
    seq: int = 0
    text: str = ""
    error: bool = False
    events: tuple[EventRecord, ...] = ()


class Ingest:
    """The judge and the writer. One at a time on one store."""

    def __init__(
        self,
        store: Store,
        trust: TrustList,
        signer: Signer,
        wall_ns: Callable[[], int],
        tell: Callable[[Note], None],
    ) -> None:
        self.trust = trust
        self._store = store
        self._tables = Tables(store)
        self._signer = signer
        self._wall_ns = wall_ns
        self._tell = tell
        self._histories: dict[str, History] = {}
        self._tails: dict[str, Tails] = {}
        self._notes: list[Note] = []

    def take(self, messages: Sequence[Message]) -> dict[ChainId, Message]:
        """Keep what is good and report what is not; the acknowledgements to publish, one a chain.

        Raises sqlite3.Error when the store cannot keep it: then nothing of the group is
        acknowledged and nothing is remembered of it either.
        """
        self._notes = []
        touched: set[ChainId] = set()
        try:
            with self._store.transaction():
                for message in messages:
                    self._one(message, touched)
                now_ns = self._wall_ns()
                for gateway in {g for g, _, _ in touched}:
                    self._store.save_history(gateway, self._histories[gateway], now_ns)
        except sqlite3.Error:
            self._histories.clear()  # the truth is what the store holds
            raise
        for note in self._notes:
            self._tell(note)
        return {key: ack for key in sorted(touched) if (ack := self._ack(*key)) is not None}

    def _one(self, message: Message, touched: set[ChainId]) -> None:
        parts = message.topic.split("/")
        if len(parts) != 5 or parts[:2] != ["embergate", "1"] or parts[3] != "up":
            self._refuse(UNKNOWN, "topic", "a message on a topic that the contract does not have")
            return
        claimed, lane = parts[2], parts[4]
        name = claimed if claimed in self.trust.gateways else UNKNOWN
        if lane == "link":
            if name != UNKNOWN:  # a hint of the broker's, not signed by anybody
                self._notes.append(
                    Note("link", name, text=message.payload[:16].decode("ascii", "replace"))
                )
            return
        if lane == "heartbeat":
            self._heartbeat(claimed, name, message.payload)
            return
        try:
            opened = open_batch(message.payload, self.trust.trust)
        except UplinkError as e:
            self._refuse(name, e.code, e.text)
            return
        batch = opened.batch
        if batch.gateway != claimed or batch.lane != lane:
            text = f"{batch.gateway}/{batch.lane} came on the topic of {claimed}/{lane}"
            self._refuse(batch.gateway, "topic", text[:256])
            return
        self._judge(Held(batch.gateway, opened, message.payload, self._wall_ns()), touched)

    def _heartbeat(self, claimed: str, name: str, payload: bytes) -> None:
        """Compare the gateway's heads with what is held; nothing of it is kept or answered."""
        try:
            beat = open_heartbeat(payload, self.trust.trust)
        except UplinkError as e:
            self._refuse(name, e.code, e.text)
            return
        if beat.gateway != claimed:
            self._refuse(beat.gateway, "topic", f"a heartbeat on the topic of {claimed}"[:256])
            return
        tails = self._tails.setdefault(claimed, Tails())
        for finding in tails.beat(beat, self._history(claimed)):
            self._find(claimed, finding)

    def _judge(self, held: Held, touched: set[ChainId]) -> None:
        opened, gateway = held.opened, held.gateway
        batch = opened.batch
        history = self._history(gateway)
        known = self._store.known_hash(gateway, batch.epoch, batch.lane, batch.seq)
        verdict = history.offer(opened, known)
        for finding in verdict.findings:
            self._find(gateway, finding)
        if verdict.kind is Kind.REFUSED:
            code = verdict.findings[0].code if verdict.findings else "refused"
            self._store.add_evidence(held, code)
            self._note("refused", opened, text=code, error=True)
            return
        touched.add((gateway, batch.epoch, batch.lane))
        if verdict.kind is Kind.DUPLICATE:
            self._note("duplicate", opened)
            return
        readings, events = self._decode(gateway, opened)
        self._store.add_batch(held, readings)
        if batch.lane == Lane.EPOCH:
            # Batches that came before their epoch can be acknowledged now.
            for lane in self._store.lanes(gateway, batch.epoch):
                touched.add((gateway, batch.epoch, lane))
        self._note("batch", opened, events=events)

    def _decode(self, gateway: str, opened: Opened) -> tuple[int | None, tuple[EventRecord, ...]]:
        """What is read at once: events and point tables. Telemetry is counted and stays packed."""
        batch = opened.batch
        try:
            if batch.lane in (Lane.FIRE, Lane.EVENT):
                events = tuple(decode_events(batch.data))
                self._store.add_events([_event_row(gateway, opened, e) for e in events])
                return None, events
            if batch.lane == Lane.TABLE:
                self._store.add_table_part(gateway, decode_part(batch.data))
            elif batch.lane == Lane.TELEMETRY:
                return self._tables.count(gateway, batch), ()
        except UplinkError as e:  # signed, so it is kept; but the gateway's software is at fault
            text = f"signed, but cannot be read: {e.text}"
            finding = Finding("unreadable", True, batch.lane, batch.epoch, batch.seq, text)
            self._find(gateway, finding)
        return None, ()

    def _ack(self, gateway: str, epoch: bytes, lane: str) -> Message | None:
        found = self._history(gateway).acknowledge(epoch, lane)
        if found is None:
            return None
        seq, digest = found
        ack = Ack(gateway, epoch, lane, seq, digest, self._wall_ns())
        return Message(f"embergate/1/{gateway}/down/ack", seal_ack(ack, self._signer))

    def _history(self, gateway: str) -> History:
        history = self._histories.get(gateway)
        if history is None:
            history = self._histories[gateway] = self._store.history(gateway)
        return history

    def _refuse(self, gateway: str, code: str, text: str) -> None:
        """Bytes that nobody vouches for: counted by code, never by what they claim."""
        self._find(gateway, Finding(code, True, "", b"", 0, text[:256]))

    def _find(self, gateway: str, finding: Finding) -> None:
        if self._store.add_finding(gateway, finding, self._wall_ns()):
            self._notes.append(
                Note(
                    "finding", gateway, finding.lane, finding.epoch, finding.seq,
                    f"{finding.code}: {finding.text}", finding.error,
                )
            )  # fmt: skip

    def _note(
        self, what: str, opened: Opened, *, text: str = "", error: bool = False,
        events: tuple[EventRecord, ...] = (),
    ) -> None:  # fmt: skip
        b = opened.batch
        self._notes.append(Note(what, b.gateway, b.lane, b.epoch, b.seq, text, error, events))


def _event_row(gateway: str, opened: Opened, event: EventRecord) -> tuple[Any, ...]:
    batch = opened.batch
    return (
        gateway, event.session, event.seq, batch.lane, batch.epoch, batch.seq, event.source,
        event.what, event.mono_ns, event.wall_ns, event.clock, event.folded, body_json(event.body),
    )  # fmt: skip


def body_json(body: Any) -> str:
    """A decoded body as JSON; byte strings as hex."""
    return json.dumps(body, ensure_ascii=False, default=_plain)


def _plain(value: Any) -> Any:
    return value.hex() if isinstance(value, bytes) else repr(value)
