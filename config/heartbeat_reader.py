"""The heartbeat of a device: a register that it keeps changing while it lives."""

from __future__ import annotations

import yaml

from config.limits import FREEZE_NS_MAX, FREEZE_NS_MIN
from config.problems import Path
from config.registers import COIL, DISCRETE, parse_register
from config.shape import Keys, Reader

_HEARTBEAT = Keys(("register", "within"))


def read_heartbeat(reader: Reader, node: yaml.Node, path: Path) -> tuple[int, ...] | None:
    """plan.Device.heartbeat of `{register: 40108, within: 15s}`; None and its problems.

    The word `none` is no heartbeat: of a device whose profile knows one that this one has not.
    """
    if isinstance(node, yaml.ScalarNode) and node.value == "none":
        return ()
    found = reader.fields(node, path, _HEARTBEAT)
    if found is None:
        return None
    text = reader.text(found["register"], (*path, "register"), "a register")
    place = parse_register(text) if text is not None else None
    here = (*path, "register")
    if text is not None and place is None:
        reader.problem("register.form", found["register"], here, "register.form", value=text)
    elif place is not None and place[0] in (COIL, DISCRETE):
        reader.problem("heartbeat.own", found["register"], here)
        return None
    within = reader.duration(found["within"], (*path, "within"), FREEZE_NS_MIN, FREEZE_NS_MAX)
    return None if place is None or within is None else (*place, 1, within)
