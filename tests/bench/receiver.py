"""What one receiver does on one core: verify, judge, keep and acknowledge, without a broker."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from bench.figures import Figures

sys.path.insert(0, str(Path(__file__).parents[1] / "courier"))

from gateways import Gateway, platform_key

from agent.receiver.ingest import Ingest, Message
from agent.receiver.store import open_store
from agent.receiver.trust import read_signer, read_trust
from agent.uplink.batch import open_batch

GATEWAYS = 50
ROUNDS = 100
GROUP = 128


def measure(figures: Figures) -> None:
    """Three batches of events to two of telemetry, of many gateways, as they come mixed."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        with tempfile.TemporaryDirectory(prefix="eb-", dir="/tmp") as home:
            _measure(figures, Path(home))
    finally:
        os.sched_setaffinity(0, cores)


def _measure(figures: Figures, home: Path) -> None:
    platform_key(home / "platform")
    gateways = [Gateway(f"gw-{n}", seed=n + 1) for n in range(GATEWAYS)]
    for gateway in gateways:
        gateway.trust(home / "trust.json")
    sent = [m for g in gateways for m in (g.epoch(), g.table())]
    for n in range(ROUNDS):
        sent += [g.telemetry(10) if n % 5 > 2 else g.events("event", "a") for g in gateways]
    messages = [Message(*m) for m in sent]
    trust = read_trust(home / "trust.json")
    begun = time.perf_counter()
    for message in messages:
        open_batch(message.payload, trust.trust)
    took = time.perf_counter() - begun
    figures.add(
        "receiver_verify", len(messages) / took, "batches/s",
        "one core: signature, strict decoding, key bound to its gateway", ">= 2000",
    )  # fmt: skip
    store = open_store(str(home / "received.db"))
    signer = read_signer(home / "platform")
    ingest = Ingest(store, trust, signer, time.time_ns, lambda _note: None)
    begun, cpu = time.perf_counter(), time.process_time()
    acks = 0
    for at in range(0, len(messages), GROUP):
        acks += len(ingest.take(messages[at : at + GROUP]))
    took, cpu = time.perf_counter() - begun, time.process_time() - cpu
    store.close()
    figures.add(
        "receiver_whole", len(messages) / took, "batches/s",
        f"the same core: {GATEWAYS} gateways in groups of {GROUP}, verified, judged, decoded, "
        f"kept in SQLite (synchronous=FULL) and {acks} acknowledgements signed", ">= 2000",
    )  # fmt: skip
    figures.add(
        "receiver_cpu", cpu * 1e6 / len(messages), "us a batch", "the same, time of the processor",
    )  # fmt: skip
