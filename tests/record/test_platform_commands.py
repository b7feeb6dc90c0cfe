"""Commands of a platform at a record: who is obeyed, once, in time, and what is put on record."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import hashlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from world_record import (
    GATEWAY,
    CourierEnd,
    FieldEnd,
    InLoop,
    World,
    event_at,
    make_plan,
    run,
    verify,
)

from agent.core.types import ClockState
from agent.ipc import Refused
from agent.record.proposals import Proposals
from agent.uplink.command import Order, PlatformCommand, open_command, seal_command
from agent.uplink.cose import Signer, Trust, TrustedKey
from agent.uplink.errors import UplinkError
from config.limits import COMMAND_EARLY_NS_MAX, COMMAND_LIFE_NS_MAX, HEARTBEAT_NS, PROPOSALS_MAX, S
from config.plan import Courier, encode_plan

COMMANDER = Ed25519PrivateKey.from_private_bytes(bytes(range(64, 96)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(range(96, 128)))
ALL = tuple(str(order) for order in Order)
TRUST = Trust([TrustedKey(COMMANDER.public_key().public_bytes_raw())])


class Site:
    """A record in this loop, a field process and a courier that brings commands."""

    def __init__(self, world: World, loop: InLoop) -> None:
        self.world, self.loop, self.field = world, loop, FieldEnd()
        self.courier = CourierEnd()
        self.seq = 0

    def made(self, order: Order, number: int = 1, **more: Any) -> PlatformCommand:
        wall_ns = self.loop.clock.wall
        given = {"gateway": GATEWAY, "issued_ns": wall_ns, "expires_ns": wall_ns + 120 * S, **more}
        return PlatformCommand(number=number, order=order, **given)

    async def ask(self, command: PlatformCommand, key: Ed25519PrivateKey = COMMANDER) -> str:
        """ "done", or the code of the refusal."""
        assert self.courier.client is not None
        message = seal_command(command, Signer(key))
        try:
            await self.courier.client.call("command", message=message)
        except Refused as e:
            return e.code
        return "done"

    async def say(self, lane: str, what: str, **body: Any) -> None:
        self.seq += 1
        row = event_at(self.loop.clock, self.seq, lane)
        row[2], row[3], row[8] = f"{what}/x", what, body
        assert self.field.client is not None
        await self.field.client.call("submit", events=[row])

    async def said(self, event: str, count: int) -> list[dict[str, Any]]:
        """Events of the record itself, when there are so many on disk."""
        async with asyncio.timeout(10):
            while True:
                found = [b for b in await self.bodies() if b.get("event") == event]
                if len(found) >= count:
                    return found
                self.loop.service.tick()
                await asyncio.sleep(0.005)

    async def bodies(self) -> list[dict[str, Any]]:
        assert self.field.client is not None
        for _ in range(200):
            with contextlib.suppress(Refused):
                rows = (await self.field.client.call("log", lane="event"))["rows"]
                return [r[7] for row in rows for r in row["records"]]
            await asyncio.sleep(0.01)
        raise AssertionError("the log does not answer")


@contextlib.asynccontextmanager
async def site(
    allowed: tuple[str, ...] = ALL, *, pinned: bool = True, world: World | None = None
) -> AsyncIterator[Site]:
    settings = {"commands": allowed} if allowed else {}
    plan = dataclasses.replace(make_plan(), couriers=(Courier("platform", "mqtt", settings),))
    world = world or World(plan)
    world.plan_bytes = encode_plan(plan)
    if pinned:
        pem = COMMANDER.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (world.keys / "command.pub").write_bytes(pem)
    async with InLoop(world) as loop:
        made = Site(world, loop)
        await made.field.join(world)
        await made.courier.join(world)
        yield made


def test_an_acknowledgement_reaches_the_field_once_and_is_on_record() -> None:
    async def test() -> None:
        async with site() as s:
            assert await s.ask(s.made(Order.ACKNOWLEDGE, 7)) == "done"
            await s.field.until(lambda: any(m["e"] == "order" for m in s.field.told))
            (order,) = [m for m in s.field.told if m["e"] == "order"]
            assert order["verb"] == "acknowledge"
            assert order["who"].startswith("platform ")
            assert await s.ask(s.made(Order.ACKNOWLEDGE, 7)) == "replayed"
            assert await s.ask(s.made(Order.ACKNOWLEDGE, 3)) == "replayed"
            said = await s.said("command", 1)
            assert [(b["order"], b["number"], b["outcome"]) for b in said] == [
                ("acknowledge", 7, "done")
            ]
        assert verify(s.world.state)[0] == 0, "the counter is no place of a lane"
        # The counter outlives the process.
        async with site(world=s.world) as again:
            assert await again.ask(again.made(Order.ACKNOWLEDGE, 7)) == "replayed"
            assert await again.ask(again.made(Order.ACKNOWLEDGE, 8)) == "done"
        s.world.close()

    run(test)


def test_a_journal_put_back_from_a_copy_makes_no_old_command_new() -> None:
    """The counter is as old as the copy: what was issued before the start counts as done."""

    async def test() -> None:
        async with site() as s:
            assert await s.ask(s.made(Order.TIME, 1)) == "done"
        copy = s.world.root / "copy"
        shutil.copytree(s.world.state / "record", copy)
        async with site(world=s.world) as s:
            done = s.made(Order.ACKNOWLEDGE, 2, expires_ns=s.loop.clock.wall + COMMAND_LIFE_NS_MAX)
            assert await s.ask(done) == "done"
        shutil.rmtree(s.world.state / "record")
        copy.rename(s.world.state / "record")
        async with site(world=s.world) as s:
            assert await s.ask(done) == "replayed"
            s.loop.clock.move(COMMAND_EARLY_NS_MAX / S + 1)
            await s.loop.until(lambda: not s.loop.service.journal.trouble())
            assert await s.ask(s.made(Order.TIME, 3)) == "done"
        s.world.close()

    run(test)


def test_who_and_what_is_refused() -> None:
    async def test() -> None:
        async with site(("acknowledge",)) as s:
            make, wall = s.made, s.loop.clock.wall
            for command, key, code in (
                (make(Order.ACKNOWLEDGE), STRANGER, "unknown_key"),
                (make(Order.ACKNOWLEDGE, gateway="another"), COMMANDER, "foreign"),
                (make(Order.TIME), COMMANDER, "not_allowed"),
                (make(Order.ACKNOWLEDGE, expires_ns=wall), COMMANDER, "expired"),
                (make(Order.ACKNOWLEDGE, issued_ns=wall + 3_600 * S), COMMANDER, "early"),
                (
                    make(Order.ACKNOWLEDGE, expires_ns=wall + COMMAND_LIFE_NS_MAX + S),
                    COMMANDER, "life",
                ),
            ):  # fmt: skip
                assert await s.ask(command, key) == code
            assert not [m for m in s.field.told if m["e"] == "order"]
            assert await s.ask(make(Order.ACKNOWLEDGE)) == "done", "none of them took the number"
            s.loop.clock.move(11)
            s.loop.service.tick()
            codes = {b["code"] for b in await s.said("command_refused", 6)}
            assert codes == {"unknown_key", "foreign", "not_allowed", "expired", "early", "life"}
        s.world.close()
        async with site(()) as off:
            assert await off.ask(off.made(Order.ACKNOWLEDGE)) == "disabled"
        off.world.close()
        async with site(pinned=False) as unpinned:
            assert await unpinned.ask(unpinned.made(Order.ACKNOWLEDGE)) == "no_command_key"
        unpinned.world.close()

    run(test)


def test_without_a_clock_the_nonce_of_the_heartbeat_is_needed_and_used_once() -> None:
    async def test() -> None:
        async with site() as s:
            s.loop.clock.state = ClockState.UNSET
            assert await s.ask(s.made(Order.ACKNOWLEDGE)) == "nonce"
            assert s.courier.client is not None
            await s.courier.client.call("courier_state", connected=True, text="")
            s.loop.clock.move(HEARTBEAT_NS / S + 1)
            s.loop.service.tick()
            async with asyncio.timeout(10):
                while not s.courier.heartbeats:
                    s.courier.changed.clear()
                    await s.courier.changed.wait()
            files = s.loop.service.journal._files.values()
            await s.loop.until(lambda: not any(f.worker.stuck_ns() for f in files))
            nonce = s.courier.heartbeats[-1].nonce
            assert len(nonce) == 16
            long_ago = {"issued_ns": 0, "expires_ns": 1}
            assert await s.ask(s.made(Order.ACKNOWLEDGE, nonce=nonce, **long_ago)) == "done"
            assert await s.ask(s.made(Order.ACKNOWLEDGE, 2, nonce=nonce, **long_ago)) == "nonce"
        s.world.close()

    run(test)


def test_a_duty_check_of_the_platform_is_answered_or_missed() -> None:
    async def test() -> None:
        async with site() as s:
            asked = s.loop.service.told.duty
            assert await s.ask(s.made(Order.DUTY, 1, args={"minutes": 5})) == "done"
            assert "platform" in asked
            await s.say("event", "duty", name="platform", state="answered")
            assert not asked
            assert await s.ask(s.made(Order.DUTY, 2, args={"minutes": 5})) == "done"
            s.loop.clock.move(301)
            s.loop.service.tick()
            assert not asked
            assert await s.said("duty_missed", 1)
        s.world.close()

    run(test)


def test_a_duty_check_has_one_to_ten_minutes() -> None:
    for minutes, good in ((0, False), (1, True), (10, True), (11, False)):
        command = PlatformCommand(GATEWAY, 1, Order.DUTY, {"minutes": minutes}, 1, 2)
        message = seal_command(command, Signer(COMMANDER))
        if good:
            assert open_command(message, TRUST)[0].args == {"minutes": minutes}
            continue
        with pytest.raises(UplinkError, match="malformed"):
            open_command(message, TRUST)


def test_the_time_of_both_is_put_on_record() -> None:
    async def test() -> None:
        async with site() as s:
            late = s.made(Order.TIME, issued_ns=s.loop.clock.wall - 3 * S)
            assert await s.ask(late) == "done"
            (said,) = await s.said("command", 1)
            assert said["skew_ms"] == -3_000
        s.world.close()

    run(test)


def test_batches_are_sent_again_and_the_rest_goes_on() -> None:
    async def test() -> None:
        async with site() as s:
            for _ in range(6):
                await s.say("event", "point", to=1)
                await s.loop.until(lambda: s.field.durable == s.seq)
            status = s.loop.service.status_of
            await s.loop.until(lambda: status("platform")["waiting"] == 0)
            before = len(s.courier.offers)
            epoch = s.loop.service._place.epoch
            args = {"epoch": epoch, "lane": "event", "first": 1, "last": 3}
            assert await s.ask(s.made(Order.RESEND, 1, args=args)) == "done"

            def again() -> set[int]:
                return {o["seq"] for o in s.courier.offers[before:] if o["lane"] == "event"}

            await s.loop.until(lambda: {1, 2, 3} <= again())
            await s.say("event", "point", to=2)
            await s.loop.until(
                lambda: status("platform")["under_way"] == status("platform")["waiting"] == 0
            )
            assert not s.courier.findings
            far = {**args, "first": 900, "last": 901}
            assert await s.ask(s.made(Order.RESEND, 2, args=far)) == "not_held"
            other = {**args, "epoch": b"x" * 8}
            assert await s.ask(s.made(Order.RESEND, 3, args=other)) == "not_held"
        s.world.close()

    run(test)


def proposal(text: bytes) -> dict[str, Any]:
    return {"kind": "configuration", "title": "levels", "data": text,
            "hash": hashlib.sha256(text).digest()}  # fmt: skip


def test_a_proposal_waits_for_somebody_on_the_site() -> None:
    async def test() -> None:
        async with site() as s:
            for number in range(1, PROPOSALS_MAX + 3):
                args = proposal(f"site: {number}".encode())
                assert await s.ask(s.made(Order.PROPOSE, number, args=args)) == "done"
            assert s.field.client is not None
            call = s.field.client.call
            rows = (await call("proposals"))["proposals"]
            assert [r["number"] for r in rows] == list(range(3, PROPOSALS_MAX + 3))
            found = (await call("proposal", number=5))["proposal"]
            assert found["data"] == b"site: 5"
            await call("decide", number=5, accept=True, who="wang", why="agreed by phone")
            await call("decide", number=6, accept=False, who="wang")
            said = await s.said("proposal", 2)
            assert [(b["number"], b["outcome"], b["who"]) for b in said] == [
                (5, "accepted", "wang"), (6, "refused", "wang"),
            ]  # fmt: skip
            with pytest.raises(Refused):
                await call("proposal", number=6)
        s.world.close()

    run(test)


def test_a_decision_that_finds_no_room_in_memory_is_put_on_record_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def test() -> None:
        async with site() as s:
            args = proposal(b"site: x")
            assert await s.ask(s.made(Order.PROPOSE, 1, args=args)) == "done"
            await s.said("command", 1)
            assert s.field.client is not None
            with monkeypatch.context() as full:
                full.setattr("agent.record.ring.RING_BYTES_MAX", 0)
                await s.field.client.call("decide", number=1, accept=True, who="wang")
                assert not [b for b in await s.bodies() if b.get("event") == "proposal"]
            assert [b["who"] for b in await s.said("proposal", 1)] == ["wang"]
        s.world.close()

    run(test)


def test_what_was_carried_out_before_the_counter_was_lost_is_not_carried_out_again() -> None:
    async def test() -> None:
        async with site() as s:
            old = s.made(Order.ACKNOWLEDGE, 7)
            assert await s.ask(old) == "done"
            early = s.made(Order.ACKNOWLEDGE, 8, issued_ns=s.loop.clock.wall + S)
        (s.world.state / "record" / "events.db").write_bytes(b"not a database" * 999)
        async with site(world=s.world) as again:
            assert await again.ask(old) == "replayed"
            assert await again.ask(early) == "replayed"
            again.loop.clock.move(COMMAND_EARLY_NS_MAX / S + 1)
            assert await again.ask(old) == "expired"
            assert await again.ask(again.made(Order.ACKNOWLEDGE, 1)) == "done"
        s.world.close()

    run(test)


def test_a_proposal_whose_file_is_damaged_is_none(tmp_path: Path) -> None:
    held = Proposals(tmp_path / "proposals")
    whole = {**proposal(b"site: x"), "wall_ns": 5, "key": "00"}
    held.keep(3, whole)
    held.keep(4, whole)
    path = tmp_path / "proposals" / "3.cbor"
    data = path.read_bytes()
    (tmp_path / "proposals" / "\u00b2.cbor").write_bytes(data)
    assert [row["number"] for row in held.all()] == [3, 4]
    for at in range(len(data)):
        for part in (data[:at], data[:at] + bytes([data[at] ^ 0x55]) + data[at + 1 :]):
            path.write_bytes(part)
            found = held.get(3)
            assert found is None or found["data"] == b"site: x"
            assert 4 in [row["number"] for row in held.all()]


# --- the codec --------------------------------------------------------------------------------


ARGS: dict[Order, dict[str, Any]] = {
    Order.DUTY: {"minutes": 10},
    Order.PROPOSE: proposal(b"x"),
    Order.RESEND: {"epoch": b"e" * 8, "lane": "event", "first": 0, "last": 9},
}


@pytest.mark.parametrize("order", Order)
def test_every_order_there_and_back(order: Order) -> None:
    command = PlatformCommand("g", 1, order, ARGS.get(order, {}), 5, 6, b"n" * 16)
    found, kid = open_command(seal_command(command, Signer(COMMANDER)), TRUST)
    assert found == command
    assert kid == Signer(COMMANDER).kid


@pytest.mark.parametrize(
    ("order", "args"),
    [
        (Order.ACKNOWLEDGE, {"minutes": 1}),
        (Order.DUTY, {}),
        (Order.DUTY, {"minutes": 10_000}),
        (Order.RESEND, {**ARGS[Order.RESEND], "last": 10**6}),
        (Order.RESEND, {**ARGS[Order.RESEND], "first": 10, "last": 9}),
        (Order.PROPOSE, {**ARGS[Order.PROPOSE], "kind": "firmware"}),
        (Order.PROPOSE, {**ARGS[Order.PROPOSE], "data": bytes(60_000)}),
        (Order.PROPOSE, {**ARGS[Order.PROPOSE], "data": b"another one"}),
    ],
)
def test_arguments_that_are_none(order: Order, args: dict[str, Any]) -> None:
    message = seal_command(PlatformCommand("g", 1, order, args, 5, 6), Signer(COMMANDER))
    with pytest.raises(UplinkError):
        open_command(message, TRUST)


@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 255))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_one_error(noise: bytes, at: int, byte: int) -> None:
    with pytest.raises(UplinkError):
        open_command(noise, TRUST)
    good = bytearray(seal_command(PlatformCommand("g", 1, Order.TIME), Signer(COMMANDER)))
    if good[at % len(good)] != byte:
        good[at % len(good)] = byte
        with pytest.raises(UplinkError):
            open_command(bytes(good), TRUST)
