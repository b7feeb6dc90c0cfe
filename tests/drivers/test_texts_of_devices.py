"""Texts: characters in registers, from the wire to what the sink is told."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from modbus_peers import DeviceMemory, Send, Sink, make_plan, make_poll, mbap, running, tcp_peer

from config.limits import MS, TEXT_REGISTERS_MAX
from config.plan import Device, Text, decode_plan, encode_plan
from config.text_reader import ENCODINGS
from drivers.modbus.beside import TextWork, text_of
from drivers.modbus.master import BusMaster
from drivers.reading import TextReading

TEXT = Text(7, "a.name", 0, 3, 0, 4, 50 * MS, "ascii", False)


@pytest.mark.parametrize(
    ("encoding", "low_first", "payload", "said"),
    [
        ("ascii", False, b"NK8237  ", "NK8237"),
        ("ascii", True, b"KN2873\x000", "NK82370"),
        ("ascii", False, b"AB\0DEFGH", "AB"),
        ("ascii", False, b"\xff\xff\xff\xff", ""),
        ("ascii", False, b"A\x07B\x80", "A\ufffdB\ufffd"),
        ("utf-8", False, "火警".encode() + b"\0\0", "火警"),
        ("gb18030", False, "三层走廊".encode("gb18030"), "三层走廊"),
        ("gb18030", True, b"\xfd\xc8\xe3\xb2", "三层"),
    ],
)
def test_characters_of_registers(encoding: str, low_first: bool, payload: bytes, said: str) -> None:
    assert text_of(replace(TEXT, encoding=encoding, low_first=low_first), payload) == said


@given(
    st.sampled_from(ENCODINGS),
    st.booleans(),
    st.integers(1, TEXT_REGISTERS_MAX).flatmap(lambda n: st.binary(min_size=2 * n, max_size=2 * n)),
)
def test_any_registers_give_a_printable_bounded_text(
    encoding: str, low_first: bool, payload: bytes
) -> None:
    said = text_of(replace(TEXT, encoding=encoding, low_first=low_first), payload)
    assert len(said) <= len(payload)
    assert said.isprintable()
    assert said.encode().decode() == said  # no half of a surrogate pair: it goes into the record


def test_on_a_noisy_line_two_reads_must_agree() -> None:
    work = TextWork(0, 1, TEXT)
    told = TextReading(0, 5, "AAAA")
    assert work.took(b"AAAA\0\0\0\0", 5, noisy=False) == told
    assert work.took(b"BAAA\0\0\0\0", 6, noisy=True) is None
    assert [work.again] == [True]
    assert work.took(b"AAAA\0\0\0\0", 7, noisy=True) == replace(told, mono_ns=7)
    assert [work.again] == [False]
    for k, again in ((1, True), (2, True), (3, False)):
        assert work.took(b"C%d\0\0\0\0\0\0" % k, 8, noisy=True) is None
        assert work.again == again
    assert work.took(b"DDDD\0\0\0\0", 9, noisy=True) is None
    assert work.took(b"DDDD\0\0\0\0", 10, noisy=True) == TextReading(0, 10, "DDDD")


def test_texts_are_read_beside_the_points_and_survive_an_exception() -> None:
    async def main() -> None:
        memory = DeviceMemory()
        words = {"now": b"NK8237\0\0"}

        async def script(tid: int, unit: int, pdu: bytes, send: Send) -> None:
            if pdu[1:3] != struct.pack(">H", 500):
                await send(mbap(tid, unit, memory.answer(pdu)))
            elif words["now"]:
                await send(mbap(tid, unit, b"\x03\x08" + words["now"]))
            else:
                await send(mbap(tid, unit, b"\x83\x02"))

        async with tcp_peer(script) as peer:
            sink = Sink()
            plan = make_plan([peer.line()], [Device("a", 0, 1)], [make_poll(0, 3)])
            plan = decode_plan(encode_plan(replace(plan, texts=(replace(TEXT, address=500),))))
            async with running(BusMaster(plan, 0, sink)):
                await sink.until(lambda: sink.texts and sink.blocks)
                assert sink.texts[0].value == "NK8237"
                words["now"] = b""
                await sink.until(lambda: sink.texts[-1].value is None)
                words["now"] = b"\xc8\xfd\xb2\xe3\0\0\0\0"
                await sink.until(lambda: sink.texts[-1].value == "\ufffd" * 4)
                blocks = len(sink.blocks)
                await sink.until(lambda: len(sink.blocks) > blocks)
            assert not sink.failures

    asyncio.run(main())
