"""Writes the test vectors of the uplink beside this file. Same input, same bytes (with zlib's
own deflate; another implementation may compress the table and telemetry to other, valid bytes).

    python tests/spec/uplink/make_vectors.py

The keys are test keys and known to everybody. Each vector is a JSON file: the message in hex, and
what a receiver must read in it. Byte strings in decoded values are {"hex": "..."}; NaN is null.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from agent.uplink.ack import Ack, seal_ack
from agent.uplink.batch import ZERO_HASH, Batch, Codec, Loss, LossReason, hash_of, seal
from agent.uplink.columns import PollSamples, decode_columns, encode_columns
from agent.uplink.command import Order, PlatformCommand, seal_command
from agent.uplink.cose import Signer
from agent.uplink.events import EpochData, EventRecord, Head, encode_epoch, encode_events
from agent.uplink.heartbeat import Heartbeat, seal_heartbeat
from agent.uplink.minutes import PollSummary, decode_minutes, encode_minutes
from agent.uplink.table import Table, encode_table, split_table, table_hash

HERE = Path(__file__).parent
GATEWAY = "tj-heping-0417"
DEVICE = bytes(range(32))
PLATFORM = bytes(range(32, 64))
COMMANDER = bytes(range(64, 96))
EPOCH = bytes.fromhex("e0e1e2e3e4e5e6e7")
EPOCH_2 = bytes.fromhex("f0f1f2f3f4f5f6f7")
BOOT = bytes.fromhex("b00700000000400080000000000000aa")
SESSION = bytes.fromhex("5e550000000040008000000000000001")
MONO = 90_000_000_000
WALL = 1_790_000_000_000_000_000
STEPS = {0: (0.1, 0.1, 1.0), 3: (0.0,)}
TABLE = Table(
    ids=(17, 18, 19, 40),
    names=("pumps.room_heat", "pumps.hall_heat", "pumps.hydrant", "panel.loop_current"),
    kinds=("heat", "heat", "water_pressure", "current"),
    units=("°C", "°C", "kPa", "mA"),
    resolutions=(0.1, 0.1, 1.0, 0.0),
    polls={0: (17, 18, 19), 3: (40,)},
    sources={"zones": ("pump_room",), "outputs": ("stair_b",), "devices": ("pumps", "panel"),
             "lines": ("riser", "control")},
    site="Heping Plaza tower B 和平广场",
)  # fmt: skip


def plain(value: Any) -> Any:
    """As JSON has it."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def readings() -> list[PollSamples]:
    """A spike, a sensor that is lost, a number that does not fit its resolution."""
    stamps = np.array([MONO + k * 1_000_000_000 + 2_000_000 * (k % 3) for k in range(6)])
    first = np.array([[21.5, 20.0, 612.0], [21.6, 20.0, 611.0], [21.5, 19.9, 613.0],
                      [64.2, 20.0, 612.0], [66.0, 0.0, 1e19], [69.9, 0.0, 612.0]])  # fmt: skip
    quality = np.zeros(first.shape, np.uint8)
    quality[4:, 1] = (2, 3)
    second = np.array([[4.0], [4.015625], [np.pi]])
    return [
        PollSamples(0, stamps.astype(np.int64), first, quality),
        PollSamples(3, stamps[::2].astype(np.int64), second, np.zeros((3, 1), np.uint8)),
    ]


def minutes() -> list[PollSummary]:
    """Whole numbers of the resolution; a sensor that was lost half of the time, and one always."""
    whole = [np.array(row, np.int64) for row in ([60, 31, 0], [215, -14, 0], [699, 201, 0],
                                                 [237, 94, 0])]  # fmt: skip
    return [PollSummary(0, 60, *whole)]


def event(seq: int, source: str, what: str, folded: int, body: dict[str, Any]) -> EventRecord:
    stamp = 1_000_000 * seq
    return EventRecord(SESSION, seq, source, what, MONO + stamp, WALL + stamp, 2, folded, body)


