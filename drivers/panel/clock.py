"""The time that a panel prints beside an event, and how far its clock is off. Pure.

Panels print local time without a zone; ours is brought to the same form by the caller: seconds
since 1970-01-01 as if the wall clock were UTC.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

_DAY_S = 86_400
_EPOCH = dt.date(1970, 1, 1)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


@dataclass(frozen=True, slots=True)
class PanelTime:
    """text: as ISO 8601, without what was not told. day: since 1970, None when no date was told."""

    text: str
    day: int | None
    second: int  # of the day

    def skew_s(self, local_s: float) -> int:
        """How far the panel is ahead. Without a date it is taken as less than half a day."""
        if self.day is not None:
            return round(self.day * _DAY_S + self.second - local_s)
        off = round(self.second - local_s) % _DAY_S
        return off if off < _DAY_S // 2 else off - _DAY_S


def find_time(pattern: re.Pattern[str] | None, text: str) -> PanelTime | None:
    """The time in a text; None when there is none, or none that can be."""
    match = pattern.search(text) if pattern is not None else None
    if match is None:
        return None
    found = {k: v for k, v in match.groupdict().items() if v}
    try:
        hour = int(found["hour"])
        half = found.get("half", "").lower()
        if half:
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if half.startswith("p") else 0)
        clock = dt.time(hour, int(found.get("minute", "0")), int(found.get("second", "0")))
        day = _day(found)
    except (ValueError, KeyError):
        return None  # digits where the time stands that are no time
    shown = clock.isoformat("seconds" if "second" in found else "minutes")
    second = clock.hour * 3_600 + clock.minute * 60 + clock.second
    if day is None:
        return PanelTime(shown, None, second)
    return PanelTime(f"{day.isoformat()}T{shown}", (day - _EPOCH).days, second)


def _day(found: dict[str, str]) -> dt.date | None:
    if not {"year", "month", "day"} <= found.keys():
        return None
    year = int(found["year"])
    word = found["month"].lower()
    month = _MONTHS.index(word[:3]) + 1 if word.isalpha() else int(word)
    return dt.date(year + 2000 if year < 100 else year, month, int(found["day"]))
