"""Metrics over HTTP, from the process itself, beside a real field socket."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from brokers import free_port
from opendata_world import World, open_world
from strict_exposition import Series, parse

from agent.opendata.http import HttpServer, Request
from config.opendata_limits import SCRAPE_CONNECTIONS_MAX
from config.plan import Courier
from config.words import Quality

GET = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


async def talk(port: int, data: bytes) -> bytes:
    """All that comes back until the other end closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(data)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


async def scrape(port: int) -> Series:
    answer = await talk(port, GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"Content-Type: text/plain; version=0.0.4; charset=utf-8\r\n" in head
    assert f"Content-Length: {len(body)}\r\n".encode() in head
    return parse(body)


class Metrics:
    """Series by name, and by some of their labels."""

    def __init__(self, series: Series) -> None:
        self.series = series

    def get(self, name: str, /, **labels: Any) -> float | None:
        found = [
            value
            for (of, pairs), value in self.series.items()
            if of == name and {(k, str(v)) for k, v in labels.items()} <= set(pairs)
        ]
        assert len(found) <= 1, (name, found)
        return found[0] if found else None


@contextlib.asynccontextmanager
async def exporter(world: World, **settings: Any) -> AsyncIterator[int]:
    port = free_port()
    await world.start(
        Courier("metrics", "prometheus",
                {"host": "127.0.0.1", "port": port, "points": "all", **settings})
    )  # fmt: skip
    while True:
        with contextlib.suppress(OSError):
            await talk(port, b"")
            break
        assert world.process is not None
        assert world.process.poll() is None, world.log
        await asyncio.sleep(0.05)
    yield port
    assert await world.stop() == 0


async def until(port: int, name: str, value: float | None, /, **labels: Any) -> Metrics:
    while True:
        found = Metrics(await scrape(port))
        if found.get(name, **labels) == value:
            return found
        await asyncio.sleep(0.05)


def test_a_building_as_metrics() -> None:
    async def story() -> None:
        async with open_world() as world:
            await world.start_record()
            world.read(感温=23.5, pressure=300, humidity=41, knock=0, valve=0)
            async with exporter(world) as port:
                m = await until(port, "embergate_field_up", 1)
                heat = {"point": "泵房.感温", "id": world.id_of("泵房.感温"), "kind": "heat"}
                assert m.get("embergate_site_info", name='九号码头 "A"') == 1
                assert m.get("embergate_point_celsius", **heat) == 23.5
                assert m.get("embergate_point_pascals", point="泵房.pressure") == 300_000
                assert m.get("embergate_point_relative_humidity_percent") == 41
                assert m.get("embergate_point_quality", **heat) == 0
                assert m.get("embergate_state", state="fire") == 0
                assert m.get("embergate_zone_state", zone="一层", state="fire") == 0
                assert m.get("embergate_zone_needed", zone="一层") == 1
                assert m.get("embergate_output_read_back", output="stair_b") is None
                assert m.get("embergate_clock_state", state="synchronised") == 1
                assert m.get("embergate_record_lane_last", lane="fire") == 4
                assert m.get("embergate_courier_waiting_batches", courier="platform") == 12
                assert m.get("embergate_courier_connected", courier="platform") == 0
                assert m.get("embergate_line_up", line="control") == 1
                assert m.get("embergate_record_written_bytes_total") == 123_456
                assert m.get("embergate_record_written_day_bytes") == 87_000_000

                world.read(knock=1)
                world.read(Quality.BAD, 感温=0)
                m = await until(port, "embergate_state", 1, state="fire")
                assert m.get("embergate_zone_state", zone="一层", state="fire") == 1
                assert m.get("embergate_point_state", point="泵房.knock", state="fire") == 1
                assert m.get("embergate_output_ordered", output="stair_b") == 1
                assert m.get("embergate_point_celsius") is None, "unknown is never 0"
                assert m.get("embergate_point_quality", **heat) == 3

                await world.control.server.stop()
                m = await until(port, "embergate_field_up", 0)
                assert m.get("embergate_state", state="fire") is None, "nothing old is shown"
                assert m.get("embergate_record_up") == 1

    asyncio.run(story())


def test_only_what_was_asked_for_and_another_plan_shows_nothing() -> None:
    async def story() -> None:
        async with open_world() as world, exporter(world, points="alarm") as port:
            m = await until(port, "embergate_field_up", 1)
            assert m.get("embergate_record_up") == 0
            assert m.get("embergate_point_quality", point="泵房.humidity") is None
            assert m.get("embergate_point_quality", point="泵房.knock") == 1

    asyncio.run(story())


@contextlib.asynccontextmanager
async def server(body: bytes = b"x") -> AsyncIterator[tuple[HttpServer, int]]:
    async def page(request: Request) -> tuple[int, str, bytes]:
        return 200, "text/plain", body

    made = HttpServer(page)
    port = await made.start("127.0.0.1", 0)
    try:
        yield made, port
    finally:
        await made.stop()


def test_requests_in_pieces_and_requests_that_are_none() -> None:
    async def story() -> None:
        async with server() as (http, port):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for byte in GET:
                writer.write(bytes([byte]))
                await writer.drain()
            assert (await reader.read()).endswith(b"\r\n\r\nx")
            writer.close()
            assert (await talk(port, GET.replace(b"GET", b"HEAD", 1))).endswith(b"\r\n\r\n")
            assert (await talk(port, b"\x16\x03\x01 TLS")).startswith(b"HTTP/1.1 400 ")
            assert (await talk(port, b"GET /" + b"a" * 20_000)).startswith(b"HTTP/1.1 431 ")
            assert (await talk(port, b"DELETE / HTTP/1.0\r\n\r\n")).startswith(b"HTTP/1.1 405 ")
            assert http.refused == 3

    asyncio.run(story())


def test_who_sends_nothing_or_reads_nothing_does_not_keep_the_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.opendata.http.SCRAPE_READ_NS", 1_500_000_000)
    monkeypatch.setattr("agent.opendata.http.SCRAPE_WRITE_NS", 1_500_000_000)

    async def story() -> None:
        async with server(b"x" * 8_000_000) as (http, port):
            lazy = [await asyncio.open_connection("127.0.0.1", port) for _ in range(4)]
            deaf = []
            for _ in range(SCRAPE_CONNECTIONS_MAX - 4):
                sock = socket.socket()
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
                sock.connect(("127.0.0.1", port))
                sock.sendall(GET)
                deaf.append(sock)
            while len(http._open) < SCRAPE_CONNECTIONS_MAX:
                await asyncio.sleep(0.01)
            with contextlib.suppress(ConnectionError):
                assert await talk(port, GET) == b"", "one too many is cut off"
            for reader, writer in lazy:
                assert (await reader.read()).startswith(b"HTTP/1.1 408 ")
                writer.close()
            while http._open:
                await asyncio.sleep(0.01)
            for sock in deaf:
                sock.close()
            assert len(await talk(port, GET)) > 8_000_000

    asyncio.run(story())
