"""A point of site.yaml, from its keys to a frozen model. Profiles use the same words."""

from __future__ import annotations

import math
from collections.abc import Mapping

import yaml

from config import quantity
from config.detector_reader import CHATTER_WHOLE, DETECTOR_KEYS, keys_of, read_detectors
from config.kinds import KINDS, LEVELS, Kind, Resolved, resolve
from config.limits import ALARM_POLL_NS_MAX, POLL_INTERVAL_NS_MAX, POLL_INTERVAL_NS_MIN
from config.model import Point, Rule
from config.plan import PARAMS
from config.problems import Path
from config.registers import parse_register
from config.rule_reader import RULE_KEYS, read_rule
from config.shape import Keys, Reader
from config.storage_reader import ORDERS, Storage, read_storage
from config.words import FLAG_WORDS, Flag, Mode

Fields = dict[str, yaml.Node]

_LEVEL_KEYS = tuple(k for level in LEVELS for k in (level, f"{level}_clear"))
_NUMBER_KEYS = ("scale", "offset", "span", "range", "sentinels", "resolution")
POINT_KEYS = Keys(
    ("register", "kind"),
    ("type", *ORDERS, "bit", "bits", "confirm", "unit", "class", "poll", "active", "state",
     *_NUMBER_KEYS,
     *_LEVEL_KEYS, *RULE_KEYS, *DETECTOR_KEYS, "leakage", "length", "encoding"),
)  # fmt: skip
_ALWAYS = frozenset({"register", "kind", "type", *ORDERS, "bit", "bits", "poll"})
_CURRENT_LOW_MA, _CURRENT_SPAN_MA = 4.0, 16.0
_BROKEN_LOW_MA, _BROKEN_HIGH_MA = 3.6, 21.0  # NAMUR NE 43: outside, the loop is broken


def read_point(
    reader: Reader, name: str, fields: Fields, at: yaml.Node, path: Path, poll_ns: int | None
) -> Point | None:
    """One point, or None and its problems. `at` is the node of its name."""
    if not reader.require(fields, POINT_KEYS.required, at, path):
        return None
    before = len(reader.problems) + reader.problems.left_off
    kind_word = reader.choice(fields["kind"], (*path, "kind"), tuple(KINDS), "a kind")
    place = _register(reader, fields["register"], (*path, "register"))
    if kind_word is None or place is None:
        return None
    kind = KINDS[kind_word]
    fields = {**reader.kind_fields.get(kind_word, {}), **fields}
    _only_its_keys(reader, kind, fields, path)
    stored = read_storage(reader, kind, fields, at, path, place)
    used = stored or Storage("int16")  # read on: all problems of a point at once
    confirm = _confirm(reader, kind, fields, path)
    poll = _poll(reader, kind, fields, at, path, poll_ns)
    if kind.mode is Mode.STATE:
        values = _state(reader, kind, fields, at, path, used)
    else:
        values = _number(reader, kind, fields, at, path, used.type)
    if values is None or poll is None or stored is None:
        return None
    if len(reader.problems) + reader.problems.left_off > before:
        return None
    return Point.model_validate(
        {"name": name, "where": path, "function": place[0], "address": place[1], "type": used.type,
         "bit": used.bit, "bits": used.bits, "confirm": confirm, "kind": kind_word,
         "poll_ns": poll, **values}
    )  # fmt: skip


def _register(reader: Reader, node: yaml.Node, path: Path) -> tuple[int, int] | None:
    text = reader.text(node, path, "a register")
    if text is None:
        return None
    place = parse_register(text)
    if place is None:
        bare = text.isascii() and text.isdigit() and len(text) < 5  # 5 digits name a table
        hint = "register.bare" if bare else "register.form"
        reader.problem("register.form", node, path, hint, value=text)
    return place


def _only_its_keys(reader: Reader, kind: Kind, fields: Fields, path: Path) -> None:
    allowed = set(_ALWAYS)
    allowed |= set() if kind.mode is Mode.TELEMETRY else {"confirm"}
    if kind.mode is Mode.STATE:
        allowed |= {"active", "state"} if kind.states else set()
        allowed |= {"active"} if kind.name == "manual" else set()
        allowed |= set(RULE_KEYS) if kind.name in ("panel_point", "state_word") else set()
    else:
        allowed |= {"unit", *_NUMBER_KEYS}
        allowed |= {k for level in kind.levels for k in (level, f"{level}_clear")}
        allowed |= {"class"} if kind.classes else set()
    allowed |= keys_of(kind) | ({"leakage"} if kind.name == "residual_current" else set())
    for key, node in fields.items():
        if key not in allowed:
            reader.problem("key.not_for_kind", node, (*path, key), "", key=key, kind=kind.name)


