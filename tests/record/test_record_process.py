"""The record as a real process: killed at any moment, its files torn, its disk limited."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from world_record import (
    GATEWAY,
    CourierEnd,
    FieldEnd,
    World,
    block_row,
    device_trust,
    event_row,
    run,
    verify,
)

from agent.ipc import IpcError, Refused
from agent.record.alarm_state import UNREADABLE
from agent.uplink.batch import open_batch
from agent.uplink.events import decode_epoch, decode_events

KILLS = 10


def stored(world: World, file: str = "events.db") -> list[Any]:
    """Every batch of a file, decoded, by an independent connection: the process must be gone."""
    db = sqlite3.connect(world.state / "record" / file)
    rows = db.execute("SELECT bytes FROM batch ORDER BY id").fetchall()
    db.close()
    return [open_batch(bytes(row[0]), device_trust()).batch for row in rows]


def stored_events(world: World) -> Counter[tuple[bytes, int]]:
    return Counter(
        (record.session, record.seq)
        for batch in stored(world) if batch.lane in ("event", "fire")
        for record in decode_events(batch.data)
    )  # fmt: skip


class Lives:
    """A field process that outlives its record, and keeps its side of the promise: what is not
    confirmed is sent again."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.world = world
        self.rng = rng
        self.session = rng.randbytes(16)
        self.said = self.promised = self.telemetry_promised = 0

    async def one(self) -> None:
        """Start a record, talk for a moment, kill it."""
        self.world.start()
        field = FieldEnd(self.session)
        reply = await field.join(self.world)
        assert reply["durable"] >= self.promised, "what was confirmed is on disk"
        assert reply["telemetry_durable"] >= self.telemetry_promised
        field.telemetry_durable = blocks = reply["telemetry_durable"]
        assert field.client is not None
        end = time.monotonic() + self.rng.uniform(0.02, 0.4)
        first = reply["durable"] + 1
        while time.monotonic() < end:
            count = self.rng.randint(1, 6)
            self.said = max(self.said, first + count - 1)
            lanes = [self.rng.choice(("event", "fire")) for _ in range(count)]
            rows = [event_row(first + k, lane) for k, lane in enumerate(lanes)]
            first += count
            field.client.send("submit", events=rows)
            blocks += 1
            row = block_row(blocks, blocks % 2)
            row[4] = blocks // 2 % 2  # the clock state flips: a batch ends
            field.client.send("telemetry", blocks=[row], dropped={})
            await asyncio.sleep(self.rng.uniform(0, 0.01))
        self.world.kill()
        self.promised = max(self.promised, field.durable)
        self.telemetry_promised = max(self.telemetry_promised, field.telemetry_durable)

    async def last(self) -> None:
        """A life in which everything is confirmed and acknowledged."""
        self.world.start()
        field = FieldEnd(self.session)
        reply = await field.join(self.world)
        assert field.client is not None
        rest = [event_row(seq) for seq in range(reply["durable"] + 1, self.said + 1)]
        if rest:
            await field.client.call("submit", events=rest)
        await field.until(lambda: field.durable == self.said)
        end = CourierEnd()
        await end.join(self.world)
        async with asyncio.timeout(20):
            while (await field.client.call("status"))["couriers"][0]["waiting"]:
                await asyncio.sleep(0.02)
        assert not end.findings
        assert end.history.problems() == []
        assert self.world.stop() == 0


def test_killed_at_any_moment_nothing_confirmed_is_lost_and_nothing_is_twice(world: World) -> None:
    lives = Lives(world, random.Random(20_261_122))

    async def test() -> None:
        for _ in range(KILLS):
            await lives.one()
        await lives.last()

    run(test)
    assert lives.promised > 50
    assert lives.telemetry_promised > 10
    of_field = {seq: n for (of, seq), n in stored_events(world).items() if of == lives.session}
    assert sorted(of_field) == [*range(1, lives.said + 1)], "each event is in the record"
    assert set(of_field.values()) == {1}, "and none is twice"
    code, report = verify(world.state)
    assert (code, report["problems"]) == (0, [])
    ordinals = [b.seq for b in stored(world) if b.lane == "epoch"]
    assert ordinals == [*range(KILLS + 1)]


def test_each_start_names_the_last_durable_heads(world: World) -> None:
    async def life(seq: int) -> None:
        world.start()
        field = FieldEnd(bytes(16))
        await field.join(world)
        assert field.client is not None
        await field.client.call("submit", events=[event_row(seq, "fire")])
        await field.until(lambda: field.durable == seq)
        world.kill()

    async def test() -> None:
        await life(1)
        await life(2)

    run(test)
    batches = stored(world)
    first, second = (decode_epoch(b.data) for b in batches if b.lane == "epoch")
    assert (first.reason, second.reason, dict(first.heads)) == ("first", "start", {})
    assert second.heads["fire"].seq == 0
    assert second.heads["table"].seq == 0
    assert len([b for b in batches if b.lane == "table"]) == 1, "the table is sealed once"


