"""scan, probe, watch, listen, record-line, replay and write-coil, on real ports."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import struct
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import serial
from commission_world import command, in_thread, plan_of, serial_site, served, wire, write_site
from hypothesis import given
from hypothesis import strategies as st

from agent.commission.lines import ToolError, parse_line
from agent.commission.probe import ORDERS, bcd, pairs
from agent.commission.scan import Found, ScanPlan, scan
from config.limits import MS
from drivers.modbus.frame import read_query, rtu_frame
from drivers.modbus.line_file import Chunk, LineFileError, chunk_text, header_text, read_line_file
from drivers.simulator.replay import Replay

FAST = ("--wait", "60ms", "--pause", "1ms", "--listen", "50ms", "--bauds", "9600")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        yield Path(name)


# --- scan ---------------------------------------------------------------------------------


def test_scan_finds_the_units_of_a_serial_line(folder: Path) -> None:
    site, port = serial_site(folder)
    with served(plan_of(site)):
        status, text = command("scan", port, "--units", "1-10", *FAST, "--json")
    assert status == 0, text
    found = json.loads(text.splitlines()[-1])
    assert [(f["setting"], f["unit"], f["exception"]) for f in found] == [
        ("9600 8N1", 3, 0), ("9600 8N1", 9, 2),
    ]  # fmt: skip


def test_scan_refuses_a_port_in_use(folder: Path) -> None:
    site, port = serial_site(folder)
    with served(plan_of(site)), serial.Serial(port, exclusive=True):
        status, text = command("scan", port, "--units", "1-3", *FAST)
    assert status == 1
    assert "in use" in text
    assert "stop what polls it" in text


def test_scan_refuses_a_line_with_another_master(folder: Path) -> None:
    with wire(folder) as (far, port):
        ended = threading.Event()

        def master() -> None:
            while not ended.wait(0.01):
                os.write(far, rtu_frame(1, read_query(1, 3, 0, 1).pdu))

        thread = threading.Thread(target=master)
        thread.start()
        try:
            status, text = command("scan", port, "--units", "1-3", "--listen", "2s")
        finally:
            ended.set()
            thread.join(5)
    assert status == 1
    assert "another master drives this line" in text


def test_scan_sweeps_settings_and_stops_at_the_one_that_answers(folder: Path) -> None:
    site, port = serial_site(folder)
    seen: list[tuple[str, int]] = []
    line = parse_line(port)
    plan = ScanPlan((4800, 9600), ("N", "E"), (3,), 60 * MS, MS, 20 * MS)
    assert [(x.baud, x.parity) for x in plan.settings(line)] == [
        (4800, "N"), (4800, "E"), (9600, "N"), (9600, "E"),
    ]  # fmt: skip
    with served(plan_of(site)):
        found = asyncio.run(scan(line, plan, lambda s, u: seen.append((s, u))))
    assert found == [Found("4800 8N1", 3)]
    assert seen == [("4800 8N1", 3)]


def test_scan_takes_a_gateways_no_for_a_no(folder: Path) -> None:
    site = write_site(folder, "{kind: tcp, host: 127.0.0.1, port: 15021}")
    with served(plan_of(site)):
        status, text = command("scan", "tcp:127.0.0.1:15021", "--units", "1-10", *FAST)
    assert status == 0
    assert "unit 3 answers" in text
    assert "unit 4" not in text


# --- probe --------------------------------------------------------------------------------


def test_probe_shows_all_types_and_skips_what_is_not_there(folder: Path) -> None:
    site, port = serial_site(folder)
    with served(plan_of(site)):
        status, text = command("probe", port, "3", "holding", "0", "8", "--json")
        shown, table = command("probe", port, "3", "holding", "0", "3")
        words = json.loads(command("probe", port, "3", "holding", "20", "8", "--json")[1])
    assert (status, shown) == (0, 0)
    rows = json.loads(text)
    assert rows[0]["int16"] == 215
    assert rows[1]["ABCD"]["float32"] == "1.25"
    assert rows[1]["CDAB"]["float32"] != "1.25"
    assert rows[7] == {"address": 7, "why": "exception 2"}
    said = {"encoding": "gb18030", "order": "AB", "text": "三层走廊"}
    assert said in words[0]["texts"]
    assert "1.25" in table
    assert "215" in table


def test_probe_of_nobody(folder: Path) -> None:
    site, port = serial_site(folder)
    with served(plan_of(site)):
        status, text = command("probe", port, "44", "input", "0", "3")
    assert status == 1
    assert text.count("no answer") == 3


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_word_orders_are_turns_of_the_same_bytes(high: int, low: int) -> None:
    found = {r.order: r.uint32 for r in pairs(high, low)}
    assert set(found) == set(ORDERS)
    assert found["ABCD"] == high << 16 | low
    assert found["CDAB"] == low << 16 | high
    assert found["DCBA"] == int.from_bytes(found["ABCD"].to_bytes(4, "big"), "little")
    digits = bcd(high)
    assert digits is None or int(f"{digits:04d}", 16) == high


# --- watch --------------------------------------------------------------------------------


def test_watch_shows_live_readings(folder: Path) -> None:
    site, _port = serial_site(folder)
    with served(plan_of(site)):
        status, text = command("watch", str(site), "sensor", "--for", "800ms", "--json")
        shown, table = command("watch", str(site), "sensor", "--for", "800ms")
    assert (status, shown) == (0, 0), text
    last = {p["point"]: p for p in json.loads(text.splitlines()[-1])["points"]}
    assert last["sensor.temperature"]["value"] == 21.5
    assert last["sensor.state"]["text"] == "normal"
    assert (last["sensor.place"]["text"], last["sensor.place"]["quality"]) == ("三层走廊", "good")
    assert "三层走廊" in table
    assert "21.5 °C" in table


def test_watch_says_what_is_wrong(folder: Path) -> None:
    site, _port = serial_site(folder)
    status, text = command("watch", str(site), "sensr")
    assert (status, "sensor, relays" in text) == (1, True)
    status, text = command("watch", str(site), "relays")
    assert (status, "no points" in text) == (1, True)
    status, text = command("watch", str(site), "sensor", "--for", "100ms", "--json")
    assert status == 1
    assert "serial port" in text


# --- listening, recording, replay ---------------------------------------------------------

ASK = rtu_frame(3, read_query(3, 3, 0, 1).pdu)
REPLY = rtu_frame(3, b"\x03\x02\x00\xd7")


def recording(path: Path, chunks: list[Chunk]) -> Path:
    path.write_text(header_text(parse_line("/dev/ttyS0")) + "".join(map(chunk_text, chunks)))
    return path


def waiting(fd: int) -> int:
    """Bytes that a port has received and nobody has read."""
    size: int = struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, bytes(4)))[0]
    return size


def play_when_open(replay: Replay, fd: int) -> None:
    """Say it all once a tool has the port: opening flushes the byte that waits there."""
    until = time.monotonic() + 20
    while waiting(fd) and time.monotonic() < until:
        time.sleep(0.01)
    asyncio.run(replay.play())


@contextlib.contextmanager
def marked(replay: Replay) -> Iterator[int]:
    """A descriptor of the replay's port, in which one byte waits."""
    fd = os.open(replay.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        replay._write(b"\0")
        until = time.monotonic() + 20
        while not waiting(fd) and time.monotonic() < until:
            time.sleep(0.01)
        yield fd
    finally:
        os.close(fd)


def test_record_line_then_listen_to_its_replay(folder: Path) -> None:
    """A recording is replayed as a line, recorded again, and decoded: nothing is lost."""
    chunks = [Chunk(k * 40 * MS, ASK if k % 2 == 0 else REPLY) for k in range(6)]
    file = recording(folder / "a.jsonl", chunks)
    port, copy = folder / "line", folder / "b.jsonl"
    replay = Replay(port, read_line_file(file))

    async def start() -> None:
        await replay.start(serve=False)

    for args in (("record-line", str(port), str(copy)), ("listen", str(port), "--json")):
        with in_thread(start, replay.stop), marked(replay) as fd:
            played = threading.Thread(target=play_when_open, args=(replay, fd))
            played.start()
            status, text = command(*args, "--for", "1200ms")
            played.join(20)
        assert status == 0, text
    again = read_line_file(copy)
    assert b"".join(c.data for c in again) == b"".join(c.data for c in chunks)
    heard = [json.loads(row) for row in text.splitlines()]
    assert [h["words"] for h in heard] == [[215], [215], [215]]
    assert command("record-line", str(port), str(copy))[0] == 1  # is there already


def test_a_replayed_device_answers_as_recorded(folder: Path) -> None:
    second = rtu_frame(3, b"\x03\x02\x00\xd8")
    file = recording(
        folder / "a.jsonl",
        [Chunk(0, ASK), Chunk(5 * MS, REPLY), Chunk(9 * MS, ASK), Chunk(14 * MS, second)],
    )
    replay = Replay(folder / "line", read_line_file(file))

    async def start() -> None:
        await replay.start(serve=True)

    with in_thread(start, replay.stop):
        texts = [
            command("probe", str(replay.path), "3", "holding", "0", "1", "--json")[1]
            for _ in range(3)
        ]
    assert [json.loads(t)[0]["uint16"] for t in texts] == [215, 216, 215]
    assert replay.answered == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ""),
        ("{}", ":1: expected the header"),
        ("[" * 5000, ":1: expected the header"),
        ('{"embergate": "line recording 1"}\n{"t_ns": 1}', ":2: expected"),
        ('{"embergate": "line recording 1"}\n{"t_ns": 1, "hex": "0g"}', ":2: expected"),
        ('{"embergate": "line recording 1"}\n{"t_ns": 5, "hex": "00"}\n{"t_ns": 4, "hex": "00"}',
         ":3: expected"),
    ],
)  # fmt: skip
def test_bad_recordings(folder: Path, text: str, said: str) -> None:
    path = folder / "x"
    path.write_text(text)
    if not said:
        assert read_line_file(path) == []
        return
    with pytest.raises(LineFileError, match=said):
        read_line_file(path)
    status, output = command("simulate", "--replay", str(path), "--port", str(folder / "p"))
    assert (status, said in output) == (1, True)