def _confirm(reader: Reader, kind: Kind, fields: Fields, path: Path) -> bool:
    """Whether a first alarm is read again at once. A manual call point never waits."""
    if "confirm" not in fields:
        return False
    node, where = fields["confirm"], (*path, "confirm")
    word = reader.choice(node, where, ("true", "false"))
    state = fields.get("state")
    pressed = state is not None and state.value == "manual"
    if word == "true" and (kind.name == "manual" or pressed):
        reader.problem("confirm.manual", node, where)
    return word == "true"


def _poll(
    reader: Reader, kind: Kind, fields: Fields, at: yaml.Node, path: Path, poll_ns: int | None
) -> int | None:
    most = POLL_INTERVAL_NS_MAX if kind.mode is Mode.TELEMETRY else ALARM_POLL_NS_MAX
    if "poll" in fields:
        return reader.duration(fields["poll"], (*path, "poll"), POLL_INTERVAL_NS_MIN, most)
    if poll_ns is None:
        reader.problem("key.missing", at, path, "need.poll", key="poll")
    elif poll_ns > most:
        reader.problem("poll.alarm", at, path, "poll.alarm", value=quantity.time_text(poll_ns),
                       most=quantity.time_text(most))  # fmt: skip
        return None
    return poll_ns


# --- states --------------------------------------------------------------------------------


def _state(
    reader: Reader, kind: Kind, fields: Fields, at: yaml.Node, path: Path, storage: Storage
) -> dict[str, object] | None:  # fmt: skip
    if kind.states or kind.name == "manual":
        rule = _contact(reader, kind, fields, at, path)
    elif "cases" not in fields:
        reader.problem("key.missing", at, path, "need.cases", key="cases")
        return None
    else:
        width = storage.word_bits
        memo = id(fields["cases"])
        if memo not in reader.rules:
            reader.rules[memo] = (fields["cases"], read_rule(reader, fields, path, width))
        rule = reader.rules[memo][1]
    if rule is None:
        return None
    return {
        "scale": 1.0, "bias": 0.0, "unit": "", "mode": Mode.STATE,
        "params": _state_params(reader, kind, fields, path), "rule": rule, "can": rule.can,
        "resolution": 1.0,
    }  # fmt: skip


def _state_params(
    reader: Reader, kind: Kind, fields: Fields, path: Path
) -> tuple[float, ...]:  # fmt: skip
    """Only chatter watches a state. A manual call point never waits, chattering or not."""
    given = read_detectors(reader, kind, fields, path, "")
    state = fields.get("state")
    if kind.name == "manual" or (state is not None and state.value == "manual"):
        if given.get("chatter_hold_s"):
            reader.problem("confirm.manual", fields["chatter"], (*path, "chatter"))
        given["chatter_hold_s"] = 0.0
    if (
        "chatter" in fields
        and not kind.defaults
        and not math.isnan(given.get("chatter_count", 0.0))
    ):
        given = {**CHATTER_WHOLE, **given}
    return resolve(kind.name, "", "", tuple(sorted(given.items()))).params


def _contact(reader: Reader, kind: Kind, fields: Fields, at: yaml.Node, path: Path) -> Rule | None:
    """Polarity has no default: open or closed in alarm is wired either way."""
    needed = ("active", "state") if kind.states else ("active",)
    if not reader.require(fields, needed, at, path):
        return None
    active = reader.integer(fields["active"], (*path, "active"), 0, 1)
    word: str | None = "manual"
    if kind.states:
        word = reader.choice(fields["state"], (*path, "state"), kind.states, "a state")
    if active is None or word is None:
        return None
    flags = FLAG_WORDS[word]
    if flags is Flag.MANUAL:
        flags |= Flag.FIRE  # somebody pressed it: nothing waits for a second detector
    return Rule(cases=((1, active, int(flags)),))


# --- numbers -------------------------------------------------------------------------------


