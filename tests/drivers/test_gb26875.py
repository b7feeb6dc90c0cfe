"""Frames and units of GB/T 26875.3: published vectors, every type, and any bytes at all."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.panel.gb26875 import (
    HEAD_BYTES,
    STANDARD,
    Command,
    Dialect,
    Frame,
    FrameDecoder,
    FrameError,
    Stamp,
    Wrong,
    encode_frame,
    stamp_of,
)
from drivers.panel.gb26875_units import (
    LAYOUTS,
    AnalogueValue,
    ComponentStatus,
    DeviceOperation,
    DeviceStatus,
    DeviceTime,
    DeviceVersion,
    DutyCheck,
    ReadDevice,
    SystemConfiguration,
    SystemStatus,
    Unit,
    UnitError,
    answer_type,
    clip,
    decode_unit,
    encode_unit,
    split,
)

DEVICE, CENTRE = 0x379, 0x15B38
SENT, HAPPENED = Stamp(32, 58, 9, 26, 9, 12), Stamp(2, 58, 9, 26, 9, 12)
_UP = "{tag} 3A 09 1A 09 0C 79 03 00 00 00 00 38 5B 01 00 00 00"
_DOWN = "{tag} 3A 09 1A 09 0C 38 5B 01 00 00 00 79 03 00 00 00 00"


def up(rest: str, serial: str = "01 00", tag: str = "20") -> bytes:
    return bytes.fromhex(f"40 40 {serial} 01 01 {_UP.format(tag=tag)} {rest} 23 23")


def down(rest: str, serial: str = "01 00", tag: str = "20") -> bytes:
    return bytes.fromhex(f"40 40 {serial} 01 01 {_DOWN.format(tag=tag)} {rest} 23 23")


NONE = None
VECTORS = {
    "smoke in fire": (
        up("30 00 02 02 01 01 01 28 0A 00 02 00 02 00" + "20" * 30 + "00 02 3A 09 1A 09 0C 46"),
        (2, ComponentStatus(1, 1, 40, 0x0002000A, 2, "", HAPPENED)),
    ),
    "confirm": (down("00 00 03 AB", tag="23"), NONE),
    "deny": (down("00 00 06 AE", tag="23"), NONE),
    "device denies": (up("00 00 06 AE", tag="23"), NONE),
    "mains fault": (
        up("09 00 02 15 01 08 02 3A 09 1A 09 0C 42"), (21, DeviceStatus(8, HAPPENED)),
    ),
    "duty answer": (
        up("0A 00 02 18 01 20 01 02 3A 09 1A 09 0C 5F"), (24, DeviceOperation(32, 1, HAPPENED)),
    ),
    "version": (up("04 00 02 19 01 01 01 C7"), (25, DeviceVersion(1, 1))),
    "time": (up("08 00 02 1C 01 02 3A 09 1A 09 0C 40"), (28, DeviceTime(HAPPENED))),
    "request 81": (down("03 00 04 51 01 00 FE"), (81, ReadDevice())),
    "response 21": (
        up("09 00 05 15 01 08 02 3A 09 1A 09 0C 45"), (21, DeviceStatus(8, HAPPENED)),
    ),
    "request 85": (down("03 00 04 55 01 00 02"), (85, ReadDevice())),
    "response 25": (up("04 00 05 19 01 01 01 CA"), (25, DeviceVersion(1, 1))),
    "request 88": (down("03 00 04 58 01 00 05"), (88, ReadDevice())),
    "response 28": (up("08 00 05 1C 01 02 3A 09 1A 09 0C 43"), (28, DeviceTime(HAPPENED))),
    "initialise": (down("03 00 01 59 01 00 03"), (89, ReadDevice())),
    "clock": (down("08 00 01 5A 01 02 3A 09 1A 09 0C 7D"), (90, DeviceTime(HAPPENED))),
    "duty check": (down("03 00 01 5B 01 0A 0F"), (91, DutyCheck(10))),
    "heartbeat": (up("00 00 02 88", "00 00", "02"), NONE),
    "its confirmation": (down("00 00 03 89", "00 00", "02"), NONE),
    "system status": (
        up("0C 00 02 01 01 01 01 03 01 02 3A 09 1A 09 0C 12", "02 00", "02"),
        (1, SystemStatus(1, 1, 0x0103, HAPPENED)),
    ),
    "605.0 kPa": (
        up("12 00 02 03 01 0B 01 63 0A 00 02 00 05 A2 17 02 3A 09 1A 09 0C 4E", "03 00", "02"),
        (3, AnalogueValue(11, 1, 99, 0x0002000A, 5, 6050, HAPPENED)),
    ),
    "-12.5 °C": (
        up("12 00 02 03 01 0B 01 1E 01 00 00 00 03 83 FF 02 3A 09 1A 09 0C C6", "04 00", "02"),
        (3, AnalogueValue(11, 1, 30, 1, 3, -125, HAPPENED)),
    ),
    "Chinese text": (
        up("30 00 02 02 01 01 01 2A 0A 00 02 00 03 00 C8 B9 C2 A5 D2 BB B2 E3 C9 CF BF D5"
           + "00" * 19 + "02 3A 09 1A 09 0C A5", "05 00", "02"),
        (2, ComponentStatus(1, 1, 42, 0x0002000A, 3, "裙楼一层上空", HAPPENED)),
    ),
}  # fmt: skip
"""name -> (bytes, (type, its one object)); most are published, by a project of somebody else."""


@pytest.mark.parametrize("name", VECTORS)
def test_vector(name: str) -> None:
    raw, expected = VECTORS[name]
    (frame,) = FrameDecoder().feed(raw)
    assert isinstance(frame, Frame)
    assert {frame.source, frame.destination} == {DEVICE, CENTRE}
    assert frame.time.year == 12
    assert encode_frame(frame) == raw
    if expected is None:
        assert frame.data == b""
        return
    kind, made = expected
    unit = decode_unit(frame.data)
    assert unit == Unit(kind, (made,))
    # A text of blanks comes back padded with zeros: both occur in the field.
    if name != "smoke in fire":
        assert encode_unit(unit) == frame.data


def test_frames_end_by_length_and_not_by_a_search() -> None:
    frame = Frame(0x2323, 0x4040, 0x2323, Command.SEND, b"\x40\x40##@@##" * 3, SENT)
    raw = encode_frame(frame)
    decoder = FrameDecoder()
    found = [x for byte in raw + raw for x in decoder.feed(bytes([byte]))]
    assert found == [frame, frame]
    assert decoder.waiting == 0


@pytest.mark.parametrize(
    ("at", "to", "wrong"),
    [(-3, 0, Wrong.CHECKSUM), (-1, 0, Wrong.END), (25, 9, Wrong.LENGTH), (4, 2, Wrong.VERSION)],
)
def test_damage_is_one_error_and_the_next_frame_is_found(at: int, to: int, wrong: Wrong) -> None:
    raw = bytearray(encode_frame(Frame(7, DEVICE, CENTRE, Command.SEND, b"\x01", SENT)))
    raw[at] = to
    good = encode_frame(Frame(8, DEVICE, CENTRE, Command.CONFIRM, b"", SENT))
    error, frame = FrameDecoder().feed(bytes(raw) + good)
    assert isinstance(error, FrameError)
    assert (error.wrong, error.serial, error.source) == (wrong, 7, DEVICE)
    assert isinstance(frame, Frame)
    assert frame.serial == 8


@pytest.mark.parametrize("command", [0, 7, 127])
def test_a_reserved_command_is_an_error_and_a_users_one_is_not(command: int) -> None:
    (error,) = FrameDecoder().feed(encode_frame(Frame(1, 2, 3, command)))
    assert isinstance(error, FrameError)
    assert error.wrong is Wrong.COMMAND
    (frame,) = FrameDecoder().feed(encode_frame(Frame(1, 2, 3, 128 + command)))
    assert isinstance(frame, Frame)


def test_noise_before_a_frame_is_one_error() -> None:
    good = encode_frame(Frame(8, DEVICE, CENTRE, Command.CONFIRM))
    found = FrameDecoder().feed(b"noise @ noise @" + good)
    assert [type(x) for x in found] == [FrameError, Frame]


def test_a_false_start_that_never_ends_is_given_up() -> None:
    decoder = FrameDecoder()
    good = encode_frame(Frame(8, DEVICE, CENTRE, Command.CONFIRM))
    false = b"@@\0\0\1" + bytes(19) + b"\xff\x03\x01"  # 1023 bytes are to follow
    assert decoder.feed(false + good) == []
    (frame,) = decoder.give_up()
    assert isinstance(frame, Frame)
    assert decoder.waiting == 0


@given(st.lists(st.binary(max_size=200), max_size=8))
def test_any_bytes_give_frames_errors_or_need_more(parts: list[bytes]) -> None:
    decoder = FrameDecoder()
    for part in parts:
        decoder.feed(part)
        assert decoder.waiting < HEAD_BYTES + 3 + STANDARD.data_bytes_max
    whole = FrameDecoder().feed(b"".join(parts))
    split_up = FrameDecoder()
    assert [x for p in parts for x in split_up.feed(p) if isinstance(x, Frame)] == [
        x for x in whole if isinstance(x, Frame)
    ]


@given(st.binary(max_size=120), st.booleans(), st.booleans())
def test_any_data_give_a_unit_or_one_error(data: bytes, bcd: bool, tags: bool) -> None:
    dialect = Dialect(bcd=bcd, tags_everywhere=tags)
    try:
        unit = decode_unit(data, dialect)
    except UnitError:
        return
    assert len(unit.objects) == data[1]


_STAMPS = st.builds(
    Stamp, *(st.integers(0, 59),) * 2, st.integers(0, 23), st.integers(1, 28), st.integers(1, 12),
    st.integers(0, 99),
)  # fmt: skip
_VALUES = {
    "B": st.integers(0, 255),
    "H": st.integers(0, 65_535),
    "I": st.integers(0, 2**32 - 1),
    "h": st.integers(-32_768, 32_767),
    "T": _STAMPS,
    "D": st.sampled_from(["", "裙楼一层上空", "a", "é 第2层"]),
    "S": st.sampled_from(["", "配置", "x" * 100]),
}


@settings(max_examples=25)
@given(st.data(), st.booleans(), st.booleans())
def test_every_type_in_every_dialect_is_what_it_was(data: st.DataObject, bcd: bool, tags: bool) -> None:  # noqa: E501 -- one line of a table  # fmt: skip
    dialect = Dialect(bcd=bcd, tags_everywhere=tags)
    for kind, layout in LAYOUTS.items():
        objects = tuple(
            layout.made(*(data.draw(_VALUES[f]) for f in layout.fields))
            for _ in range(min(2, layout.most))
        )
        unit = Unit(kind, objects)
        raw = encode_unit(unit, dialect, SENT)
        assert decode_unit(raw, dialect) == unit
        with pytest.raises(UnitError):
            decode_unit(raw + b"\0", dialect)
        with pytest.raises(UnitError):
            decode_unit(raw[:-1], dialect)


def test_sizes_are_those_of_the_standard() -> None:
    sizes = {1: 10, 2: 46, 3: 16, 4: 10, 5: 4, 7: 38, 8: 8, 21: 7, 24: 8, 25: 2, 28: 6, 61: 2,
             62: 6, 63: 6, 64: 9, 81: 1, 84: 7, 90: 6, 91: 1}  # fmt: skip
    for kind, size in sizes.items():
        with pytest.raises(UnitError, match="end early"):
            decode_unit(bytes([kind, 1]) + bytes(size - 1))
        assert len(decode_unit(bytes([kind, 1]) + bytes(size)).objects) == 1
    assert decode_unit(b"\x06\x02\x01\x02\x00\x03\x04\x02ab") == Unit(
        6, (SystemConfiguration(1, 2, ""), SystemConfiguration(3, 4, "ab"))
    )


def test_requests_and_their_answers() -> None:
    pairs = {61: 1, 62: 2, 63: 3, 64: 4, 65: 5, 66: 6, 67: 7, 68: 8, 81: 21, 84: 24, 85: 25,
             86: 26, 88: 28}  # fmt: skip
    assert {k: answer_type(k) for k in range(256) if answer_type(k) is not None} == pairs


def test_text_is_cut_between_characters() -> None:
    assert clip("裙" * 20, 31) == "裙".encode("gb18030") * 15
    assert clip("🔥" * 20, 31).decode("gb18030") == "🔥" * 7
    assert clip("\ud800x", 31) == b"?x"


def test_tags_are_local_time() -> None:
    wall_ns = 1_348_624_682 * 10**9  # 2012-09-26 01:58:02 UTC
    assert stamp_of(wall_ns, 8 * 3600) == HAPPENED
    assert HAPPENED.wall_ns(8 * 3600) == wall_ns
    assert Stamp().wall_ns(0) is None
    assert Stamp(255, 255, 255, 255, 255, 255).wall_ns(0) is None


def test_many_objects_are_cut_into_units() -> None:
    made = SystemConfiguration(1, 1, "x" * 255)
    assert [len(u.objects) for u in split(6, [made] * 7)] == [3, 3, 1]
    small = Dialect(data_bytes_max=512)
    parts = split(2, [ComponentStatus(1, 1, 1, n, 1, "", SENT) for n in range(25)], small)
    assert [len(u.objects) for u in parts] == [11, 11, 3]
    assert [o.number for u in parts for o in u.objects] == list(range(25))
