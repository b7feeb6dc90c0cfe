"""Telemetry as columns (codec 1): every poll's samples of every point of a batch together.

Values are whole numbers of the point's resolution (from the table); what has resolution 0 or does
not fit travels as float64. A value whose quality is not GOOD is not a measurement: it is not sent
and comes back as NaN. Stamps are milliseconds from the batch's mono_first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agent.uplink import cbor, check
from agent.uplink.errors import UplinkError
from agent.uplink.planes import (
    I64,
    Unsigned,
    decode_bytes,
    decode_planes,
    encode_bytes,
    encode_planes,
    narrow,
    unzigzag,
    zigzag,
)
from config.limits import (
    BATCH_DATA_BYTES_MAX,
    MS,
    POINTS_MAX,
    TELEMETRY_READINGS_MAX,
    TELEMETRY_SAMPLES_MAX,
)

F64 = NDArray[np.float64]
U8 = NDArray[np.uint8]
Resolutions = Callable[[int], F64 | None]
"""Resolution of every point of a poll, in order; None: the table has no such poll."""

_WHOLE_MAX = float(2**53)
_SPAN_MS_MAX = 2**40
_POLLS_MAX = POINTS_MAX

assert TELEMETRY_READINGS_MAX * 24 < BATCH_DATA_BYTES_MAX, "decoded columns stay under the cap"


@dataclass(frozen=True, slots=True)
class PollSamples:
    """Samples of one poll. mono_ns: int64 (s,), ascending or not; value, quality: (s, points).

    Decoded stamps are whole milliseconds after the batch's mono_first; decoded values that are
    not GOOD are NaN.
    """

    poll: int
    mono_ns: I64
    value: F64
    quality: U8


def encode_columns(
    samples: Sequence[PollSamples], resolutions: Resolutions, mono_first_ns: int
) -> bytes:
    """The data of a telemetry batch. Every poll at most once, with at least one sample.

    Cost: about 0.1 microseconds a reading.
    """
    counts = [len(p.mono_ns) for p in samples]
    assert sum(p.value.size for p in samples) <= TELEMETRY_READINGS_MAX
    wide: list[int] = []
    firsts: list[I64] = [np.zeros(0, dtype=np.int64)]
    deltas: list[Unsigned] = [np.zeros(0, dtype=np.uint8)]
    floats: list[F64] = []
    base = 0
    for poll in samples:
        step = resolutions(poll.poll)
        assert step is not None, f"poll {poll.poll} is not in the table"
        assert poll.value.shape == (len(poll.mono_ns), len(step)), "shape of a poll's values"
        numbers, as_float, held = _scale(poll.value.T, poll.quality.T, step)
        wide += [base + int(k) for k in np.flatnonzero(as_float & (step > 0))]
        whole = numbers if not as_float.any() else numbers[~as_float]
        firsts.append(whole[:, 0])
        deltas.append(narrow(zigzag(_steps(whole))))
        floats.append(held[as_float])
        base += len(step)
    any_bad = any(p.quality.any() for p in samples)
    return cbor.encode(
        [
            [p.poll for p in samples],
            counts,
            encode_planes(zigzag(_stamps([p.mono_ns for p in samples], mono_first_ns))),
            wide,
            encode_planes(zigzag(_neighbours(np.concatenate(firsts)))),
            encode_planes(np.concatenate(deltas)),
            _encode_floats(floats),
            encode_bytes(np.concatenate([p.quality.T.reshape(-1) for p in samples]))
            if any_bad
            else b"",
        ]
    )


def decode_columns(data: bytes, resolutions: Resolutions, mono_first_ns: int) -> list[PollSamples]:
    """The samples of a telemetry batch. Raises UplinkError "malformed" or "unknown_table"."""
    parts = check.array(cbor.decode(data, items_max=4 * POINTS_MAX + 64), "columns", 8)
    polls, counts, steps = _shape(parts[0], parts[1], resolutions)
    stamps = _unstamp(unzigzag(decode_planes(parts[2], sum(counts))), counts, mono_first_ns)
    sizes = [len(step) for step in steps]
    as_float = np.concatenate([step == 0 for step in steps]) if steps else np.zeros(0, bool)
    _mark_wide(as_float, parts[3])
    cuts = np.cumsum([0, *sizes])
    masks = [as_float[a:b] for a, b in pairwise(cuts)]
    whole = _sum_up(parts[4], parts[5], masks, counts)
    floats = _decode_floats(parts[6], masks, counts)
    total = sum(size * count for size, count in zip(sizes, counts, strict=True))
    quality = decode_bytes(parts[7], total) if parts[7] != b"" else np.zeros(total, np.uint8)
    if len(quality) and int(quality.max()) > 3:
        raise UplinkError("malformed", "quality: expected 0 to 3")
    out: list[PollSamples] = []
    at = 0
    for k, poll in enumerate(polls):
        size, count = sizes[k], counts[k]
        value = np.empty((size, count))
        value[~masks[k]] = whole[k] * steps[k][~masks[k], None]
        value[masks[k]] = floats[k]
        grade = quality[at : at + size * count].reshape(size, count)
        at += size * count
        value[grade != 0] = np.nan
        out.append(PollSamples(poll, stamps[k], np.ascontiguousarray(value.T), grade.T.copy()))
    return out


def count_readings(data: bytes, widths: Mapping[int, int]) -> int:
    """How many readings a telemetry batch has, from its heads alone. widths: points of each poll.

    Raises UplinkError "malformed", "unknown_table" or "too_large".
    """
    parts = check.array(cbor.decode(data, items_max=4 * POINTS_MAX + 64), "columns", 8)
    polls, counts = _heads(parts[0], parts[1])
    if not widths.keys() >= set(polls):
        raise UplinkError("unknown_table", "a poll is not in the table")
    return _total([widths[poll] for poll in polls], counts)


def _scale(value: F64, quality: U8, step: F64) -> tuple[I64, NDArray[np.bool_], F64]:
    """(whole numbers, which rows go as float, values with the not-good held), rows are points."""
    held = value
    if quality.any():
        held = np.where(quality == 0, value, np.nan)
        held[np.isnan(held[:, 0]), 0] = 0.0
        for k in range(1, held.shape[1]):
            held[:, k] = np.where(quality[:, k] == 0, held[:, k], held[:, k - 1])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scaled = np.rint(held / step[:, None])
        fits: NDArray[np.bool_] = np.all(
            np.abs(scaled) <= _WHOLE_MAX, axis=1
        )  # False for NaN and infinity too
    numbers = np.where(fits[:, None], scaled, 0.0).astype(np.int64)
    return numbers, ~fits, held


def _neighbours(firsts: I64) -> I64:
    """Each column's first number as its difference to that of the column before."""
    out = firsts.copy()
    out[1:] -= firsts[:-1]
    return out


