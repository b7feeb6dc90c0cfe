"""Telemetry columns and the point table: exact, small, and safe against any bytes."""

from __future__ import annotations

import tracemalloc
import zlib
from typing import Any

import cbor2
import numpy as np
import pytest
import uplink_makers as b
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.uplink import cbor
from agent.uplink.batch import Codec, seal
from agent.uplink.columns import PollSamples, decode_columns, encode_columns
from agent.uplink.errors import UplinkError
from agent.uplink.planes import (
    decode_bytes,
    decode_planes,
    encode_bytes,
    encode_planes,
    narrow,
    unzigzag,
    zigzag,
)
from agent.uplink.table import (
    Table,
    decode_part,
    decode_table,
    encode_table,
    inflate,
    join_table,
    split_table,
    table_hash,
)

FIRST_NS = 7_000_000_000
S = 1_000_000_000


def samples(
    value: Any, quality: Any = None, poll: int = 0, mono_ns: list[int] | None = None
) -> PollSamples:
    array = np.array(value, dtype=np.float64)
    stamps = mono_ns or [FIRST_NS + k * S for k in range(len(array))]
    grade = np.zeros(array.shape, np.uint8) if quality is None else np.array(quality, np.uint8)
    return PollSamples(poll, np.array(stamps, np.int64), array, grade)


def through(polls: list[PollSamples], steps: dict[int, Any]) -> list[PollSamples]:
    known = {poll: np.array(step, np.float64) for poll, step in steps.items()}
    return decode_columns(encode_columns(polls, known.get, FIRST_NS), known.get, FIRST_NS)


# --- planes ---------------------------------------------------------------------------------------


@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50))
def test_zigzag_is_its_own_way_back(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.int64)
    assert unzigzag(zigzag(values)).tolist() == numbers


@given(
    st.lists(st.integers(0, 2**64 - 1), max_size=60)
    | st.lists(st.integers(0, 2), max_size=200)
    | st.lists(st.integers(250, 255), max_size=200)
)
def test_planes_round_trip(numbers: list[int]) -> None:
    values = np.array(numbers, dtype=np.uint64)
    for column in (values, narrow(values)):
        assert decode_planes(encode_planes(column), len(numbers)).tolist() == numbers


@given(st.binary(min_size=1, max_size=300))
def test_a_plane_of_bytes_round_trips(data: bytes) -> None:
    column = np.frombuffer(data, np.uint8)
    assert decode_bytes(encode_bytes(column), len(data)).tobytes() == data


@settings(max_examples=300)
@given(st.lists(st.binary(max_size=40), max_size=9), st.integers(0, 60))
def test_any_planes_give_numbers_or_one_error(planes: list[bytes], count: int) -> None:
    try:
        assert len(decode_planes(planes, count)) == count
    except UplinkError as e:
        assert e.code in {"malformed", "too_large"}  # noqa: PT017 -- the code is what is tested


def test_a_walk_of_one_step_costs_1_6_bits() -> None:
    steps = np.random.default_rng(1).integers(-1, 2, 10_000)
    size = sum(map(len, encode_planes(zigzag(steps))))
    assert size * 8 / 10_000 < 1.62


# --- columns --------------------------------------------------------------------------------------


