"""What may happen to a gateway, and what of it is likely: steps of a random life."""

from __future__ import annotations

import math
import random
from typing import Any

from core_world import (
    BUTTON,
    CONTACT,
    DISABLED,
    FIRE,
    PANEL1,
    PANEL2,
    A,
    B,
    C,
    normal,
)

from agent.core.types import ClockState, Verb
from config.limits import S
from config.words import Flag

HEATS, PANELS, CONTACTS = (A, B, C), (PANEL1, PANEL2), (BUTTON, CONTACT)
TARGETS = (
    "point/heat_a", "point/heat_b", "point/l1d1", "point/contact", "zone/any", "zone/two",
    "output/stair_a", "output/stair_b", "courier/city", "point/nobody", "",
)  # fmt: skip
GROUPS = ("zone/contacts", "zone/any", "group/all", "", "zone/nowhere")
PANEL_SAYS = [(FIRE, False), (FIRE, True), (FIRE | DISABLED, False), (DISABLED, True)]


def likely(rng: random.Random) -> tuple[Any, ...]:
    """One of Op, of what matters to a gateway: fires that come and go, people, restarts."""
    kind = rng.choices(
        [
            "burn",
            "quiet",
            "see",
            "sample",
            "order",
            "wait",
            "panel",
            "cut",
            "crash",
            "clock",
            "line",
            "late",
        ],
        [22, 16, 24, 6, 12, 10, 9, 4, 5, 2, 2, 3],
    )[0]
    if kind == "burn":
        values: dict[int, float] = dict(normal())
        for k in rng.sample((*HEATS, *HEATS, *PANELS, *CONTACTS), rng.choice([1, 1, 2])):
            values[k] = rng.choice([50.0, 60.0, 80.0]) if k in HEATS else FIRE
            values[k] = FIRE | int(Flag.MANUAL) if k == BUTTON else values[k]
        return ("sample", values, {}, S, rng.choice([1, 3, 4]))
    if kind == "quiet":
        return ("quiet", rng.choice([1, 4, 6]))
    if kind == "see":
        return ("order", rng.choice([Verb.ACKNOWLEDGE, Verb.SILENCE, Verb.SILENCE, Verb.RESET]))
    if kind == "sample":
        values = {k: rng.choice([20.0, 50.0, 56.0, 60.0, math.nan, 1260.5, 53.9]) for k in HEATS}
        words = {k: rng.choice([0, FIRE, FIRE | DISABLED, DISABLED, -1]) for k in PANELS + CONTACTS}
        return ("sample", values, words, rng.choice([S // 2, S, 5 * S]), 2)
    if kind == "order":
        verb = rng.choice([Verb.DISABLE, Verb.DISABLE, Verb.ENABLE, Verb.TEST, Verb.MANUAL,
                           Verb.EVACUATE, Verb.SIREN_TEST])  # fmt: skip
        if verb in (Verb.DISABLE, Verb.ENABLE):
            return ("order", verb, rng.choice(TARGETS[:8]), rng.choice([60 * S, 86_400 * S]), "")
        if verb is Verb.TEST:
            return ("order", verb, rng.choice(GROUPS[:4]), 100 * S, "")
        return ("order", verb)
    if kind == "wait":
        return ("wait", rng.choice([16, 31, 76, 700]))
    if kind == "panel":
        return ("panel", rng.choice(["L1", "L2"]), rng.choice([*PANEL_SAYS, *PANEL_SAYS[:2]]))
    if kind == "clock":
        return ("clock", rng.choice(list(ClockState)))
    if kind == "line":
        return ("line", rng.choice([0, 1]), rng.random() < 0.5)
    if kind == "late":
        return late(rng)
    return ("power cut",) if kind == "cut" else ("crash",)


def late(rng: random.Random) -> tuple[Any, ...]:
    """A crash or a power cut, and readings before the record answers."""
    values: dict[int, float] = dict(normal())
    if rng.random() < 0.7:
        k = rng.choice((*HEATS, *CONTACTS))
        values[k] = FIRE if k in CONTACTS else 80.0
    return ("late", rng.random() < 0.6, values)


def story(rng: random.Random) -> list[tuple[Any, ...]]:
    """What chance alone seldom puts in a row."""
    k = rng.choice((A, CONTACT, CONTACT))
    burn: tuple[Any, ...] = ("sample", {**normal(), k: 80.0 if k == A else FIRE}, {}, S, 3)
    seen = ("order", rng.choice([Verb.ACKNOWLEDGE, Verb.SILENCE]))
    reset, quiet = ("order", Verb.RESET), ("quiet", 6)
    group = ("order", Verb.TEST, rng.choice(GROUPS[:3]), 0, "")
    return rng.choice([
        [burn, quiet, seen, ("wait", 76), burn],
        [quiet, reset, ("sample", {**normal(), BUTTON: FIRE | int(Flag.MANUAL)}, {}, S, 1)],
        [burn, quiet, ("wait", 16), reset],
        [quiet, reset, group, burn, ("wait", 76), ("tick", 1)],
        [burn, seen, ("sample", {**normal(), C: 80.0, CONTACT: FIRE}, {}, S, 4)],
    ])  # fmt: skip
