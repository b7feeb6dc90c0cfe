"""The door of a server and the turns of its guests: who floods it keeps nobody waiting."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.ipc import (
    Client,
    Connection,
    IpcError,
    Message,
    Peer,
    Policy,
    Role,
    Server,
    TurnedAway,
    encode_message,
)
from agent.ipc_guests import Allowance, Turns
from config.limits import (
    IPC_ARRIVALS_BURST,
    IPC_ARRIVALS_PER_S,
    IPC_CLIENTS_MAX,
    IPC_CLIENTS_OF_USER_MAX,
    IPC_CLIENTS_RESERVED,
    IPC_TURN_NS,
    IPC_USERS_MAX,
    MS,
    S,
)


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        yield Path(d) / "s"


class Strangers(Policy):
    """A policy under which the tests' own user is nobody special."""

    def roles(self, peer: Peer) -> Role:
        return self.by_uid.get(peer.uid, Role.NONE)


class World:
    """A loop with a clock of its own: time passes while somebody is served, and at rests."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * S
        self.turns = Turns(lambda: self.now_ns, self._later)
        self.served: list[str] = []
        self.spells: list[int] = []  # lengths of what ran without a rest
        self._due: tuple[int, Callable[[], None]] | None = None

    def _later(self, wait_ns: int, call: Callable[[], None]) -> World:
        assert self._due is None, "one rest at a time"
        self._due = (self.now_ns + wait_ns, call)
        return self

    def cancel(self) -> None:
        self._due = None

    def run(self, for_ns: int) -> None:
        end_ns = self.now_ns + for_ns
        while self._due is not None and self._due[0] < end_ns:
            (self.now_ns, call), self._due = self._due, None
            began_ns = self.now_ns
            call()
            self.spells.append(self.now_ns - began_ns)


class Asker:
    """A guest with so many requests of one price."""

    def __init__(self, world: World, user: int, name: str, count: int, cost_ns: int) -> None:
        self.user = user
        self._world, self._name, self._left, self._cost_ns = world, name, count, cost_ns

    def serve_one(self) -> bool:
        if not self._left:
            return False
        self._left -= 1
        self._world.now_ns += self._cost_ns
        self._world.served.append(self._name)
        return True


def test_a_user_with_many_clients_and_requests_goes_before_another_once_at_most() -> None:
    world = World()
    for k in range(IPC_CLIENTS_OF_USER_MAX):
        world.turns.want(Asker(world, 1_000, f"flood {k}", 10_000, MS))
    world.run(S // 10)
    before = len(world.served)
    world.turns.want(Asker(world, 1_001, "guard", 1, MS))
    world.run(S // 10)
    assert world.served.index("guard") <= before + 1
    rest = world.served[before + 2 :]
    assert {rest.count(f"flood {k}") for k in range(IPC_CLIENTS_OF_USER_MAX)} <= {3, 4, 5}


def test_all_users_together_get_half_of_the_loop_and_never_more_than_a_turn_of_it() -> None:
    world = World()
    knocks = 0

    def let_in(end_ns: int) -> bool:
        nonlocal knocks
        while world.now_ns < end_ns:
            knocks += 1
            world.now_ns += MS // 50
        return True  # there are always more

    began_ns = world.now_ns
    world.turns.knock(let_in)
    for user in range(20):
        world.turns.want(Asker(world, user, str(user), 1_000_000, MS // 2))
    world.run(S)
    passed_ns = world.now_ns - began_ns
    assert max(world.spells) <= IPC_TURN_NS + MS // 2 + MS // 50
    assert 0.45 < sum(world.spells) / passed_ns <= 0.52
    # Neither keeps the other from its half.
    assert knocks * MS // 50 > 0.2 * passed_ns
    assert len(world.served) * MS // 2 > 0.2 * passed_ns
    assert len(set(world.served)) == 20
    world.turns.stop()
    world.run(S)
    assert world.now_ns - began_ns == passed_ns


def test_a_request_that_costs_more_than_a_turn_is_served_and_paid_for() -> None:
    world = World()
    world.turns.want(Asker(world, 1, "dear", 5, 10 * IPC_TURN_NS))
    began_ns = world.now_ns
    world.run(S)
    assert world.served == ["dear"] * 5
    assert world.now_ns - began_ns >= 90 * IPC_TURN_NS - 10 * IPC_TURN_NS


def test_an_allowance_is_each_users_own_and_comes_back() -> None:
    now_ns = 1_000 * S
    allowance = Allowance(10, 3, lambda: now_ns)
    assert [allowance.take(1) for _ in range(4)] == [True, True, True, False]
    assert allowance.take(2)
    now_ns += S // 10
    assert [allowance.take(1) for _ in range(2)] == [True, False]
    for user in range(10, 10 + 2 * IPC_USERS_MAX):
        assert allowance.take(user)  # however many users there are


async def asks(_: Connection, message: Message) -> Message:
    return {}


def server_of(path: Path, roles: dict[int, Role], *, guests: bool = True) -> Server:
    def mono_ns() -> int:
        return 1_000 * S

    verbs = {"echo": (Role.VIEW, asks)}
    return Server(path, verbs, Strangers(roles), guests=guests, mono_ns=mono_ns)


def test_who_comes_and_goes_too_often_is_told_so_and_nobody_else_is(path: Path) -> None:
    async def story() -> None:
        server = server_of(path, {os.getuid(): Role.VIEW})
        await server.start()
        for _ in range(IPC_ARRIVALS_BURST):
            client = await Client.connect(path)
            await client.call("echo")
            client.close()
        client = await Client.connect(path)
        with pytest.raises(TurnedAway, match=rf"busy.*{IPC_ARRIVALS_PER_S} connections"):
            await client.call("echo")
        server.policy = Strangers({1: Role.VIEW})
        assert server.turn_away(Peer(1, 1, 1)) == b""
        await server.stop()

    asyncio.run(asyncio.wait_for(story(), 20))


def fill(server: Server, user: int, roles: Role, count: int) -> list[Connection]:
    there = [Connection(server, Peer(1, user, 1), roles) for _ in range(count)]
    server.connections.update(dict.fromkeys(there))
    return there


def test_users_who_take_every_place_give_one_to_who_has_none(path: Path) -> None:
    server = server_of(path, dict.fromkeys((1, 2, 3, 4), Role.VIEW))
    half = IPC_CLIENTS_OF_USER_MAX
    fill(server, 1, Role.VIEW, half)
    second = fill(server, 2, Role.VIEW, half)
    third = fill(server, 3, Role.VIEW, IPC_CLIENTS_MAX - 2 * half)
    assert len(server.connections) == IPC_CLIENTS_MAX
    assert b"busy" in server.turn_away(Peer(1, 1, 1))  # it has its share
    assert server.turn_away(Peer(1, 4, 1)) == b""
    assert len(server.connections) == IPC_CLIENTS_MAX - 1
    assert set(third) | set(second[:-1]) <= set(server.connections)


def test_a_process_of_the_gateway_finds_its_place_whoever_else_is_there(path: Path) -> None:
    roles = {1: Role.VIEW, 2: Role.VIEW, 3: Role.COURIER | Role.VIEW, 4: Role.FIELD | Role.VIEW}
    server = server_of(path, roles, guests=False)
    people = IPC_CLIENTS_MAX - IPC_CLIENTS_RESERVED
    fill(server, 1, roles[1], people - 2)
    fill(server, 3, roles[3], IPC_CLIENTS_RESERVED + 2)  # couriers without end
    assert server.turn_away(Peer(1, 4, 1)) == b""
    # A guest takes the place of a guest, and of no courier.
    couriers = [c for c in server.connections if c.user == 3]
    fill(server, 4, roles[4], 1)
    assert server.turn_away(Peer(1, 2, 1)) == b""
    assert [c for c in server.connections if c.user == 3] == couriers


def test_a_client_waits_at_a_queue_that_is_full(path: Path) -> None:
    async def story() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(0)
            crowd = [socket.socket(socket.AF_UNIX)]
            crowd[0].setblocking(False)
            while crowd[-1].connect_ex(str(path)) == 0:
                crowd.append(socket.socket(socket.AF_UNIX))
                crowd[-1].setblocking(False)
            coming = asyncio.ensure_future(Client.connect(path))
            for _ in range(3):
                await asyncio.sleep(0)
            assert not coming.done()
            for _ in crowd[:-1]:
                listener.accept()[0].close()
            client = await asyncio.wait_for(coming, 10)
            there, _ = listener.accept()
            there.close()
            await asyncio.wait_for(client.closed.wait(), 10)
            for sock in crowd:
                sock.close()

    asyncio.run(story())


def test_the_servers_last_word_is_read_also_when_the_question_came_too_late(path: Path) -> None:
    async def story() -> None:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            client = await Client.connect(path)
            there, _ = listener.accept()
            there.send(encode_message({"e": "refused", "error": "busy", "text": "go"}))
            there.close()
            with pytest.raises(TurnedAway) as refusal:
                await client.call("echo")
            assert (refusal.value.code, refusal.value.text) == ("busy", "go")
            assert isinstance(refusal.value, IpcError)

    asyncio.run(story())
