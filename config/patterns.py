"""Patterns of panel dialects: regular expressions that cannot take long.

They run in the process that sounds sirens, on whatever comes out of a panel's port, so a pattern
has no unbounded repeat, no repeated group and no back reference, and the product
of its repeats is small: the work on a text is bounded by its length times that product.
"""

from __future__ import annotations

import re

from config.limits import DIALECT_PATTERN_CHARS_MAX, DIALECT_REPEAT_MAX

_PRODUCT_MAX = 2_000
_GROUP = re.compile(r"\((?!\?)|\(\?:|\(\?P<\w+>|\(\?<?!")  # a negative look-around adds no repeat
_REPEAT = re.compile(r"\{(\d{1,3})(?:,(\d{1,3}))?\}")


def fault_of(pattern: str) -> str | None:
    """Why a pattern is refused; None when it is good."""
    if len(pattern) > DIALECT_PATTERN_CHARS_MAX:
        return f"it is longer than {DIALECT_PATTERN_CHARS_MAX} characters"
    try:
        compiled = re.compile(pattern, re.IGNORECASE)
    except (re.error, OverflowError, RecursionError) as e:
        return str(e)
    if compiled.search("") is not None:
        return "it matches an empty text"
    return _slow(pattern)


def _slow(pattern: str) -> str | None:
    at, product, after_group = 0, 1, False
    while at < len(pattern):
        c = pattern[at]
        size, ways = 1, 1
        if c in "*+{":
            size, ways, why = _repeat(pattern, at, after_group)
        else:
            size, why = _size(pattern, at)
            ways = 2 if c == "?" else 1
        product *= ways
        if why is not None or product > _PRODUCT_MAX:
            return why or "it has too many repeats"
        after_group = c == ")"
        at += size
    return None


def _repeat(pattern: str, at: int, after_group: bool) -> tuple[int, int, str | None]:
    """(characters, ways to match, why it is refused) of a repeat."""
    match = _REPEAT.match(pattern, at)
    if pattern[at] in "*+":
        return 1, 1, f"'{pattern[at]}' repeats without end; write {{1,20}}"
    if match is None:
        return 1, 1, "write a repeat as {2} or {1,20}"
    low, high = int(match[1]), int(match[2] or match[1])
    why = "a group may not be repeated" if after_group else None
    if high > DIALECT_REPEAT_MAX:
        why = f"it repeats more than {DIALECT_REPEAT_MAX} times"
    return len(match[0]), high - low + 1, why


def _size(pattern: str, at: int) -> tuple[int, str | None]:
    """(characters, why it is refused) of anything else."""
    c = pattern[at]
    if c == "\\":
        return 2, "it has a back reference" if pattern[at + 1 : at + 2].isdigit() else None
    if c == "[":
        return _class_end(pattern, at) - at, None
    if c == "(":
        group = _GROUP.match(pattern, at)
        if group is None:
            return 1, "groups begin with ( or (?: or (?P<name> or (?! or (?<!"
        return len(group[0]), None
    return 1, None


def _class_end(pattern: str, at: int) -> int:
    """The index behind the `]` of the class that begins at `at`; the pattern compiles."""
    end = at + 1
    if pattern[end : end + 1] == "^":
        end += 1
    if pattern[end : end + 1] == "]":
        end += 1
    while pattern[end : end + 1] not in ("]", ""):
        end += 2 if pattern[end] == "\\" else 1
    return end + 1
