"""The section `effects` of a site file: rows of the cause-and-effect matrix."""

from __future__ import annotations

import yaml

from config.limits import EFFECT_AFTER_NS_MAX, EFFECT_DEPTH_MAX, EFFECT_TEXT_CHARS_MAX, POINTS_MAX
from config.model import Effect, Leaf, Several
from config.problems import Path
from config.shape import Keys, Reader
from config.words import FLAG_WORDS, Flag

PATTERNS = ("evacuate", "alert", "pulse")
STATES = (
    "fire", "prealarm", "supervisory", "fault", "disabled", "test", "activated", "feedback",
)  # fmt: skip
ENDS = ("cause", "silence", "reset")
_EFFECT = Keys(
    ("when",),
    (
        "sound",
        "pattern",
        "switch",
        "message",
        "after",
        "off_by",
        "in_test",
        "investigation",
        "region",
    ),
)
_CAUSES = ("zone", "device", "point", "kind", "input")
_GATES = ("any", "all", "at_least")
_WORDS = {
    "in_test": ("nothing", "pulse"),
    "investigation": ("waits", "acts"),
    "region": ("cn", "eu"),
}


def read_effect(reader: Reader, node: yaml.Node, path: Path, region: str) -> Effect | None:
    """One row; `region` is the site's. None and problems when it cannot be read."""
    found = reader.fields(node, path, _EFFECT)
    if found is None:
        return None
    before = len(reader.problems) + reader.problems.left_off
    when = _cause(reader, found["when"], (*path, "when"), 0)
    sound = _names(reader, found, "sound", path, "a siren")
    switch = _names(reader, found, "switch", path, "an output")
    message = ""
    if "message" in found:
        here = (*path, "message")
        message = reader.text(found["message"], here, most=EFFECT_TEXT_CHARS_MAX) or ""
    pattern = "evacuate"
    if "pattern" in found:
        pattern = reader.choice(found["pattern"], (*path, "pattern"), PATTERNS) or ""
    after = 0
    if "after" in found:
        here = (*path, "after")
        after = reader.duration(found["after"], here, 0, EFFECT_AFTER_NS_MAX) or 0
    off = _ends(reader, found, path)
    words = {k: _word(reader, found, k, path) for k in _WORDS}
    _fitting(reader, found, path, node)
    if when is None or len(reader.problems) + reader.problems.left_off > before:
        return None
    warns = words["region"] == "cn" or (
        words["region"] == "" and region == "cn" and pattern == "evacuate" and bool(sound)
        and _single(when)
    )  # fmt: skip
    return Effect.model_validate(
        {
            "when": when,
            "sound": sound,
            "pattern": pattern,
            "switch": switch,
            "message": message,
            "after_ns": after,
            "off_by": off or (("silence", "cause") if sound else ("cause",)),
            "in_test": words["in_test"] or "nothing",
            "investigation": words["investigation"] or "waits",
            "region": "cn" if warns else "",
        }
    )


def _single(when: Leaf | Several) -> bool:
    """Fires of which each acts alone; what counts by itself says its own rule."""
    if isinstance(when, Leaf):
        return bool(when.state & Flag.FIRE)
    return when.word == "any" and all(_single(one) for one in when.of)


def _word(reader: Reader, found: dict[str, yaml.Node], key: str, path: Path) -> str:
    if key not in found:
        return ""
    return reader.choice(found[key], (*path, key), _WORDS[key]) or ""


def _names(
    reader: Reader, found: dict[str, yaml.Node], key: str, path: Path, noun: str
) -> tuple[str, ...]:
    if key not in found:
        return ()
    items = reader.items(found[key], (*path, key))
    if items is not None and not items:
        reader.problem("list.empty", found[key], (*path, key))
    return tuple(reader.text(n, p, noun) or "" for n, p in items or ())


