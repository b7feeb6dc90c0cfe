"""How a point lies in its registers: type, byte and word order, bits."""

from __future__ import annotations

import re
from dataclasses import dataclass

import yaml

from config.kinds import ANALOGUE_TYPES, Kind
from config.problems import Path
from config.registers import ADDRESS_MAX, COIL, DISCRETE
from config.shape import Reader
from config.value_types import type_width
from config.words import Mode

ORDERS = ("word_order", "byte_order")
_SUFFIX = {"word_order": "_le", "byte_order": "_bs"}
_BITS = re.compile(r"(\d{1,2})-(\d{1,2})")
_STATE_TYPES = ("int16", "uint16", "int32", "uint32")


@dataclass(frozen=True, slots=True)
class Storage:
    """Type (one of plan.VALUE_TYPES), and the bit field, if it is one: first bit and width."""

    type: str
    bit: int | None = None
    bits: int = 1

    @property
    def word_bits(self) -> int:
        """Of the word that a rule judges."""
        if self.bit is not None or self.type == "bit":
            return self.bits
        return 16 * type_width(self.type)


def read_storage(
    reader: Reader,
    kind: Kind,
    fields: dict[str, yaml.Node],
    at: yaml.Node,
    path: Path,
    place: tuple[int, int],
) -> Storage | None:
    """Checked against the table and the kind; None and its problems."""
    function, address = place
    single = function in (COIL, DISCRETE)
    field = _field(reader, fields, path, single=single)
    if field is None:
        return None
    bit, bits = field
    types = ("bit",) if single else ANALOGUE_TYPES if bit is None else ("uint16",)
    type_name = _type(reader, kind, fields, at, path, types)
    if type_name is None or not _type_fits(reader, kind, fields, path, type_name, bits, bit):
        return None
    if (kind.states or kind.name == "manual") and not single and (bit is None or bits > 1):
        reader.problem("key.missing", at, path, "need.bit", key="bit")
        return None
    width = type_width(type_name)
    if address + width > ADDRESS_MAX + 1:
        message = "register.end" if width == 2 else "register.beyond"
        reader.problem(message, fields["register"], (*path, "register"), "", type=type_name,
                       count=str(width))  # fmt: skip
        return None
    for key in ORDERS:
        if key in fields:
            suffix = _order(reader, key, fields[key], (*path, key), type_name)
            if suffix is None:
                return None
            type_name += suffix
    return Storage(type_name, bit, bits)


def _field(
    reader: Reader, fields: dict[str, yaml.Node], path: Path, *, single: bool
) -> tuple[int | None, int] | None:
    """(first bit, width) of `bit: 3` or `bits: 4-7`; (None, 1) for the whole register."""
    key = "bit" if "bit" in fields else "bits"
    if key not in fields:
        return None, 1
    node, where = fields[key], (*path, key)
    if single:
        reader.problem("bit.of_bit", node, where)
        return None
    if key == "bit":
        bit = reader.integer(node, where, 0, 15)
        if "bits" in fields:
            reader.problem("bits.both", fields["bits"], (*path, "bits"))
            return None
        return None if bit is None else (bit, 1)
    text = reader.text(node, where, "bits")
    if text is None:
        return None
    match = _BITS.fullmatch(text)
    low, high = (int(match[1]), int(match[2])) if match else (0, 0)
    if not low < high <= 15 or (low, high) == (0, 15):
        reader.problem("bits.form", node, where, "bits.form", value=text)
        return None
    return low, high - low + 1


def _type(
    reader: Reader,
    kind: Kind,
    fields: dict[str, yaml.Node],
    at: yaml.Node,
    path: Path,
    types: tuple[str, ...],
) -> str | None:
    if "type" in fields:
        return reader.choice(fields["type"], (*path, "type"), types, "a type")
    if len(types) == 1:
        return types[0]
    if kind.mode is Mode.STATE:
        return "uint16"
    reader.problem("key.missing", at, path, "need.type", key="type")
    return None


def _type_fits(
    reader: Reader,
    kind: Kind,
    fields: dict[str, yaml.Node],
    path: Path,
    type_name: str,
    bits: int,
    bit: int | None,
) -> bool:
    """Levels need numbers, states need whole ones of at most 32 bits."""
    single = type_name == "bit" or (bit is not None and bits == 1)
    if single and kind.mode is Mode.ANALOGUE:
        node = fields["register"]
        reader.problem("kind.needs_number", node, (*path, "register"), "", kind=kind.name)
    elif type_name == "float32" and kind.mode is Mode.STATE:
        reader.problem("kind.needs_word", fields["type"], (*path, "type"), "", kind=kind.name)
    elif kind.mode is Mode.STATE and type_name not in ("bit", *_STATE_TYPES):
        reader.problem("type.not_a_word", fields["type"], (*path, "type"), "need.word",
                       kind=kind.name, type=type_name)  # fmt: skip
    else:
        return True
    return False


def _order(reader: Reader, key: str, node: yaml.Node, path: Path, type_name: str) -> str | None:
    """The suffix of the type: "_le" when the low word, "_bs" when the low byte comes first."""
    if type_name == "bit" or (key == "word_order" and type_width(type_name) == 1):
        reader.problem("word_order.narrow", node, path, "", type=type_name)
        return None
    order = reader.choice(node, path, ("high_first", "low_first"))
    return None if order is None else _SUFFIX[key] if order == "low_first" else ""
