"""Placeholders: `gas_{1-60}: {link: bus, unit: "{1-60}", profile: ...}` is sixty devices.

Every `{low-high}` in the value counts along with the one in the name. Parts without a placeholder
are shared by all copies; copies keep the places of the original, so problems point there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from config.limits import POINTS_MAX

_RANGE = re.compile(r"\{(\d{1,5})-(\d{1,5})\}")


@dataclass(frozen=True, slots=True)
class Spread:
    """The names of a key, and its value for each. `wrong` is the node whose range does not fit."""

    names: tuple[str, ...]
    values: tuple[yaml.Node, ...]
    wrong: yaml.Node | None = None


def has_range(text: str) -> bool:
    """Whether a name stands for many."""
    return _RANGE.search(text) is not None


def matches(pattern: str, name: str) -> bool:
    """Whether `name` is one of those that `gas_{1-60}` stands for."""
    found = _RANGE.search(pattern)
    if found is None:
        return False
    before, after = pattern[: found.start()], pattern[found.end() :]
    number = name[len(before) : len(name) - len(after)]
    if f"{before}{number}{after}" != name or not number.isascii() or not number.isdecimal():
        return False
    return int(found[1]) <= int(number) <= int(found[2]) and str(int(number)) == number


def spread(key: yaml.ScalarNode, value: yaml.Node) -> Spread:
    """All that `key` stands for, at most POINTS_MAX."""
    found = _RANGE.search(key.value)
    assert found is not None, key.value
    low, high = int(found[1]), int(found[2])
    count = high - low + 1
    if not 1 <= count <= POINTS_MAX or len(_RANGE.findall(key.value)) != 1:
        return Spread((), (), key)
    wrong = _misfit(value, count)
    if wrong is not None:
        return Spread((), (), wrong)
    text = str(key.value)
    names = tuple(_RANGE.sub(str(low + k), text) for k in range(count))
    return Spread(names, tuple(_copy(value, k) for k in range(count)))


def _misfit(node: yaml.Node, count: int) -> yaml.Node | None:
    """The first text whose range has another length."""
    if isinstance(node, yaml.ScalarNode):
        for low, high in _RANGE.findall(node.value):
            if int(high) - int(low) + 1 != count:
                return node
        return None
    for child in _children(node):
        wrong = _misfit(child, count)
        if wrong is not None:
            return wrong
    return None


def _children(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [n for pair in node.value for n in pair]
    return list(node.value) if isinstance(node, yaml.SequenceNode) else []


def _copy(node: yaml.Node, offset: int) -> yaml.Node:
    """The node with every range at its place `offset`; the node itself when it has none."""
    if isinstance(node, yaml.ScalarNode):
        text = _RANGE.sub(lambda m: str(int(m[1]) + offset), node.value)
        if text == node.value:
            return node
        return yaml.ScalarNode("", text, node.start_mark, node.end_mark, style="")
    if isinstance(node, yaml.SequenceNode):
        items = [_copy(n, offset) for n in node.value]
        if all(a is b for a, b in zip(items, node.value, strict=True)):
            return node
        return yaml.SequenceNode("", items, node.start_mark, node.end_mark)
    pairs = [(k, _copy(v, offset)) for k, v in node.value]
    if all(a[1] is b[1] for a, b in zip(pairs, node.value, strict=True)):
        return node
    return yaml.MappingNode("", pairs, node.start_mark, node.end_mark)