# --- writing ------------------------------------------------------------------------------


def test_nothing_is_written_without_flag_and_confirmation(folder: Path) -> None:
    site, port = serial_site(folder)
    with served(plan_of(site)) as building:
        relays = building.device("relays")
        for args, answer in (((), "y\n"), (("--really",), "n\n"), (("--really",), "")):
            status, text = command("write-coil", port, "9", "2", "on", *args, text=answer)
            assert status == 1, text
            assert not building.coil(relays, 2)
            assert building.writes.empty()
        status, text = command("write-coil", port, "9", "2", "on", "--really", text="y\n")
        assert (status, "it reads on" in text) == (0, True), text
        assert building.coil(relays, 2)
        status, text = command("write-coil", port, "9", "7", "on", "--really", text="y\n")
        assert (status, "exception 2" in text) == (1, True), text


@pytest.mark.parametrize(
    "text", ["ttyUSB0", "tcp:host.example:502", "tcp:127.0.0.1:0", "udp:127.0.0.1", "tcp:", ""]
)
def test_lines_that_are_none(text: str) -> None:
    with pytest.raises(ToolError, match="expected a line like"):
        parse_line(text)


def test_line_forms() -> None:
    assert parse_line("tcp:127.0.0.1").tcp_port == 502
    assert parse_line("rtu_tcp:[::1]:4001").host == "::1"
    with pytest.raises(ToolError, match="--baud"):
        parse_line("/dev/ttyS0", baud=9601)
