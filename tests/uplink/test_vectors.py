"""The committed vectors still mean what they meant, and are still written the same way."""

from __future__ import annotations

import importlib.util
import json
import math
import zlib
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path
from types import ModuleType
from typing import Any

import cbor2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from agent.uplink.ack import open_ack
from agent.uplink.batch import hash_of, open_batch
from agent.uplink.columns import decode_columns
from agent.uplink.command import open_command
from agent.uplink.cose import Trust, TrustedKey
from agent.uplink.errors import UplinkError
from agent.uplink.heartbeat import open_heartbeat
from agent.uplink.history import History
from agent.uplink.table import decode_part, join_table

DIRECTORY = Path(__file__).resolve().parents[1] / "spec" / "uplink"
FILES = {file.stem: json.loads(file.read_text("utf-8")) for file in DIRECTORY.glob("*.json")}
KEYS = FILES["keys"]
TRUST = Trust([TrustedKey(bytes.fromhex(KEYS["device"]["public"]), "tj-heping-0417")])
BATCHES = sorted(name for name in FILES if name.startswith("batch-"))


def maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_vectors", DIRECTORY / "make_vectors.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_script_writes_the_files_that_are_here() -> None:
    made = maker()
    documents = made.documents()
    assert sorted(documents) == sorted(FILES)
    for name, document in documents.items():
        assert made.text_of(document) == (DIRECTORY / f"{name}.json").read_text("utf-8"), name


@pytest.mark.parametrize("name", BATCHES)
def test_a_batch_decodes_to_what_its_file_says(name: str) -> None:
    vector = FILES[name]
    message = bytes.fromhex(vector["message"])
    opened = open_batch(message, TRUST)
    assert hash_of(message).hex() == vector["hash"]
    plain = maker().plain
    fields = {key: plain(getattr(opened.batch, key)) for key in vector["batch"] if key != "losses"}
    assert fields == {k: v for k, v in vector["batch"].items() if k != "losses"}
    for loss, expected in zip(opened.batch.losses, vector["batch"]["losses"], strict=True):
        assert {key: plain(getattr(loss, key)) for key in expected} == expected


def test_the_batches_are_one_whole_history() -> None:
    history = History()
    for name in BATCHES:
        message = bytes.fromhex(FILES[name]["message"])
        verdict = history.offer(open_batch(message, TRUST), None)
        assert not [f for f in verdict.findings if f.error], name
    assert history.problems() == []


def test_the_table_and_the_telemetry_read_as_their_files_say() -> None:
    vector = FILES["batch-table"]
    part = decode_part(open_batch(bytes.fromhex(vector["message"]), TRUST).batch.data)
    table = join_table([part])
    assert maker().plain(table.polls) == vector["table"]["polls"]
    steps = dict(zip(table.ids, table.resolutions, strict=True))
    resolutions = {poll: np.array([steps[p] for p in ids]) for poll, ids in table.polls.items()}
    telemetry = FILES["batch-telemetry"]
    batch = open_batch(bytes.fromhex(telemetry["message"]), TRUST).batch
    assert batch.table == part.hash
    found = decode_columns(batch.data, resolutions.get, batch.mono_first_ns)
    assert [s.poll for s in found] == [s["poll"] for s in telemetry["samples"]]
    for samples, expected in zip(found, telemetry["samples"], strict=True):
        assert samples.mono_ns.tolist() == expected["mono_ns"]
        assert samples.quality.tolist() == expected["quality"]
        assert maker().plain(samples.value) == expected["value"]


def test_a_reader_written_from_the_document_reads_the_summary() -> None:
    public = bytes.fromhex(KEYS["device"]["public"])
    table = FILES["batch-table"]["table"]
    step = dict(zip(table["ids"], table["resolutions"], strict=True))
    vector = FILES["batch-summary"]
    payload = read_message(bytes.fromhex(vector["message"]), public)
    polls, samples, bad, low, span, rise = cbor2.loads(payload[12])
    steps = [step[p] for poll in polls for p in table["polls"][str(poll)] if step[p]]
    lost = read_column(bad, len(steps), signed=False)
    lows = list(accumulate(read_column(low, len(steps))))
    highs = read_column(span, len(steps), signed=False)
    means = read_column(rise, len(steps), signed=False)
    (figures,) = vector["figures"]
    assert [samples[0] - n for n in lost] == figures["good"] == [60, 31, 0]

    def scaled(numbers: list[int]) -> list[float | None]:
        triples = zip(numbers, steps, figures["good"], strict=True)
        return [n * s if g else None for n, s, g in triples]

    assert scaled(lows) == figures["minimum"]
    assert scaled([a + b for a, b in zip(lows, highs, strict=True)]) == figures["maximum"]
    assert scaled([a + b for a, b in zip(lows, means, strict=True)]) == figures["mean"]


@pytest.mark.parametrize("name", [n for n in FILES if n.startswith("command-")])
def test_commands(name: str) -> None:
    vector = FILES[name]
    message = bytes.fromhex(vector["message"])
    public = bytes.fromhex(KEYS["command"]["public"])
    command, kid = open_command(message, Trust([TrustedKey(public)]))
    assert kid.hex() == KEYS["command"]["kid"]
    assert maker().plain(asdict(command)) == vector["command"]
    payload = read_message(message, public)
    assert (payload[1], payload[2], payload[3]) == (command.gateway, command.number, command.order)


