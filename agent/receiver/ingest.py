"""From messages to kept batches and signed acknowledgements: verify, judge, keep, then answer.

Nothing here knows MQTT. A group of messages is verified first and kept then, in one transaction;
the acknowledgements are made after it is durable, so what was acknowledged is never lost, and what
was lost comes again. Several receivers may work on one database, each with any part of a gateway's
batches in any order: a gateway's chains are joined in the database, while its row is locked.
"""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.receiver.readings import Tables
from agent.receiver.store import HEARTBEAT, Held, Store, StoreRefused
from agent.receiver.trust import TrustList
from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import Opened, open_batch
from agent.uplink.check import UINT_MAX
from agent.uplink.clocks import anchor_of
from agent.uplink.cose import Signer
from agent.uplink.errors import UplinkError
from agent.uplink.events import EventRecord, decode_events
from agent.uplink.heartbeat import Heartbeat, open_heartbeat
from agent.uplink.history import Finding, History, Kind
from agent.uplink.table import decode_part
from agent.uplink.tails import Tails
from config.limits import RECEIVER_GATEWAYS_CACHED
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


@dataclass(slots=True)
class _Known:
    """What is held of a gateway, as of a version of its row; -1: nothing was read yet."""

    version: int = -1
    history: History = field(default_factory=History)
    tails: Tails = field(default_factory=Tails)