def test_the_alarm_state_outlives_a_kill_and_a_torn_copy(world: World) -> None:
    async def recalled() -> bytes | None:
        world.start()
        reply = await FieldEnd().join(world)
        world.kill()
        state: bytes | None = reply["state"]
        return state

    async def test() -> None:
        world.start()
        field = FieldEnd()
        assert (await field.join(world))["state"] is None
        assert field.client is not None
        for n in range(5):
            await field.client.call("alarm_state", state=b"fire in the pump room %d" % n)
        world.kill()
        files = [world.state / "record" / f"alarm-state.{x}" for x in "ab"]
        whole = [file.read_bytes() for file in files]
        for torn in (0, 1):
            for file, data in zip(files, whole, strict=True):
                file.write_bytes(data)
            files[torn].write_bytes(whole[torn][:-3])
            assert await recalled() == b"fire in the pump room 4"
        for file, data in zip(files, whole, strict=True):
            file.write_bytes(data[:20] + b"\x00" + data[21:])
        # Not "there was no fire": the field process has to say that nobody knows.
        assert await recalled() == UNREADABLE

    run(test)


def _damage(path: Path, how: str, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if how == "cut":
        del data[len(data) // 2 + 100 :]
    elif how == "zeros":
        data[4096 : 4096 * 3] = bytes(8192)
    elif how == "header":
        data[:100] = rng.randbytes(100)
    else:
        for _ in range(40):
            at = rng.randrange(4096, len(data) - 64)
            data[at : at + 64] = rng.randbytes(64)
    path.write_bytes(bytes(data))
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("file", "how"),
    [
        ("events.db", "cut"),
        ("events.db", "zeros"),
        ("events.db", "noise"),
        ("telemetry.db", "header"),
        ("telemetry.db", "noise"),
    ],
)
def test_a_damaged_file_is_set_aside_and_declared(world: World, file: str, how: str) -> None:
    async def life(first: int, count: int) -> None:
        world.start()
        field = FieldEnd(bytes(16))
        reply = await field.join(world)
        assert field.client is not None
        blocks = reply["telemetry_durable"]
        for seq in range(max(first, reply["durable"] + 1), first + count):
            row = [*event_row(seq)[:8], {"text": "x" * 2000}]
            await field.client.call("submit", events=[row])
            row = block_row(blocks + seq, 0)
            row[4] = seq % 2
            await field.client.call("telemetry", blocks=[row], dropped={})
        await field.until(lambda: field.durable == first + count - 1)
        assert world.stop() == 0

    async def test() -> None:
        await life(1, 40)
        _damage(world.state / "record" / file, how, random.Random(7))
        await life(41, 20)
        await life(61, 5)

    run(test)
    record = world.state / "record"
    assert (record / f"{file}.damaged-1").exists()
    other = {"events.db", "telemetry.db"} - {file}
    assert not (record / f"{other.pop()}.damaged-1").exists()
    code, report = verify(world.state)
    assert code == 0, report
    codes = {f["code"] for f in report["gateways"][GATEWAY]["findings"]}
    assert codes == {"declared_loss"}
    epochs = [b for b in stored(world) if b.lane == "epoch"]
    assert [b.seq for b in epochs][-2:] == [1, 2], "numbers go on after the damage"


def test_a_disk_that_takes_nothing_more_lets_fire_leave_and_heals_at_the_next_start(
    world: World,
) -> None:
    async def test() -> None:
        world.start(limit_bytes=160 * 1024)
        field, end = FieldEnd(bytes(16)), CourierEnd()
        await field.join(world)
        await end.join(world)
        assert field.client is not None
        seq = 0
        while not field.notices:
            seq += 1
            body = {"text": "x" * 1000}
            await field.client.call("submit", events=[[*event_row(seq)[:8], body]])
            assert seq < 2000
        assert field.notices[-1]["source"] == "record.disk"
        confirmed = field.durable
        await field.client.call("submit", events=[event_row(seq + 1, "fire")])
        await end.until(lambda: any(o.batch.lane == "fire" for o in end.order))
        assert field.durable == confirmed < seq
        world.kill()
        world.start()
        again = FieldEnd(field.session)
        reply = await again.join(world)
        assert reply["durable"] >= confirmed
        assert again.client is not None
        rest = [event_row(n) for n in range(reply["durable"] + 1, seq + 2)]
        await again.client.call("submit", events=rest)
        await again.until(lambda: again.durable == seq + 1)
        assert world.stop() == 0

    run(test)
    found = stored_events(world)
    assert set(found.values()) == {1}
    assert verify(world.state)[0] == 0


def test_without_a_good_key_or_plan_it_ends_with_78_and_says_what_to_do(world: World) -> None:
    key = world.keys / "device.key"

    def ends() -> tuple[int, str]:
        world.start()
        assert world.process is not None
        status = world.process.wait(15)
        return status, (world.root / "log").read_text()

    key.chmod(0o640)
    status, log = ends()
    assert status == 78
    assert "chmod 600" in log
    key.chmod(0o600)
    secret = key.read_text()
    key.write_text(secret.replace("PRIVATE KEY", "PRIVATE KEYS"))
    status, log = ends()
    assert status == 78
    assert secret.splitlines()[1] not in log
    key.unlink()
    assert ends()[0] == 78
    world.plan_path.write_bytes(b"nonsense")
    status, log = ends()
    assert status == 78
    assert "embergate plan" in log


def test_it_stays_small(world: World) -> None:
    async def test() -> None:
        world.start()
        field, end = FieldEnd(), CourierEnd()
        await field.join(world)
        await end.join(world)
        assert world.process is not None
        status = Path(f"/proc/{world.process.pid}/status").read_text()
        rss_kb = int(status.split("VmRSS:")[1].split()[0])
        assert rss_kb < 60_000, "what is imported decides this; the benchmark says it exactly"
        assert field.client is not None
        field.client.close()
        with pytest.raises((IpcError, Refused)):
            await field.client.call("status")

    run(test)
