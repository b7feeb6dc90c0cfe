"""Judging a whole history at once: signatures, chains, gaps, forks, epochs, losses, contents.

Pure: messages in, findings out. Batches may come in any order; sorted by lane, epoch and number
(the lane "epoch" first) they cost no memory. What cannot be seen without a witness is said in
docs/uplink.md: the tail of the newest epoch.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from agent.uplink.batch import Codec, Opened, open_batch
from agent.uplink.columns import F64, decode_columns
from agent.uplink.cose import Trust
from agent.uplink.errors import UplinkError
from agent.uplink.events import decode_events
from agent.uplink.history import Finding, History, Kind
from agent.uplink.minutes import Minute, decode_minutes
from agent.uplink.table import Table, TablePart, decode_part, join_table
from config.limits import FINDINGS_MAX
from config.words import Lane


@dataclass(slots=True)
class Account:
    """What was found of one gateway."""

    history: History = field(default_factory=History)
    findings: list[Finding] = field(default_factory=list)
    batches: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    heads: dict[tuple[str, bytes], tuple[int, bytes]] = field(default_factory=dict)


class Audit:
    """Takes every batch there is, then says what is wrong."""

    def __init__(self, trust: Trust) -> None:
        self._trust = trust
        self.accounts: dict[str, Account] = {}
        self.refused: list[str] = []  # messages that no trusted key vouches for
        self.refused_count = 0
        self._parts: dict[bytes, dict[int, TablePart]] = {}
        self._tables: dict[bytes, dict[int, F64]] = {}

    def open(self, message: bytes, where: str) -> Opened | None:
        """Verify one message; what cannot be believed is noted with `where` it was."""
        try:
            return open_batch(message, self._trust)
        except UplinkError as e:
            self.refused_count += 1
            if len(self.refused) < FINDINGS_MAX:
                self.refused.append(f"{where}: {e}")
            return None

    def take(self, opened: Opened) -> None:
        """Judge a batch that open() believed."""
        batch = opened.batch
        account = self.accounts.setdefault(batch.gateway, Account())
        verdict = account.history.offer(opened, None)
        _note(account, verdict.findings)
        if verdict.kind is Kind.DUPLICATE:
            account.duplicates += 1
        if verdict.kind is not Kind.NEW:
            return
        account.batches[batch.lane] += 1
        key = (batch.lane, batch.epoch)
        if key not in account.heads or account.heads[key][0] < batch.seq:
            account.heads[key] = (batch.seq, opened.hash)
        try:
            account.records[batch.lane] += self._read(opened)
        except UplinkError as e:
            text = f"signed, but it cannot be read: {e}"
            _note(account, [Finding("unreadable", True, batch.lane, batch.epoch, batch.seq, text)])

    def finish(self) -> bool:
        """Add what is missing to the findings; whether every history is whole."""
        for account in self.accounts.values():
            _note(account, account.history.problems())
        broken = any(f.error for a in self.accounts.values() for f in a.findings)
        return bool(self.accounts) and not broken and not self.refused_count

    def _read(self, opened: Opened) -> int:
        """How many records or readings a batch holds. Raises UplinkError."""
        batch = opened.batch
        if batch.lane == Lane.EPOCH:
            return 1  # offer() has read it
        if batch.codec == Codec.TABLE_PART:
            part = decode_part(batch.data)
            parts = self._parts.setdefault(part.hash, {})
            parts[part.index] = part
            if len(parts) == part.parts:
                self._tables[part.hash] = _resolutions(join_table(list(parts.values())))
                del self._parts[part.hash]
            return 1
        if batch.codec == Codec.COLUMNS:
            known = self._tables.get(batch.table)
            if known is None:
                return 0  # its table is not among what was given: the chain is all that is judged
            samples = decode_columns(batch.data, known.get, batch.mono_first_ns)
            return sum(s.value.size for s in samples)
        if batch.codec == Codec.SUMMARY:
            known = self._tables.get(batch.table)
            return 0 if known is None else _points(decode_minutes(batch.data, known.get))
        return len(decode_events(batch.data)) if batch.codec == Codec.CBOR else 0


def _points(parts: list[Minute]) -> int:
    return sum(int((part.good > 0).sum()) for part in parts)


def _resolutions(table: Table) -> dict[int, F64]:
    step = dict(zip(table.ids, table.resolutions, strict=True))
    return {
        poll: np.array([step[point] for point in points], dtype=np.float64)
        for poll, points in table.polls.items()
    }


def _note(account: Account, findings: Iterable[Finding]) -> None:
    """Keep a finding once; errors always have room, however many notes there are."""
    for finding in findings:
        if finding.error or len(account.findings) < FINDINGS_MAX:
            account.findings.append(finding)