def _ends(reader: Reader, found: dict[str, yaml.Node], path: Path) -> tuple[str, ...]:
    """What switches a row off: a word or several; () when nothing is said."""
    if "off_by" not in found:
        return ()
    node, here = found["off_by"], (*path, "off_by")
    if isinstance(node, yaml.SequenceNode):
        items = reader.items(node, here) or []
        if not items:
            reader.problem("list.empty", node, here)
        words = {reader.choice(n, p, ENDS) for n, p in items}
    else:
        words = {reader.choice(node, here, ENDS)}
    if "silence" in words and "sound" not in found:
        reader.problem("effect.silence", node, here, "effect.silence")
    return tuple(w for w in ENDS if w in words)


def _fitting(reader: Reader, found: dict[str, yaml.Node], path: Path, node: yaml.Node) -> None:
    """A row does something, and its words are about what it does."""
    if not any(key in found for key in ("sound", "switch", "message")):
        if len(found) < len(reader.entries(node, path) or ()):
            return  # a misspelt one was said already
        reader.problem("effect.nothing", node, path, "effect.nothing")
        return
    for key in ("pattern", "in_test", "region"):
        if key in found and "sound" not in found:
            reader.problem("key.pair", found[key], (*path, key), key=key, other="sound")


def _cause(reader: Reader, node: yaml.Node, path: Path, depth: int) -> Leaf | Several | None:
    entries = reader.entries(node, path)
    if entries is None:
        return None
    names = {name: value for name, _, value in entries}
    gate = next((g for g in _GATES if g in names), None)
    if gate is not None:
        return _several(reader, node, path, depth, gate)
    found = reader.fields(node, path, Keys(("state",), (*_CAUSES, "address")))
    if found is None:
        return None
    state = reader.choice(found["state"], (*path, "state"), STATES)
    causes = [c for c in _CAUSES if c in found]
    if not causes and len(found) < len(names):
        return None  # a misspelt cause was said already
    return _leaf(reader, node, path, found, causes, state)


def _leaf(
    reader: Reader,
    node: yaml.Node,
    path: Path,
    found: dict[str, yaml.Node],
    causes: list[str],
    state: str | None,
) -> Leaf | None:
    kind, address = set(causes) == {"kind", "zone"}, "address" in found
    if (len(causes) != 1 and not kind) or (address and causes != ["device"]):
        reader.problem("effect.cause", node, path, "effect.cause")
        return None
    cause = "kind" if "kind" in causes else causes[0]
    ref = reader.text(found[cause], (*path, cause), "a name", 160)
    within: str | None = ""
    if kind:
        within = reader.text(found["zone"], (*path, "zone"), "a name", 160)
    elif address:
        within = reader.text(found["address"], (*path, "address"), "a text", 64)
    if ref is None or within is None or state is None:
        return None
    word = "address" if address else cause
    return Leaf.model_validate(
        {"cause": word, "ref": ref, "state": FLAG_WORDS[state], "within": within, "where": path}
    )


def _several(reader: Reader, node: yaml.Node, path: Path, depth: int, gate: str) -> Several | None:
    """`any: [...]`, `all: [...]`, or `at_least: 2` with `of: [...]`."""
    listed = "of" if gate == "at_least" else gate
    found = reader.fields(node, path, Keys((gate, "of") if gate == "at_least" else (gate,)))
    if found is None:
        return None
    if depth >= EFFECT_DEPTH_MAX:
        reader.problem("effect.depth", node, path, "", most=str(EFFECT_DEPTH_MAX))
        return None
    needed: int | None = 0
    if gate == "at_least":
        needed = reader.integer(found[gate], (*path, gate), 1, POINTS_MAX)
    items = reader.items(found[listed], (*path, listed))
    if items is not None and not items:
        reader.problem("list.empty", found[listed], (*path, listed))
    of = [_cause(reader, n, p, depth + 1) for n, p in items or ()]
    if needed is None or not of or any(one is None for one in of):
        return None
    return Several.model_validate({"word": gate, "needed": needed, "of": tuple(of), "where": path})
