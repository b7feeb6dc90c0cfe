"""The codecs of panels: vectors of the standards and of recordings, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from panel_makers import GB_BEAT, GST_FIRE, GST_RESET, NAMES, espa_block, panel_of

from config.limits import ESPA_BLOCK_NS, PANEL_GAP_NS, PANEL_RECORD_BYTES_MAX, S
from config.words import Flag
from drivers.panel.client import make_talk
from drivers.panel.espa import Block, Control, EspaDecoder, EspaTalk, block_check
from drivers.panel.id3000 import Id3000Decoder, Id3000Talk, Line, checksum, parse_event
from drivers.panel.talk import Damage, Said, Talk
from drivers.panel.text import TextSplitter, TextTalk
from drivers.reading import PanelKind

ALARMS = Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY
chunks = st.lists(st.binary(max_size=40), max_size=12)


def told(talk: Talk, data: bytes, now_ns: int = 0) -> list[Said]:
    return talk.receive(data, now_ns).said


# --- any bytes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
@given(parts=chunks, jumps=st.lists(st.integers(0, 40 * S), max_size=12))
@settings(max_examples=60, deadline=None)
def test_any_bytes_at_any_time(name: str, parts: list[bytes], jumps: list[int]) -> None:
    talk = make_talk(panel_of(name))
    now_ns = 0
    for i, part in enumerate(parts):
        now_ns += jumps[i] if i < len(jumps) else 0
        for heard in (talk.receive(part, now_ns), talk.tick(now_ns + 1)):
            assert sum(map(len, heard.replies)) <= 8 * len(part) + 8
            for said in heard.said:
                assert said.text.isprintable()
                assert 0 <= said.flags <= sum(Flag)


near_espa = st.lists(
    st.sampled_from([b"\x01", b"\x02", b"\x03", b"\x04", b"\x05", b"\x06", b"\x15", b"\x1e",
                     b"\x1f", b"1", b"2", b"A", espa_block(("2", "FIRE"))]), max_size=30,
)  # fmt: skip
near_id = st.lists(
    st.sampled_from([b">", b"IE", b"IS", b"\r", b"00", b"BDD6", b'"', b"\xff",
                     b">IE0220611450330000000BDD6\r"]), max_size=20,
)  # fmt: skip
near_text = st.lists(
    st.sampled_from([b"\x1b6", b"\x1b9", b"\n", b"\r", b"  ", b"\xbb", b"\xf0", GST_FIRE]),
    max_size=20,
)


@given(near_espa, st.data())
@settings(max_examples=150, deadline=None)
def test_espa_frames_do_not_depend_on_how_bytes_arrive(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    one, two = EspaDecoder(), EspaDecoder()
    assert one.feed(whole) == two.feed(whole[:at]) + two.feed(whole[at:])


@given(near_id, st.data())
@settings(max_examples=150, deadline=None)
def test_id3000_lines_do_not_depend_on_how_bytes_arrive(
    parts: list[bytes], data: st.DataObject
) -> None:
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    one, two = Id3000Decoder("crc16"), Id3000Decoder("crc16")
    assert one.feed(whole) == two.feed(whole[:at]) + two.feed(whole[at:])


@given(near_text, st.booleans(), st.data())
@settings(max_examples=150, deadline=None)
def test_text_records_do_not_depend_on_how_bytes_arrive(
    parts: list[bytes], blank: bool, data: st.DataObject
) -> None:
    whole = b"".join(parts)
    at = data.draw(st.integers(0, len(whole)))
    one, two = (TextSplitter(begin=b"\x1b6", blank=blank) for _ in range(2))
    assert one.feed(whole) == two.feed(whole[:at]) + two.feed(whole[at:])


@pytest.mark.parametrize("name", NAMES)
def test_endless_bytes_are_damage_and_then_all_is_well(name: str) -> None:
    talk = make_talk(panel_of(name))
    for byte in (b"\x01", b"A", b">", b"\xbb", b"@"):
        talk.receive(byte * 5 * PANEL_RECORD_BYTES_MAX, 0)
    assert talk.counters.damaged > 0
    talk.restart()
    frames = talk.counters.frames
    good = {"gst9000-printer": GST_FIRE, "notifier-nfs-printer": b"FIRE ALARM  L01D001\r\n",
            "espa-4.4.4": b"\x04", "notifier-id3000": b">IS0001C000000000000BE7F\r",
            "notifier-id3000-full-duplex": b">IS0001C000000000000E0\r"}  # fmt: skip
    talk.receive(good.get(name, GB_BEAT), 1)
    assert talk.counters.frames == frames + 1


# --- ESPA 4.4.4 -----------------------------------------------------------------------------


def test_espa_block_vector() -> None:
    vector = bytes.fromhex("01 31 02 31 1F 41 03 5F")
    assert EspaDecoder().feed(vector) == [Block("1", (("1", b"A"),))]
    assert block_check(vector[1:-1]) == vector[-1]
    assert EspaDecoder().feed(vector[:-1] + b"\x5e") == [
        Damage("expected another block check character", 8)
    ]


def test_espa_a_trailing_separator_and_any_check_character_are_accepted() -> None:
    body = b"1\x021\x1fA\x1e\x03"
    data = b"\x01" + body + bytes([block_check(body)])
    assert EspaDecoder().feed(data) == [Block("1", (("1", b"A"),))]
    for text in map(chr, range(0x20, 0x7F)):  # some of these have a control code as their check
        block = espa_block(("2", text))
        assert EspaDecoder().feed(block + b"\x04") == [
            Block("1", (("2", text.encode()),)), Control(4, "")
        ]  # fmt: skip


def test_espa_a_cut_block_does_not_swallow_what_follows() -> None:
    block = espa_block(("2", "FIRE"))
    frames = EspaDecoder().feed(block[:6] + b"\x042\x05" + block[:5] + block)
    assert [type(f) for f in frames] == [Damage, Control, Control, Damage, Block]
    assert frames[2] == Control(5, "2")


def test_espa_conversation() -> None:
    talk = EspaTalk(panel_of("espa-4.4.4"))
    assert talk.receive(b"\x042\x05", 0).replies == [b"\x04"]  # a poll: nothing to send
    assert talk.receive(b"\x041\x05", S).replies == []  # the panel polls itself ...
    assert talk.receive(b"2\x05", S).replies == [b"\x06"]  # ... and selects us
    block = espa_block(("1", "100"), ("2", "FEUER 12/3 KELLER"), ("4", "3"), ("6", "1"))
    assert talk.receive(block[:-1] + b"\x00", S).replies == [b"1\x15"]
    heard = talk.receive(block, S)
    assert heard.replies == [b"\x06"]
    assert [(s.flags, s.clears, s.address) for s in heard.said] == [(Flag.FIRE, False, "12/3")]
    assert talk.receive(b"\x04", S).replies == []


def test_espa_a_block_that_nobody_asked_for_is_not_taken() -> None:
    talk = EspaTalk(panel_of("espa-4.4.4"))
    block = espa_block(("2", "FEUER"))
    assert not talk.receive(block, 0).said
    talk.receive(b"1\x052\x05", 0)
    heard = talk.receive(block, ESPA_BLOCK_NS + 1)  # far too late
    assert (heard.said, heard.replies) == ([], [])


def test_espa_another_header_is_acknowledged_and_ignored() -> None:
    talk = EspaTalk(panel_of("espa-4.4.4"))
    talk.receive(b"1\x052\x05", 0)
    heard = talk.receive(espa_block(("2", "FEUER"), header="5"), 0)
    assert (heard.said, heard.replies) == ([], [b"\x06"])


@pytest.mark.parametrize(
    ("text", "kind", "flags", "clears"),
    [
        ("FEUER 1/2", PanelKind.STATE, Flag.FIRE, False),
        ("Brandmeldung EG", PanelKind.STATE, Flag.FIRE, False),
        ("STÖRUNG Melder 1/2", PanelKind.STATE, Flag.FAULT, False),
        ("ST\\RUNG 1/2", PanelKind.STATE, Flag.FAULT, False),  # the German 7-bit set
        ("FEUER 1/2 RESET", PanelKind.STATE,
         Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY | Flag.FAULT, True),
        ("FEUER IM RESET-RAUM 1/2", PanelKind.STATE, Flag.FIRE, False),
        ("SYSTEM RESET", PanelKind.CLEAR_ALL,
         ALARMS | Flag.FAULT | Flag.ACTIVATED | Flag.FEEDBACK, True),
        ("XYZ", PanelKind.STATE, Flag.PREALARM, False),  # by its priority alone
    ],
)  # fmt: skip
def test_espa_words(text: str, kind: PanelKind, flags: Flag, clears: bool) -> None:
    talk = EspaTalk(panel_of("espa-4.4.4"))
    talk.receive(b"1\x052\x05", 0)
    (said,) = told(talk, espa_block(("1", "7"), ("2", text), ("4", "3"), ("6", "1")))
    assert (said.kind, said.flags, said.clears) == (kind, flags, clears)


# --- ID3000 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "check"), [(b"IE0220611450330000000", b"BDD6"), (b"IS0001C000000000000", b"BE7F")]
)
def test_id3000_checksum_vectors(body: bytes, check: bytes) -> None:
    assert checksum(body, "crc16") == check
    assert Id3000Decoder("crc16").feed(b">" + body + check + b"\r") == [Line(body)]
    assert isinstance(Id3000Decoder("crc16").feed(b">" + body + b"0000\r")[0], Damage)


def test_id3000_event_fields() -> None:
    event = parse_event(b"IE020011145033010000" + b'4S2301"LOBBY"')
    assert event is not None
    assert (event.code, event.place, event.text) == (1, "02/L01S23", b"LOBBY")
    assert event.time is not None
    assert event.time.text == "14:50:33"
    other = parse_event(b"IE0220611450330000000")
    assert other is not None
    assert (other.code, other.place) == (206, "02")
    assert parse_event(b"IE02") is None


@pytest.mark.parametrize("name", ["notifier-id3000", "notifier-id3000-full-duplex"])
def test_id3000_conversation(name: str) -> None:
    panel = panel_of(name)
    talk = Id3000Talk(panel)

    def line(body: str) -> bytes:
        return b">" + body.encode() + checksum(body.encode(), panel.checksum) + b"\r"

    heard = talk.receive(line("IS0001C000000000000"), 0)
    assert (heard.replies, heard.said) == ([b">IACK\r"], [])
    fire = line('IE0200111450330100004S2301"A > B"')
    heard = talk.receive(fire, 0)
    assert heard.replies == [b">IACK\r"]
    assert [(s.flags, s.address) for s in heard.said] == [(Flag.FIRE, "02/L01S23")]
    assert talk.receive(fire.replace(b"S23", b"S24"), 0).replies == []  # wrong checksum
    assert talk.counters.damaged == 1
    (said,) = told(talk, line("IE0201911450330100004S2301"))
    assert said.clears
    assert said.flags & Flag.FIRE
    (said,) = told(talk, line("IE0212911450330000000"))
    assert said.kind is PanelKind.CLEAR_ALL
    (said,) = told(talk, line("IE0299911450330000000"))
    assert said.kind is PanelKind.NOTE
    assert talk.counters.not_understood == 1


def test_id3000_a_line_without_its_end_is_dropped() -> None:
    talk = Id3000Talk(panel_of("notifier-id3000"))
    talk.receive(b">IE0200111450", 0)
    talk.tick(PANEL_GAP_NS + 1)
    assert talk.counters.damaged == 1
    heard = talk.receive(b">IS0001C000000000000BE7F\r", PANEL_GAP_NS + 2)
    assert heard.replies == [b">IACK\r"]


# --- printers -------------------------------------------------------------------------------


def test_gst9000_recorded_events() -> None:
    talk = TextTalk(panel_of("gst9000-printer"))
    fire, reset = told(talk, GST_FIRE + GST_RESET)
    assert (fire.kind, fire.flags, fire.address) == (PanelKind.STATE, Flag.FIRE, "004-004")
    assert fire.text == "08/12/02 17:24 004-004 首次火警 裙楼一层上空 感烟探测器"
    assert fire.time is not None
    assert fire.time.text == "2008-12-02T17:24"
    assert reset.kind is PanelKind.CLEAR_ALL
    assert reset.flags & ALARMS == ALARMS
    assert not reset.flags & (Flag.DISABLED | Flag.FAULT)


def gst(words: str, place: str = "裙楼") -> bytes:
    text = f"\x1b626/05/06  07:08\n  001-002\n\x1b9{words}\n{place}\n感烟\n\n"
    return text.encode("gb18030")


@pytest.mark.parametrize(
    ("words", "flags", "clears", "address"),
    [
        ("火警后续", Flag.FIRE, False, "001-002"),
        ("故障", Flag.FAULT, False, "001-002"),
        ("故障恢复", Flag.FAULT, True, "001-002"),
        ("屏蔽", Flag.DISABLED, False, "001-002"),
        ("屏蔽释放", Flag.DISABLED, True, "001-002"),
        ("启动", Flag.ACTIVATED, False, "001-002"),
        ("反馈", Flag.FEEDBACK, False, "001-002"),
        ("监管", Flag.SUPERVISORY, False, "001-002"),
        ("延时启动", Flag.DELAY, False, "001-002"),
        ("手动允许", Flag.MANUAL, False, "mode"),
        ("自动允许", Flag.MANUAL, True, "mode"),
        ("主电故障", Flag.FAULT, False, "mains"),
        ("主电恢复", Flag.FAULT, True, "mains"),
        ("备电故障", Flag.FAULT, False, "battery"),
    ],
)
def test_gst9000_words(words: str, flags: Flag, clears: bool, address: str) -> None:
    (said,) = told(TextTalk(panel_of("gst9000-printer")), gst(words))
    assert (said.flags, said.clears, said.address) == (flags, clears, address)


def test_gst9000_a_place_called_reset_does_not_reset() -> None:
    talk = TextTalk(panel_of("gst9000-printer"))
    (said,) = told(talk, gst("首次火警", "复位按钮 系统复位"))
    assert (said.kind, said.flags) == (PanelKind.STATE, Flag.FIRE)
    unmarked = gst("首次火警", "系统复位").replace(b"\x1b9", b"")
    (said,) = told(talk, unmarked)  # its mark is lost: it can raise, it cannot clear
    assert (said.kind, said.flags) == (PanelKind.STATE, Flag.FIRE)


def test_half_a_fire_counts_after_a_silence_and_half_a_reset_does_not() -> None:
    talk = TextTalk(panel_of("gst9000-printer"))
    assert not told(talk, GST_FIRE[:-14])
    assert not talk.tick(PANEL_GAP_NS - 1).said
    (said,) = talk.tick(PANEL_GAP_NS).said
    assert (said.flags, said.address) == (Flag.FIRE, "004-004")
    talk.receive(GST_RESET[:-1], 0)
    (said,) = talk.tick(PANEL_GAP_NS).said
    assert said.kind is PanelKind.NOTE


def test_a_record_begins_anew_where_the_end_of_the_last_was_lost() -> None:
    talk = TextTalk(panel_of("gst9000-printer"))
    fire, reset = told(talk, GST_FIRE[:-3] + GST_RESET)
    assert fire.flags == Flag.FIRE
    assert reset.kind is PanelKind.CLEAR_ALL


@pytest.mark.parametrize(
    ("line", "kind", "flags", "clears"),
    [
        ("FIRE ALARM     SMOKE LOBBY  08:35A 041526 L01D012", PanelKind.STATE, Flag.FIRE, False),
        ("CLEARED FIRE ALARM  LOBBY  L01D012", PanelKind.STATE, Flag.FIRE, True),
        ("FIRE ALARM  RESET ROOM CLEARED STORE L01D012", PanelKind.STATE, Flag.FIRE, False),
        ("** TROUBLE OPEN CIRCUIT L01M012", PanelKind.STATE, Flag.FAULT, False),
        ("SUPERVISORY TAMPER L01D012", PanelKind.STATE, Flag.SUPERVISORY, False),
        ("PREALARM  L01D012", PanelKind.STATE, Flag.PREALARM, False),
        ("SIGNALS SILENCED", PanelKind.SILENCE, Flag.NONE, False),
        ("SOMETHING NEW L01D012", PanelKind.NOTE, Flag.NONE, False),
        ("SYSTEM RESET", PanelKind.NOTE, Flag.NONE, False),
    ],
)
def test_nfs_words(line: str, kind: PanelKind, flags: Flag, clears: bool) -> None:
    talk = TextTalk(panel_of("notifier-nfs-printer"))
    (said,) = told(talk, line.encode() + b"\r\n")
    assert (said.kind, said.flags, said.clears) == (kind, flags, clears)
    assert said.address in ("L01D012", "L01M012", "")


def test_nfs_normal_clears_and_reset_does_where_the_site_says_so() -> None:
    (said,) = told(TextTalk(panel_of("notifier-nfs-printer")), b"SYSTEM NORMAL 08:35A 041526\r\n")
    assert said.kind is PanelKind.CLEAR_ALL
    assert said.time is not None
    assert said.time.text == "2026-04-15T08:35"
    (said,) = told(TextTalk(panel_of("notifier-nfs-printer", "clear")), b"SYSTEM RESET\r\n")
    assert said.kind is PanelKind.CLEAR_ALL
    assert not told(TextTalk(panel_of("notifier-nfs-printer")), b"------------\r\n")
