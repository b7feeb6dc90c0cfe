"""The time column of a recording: seconds of its own, or points in time; never both."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from config.limits import EVALUATE_AHEAD_NS_MAX, EVALUATE_BACK_NS_MAX, MS, S

SECONDS, TIMESTAMP = "t_s", "timestamp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_MAX = 2**61
_MS_FROM = 1e11  # 1973 in milliseconds, the year 5138 in seconds
BASES = {
    "s": "seconds",
    "epoch_s": "seconds since 1970",
    "epoch_ms": "milliseconds since 1970",
    "date": "dates without a zone",
    "zoned": "dates with a zone",
}


class Stamps:
    """Reads one time column; the first row says which base it has."""

    def __init__(self, column: str) -> None:
        assert column in (SECONDS, TIMESTAMP)
        self.column = column
        self.base = ""
        self._last_ns: int | None = None

    def read(self, cell: str) -> int:
        """Nanoseconds of a cell. Raises ValueError with what was expected and found."""
        ns, base = self._parse(cell.strip())
        if not self.base:
            self.base = base
        elif base != self.base:
            raise ValueError(
                f"mixed time bases: expected {BASES[self.base]} as above, found {cell!r:.60}"
            )
        if self._last_ns is not None:
            step = ns - self._last_ns
            if step < -EVALUATE_BACK_NS_MAX or step > EVALUATE_AHEAD_NS_MAX:
                raise ValueError(
                    f"mixed time bases: a jump of {step / S:.10g} s from the row above; "
                    "split the recording where its clock changed"
                )
        self._last_ns = ns
        return ns

    def _parse(self, cell: str) -> tuple[int, str]:
        try:
            number = float(cell) if "_" not in cell else math.nan
        except ValueError:
            return self._date(cell)
        if not math.isfinite(number) or (abs(number) * S > _NS_MAX and self.column == SECONDS):
            raise ValueError(f"expected a time in seconds, found {cell!r:.60}")
        if self.column == SECONDS:
            return round(number * S), "s"
        if abs(number) >= _MS_FROM:
            return _bounded(round(number * MS), cell), "epoch_ms"
        return _bounded(round(number * S), cell), "epoch_s"

    def _date(self, cell: str) -> tuple[int, str]:
        wanted = "seconds" if self.column == SECONDS else "a time like 2026-01-31 08:00:00"
        if not cell:
            raise ValueError(f"expected {wanted}, found nothing")
        try:
            at = datetime.fromisoformat(cell)
        except ValueError:
            raise ValueError(f"expected {wanted}, found {cell!r:.60}") from None
        if self.column == SECONDS:
            raise ValueError(f"mixed time bases: expected seconds, found {cell!r:.60}")
        base = "date" if at.tzinfo is None else "zoned"
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1_000, base


def _bounded(ns: int, cell: str) -> int:
    if abs(ns) > _NS_MAX:
        raise ValueError(f"expected seconds since 1970, found {cell!r:.60}")
    return ns
