"""Any file of the state directory rots: it is set aside or said to be damaged, and work goes on."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from pathlib import Path

import pytest
from buildings import Broken, Building, Nursery, building, stored_in
from checker import events_of
from suites import WHOLE, everyone, share, tell
from world_record import CourierEnd, verify

from agent.ipc import IpcError

FILES = (
    "events.db", "events.db-wal", "telemetry.db", "telemetry.db-wal", "alarm-state.a",
    "alarm-state.b", "reserve",
)  # fmt: skip
WAYS = ("bit", "bits", "sector", "zeros", "cut", "empty", "gone", "noise", "longer")
ROUNDS = 5
HOURS = pytest.mark.timeout(3_600 if WHOLE else 120)


def rot(path: Path, way: str, rng: random.Random) -> bool:
    """Damage a file; whether there was anything to damage."""
    if not path.exists() or not path.stat().st_size:
        return False
    data = bytearray(path.read_bytes()[: 1 << 22])
    match way:
        case "bit" | "bits":
            for _ in range(1 if way == "bit" else rng.randint(2, 60)):
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        case "sector" | "zeros":
            at = rng.randrange(0, len(data), 512)
            size = len(data[at : at + 512])
            data[at : at + size] = rng.randbytes(size) if way == "sector" else bytes(size)
        case "cut":
            del data[rng.randrange(len(data)) :]
        case "empty":
            data = bytearray()
        case "noise":
            data = bytearray(rng.randbytes(len(data)))
        case "longer":
            data += rng.randbytes(rng.randint(1, 8_192))
    if way == "gone":
        path.unlink()
    else:
        path.write_bytes(bytes(data))
    return True


async def peace(made: Building) -> None:
    """Lives until one lasts in which all is stored and a new platform has everything."""
    made.platform = CourierEnd()
    for _ in range(5):
        with contextlib.suppress(IpcError):
            await made.start()
            await made.join(patient=True)
            assert made.field is not None
            field = made.field
            first = made.said + 1
            for _ in range(3):
                await made.talk()
            await field.until(lambda: field.durable >= made.said, 10)  # noqa: B023 -- awaited at once
            assert made.said > first
            await made.delivered()
            assert await made.stop() == 0
            return
        await made.kill()
    raise Broken(f"seed {made.seed}: no life lasts: {made.log()[-3000:]}")


def judge(made: Building, promised: set[tuple[bytes, int]], name: str) -> str:
    """What became of it: "whole", "declared" or "said". Raises Broken for a silent loss."""
    code, report = verify(made.state, "--trust", str(made.keys / "device.pub"))
    if code:
        return "said"
    stored = stored_in(made.state / "record")
    lost = promised - {(r.session, r.seq) for _, r in events_of(stored)}
    declared = any(
        finding["code"] == "declared_loss"
        for account in report["gateways"].values()
        for finding in account["findings"]
    )
    if lost and not declared and not name.endswith("-wal"):
        raise Broken(f"seed {made.seed}: {len(lost)} events are gone and nobody says so")
    if lost and not declared:  # the newest transactions, without a witness: docs/uplink.md, 11
        last = max(n for _, n in promised)
        if sorted(n for _, n in lost) != [*range(last + 1 - len(lost), last + 1)]:
            raise Broken(f"seed {made.seed}: events are gone from the midst: {sorted(lost)}")
        return "tail"
    return "declared" if declared else "whole"


@HOURS
def test_any_file_rots(shim: Path) -> None:
    seen: Counter[str] = Counter()

    async def one(nursery: Nursery, case: tuple[int, str, str]) -> None:
        _, name, way = case
        seed = hash_of(case)
        async with building(nursery, seed) as made:
            made.platform = CourierEnd(acknowledge=False)  # everything is yet to be sent
            await made.life(kill_at=0, steps=6)
            if made.rng.random() < 0.5 and not name.endswith("-wal"):
                await made.start()
                await made.join()
                await made.stop()  # what is stored is all in the file
            promised = made.ledger.promised()
            if not rot(made.state / "record" / name, way, made.rng):
                seen["nothing there"] += 1
                return
            made.disk.settle()
            await peace(made)
            seen[judge(made, promised, name)] += 1
            problems = [*made.platform.findings, *made.platform.history.problems()]
            if problems:
                raise Broken(f"seed {seed} {case}: {problems[:3]}")

    cases = [(n, name, way) for n in range(ROUNDS) for name in FILES for way in WAYS]
    random.Random(6).shuffle(cases)
    everyone(shim, share(cases, 10), one, 3_000 if WHOLE else 90)
    tell(f"rot: {dict(seen)}, nothing lost in silence")
    assert sum(seen.values()) >= 10


def hash_of(case: tuple[int, str, str]) -> int:
    """A seed of one case, the same in every run."""
    return case[0] * 1_000 + FILES.index(case[1]) * 20 + WAYS.index(case[2])
