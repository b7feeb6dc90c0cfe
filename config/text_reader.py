"""One text of a device: registers that hold characters. Shown and recorded, never an alarm."""

from __future__ import annotations

import yaml

from config import model
from config.limits import (
    POLL_INTERVAL_NS_MAX,
    TEXT_POLL_NS_DEFAULT,
    TEXT_POLL_NS_MIN,
    TEXT_REGISTERS_MAX,
)
from config.problems import Path
from config.registers import ADDRESS_MAX, COIL, DISCRETE, parse_register
from config.shape import Keys, Reader

TEXT_TYPE = "string"
ENCODINGS = ("ascii", "utf-8", "gb18030")
TEXT_KEYS = Keys(("register", "type", "length"), ("encoding", "byte_order", "poll"))


def is_text(fields: dict[str, yaml.Node]) -> bool:
    """Whether the keys of a point are those of a text."""
    node = fields.get("type")
    return isinstance(node, yaml.ScalarNode) and node.value == TEXT_TYPE


def read_text(
    reader: Reader, name: str, fields: dict[str, yaml.Node], at: yaml.Node, path: Path
) -> model.Text | None:
    """One text, or None and its problems. `at` is the node of its name."""
    before = len(reader.problems) + reader.problems.left_off
    for key, node in fields.items():
        if key not in TEXT_KEYS.all:
            reader.problem("text.key", node, (*path, key), "text.key", key=key)
    if not reader.require(fields, TEXT_KEYS.required, at, path):
        return None
    where = (*path, "register")
    register = reader.text(fields["register"], where, "a register")
    place = parse_register(register) if register is not None else None
    if register is not None and place is None:
        reader.problem("register.form", fields["register"], where, "register.form", value=register)
    elif place is not None and place[0] in (COIL, DISCRETE):
        reader.problem("text.bits", fields["register"], where)
    length = reader.integer(fields["length"], (*path, "length"), 1, TEXT_REGISTERS_MAX)
    if place is not None and length is not None and place[1] + length > ADDRESS_MAX + 1:
        reader.problem("register.beyond", fields["register"], where, "", type=TEXT_TYPE,
                       count=str(length))  # fmt: skip
    encoding: str | None = "ascii"
    if "encoding" in fields:
        encoding = reader.choice(fields["encoding"], (*path, "encoding"), ENCODINGS, "an encoding")
    order: str | None = "high_first"
    if "byte_order" in fields:
        order = reader.choice(
            fields["byte_order"], (*path, "byte_order"), ("high_first", "low_first")
        )
    poll: int | None = TEXT_POLL_NS_DEFAULT
    if "poll" in fields:
        poll = reader.duration(
            fields["poll"], (*path, "poll"), TEXT_POLL_NS_MIN, POLL_INTERVAL_NS_MAX
        )
    if len(reader.problems) + reader.problems.left_off > before:
        return None
    if place is None or length is None or encoding is None or order is None or poll is None:
        return None
    return model.Text(
        name=name, where=path, function=place[0], address=place[1], width=length,
        encoding=encoding, low_first=order == "low_first", poll_ns=poll,
    )  # fmt: skip
