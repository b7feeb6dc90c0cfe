"""Small plans for the simulator's tests, and the clients that look at it from outside."""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from config.plan import (
    NO_RULE,
    PARAMS,
    PLAN_VERSION,
    Device,
    Line,
    Output,
    Plan,
    PointTable,
    Poll,
    WordRule,
    Zone,
)
from config.value_types import NO_BIT, VALUE_TYPES
from config.words import Flag, LineKind, Mode

NOTIFIER = WordRule(
    cases=(
        (0x08FF, 0x0810, Flag.FIRE),
        (0x4000, 0x4000, Flag.PREALARM),
        (0x2000, 0x2000, Flag.FAULT),
        (0x0200, 0x0200, Flag.DISABLED),
    ),
    bad=((0xFFFF, 0x00FF), (0x08FF, 0x08FF)),
)
"""A panel's word, much as a Notifier gateway has it."""

CONTACT = WordRule(cases=((1, 1, Flag.FIRE),))
SENTINEL = WordRule(cases=(), bad=((0xFFFF, 0x7FFF),), not_ready=((0xFFFF, 0x7FFE),))


@dataclass(frozen=True)
class P:
    """One point of a test plan."""

    name: str  # "device.point"
    function: int
    address: int
    type: str = "int16"
    scale: float = 0.1
    bias: float = 0.0
    bit: int = NO_BIT
    rule: WordRule | None = None
    kind: str = "heat"
    unit: str = "°C"
    params: tuple[tuple[str, float], ...] = ()

    @property
    def mode(self) -> Mode:
        return Mode.STATE if self.rule is not None and self.rule.cases else Mode.ANALOGUE

    @property
    def width(self) -> int:
        return 2 if "32" in self.type else 4 if "64" in self.type else 1


POINTS = (
    P("panel.loop1", 3, 0, "uint16", 1.0, rule=NOTIFIER, kind="smoke", unit=""),
    P("panel.loop2", 3, 1, "uint16", 1.0, rule=NOTIFIER, kind="smoke", unit=""),
    P("panel.mains", 3, 5, "uint16", 1.0, bit=13, kind="contact", unit=""),
    P("panel.pressure", 4, 10, "uint16", 1.0, kind="water_pressure", unit="kPa",
      params=(("low_level", 150.0), ("low_clear", 160.0))),
    P("panel.leak", 4, 12, "uint32", 0.001, kind="residual_current", unit="mA"),
    P("panel.smoke", 4, 14, "float32", 1.0, kind="smoke", unit="%/m"),
    P("panel.co", 4, 16, "float32_le", 1.0, kind="co", unit="ppm"),
    P("panel.level", 4, 18, "int32_le", 0.01, kind="level", unit="m"),
    P("panel.contact", 2, 3, "bit", 1.0, rule=CONTACT, kind="contact", unit=""),
    P("sensor1.heat", 4, 0, params=(("fire_level", 57.0), ("prealarm_level", 48.0))),
    P("sensor2.heat", 4, 0, "int16", 0.1, rule=SENTINEL),
)  # fmt: skip


