"""GB/T 26875.3 as an input: what a device uploads becomes states, and how it is answered."""

from __future__ import annotations

import asyncio
import os
import resource
import socket

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panel_makers import GB_BEAT, GB_FIRE, panel_of
from panel_world import panel_world

from config.limits import CONNECT_TIMEOUT_NS, LISTEN_PAUSE_NS, PANEL_ASK_NS, PANEL_REPLIES_MAX, S
from config.plan import Line
from config.words import Flag
from drivers.link.listen import ListenLink
from drivers.link.stream import LinkError
from drivers.panel import gb26875_units as gb
from drivers.panel.gb26875 import Command, Frame, FrameDecoder, Stamp, encode_frame
from drivers.panel.gb26875_talk import Gb26875Talk
from drivers.panel.talk import Said
from drivers.reading import PanelKind

AT = Stamp(2, 58, 9, 26, 9, 12)


def upload(kind: int, *objects: object, serial: int = 7) -> bytes:
    data = gb.encode_unit(gb.Unit(kind, objects))
    return encode_frame(Frame(serial, 0x379, 0x15B38, Command.SEND, data, AT))


def component(status: int, number: int = 12, sort: int = 40) -> gb.ComponentStatus:
    return gb.ComponentStatus(1, 1, sort, number, status, "裙楼一层", AT)


def answers(replies: list[bytes]) -> list[tuple[int, int]]:
    found = FrameDecoder().feed(b"".join(replies))
    assert all(isinstance(f, Frame) for f in found)
    return [(f.command, f.serial) for f in found]


def told(talk: Gb26875Talk, data: bytes) -> dict[str, tuple[int, int]]:
    """address -> (flags set, flags cleared)."""
    out: dict[str, tuple[int, int]] = {}
    for said in talk.receive(data, 0).said:
        sets, clears = out.get(said.address, (0, 0))
        if said.clears:
            clears |= said.flags
        else:
            sets |= said.flags
        out[said.address] = sets, clears
    return out


def test_a_published_fire_is_confirmed_with_its_serial_and_read() -> None:
    talk = Gb26875Talk(panel_of("gb26875-zone-point"))
    heard = talk.receive(GB_FIRE, 0)
    assert answers(heard.replies) == [(Command.CONFIRM, 1), (Command.REQUEST, 1)]
    fire = heard.said[0]
    assert (fire.kind, fire.flags, fire.address) == (PanelKind.STATE, Flag.FIRE, "1.1/10-2")
    assert fire.time is not None
    assert fire.time.text == "2012-09-26T09:58:02"
    assert fire.sent is not None
    assert fire.sent.text == "2012-09-26T09:58:32"


@pytest.mark.parametrize(
    ("name", "address"),
    [("gb26875", "1.1/131082"), ("gb26875-zone-point", "1.1/10-2"),
     ("gb26875-loop-point", "1.1/2-10")],
)  # fmt: skip
def test_the_four_bytes_of_an_address_have_three_meanings(name: str, address: str) -> None:
    assert address in told(Gb26875Talk(panel_of(name)), GB_FIRE)


def test_a_status_word_sets_and_ends_at_its_own_address_only() -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    every = gb.STATUS_SHIELDED | gb.STATUS_SUPERVISORY | gb.STATUS_STARTED | gb.STATUS_FEEDBACK
    sets, clears = told(talk, upload(2, component(every | gb.STATUS_DELAY)))["1.1/12"]
    assert sets == Flag.DISABLED | Flag.SUPERVISORY | Flag.ACTIVATED | Flag.FEEDBACK | Flag.DELAY
    assert clears == Flag.FIRE | Flag.MANUAL | Flag.FAULT
    both = told(talk, upload(2, component(gb.STATUS_FIRE), component(1, number=13)))
    assert both["1.1/12"][0] == Flag.FIRE
    assert not both["1.1/12"][1] & Flag.FIRE
    assert both["1.1/13"][1] & Flag.FIRE
    call_point = told(talk, upload(2, component(gb.STATUS_FIRE, number=14, sort=23)))
    assert call_point["1.1/14"][0] == Flag.FIRE | Flag.MANUAL
    powerless = told(talk, upload(2, component(gb.COMPONENT_POWER_FAULT)))
    assert powerless["power"][0] == Flag.FAULT