def batches() -> dict[str, Batch]:
    """Every lane, two epochs, every reason of a loss."""
    device = Signer(Ed25519PrivateKey.from_private_bytes(DEVICE))
    out: dict[str, Batch] = {}

    def add(
        name: str, lane: str, seq: int, prev: bytes, codec: int, data: bytes, **more: Any
    ) -> bytes:
        made = Batch(GATEWAY, more.pop("epoch", EPOCH), lane, seq, prev, BOOT, MONO,
                     MONO + 6_000_000_000, WALL, 2, codec, data, **more)  # fmt: skip
        out[name] = made
        return hash_of(seal(made, device))

    name = table_hash(encode_table(TABLE))
    epoch = add("epoch-first", "epoch", 0, ZERO_HASH, Codec.CBOR,
                encode_epoch(EpochData("first", {}, (), "embergate 0.1.0")))  # fmt: skip
    table = add("table", "table", 0, epoch, Codec.TABLE_PART, split_table(encode_table(TABLE))[0])
    fire = encode_events([event(1, "point/17", "point", 0, {"to": 1, "value": 64.2})])
    fire_head = add("fire", "fire", 0, epoch, Codec.CBOR, fire, table=name)
    events = encode_events([
        event(2, "zone/0", "zone", 0, {"to": 1}),
        event(3, "point/18", "point", 7,
              {"to": 8, "why": "探测器无应答", "deep": {"a": [None, True]}}),
    ])  # fmt: skip
    event_head = add("event", "event", 0, epoch, Codec.CBOR, events, table=name)
    evicted = Loss(LossReason.EVICTED, "telemetry", EPOCH, 0, 0)
    event_head = add("event-declares-eviction", "event", 1, event_head, Codec.CBOR,
                     encode_events([event(4, "record/store", "system", 0, {"event": "evicted"})]),
                     table=name, losses=(evicted,))  # fmt: skip
    steps = {poll: np.array(row) for poll, row in STEPS.items()}
    columns = encode_columns(readings(), steps.get, MONO)
    dropped = Loss(LossReason.DROPPED, "telemetry/3", b"", 0, 40)
    telemetry = add("telemetry", "telemetry", 0, epoch, Codec.COLUMNS, columns, table=name,
                    losses=(dropped,))  # fmt: skip
    add("summary", "summary", 0, epoch, Codec.SUMMARY, encode_minutes(minutes(), steps.get),
        table=name)  # fmt: skip
    heads = {
        "event": Head(EPOCH, 1, event_head), "fire": Head(EPOCH, 0, fire_head),
        "table": Head(EPOCH, 0, table),
    }  # fmt: skip
    damaged = Loss(LossReason.DAMAGED, "telemetry", EPOCH, 0, 2**63 - 1)
    second = EpochData("damage", heads, (damaged,), "embergate 0.1.0")
    add("epoch-after-damage", "epoch", 1, epoch, Codec.CBOR, encode_epoch(second), epoch=EPOCH_2)
    assert telemetry
    return out


