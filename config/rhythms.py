"""Patterns of outputs: durations on, off, on, off ...; no durations: steadily on.

All outputs with one pattern go on and off together. The first part is always on.
"""

from __future__ import annotations

from config.limits import MS, S

RHYTHMS: dict[str, tuple[int, ...]] = {
    "evacuate": (),  # continuous (BS 5839-1, DIN 33404 leaves it to the site) [recalled]
    "alert": (1 * S, 1 * S),  # intermittent, 1 s on and 1 s off (BS 5839-1) [recalled]
    "pulse": (500 * MS, 4_500 * MS),  # of a walk test; our own choice
    # ISO 8201, NFPA 72: three times 0.5 s, then 1.5 s of silence
    "temporal-three": (500 * MS, 500 * MS, 500 * MS, 500 * MS, 500 * MS, 1_500 * MS),
    "steady": (),
    "flash": (500 * MS, 500 * MS),  # of a lamp; our own choice
    # Tones of the buzzer, told apart by ear; our own choice.
    "tone-fire": (250 * MS, 250 * MS),
    "tone-duty": (100 * MS, 100 * MS, 100 * MS, 100 * MS, 100 * MS, 1_500 * MS),
    "tone-fault": (250 * MS, 4_750 * MS),
}


def shortest_ns(pattern: str) -> int:
    """The shortest part of a pattern; 0 when it is steady, or not known here."""
    return min(RHYTHMS.get(pattern, ()), default=0)


def part_of(pattern: str, since_ns: int) -> tuple[bool, int]:
    """(on, how long until that changes; 0: never) `since_ns` after the pattern began."""
    parts = RHYTHMS.get(pattern, ())
    if not parts:
        return True, 0
    rest = since_ns % sum(parts)
    for k, part in enumerate(parts):
        if rest < part:
            return k % 2 == 0, part - rest
        rest -= part
    raise AssertionError("the rest of a division is less than the divisor")