def test_a_fire_and_its_end_in_one_read_are_both_told() -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    data = upload(2, component(gb.STATUS_FIRE)) + upload(2, component(1), serial=8)
    flags = [s.clears for s in talk.receive(data, 0).said if s.flags & Flag.FIRE]
    assert flags == [False, True]


def test_system_and_device_words() -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    word = gb.SYSTEM_MAINS_FAULT | gb.SYSTEM_MANUAL | gb.STATUS_NORMAL
    system = told(talk, upload(1, gb.SystemStatus(1, 1, word, AT)))
    assert system["mains"] == (Flag.FAULT, 0)
    assert system["mode"] == (Flag.MANUAL, 0)
    assert system["battery"] == (0, Flag.FAULT)
    device = told(talk, upload(21, gb.DeviceStatus(gb.DEVICE_LINE_FAULT, AT)))
    assert device["line"][0] == Flag.FAULT
    # Many devices never set bit 0, and some always have bit 13: neither may hide or end a fire.
    odd = gb.SystemStatus(1, 1, gb.STATUS_FIRE | gb.SYSTEM_RESET, AT)
    said = talk.receive(upload(1, odd), 0).said
    assert said[0].flags == Flag.FIRE
    assert not any(s.kind is PanelKind.CLEAR_ALL for s in said)


def operation(flags: int, kind: int = 4) -> list[Said]:
    made = gb.Operation(1, 1, flags, 3, AT) if kind == 4 else gb.DeviceOperation(flags, 3, AT)
    return Gb26875Talk(panel_of("gb26875")).receive(upload(kind, made), 0).said


def test_keys_of_the_panel() -> None:
    assert [s.kind for s in operation(gb.OPERATION_RESET)] == [PanelKind.CLEAR_ALL]
    assert [s.kind for s in operation(gb.OPERATION_SILENCE)] == [PanelKind.SILENCE]
    assert operation(gb.OPERATION_MANUAL_ALARM)[0].flags == Flag.FIRE | Flag.MANUAL
    assert operation(32)[0].text == "acknowledge by operator 3"
    assert operation(32, kind=24)[0].text == "duty answer by operator 3"
    assert operation(gb.OPERATION_TEST)[0].kind is PanelKind.NOTE


def test_what_is_damaged_is_denied_and_what_is_unknown_confirmed() -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    harmed = bytearray(GB_FIRE)
    harmed[30] ^= 1
    heard = talk.receive(bytes(harmed) + GB_BEAT, 0)
    assert [c for c, _ in answers(heard.replies)][:1] == [Command.DENY]
    assert not heard.said
    own = encode_frame(Frame(9, 1, 2, Command.SEND, b"\xbe\x01\x00"))  # a maker's heartbeat
    heard = talk.receive(own, 0)
    assert answers(heard.replies) == [(Command.CONFIRM, 9)]
    assert not heard.said
    asked = talk.receive(encode_frame(Frame(4, 1, 2, Command.REQUEST, b"\x58\x01\x00")), 0)
    assert answers(asked.replies) == [(Command.DENY, 4)]


def test_a_device_that_never_beats_is_asked_again() -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    assert not talk.tick(PANEL_ASK_NS).replies  # nobody there to ask
    talk.receive(GB_BEAT, PANEL_ASK_NS)
    assert not talk.tick(2 * PANEL_ASK_NS - 1).replies
    assert answers(talk.tick(2 * PANEL_ASK_NS).replies) == [(Command.REQUEST, 2)]


@given(st.lists(st.binary(max_size=80) | st.sampled_from([GB_FIRE, GB_BEAT, GB_FIRE[:40]])))
@settings(max_examples=150, deadline=None)
def test_any_bytes_give_bounded_answers(parts: list[bytes]) -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    for i, part in enumerate(parts):
        heard = talk.receive(part, i * S)
        assert len(heard.replies) <= PANEL_REPLIES_MAX
        answers(heard.replies)


