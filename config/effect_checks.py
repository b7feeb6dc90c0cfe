"""Cross-checks of the cause-and-effect matrix.

Rows whose cause can never be there, rows that add nothing, rows that contradict each other, fires
that sound nothing and sirens that nothing sounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from config.effect_reader import PATTERNS
from config.limits import EFFECT_INPUTS_MAX
from config.members import inputs_of, leaf_points
from config.model import Device, Effect, Leaf, Point, Several
from config.problems import Path
from config.words import FLAG_WORDS, Flag, Mode, OutputKind

if TYPE_CHECKING:
    from config.checks import Checks

_WORDS = {flag: word for word, flag in FLAG_WORDS.items()}
_OF_INPUT = Flag.ACTIVATED | Flag.FAULT  # it is active; or lost, stuck, a trouble that it tells
_ALWAYS = Flag.FAULT | Flag.DISABLED | Flag.TEST  # of any point, by our own doing


class EffectChecks:
    """The rows of one site; problems go to `checks`."""

    def __init__(self, checks: Checks) -> None:
        self.checks = checks
        self.site = checks.site
        self.zone_of = checks.zone_of
        self.device_of = checks.device_of
        self.points: dict[Any, list[tuple[str, Point]]] = {}  # of an input, by `_key`

    def rows(self) -> None:
        """Every row by itself, then rows against each other."""
        outputs = [s.name for s in self.site.outputs]
        driven = {s.name for s in self.site.signals if s.means or s.kind is OutputKind.FAULT}
        inputs = 0
        for i, effect in enumerate(self.site.effects):
            path: Path = ("effects", i)
            for key, names in (("sound", effect.sound), ("switch", effect.switch)):
                noun = "siren" if key == "sound" else "output"
                for j, name in enumerate(names):
                    if name in driven:
                        self.checks.add("signal.driven", (*path, key, j), value=name)
                    else:
                        self.checks.reference(noun, name, outputs, (*path, key, j), ("sirens",))
            found = [self.input(leaf) for leaf in inputs_of(effect.when)]
            if all(found):
                self.counts(effect.when)
                self.waits(effect, path)
                inputs += sum(self.spread(leaf) for leaf in inputs_of(effect.when))
        if inputs > EFFECT_INPUTS_MAX:
            self.checks.add("effect.inputs", ("effects",), key=True, count=str(inputs),
                            most=str(EFFECT_INPUTS_MAX))  # fmt: skip
        self.pairs()

    # --- one row ------------------------------------------------------------------------------

    def input(self, leaf: Leaf) -> bool:
        """Whether an input names what there is and can ever be true."""
        word = "device" if leaf.cause == "address" else leaf.cause
        here = (*leaf.where, word)
        points = self.selected(leaf, here)
        if points is None:
            return False
        panel = self.device_of[leaf.ref].panel if word == "device" else None
        if leaf.cause == "address" and panel is None:
            self.checks.add("effect.address", (*leaf.where, "address"), "effect.address",
                            value=leaf.ref)  # fmt: skip
            return False
        possible = panel.can if panel is not None else Flag.NONE
        if leaf.cause == "input":
            possible = _OF_INPUT
        elif leaf.cause != "address":
            possible |= self.possible(leaf, points)
        if not possible & leaf.state:
            self.checks.add("effect.never", (*leaf.where, "state"), value=leaf.ref,
                            state=_WORDS[leaf.state])  # fmt: skip
        return True

    def selected(self, leaf: Leaf, here: Path) -> Sequence[Point] | None:
        """The points behind an input; None after a problem."""
        checks = self.checks
        if leaf.cause == "point":
            found = checks.point_reference(leaf.ref, here)
            return found or None
        if leaf.cause in ("device", "address"):
            known = self.device_of
            if not checks.reference("device", leaf.ref, known, here, ("devices",)):
                return None
            return known[leaf.ref].points
        if leaf.cause == "input":
            names = [item.name for item in self.site.inputs]
            return () if checks.reference("input", leaf.ref, names, here, ("inputs",)) else None
        zone = leaf.ref if leaf.cause == "zone" else leaf.within
        if zone:
            at = (*leaf.where, "zone")
            if not checks.reference("zone", zone, self.zone_of, at, ("zones",)):
                return None
            if zone in checks.broken_zones:
                return None  # said at the zone
        points = [p for _, p in self.behind(leaf)]
        if leaf.cause == "kind" and not points:
            kinds = sorted({p.kind for d in self.site.devices for p in d.points})
            near = checks.problems.suggest(leaf.ref, kinds)
            if near is not None:
                checks.add("effect.kind", here, "near", value=leaf.ref, near=near)
            else:
                listed = ", ".join(kinds[:12]) + (", …" if len(kinds) > 12 else "")
                checks.add("effect.kind", here, "one_of", value=leaf.ref, known=listed)
            return None
        return points

    def possible(self, leaf: Leaf, points: Sequence[Point]) -> Flag:
        """Every flag that an input can ever have."""
        out = Flag.NONE
        for point in points:
            out |= point.can
        if leaf.cause != "zone":
            return out | _ALWAYS
        needed = self.zone_of[leaf.ref].needed
        if needed > 1 and out & Flag.FIRE:
            out |= Flag.PREALARM  # a first knock
        out &= Flag.FIRE | Flag.PREALARM | Flag.SUPERVISORY
        if needed > 1 and len(points) > 1:
            out |= Flag.FAULT  # coincidence lost
        return out | Flag.DISABLED | Flag.TEST

    def counts(self, when: Leaf | Several) -> None:
        """`at_least: 3` of two inputs is never there; one input counts once."""
        if isinstance(when, Leaf):
            return
        count = sum(self.spread(one) if isinstance(one, Leaf) else 1 for one in when.of)
        if when.needed > count:
            self.checks.add("effect.needed", (*when.where, "at_least"), "effect.needed",
                            needed=str(when.needed), count=str(count))  # fmt: skip
        first: dict[Any, Leaf | Several] = {}
        for one in when.of:
            same = first.setdefault(_key(one), one)
            if same is not one:
                line = str(self.checks.document.place(same.where).line)
                value = one.ref if isinstance(one, Leaf) else one.word
                self.checks.add("effect.same_input", one.where, value=value, line=line)
            self.counts(one)

    def spread(self, leaf: Leaf) -> int:
        """How many an input counts: every point of a range is one."""
        return len(self.behind(leaf)) if leaf.cause == "point" else 1

    def waits(self, effect: Effect, path: Path) -> None:
        if not effect.after_ns:
            return
        points = [p for leaf in inputs_of(effect.when) for _, p in self.behind(leaf)]
        panels = any(leaf.cause in ("device", "address") for leaf in inputs_of(effect.when))
        manual = all(p.kind == "manual" or p.can & Flag.MANUAL for p in points)
        if points and manual and not panels:
            self.checks.add("effect.manual_waits", (*path, "after"), "effect.manual_waits")

    def behind(self, leaf: Leaf) -> list[tuple[str, Point]]:
        key = _key(leaf)
        if key not in self.points:
            self.points[key] = leaf_points(leaf, self.site)
        return self.points[key]

    # --- rows against each other --------------------------------------------------------------

    def pairs(self) -> None:
        """Rows of one cause that sound one siren: twice, otherwise, or for nothing."""
        rows: dict[tuple[Any, str], list[tuple[int, int]]] = {}
        for i, effect in enumerate(self.site.effects):
            for j, siren in enumerate(effect.sound):
                here = (*("effects", i), "sound", j)
                for h, _ in rows.get((_key(effect.when), siren), ()):
                    if self.pair(self.site.effects[h], effect, h, here, siren):
                        break
                rows.setdefault((_key(effect.when), siren), []).append((i, j))

    def pair(self, first: Effect, second: Effect, h: int, here: Path, siren: str) -> bool:
        line = str(self.checks.document.place(("effects", h)).line)
        differs = _difference(first, second)
        if first.after_ns == second.after_ns:
            if differs:
                self.checks.add("effect.contrary", here, "effect.contrary", siren=siren, line=line,
                                what=differs)  # fmt: skip
            else:
                self.checks.add("effect.twice", here, siren=siren, line=line)
            return True
        early, late = sorted((first, second), key=lambda e: e.after_ns)
        if differs in ("", "pattern") and _rank(early) <= _rank(late):
            self.checks.add("effect.shadowed", here, "effect.shadowed", siren=siren, line=line)
            return True
        return False

    # --- the whole (a clean site only) ----------------------------------------------------------

    def silence(self) -> None:
        """Sirens that nothing sounds, and fires that sound nothing."""
        loud: set[str] = set()
        for effect in self.site.effects:
            for leaf in inputs_of(effect.when) if effect.sound else ():
                if leaf.state is not Flag.FIRE:
                    continue
                loud |= {name for name, _ in self.behind(leaf)}
                if leaf.cause == "device" or (leaf.cause == "address" and leaf.within == "*"):
                    loud.add(leaf.ref)
        fires = [
            (device, point)
            for device in self.site.devices
            for point in device.points
            if point.mode is not Mode.TELEMETRY and point.can & Flag.FIRE
        ]
        panels = [d for d in self.site.devices if d.panel is not None and d.panel.can & Flag.FIRE]
        if (fires or panels) and not self.site.sirens:
            where = fires[0][1].where if fires else panels[0].where
            self.checks.add("siren.none", where, "siren.none", key=True)
            return
        self.silent(loud, fires, panels)
        used = {name for effect in self.site.effects for name in (*effect.sound, *effect.switch)}
        for siren in self.site.sirens:
            if siren.name not in used:
                self.checks.add("siren.unused", ("sirens", siren.name), "siren.unused", key=True)

    def silent(
        self, loud: set[str], fires: list[tuple[Device, Point]], panels: list[Device]
    ) -> None:
        for device in panels:
            if device.name not in loud:
                self.checks.add("fire.silent", device.where, "fire.silent", key=True)
        said: set[Path] = set()
        for device, point in fires:
            if f"{device.name}.{point.name}" not in loud and point.where not in said:
                said.add(point.where)
                self.checks.add("fire.silent", point.where, "fire.silent", key=True)


def _key(when: Leaf | Several) -> Any:
    """Equal for equal causes, wherever they are written."""
    if isinstance(when, Leaf):
        return (when.cause, when.ref, when.within, when.state)
    return (when.word, when.needed, frozenset(_key(one) for one in when.of))


def _difference(first: Effect, second: Effect) -> str:
    """The first word in which two rows differ but for the delay; "" when in none."""
    for word in ("off_by", "in_test", "investigation", "region", "pattern"):
        if getattr(first, word) != getattr(second, word):
            return word
    return ""


def _rank(effect: Effect) -> int:
    return PATTERNS.index(effect.pattern)
