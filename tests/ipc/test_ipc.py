"""The sockets between processes: caps, roles, hostile bytes."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.ipc import (
    Client,
    Connection,
    Handler,
    IpcError,
    Message,
    MessageDecoder,
    Peer,
    Policy,
    Refused,
    Role,
    Server,
    TurnedAway,
    encode_message,
)
from config.limits import (
    IPC_CLIENTS_MAX,
    IPC_CLIENTS_RESERVED,
    IPC_MESSAGE_BYTES_MAX,
    IPC_PENDING_REQUESTS_MAX,
)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        yield Path(d) / "s"


async def slow(_: Connection, message: Message) -> Message:
    await asyncio.Event().wait()
    return {}


def echo(_: Connection, message: Message) -> Message:
    if message.get("bad"):
        raise Refused("no", "because")
    return {"got": message["x"]}


VERBS: dict[str, tuple[Role, Handler]] = {
    "echo": (Role.VIEW, echo),
    "slow": (Role.VIEW, slow),
    "reset": (Role.OPERATE, echo),
}


class Strangers(Policy):
    """A policy under which the tests' own user is nobody special."""

    def roles(self, peer: Peer) -> Role:
        return self.by_uid.get(peer.uid, Role.NONE)


async def world(path: Path, policy: Policy, client: Any) -> Any:
    server = Server(path, VERBS, policy)
    await server.start()
    try:
        return await asyncio.wait_for(client(server), 10)
    finally:
        await server.stop()


def test_call_reply_refusal_and_malformed(path: Path) -> None:
    async def run(_: Server) -> None:
        client = await Client.connect(path)
        assert (await client.call("echo", x=[1, b"2"]))["got"] == [1, b"2"]
        for args, code in (({"bad": True}, "no"), ({}, "malformed")):
            with pytest.raises(Refused) as refusal:
                await client.call("echo", **args)
            assert refusal.value.code == code
        with pytest.raises(Refused, match="no verb"):
            await client.call("explode")
        client.close()

    asyncio.run(world(path, Policy({}), run))


def test_a_verb_needs_its_role_and_a_stranger_has_none(path: Path) -> None:
    async def viewer(_: Server) -> None:
        client = await Client.connect(path)
        await client.call("echo", x=1)
        with pytest.raises(Refused) as refusal:
            await client.call("reset", x=1)
        assert refusal.value.code == "forbidden"

    async def stranger(server: Server) -> None:
        client = await Client.connect(path)
        with pytest.raises(TurnedAway) as refusal:
            await client.call("echo", x=1)
        assert refusal.value.code == "forbidden"
        assert not server.connections

    asyncio.run(world(path, Strangers({os.getuid(): Role.VIEW}), viewer))
    asyncio.run(world(path, Strangers({}), stranger))


def test_a_peer_that_asks_too_much_is_told_so(path: Path) -> None:
    async def run(_: Server) -> None:
        client = await Client.connect(path)
        waiting = [client.request("slow") for _ in range(IPC_PENDING_REQUESTS_MAX)]
        with pytest.raises(Refused) as refusal:
            await client.call("slow")
        assert refusal.value.code == "busy"
        client.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(r, IpcError) for r in results)

    asyncio.run(world(path, Policy({}), run))


def test_a_client_too_many_is_closed_and_the_others_work(path: Path) -> None:
    async def run(_: Server) -> None:
        clients = [await Client.connect(path) for _ in range(IPC_CLIENTS_MAX)]
        for client in clients:
            await client.call("echo", x=1)
        extra = await Client.connect(path)
        await extra.closed.wait()
        await clients[0].call("echo", x=1)

    asyncio.run(world(path, Policy({}), run))


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", IPC_MESSAGE_BYTES_MAX + 1),
        struct.pack(">I", 3) + b"\xff\xff\xff",
        struct.pack(">I", 1) + b"\x01",
        struct.pack(">I", 3) + cbor2.dumps({1: 2}),
    ],
    ids=["oversized", "not cbor", "not a map", "not text keys"],
)
def test_bytes_that_are_not_the_protocol_end_that_connection_only(path: Path, data: bytes) -> None:
    async def run(_: Server) -> None:
        good = await Client.connect(path)
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(data)
        assert await reader.read() == b""
        writer.close()
        await good.call("echo", x=1)

    asyncio.run(world(path, Policy({}), run))


def test_a_peer_that_never_reads_is_dropped_within_bounded_memory(path: Path) -> None:
    async def run(server: Server) -> None:
        reader, writer = await asyncio.open_unix_connection(str(path), limit=16)
        writer.write(encode_message({"v": "echo", "n": 1, "x": 1}))
        assert await reader.readexactly(4)  # it is there; and no more is read
        (connection,) = server.connections
        message = {"e": "x", "data": b"0" * (1 << 20)}
        sent = 0
        while connection.send(message):
            sent += 1
            assert sent < 64
        assert sent >= 8
        writer.close()
        del reader

    asyncio.run(world(path, Policy({}), run))


def test_a_foreign_file_in_the_place_of_the_socket_is_not_deleted(path: Path) -> None:
    path.write_text("precious")

    async def run() -> None:
        await Server(path, VERBS, Policy({})).start()

    with pytest.raises(IpcError, match="expected a socket"):
        asyncio.run(run())
    assert path.read_text() == "precious"


def test_a_socket_left_by_a_killed_process_is_replaced(path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()

    async def run(_: Server) -> None:
        await (await Client.connect(path)).call("echo", x=1)

    asyncio.run(world(path, Policy({}), run))


def test_nobody_listening_is_one_clear_error(path: Path) -> None:
    with pytest.raises(IpcError, match="is the process running"):
        asyncio.run(Client.connect(path))


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_any_bytes_in_any_pieces_give_messages_or_the_one_error(pieces: list[bytes]) -> None:
    decoder = MessageDecoder()
    try:
        for piece in pieces:
            for message in decoder.feed(piece):
                assert isinstance(message, dict)
    except IpcError as e:
        assert str(e)  # noqa: PT017 -- that it is this type and no other is the point


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.integers(), max_size=4), max_size=5),
    st.integers(1, 7),
)
def test_messages_survive_any_chunking(messages: list[Message], step: int) -> None:
    data = b"".join(encode_message(m) for m in messages)
    decoder = MessageDecoder()
    out = [m for i in range(0, len(data), step) for m in decoder.feed(data[i : i + step])]
    assert out == messages


def test_peoples_clients_however_many_leave_room_for_the_field_process(path: Path) -> None:
    policy = Strangers({os.getuid(): Role.VIEW})

    async def run(server: Server) -> None:
        crowd = [await Client.connect(path) for _ in range(IPC_CLIENTS_MAX + 4)]
        for client in crowd[IPC_CLIENTS_MAX - IPC_CLIENTS_RESERVED :]:
            await client.closed.wait()
        server.policy = Strangers({os.getuid(): Role.FIELD | Role.VIEW})
        await (await Client.connect(path)).call("echo", x=1)

    asyncio.run(world(path, policy, run))
