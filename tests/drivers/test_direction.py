"""RTS around each frame. The ioctls are recorded: a pseudo-terminal has no modem lines.

What a real transceiver does with them was not tested on hardware.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.compile import check_file
from config.limits import RTS_DRAIN_NS_MAX, S
from config.plan import Line
from drivers.link.direction import TIOCGRS485, TIOCSER_TEMT, TIOCSERGETLSR, TIOCSRS485
from drivers.link.serial import SerialLink
from drivers.link.stream import LinkError

FRAME = bytes(8)
CHAR_S = 10 / 9_600


class Port:
    """A pseudo-terminal whose ioctls about modem lines are answered and noted with their times."""

    def __init__(self, *, rs485: bool = False, rts: bool = True, lsr: bool = True) -> None:
        self.rs485, self.rts, self.lsr = rs485, rts, lsr
        self.busy = 1  # how often the transmitter is not empty yet
        self.notes: list[tuple[str, float]] = []
        self.master, self.slave = os.openpty()
        self.path = os.ttyname(self.slave)
        self.bytes_at = 0.0

    def close(self) -> None:
        os.close(self.master)
        os.close(self.slave)

    def words(self) -> list[str]:
        return [word for word, _ in self.notes]

    def at(self, word: str) -> float:
        return max(when for found, when in self.notes if found == word)

    def ioctl(self, fd: int, request: int, data: bytes) -> bytes:
        name = {
            TIOCGRS485: "get", TIOCSRS485: "driver", termios.TIOCMBIS: "on",
            termios.TIOCMBIC: "off", TIOCSERGETLSR: "lsr", termios.TIOCOUTQ: "queued",
        }[request]  # fmt: skip
        self.notes.append((name, time.monotonic()))
        known = {"get": self.rs485, "driver": self.rs485, "on": self.rts, "off": self.rts,
                 "lsr": self.lsr, "queued": True}  # fmt: skip
        if not known[name]:
            raise OSError(errno.ENOTTY, "Inappropriate ioctl for device")
        if name in ("on", "off"):
            assert struct.unpack("I", data) == (termios.TIOCM_RTS,)
        if name == "lsr":
            self.busy -= 1
            return struct.pack("i", TIOCSER_TEMT if self.busy < 0 else 0)
        return fcntl.ioctl(fd, request, data) if name == "queued" else data


def _send(port: Port, direction: str, frames: int = 1, kind: str = "rs485") -> None:
    async def main() -> None:
        line = Line("r", kind, serial_port=port.path, baud=9_600, direction=direction)
        link = SerialLink(line, lambda _: None, lambda _: None, ioctl=port.ioctl)
        await link.open()
        for _ in range(frames):
            link.write(FRAME)
            assert select.select([port.master], [], [], 1)[0]
            assert os.read(port.master, 99) == FRAME
            port.bytes_at = time.monotonic()
            released = port.words().count("off")
            async with asyncio.timeout(2):
                while "on" in port.words() and port.words().count("off") == released:
                    await asyncio.sleep(0.001)
        link.close()

    asyncio.run(main())


@pytest.fixture
def port() -> Iterator[Port]:
    made = Port()
    yield made
    made.close()


@pytest.mark.parametrize("direction", ["auto", "rts"])
def test_rts_is_set_before_a_frame_and_released_when_it_has_left(
    port: Port, direction: str
) -> None:
    _send(port, direction, frames=2)
    words = port.words()[1:] if direction == "auto" else port.words()
    assert words == ["off", "on", "lsr", "lsr", "off", "on", "lsr", "off"]
    assert port.at("on") <= port.bytes_at
    # Eight characters take 8.3 ms; the transmitter was asked no sooner, and then believed.
    assert port.at("off") - port.at("on") >= 8 * CHAR_S
    assert port.at("lsr") <= port.at("off")


def test_a_driver_that_counts_only_its_queue_is_asked_for_that(port: Port) -> None:
    port.lsr = False
    _send(port, "rts")
    assert port.words() == ["off", "on", "lsr", "queued", "off"]


def test_a_transmitter_that_never_empties_does_not_keep_the_line(port: Port) -> None:
    port.busy = 10_000
    _send(port, "rts")
    held_s = port.at("off") - port.at("on")
    assert held_s >= 8 * CHAR_S + RTS_DRAIN_NS_MAX / S
    assert held_s < 8 * CHAR_S + RTS_DRAIN_NS_MAX / S + 0.5, "the slack is for a busy machine"


def test_the_driver_does_it_where_it_can(port: Port) -> None:
    port.rs485 = True
    _send(port, "auto")
    assert port.words() == ["get", "driver"]


@pytest.mark.parametrize("kind", ["rs485", "serial"])
def test_nobody_switches_where_nobody_is_asked_to(port: Port, kind: str) -> None:
    _send(port, "none", kind=kind)
    assert port.words() == []


def test_what_a_port_cannot_do_is_said(port: Port) -> None:
    with pytest.raises(LinkError, match="knows no RS-485 direction control; write 'rs485: rts'"):
        _send(port, "driver")
    port.rts = False
    with pytest.raises(LinkError, match="has no RTS"):
        _send(port, "rts")
    port.notes.clear()
    _send(port, "auto")
    assert port.words() == ["get", "off"], "a port without RTS has nothing to turn around"


_SITE = """\
site: {{id: demo, name: Demo}}
links: {{riser: {{kind: rs485, port: /dev/ttyUSB0, baud: 9600, parity: none{more}}}}}
devices: {{relays: {{link: riser, unit: 9, profile: relay-8}}}}
"""


def test_the_site_says_who_turns_the_line_around(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    for more, expected in (("", "auto"), (", rs485: rts", "rts"), (", rs485: none", "none")):
        site.write_text(_SITE.format(more=more))
        checked = check_file(site)
        assert checked.plan is not None, [p.text() for p in checked.problems]
        assert checked.plan.lines[0].direction == expected
    site.write_text(_SITE.format(more=", rs485: cts"))
    (problem,) = check_file(site).problems
    assert "cts" in problem.text()
