"""The verb table of orders: who may give them, and what they may say. Pure.

An order is refused here with a text that says what would be right; what an order does is the
core's (agent.core.commands).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import islice
from typing import Any

from agent.core.types import Verb
from agent.ipc import Message, Refused, Role
from config.limits import (
    NAME_CHARS_MAX,
    ORDER_DURATION_NS_MAX,
    ORDER_NAMES_COMPARED,
    ORDER_TARGETS_TOLD,
    ORDER_WHY_CHARS_MAX,
)
from config.plan import Plan


@dataclass(frozen=True, slots=True)
class Rule:
    """What one verb asks for.

    targets: kinds of target it takes; required: it needs one. words: its `word` is one of these.
    """

    level: Role
    targets: tuple[str, ...] = ()
    required: bool = False
    duration: bool = False
    words: tuple[str, ...] = ()
    why: bool = False


_THINGS = ("point", "zone", "output", "courier")
_ALARMS = ("alarm", "panel")  # by its number; by "PANEL ADDRESS"
RULES: Mapping[Verb, Rule] = {
    Verb.MANUAL: Rule(Role.VIEW, why=True),  # somebody who sees a fire needs no permission
    Verb.ACKNOWLEDGE: Rule(Role.ACKNOWLEDGE),
    Verb.SILENCE: Rule(Role.ACKNOWLEDGE),
    Verb.DUTY: Rule(Role.ACKNOWLEDGE),
    Verb.EVACUATE: Rule(Role.ACKNOWLEDGE, why=True),
    Verb.CLASSIFY: Rule(
        Role.ACKNOWLEDGE,
        ("alarm", "point", "panel"),
        required=True,
        words=("real", "false", "test"),
        why=True,
    ),
    Verb.RESET: Rule(Role.OPERATE),
    Verb.DISABLE: Rule(Role.OPERATE, _THINGS, required=True, duration=True, why=True),
    Verb.ENABLE: Rule(Role.OPERATE, _THINGS, required=True, why=True),
    Verb.TEST: Rule(Role.OPERATE, ("group", "zone"), duration=True, why=True),
    Verb.SIREN_TEST: Rule(Role.OPERATE, ("output",), duration=True),
    Verb.LAMP_TEST: Rule(Role.OPERATE, duration=True),
}
assert set(RULES) == set(Verb)


@dataclass(slots=True)
class Names:
    """Everything of a plan that an order can be about, by kind of target."""

    by_kind: dict[str, dict[str, None]] = field(default_factory=dict)  # sorted

    @classmethod
    def of(cls, plan: Plan) -> Names:
        """The names of a plan. A walk test's groups are those of the site file, and its zones."""
        rows: dict[str, Sequence[Any]] = {
            "zone": plan.zones,
            "group": (*plan.test_groups, *plan.zones),
            "output": plan.outputs,
            "courier": plan.couriers,
        }
        names = {kind: [row.name for row in of_kind] for kind, of_kind in rows.items()}
        names["point"] = list(plan.points.names)
        return cls({kind: dict.fromkeys(sorted(of_kind)) for kind, of_kind in names.items()})


@dataclass(frozen=True, slots=True)
class Said:
    """The arguments of an order, checked."""

    target: str
    duration_ns: int
    word: str
    why: str


def read_order(verb: Verb, message: Message, names: Names) -> Said:
    """The arguments of an order. Raises Refused with what is right."""
    rule = RULES[verb]
    target = _text(message, "target", 3 * NAME_CHARS_MAX)
    word = _text(message, "word", NAME_CHARS_MAX)
    why = _text(message, "why", ORDER_WHY_CHARS_MAX)
    duration_ns = message.get("duration_ns", 0)
    if type(duration_ns) is not int or not 0 <= duration_ns <= ORDER_DURATION_NS_MAX:
        most = ORDER_DURATION_NS_MAX // 10**9
        raise Refused("malformed", f"duration_ns: expected a whole number, at most {most} s")
    for name, value, takes in (
        ("target", target, rule.targets),
        ("word", word, rule.words),
        ("why", why, rule.why),
        ("duration_ns", duration_ns, rule.duration),
    ):
        if value and not takes:
            raise Refused("malformed", f"'{verb}' takes no {name}")
    if rule.words and word not in rule.words:
        raise Refused("malformed", f"word: expected one of {', '.join(rule.words)}, found {word!r}")
    if target:
        _must_exist(rule, target, names)
    elif rule.required:
        forms = ", ".join(f"{kind}/NAME" for kind in rule.targets)
        raise Refused("no_target", f"'{verb}' needs a target: {forms}")
    return Said(target, duration_ns, word, why)


def _text(message: Message, key: str, most: int) -> str:
    value = message.get(key, "")
    if type(value) is not str or len(value) > most or not value.isprintable():
        raise Refused("malformed", f"{key}: expected printable text of at most {most} characters")
    return value.strip()


def _must_exist(rule: Rule, target: str, names: Names) -> None:
    kind, _, name = target.partition("/")
    if kind not in rule.targets or not name:
        forms = ", ".join(f"{kind}/NAME" for kind in rule.targets)
        raise Refused("unknown_target", f"target: expected {forms}, found {target!r}")
    if kind in _ALARMS:
        return  # what was in alarm changes: the core knows
    known = names.by_kind.get(kind, {})
    if name in known:
        return
    near = _near(name, known)
    some = near or list(islice(known, ORDER_TARGETS_TOLD))
    more = "" if near or len(known) <= len(some) else f" and {len(known) - len(some)} more"
    word = "did you mean" if near else f"there are these {kind}s:" if some else f"{kind}s: none"
    raise Refused("unknown_target", f"no {kind} is called {name!r}; {word} {', '.join(some)}{more}")


def _near(name: str, known: Mapping[str, None]) -> list[str]:
    """Names that may have been meant. Comparing is slow: only a few are compared."""
    folded = name.casefold()
    alike = (k for k in known if k.casefold()[:3] == folded[:3] or folded in k.casefold())
    return get_close_matches(name, list(islice(alike, ORDER_NAMES_COMPARED)), n=3, cutoff=0.5)
