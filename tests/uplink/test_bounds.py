"""What the contract leaves no room for: whoever reads it by the document refuses the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import uplink_makers as b

from agent.uplink import cbor
from agent.uplink.ack import open_ack
from agent.uplink.batch import open_batch
from agent.uplink.columns import decode_columns
from agent.uplink.command import open_command
from agent.uplink.cose import ACK_TYPE, BATCH_TYPE, COMMAND_TYPE, HEARTBEAT_TYPE, Trust, TrustedKey
from agent.uplink.errors import UplinkError
from agent.uplink.events import EpochData, Head, decode_epoch, encode_epoch
from agent.uplink.heartbeat import open_heartbeat
from agent.uplink.minutes import decode_minutes
from agent.uplink.planes import decode_planes

RAW8, RAW16, RAW32 = b"8" * 8, b"1" * 16, b"3" * 32
ANY_GATEWAY = Trust([TrustedKey(b.DEVICE.public)])
BATCH: dict[int, Any] = {
    0: 1, 1: "gw", 2: RAW8, 3: "event", 4: 0, 5: RAW32, 6: RAW16, 7: 1, 8: 2, 9: 3, 10: 2, 11: 0,
    12: b"",
}  # fmt: skip
ACK: dict[int, Any] = {0: 1, 1: "gw", 2: RAW8, 3: "event", 4: 0, 5: RAW32, 6: 3}
BEAT: dict[int, Any] = {0: 1, 1: "gw", 2: RAW8, 3: 0, 4: RAW16, 5: 1, 6: 3, 7: 2, 8: {}}
COMMAND: dict[int, Any] = {0: 1, 1: "gw", 2: 7, 3: "time", 4: {}, 5: 1, 6: 2}
RESEND = {"epoch": RAW8, "lane": "Fire", "first": 0, "last": 1}
KINDS: dict[str, Any] = {
    BATCH_TYPE: (open_batch, BATCH),
    ACK_TYPE: (open_ack, ACK),
    HEARTBEAT_TYPE: (open_heartbeat, BEAT),
    COMMAND_TYPE: (open_command, COMMAND),
}


def code(kind: str, changes: dict[int, Any]) -> str:
    """What a signed payload with these changes is refused with, "" when it is taken."""
    opener, whole = KINDS[kind]
    try:
        opener(b.DEVICE.sign(kind, cbor.encode({**whole, **changes})), ANY_GATEWAY)
    except UplinkError as e:
        return e.code
    return ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_version_is_a_whole_number(kind: str) -> None:
    assert code(kind, {}) == ""
    assert [code(kind, {0: v}) for v in (2, True, 1.0, "1")] == ["version"] * 4


@pytest.mark.parametrize("kind", KINDS)
def test_a_gateway_is_a_level_of_a_topic(kind: str) -> None:
    names = ["a/b", "+", "#", ".gw", "gw\n", "泵房", "x" * 65, ""]
    assert [code(kind, {1: name}) for name in names] == ["malformed"] * len(names)
    assert code(kind, {1: "9.A_b-" + "x" * 58}) == ""


@pytest.mark.parametrize("lane", ["Fire", "a/b", "+", "heartbeat", "link", "x" * 33, "é", ""])
def test_a_lane_is_a_level_of_a_topic(lane: str) -> None:
    assert code(BATCH_TYPE, {3: lane}) == code(ACK_TYPE, {3: lane}) == "malformed"
    assert code(HEARTBEAT_TYPE, {8: {lane: [0, RAW32]}}) == "malformed"
    assert code(COMMAND_TYPE, {3: "resend", 4: {**RESEND, "lane": lane}}) == "malformed"
    with pytest.raises(UplinkError):
        decode_epoch(encode_epoch(EpochData("start", {lane: Head(RAW8, 0, RAW32)})))
    assert code(BATCH_TYPE, {3: "a-lane_of-9"}) == ""


def test_an_optional_entry_is_there_or_not_and_never_null() -> None:
    assert code(BATCH_TYPE, {13: RAW32}) == ""
    assert code(BATCH_TYPE, {13: None}) == code(BATCH_TYPE, {14: None}) == "malformed"


def refused(planes: list[bytes], count: int) -> bool:
    try:
        decode_planes(planes, count)
    except UplinkError:
        return True
    return False


def test_a_plane_of_the_same_numbers_has_one_form() -> None:
    assert not refused([b"\x01\x00\xa0"], 3)  # two symbols, eight to a byte: 1, 0, 1
    assert refused([b"\x01\x00\xa1"], 3), "what fills up the last byte is 0"
    assert not refused([b"\x01\xff\x00"], 3)
    assert refused([b"\x01\xff\xa0"], 3), "255 and 1 is no byte"


def stamped(ms: int, mono_first_ns: int) -> list[int]:
    coded = ms << 1 if ms >= 0 else -2 * ms - 1
    stamp = [bytes((0, byte)) for byte in coded.to_bytes(8, "little")]
    data = cbor.encode([[1], [1], stamp, [], [], [], [], b""])
    (poll,) = decode_columns(data, {1: np.array([1.0])}.get, mono_first_ns)
    return [int(at) for at in poll.mono_ns]


def test_the_time_of_a_sample_is_a_monotonic_time() -> None:
    assert stamped(-3, 4_000_000) == [1_000_000]
    assert stamped(2**40, 0) == [2**40 * 1_000_000]
    for ms, first_ns in ((-5, 4_000_000), (1, 2**63 - 1), (2**40 + 1, 0), (-(2**63), 0)):
        with pytest.raises(UplinkError):
            stamped(ms, first_ns)


def test_the_least_of_a_summary_is_a_number_of_53_bits() -> None:
    lowest = [bytes((0, 0xFF))] * 8  # zigzag of -2^63
    data = cbor.encode([[1], [5], [], lowest, [], []])
    with pytest.raises(UplinkError):
        decode_minutes(data, {1: np.array([1.0])}.get)