def make_plan(
    points: Sequence[P] = POINTS,
    *,
    lines: Sequence[Line] = (Line("control", LineKind.TCP, "127.0.0.1", 0),),
    devices: Sequence[Device] = (
        Device("panel", 0, 1), Device("sensor1", 0, 11), Device("sensor2", 0, 12),
        Device("relays", 0, 9),
    ),
    outputs: Sequence[tuple[str, str, int]] = (("stair_b", "relays", 0), ("hall", "relays", 1)),
) -> Plan:  # fmt: skip
    """A plan: one poll for each device and function."""
    index = {d.name: i for i, d in enumerate(devices)}
    rules: list[WordRule] = []
    groups: dict[tuple[int, int], list[int]] = {}
    for i, p in enumerate(points):
        groups.setdefault((index[p.name.split(".")[0]], p.function), []).append(i)
    polls = []
    for (device, function), members in groups.items():
        chosen = [points[i] for i in members]
        first = min(p.address for p in chosen)
        rule_ids = []
        for p in chosen:
            if p.rule is not None and p.rule not in rules:
                rules.append(p.rule)
            rule_ids.append(NO_RULE if p.rule is None else rules.index(p.rule))
        polls.append(Poll(
            device, function, first, max(p.address + p.width for p in chosen) - first,
            100_000_000, True,
            np.array(members, "<u4").tobytes(),
            np.array([p.address - first for p in chosen], "<u2").tobytes(),
            bytes(VALUE_TYPES.index(p.type) for p in chosen),
            bytes(p.bit for p in chosen),
            np.array([p.scale for p in chosen], "<f8").tobytes(),
            np.array([p.bias for p in chosen], "<f8").tobytes(),
            np.array(rule_ids, "<u2").tobytes(),
        ))  # fmt: skip
    params = np.full((len(points), len(PARAMS)), math.nan)
    for i, p in enumerate(points):
        for name, value in p.params:
            params[i, PARAMS.index(name)] = value
    table = PointTable(
        np.arange(1, len(points) + 1, dtype="<u4").tobytes(),
        tuple(p.name for p in points),
        np.array([index[p.name.split(".")[0]] for p in points], "<u2").tobytes(),
        tuple(p.kind for p in points),
        tuple(p.unit for p in points),
        bytes(p.mode for p in points),
        np.array([p.scale for p in points], "<f8").tobytes(),
        np.full(len(points), 2_000_000_000, "<i8").tobytes(),
        params.astype("<f8").tobytes(),
    )
    return Plan(
        PLAN_VERSION, bytes(32), "test", "Test", "eu", table, tuple(lines), tuple(devices),
        tuple(polls), tuple(rules), (Zone("room", (9, 10)),) if len(points) > 10 else (),
        tuple(Output(name, index[device], coil) for name, device, coil in outputs), (), (),
    )  # fmt: skip


def rtu_plan(port: str, points: Sequence[P] = POINTS, baud: int = 9600) -> Plan:
    """The same devices on one serial line."""
    line = Line("riser", LineKind.RS485, serial_port=port, baud=baud)
    return make_plan(points, lines=(line,))


def crc(data: bytes) -> bytes:
    """MODBUS over Serial Line V1.02, 6.2.2, written out anew for the tests."""
    value = 0xFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ (0xA001 if value & 1 else 0)
    return value.to_bytes(2, "little")


class Port:
    """A raw master on a serial port. A port that is gone raises OSError."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

    def send(self, data: bytes) -> None:
        os.write(self.fd, data)

    async def ask(self, request: bytes, count: int) -> bytes:
        """Send and wait for `count` bytes, for 5 s at most."""
        self.send(request)
        loop = asyncio.get_running_loop()
        data = b""
        async with asyncio.timeout(5):
            while len(data) < count:
                readable = asyncio.Event()
                loop.add_reader(self.fd, readable.set)
                try:
                    await readable.wait()
                finally:
                    loop.remove_reader(self.fd)
                found = os.read(self.fd, 256)
                if not found:
                    raise OSError("the port is gone")
                data += found
        return data

    def close(self) -> None:
        os.close(self.fd)


class Clock:
    """Monotonic nanoseconds that pass when told to."""

    def __init__(self, now_ns: int = 1_000_000_000_000) -> None:
        self.now_ns = now_ns

    def __call__(self) -> int:
        return self.now_ns

    def pass_s(self, seconds: float) -> None:
        self.now_ns += round(seconds * 1_000_000_000)


async def mbpoll(*args: str, values: Sequence[str] = ()) -> str:
    """One run of mbpoll, an independent master; its output. -1: once, -0: addresses from 0."""
    *options, where = args
    process = await asyncio.create_subprocess_exec(
        "mbpoll", "-1", "-0", "-o", "1.00", *options, where, *values,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(10):
        output, _ = await process.communicate()
    return output.decode()


def polled(output: str) -> list[str]:
    """The values in mbpoll's output: lines like '[3]: \\t12'."""
    return [line.split(":", 1)[1].strip() for line in output.splitlines() if line.startswith("[")]
