"""The section `people`: who has a PIN, and what they may do."""

from __future__ import annotations

import yaml

from config import pin
from config.model import Person
from config.problems import Path
from config.shape import Keys, Reader
from config.words import LEVELS

_PERSON = Keys(("level", "pin"))


def read_person(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> Person | None:
    """One person: a level and the hash of a PIN."""
    found = reader.fields(node, path, _PERSON, key)
    if found is None:
        return None
    level = reader.choice(found["level"], (*path, "level"), LEVELS)
    at = (*path, "pin")
    text = reader.text(found["pin"], at, "a PIN's hash")
    if text is not None:
        parsed = pin.parse(text)
        if parsed is None or parsed.log2_n < pin.LOG2_N:
            reader.problem("pin.form", found["pin"], at, "pin.form")
            text = None
    if level is None or text is None:
        return None
    return Person(name=name, level=level, pin=text)
