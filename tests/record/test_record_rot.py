"""Rot where SQLite does not look: rows that are well-formed and wrong, files of another gateway."""

from __future__ import annotations

import asyncio
import dataclasses
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from world_record import (
    CourierEnd,
    FieldEnd,
    InLoop,
    World,
    block_at,
    call,
    event_at,
    make_plan,
    run,
    verify,
)

EVENTS, TELEMETRY = "events.db", "telemetry.db"


async def life(world: World, end: CourierEnd | None = None) -> dict[str, str]:
    """Events and telemetry, all of it stored and, with a platform, acknowledged. Its faults."""
    async with InLoop(world) as loop:
        field = FieldEnd()
        await field.join(world)
        if end is not None:
            await end.join(world)
        for seq in range(1, 7):
            rows = [event_at(loop.clock, seq, "event" if seq % 3 else "fire")]
            await call(field, "submit", events=rows)
        for seq in range(1, 13):
            await call(field, "telemetry", blocks=[block_at(loop.clock, seq)])
            loop.clock.move(1)
        status = loop.service.status_of
        await loop.until(
            lambda: (
                field.durable == 6
                and field.telemetry_durable > 0
                and (end is None or status("platform")["waiting"] == 0)
            ),
            8,
        )
        return dict(loop.service.faults)


def edit(world: World, file: str, statement: str) -> None:
    db = sqlite3.connect(world.state / "record" / file)
    assert db.execute(statement).rowcount > 0
    db.commit()
    db.close()


@pytest.mark.parametrize("file", [EVENTS, TELEMETRY])
@pytest.mark.parametrize(
    "rot",
    [
        "UPDATE epoch SET hash=zeroblob(32)",
        "UPDATE epoch SET epoch=zeroblob(8)",
        "UPDATE epoch SET epoch='text', hash=7",
        "UPDATE epoch SET ordinal=9223372036854775807",
        "INSERT INTO epoch VALUES (9223372036854775807, zeroblob(8), zeroblob(32))",
        "INSERT INTO epoch VALUES (-7, zeroblob(8), zeroblob(32))",
    ],
)
def test_the_table_of_epochs_is_not_believed_where_a_signed_batch_says_better(
    world: World, file: str, rot: str
) -> None:
    """A wrong hash in it went into the next epoch, and no platform believed that one."""

    async def test() -> None:
        end = CourierEnd()
        await life(world, end)
        edit(world, file, rot)
        (world.run / "record.epoch").unlink()
        await life(world, end)
        await life(world, end)
        assert end.findings == []
        assert end.history.problems() == []
        opened = [o for o in end.order if o.batch.lane == "epoch"]
        assert [o.batch.seq for o in opened] == [0, 1, 2]
        db = sqlite3.connect(world.state / "record" / EVENTS)
        rows = set(db.execute("SELECT * FROM epoch").fetchall())
        db.close()
        assert {(o.batch.seq, o.batch.epoch, o.hash) for o in opened} <= rows, "it is mended"

    run(test)


def _in_the_index(path: Path, old: bytes, new: bytes) -> None:
    db = sqlite3.connect(path)
    (page,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name='batch_number'").fetchone()
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(path.read_bytes())
    at = data.index(old, (page - 1) * 4096)
    assert at < page * 4096
    data[at : at + len(new)] = new
    path.write_bytes(bytes(data))


def _rows(statement: str) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        db = sqlite3.connect(path)
        db.execute("PRAGMA ignore_check_constraints=1")
        assert db.execute(statement).rowcount > 0
        db.commit()
        db.close()

    return damage


def _in_the_schema(path: Path) -> None:
    """SQLite quotes the name that it does not find in the message of its error."""
    sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)").connection.close()
    data = path.read_bytes()
    assert data.index(b"TABLE epoch") < 4096
    path.write_bytes(data.replace(b"CREATE TABLE epoch", b"CREATE\xe4TABLE epoch", 1))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: _in_the_index(path, b"event", b"zvent"),  # found there, and not in the table
        lambda path: _in_the_index(path, b"event", b"\xe5vent"),  # no text any more
        _in_the_schema,
        _rows("UPDATE batch SET lane=CAST(x'E5' AS TEXT) WHERE lane='event'"),
        _rows("UPDATE batch SET bytes=123456789012 WHERE lane='fire'"),
        _rows("UPDATE batch SET bytes='' WHERE lane='epoch'"),
        _rows("UPDATE batch SET ordinal='x' WHERE lane='fire'"),
    ],
)
def test_rows_of_any_kind_are_damage_and_no_reason_not_to_start(
    world: World, damage: Callable[[Path], None]
) -> None:
    async def test() -> None:
        await life(world)
        damage(world.state / "record" / EVENTS)
        assert "set aside" in (await life(world))["record.events"]
        assert verify(world.state)[0] == 0

    run(test)


def test_rot_met_by_a_courier_ends_the_process_and_the_file_is_set_aside(world: World) -> None:
    async def test() -> None:
        await life(world)
        edit(world, EVENTS, "UPDATE batch SET bytes=zeroblob(40) WHERE lane='event' AND seq=1")
        async with InLoop(world) as loop:
            await FieldEnd().join(world)
            await CourierEnd().join(world)
            await loop.until(loop.service.ended.is_set)
        assert (world.state / "record" / "events.db.is-damaged").exists()
        assert "set aside" in (await life(world, CourierEnd()))["record.events"]

    run(test)


@pytest.mark.parametrize("files", [(EVENTS, TELEMETRY), (EVENTS,), (TELEMETRY,)])
def test_files_of_another_gateway_are_set_aside(world: World, files: tuple[str, ...]) -> None:
    """Its batches, which no platform takes from here, would keep our fires waiting for ever."""
    other = World(dataclasses.replace(make_plan(), site_id="tj-other-0002"))
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(7, 39)))
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (other.keys / "device.key").write_bytes(pem)

    async def test() -> None:
        end = CourierEnd()
        for _ in range(3):
            await life(other)
        await life(world, end)
        for file in files:
            shutil.copy(other.state / "record" / file, world.state / "record" / file)
        faults = await life(world, end)
        for file in files:
            assert "of gateway 'tj-other-0002'" in faults[f"record.{file.removesuffix('.db')}"]
        assert end.findings == []
        assert end.history.problems() == []
        assert [o.batch.seq for o in end.order if o.batch.lane == "epoch"] == [0, 1]

    try:
        asyncio.run(asyncio.wait_for(test(), 30))
    finally:
        other.close()
    assert verify(world.state)[0] == 0
