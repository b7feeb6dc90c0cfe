"""docs/uplink.schema.json against a validator that nobody here wrote, and against the vectors."""

from __future__ import annotations

import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from test_vectors import BATCHES, FILES, KEYS, maker

from agent.uplink.events import decode_epoch, decode_events

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "uplink.schema.json").read_text("utf-8"))


def wrong(kind: str, value: Any) -> list[str]:
    """What is wrong with a value, as places."""
    rule = {"$ref": f"#/$defs/{kind}", "$defs": SCHEMA["$defs"]}
    return [e.json_path for e in Draft202012Validator(rule).iter_errors(value)]


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", BATCHES)
def test_every_vector_fits(name: str) -> None:
    vector = FILES[name]
    assert wrong("batch", vector["batch"]) == []
    data = bytes.fromhex(vector["batch"]["data"]["hex"])
    plain, lane = maker().plain, vector["batch"]["lane"]
    if lane in ("fire", "event"):
        rows = [plain(asdict(e)) for e in decode_events(data)]
        assert wrong("events", rows) == []
        assert wrong("events", [{**rows[0], "what": "point", "body": {"to": "fire"}}]) != []
    elif lane == "epoch":
        opened = decode_epoch(data)
        row = plain(asdict(opened))
        row["heads"] = {k: plain([h.epoch, h.seq, h.hash]) for k, h in opened.heads.items()}
        assert wrong("epoch_data", row) == []
    for part, kind in (("table", "table"), ("samples", "samples"), ("figures", "figures")):
        if part in vector:
            assert wrong(kind, vector[part]) == []


def test_the_others_fit() -> None:
    assert wrong("heartbeat", FILES["heartbeat"]["heartbeat"]) == []
    assert wrong("heartbeat", FILES["heartbeat-without-clock"]["heartbeat"]) == []
    assert wrong("ack", FILES["ack-fire"]["ack"]) == []
    for name in (n for n in FILES if n.startswith("command-")):
        assert wrong("command", FILES[name]["command"]) == []
        assert wrong("command", {**FILES[name]["command"], "order": "silence"}) != []
    key = KEYS["device"]
    public = base64.b64encode(bytes.fromhex(key["public"])).decode()
    row = {"gateway": "a", "kid": key["kid"], "algorithm": "ed25519", "public": public}
    assert wrong("trust_list", {"version": 1, "keys": [row]}) == []
    assert wrong("trust_list", {"version": 1, "keys": [{**row, "algorithm": "none"}]}) != []


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gateway", "a/b"), ("gateway", ""), ("epoch", {"hex": "00"}), ("lane", "heartbeat"),
        ("lane", "A"), ("seq", -1), ("seq", 2**63), ("seq", 1.5), ("prev", {"hex": "zz" * 32}),
        ("boot", None), ("clock", 3), ("codec", "0"), ("data", "aa"), ("table", {"hex": "aa"}),
        ("losses", [{"reason": 5}]), ("another", 1),
        ("losses", [{"reason": 4, "lane": "x", "epoch": {"hex": "00" * 8}, "first": 0, "last": 1}]),
    ],
)  # fmt: skip
def test_what_the_document_forbids_does_not_fit(key: str, value: Any) -> None:
    assert wrong("batch", {**FILES["batch-fire"]["batch"], key: value}) != []
