"""Profiles: register maps of real devices, as data in config/profiles/*.yaml.

A profile uses the words of site.yaml for its points. What a site takes from one is read as if it
had been written in the site file, at the place that asked for it: problems point there.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path as FilePath

import yaml

from config.limits import NAME_CHARS_MAX, POINTS_MAX
from config.loader import definition_file, load
from config.point_reader import POINT_KEYS, Fields
from config.problems import Path, Problems
from config.profile_facts import (
    Example,
    Heartbeat,
    read_examples,
    read_heartbeat,
    read_output_timeout,
)
from config.registers import ADDRESS_MAX, parse_register, short_form
from config.shape import Keys, Reader

DIRECTORY = FilePath(__file__).parent / "profiles"
_KEYS = Keys(
    ("profile", "title", "manual", "revision"),
    ("coils", "points", "families", "templates", "default_use", "heartbeat", "output_timeout",
     "examples"),
)  # fmt: skip
_FAMILY = Keys(("name", "ranges", "register", "steps"), ("point", "template"))
_TEMPLATE = Keys((), (*POINT_KEYS.all, "absent"))
_HOLE = re.compile(r"\{(\w+)\}")
_RANGE = re.compile(r"(.*?)(\d{1,9})-(\d{1,9})")


@dataclass(frozen=True, slots=True)
class Family:
    """Points whose names and registers follow a rule: `l{loop}d{address}`."""

    pattern: re.Pattern[str]
    ranges: tuple[tuple[int, int], ...]  # of the numbers in the name, in their order
    steps: tuple[int, ...]
    function: int
    address: int  # of the first member
    fields: Fields
    literals: tuple[str, ...] = ()  # the name around its numbers

    def member(self, numbers: Sequence[int]) -> str:
        """The name with these numbers: member((1, 20)) is `l1d20`."""
        out = self.literals[0]
        for number, text in zip(numbers, self.literals[1:], strict=True):
            out += f"{number}{text}"
        return out

    def corners(self) -> list[str]:
        """First and last name of every range, in all combinations."""
        return [self.member(numbers) for numbers in itertools.product(*self.ranges)]

    def members(self) -> Iterator[str]:
        """Every name."""
        ranges = [range(low, high + 1) for low, high in self.ranges]
        return (self.member(numbers) for numbers in itertools.product(*ranges))

    def place(self, name: str) -> tuple[int, int] | None:
        """(function, address) of the member called `name`, or None."""
        match = self.pattern.fullmatch(name)
        if match is None:
            return None
        address = self.address
        for text, (low, high), step in zip(match.groups(), self.ranges, self.steps, strict=True):
            if not low <= int(text) <= high or (text[0] == "0" and text != "0"):
                return None
            address += (int(text) - low) * step
        return (self.function, address) if address <= ADDRESS_MAX else None


@dataclass(frozen=True, slots=True)
class Profile:
    """A device's register map. `name` is what a site calls it: `relay-8`, `./my-device.yaml`.

    output_timeout_ns: after how long without a master its outputs fall back; 0 never, None unknown.
    """

    name: str
    title: str
    manual: str
    revision: str
    source: bytes
    coils: int | None = None
    points: dict[str, Fields] = field(default_factory=dict)
    families: tuple[Family, ...] = ()
    default_use: tuple[str, ...] = ()
    heartbeat: Heartbeat | None = None
    output_timeout_ns: int | None = None
    examples: tuple[Example, ...] = ()

    def fields(self, name: str) -> Fields | None:
        """The keys of the point called `name`, or None. A family's member gets its register."""
        if name in self.points:
            return self.points[name]
        for family in self.families:
            place = family.place(name)
            if place is not None:
                node = yaml.ScalarNode("", short_form(*place), style="")
                return {**family.fields, "register": node}
        return None

    def known(self) -> tuple[str, ...]:
        """Names and name patterns, for people."""
        return (
            *self.points,
            *(f.pattern.pattern.replace(r"(\d{1,5})", "N") for f in self.families),
        )


def profile_names() -> tuple[str, ...]:
    """The profiles that exist."""
    return tuple(sorted(p.stem for p in DIRECTORY.glob("*.yaml")))


def own_profile(text: str) -> bool:
    """Whether a site means a profile of its own: `./my-device.yaml`, beside the site file."""
    return text.startswith(".") or "/" in text or text.endswith((".yaml", ".yml"))


def load_profile(
    name: str, problems: Problems, directory: FilePath | None = None
) -> Profile | None:
    """A profile of profile_names(), or with `directory` the file `./name.yaml` there.

    None and problems when its file cannot be read.
    """
    file = definition_file(name, DIRECTORY, directory, problems)
    return None if file is None else parse_profile(name, *file, problems)


def parse_profile(name: str, data: bytes, shown: str, problems: Problems) -> Profile | None:
    """A profile from the bytes of its file, which problems call `shown`."""
    document = load(data, shown, problems)
    if document is None or document.root is None:
        return None
    reader = Reader(document, problems)
    before = len(problems)
    found = reader.fields(document.root, (), _KEYS)
    if found is None:
        return None
    texts = {key: reader.text(found[key], (key,), most=300) or "" for key in _KEYS.required}
    coils = reader.integer(found["coils"], ("coils",), 1, 65_536) if "coils" in found else None
    templates = _maps(reader, found, "templates")
    points = _maps(reader, found, "points")
    families = _families(reader, found, templates)
    use = tuple(
        reader.text(node, path_) or ""
        for node, path_ in reader.items(found["default_use"], ("default_use",)) or ()
    ) if "default_use" in found else ()  # fmt: skip
    profile = Profile(
        name, texts["title"], texts["manual"], texts["revision"], data, coils, points, families,
        use,
        read_heartbeat(reader, found["heartbeat"], ("heartbeat",))
        if "heartbeat" in found else None,
        read_output_timeout(reader, found["output_timeout"], ("output_timeout",))
        if "output_timeout" in found else None,
        read_examples(reader, found["examples"], ("examples",)) if "examples" in found else (),
    )  # fmt: skip
    _check_names(reader, found, profile)
    return profile if len(problems) == before else None


