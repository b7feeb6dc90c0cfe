"""A gateway's record, as a receiver sees it: signed batches that chain, made by the contract."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.uplink.batch import ZERO_HASH, Batch, Codec, hash_of, seal
from agent.uplink.columns import PollSamples, encode_columns
from agent.uplink.cose import Signer
from agent.uplink.events import EpochData, EventRecord, Head, encode_epoch, encode_events
from agent.uplink.heartbeat import Heartbeat, seal_heartbeat
from agent.uplink.minutes import PollSummary, encode_minutes
from agent.uplink.table import Table, encode_table, split_table, table_hash
from config.limits import MS
from firmware_tools.keys import PublicKey, add_to_trust, trust_entry

BOOT = b"boot-of-the-test"
WALL_NS = 1_795_000_000 * 10**9


class Gateway:
    """Seals batches; `epoch()` first."""

    def __init__(self, name: str = "test-0417", seed: int = 1) -> None:
        self.name = name
        self.signer = Signer(Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))
        self.epoch_id = b""
        self.ordinal = -1
        self.heads: dict[str, Head] = {}
        self._seq: dict[str, int] = {}
        self._prev: dict[str, bytes] = {}
        self._epoch_hash = ZERO_HASH
        self._event_seq = 0
        self._mono_ns = 10**9
        self._table = b""
        self.clock, self.wall_ns = 2, WALL_NS

    def trust(self, path: Path) -> None:
        add_to_trust(path, trust_entry(PublicKey(self.signer.public), self.name))

    def epoch(self, epoch_id: bytes = b"") -> tuple[str, bytes]:
        self.ordinal += 1
        self.epoch_id = epoch_id or bytes([self.ordinal + 1]) * 8
        data = encode_epoch(EpochData("start" if self.ordinal else "first", dict(self.heads)))
        message = self._seal("epoch", self.ordinal, self._epoch_hash, Codec.CBOR, data)
        self._epoch_hash = hash_of(message)
        self._seq.clear()
        self._prev.clear()
        return self._topic("epoch"), message

    def events(self, lane: str, *whats: str) -> tuple[str, bytes]:
        rows = []
        for what in whats:
            self._event_seq += 1
            rows.append(
                EventRecord(
                    b"session-16-bytes", self._event_seq, "zone/0", what, self._mono_ns,
                    self.wall_ns, self.clock, 0, {"to": ["fire"], "raw": b"\x01"},
                )
            )  # fmt: skip
        return self._next(lane, Codec.CBOR, encode_events(rows))

    def clock_is_set(self, said_ns: int = WALL_NS) -> tuple[str, bytes]:
        """The record of that moment; from now on the clock is good."""
        self._event_seq += 1
        self.clock, self.wall_ns = 2, WALL_NS
        body = {
            "event": "clock_established", "boot": BOOT, "mono_ns": self._mono_ns,
            "wall_ns": said_ns, "clock": 2, "by_ns": 0,
        }  # fmt: skip
        row = EventRecord(
            b"session-16-bytes", self._event_seq, "record/clock", "system", self._mono_ns, WALL_NS,
            2, 0, body,
        )  # fmt: skip
        return self._next("event", Codec.CBOR, encode_events([row]))

    def table(self) -> tuple[str, bytes]:
        table = Table(
            (7, 9), ("a.heat", "b.heat"), ("heat",) * 2, ("°C",) * 2, (0.1, 0.0), {3: (7, 9)}
        )
        encoded = encode_table(table)
        self._table = table_hash(encoded)
        (part,) = split_table(encoded)
        return self._next("table", Codec.TABLE_PART, part)

    def telemetry(self, samples: int = 4) -> tuple[str, bytes]:
        mono = self._mono_ns + np.arange(samples, dtype=np.int64) * 1000 * MS
        value = np.column_stack([20.0 + 0.1 * np.arange(samples), np.full(samples, 1 / 3)])
        quality = np.zeros((samples, 2), np.uint8)
        quality[-1, 1] = 2
        steps = {3: np.array([0.1, 0.0])}
        first = self._mono_ns
        data = encode_columns([PollSamples(3, mono, value, quality)], steps.get, first)
        self._mono_ns = int(mono[-1])
        return self._next("telemetry", Codec.COLUMNS, data, first)

    def heartbeat(self, after_s: int, name: str | None = None) -> tuple[str, bytes]:
        heads = {lane: (head.seq, head.hash) for lane, head in self.heads.items()}
        heads["epoch"] = (self.ordinal, self._epoch_hash)
        beat = Heartbeat(
            name or self.name, self.epoch_id, self.ordinal, BOOT, after_s * 10**9, WALL_NS, 2, heads
        )
        return self._topic("heartbeat"), seal_heartbeat(beat, self.signer)

    def summary(self) -> tuple[str, bytes]:
        whole = [np.array([n, 0], np.int64) for n in (3, 200, 203, 202)]
        steps = {3: np.array([0.1, 0.0])}
        data = encode_minutes([PollSummary(3, 4, *whole)], steps.get)
        return self._next("summary", Codec.SUMMARY, data)

    def _next(
        self, lane: str, codec: Codec, data: bytes, first: int | None = None
    ) -> tuple[str, bytes]:
        seq = self._seq.get(lane, -1) + 1
        prev = self._prev.get(lane, self._epoch_hash)
        message = self._seal(lane, seq, prev, codec, data, first)
        self._seq[lane] = seq
        self._prev[lane] = hash_of(message)
        self.heads[lane] = Head(self.epoch_id, seq, hash_of(message))
        return self._topic(lane), message

    def _seal(
        self, lane: str, seq: int, prev: bytes, codec: Codec, data: bytes, first: int | None = None
    ) -> bytes:
        first = self._mono_ns if first is None else first
        self._mono_ns += MS
        batch = Batch(
            self.name, self.epoch_id, lane, seq, prev, BOOT, first,
            self._mono_ns, self.wall_ns, self.clock, int(codec), data,
            table=self._table if lane in ("telemetry", "summary") else b"",
        )  # fmt: skip
        return seal(batch, self.signer)

    def _topic(self, lane: str) -> str:
        return f"embergate/1/{self.name}/up/{lane}"


def platform_key(directory: Path) -> bytes:
    """Make the platform's key; its raw public half."""
    from firmware_tools.keys import create_keys  # noqa: PLC0415 -- only here

    return create_keys(directory, "platform").raw


def json_lines(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]
