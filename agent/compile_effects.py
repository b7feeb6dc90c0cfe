"""The cause-and-effect matrix of a site file as rows of the plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from config.limits import EFFECT_TEXT_CHARS_MAX
from config.members import inputs_of, leaf_points
from config.model import Effect, Leaf, Several, Site
from config.plan import OFF_CAUSE, OFF_RESET, OFF_SILENCE
from config.plan import Effect as Row
from config.words import FLAG_WORDS

_ENDS = {"cause": OFF_CAUSE, "silence": OFF_SILENCE, "reset": OFF_RESET}
_WORDS = {flag: word for word, flag in FLAG_WORDS.items()}


def compile_effects(site: Site, refs: Mapping[str, Mapping[str, int]]) -> tuple[Row, ...]:
    """refs: "zone", "device", "point", "input" -> name -> index."""
    outputs = {s.name: i for i, s in enumerate(site.outputs)}
    return tuple(_row(effect, site, refs, outputs) for effect in site.effects)


def _row(
    effect: Effect, site: Site, refs: Mapping[str, Mapping[str, int]], outputs: Mapping[str, int]
) -> Row:
    term = _term(effect.when, site, refs)
    simple = term[0] in ("zone", "device", "point")
    state = 0
    for leaf in inputs_of(effect.when):
        state |= int(leaf.state)
    return Row(
        cause=term[0] if simple else "rule",
        ref=term[1] if simple else 0,
        state=state,
        outputs=tuple(outputs[name] for name in effect.sound),
        pattern=effect.pattern,
        after_ns=effect.after_ns,
        off=sum(_ENDS[word] for word in effect.off_by),
        in_test=effect.in_test,
        investigation=effect.investigation,
        region=effect.region,
        message=effect.message,
        switches=tuple(outputs[name] for name in effect.switch),
        terms=() if simple else term,
        text=cause_text(effect.when)[:EFFECT_TEXT_CHARS_MAX],
    )


def _term(
    when: Leaf | Several, site: Site, refs: Mapping[str, Mapping[str, int]]
) -> tuple[Any, ...]:
    if isinstance(when, Several):
        terms: list[tuple[Any, ...]] = []
        for one in when.of:  # every point of a range counts by itself
            terms += _leaves(one, site, refs) if isinstance(one, Leaf) else [_term(one, site, refs)]
        needed = {"any": 1, "all": len(terms)}.get(when.word, when.needed)
        return ("of", needed, tuple(terms))
    found = _leaves(when, site, refs)
    return found[0] if len(found) == 1 else ("of", 1, tuple(found))


def _leaves(leaf: Leaf, site: Site, refs: Mapping[str, Mapping[str, int]]) -> list[tuple[Any, ...]]:
    state = int(leaf.state)
    if leaf.cause == "point":
        return [("point", refs["point"][n], state, "") for n, _ in leaf_points(leaf, site)]
    if leaf.cause == "kind":
        zone = refs["zone"][leaf.within] if leaf.within else -1
        return [("kind", leaf.ref, state, zone)]
    if leaf.cause == "address":
        return [("address", refs["device"][leaf.ref], state, leaf.within)]
    return [(leaf.cause, refs[leaf.cause][leaf.ref], state, "")]


def cause_text(when: Leaf | Several) -> str:
    """`zone hall fire`, `2 of (zone hall fire, kind smoke fire)`."""
    if isinstance(when, Several):
        word = str(when.needed) if when.word == "at_least" else when.word
        return f"{word} of ({', '.join(cause_text(one) for one in when.of)})"
    state = _WORDS[when.state]
    if when.cause == "address":
        return f"device {when.ref} address {when.within} {state}"
    within = f" in zone {when.within}" if when.within else ""
    return f"{when.cause} {when.ref}{within} {state}"
