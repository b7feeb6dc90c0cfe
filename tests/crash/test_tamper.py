"""Twelve ways to tamper with a record: `embergate verify` calls each by its name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from gateways import Gateway
from typer.testing import CliRunner

from agent.cli.verify import register
from agent.record.store import Store
from agent.uplink import cbor
from agent.uplink.batch import Batch, Loss, LossReason, decode_payload, hash_of, seal
from agent.uplink.cose import Signer

Rows = list[tuple[str, int, int, bytes]]
"""(lane, ordinal, seq, bytes) as the journal stands."""


class Journal:
    """Two whole epochs of one gateway, with fires, events and a declared loss."""

    def __init__(self) -> None:
        self.gateway = Gateway()
        self.rows: Rows = []
        for _ in range(2):
            self.add(self.gateway.epoch())
            for n in range(5):
                self.add(self.gateway.events("event", f"event {n}"))
            for _ in range(3):
                self.add(self.gateway.events("fire", "fire"))
        of = self.batch("event", 1, 4)
        loss = Loss(LossReason.DROPPED, "telemetry/0", b"", 0, 7)
        self.put("event", 1, 4, seal(replace(of, losses=(loss,)), self.gateway.signer))

    def add(self, sent: tuple[str, bytes]) -> None:
        batch = decode_payload(cbor.decode(sent[1][1:])[2])
        self.rows.append((batch.lane, self.gateway.ordinal, batch.seq, sent[1]))

    def at(self, lane: str, ordinal: int, seq: int) -> bytes:
        return next(r[3] for r in self.rows if r[:3] == (lane, ordinal, seq))

    def batch(self, lane: str, ordinal: int, seq: int) -> Batch:
        return decode_payload(cbor.decode(self.at(lane, ordinal, seq)[1:])[2])

    def put(self, lane: str, ordinal: int, seq: int, data: bytes) -> None:
        """Another batch in the place of one, or in a new place."""
        self.drop(lane, ordinal, seq)
        self.rows.append((lane, ordinal, seq, data))

    def drop(self, lane: str, ordinal: int, *seqs: int) -> None:
        self.rows = [r for r in self.rows if r[:2] != (lane, ordinal) or r[2] not in seqs]

    def payload(self, lane: str, ordinal: int, seq: int, key: int, value: object) -> bytes:
        """A batch with one field of its payload changed, and its old signature."""
        protected, plain, payload, signature = cbor.decode(self.at(lane, ordinal, seq)[1:])
        fields = cbor.decode(payload)
        fields[key] = value
        return b"\xd2" + cbor.encode([protected, plain, cbor.encode(fields), signature])


def edit(j: Journal) -> None:
    data = j.batch("event", 0, 2).data
    j.put("event", 0, 2, j.at("event", 0, 2).replace(data, data.replace(b"event 2", b"event 9")))


def reorder(j: Journal) -> None:
    first, second = j.at("event", 0, 1), j.at("event", 0, 2)
    j.put("event", 0, 1, second)
    j.put("event", 0, 2, first)


def drop(j: Journal) -> None:
    j.drop("event", 0, 2)


def truncate(j: Journal) -> None:
    j.drop("event", 0, 3, 4)


def replay(j: Journal) -> None:
    j.put("fire", 1, 3, j.at("fire", 0, 1))


def cross(j: Journal) -> None:
    other = Gateway("test-0418")
    other.signer = j.gateway.signer  # the same key: no list of keys says whose it is
    other.epoch()
    j.rows.append(("fire", 1, 3, seal(_as(j, "test-0418", 3), other.signer)))


def fork(j: Journal) -> None:
    other = replace(j.batch("event", 0, 4), wall_ns=1)
    j.put("event", 0, 4, seal(other, j.gateway.signer))


def resign(j: Journal) -> None:
    j.put("event", 0, 2, seal(j.batch("event", 0, 2), Gateway(seed=9).signer))


def old_epoch(j: Journal) -> None:
    """Whoever has the key goes on in an epoch that was closed."""
    before = j.at("event", 0, 4)
    late = replace(j.batch("event", 0, 4), seq=5, prev=hash_of(before))
    j.put("event", 0, 5, seal(late, j.gateway.signer))


def header(j: Journal) -> None:
    protected, plain, payload, signature = cbor.decode(j.at("event", 0, 2)[1:])
    changed = cbor.encode({**cbor.decode(protected), 1: -7})  # another algorithm
    j.put("event", 0, 2, b"\xd2" + cbor.encode([changed, plain, payload, signature]))


def losses(j: Journal) -> None:
    batch = j.batch("event", 1, 4)
    assert batch.losses
    key = max(cbor.decode(cbor.decode(j.at("event", 1, 4)[1:])[2]))
    rows = [[int(LossReason.DROPPED), "telemetry/0", b"", 0, 0]]
    j.put("event", 1, 4, j.payload("event", 1, 4, key, rows))


def clone(j: Journal) -> None:
    """A copied card opens an epoch of its own after the same one."""
    other = replace(j.batch("epoch", 1, 1), epoch=b"another!")
    j.rows.append(("epoch", 7, 1, seal(other, j.gateway.signer)))


def _as(j: Journal, gateway: str, seq: int) -> Batch:
    return replace(j.batch("fire", 1, 2), gateway=gateway, seq=seq)


TAMPER: dict[str, tuple[Callable[[Journal], None], str]] = {
    "edit": (edit, "forged: "),
    "reorder": (reorder, "misplaced: holds event"),
    "drop": (drop, "gap: event 2 "),
    "truncate the tail": (truncate, "truncated: event 3 "),
    "replay": (replay, "replayed: holds fire 1"),
    "cross-gateway": (cross, "foreign: batches of 'test-0418'"),
    "fork": (fork, "fork: event 4 "),
    "re-sign with another key": (resign, "unknown_key: "),
    "old epoch": (old_epoch, "after_end: event of epoch 0101"),
    "changed header": (header, "wrong_type: "),
    "changed declared losses": (losses, "forged: "),
    "cloned card": (clone, "epoch_fork: epoch 1 "),
}


def said(directory: Path, rows: Rows, signer: Signer) -> tuple[int, str]:
    """(exit status, words) of `embergate verify` on a journal of these rows."""
    record = directory / "record"
    record.mkdir()
    store = Store(record / "events.db")
    store.open()
    db = store._db
    assert db is not None
    for lane, ordinal, seq, data in rows:
        db.execute(
            "INSERT INTO batch (lane, ordinal, seq, wall, bytes) VALUES (?,?,?,0,?)",
            (lane, ordinal, seq, data),
        )
    store.close()
    public = directory / "device.pub"
    key = signer._private.public_key()
    public.write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    app = typer.Typer()
    register(app)
    done = CliRunner().invoke(app, [str(directory), "--trust", str(public)])
    return done.exit_code, done.output


def test_untouched_it_is_whole(tmp_path: Path) -> None:
    journal = Journal()
    code, words = said(tmp_path, journal.rows, journal.gateway.signer)
    assert (code, "ERROR" in words) == (0, False), words


@pytest.mark.parametrize("way", TAMPER)
def test_tampering_is_called_by_its_name(tmp_path: Path, way: str) -> None:
    tamper, word = TAMPER[way]
    journal = Journal()
    tamper(journal)
    code, words = said(tmp_path, journal.rows, journal.gateway.signer)
    errors = [line for line in words.splitlines() if "ERROR" in line]
    assert code == 1
    assert any(word in line for line in errors), words
