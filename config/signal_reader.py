"""Sections sirens, signals, inputs and self_test of site.yaml: what is switched and what is read.

An output is a coil of a device or a line of a GPIO chip; `idle: energised` says that current flows
while it is off, so that losing the current switches it on.
"""

from __future__ import annotations

import re

import yaml

from config import model
from config.limits import (
    DAY_BEGINS_MIN,
    DAY_ENDS_MIN,
    DEBOUNCE_NS_DEFAULT,
    DEBOUNCE_NS_MAX,
    GPIO_LINE_MAX,
    MS,
    READ_BACK_NS_DEFAULT,
    READ_BACK_NS_MAX,
    READ_BACK_NS_MIN,
    SELF_TEST_NS_MAX,
    SELF_TEST_NS_MIN,
    TEST_NS_DEFAULT,
    TEST_NS_MAX,
    S,
)
from config.problems import Path
from config.shape import Keys, Reader
from config.words import SUPERVISION, TONES, InputRole, Meaning, OutputKind

_PLACE = ("device", "coil", "gpio", "line", "active", "drive", "idle", "read_back")
_SIREN = Keys((), _PLACE)
_SIGNAL = Keys(("kind",), (*_PLACE, "means"))
_INPUT = Keys(("role",), ("gpio", "line", "bias", "point", "active", "debounce"))
_SELF_TEST = Keys((), ("silent", "audible"))
_AUDIBLE = Keys(("day", "at", "utc_offset"), ("for",))
_SIGNAL_KINDS = tuple(k.value for k in OutputKind if k is not OutputKind.SIREN)
_DRIVES = ("push-pull", "open-drain", "open-source")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_CHIP = re.compile(r"(?:/dev/)?(gpiochip\d{1,3}|[A-Za-z][\w.-]{0,60})")
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
_OFFSET = re.compile(r"([+-])(\d{2}):([0-5]\d)")

Found = dict[str, yaml.Node]