def _steps(whole: I64) -> I64:
    """From each sample to the next, row by row."""
    steps: I64 = np.subtract(whole[:, 1:], whole[:, :-1])
    return steps.reshape(-1)


def _stamps(mono_ns: Sequence[I64], first_ns: int) -> I64:
    """Per poll: the first, the first difference, then differences of differences, in ms."""
    parts = [np.zeros(0, dtype=np.int64)]
    for column in mono_ns:
        ms = (column - first_ns) // MS
        assert len(ms), "a poll without samples is left out"
        parts += [ms[:1], np.diff(ms)[:1], np.diff(ms, n=2)]
    return np.concatenate(parts)


def _unstamp(coded: I64, counts: Sequence[int], first_ns: int) -> list[I64]:
    """Monotonic time of each poll's samples."""
    out: list[I64] = []
    at = 0
    for count in counts:
        row = coded[at : at + count].copy()
        row[1:] = np.cumsum(row[1:])
        ms = np.cumsum(row)
        low, high = int(ms.min()), int(ms.max())
        if not -_SPAN_MS_MAX <= low <= high <= _SPAN_MS_MAX:
            raise UplinkError("malformed", "stamp: expected milliseconds within a batch")
        if not 0 <= first_ns + low * MS <= first_ns + high * MS <= check.UINT_MAX:
            raise UplinkError("malformed", "stamp: expected a monotonic time")
        out.append(ms * MS + first_ns)
        at += count
    return out


