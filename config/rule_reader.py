"""Rules of state words: how a device's word becomes a state, in profiles and in site files."""

from __future__ import annotations

import yaml

from config.limits import RULE_CASES_MAX
from config.model import Rule
from config.problems import Path
from config.shape import Keys, Reader
from config.words import FLAG_WORDS

RULE_KEYS = ("cases", "otherwise", "bad", "not_ready")
_TEST_KEYS = ("bit", "value", "mask", "equals")
_CASE = Keys(("state",), _TEST_KEYS)
_TEST = Keys((), _TEST_KEYS)
_NEVER = (0, 1, 0)  # mask, equals, flags
_OTHERWISE = Keys(("state", "mask", "equals", "over"))


def read_rule(reader: Reader, fields: dict[str, yaml.Node], path: Path, width: int) -> Rule | None:
    """The rule of a word of `width` bits; None and problems when a part of it cannot be read."""
    before = len(reader.problems) + reader.problems.left_off
    cases: list[tuple[int, int, int]] = []
    for item, here in reader.items(fields["cases"], (*path, "cases")) or ():
        found = reader.fields(item, here, _CASE)
        if found is None:
            continue
        flags = _flags(reader, found["state"], (*here, "state"))
        test = _test(reader, found, item, here, width)
        if flags is not None and test is not None:
            cases.append((*test, flags))
    tests: dict[str, list[tuple[int, int]]] = {"bad": [], "not_ready": []}
    for key, out in tests.items():
        if key not in fields:
            continue
        for item, here in reader.items(fields[key], (*path, key)) or ():
            found = reader.fields(item, here, _TEST)
            test = _test(reader, found, item, here, width) if found is not None else None
            if test is not None:
                out.append(test)
    if "otherwise" in fields:
        cases += _otherwise(reader, fields["otherwise"], (*path, "otherwise"), width, cases)
    # A decoder takes a rule without cases for the sentinels of a number: a state word whose only
    # meanings are bad and not ready gets a case that no word matches.
    cases = cases or [_NEVER]
    if len(cases) > RULE_CASES_MAX:
        reader.problem("rule.size", fields["cases"], path, "", limit=str(RULE_CASES_MAX))
    if len(reader.problems) + reader.problems.left_off > before:
        return None
    return Rule(cases=tuple(cases), bad=tuple(tests["bad"]), not_ready=tuple(tests["not_ready"]))


def _flags(reader: Reader, node: yaml.Node, path: Path) -> int | None:
    """One state word or a list of them."""
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    out = 0
    for n in nodes:
        word = reader.choice(n, path, tuple(FLAG_WORDS), "a state")
        if word is None:
            return None
        out |= int(FLAG_WORDS[word])
    if not out:
        reader.wrong_shape(node, path, "a state")
        return None
    return out


def _test(
    reader: Reader, found: dict[str, yaml.Node], at: yaml.Node, path: Path, width: int
) -> tuple[int, int] | None:
    """(mask, equals) of `bit: 3`, `value: 0x10` or `mask: … equals: …`."""
    keys = frozenset(found) - {"state"}
    whole = (1 << width) - 1
    if keys == {"bit"}:
        bit = reader.integer(found["bit"], (*path, "bit"), 0, width - 1)
        return None if bit is None else (1 << bit, 1 << bit)
    if keys == {"value"}:
        value = reader.integer(found["value"], (*path, "value"), 0, whole)
        return None if value is None else (whole, value)
    if keys == {"mask", "equals"}:
        mask = reader.integer(found["mask"], (*path, "mask"), 1, whole)
        equals = reader.integer(found["equals"], (*path, "equals"), 0, whole)
        if mask is None or equals is None:
            return None
        if equals & ~mask:
            reader.problem("rule.never", found["equals"], (*path, "equals"))
            return None
        return mask, equals
    reader.problem("rule.test", at, path, "rule.test")
    return None


def _otherwise(
    reader: Reader, node: yaml.Node, path: Path, width: int, cases: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """A state for every value of the bits `over` that no case names, where mask/equals holds."""
    found = reader.fields(node, path, _OTHERWISE)
    if found is None:
        return []
    flags = _flags(reader, found["state"], (*path, "state"))
    numbers = [
        reader.integer(found[key], (*path, key), 0, (1 << width) - 1)
        for key in ("mask", "equals", "over")
    ]
    if flags is None or any(n is None for n in numbers):
        return []
    mask, equals, over = (n or 0 for n in numbers)
    if over & mask or over > 0xFF:
        reader.problem("rule.over", found["over"], (*path, "over"))
        return []
    named = {e & over for m, e, _ in cases if m == mask | over and e & mask == equals}
    bits = [1 << b for b in reversed(range(width)) if over >> b & 1]
    return [(mask | m, equals | e, flags) for m, e in _cover(bits, named, 0, 0)]


def _cover(bits: list[int], named: set[int], mask: int, equals: int) -> list[tuple[int, int]]:
    """Fewest-by-halving (mask, equals) that hold for every value over `bits` outside `named`."""
    if not any(value & mask == equals for value in named):
        return [(mask, equals)]
    if not bits:
        return []
    bit, rest = bits[0], bits[1:]
    return _cover(rest, named, mask | bit, equals) + _cover(rest, named, mask | bit, equals | bit)
