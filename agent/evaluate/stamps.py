"""The time column of a recording: seconds of its own, or points in time; never both."""

from __future__ import annotations

import math
from datetime import UTC, datetime, timedelta

from config.desk_limits import EVALUATE_AHEAD_NS_MAX, EVALUATE_BACK_NS_MAX
from config.limits import MS, S

SECONDS, TIMESTAMP = "t_s", "timestamp"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NS_MAX = 2**61
_MS_FROM = 1e11  # 1973 in milliseconds, the year 5138 in seconds
BASES = {
    "s": "seconds",
    "epoch_s": "epoch seconds",
    "epoch_ms": "epoch milliseconds",
    "date": "plain dates",
    "zoned": "zoned dates",
}  # messages.NOUNS


class BadStamp(ValueError):  # noqa: N818 -- reaches a person as a problem
    """A cell is no time of this recording. what, details: a message and what fills it."""

    def __init__(self, what: str, **details: str) -> None:
        self.what, self.details = what, details
        super().__init__(what)


class Stamps:
    """Reads one time column; the first row says which base it has."""

    def __init__(self, column: str) -> None:
        assert column in (SECONDS, TIMESTAMP)
        self.column = column
        self.base = ""
        self._last_ns: int | None = None

    def read(self, cell: str) -> int:
        """Nanoseconds of a cell. Raises BadStamp."""
        ns, base = self._parse(cell.strip())
        if not self.base:
            self.base = base
        elif base != self.base:
            raise BadStamp("time.base", noun=BASES[self.base], found=cell[:60])
        if self._last_ns is not None:
            step = ns - self._last_ns
            if step < -EVALUATE_BACK_NS_MAX or step > EVALUATE_AHEAD_NS_MAX:
                raise BadStamp("time.jump", step=f"{step / S:.10g}")
        self._last_ns = ns
        return ns

    def _parse(self, cell: str) -> tuple[int, str]:
        try:
            number = float(cell) if "_" not in cell else math.nan
        except ValueError:
            return self._date(cell)
        if not math.isfinite(number) or (abs(number) * S > _NS_MAX and self.column == SECONDS):
            raise BadStamp("time", noun="seconds", found=cell[:60])
        if self.column == SECONDS:
            return round(number * S), "s"
        if abs(number) >= _MS_FROM:
            return _bounded(round(number * MS), cell), "epoch_ms"
        return _bounded(round(number * S), cell), "epoch_s"

    def _date(self, cell: str) -> tuple[int, str]:
        wanted = "seconds" if self.column == SECONDS else "a date"
        if not cell:
            raise BadStamp("time.none", noun=wanted)
        try:
            at = datetime.fromisoformat(cell)
        except ValueError:
            raise BadStamp("time", noun=wanted, found=cell[:60]) from None
        if self.column == SECONDS:
            raise BadStamp("time.base_of", noun=wanted, found=cell[:60])
        base = "date" if at.tzinfo is None else "zoned"
        if at.tzinfo is None:
            at = at.replace(tzinfo=UTC)
        return (at - _EPOCH) // timedelta(microseconds=1) * 1_000, base


def _bounded(ns: int, cell: str) -> int:
    if abs(ns) > _NS_MAX:
        raise BadStamp("time", noun="epoch seconds", found=cell[:60])
    return ns