def _heads(polls: Any, counts: Any) -> tuple[list[int], list[int]]:
    numbers = [check.uint(p, "poll", 2**32 - 1) for p in check.array(polls, "polls")]
    samples = [
        check.uint(c, "samples", TELEMETRY_SAMPLES_MAX)
        for c in check.array(counts, "counts", len(numbers))
    ]
    if len(set(numbers)) != len(numbers) or 0 in samples or len(numbers) > _POLLS_MAX:
        raise UplinkError("malformed", "polls: expected each once, with at least one sample")
    return numbers, samples


def _total(widths: Sequence[int], samples: Sequence[int]) -> int:
    total = sum(width * count for width, count in zip(widths, samples, strict=True))
    if max(total, sum(samples)) > TELEMETRY_READINGS_MAX:
        raise UplinkError("too_large", f"{total} readings, at most {TELEMETRY_READINGS_MAX}")
    return total


def _shape(
    polls: Any, counts: Any, resolutions: Resolutions
) -> tuple[list[int], list[int], list[F64]]:
    numbers, samples = _heads(polls, counts)
    steps: list[F64] = []
    for number in numbers:
        step = resolutions(number)
        if step is None:
            raise UplinkError("unknown_table", f"poll {number} is not in the table")
        steps.append(step)
    _total([len(step) for step in steps], samples)
    return numbers, samples, steps


def _mark_wide(as_float: NDArray[np.bool_], value: Any) -> None:
    wide = [check.uint(w, "wide", POINTS_MAX) for w in check.array(value, "wide")]
    if any(a >= b for a, b in pairwise(wide)) or any(
        w >= len(as_float) or as_float[w] for w in wide
    ):
        raise UplinkError("malformed", "wide: expected ascending columns that have a resolution")
    as_float[wide] = True


def _sum_up(
    firsts: Any, deltas: Any, masks: Sequence[NDArray[np.bool_]], counts: Sequence[int]
) -> list[I64]:
    """The whole numbers of each poll, (points, samples)."""
    rows = [int((~mask).sum()) for mask in masks]
    first = np.cumsum(unzigzag(decode_planes(firsts, sum(rows))))
    moves = sum(n * (count - 1) for n, count in zip(rows, counts, strict=True))
    move = unzigzag(decode_planes(deltas, moves))
    out: list[I64] = []
    row_at = move_at = 0
    for n, count in zip(rows, counts, strict=True):
        block = np.empty((n, count), dtype=np.int64)
        block[:, 0] = first[row_at : row_at + n]
        block[:, 1:] = move[move_at : move_at + n * (count - 1)].reshape(n, count - 1)
        out.append(np.cumsum(block, axis=1))
        row_at += n
        move_at += n * (count - 1)
    return out


def _encode_floats(floats: Sequence[F64]) -> list[bytes]:
    """Bits of float64, each sample exclusive-or'ed with the one before: equal bits become 0."""
    parts = [np.zeros(0, dtype=np.uint64)]
    for rows in floats:
        bits = np.ascontiguousarray(rows).view(np.uint64)
        mixed = bits.copy()
        mixed[:, 1:] ^= bits[:, :-1]
        parts.append(mixed.reshape(-1))
    return encode_planes(np.concatenate(parts))


def _decode_floats(
    value: Any, masks: Sequence[NDArray[np.bool_]], counts: Sequence[int]
) -> list[F64]:
    sizes = [int(mask.sum()) * count for mask, count in zip(masks, counts, strict=True)]
    mixed = decode_planes(value, sum(sizes))
    out: list[F64] = []
    at = 0
    for size, count in zip(sizes, counts, strict=True):
        rows = mixed[at : at + size].reshape(-1, count)
        out.append(np.bitwise_xor.accumulate(rows, axis=1).view(np.float64))
        at += size
    return out