@dataclass(slots=True)
class _Group:
    """What one transaction brings together."""

    refused: Counter[tuple[str, Finding]] = field(default_factory=Counter)
    tallies: Counter[tuple[str, str, str, bytes]] = field(default_factory=Counter)
    batches: list[tuple[Held, int | None]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    anchors: list[tuple[str, bytes, int, int]] = field(default_factory=list)
    untimed: list[tuple[str, bytes, bytes, int, int]] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    touched: set[ChainId] = field(default_factory=set)
    tails: set[str] = field(default_factory=set)


_TALLIES = {
    "duplicate": "batches that came again",
    "reordered": "batches that came before one that goes before them",
}
"""What is counted for a chain: not wrong, and worth knowing."""


class Ingest:
    """The judge and the writer."""

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
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._group = _Group()
        self._timed: OrderedDict[tuple[str, bytes], int] = OrderedDict()  # boot -> earliest time

    def take(self, messages: Sequence[Message]) -> dict[ChainId, Message]:
        """Keep what is good and report what is not; the acknowledgements to publish, one a chain.

        Raises StoreFailed when the store cannot keep it: then nothing of the group is acknowledged
        and nothing is remembered of it either. What the store refuses is found by halves, and
        dropped alone: what one gateway says never holds up another.
        """
        try:
            return self._take(messages)
        except StoreRefused as e:
            half = len(messages) // 2
            if half:
                return self.take(messages[:half]) | self.take(messages[half:])
            text = f"{messages[0].topic}: the database refuses a value of it: {e}"
            self._tell(Note("refused", "", text=text, error=True))
            return {}

    def _take(self, messages: Sequence[Message]) -> dict[ChainId, Message]:
        group = self._group = _Group()
        items = [item for message in messages if (item := self._open(message)) is not None]
        names = {item.gateway for item in items} | {gateway for gateway, _ in group.refused}
        try:
            self._store.engine.room(self._wall_ns(), [*names])
            with self._store.transaction():
                self._recall(sorted(names))
                for item in items:
                    if isinstance(item, Heartbeat):
                        self._compare(item)
                    else:
                        self._judge(item)
                self._save()
        except BaseException:
            for name in names:  # the truth is what the store holds
                self._known.pop(name, None)
            self._timed.clear()
            raise
        for note in group.notes:
            self._tell(note)
        acks = {key: ack for key in sorted(group.touched) if (ack := self._ack(*key)) is not None}
        while len(self._known) > RECEIVER_GATEWAYS_CACHED:
            self._known.popitem(last=False)
        return acks

    def _recall(self, names: Sequence[str]) -> None:
        """Lock the gateways and know what is held of them, whoever took it in."""
        if not names:
            return
        behind: dict[str, int] = {}
        for name, version in self._store.engine.lock(names).items():
            known = self._known.get(name)
            if known is None or known.version > version:  # the database was set back
                known = self._known[name] = _Known()
            if known.version < version:
                behind[name], known.version = known.version, version
            self._known.move_to_end(name)
        for name, epoch, lane, state in self._store.news(behind) if behind else ():
            if lane == HEARTBEAT:
                self._known[name].tails = Tails.load(state)
            else:
                self._known[name].history.apply([(epoch, lane, state)])

    def _save(self) -> None:
        """Everything that the group brought, in as few statements as it takes."""
        group, now_ns = self._group, self._wall_ns()
        self._store.add_batches(group.batches)
        self._store.add_events(group.events)
        self._store.add_times(group.anchors, group.untimed)
        for (gateway, finding), count in group.refused.items():
            self._find(gateway, finding, count)
        for (gateway, code, lane, epoch), count in group.tallies.items():
            self._find(gateway, Finding(code, False, lane, epoch, 0, _TALLIES[code]), count)
        changed: dict[str, tuple[int, list[tuple[bytes, str, Any]]]] = {}
        for gateway in {gateway for gateway, _, _ in group.touched} | group.tails:
            known = self._known[gateway]
            known.version += 1
            states: list[tuple[bytes, str, Any]] = [*known.history.changes()]
            if gateway in group.tails:
                states.append((b"", HEARTBEAT, known.tails.dump()))
            changed[gateway] = (known.version, states)
        self._store.save_chains(changed, now_ns)

    def _open(self, message: Message) -> Held | Heartbeat | None:
        """What a trusted key says, by itself; anything else is refused here."""
        parts = message.topic.split("/")
        if len(parts) != 5 or parts[:2] != ["embergate", "1"] or parts[3] != "up":
            text = "a message on a topic that the contract does not have"
            self._refuse(UNKNOWN, "topic", text)
            return None
        claimed, lane = parts[2], parts[4]
        name = claimed if claimed in self.trust.gateways else UNKNOWN
        if lane == "link":
            if name != UNKNOWN:  # a hint of the broker's, not signed by anybody
                text = message.payload[:16].decode("ascii", "replace")
                self._group.notes.append(Note("link", name, text=text))
            return None
        try:
            if lane == "heartbeat":
                beat = open_heartbeat(message.payload, self.trust.trust)
                if beat.gateway == claimed:
                    return beat
                text = f"a heartbeat on the topic of {claimed}"
                self._refuse(beat.gateway, "topic", text)
                return None
            opened = open_batch(message.payload, self.trust.trust)
        except UplinkError as e:
            self._refuse(name, e.code, e.text)
            return None
        batch = opened.batch
        if batch.gateway != claimed or batch.lane != lane:
            text = f"{batch.gateway}/{batch.lane} came on the topic of {claimed}/{lane}"
            self._refuse(batch.gateway, "topic", text)
            return None
        return Held(batch.gateway, opened, message.payload, self._wall_ns())

    def _compare(self, beat: Heartbeat) -> None:
        """A gateway's heads with what is held; nothing of it is kept or answered."""
        known = self._known[beat.gateway]
        waited = known.tails.waits
        findings = known.tails.beat(beat, known.history)
        for finding in findings:
            self._find(beat.gateway, finding)
        if any(finding.code == "rolled_back" for finding in findings):
            self._remind(beat.gateway)
        if waited or known.tails.waits:
            self._group.tails.add(beat.gateway)  # the next one may come to another receiver

    def _remind(self, gateway: str) -> None:
        """Acknowledge the newest epoch once more: a record that was put back learns of it so."""
        history = self._history(gateway)
        self._group.touched.add((gateway, history.first_of(history.newest), Lane.EPOCH))

    def _judge(self, held: Held) -> None:
        opened, gateway, group = held.opened, held.gateway, self._group
        batch = opened.batch
        history = self._history(gateway)
        known = None
        if history.is_past(batch):
            known = self._store.known_hash(gateway, batch.epoch, batch.lane, batch.seq)
            if known is None:  # it may stand in this very group
                known = next(
                    (h.opened.hash for h, _ in group.batches if _number(h) == _number(held)), None
                )
        verdict = history.offer(opened, known)
        for finding in verdict.findings:
            self._find(gateway, finding)
        if verdict.kind is Kind.REFUSED:
            code = verdict.findings[0].code if verdict.findings else "refused"
            self._store.add_evidence(held, code)
            self._note("refused", opened, text=code, error=True)
            return
        group.touched.add((gateway, batch.epoch, batch.lane))
        if verdict.kind is Kind.DUPLICATE:
            group.tallies[gateway, "duplicate", batch.lane, batch.epoch] += 1
            self._note("duplicate", opened)
            return
        if verdict.early:
            group.tallies[gateway, "reordered", batch.lane, batch.epoch] += 1
        readings, events = self._decode(gateway, opened)
        self._time(gateway, opened, events)
        group.batches.append((held, readings))
        if batch.lane == Lane.EPOCH:
            # Batches that came before their epoch can be acknowledged now.
            group.touched.update(
                (gateway, batch.epoch, lane) for lane in history.lanes(batch.epoch)
            )
            if history.is_taken(batch.seq, batch.epoch):
                self._remind(gateway)
        self._note("batch", opened, events=events)

    def _decode(self, gateway: str, opened: Opened) -> tuple[int | None, tuple[EventRecord, ...]]:
        """What is read at once: events and point tables. Telemetry is counted and stays packed."""
        batch = opened.batch
        try:
            if batch.lane in (Lane.FIRE, Lane.EVENT):
                events = tuple(decode_events(batch.data))
                self._group.events += [_event_row(gateway, opened, e) for e in events]
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

    def _time(self, gateway: str, opened: Opened, events: Sequence[EventRecord]) -> None:
        """What a batch says of its boot's clock, and which of its events have no time yet."""
        batch, group = opened.batch, self._group
        boot = (gateway, batch.boot)
        group.untimed += [
            (*boot, e.session, e.seq, e.mono_ns) for e in events if not e.clock
        ]  # fmt: skip
        said = [anchor for e in events if (anchor := anchor_of(e.body)) is not None]
        group.anchors += [(gateway, *anchor) for anchor in said]
        # A boot's earliest batch with a time does as well: one of them is enough.
        if batch.clock and batch.mono_last_ns < self._timed.get(boot, UINT_MAX):
            self._timed[boot] = batch.mono_last_ns
            group.anchors.append((*boot, batch.mono_last_ns, batch.wall_ns))
            while len(self._timed) > RECEIVER_GATEWAYS_CACHED:
                self._timed.popitem(last=False)

    def _ack(self, gateway: str, epoch: bytes, lane: str) -> Message | None:
        found = self._history(gateway).acknowledge(epoch, lane)
        if found is None:
            return None
        seq, digest = found
        ack = Ack(gateway, epoch, lane, seq, digest, self._wall_ns())
        return Message(f"embergate/1/{gateway}/down/ack", seal_ack(ack, self._signer))

    def _history(self, gateway: str) -> History:
        return self._known[gateway].history

    def _refuse(self, gateway: str, code: str, text: str) -> None:
        """Bytes that nobody vouches for: counted by code, never by what they claim."""
        finding = Finding(code, True, "", b"", 0, text[:256])
        self._group.refused[gateway, finding] += 1

    def _find(self, gateway: str, finding: Finding, count: int = 1) -> None:
        if self._store.add_finding(gateway, finding, self._wall_ns(), count):
            self._group.notes.append(
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
        self._group.notes.append(Note(what, b.gateway, b.lane, b.epoch, b.seq, text, error, events))


def _number(held: Held) -> tuple[str, bytes, str, int]:
    batch = held.opened.batch
    return held.gateway, batch.epoch, batch.lane, batch.seq


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