def read_siren(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.Siren | None:
    """One entry of `sirens`."""
    found = reader.fields(node, path, _SIREN, key)
    return None if found is None else _output(reader, name, found, node, path, OutputKind.SIREN)


def read_signal(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.Siren | None:
    """One entry of `signals`: a lamp, buzzer, relay or fault output."""
    found = reader.fields(node, path, _SIGNAL, key)
    if found is None:
        return None
    kind = reader.choice(found["kind"], (*path, "kind"), _SIGNAL_KINDS)
    means = _means(reader, found, path, kind)
    if kind is None or means is None:
        return None
    out = _output(reader, name, found, node, path, OutputKind(kind))
    return None if out is None else out.model_copy(update={"means": means})


def _means(
    reader: Reader, found: Found, path: Path, kind: str | None
) -> tuple[Meaning, ...] | None:
    """What a lamp or buzzer tells; of a relay nothing, of a fault output fault."""
    if kind == OutputKind.FAULT:
        return (Meaning.FAULT,)
    if "means" not in found:
        return ()
    node, here = found["means"], (*path, "means")
    if kind == OutputKind.RELAY:
        reader.problem("key.not_for_kind", node, here, "", key="means", kind=kind)
        return None
    known = TONES if kind == OutputKind.BUZZER else tuple(Meaning)
    nodes = node.value if isinstance(node, yaml.SequenceNode) else [node]
    words = [reader.choice(n, here, tuple(m.value for m in known), "a meaning") for n in nodes]
    if not words:
        reader.problem("list.empty", node, here)
    return None if not words or None in words else tuple(Meaning(w) for w in words if w)


def _output(
    reader: Reader, name: str, found: Found, node: yaml.Node, path: Path, kind: OutputKind
) -> model.Siren | None:
    idle: str | None = "energised" if kind is OutputKind.FAULT else "released"
    if "idle" in found:
        idle = reader.choice(found["idle"], (*path, "idle"), ("energised", "released"))
    read_back: int | None = READ_BACK_NS_DEFAULT
    if "read_back" in found:
        read_back = reader.duration(
            found["read_back"], (*path, "read_back"), READ_BACK_NS_MIN, READ_BACK_NS_MAX
        )
    place = _place(reader, found, node, path)
    if idle is None or read_back is None or place is None:
        return None
    if kind is OutputKind.FAULT and idle != "energised":
        reader.problem("fault.idle", found["idle"], (*path, "idle"), "fault.idle")
        return None
    return model.Siren.model_validate(
        {"name": name, "kind": kind, "idle_energised": idle == "energised",
         "read_back_ns": read_back, "section": str(path[0]), **place}
    )  # fmt: skip


def _place(reader: Reader, found: Found, node: yaml.Node, path: Path) -> dict[str, object] | None:
    """A coil, or a line of a chip."""
    if "gpio" in found or "line" in found:
        for key in ("device", "coil"):
            if key in found:
                reader.problem("output.place", found[key], (*path, key), "output.place")
                return None
        line = _gpio(reader, found, node, path)
        active, drive = _level(reader, found, path), "push-pull"
        if "drive" in found:
            drive = reader.choice(found["drive"], (*path, "drive"), _DRIVES) or ""
        if line is None or active is None or not drive:
            return None
        return {"chip": line[0], "coil": line[1], "active_low": active == "low", "drive": drive}
    for key in ("active", "drive"):
        if key in found:
            reader.problem("gpio.only", found[key], (*path, key), "gpio.only", key=key)
            return None
    if not reader.require(found, ("device", "coil"), node, path):
        return None
    device = reader.text(found["device"], (*path, "device"), "a device")
    coil = reader.integer(found["coil"], (*path, "coil"), 0, 65_535)
    return None if device is None or coil is None else {"device": device, "coil": coil}


def _level(reader: Reader, found: Found, path: Path) -> str | None:
    if "active" not in found:
        return "high"
    return reader.choice(found["active"], (*path, "active"), ("high", "low"))


def _gpio(reader: Reader, found: Found, node: yaml.Node, path: Path) -> tuple[str, int] | None:
    """(path of the chip, offset of the line)."""
    if not reader.require(found, ("gpio", "line"), node, path):
        return None
    text = reader.text(found["gpio"], (*path, "gpio"), "a GPIO chip")
    line = reader.integer(found["line"], (*path, "line"), 0, GPIO_LINE_MAX)
    if text is None or line is None:
        return None
    match = _CHIP.fullmatch(text)
    if match is None:
        reader.problem("gpio.chip", found["gpio"], (*path, "gpio"), "gpio.chip", value=text)
        return None
    return f"/dev/{match[1]}", line


# --- inputs -----------------------------------------------------------------------------------


def read_input(
    reader: Reader, name: str, key: yaml.Node, node: yaml.Node, path: Path
) -> model.Input | None:
    """One entry of `inputs`: a button, or a supervision contact."""
    found = reader.fields(node, path, _INPUT, key)
    if found is None:
        return None
    role = reader.choice(found["role"], (*path, "role"), tuple(r.value for r in InputRole))
    if role is None:
        return None
    active: str | None = "closed"
    if "active" in found:
        active = reader.choice(found["active"], (*path, "active"), ("closed", "open"))
    elif role in SUPERVISION:  # a contact has no polarity that could be taken for granted
        reader.problem("key.missing", node, path, "need.trouble", key="active")
        active = None
    debounce: int | None = DEBOUNCE_NS_DEFAULT
    if "debounce" in found:
        debounce = reader.duration(found["debounce"], (*path, "debounce"), MS, DEBOUNCE_NS_MAX)
    place = _input_place(reader, found, node, path)
    if active is None or debounce is None or place is None:
        return None
    return model.Input.model_validate(
        {"name": name, "role": InputRole(role), "closed": active == "closed",
         "debounce_ns": debounce, **place}
    )  # fmt: skip


def _input_place(
    reader: Reader, found: Found, node: yaml.Node, path: Path
) -> dict[str, object] | None:
    if ("point" in found) == ("gpio" in found or "line" in found):
        reader.problem("input.place", node, path, "input.place")
        return None
    if "point" in found:
        if "bias" in found:
            reader.problem("gpio.only", found["bias"], (*path, "bias"), "gpio.only", key="bias")
            return None
        point = reader.text(found["point"], (*path, "point"), "a point", 160)
        return None if point is None else {"point": point}
    line = _gpio(reader, found, node, path)
    bias: str | None = "pull-up"  # a contact to ground needs no other part
    if "bias" in found:
        known = ("pull-up", "pull-down", "none-low", "none-high")
        bias = reader.choice(found["bias"], (*path, "bias"), known)
    return None if line is None or bias is None else {"chip": line[0], "line": line[1],
                                                      "bias": bias}  # fmt: skip


# --- self-test --------------------------------------------------------------------------------


def read_self_test(reader: Reader, node: yaml.Node) -> model.SelfTest | None:
    """`self_test: {silent: 24h, audible: {day: monday, at: "10:00", utc_offset: "+08:00"}}`."""
    path: Path = ("self_test",)
    found = reader.fields(node, path, _SELF_TEST)
    if found is None:
        return None
    silent: int | None = 0
    if "silent" in found:
        silent = reader.duration(
            found["silent"], (*path, "silent"), SELF_TEST_NS_MIN, SELF_TEST_NS_MAX
        )
    audible: dict[str, int] | None = {}
    if "audible" in found:
        audible = _audible(reader, found["audible"], (*path, "audible"))
    if silent is None or audible is None:
        return None
    return model.SelfTest.model_validate({"silent_ns": silent, **audible})


def _audible(reader: Reader, node: yaml.Node, path: Path) -> dict[str, int] | None:
    found = reader.fields(node, path, _AUDIBLE)
    if found is None:
        return None
    day = reader.choice(found["day"], (*path, "day"), _DAYS)
    at = _matched(reader, found, "at", _CLOCK, path)
    offset = _matched(reader, found, "utc_offset", _OFFSET, path)
    duration: int | None = TEST_NS_DEFAULT
    if "for" in found:
        duration = reader.duration(found["for"], (*path, "for"), S, TEST_NS_MAX)
    minute = 0 if at is None else int(at[1]) * 60 + int(at[2])
    if at is not None and not DAY_BEGINS_MIN <= minute < DAY_ENDS_MIN:
        reader.problem("self_test.night", found["at"], (*path, "at"), "", value=at[0])
        return None
    if day is None or at is None or offset is None or duration is None:
        return None
    seconds = int(offset[2]) * 3600 + int(offset[3]) * 60
    return {"weekday": _DAYS.index(day), "minute": minute, "duration_ns": duration,
            "offset_s": -seconds if offset[1] == "-" else seconds}  # fmt: skip


def _matched(
    reader: Reader, found: Found, key: str, pattern: re.Pattern[str], path: Path
) -> re.Match[str] | None:
    text = reader.text(found[key], (*path, key))
    match = pattern.fullmatch(text) if text is not None else None
    if text is not None and match is None:
        hint = "self_test.at" if key == "at" else "offset.form"
        reader.problem("self_test.form", found[key], (*path, key), hint, value=text)
    return match