def documents() -> dict[str, dict[str, Any]]:
    """File name without .json -> content."""
    device = Signer(Ed25519PrivateKey.from_private_bytes(DEVICE))
    platform = Signer(Ed25519PrivateKey.from_private_bytes(PLATFORM))
    commander = Signer(Ed25519PrivateKey.from_private_bytes(COMMANDER))
    out: dict[str, dict[str, Any]] = {
        "keys": {
            who: {"private": raw.hex(), "public": s.public.hex(), "kid": s.kid.hex()}
            for who, raw, s in (
                ("command", COMMANDER, commander),
                ("device", DEVICE, device),
                ("platform", PLATFORM, platform),
            )
        }
    }
    steps = {poll: np.array(row) for poll, row in STEPS.items()}
    for name, batch in batches().items():
        message = seal(batch, device)
        entry: dict[str, Any] = {"message": message.hex(), "hash": hash_of(message).hex()}
        entry["batch"] = plain(asdict(batch))
        if batch.codec == Codec.COLUMNS:
            entry["samples"] = [
                {"poll": s.poll, "mono_ns": plain(s.mono_ns), "value": plain(s.value),
                 "quality": plain(s.quality)}
                for s in decode_columns(batch.data, steps.get, batch.mono_first_ns)
            ]  # fmt: skip
        if batch.codec == Codec.SUMMARY:
            entry["figures"] = [plain(asdict(m)) for m in decode_minutes(batch.data, steps.get)]
        out[f"batch-{name}"] = entry
    out["batch-table"]["table"] = plain(asdict(TABLE))
    fire = out["batch-fire"]
    ack = Ack(GATEWAY, EPOCH, "fire", 0, bytes.fromhex(fire["hash"]), WALL + 1_000_000_000)
    out["ack-fire"] = {"message": seal_ack(ack, platform).hex(), "ack": plain(asdict(ack))}
    named = {"epoch": "batch-epoch-first", "fire": "batch-fire"}
    heads = {lane: (0, bytes.fromhex(out[name]["hash"])) for lane, name in named.items()}
    beat = Heartbeat(GATEWAY, EPOCH, 0, BOOT, MONO + 60_000_000_000, WALL, 2, heads)
    out["heartbeat"] = {
        "message": seal_heartbeat(beat, device).hex(), "heartbeat": plain(asdict(beat)),
    }  # fmt: skip
    blind = Heartbeat(GATEWAY, EPOCH, 0, BOOT, MONO, 5 * 10**9, 0, heads, bytes(range(16)))
    out["heartbeat-without-clock"] = {
        "message": seal_heartbeat(blind, device).hex(), "heartbeat": plain(asdict(blind)),
    }  # fmt: skip
    for name, command in commands().items():
        out[f"command-{name}"] = {
            "message": seal_command(command, commander).hex(), "command": plain(asdict(command)),
        }  # fmt: skip
    out["refused"] = refused(bytes.fromhex(fire["message"]), device, platform)
    return out


def commands() -> dict[str, PlatformCommand]:
    """One of every order; the first one to a gateway whose clock is unset."""
    life: dict[str, Any] = {"issued_ns": WALL, "expires_ns": WALL + 120_000_000_000}
    data = b"site: {id: tj-heping-0417}\n"
    args: dict[Order, dict[str, Any]] = {
        Order.DUTY: {"minutes": 10},
        Order.PROPOSE: {"kind": "configuration", "title": "lower levels", "data": data,
                        "hash": hashlib.sha256(data).digest()},
        Order.RESEND: {"epoch": EPOCH, "lane": "event", "first": 3, "last": 9},
    }  # fmt: skip
    made = {
        str(order): PlatformCommand(GATEWAY, 100 + i, order, args.get(order, {}), **life)
        for i, order in enumerate(Order)
    }
    made["without-clock"] = PlatformCommand(
        GATEWAY, 99, Order.ACKNOWLEDGE, {}, WALL, WALL + 120_000_000_000, bytes(range(16))
    )
    return made


def refused(fire: bytes, device: Signer, platform: Signer) -> dict[str, Any]:
    """Messages that a receiver must not believe, and the error code of docs/uplink.md."""
    flipped = bytearray(fire)
    flipped[-70] ^= 1
    batch = batches()["fire"]
    return {
        "payload changed": {"message": flipped.hex(), "code": "forged"},
        "cut short": {"message": fire[:-1].hex(), "code": "malformed"},
        "a byte too many": {"message": (fire + b"\x00").hex(), "code": "malformed"},
        "without its tag": {"message": fire[1:].hex(), "code": "malformed"},
        "key that is not trusted": {"message": seal(batch, platform).hex(), "code": "unknown_key"},
        "an acknowledgement": {
            "message": seal_ack(Ack(GATEWAY, EPOCH, "fire", 0, ZERO_HASH, WALL), device).hex(),
            "code": "wrong_type",
        },
    }


def text_of(document: dict[str, Any]) -> str:
    """A file's content."""
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def main() -> int:
    """Write every file."""
    for name, document in documents().items():
        (HERE / f"{name}.json").write_text(text_of(document), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