@pytest.mark.parametrize("name", ["heartbeat", "heartbeat-without-clock"])
def test_the_heartbeat(name: str) -> None:
    vector = FILES[name]
    message = bytes.fromhex(vector["message"])
    beat = open_heartbeat(message, TRUST)
    assert {k: maker().plain(getattr(beat, k)) for k in vector["heartbeat"]} == vector["heartbeat"]
    payload = read_message(message, bytes.fromhex(KEYS["device"]["public"]))
    assert payload[8]["fire"] == [0, bytes.fromhex(FILES["batch-fire"]["hash"])]
    with pytest.raises(UplinkError) as caught:
        open_batch(message, TRUST)
    assert caught.value.code == "wrong_type"


def test_the_acknowledgement() -> None:
    vector = FILES["ack-fire"]
    trust = Trust([TrustedKey(bytes.fromhex(KEYS["platform"]["public"]))])
    ack = open_ack(bytes.fromhex(vector["message"]), trust)
    assert {k: maker().plain(getattr(ack, k)) for k in vector["ack"]} == vector["ack"]


@pytest.mark.parametrize("case", sorted(FILES["refused"]))
def test_what_must_be_refused_is(case: str) -> None:
    vector = FILES["refused"][case]
    with pytest.raises(UplinkError) as caught:
        open_batch(bytes.fromhex(vector["message"]), TRUST)
    assert caught.value.code == vector["code"]


# --- a reader written from docs/uplink.md alone: nothing of agent.uplink below --------------------


def read_message(message: bytes, public: bytes) -> dict[int, Any]:
    tagged = cbor2.loads(message)
    assert tagged.tag == 18
    protected, unprotected, payload, signature = tagged.value
    assert unprotected == {}
    signed = cbor2.dumps(["Signature1", protected, b"", payload])
    Ed25519PublicKey.from_public_bytes(public).verify(signature, signed)
    assert cbor2.loads(protected)[1] == -8
    return dict(cbor2.loads(payload))


def read_plane(plane: bytes, count: int) -> list[int]:
    symbols, per_byte = ((1, 0), (2, 8), (3, 5), (4, 4), (6, 3), (16, 2), (256, 1))[plane[0] & 127]
    if not per_byte:
        return [plane[1]] * count
    body = zlib.decompress(plane[2:], -15) if plane[0] & 128 else plane[2:]
    out: list[int] = []
    for byte in body:
        digits, rest = [], byte
        for _ in range(per_byte):
            rest, digit = divmod(rest, symbols)
            digits.append(digit + plane[1])
        out += digits[::-1]
    return out[:count]


def read_column(planes: list[bytes], count: int, *, signed: bool = True) -> list[int]:
    out = [0] * count
    for k, plane in enumerate(planes):
        for at, byte in enumerate(read_plane(plane, count)):
            out[at] |= byte << (8 * k)
    return [(n >> 1) ^ -(n & 1) for n in out] if signed else out


def test_a_reader_written_from_the_document_reads_the_telemetry() -> None:
    public = bytes.fromhex(KEYS["device"]["public"])
    part = cbor2.loads(read_message(bytes.fromhex(FILES["batch-table"]["message"]), public)[12])
    table = cbor2.loads(zlib.decompress(part[3], -15))
    step = dict(zip(table[0], table[4], strict=True))
    vector = FILES["batch-telemetry"]
    payload = read_message(bytes.fromhex(vector["message"]), public)
    polls, counts, stamps, wide, firsts, deltas, floats, quality = cbor2.loads(payload[12])
    columns = [(p, point, n) for p, n in zip(polls, counts, strict=True) for point in table[5][p]]
    as_float = [step[point] == 0 or at in wide for at, (_, point, _) in enumerate(columns)]
    whole = [c for c, f in zip(columns, as_float, strict=True) if not f]
    first = iter(read_column(firsts, len(whole)))
    delta = iter(read_column(deltas, sum(n - 1 for _, _, n in whole)))
    floats_n = sum(n for (_, _, n), is_float in zip(columns, as_float, strict=True) if is_float)
    bits = iter(read_column(floats, floats_n, signed=False))
    grades = iter(read_plane(quality, sum(n for _, _, n in columns)))
    values: dict[int, list[list[float | None]]] = {p: [] for p in polls}
    before = 0
    for (poll, point, n), is_float in zip(columns, as_float, strict=True):
        row: list[float | None] = []
        if is_float:
            word = 0
            for _ in range(n):
                word ^= next(bits)
                row.append(float(np.array([word], "<u8").view("<f8")[0]))
        else:
            before = number = before + next(first)
            row.append(number * step[point])
            for _ in range(n - 1):
                number += next(delta)
                row.append(number * step[point])
        values[poll].append([None if next(grades) else v for v in row])
    for expected in vector["samples"]:
        found = values[expected["poll"]]
        assert [list(column) for column in zip(*expected["value"], strict=True)] == found
        assert all(v is None or math.isfinite(v) for row in found for v in row)
    stamp = iter(read_column(stamps, sum(counts)))
    for expected, n in zip(vector["samples"], counts, strict=True):
        total, step_ms, out = next(stamp), 0, []
        out.append(total)
        for _ in range(n - 1):
            step_ms += next(stamp)
            total += step_ms
            out.append(total)
        assert [payload[7] + 1_000_000 * ms for ms in out] == expected["mono_ns"]
