"""From wanted flags back to a device's word: the inverse of a `config.plan.WordRule`.

A rule is not invertible by formula, but a word has 65,536 values: the whole table is computed
once for each rule, and the nearest word with the wanted meaning is taken from it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from config.plan import WordRule
from config.words import FLAG_WORDS, Flag, Quality
from drivers.simulator.fields import SimulatorError


@dataclass(frozen=True, slots=True)
class Meaning:
    """What every raw word means: words int64[n], flags int64[n], quality uint8[n]."""

    words: NDArray[np.int64]
    flags: NDArray[np.int64]
    quality: NDArray[np.uint8]


def meaning(rule: WordRule, *, bits: int) -> Meaning:
    """The rule over all words of 1 or 16 bits; of 32 bits, those with one half zero."""
    if bits == 1:
        words = np.arange(2, dtype=np.int64)
    else:
        words = np.arange(0x10000, dtype=np.int64)
        if bits == 32:
            words = np.concatenate([words, words[1:] << 16])
    flags = np.zeros(len(words), np.int64)
    quality = np.full(len(words), Quality.GOOD, np.uint8)
    for mask, equals, flag in rule.cases:
        flags[(words & mask) == equals] |= flag
    for mask, equals in rule.not_ready:
        quality[(words & mask) == equals] = Quality.NOT_READY
    for mask, equals in rule.bad:
        quality[(words & mask) == equals] = Quality.BAD
    return Meaning(words, flags, quality)


def find_word(table: Meaning, current: int, *, flags: int, quality: Quality) -> int:
    """The word that means `flags` with `quality` (flags count for GOOD only), nearest to `current`.

    Nearest is by changed bits, then the smallest. Raises SimulatorError when the device has no
    such word.
    """
    fits = table.quality == quality
    if quality is Quality.GOOD:
        fits &= table.flags == flags
    found = table.words[fits]
    if len(found) == 0:
        raise SimulatorError(f"its device has no word for {_named(flags, quality)}")
    changed = found ^ current
    distance = np.zeros(len(found), np.int64)
    for shift in range(32):
        distance += (changed >> shift) & 1
    return int(found[int(np.argmin(distance))])


def flags_of(rule: WordRule, word: int) -> int | None:
    """The flags of one raw word, None when the rule calls it bad or not ready."""
    if any((word & mask) == equals for mask, equals in (*rule.bad, *rule.not_ready)):
        return None
    flags = 0
    for mask, equals, flag in rule.cases:
        if (word & mask) == equals:
            flags |= flag
    return flags


def parse_flags(names: list[str]) -> Flag:
    """["fire", "test"] to Flag. An unknown word is a SimulatorError that lists the known ones."""
    flags = Flag.NONE
    for name in names:
        if name not in FLAG_WORDS:
            raise SimulatorError(f"expected flags of {', '.join(FLAG_WORDS)}; found {name!r}")
        flags |= FLAG_WORDS[name]
    return flags


def flag_names(flags: int) -> list[str]:
    """Flag to its words, in the order of rank."""
    return [name for name, flag in FLAG_WORDS.items() if flags & flag]


def _named(flags: int, quality: Quality) -> str:
    if quality is not Quality.GOOD:
        return quality.name.lower().replace("_", " ")
    return " and ".join(flag_names(flags)) or "normal"
