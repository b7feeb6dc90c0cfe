"""SIA DC-09: frames against published vectors, and against an implementation that is not ours."""

from __future__ import annotations

from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from pysiaalarm.account import SIAAccount
from pysiaalarm.event import SIAEvent
from test_dc09 import KEY, PLACES_CODE, WALL_NS, pad, reply

from agent.courier.dc09_book import Event, Place
from agent.courier.dc09_frame import (
    Account,
    Answer,
    Format,
    Garbage,
    Keys,
    Reply,
    ReplyDecoder,
    crc16,
    encode,
)
from config.limits import DC09_FRAME_BYTES_MAX, S


def test_published_frames() -> None:
    sent_ns = 1_581_258_833 * S  # 2020-02-09 14:33:53
    who = Account("22334455", line="")
    assert encode(Format.SIA_DCS, 1, who, "#22334455|NCQ1", sent_ns, None, pad) == (
        b'\n78FC003B"SIA-DCS"0001L#22334455[#22334455|NCQ1]_14:33:53,02-09-2020\r'
    )
    for line in (
        b'BB86002C"NULL"0001L#7303658550[]_15:39:38,06-07-2019',
        b'EA740027"NULL"0000L0#1409[]_20:38:07,08-27-2026',
    ):
        assert b"%04X%04X" % (crc16(line[8:]), len(line) - 8) == line[:8]
    nak = ReplyDecoder(None).feed(b'\n3C3B0025"NAK"0000R0L0A0[]_15:39:35,05-07-2019\r')
    assert [(r.answer, r.sequence) for r in nak if isinstance(r, Reply)] == [(Answer.NAK, 0)]
    ack = ReplyDecoder(None).feed(b'\n59890012"ACK"0000L0#1409[]\r')
    assert ack == [Reply(Answer.ACK, 0, account="1409")]


def test_a_reply_whose_check_counts_the_cr_is_taken() -> None:
    text = b'"ACK"0056L9999#9999[]'
    line = b"\n%04X%04X" % (crc16(text + b"\r"), len(text) + 1) + text + b"\r"
    assert ReplyDecoder(None).feed(line) == [Reply(Answer.ACK, 56, account="9999")]


@given(st.lists(st.binary(max_size=200), max_size=20))
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_garbage_or_a_reply_and_then_all_is_well(parts: list[bytes]) -> None:
    decoder = ReplyDecoder(Keys(KEY))
    for part in parts:
        decoder.feed(part)
        assert len(decoder._buffer) <= DC09_FRAME_BYTES_MAX
    assert decoder.feed(b"\r" + reply('"ACK"0003L0#1[]'))[-1] == Reply(Answer.ACK, 3, account="1")


@given(st.binary(max_size=120))
@settings(max_examples=200, deadline=None)
def test_any_body_behind_a_good_check(body: bytes) -> None:
    text = b'"*ACK"0001L0#1[' + body.replace(b"\r", b"").replace(b"\n", b"")
    (found,) = ReplyDecoder(Keys(KEY)).feed(b"\n%04X%04X" % (crc16(text), len(text)) + text + b"\r")
    assert isinstance(found, Garbage)


@given(
    st.sampled_from([Format.SIA_DCS, Format.ADM_CID, Format.NULL]),
    st.integers(1, 9_999),
    st.sampled_from([b"", KEY, KEY + KEY[:8], KEY + KEY]),
    st.integers(0, 999),
)
@settings(max_examples=100, deadline=None)
def test_another_implementation_reads_every_frame(
    form: Format, sequence: int, key: bytes, zone: int
) -> None:
    event = Event(PLACES_CODE, True, Place(zone, "a place"), WALL_NS, urgent=True)
    said = {
        Format.SIA_DCS: f"#1234|{event.sia(text=True)}",
        Format.ADM_CID: f"#1234|{event.contact_id()}",
        Format.NULL: "",
    }[form]
    account = SIAAccount("1234", key.decode() or None, allowed_timeband=None)
    keys = Keys(key) if key else None
    line = encode(form, sequence, Account("1234", "2", "1"), said, WALL_NS, keys, pad)
    found = SIAEvent.from_line(line.decode().strip(), {"1234": account})
    assert found.valid_message
    assert found.encrypted == bool(key)
    assert (found.account, found.sequence) == ("1234", f"{sequence:04}")
    assert found.code == {Format.SIA_DCS: "FA", Format.ADM_CID: "FA", Format.NULL: "RP"}[form]
    assert isinstance(found.timestamp, datetime)
    assert found.timestamp.timestamp() == WALL_NS // S
    if form is not Format.NULL:
        zone_text = found.ri if form is Format.ADM_CID else (found.message or "")[:4]
        assert zone_text is not None
        assert int(zone_text) == zone
