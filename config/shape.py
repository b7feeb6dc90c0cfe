"""Reading nodes: what shape and what words a key may have, one problem for each that has not.

Every method answers None after it has added a problem, so that a reader goes on and finds the
next one.
"""

from __future__ import annotations

import ipaddress
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import yaml

from config import quantity
from config.limits import NAME_CHARS_MAX, POINTS_MAX
from config.loader import Document
from config.messages import HINTS
from config.model import Rule
from config.placeholders import has_range, spread
from config.problems import Path, Problem, Problems

_INTEGER = re.compile(r"[-+]?[0-9]{1,19}")
_HEX = re.compile(r"0x[0-9a-fA-F]{1,16}")
_OCT = re.compile(r"0o[0-7]{1,22}")
_NAME = re.compile(r"\w+(?:-\w+)*")
_ID = re.compile(r"[a-z0-9]+(?:[-_][a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of a map."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        return self.required + self.optional


class Reader:
    """Reads one document; problems go to `problems`."""

    def __init__(self, document: Document, problems: Problems) -> None:
        self.document = document
        self.problems = problems
        self.kind_fields: dict[str, dict[str, yaml.Node]] = {}  # of the section `kinds`
        # By id of a node that stays alive here: thousands of a profile's points share one rule.
        self.rules: dict[int, tuple[yaml.Node, Rule | None]] = {}

    def problem(
        self, message_id: str, node: yaml.Node, path: Path, hint: str = "", **args: str
    ) -> None:
        """Add a problem at a node. Always answers None."""
        span = self.document.span(node)
        self.problems.add(Problem(message_id, span, path, hint, args))

    def unknown(
        self, message_id: str, node: yaml.Node, path: Path, known: Sequence[str], **args: str
    ) -> str | None:
        """A word that is none of `known`: did-you-mean (answered), or the list of what there is."""
        near = self.problems.suggest(args["value"], known)
        listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
        if near is not None:
            self.problem(message_id, node, path, "near", near=near, **args)
        elif known:
            self.problem(message_id, node, path, "one_of", known=listed, **args)
        else:
            self.problem(message_id, node, path, "", **args)
        return near

    def wrong_shape(self, node: yaml.Node, path: Path, noun: str, hint: str = "") -> None:
        """Expected `noun` (a key of messages.NOUNS), found something else."""
        found, value = "nothing", ""
        if isinstance(node, yaml.MappingNode):
            found = "a map"
        elif isinstance(node, yaml.SequenceNode):
            found = "a list"
        elif isinstance(node, yaml.ScalarNode) and (node.value or node.style):
            self.problem("shape.value", node, path, hint, noun=noun, value=node.value)
            return
        self.problem("shape.kind", node, path, hint, noun=noun, found=found, value=value)

    # --- maps and lists ---------------------------------------------------------------------

    def entries(self, node: yaml.Node, path: Path, noun: str = "a map") -> list[
        tuple[str, yaml.ScalarNode, yaml.Node]
    ] | None:  # fmt: skip
        """(key, key node, value node) of a map."""
        if not isinstance(node, yaml.MappingNode):
            self.wrong_shape(node, path, noun)
            return None
        return [(k.value, k, v) for k, v in node.value]

    def items(self, node: yaml.Node, path: Path) -> list[tuple[yaml.Node, Path]] | None:
        """The items of a list with their paths."""
        if not isinstance(node, yaml.SequenceNode):
            self.wrong_shape(node, path, "a list")
            return None
        return [(item, (*path, i)) for i, item in enumerate(node.value)]

    def fields(
        self, node: yaml.Node, path: Path, keys: Keys, at: yaml.Node | None = None
    ) -> dict[str, yaml.Node] | None:
        """The values of a map by key; unknown and missing keys are problems.

        at: where a missing key is reported, the name of the map (default: the map itself).
        None when it is not a map or a required key is missing.
        """
        entries = self.entries(node, path)
        if entries is None:
            return None
        out: dict[str, yaml.Node] = {}
        known = keys.all
        meant: set[str | None] = set()
        for name, key, value in entries:
            if name in known:
                out[name] = value
            else:
                rest = [k for k in known if not any(k == n for n, _, _ in entries)]
                meant.add(self.unknown("key.unknown", key, path, rest, value=name))
        needed = [k for k in keys.required if k not in meant]  # its misspelling was said already
        if not self.require(out, needed, at or node, path):
            return None
        return out if all(k in out for k in keys.required) else None

    def require(
        self, found: dict[str, yaml.Node], required: Sequence[str], at: yaml.Node, path: Path
    ) -> bool:
        """Whether all required keys are there; a problem for each that is not."""
        missing = [k for k in required if k not in found]
        for key in missing:
            hint = f"need.{key}"
            self.problem("key.missing", at, path, hint if hint in HINTS else "", key=key)
        return not missing

    # --- scalars ----------------------------------------------------------------------------

    def text(
        self, node: yaml.Node, path: Path, noun: str = "a text", most: int = 128
    ) -> str | None:
        """A scalar that is not empty, of at most `most` printable characters."""
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            self.wrong_shape(node, path, noun)
            return None
        value = str(node.value).strip()
        if len(value) > most or not value.isprintable():
            self.problem("text.limits", node, path, most=str(most))
            return None
        return value

    def name(self, node: yaml.Node, path: Path) -> bool:
        """Whether a key can be a name: letters, digits, _ and - (also Chinese)."""
        value = str(node.value)
        if len(value) <= NAME_CHARS_MAX and _NAME.fullmatch(value):
            return True
        self.problem("name.form", node, path, "name.form", value=value, most=str(NAME_CHARS_MAX))
        return False

    def identifier(self, node: yaml.Node, path: Path) -> str | None:
        """A name that travels in topics and file names: a-z, 0-9, - and _."""
        value = self.text(node, path)
        if value is None:
            return None
        if len(value) > NAME_CHARS_MAX or not _ID.fullmatch(value):
            self.problem("id.form", node, path, "id.form", value=value, most=str(NAME_CHARS_MAX))
            return None
        return value

    def choice(
        self, node: yaml.Node, path: Path, known: Sequence[str], noun: str = "a word"
    ) -> str | None:
        """One of the known words."""
        value = self.text(node, path, noun)
        if value is None or value in known:
            return value
        self.unknown("word.unknown", node, path, known, value=value)
        return None

    def integer(self, node: yaml.Node, path: Path, low: int, high: int) -> int | None:
        """A decimal, 0x or 0o integer within low..high."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if _INTEGER.fullmatch(text):
            value = int(text)
        elif _HEX.fullmatch(text) or _OCT.fullmatch(text):
            value = int(text, 0)
        else:
            self.wrong_shape(node, path, "a whole number")
            return None
        if low <= value <= high:
            return value
        self.problem("number.range", node, path, value=text, low=str(low), high=str(high))
        return None

    def number(self, node: yaml.Node, path: Path) -> float | None:
        """A finite number without a unit."""
        text = node.value if isinstance(node, yaml.ScalarNode) else ""
        if quantity.NUMBER.fullmatch(text):
            value = float(text)
            if math.isfinite(value):
                return value
        self.wrong_shape(node, path, "a number")
        return None

    def duration(self, node: yaml.Node, path: Path, low_ns: int, high_ns: int) -> int | None:
        """A time with its unit, within bounds, in nanoseconds."""
        value = self.in_unit(node, path, "s", time=True)
        if value is None:
            return None
        ns = round(value * 1e9)
        if low_ns <= ns <= high_ns:
            return ns
        low, high = quantity.time_text(low_ns), quantity.time_text(high_ns)
        self.problem("number.range", node, path, value=node.value, low=low, high=high)
        return None

    def in_unit(
        self, node: yaml.Node, path: Path, unit: str, *, time: bool = False
    ) -> float | None:
        """A number with a unit, converted into `unit`. "" and "1": a bare number."""
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            self.wrong_shape(node, path, "a quantity")
            return None
        found = quantity.parse(node.value)
        if found is None:
            self.wrong_shape(node, path, "a quantity")
            return None
        if found.unit == unit or (unit in ("", "1") and found.unit in ("", "1")):
            return found.value
        number = quantity.number_text(found.value)
        if not found.unit:
            if time:
                one, two = _time_examples(number)
                self.problem(
                    "unit.none", node, path, "unit.two", value=node.value, one=one, two=two
                )
            else:
                self.problem(
                    "unit.none", node, path, "unit.one", value=node.value, one=number + unit
                )
            return None
        if not quantity.compatible(found.unit, unit):
            self._wrong_unit(node, path, found, unit)
            return None
        return quantity.convert(found.value, found.unit, unit)

    def _wrong_unit(
        self, node: yaml.ScalarNode, path: Path, found: quantity.Quantity, unit: str
    ) -> None:
        known = quantity.UNITS.get(unit)
        if known is None:
            one = quantity.number_text(found.value) + unit
            hint = "unit.one" if unit else "unit.bare"
            self.problem("unit.wrong", node, path, hint, value=found.unit, one=one)
            return
        units = quantity.units_of(known.dimension)
        folded = {u.casefold(): u for u in units}
        aliases = {"c": "°C", "degc": "°C", "f": "°F", "degf": "°F", "lel": "%LEL", "sec": "s",
                   "secs": "s", "second": "s", "seconds": "s", "minutes": "min", "minute": "min",
                   "mins": "min", "hour": "h", "hours": "h", "msec": "ms"}  # fmt: skip
        word = found.unit.casefold()
        near = folded.get(word) or aliases.get(word)
        if near in units:
            meant = quantity.number_text(found.value) + str(near)
            self.problem("unit.wrong", node, path, "unit.one", value=found.unit, one=meant)
        else:
            self.problem("unit.wrong", node, path, "unit.known", value=found.unit,
                         known=", ".join(units))  # fmt: skip

    def address(self, node: yaml.Node, path: Path) -> str | None:
        """An IPv4 or IPv6 address; a name would need a resolver."""
        value = self.text(node, path, "an IP address")
        if value is None:
            return None
        try:
            return str(ipaddress.ip_address(value))
        except ValueError:
            self.problem("host.not_ip", node, path, "host.not_ip", value=value)
            return None

    def walk(self, node: yaml.Node, path: Path) -> Iterator[tuple[str, yaml.Node, yaml.Node, Path]]:
        """(name, key node, value node, path) of a map of named things; bad names are problems.

        A name with a range, `gas_{1-60}`, is all of them: see config.placeholders.
        """
        first: dict[str, yaml.Node] = {}
        for name, key, value in self.entries(node, path, "a map") or ():
            if not has_range(name):
                if self.name(key, (*path, name)) and self._first(first, name, key, path):
                    yield name, key, value, (*path, name)
                continue
            many = spread(key, value)
            if many.wrong is not None:
                self.problem("range.length", many.wrong, (*path, name), "range.length")
            elif len(first) + len(many.names) > POINTS_MAX:
                self.problem("too_many", key, path, "", count=str(len(first) + len(many.names)),
                             most=str(POINTS_MAX))  # fmt: skip
                return
            for one, copy in zip(many.names, many.values, strict=True):
                if not _NAME.fullmatch(one) or len(one) > NAME_CHARS_MAX:
                    self.name(key, (*path, name))
                    break
                if self._first(first, one, key, path):
                    yield one, key, copy, (*path, one)

    def _first(self, first: dict[str, yaml.Node], name: str, key: yaml.Node, path: Path) -> bool:
        """Whether no range before this one has the name already."""
        known = first.setdefault(name, key)
        if known is not key:
            line = str(known.start_mark.line + 1)
            self.problem("yaml.duplicate", key, (*path, name), "yaml.duplicate", key=name,
                         line=line)  # fmt: skip
        return known is key


def _time_examples(number: str) -> tuple[str, str]:
    """`5` as `5s` or `500ms`; `500` as `500ms` or `500s`."""
    if float(number) >= 50:
        return f"{number}ms", f"{number}s"
    return f"{number}s", "500ms"