def _number(
    reader: Reader, kind: Kind, fields: Fields, at: yaml.Node, path: Path, type_name: str
) -> dict[str, object] | None:
    unit = _unit(reader, kind, fields, at, path)
    if unit is None:
        return None
    scale, bias = 1.0, 0.0
    if "scale" in fields:
        scale = reader.number(fields["scale"], (*path, "scale")) or 0.0
        if scale == 0.0:
            if quantity.parse(str(fields["scale"].value)) is not None:
                reader.problem("scale.zero", fields["scale"], (*path, "scale"))
            return None
    if "offset" in fields:
        bias = reader.number(fields["offset"], (*path, "offset")) or 0.0
    given = _given(reader, kind, fields, path, unit)
    if "span" in fields:
        spanned = _span(reader, fields["span"], (*path, "span"), unit, scale, bias)
        if spanned is None:
            return None
        scale, bias, low, high = spanned
        given = {"range_min": low, "range_max": high, **given}
    given |= read_detectors(reader, kind, fields, path, unit)
    class_name = _class(reader, kind, fields, at, path)
    if class_name is None:
        return None
    resolved = resolve(kind.name, class_name, unit, tuple(sorted(given.items())))
    _judge(reader, kind, resolved, fields, at, path, unit)
    levels = dict(zip(PARAMS, resolved.params, strict=True))
    if "leakage" in fields:
        _leakage(reader, fields["leakage"], (*path, "leakage"), unit, levels["prealarm_level"])
    return {
        "scale": scale, "bias": bias, "unit": unit, "mode": kind.mode, "params": resolved.params,
        "rule": _sentinels(reader, fields, path, type_name), "can": _can(levels),
        "resolution": _resolution(reader, fields, path, unit, type_name, scale),
    }  # fmt: skip


def _leakage(reader: Reader, node: yaml.Node, path: Path, unit: str, level: float) -> None:
    """The alarm is at least twice what leaks naturally (GB 50116-2013, note to 9.2.3)."""
    value = reader.in_unit(node, path, unit)
    if value is not None and level < 2 * value:
        reader.problem("level.leakage", node, path, "", level=f"{level:g}{unit}",
                       least=f"{2 * value:g}{unit}")  # fmt: skip


def _can(levels: Mapping[str, float]) -> Flag:
    out = Flag.NONE
    for column, flag in (
        ("fire_level", Flag.FIRE),
        ("prealarm_level", Flag.PREALARM),
        ("trend_slope_per_s", Flag.PREALARM),
        ("low_level", Flag.SUPERVISORY),
        ("high_level", Flag.SUPERVISORY),
        ("low_low_level", Flag.SUPERVISORY),
        ("high_high_level", Flag.SUPERVISORY),
        ("offset_prealarm", Flag.PREALARM),
        ("fall_allow", Flag.SUPERVISORY),
    ):
        out |= Flag.NONE if math.isnan(levels[column]) else flag
    return out


def _unit(reader: Reader, kind: Kind, fields: Fields, at: yaml.Node, path: Path) -> str | None:
    if "unit" not in fields:
        if not kind.units:
            return ""
        reader.problem("key.missing", at, path, "need.units", key="unit",
                       known=", ".join(kind.units))  # fmt: skip
        return None
    node, where = fields["unit"], (*path, "unit")
    text = reader.text(node, where, "a unit", 16)
    if text is None:
        return None
    unit = quantity.normalise(text)
    if not kind.units or unit in kind.units:
        return unit
    reader.unknown("unit.of_kind", node, where, kind.units, value=unit, kind=kind.name)
    return None


def _class(reader: Reader, kind: Kind, fields: Fields, at: yaml.Node, path: Path) -> str | None:
    if not kind.classes:
        return ""
    if "class" not in fields:
        reader.problem("key.missing", at, path, "need.class", key="class")
        return None
    return reader.choice(fields["class"], (*path, "class"), tuple(kind.classes), "a class")


def _given(reader: Reader, kind: Kind, fields: Fields, path: Path, unit: str) -> dict[str, float]:
    out: dict[str, float] = {}
    for level in kind.levels:
        for key, column in ((level, f"{level}_level"), (f"{level}_clear", f"{level}_clear")):
            if key in fields:
                value = reader.in_unit(fields[key], (*path, key), unit)
                if value is not None:
                    out[column] = value
    if "range" in fields:
        pair = _pair(reader, fields["range"], (*path, "range"), unit)
        if pair is not None:
            out["range_min"], out["range_max"] = pair
    return out