def test_values_come_back_to_the_resolution_and_stamps_to_the_millisecond() -> None:
    poll = samples([[20.0, -3.5], [20.1, 1e6], [19.9, 0.0]], mono_ns=[
        FIRST_NS, FIRST_NS + 1_000_600_000, FIRST_NS + 1_999_999_999,
    ])  # fmt: skip
    (back,) = through([poll], {0: [0.1, 0.5]})
    np.testing.assert_allclose(back.value, poll.value, atol=1e-9)
    assert ((back.mono_ns - FIRST_NS) // 1_000_000).tolist() == [0, 1000, 1999]


def test_what_is_not_good_comes_back_as_nan_and_costs_nothing() -> None:
    value = np.full((10, 4), 20.0)
    quality = np.zeros((10, 4), np.uint8)
    plain = len(encode_columns([samples(value)], lambda _: np.full(4, 0.1), FIRST_NS))
    value[3:6, 2], quality[3:6, 2] = 65535.0, 3
    value[0, 1], quality[0, 1] = np.nan, 1
    value[9, 0], quality[9, 0] = np.inf, 2
    (back,) = through([samples(value, quality)], {0: [0.1] * 4})
    assert np.isnan(back.value[quality != 0]).all()
    np.testing.assert_allclose(back.value[quality == 0], 20.0)
    np.testing.assert_array_equal(back.quality, quality)
    bad = encode_columns([samples(value, quality)], lambda _: np.full(4, 0.1), FIRST_NS)
    assert len(bad) < plain + 45


def test_resolution_0_and_numbers_too_large_travel_as_float64() -> None:
    value = [[1.1, 3.3, 1e30], [-0.1, np.pi, 1.0], [np.nan, 0.0, np.inf]]
    (back,) = through([samples(value)], {0: [0.0, 0.0, 0.1]})
    np.testing.assert_array_equal(back.value, np.array(value))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_columns_round_trip(data: st.DataObject) -> None:
    polls = data.draw(st.integers(1, 4))
    steps: dict[int, Any] = {}
    given_polls: list[PollSamples] = []
    for poll in range(polls):
        points, count = data.draw(st.integers(1, 5)), data.draw(st.integers(1, 6))
        steps[poll] = data.draw(
            st.lists(st.sampled_from([0.0, 0.1, 1.0, 0.25]), min_size=points, max_size=points)
        )
        cells = st.floats(-1e5, 1e5) | st.sampled_from([0.0, 1e300, -1e18, 65535.0])
        rows = st.lists(cells, min_size=points, max_size=points)
        grades = st.lists(st.sampled_from([0, 0, 0, 1, 3]), min_size=points, max_size=points)
        offsets = st.integers(0, 10**13)
        given_polls.append(samples(
            data.draw(st.lists(rows, min_size=count, max_size=count)),
            data.draw(st.lists(grades, min_size=count, max_size=count)),
            poll,
            [FIRST_NS + data.draw(offsets) for _ in range(count)],
        ))  # fmt: skip
    for before, after in zip(given_polls, through(given_polls, steps), strict=True):
        step = np.array(steps[before.poll])
        good = before.quality == 0
        error = np.abs(before.value - after.value)
        slack = np.maximum(step / 2, 0) * 1.001 + np.abs(before.value) * 1e-15
        assert (error <= np.broadcast_to(slack, error.shape))[good].all()
        assert np.isnan(after.value[~good]).all()
        assert (np.abs(before.mono_ns - after.mono_ns) < 1_000_000).all()


ENCODED = encode_columns(
    [samples([[20.0, 1.5], [20.1, 2.5]], [[0, 0], [0, 1]])],
    lambda _: np.array([0.1, 0.0]),
    FIRST_NS,
)


@settings(max_examples=400)
@given(st.data())
def test_changed_columns_give_samples_or_one_error(data: st.DataObject) -> None:
    """They are signed, so this cannot come from outside; it must be safe all the same."""
    changed = bytearray(ENCODED)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode_columns(bytes(changed), {0: np.array([0.1, 0.0])}.get, FIRST_NS)
    except UplinkError as e:
        assert e.code in {"malformed", "too_large", "unknown_table"}  # noqa: PT017 -- as above


@pytest.mark.parametrize(
    ("at", "value", "code"),
    [
        (0, [5], "unknown_table"),
        (0, [0, 0], "malformed"),
        (1, [0], "malformed"),
        (1, [65_536], "malformed"),
        (1, [65_000], "too_large"),
        (2, [b"\x86\x00"] * 9, "malformed"),
        (3, [1], "malformed"),  # has resolution 0 already
        (3, [2], "malformed"),
        (4, b"", "malformed"),
        (7, b"\x00\x07", "malformed"),  # a quality that is not defined
    ],
)
def test_columns_that_contradict_the_table_are_refused(at: int, value: Any, code: str) -> None:
    parts = cbor2.loads(ENCODED)
    parts[at] = value
    steps = {0: np.array([0.1, 0.0])}
    with pytest.raises(UplinkError) as caught:
        decode_columns(cbor.encode(parts), steps.get, FIRST_NS)
    assert caught.value.code == code


def test_a_decompression_bomb_costs_no_memory() -> None:
    packed = zlib.compressobj(9, zlib.DEFLATED, -15)
    bomb = packed.compress(bytes(64 * 1024 * 1024)) + packed.flush()
    tracemalloc.start()
    with pytest.raises(UplinkError):
        decode_planes([b"\x86\x00" + bomb], 1000)
    with pytest.raises(UplinkError):
        inflate(bomb, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000


@pytest.mark.parametrize(("seconds", "bytes_max"), [(10, 0.40), (60, 0.25)])
def test_bytes_a_reading_in_all_with_the_envelope(seconds: int, bytes_max: float) -> None:
    """1,000 points, a random walk of one least significant digit, sampled once a second."""
    rng = np.random.default_rng(417)
    polls = []
    for poll in range(10):
        start = np.rint(2000 + rng.normal(0, 60, 100))  # after an hour of walking
        walk = start + np.cumsum(rng.integers(-1, 2, (seconds, 100)), axis=0)
        stamps = FIRST_NS + np.arange(seconds) * S + rng.integers(0, 3_000_000, seconds)
        value = walk * 0.1
        polls.append(PollSamples(poll, stamps, value, np.zeros(value.shape, np.uint8)))
    step = np.full(100, 0.1)
    data = encode_columns(polls, lambda _: step, FIRST_NS)
    message = seal(
        b.batch(lane="telemetry", codec=Codec.COLUMNS, data=data, table=bytes(32)), b.DEVICE
    )
    assert len(message) / (1_000 * seconds) < bytes_max


# --- table ----------------------------------------------------------------------------------------

TABLE = Table(
    ids=(5, 9, 11),
    names=("pumps.room_heat", "pumps.hydrant", "panel.火警"),
    kinds=("heat", "water_pressure", "panel"),
    units=("°C", "kPa", ""),
    resolutions=(0.1, 1.0, 0.0),
    polls={0: (5, 9), 7: (11,)},
    sources={"zones": ("pump_room",)},
    site="Heping Plaza tower B",
)


def test_table_round_trip_in_one_part_and_in_many() -> None:
    encoded = encode_table(TABLE)
    assert decode_table(encoded) == TABLE
    (part,) = split_table(encoded)
    assert join_table([decode_part(part)]) == TABLE
    assert decode_part(part).hash == table_hash(encoded)
    rng = np.random.default_rng(1)
    ids = tuple(range(15_000))
    names = tuple(rng.bytes(40).hex() for _ in ids)
    large = Table(ids, names, ("heat",) * 15_000, ("",) * 15_000, (0.5,) * 15_000, {0: ids})
    parts = [decode_part(part) for part in split_table(encode_table(large))]
    assert len(parts) > 1
    assert join_table(parts[::-1]) == large
    for wrong in (parts[:-1], parts[1:], [*parts, parts[0]], []):
        with pytest.raises(UplinkError):
            join_table(wrong)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (0, [5, 5, 11]),
        (0, [5, 9]),
        (1, ["a", "b", 3]),
        (4, [0.5, 1.0, -1.0]),
        (4, [0.5, 1.0, float("inf")]),
        (5, {0: [6]}),
        (5, []),
        (6, {"zones": [1]}),
        (7, 1),
    ],
)
def test_a_table_that_makes_no_sense_is_refused(key: int, value: Any) -> None:
    fields = cbor2.loads(encode_table(TABLE))
    fields[key] = value
    with pytest.raises(UplinkError):
        decode_table(cbor.encode(fields))


@settings(max_examples=200)
@given(st.binary(max_size=120))
def test_any_table_bytes_give_a_table_or_one_error(data: bytes) -> None:
    for decoder in (decode_table, decode_part):
        with pytest.raises(UplinkError):
            decoder(data)
