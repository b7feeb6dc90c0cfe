"""`embergate verify` on journals that are whole, tampered with, or being written."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from world_record import (
    GATEWAY,
    CourierEnd,
    FieldEnd,
    World,
    block_row,
    event_row,
    run,
    verify,
)

# --- embergate verify -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Iterator[World]:
    """A journal with two epochs, events and telemetry, its process gone."""
    made = World()

    async def test() -> None:
        end = CourierEnd()
        for start in (0, 1):
            made.start()
            field = FieldEnd(bytes(16))
            reply = await field.join(made)
            await end.join(made)
            assert field.client is not None
            for seq in range(start * 10 + 1, start * 10 + 11):
                lane = "fire" if seq % 3 == 0 else "event"
                await field.client.call("submit", events=[event_row(seq, lane)])
                row = block_row(reply["telemetry_durable"] + seq, 0)
                row[4] = seq % 2
                await field.client.call("telemetry", blocks=[row], dropped={})
            await field.until(lambda: field.durable == start * 10 + 10)  # noqa: B023 -- awaited at once
            async with asyncio.timeout(10):
                while (await field.client.call("status"))["couriers"][0]["waiting"]:
                    await asyncio.sleep(0.02)
            assert made.stop() == 0

    try:
        run(test)
        yield made
    finally:
        made.close()


def _copy(world: World, tmp_path: Path) -> Path:
    shutil.copytree(world.state, tmp_path / "state")
    shutil.copytree(world.keys, tmp_path / "state" / "keys")
    return tmp_path / "state"


def _all_batches(world: World) -> list[bytes]:
    out: list[bytes] = []
    for file in ("events.db", "telemetry.db"):
        db = sqlite3.connect(world.state / "record" / file)
        out += [bytes(r[0]) for r in db.execute("SELECT bytes FROM batch ORDER BY id")]
        db.close()
    return out


TAMPER: dict[str, tuple[str, str]] = {
    "a batch is taken out": ("events.db", "DELETE FROM batch WHERE lane='event' AND seq=2"),
    "a tail is cut off": ("events.db", "DELETE FROM batch WHERE lane='event' AND seq>=3"),
    "the newest tail is cut off": (
        "telemetry.db", "DELETE FROM batch WHERE ordinal=1 AND seq>=5",
    ),
    "an epoch is taken out": ("events.db", "DELETE FROM batch WHERE lane='epoch' AND seq=0"),
    "two batches change places": (
        "events.db",
        "UPDATE batch SET bytes=(SELECT bytes FROM batch b2 WHERE b2.lane='event' AND b2.seq="
        "3-batch.seq AND b2.ordinal=batch.ordinal) WHERE lane='event' AND seq IN (1, 2)",
    ),
    "a byte is changed": (
        "events.db", "UPDATE batch SET bytes=bytes||x'00' WHERE lane='fire' AND seq=0",
    ),
    "a number is changed": ("events.db", "UPDATE batch SET seq=99 WHERE lane='fire' AND seq=0"),
}  # fmt: skip


@pytest.mark.parametrize("case", TAMPER)
def test_verify_reports_tampering(whole: World, tmp_path: Path, case: str) -> None:
    state = _copy(whole, tmp_path)
    assert verify(state)[0] == 0
    file, statement = TAMPER[case]
    db = sqlite3.connect(state / "record" / file)
    assert db.execute(statement).rowcount > 0
    db.commit()
    db.close()
    code, report = verify(state)
    assert code == 1
    errors = [f for f in report["gateways"][GATEWAY]["findings"] if f["error"]]
    assert errors or report["problems"]


def test_verify_reads_a_file_of_batches(whole: World, tmp_path: Path) -> None:
    batches = _all_batches(whole)
    file = tmp_path / "batches.bin"
    key = ("--trust", str(whole.keys))
    file.write_bytes(b"".join(reversed(batches)))
    assert verify(file, *key)[0] == 0
    file.write_bytes(b"".join(batches[:5] + batches[6:]))
    assert verify(file, *key)[0] == 1
    file.write_bytes(b"".join(batches) + b"rest")
    assert verify(file, *key)[0] == 1
    file.write_bytes(b"".join(batches + batches[:3]))
    code, report = verify(file, *key)
    assert (code, report["gateways"][GATEWAY]["duplicates"]) == (0, 3)
    file.write_bytes(b"")
    assert verify(file, *key)[0] == 1


def test_verify_with_another_key_believes_nothing(whole: World, tmp_path: Path) -> None:
    shutil.copy(whole.keys / "platform.pub", tmp_path / "other.pub")
    code, report = verify(whole.state, "--trust", str(tmp_path / "other.pub"))
    assert code == 1
    assert report["gateways"] == {}
    assert report["refused"] == len(_all_batches(whole))


def test_verify_does_not_disturb_a_record_that_writes(world: World) -> None:
    async def test() -> None:
        world.start()
        field = FieldEnd()
        await field.join(world)
        assert field.client is not None
        shutil.copytree(world.keys, world.state / "keys")
        for round_ in range(3):
            for seq in range(round_ * 20 + 1, round_ * 20 + 21):
                field.client.send("submit", events=[event_row(seq)])
            code, report = await asyncio.to_thread(verify, world.state)
            assert code == 0, report
            await field.until(lambda: field.durable == round_ * 20 + 20)  # noqa: B023 -- awaited at once
        assert field.notices == []
        assert world.stop() == 0

    run(test)
    assert verify(world.state)[0] == 0
