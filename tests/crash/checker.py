"""What must hold of a record's history, whatever happened to it: pure, for every suite here.

`Ledger` is what the outside was told; `check` holds what a receiver got, and what the gateway's own
journal has, against it. Every sentence that comes back is a broken promise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from agent.uplink.batch import Opened
from agent.uplink.events import EventRecord, Head, decode_epoch, decode_events
from agent.uplink.history import History, Kind
from config.words import Lane

Name = tuple[bytes, int]
"""(session, seq): an event for ever."""
EVENTS = (Lane.FIRE, Lane.EVENT)
BULK = (Lane.TELEMETRY, Lane.SUMMARY)


@dataclass
class Ledger:
    """What was handed over, and of it what was promised."""

    said: dict[Name, str] = field(default_factory=dict)  # -> lane
    durable: dict[bytes, int] = field(default_factory=dict)  # session -> promised up to
    telemetry: dict[bytes, int] = field(default_factory=dict)

    def promised(self) -> set[Name]:
        """Events that the record said are on disk."""
        return {name for name in self.said if name[1] <= self.durable.get(name[0], 0)}

    def promise(self, session: bytes, durable: int, telemetry: int) -> None:
        """The record's word."""
        self.durable[session] = max(self.durable.get(session, 0), durable)
        self.telemetry[session] = max(self.telemetry.get(session, 0), telemetry)


def events_of(batches: Iterable[Opened]) -> list[tuple[Opened, EventRecord]]:
    """Every event with the batch that has it."""
    return [
        (opened, record)
        for opened in batches
        if opened.batch.lane in EVENTS
        for record in decode_events(opened.batch.data)
    ]


def check_journal(ledger: Ledger, stored: Sequence[Opened]) -> list[str]:
    """The journal alone: every promised event exactly once, in its lane, in order; heads right."""
    out: list[str] = []
    found = Counter((r.session, r.seq) for _, r in events_of(stored))
    lost = ledger.promised() - found.keys()
    out += [f"lost: event {seq} of {session.hex()}" for session, seq in sorted(lost)]
    out += [f"twice: event {name[1]}" for name, count in found.items() if count > 1]
    for opened, record in events_of(stored):
        lane = ledger.said.get((record.session, record.seq))
        if lane is not None and lane != opened.batch.lane:
            out.append(f"event {record.seq} is in lane {opened.batch.lane}, was said as {lane}")
    return [*out, *_out_of_order(stored), *_wrong_heads(stored), *_chains(stored, journal=True)]


def check_receiver(
    ledger: Ledger, stored: Sequence[Opened], received: Sequence[Opened], *, all_said: bool = True
) -> list[str]:
    """A receiver that keeps one event of each name, against the journal it was fed from."""
    out: list[str] = []
    names = {(r.session, r.seq) for _, r in events_of(received)}
    wanted = set(ledger.said) if all_said else ledger.promised()
    out += [f"never arrived: event {seq} of {s.hex()}" for s, seq in sorted(wanted - names)]
    kept = {(o.batch.epoch, o.batch.lane, o.batch.seq): o.hash for o in stored}
    got: dict[tuple[bytes, str, int], bytes] = {}
    for opened in received:
        key = (opened.batch.epoch, opened.batch.lane, opened.batch.seq)
        if got.setdefault(key, opened.hash) != opened.hash:
            out.append(f"two batches are {key[1]} {key[2]} of {key[0].hex()}")
        if key in kept and kept[key] != opened.hash:
            out.append(f"{key[1]} {key[2]} arrived as another batch than is stored")
    newest = max((o.batch for o in stored if o.batch.lane == Lane.EPOCH), key=lambda b: b.seq)
    out += [
        f"stored and never arrived: {lane} {seq} of {epoch.hex()}"
        for epoch, lane, seq in kept
        if (epoch, lane, seq) not in got
        # What is sealed as the process ends is sent in its next life.
        and not (epoch == newest.epoch and lane in BULK)
    ]
    durable = [o for o in received if (o.batch.epoch, o.batch.lane, o.batch.seq) in kept]
    twice = Counter((r.session, r.seq) for _, r in events_of(durable))
    out += [f"arrived twice: event {name[1]}" for name, count in twice.items() if count > 1]
    return [*out, *_out_of_order(durable), *_chains(received, journal=False)]


def _out_of_order(batches: Sequence[Opened]) -> list[str]:
    """Within a lane, by epoch and number, events of a session go up."""
    ordinals = {o.batch.epoch: o.batch.seq for o in batches if o.batch.lane == Lane.EPOCH}
    last: dict[tuple[str, bytes], int] = {}
    out = []
    for opened in sorted(batches, key=lambda o: (ordinals.get(o.batch.epoch, -1), o.batch.seq)):
        if opened.batch.lane in EVENTS:
            for record in decode_events(opened.batch.data):
                key = (opened.batch.lane, record.session)
                if record.seq <= last.get(key, 0):
                    out.append(f"out of order: event {record.seq} after {last[key]} in {key[0]}")
                last[key] = record.seq
    return out


def _wrong_heads(stored: Sequence[Opened]) -> list[str]:
    """Each epoch names the last batch of every lane that was stored before it."""
    epochs = sorted((o for o in stored if o.batch.lane == Lane.EPOCH), key=lambda o: o.batch.seq)
    ends: dict[tuple[bytes, str], Opened] = {}
    for opened in stored:
        key = (opened.batch.epoch, opened.batch.lane)
        newer = key not in ends or ends[key].batch.seq < opened.batch.seq
        if opened.batch.lane != Lane.EPOCH and newer:
            ends[key] = opened
    heads: dict[str, Head] = {}
    out = []
    for opened in epochs:
        named = dict(decode_epoch(opened.batch.data).heads)
        if named != heads:
            out.append(f"epoch {opened.batch.seq} names other heads than were stored before it")
        for (epoch, lane), last in ends.items():
            if epoch == opened.batch.epoch:
                heads[lane] = Head(epoch, last.batch.seq, last.hash)
    return out


def _chains(batches: Sequence[Opened], *, journal: bool) -> list[str]:
    """Every chain joins, and nothing is missing that nobody declared.

    A receiver may hold an epoch that never reached the gateway's disk: then two have one ordinal.
    """
    history, findings = History(), []
    held: dict[tuple[bytes, str, int], bytes] = {}
    for opened in batches:
        key = (opened.batch.epoch, opened.batch.lane, opened.batch.seq)
        verdict = history.offer(opened, held.get(key))
        findings += [f for f in verdict.findings if f.error]
        if verdict.kind is Kind.REFUSED:
            findings += [f for f in verdict.findings if f not in findings]
        held.setdefault(key, opened.hash)
    findings += history.problems()
    unstored = () if journal else ("epoch_fork", "broken_link")
    return [
        f"{f.code}: {f.lane} {f.seq} of {f.epoch.hex()}: {f.text}"
        for f in findings
        if not (f.lane == Lane.EPOCH and f.code in unstored)
    ]
