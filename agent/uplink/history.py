"""What the batches of one gateway add up to: chains, gaps, forks, epochs, declared losses.

Shared by `verify` (everything at once) and by a receiver (as it comes, in any order). Pure: the
caller has verified the signature, holds the bytes, and says which hash it already holds under a
number. State is one small record a lane and epoch: `changes` and `apply` make it durable, and let
several receivers share it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from agent.uplink.batch import ZERO_HASH, Batch, Loss, LossReason, Opened
from agent.uplink.errors import UplinkError
from agent.uplink.events import Head, decode_epoch
from config.limits import HISTORY_PENDING_MAX
from config.words import Lane


class Kind(StrEnum):
    """What to do with a batch."""

    NEW = "new"  # keep it
    DUPLICATE = "duplicate"  # it is held already, byte for byte
    REFUSED = "refused"  # it contradicts what is held: keep it apart as evidence


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that a person should know. `error`: the history is not whole."""

    code: str
    error: bool
    lane: str
    epoch: bytes
    seq: int
    text: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer to one batch."""

    kind: Kind
    findings: tuple[Finding, ...] = ()
    early: bool = False  # a batch before it in its lane has not come yet


@dataclass(slots=True)
class _Link:
    """A batch as its chain sees it."""

    prev: bytes
    hash: bytes
    boot: bytes
    mono_last_ns: int


@dataclass(slots=True)
class _Chain:
    """A lane in an epoch. Everything up to `head` is held or declared lost."""

    head: int = -1
    link: _Link | None = None  # of batch `head`; None when that one is declared lost
    held: int = -1  # last batch really held at or below head ...
    held_hash: bytes = b""  # ... and its hash: what an acknowledgement may say
    pending: dict[int, _Link] = field(default_factory=dict)
    lost: list[tuple[int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Epoch:
    ordinal: int
    prev: bytes
    hash: bytes
    heads: dict[str, Head]


class History:
    """The history of one gateway, as far as its batches have been seen."""

    def __init__(self) -> None:
        self._epochs: dict[bytes, _Epoch] = {}
        self._ordinals: dict[int, bytes] = {}
        self._chains: dict[tuple[bytes, str], _Chain] = {}
        self._gone: dict[str, tuple[bytes, int, LossReason]] = {}
        self._ordinals_lost: list[tuple[int, int]] = []
        self._changed: set[tuple[bytes, str]] = set()  # lane "": what no epoch or lane has alone

    # --- taking batches ---------------------------------------------------------------------

    def offer(self, opened: Opened, known_hash: bytes | None) -> Verdict:
        """Judge a batch whose signature was believed, and take it in when it is new.

        known_hash: the hash that the caller holds under (epoch, lane, seq), None for none.
        """
        batch = opened.batch
        if known_hash is not None and known_hash != opened.hash:
            return _refuse(
                batch,
                "fork",
                "another batch with this number is held: cloned key, or a copied card",
            )
        if batch.lane == Lane.EPOCH:
            return self._offer_epoch(opened)
        return self._offer_link(opened, known_hash)

    def _offer_epoch(self, opened: Opened) -> Verdict:
        batch = opened.batch
        known = self._epochs.get(batch.epoch)
        if known is not None:
            if known.hash == opened.hash:
                return Verdict(Kind.DUPLICATE)
            return _refuse(batch, "fork", "this epoch was opened by another batch")
        try:
            data = decode_epoch(batch.data)
        except UplinkError as e:
            return _refuse(batch, e.code, f"the epoch cannot be read: {e.text}")
        findings: list[Finding] = []
        if batch.seq in self._ordinals:
            other = self._ordinals[batch.seq].hex()
            findings.append(
                _find(
                    batch, "epoch_fork", f"epoch {other} has the same ordinal: cloned or restored"
                )
            )
        elif not self._epoch_fits(batch, opened.hash):
            findings.append(_find(batch, "broken_link", "it does not follow the epochs around it"))
        self._epochs[batch.epoch] = _Epoch(batch.seq, batch.prev, opened.hash, dict(data.heads))
        self._ordinals.setdefault(batch.seq, batch.epoch)
        self._changed.add((batch.epoch, Lane.EPOCH))
        for loss in (*data.losses, *batch.losses):
            findings += self._declare(batch, loss)
        for (epoch, lane), chain in self._chains.items():
            if epoch == batch.epoch:
                findings += self._advance(chain, epoch, lane)
        return Verdict(Kind.NEW, tuple(findings))

    def _epoch_fits(self, batch: Batch, own_hash: bytes) -> bool:
        before = self._ordinals.get(batch.seq - 1)
        after = self._ordinals.get(batch.seq + 1)
        if batch.seq == 0 and batch.prev != ZERO_HASH:
            return False
        if before is not None and self._epochs[before].hash != batch.prev:
            return False
        return after is None or self._epochs[after].prev == own_hash

    def _offer_link(self, opened: Opened, known_hash: bytes | None) -> Verdict:
        batch = opened.batch
        chain = self._chains.setdefault((batch.epoch, batch.lane), _Chain())
        at_head = chain.link is not None and batch.seq == chain.head
        held = chain.link if at_head else chain.pending.get(batch.seq)
        if held is not None and held.hash != opened.hash:
            return _refuse(batch, "fork", "another batch with this number was seen")
        if known_hash is not None or held is not None:
            return Verdict(Kind.DUPLICATE)
        findings: list[Finding] = []
        for loss in batch.losses:
            findings += self._declare(batch, loss)
        if batch.seq <= chain.head:
            if _within(chain.lost, batch.seq):  # declared lost, and yet somebody had sent it on
                return Verdict(Kind.NEW, tuple(findings))
            return Verdict(Kind.DUPLICATE, tuple(findings))
        if len(chain.pending) >= HISTORY_PENDING_MAX and batch.seq != chain.head + 1:
            text = f"{HISTORY_PENDING_MAX} batches wait for number {chain.head + 1} already"
            return _refuse(batch, "window", text)
        link = _Link(batch.prev, opened.hash, batch.boot, batch.mono_last_ns)
        before = chain.link if batch.seq == chain.head + 1 else chain.pending.get(batch.seq - 1)
        after = chain.pending.get(batch.seq + 1)
        if (before is not None and before.hash != batch.prev) or (
            after is not None and after.prev != opened.hash
        ):
            return _refuse(batch, "broken_link", "its hash does not join its neighbour's")
        chain.pending[batch.seq] = link
        early = batch.seq != chain.head + 1
        findings += self._advance(chain, batch.epoch, batch.lane)
        return Verdict(Kind.NEW, tuple(findings), early)

    def _advance(self, chain: _Chain, epoch: bytes, lane: str) -> list[Finding]:
        """Move the head over what is held or declared lost."""
        findings: list[Finding] = []
        self._changed.add((epoch, lane))
        opened = self._epochs.get(epoch)
        if opened is None and Lane.EPOCH not in self._gone:
            return findings
        while True:
            seq = chain.head + 1
            link = chain.pending.pop(seq, None)
            if link is None:
                end = next((b for a, b in chain.lost if a <= seq <= b), None)
                if end is None:
                    break
                ahead = [s for s in chain.pending if s <= end]
                chain.head, chain.link = (min(ahead) - 1 if ahead else end), None
                continue
            if seq == 0 and opened is not None and link.prev != opened.hash:
                text = "the first of the lane does not point at its epoch"
                findings.append(Finding("broken_link", True, lane, epoch, seq, text))
            last = chain.link
            if last and last.boot == link.boot and link.mono_last_ns < last.mono_last_ns:
                text = "its monotonic time is before that of the batch before it"
                findings.append(Finding("clock_regression", False, lane, epoch, seq, text))
            chain.head, chain.link, chain.held, chain.held_hash = seq, link, seq, link.hash
        return findings

    def _declare(self, batch: Batch, loss: Loss) -> list[Finding]:
        text = (
            f"{loss.reason.name.lower()}: {loss.lane} {loss.epoch.hex()} {loss.first}..{loss.last}"
        )
        found = [Finding("declared_loss", False, batch.lane, batch.epoch, batch.seq, text)]
        if loss.reason == LossReason.DROPPED:
            return found
        self._changed.add((b"", ""))
        if loss.lane == Lane.EPOCH:
            self._ordinals_lost = _merge([*self._ordinals_lost, (loss.first, loss.last)])
            if loss.reason != LossReason.OVERRUN:
                self._gone[loss.lane] = (loss.epoch, loss.last, loss.reason)
                for (epoch, lane), chain in self._chains.items():
                    found += self._advance(chain, epoch, lane)
            return found
        if loss.reason in (LossReason.EVICTED, LossReason.DAMAGED):
            self._gone[loss.lane] = (loss.epoch, loss.last, loss.reason)
        chain = self._chains.setdefault((loss.epoch, loss.lane), _Chain())
        chain.lost = _merge([*chain.lost, (loss.first, loss.last)])
        return found + self._advance(chain, loss.epoch, loss.lane)

    def is_past(self, batch: Batch) -> bool:
        """Whether offer() needs to be told the hash that is held under this batch's number."""
        if batch.lane == Lane.EPOCH:
            return False
        chain = self._chains.get((batch.epoch, batch.lane))
        if chain is None or batch.seq > chain.head:
            return False
        return chain.link is None or batch.seq < chain.head

    def lanes(self, epoch: bytes) -> list[str]:
        """Lanes of an epoch of which something was seen, besides its own batch."""
        return [lane for of, lane in self._chains if of == epoch]

    # --- asking -----------------------------------------------------------------------------

    def acknowledge(self, epoch: bytes, lane: str) -> tuple[int, bytes] | None:
        """(seq, hash) of the last batch up to which everything is held or declared lost.

        For the lane "epoch": that epoch's own batch, whatever is missing before it. It must not
        wait: what declares the epochs before it lost may come behind it.
        """
        if lane == Lane.EPOCH:
            found = self._epochs.get(epoch)
            return None if found is None else (found.ordinal, found.hash)
        chain = self._chains.get((epoch, lane))
        if chain is None or chain.held < 0:
            return None
        return chain.held, chain.held_hash

    def top(self, epoch: bytes, lane: str, seq: int) -> tuple[int, bytes]:
        """(the highest number seen of a lane, -1 for none; the hash of number seq where known)."""
        if lane == Lane.EPOCH:
            found = self._epochs.get(epoch)
            return (-1, b"") if found is None else (found.ordinal, found.hash)
        chain = self._chains.get((epoch, lane), _Chain())
        top = max(chain.pending, default=chain.head)
        if seq in chain.pending:
            return top, chain.pending[seq].hash
        return top, chain.held_hash if seq == chain.held else b""

    @property
    def newest(self) -> int:
        """The highest ordinal of an epoch that is held, -1 for none."""
        return max(self._ordinals, default=-1)

    def is_taken(self, ordinal: int, epoch: bytes) -> bool:
        """Whether another epoch was held first under an ordinal: this one counts it again."""
        return self._ordinals.get(ordinal, epoch) != epoch

    def first_of(self, ordinal: int) -> bytes:
        """The epoch that was held first under an ordinal."""
        return self._ordinals[ordinal]

    def named_heads(self) -> set[tuple[str, Head]]:
        """(lane, its last batch) as the epochs name them that came later."""
        return {item for epoch in self._epochs.values() for item in epoch.heads.items()}

    def problems(self) -> list[Finding]:
        """What is missing or contradictory now. Empty: the history is whole."""
        out = self._epoch_gaps()
        for (epoch, lane), chain in self._chains.items():
            if epoch not in self._epochs and Lane.EPOCH not in self._gone:
                if not self.declared_gone(lane, epoch, 0):
                    text = "the batch that opened this epoch is missing"
                    out.append(Finding("missing_epoch", True, lane, epoch, 0, text))
                continue
            floor = chain.head
            for seq in sorted(chain.pending):
                if seq > floor + 1 and not self.declared_gone(lane, epoch, seq - 1):
                    out.append(_gap(lane, epoch, floor + 1, seq - 1))
                floor = seq
        for named in self._epochs.values():
            for lane, head in named.heads.items():
                out += self._check_head(lane, head)
        return list(dict.fromkeys(out))

    def _check_head(self, lane: str, head: Head) -> list[Finding]:
        """A later epoch says where a lane ended: a tail cut off shows."""
        if self.declared_gone(lane, head.epoch, head.seq):
            return []
        chain = self._chains.get((head.epoch, lane), _Chain())
        top = max(chain.pending, default=chain.head)
        if top < head.seq:
            text = f"{lane} ended at {head.seq}; {top + 1}..{head.seq} are missing"
            return [Finding("truncated", True, lane, head.epoch, top + 1, text)]
        if chain.held == head.seq and chain.held_hash != head.hash:
            text = "a later epoch names another batch as the last one"
            return [Finding("fork", True, lane, head.epoch, head.seq, text)]
        return []

    def declared_gone(self, lane: str, epoch: bytes, seq: int) -> bool:
        """Whether a number was declared evicted or damaged, itself or with its whole epoch."""
        if lane not in self._gone:
            return False
        through, last, _ = self._gone[lane]
        if through == epoch:
            return seq <= last
        ours, theirs = self._epochs.get(epoch), self._epochs.get(through)
        if theirs is None:
            return False
        return ours is None or ours.ordinal < theirs.ordinal

    def _epoch_gaps(self) -> list[Finding]:
        return [
            _gap(Lane.EPOCH, self._ordinals[last + 1], first, last)
            for first, last in self._missing_ordinals()
        ]

    def _missing_ordinals(self) -> list[tuple[int, int]]:
        """Ranges between known ordinals, and before the first, that nothing declares lost."""
        out: list[tuple[int, int]] = []
        at = 0
        for ordinal in sorted(self._ordinals):
            while at < ordinal:
                end = next((b for a, b in self._ordinals_lost if a <= at <= b), None)
                if end is None:
                    out.append((at, ordinal - 1))
                    break
                at = end + 1
            at = max(at, ordinal + 1)
        return out

    # --- keeping ----------------------------------------------------------------------------

    def changes(self) -> list[tuple[bytes, str, list[Any]]]:
        """(epoch, lane, state) of what changed since the last call, ready for CBOR.

        Whoever keeps these rows by epoch and lane, the newest of each, holds the whole history.
        """
        out: list[tuple[bytes, str, list[Any]]] = []
        for epoch, lane in sorted(self._changed):
            if not lane:
                gone = [[name, e, s, int(r)] for name, (e, s, r) in self._gone.items()]
                out.append((epoch, lane, [gone, [list(r) for r in self._ordinals_lost]]))
            elif lane == Lane.EPOCH:
                x = self._epochs[epoch]
                heads = {k: [h.epoch, h.seq, h.hash] for k, h in x.heads.items()}
                first = self._ordinals[x.ordinal] == epoch
                out.append((epoch, lane, [x.ordinal, x.prev, x.hash, heads, first]))
            else:
                c = self._chains[(epoch, lane)]
                pending = [[s, *_fields(k)] for s, k in c.pending.items()]
                lost = [list(r) for r in c.lost]
                out.append(
                    (epoch, lane, [c.head, _row(c.link), c.held, c.held_hash, pending, lost])
                )
        self._changed.clear()
        return out

    def apply(self, rows: Iterable[tuple[bytes, str, list[Any]]]) -> None:
        """Take in rows of changes(). They are our own: damage is a programmer's error."""
        for epoch, lane, state in rows:
            if not lane:
                gone, lost = state
                self._gone = {name: (e, s, LossReason(r)) for name, e, s, r in gone}
                self._ordinals_lost = [(a, b) for a, b in lost]
            elif lane == Lane.EPOCH:
                ordinal, prev, own_hash, heads, first = state
                named = {name: Head(*row) for name, row in heads.items()}
                self._epochs[epoch] = _Epoch(ordinal, prev, own_hash, named)
                if first:
                    self._ordinals[ordinal] = epoch
            else:
                head, link, held, held_hash, pending, lost = state
                self._chains[(epoch, lane)] = _Chain(
                    head, _Link(*link) if link else None, held, held_hash,
                    {row[0]: _Link(*row[1:]) for row in pending}, [(a, b) for a, b in lost],
                )  # fmt: skip


def _fields(link: _Link) -> list[Any]:
    return [link.prev, link.hash, link.boot, link.mono_last_ns]


def _row(link: _Link | None) -> list[Any] | None:
    return None if link is None else _fields(link)


def _find(batch: Batch, code: str, text: str) -> Finding:
    return Finding(code, True, batch.lane, batch.epoch, batch.seq, text)


def _refuse(batch: Batch, code: str, text: str) -> Verdict:
    return Verdict(Kind.REFUSED, (_find(batch, code, text),))


def _gap(lane: str, epoch: bytes, first: int, last: int) -> Finding:
    text = f"{lane} {first}..{last} are missing and nothing declares them lost"
    return Finding("gap", True, lane, epoch, first, text)


def _within(ranges: Iterable[tuple[int, int]], seq: int) -> bool:
    return any(a <= seq <= b for a, b in ranges)


def _merge(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    out: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(out[-1][1], last))
        else:
            out.append((first, last))
    return out
