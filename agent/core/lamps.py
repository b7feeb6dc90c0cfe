"""What lamps show and the buzzer sounds: facts in, patterns out. One table, no state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from config.words import TONES, Meaning, OutputKind


@dataclass(frozen=True, slots=True)
class Facts:
    """What stands now. `*_unseen`: nobody acknowledged it yet."""

    fire: bool = False
    fire_unseen: bool = False
    fault: bool = False
    fault_unseen: bool = False
    disabled: bool = False
    test: bool = False
    duty: bool = False
    sending: bool = False
    sent: bool = False
    failed: bool = False
    mains: bool | None = None  # None: no input tells


LAMPS: dict[Meaning, tuple[Callable[[Facts], bool], str]] = {
    # GB 26875.1: a fire's call flashes while it is sent and is steady when it arrived
    Meaning.SENDING: (lambda f: f.sending, "flash"),
    Meaning.SENT: (lambda f: f.sent, "steady"),
    Meaning.FAILED: (lambda f: f.failed, "flash"),
    Meaning.FIRE: (lambda f: f.fire, "steady"),
    Meaning.FAULT: (lambda f: f.fault, "steady"),
    Meaning.MAINS: (lambda f: f.mains is True, "steady"),
    Meaning.STANDBY: (lambda f: f.mains is False, "steady"),
    Meaning.DISABLED: (lambda f: f.disabled, "steady"),
    Meaning.TEST: (lambda f: f.test, "steady"),
    Meaning.DUTY: (lambda f: f.duty, "flash"),
}
"""Meaning -> (when a lamp of it is lit, how)."""

SOUNDS: dict[Meaning, Callable[[Facts], bool]] = {
    Meaning.FIRE: lambda f: f.fire and f.fire_unseen,
    Meaning.DUTY: lambda f: f.duty,
    Meaning.FAULT: lambda f: f.fault and f.fault_unseen,
}
"""Meaning -> when a buzzer sounds its tone."""


def shown(kind: str, means: Sequence[str], facts: Facts) -> str:
    """The pattern of an output; "" when it is off.

    A lamp shows the first of its meanings that stands, a buzzer the most urgent one.
    """
    if kind == OutputKind.BUZZER:
        heard = [m for m in TONES if m in means and SOUNDS[m](facts)]
        return f"tone-{heard[0]}" if heard else ""
    for word in means:
        lit, pattern = LAMPS[Meaning(word)]
        if lit(facts):
            return "steady" if kind == OutputKind.FAULT else pattern
    return ""