def _pair(reader: Reader, node: yaml.Node, path: Path, unit: str) -> tuple[float, float] | None:
    """A list of two quantities, the lower first."""
    if not isinstance(node, yaml.SequenceNode) or len(node.value) != 2:
        reader.wrong_shape(node, path, "a pair", "pair")
        return None
    low = reader.in_unit(node.value[0], (*path, 0), unit)
    high = reader.in_unit(node.value[1], (*path, 1), unit)
    if low is None or high is None:
        return None
    if low < high:
        return low, high
    reader.problem("pair.order", node, path)
    return None


def _span(
    reader: Reader, node: yaml.Node, path: Path, unit: str, scale: float, bias: float
) -> tuple[float, float, float, float] | None:
    """(scale, bias, range_min, range_max) of a 4-20 mA loop; scale and bias so far give mA."""
    pair = _pair(reader, node, path, unit)
    if pair is None:
        return None
    per_ma = (pair[1] - pair[0]) / _CURRENT_SPAN_MA
    at_zero = pair[0] - _CURRENT_LOW_MA * per_ma
    low, high = (at_zero + per_ma * ma for ma in (_BROKEN_LOW_MA, _BROKEN_HIGH_MA))
    return _neat(scale * per_ma), _neat(bias * per_ma + at_zero), _neat(low), _neat(high)


def _neat(value: float) -> float:
    return float(f"{value:.12g}")


def _judge(
    reader: Reader, kind: Kind, resolved: Resolved, fields: Fields, at: yaml.Node, path: Path,
    unit: str,
) -> None:  # fmt: skip
    """Problems with the parameters as a whole."""
    if resolved.missing and not any(key in fields for key in resolved.missing):
        keys = " / ".join(resolved.missing)
        reader.problem("level.missing", at, path, "level.missing", key=keys, kind=kind.name,
                       unit=unit or "1", first=resolved.missing[0])  # fmt: skip
    values = dict(zip(PARAMS, resolved.params, strict=True))
    for low, high in resolved.disorder:
        key = high if high in fields else low if low in fields else kind.levels[0]
        node = fields.get(key, at)
        reader.problem("level.order", node, (*path, key), "", low=_said(low, values, unit),
                       high=_said(high, values, unit))  # fmt: skip
    for level, bound in resolved.beyond:
        reader.problem("level.bound", fields.get(level, at), (*path, level), "level.bound",
                       key=level, low=f"{bound.low:g}{bound.unit}",
                       high=f"{bound.high:g}{bound.unit}", source=bound.source)  # fmt: skip


def _said(key: str, values: Mapping[str, float], unit: str) -> str:
    value = values.get(key, values.get(f"{key}_level", math.nan))
    return key if math.isnan(value) else f"{key} ({value:g}{unit})"


def _sentinels(reader: Reader, fields: Fields, path: Path, type_name: str) -> Rule | None:
    if "sentinels" not in fields:
        return None
    node, where = fields["sentinels"], (*path, "sentinels")
    if type_name.startswith("float32"):
        reader.problem("sentinels.float", node, where)
        return None
    if type_name.startswith(("float", "bcd")) or "64" in type_name:
        reader.problem("sentinels.type", node, where, "sentinels.type", type=type_name)
        return None
    bits = 32 if "32" in type_name else 16
    mask = (1 << bits) - 1
    bad = []
    for item, here in reader.items(node, where) or ():
        value = reader.integer(item, here, -(1 << (bits - 1)), mask)
        if value is not None:
            bad.append((mask, value & mask))
    return Rule(bad=tuple(bad)) if bad else None


def _resolution(
    reader: Reader, fields: Fields, path: Path, unit: str, type_name: str, scale: float
) -> float:
    """Engineering units of one step on the wire; 0 sends the float itself."""
    if "resolution" in fields:
        value = reader.in_unit(fields["resolution"], (*path, "resolution"), unit)
        if value is not None and value <= 0:
            reader.problem("resolution.sign", fields["resolution"], (*path, "resolution"))
        return value or 0.0
    # Steps of 64 bits would not fit the scaled integers of the record: the float64 goes as it is.
    return 0.0 if type_name.startswith("float32") or "64" in type_name else abs(scale)