def _check_names(reader: Reader, found: Fields, profile: Profile) -> None:
    """Points that `default_use` and `examples` name must be there."""
    for k, text in enumerate(profile.default_use):
        names = names_in(text) or [text]
        for name in (names[0], names[-1]):
            if profile.fields(name) is None:
                path: Path = ("default_use", k)
                reader.unknown("use.unknown", reader.document.find(path) or found["default_use"],
                               path, profile.known(), value=name, profile=profile.name)  # fmt: skip
                break
    for k, example in enumerate(profile.examples):
        if profile.fields(example.point) is None:
            path = ("examples", k, "point")
            reader.unknown("use.unknown", reader.document.find(path) or found["examples"], path,
                           profile.known(), value=example.point, profile=profile.name)  # fmt: skip


def _maps(reader: Reader, found: Fields, key: str) -> dict[str, Fields]:
    if key not in found:
        return {}
    out = {}
    for name, _, value, path in reader.walk(found[key], (key,)):
        fields = reader.fields(value, path, _TEMPLATE)
        if fields is not None:
            out[name] = fields
    return out


def _families(reader: Reader, found: Fields, templates: dict[str, Fields]) -> tuple[Family, ...]:
    out = []
    items = reader.items(found["families"], ("families",)) if "families" in found else None
    for node, path in items or ():
        fields = reader.fields(node, path, _FAMILY)
        if fields is None:
            continue
        family = _family(reader, fields, path, templates)
        if family is not None:
            out.append(family)
    return tuple(out)


def _family(
    reader: Reader, fields: Fields, path: Path, templates: dict[str, Fields]
) -> Family | None:
    name = reader.text(fields["name"], path)
    place = parse_register(reader.text(fields["register"], path) or "")
    if "template" in fields:
        word = reader.choice(fields["template"], path, tuple(templates))
        point = templates.get(word or "")
    else:
        point = reader.fields(fields["point"], path, _TEMPLATE) if "point" in fields else {}
    ranges = dict(_range_entries(reader, fields["ranges"], path))
    steps = {
        key: reader.integer(value, path, 1, ADDRESS_MAX) or 1
        for key, _, value in reader.entries(fields["steps"], path) or ()
    }
    holes = _HOLE.findall(name or "")
    if name is None or place is None or point is None or set(holes) != set(ranges) != set(steps):
        reader.problem("profile.family", fields["name"], path)
        return None
    parts = _HOLE.split(name)
    pattern = "".join(r"(\d{1,5})" if i % 2 else re.escape(t) for i, t in enumerate(parts))
    return Family(
        re.compile(pattern), tuple(ranges[h] for h in holes), tuple(steps[h] for h in holes),
        place[0], place[1], point, tuple(parts[::2]),
    )  # fmt: skip


def _range_entries(
    reader: Reader, node: yaml.Node, path: Path
) -> Iterator[tuple[str, tuple[int, int]]]:
    for key, _, value in reader.entries(node, path) or ():
        ends = [reader.integer(n, p, 0, ADDRESS_MAX) for n, p in reader.items(value, path) or ()]
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
            yield key, (ends[0], ends[1])


def names_in(text: str) -> list[str] | None:
    """`l1d1-20` as its twenty names, a plain name as itself; None when the range runs backwards."""
    match = _RANGE.fullmatch(text)
    if match is None:
        return [text]
    low, high = int(match[2]), int(match[3])
    if low > high or high - low >= POINTS_MAX or len(text) > NAME_CHARS_MAX:
        return None
    return [f"{match[1]}{number}" for number in range(low, high + 1)]


class Relocated:
    """Copies of a profile's nodes with the place in the site file that asked for them."""

    def __init__(self, at: yaml.Node, *, named: bool) -> None:
        self._at = at
        self._named = named
        self._memo: dict[int, tuple[yaml.Node, yaml.Node]] = {}  # the original is kept alive

    def fields(self, fields: Fields) -> Fields:
        """The fields of one point. `absent` becomes `bad` for points that are named."""
        out = {key: self._copy(node) for key, node in fields.items() if key != "absent"}
        absent = fields.get("absent")
        if absent is not None and self._named:
            bad = out.get("bad")
            items = [*(bad.value if bad is not None else ()), *self._copy(absent).value]
            out["bad"] = yaml.SequenceNode("", items, self._at.start_mark, self._at.end_mark)
        return out

    def _copy(self, node: yaml.Node) -> yaml.Node:
        known = self._memo.get(id(node))
        if known is not None:
            return known[1]
        start, end = self._at.start_mark, self._at.end_mark
        copy: yaml.Node
        if isinstance(node, yaml.ScalarNode):
            copy = yaml.ScalarNode("", node.value, start, end, style="")
        elif isinstance(node, yaml.SequenceNode):
            copy = yaml.SequenceNode("", [self._copy(n) for n in node.value], start, end)
        else:
            pairs = [(self._copy(k), self._copy(v)) for k, v in node.value]
            copy = yaml.MappingNode("", pairs, start, end)
        self._memo[id(node)] = (node, copy)
        return copy
