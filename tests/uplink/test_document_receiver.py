"""The receiver that was written from the document takes every vector, and refuses what it must."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest
from receiver_from_the_document import Bad, Receiver
from test_vectors import BATCHES, FILES, KEYS

from agent.uplink.ack import Ack, open_ack
from agent.uplink.cose import Trust, TrustedKey

GATEWAY = "tj-heping-0417"
LANES = {"epoch", "table", "fire", "event", "telemetry", "summary"}


def receiver() -> Receiver:
    made = Receiver(bytes.fromhex(KEYS["platform"]["private"]))
    made.trust(GATEWAY, bytes.fromhex(KEYS["device"]["public"]))
    return made


def topic(lane: str) -> str:
    return f"embergate/1/{GATEWAY}/up/{lane}"


def test_it_imports_nothing_of_the_product() -> None:
    tree = ast.parse((Path(__file__).with_name("receiver_from_the_document.py")).read_text())
    names = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    names |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert not {n for n in names if n.split(".")[0] in ("agent", "drivers", "config")}


@pytest.mark.parametrize("seed", range(6))
def test_it_takes_every_vector_in_any_order(seed: int) -> None:
    assert {FILES[name]["batch"]["lane"] for name in BATCHES} == LANES, "all lanes have vectors"
    r = receiver()
    names = [*BATCHES, "heartbeat"]
    random.Random(seed).shuffle(names)
    acks: list[Ack] = []
    trust = Trust([TrustedKey(bytes.fromhex(KEYS["platform"]["public"]))])
    for name in names:
        lane = "heartbeat" if name == "heartbeat" else FILES[name]["batch"]["lane"]
        raw = r.take(topic(lane), bytes.fromhex(FILES[name]["message"]))
        acks += [open_ack(message, trust) for message in raw]
    assert len(r.batches) == len(BATCHES)
    assert r.newest[0] == 0, "the heartbeat was believed"
    last = {(ack.epoch, ack.lane): (ack.seq, ack.hash.hex()) for ack in acks}
    heads: dict[tuple[bytes, str], tuple[int, str]] = {}
    for name in BATCHES:
        batch = FILES[name]["batch"]
        key = (bytes.fromhex(batch["epoch"]["hex"]), batch["lane"])
        heads[key] = max(heads.get(key, (-1, "")), (batch["seq"], FILES[name]["hash"]))
    assert last == heads


@pytest.mark.parametrize("case", sorted(FILES["refused"]))
def test_it_refuses_what_must_be_refused(case: str) -> None:
    vector = FILES["refused"][case]
    with pytest.raises(Bad) as caught:
        receiver().take(topic("fire"), bytes.fromhex(vector["message"]))
    assert caught.value.args == (vector["code"],)


def test_it_refuses_a_changed_neighbour_and_another_topic() -> None:
    r = receiver()
    fire = bytes.fromhex(FILES["batch-fire"]["message"])
    for where in (topic("event"), "embergate/1/another/up/fire"):
        with pytest.raises(Bad, match="foreign"):
            r.take(where, fire)
    with pytest.raises(Bad, match="wrong_type"):
        r.take(topic("heartbeat"), fire)