@given(st.integers(1, 28), st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_unit_is_confirmed(kind: int, rest: bytes) -> None:
    talk = Gb26875Talk(panel_of("gb26875"))
    heard = talk.receive(encode_frame(Frame(5, 1, 2, Command.SEND, bytes([kind]) + rest)), 0)
    assert answers(heard.replies)[0] == (Command.CONFIRM, 5)


# --- the whole path ---------------------------------------------------------------------------


@pytest.mark.parametrize(("serial", "listens"), [(True, False), (False, False), (False, True)])
def test_from_an_upload_to_the_siren_and_back(serial: bool, listens: bool) -> None:
    async def world_of() -> None:
        async with panel_world("gb26875-zone-point", serial=serial, listens=listens) as world:
            await world.say(say="fire", address="3-17", place="泵房", harm="checksum")
            await world.siren(True)
            row = world.panel()
            assert row["standing"][0] == {
                "address": "1.1/3-17",
                "flags": ["fire"],
                "acknowledged": False,
            }
            assert row["supervised"]
            await world.say(say="mains_fault")
            await world.until(lambda: world.panel()["told"] == 2)
            await world.say(say="reset")
            await world.siren(False)

    asyncio.run(world_of())


class Ends:
    def __init__(self, port: int) -> None:
        self.came: list[bytes] = []
        self.lost: list[str] = []
        line = Line("l", "tcp_listen", host="127.0.0.1", tcp_port=port)
        self.link = ListenLink(line, self.came.append, self.lost.append)


async def turns(true: object) -> None:
    async with asyncio.timeout(5):
        while not true():  # type: ignore[operator]  # -- a condition
            await asyncio.sleep(0.005)


def test_the_newest_connection_of_the_device_counts_and_strangers_get_nothing() -> None:
    async def body() -> None:
        ends = Ends(_port())
        opening = asyncio.create_task(ends.link.open())
        await asyncio.sleep(0)
        address = ("127.0.0.1", ends.link._port)
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.connect(address)
            stranger.setblocking(False)
            async with asyncio.timeout(5):
                assert await asyncio.get_running_loop().sock_recv(stranger, 1) == b""
            assert not opening.done()
        with socket.create_connection(address) as first:
            await opening
            first.sendall(b"one")
            await turns(lambda: ends.came == [b"one"])
            with socket.create_connection(address) as second:
                await turns(lambda: bool(ends.lost))
                assert ends.lost == ["the device connected anew"]
                await ends.link.open()
                second.sendall(b"two")
                await turns(lambda: ends.came[-1] == b"two")
        ends.link.close()

    asyncio.run(body())


def test_a_taken_port_and_a_device_that_never_comes_are_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        with socket.create_server(("0.0.0.0", 0)) as taken:
            ends = Ends(taken.getsockname()[1])
            with pytest.raises(LinkError, match="cannot listen there"):
                await ends.link.open()
        monkeypatch.setattr("drivers.link.listen.CONNECT_TIMEOUT_NS", CONNECT_TIMEOUT_NS // 100)
        ends = Ends(_port())
        with pytest.raises(LinkError, match=r"127\.0\.0\.1 has not connected: set the device's"):
            await ends.link.open()
        opening = asyncio.create_task(ends.link.open())
        with socket.socket() as stranger:
            stranger.bind(("127.0.0.2", 0))
            stranger.connect(("127.0.0.1", ends.link._port))
            with pytest.raises(LinkError, match=r"127\.0\.0\.2 did and was .*: is 'from' right"):
                await opening
        ends.link.close()

    asyncio.run(body())


def test_no_descriptor_for_a_connection_is_no_busy_loop_and_the_device_comes_in_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def body() -> None:
        ends = Ends(_port())
        opening = asyncio.create_task(ends.link.open())
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        watched = loop._selector.get_map()  # type: ignore[attr-defined]  # -- what asyncio polls
        assert ends.link._server is not None
        server = ends.link._server.fileno()
        assert server in watched
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with socket.create_connection(("127.0.0.1", ends.link._port)):
            free = os.dup(0)
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
            try:
                await turns(lambda: server not in watched)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await opening
        ends.link.close()

    monkeypatch.setattr("drivers.link.listen.LISTEN_PAUSE_NS", LISTEN_PAUSE_NS // 20)
    asyncio.run(body())


def _port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as held:
        return int(held.getsockname()[1])
