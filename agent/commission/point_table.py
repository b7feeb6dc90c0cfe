"""Point tables: rows of number, name, zone, address, kind to a part of site.yaml, and back.

Further columns are keys of the site file (type, scale, unit, class, active, ...). An address is a
register, or what the device's profile calls the point; `1-23` is detector 23 of loop 1.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, field

import yaml

from agent.commission.lines import ToolError
from agent.commission.tables import Rows
from config.desk_limits import TABLE_PROBLEMS_MAX
from config.kinds import KINDS
from config.limits import NAME_CHARS_MAX, POINTS_MAX
from config.loader import Document, load
from config.model import Point, Site
from config.point_reader import POINT_KEYS
from config.problems import Problems
from config.profiles import Profile
from config.registers import parse_register, short_form

COLUMNS = ("number", "name", "zone", "address", "kind")
_HEADERS = {
    "number": ("number", "no", "no.", "序号", "编号"),
    "name": ("name", "名称", "点位名称", "位置", "安装位置"),
    "zone": ("zone", "分区", "防火分区", "区域"),
    "address": ("address", "地址", "编码", "二次码", "地址码"),
    "kind": ("kind", "类型", "种类", "设备类型"),
    "device": ("device", "设备", "控制器"),
}
_KIND_WORDS = (
    ("温感", "heat"), ("感温", "heat"), ("烟感", "smoke"), ("感烟", "smoke"), ("手报", "manual"),
    ("手动", "manual"), ("可燃", "gas"), ("燃气", "gas"), ("一氧化碳", "co"),
    ("水压", "water_pressure"), ("液位", "level"), ("剩余电流", "residual_current"),
    ("测温", "cable_temperature"), ("流量", "flow"), ("温度", "temperature"),
    ("输入模块", "contact"), ("触点", "contact"),
)  # fmt: skip
_LOOP_ADDRESS = re.compile(r"l?0*(\d{1,3})[-/. ]?([dm])?[-/. ]?0*(\d{1,4})")
_KEYS = tuple(k for k in POINT_KEYS.all if k not in ("register", "kind"))


@dataclass(frozen=True, slots=True)
class Target:
    """The device that the table describes."""

    device: str
    link: str
    unit: int
    poll: str
    profile: Profile | None = None


@dataclass(slots=True)
class _Made:
    points: dict[str, str] = field(default_factory=dict)  # name: flow map
    zones: dict[str, list[str]] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)  # in English and Chinese


def fragment(rows: Rows, target: Target) -> str:
    """`devices` and `zones` of site.yaml. Raises ToolError with every row that cannot be read."""
    if not rows:
        raise ToolError("the table is empty", "表格为空")
    columns = _columns(rows[0])
    made = _Made()
    for number, row in enumerate(rows[1:], 2):
        cells = {name: row[k] for name, k in columns.items() if k < len(row) and row[k]}
        if cells and cells.get("device", target.device) == target.device:
            _row(number, cells, target, made)
    if not made.points and not made.problems:
        made.problems.append(
            (
                f"the table has no row for device '{target.device}'",
                f"表格中没有设备“{target.device}”的行",
            )
        )
    if len(made.points) > POINTS_MAX:
        count = len(made.points)
        made.problems.append(
            (f"{count} points are more than {POINTS_MAX}", f"{count} 个点位超过上限 {POINTS_MAX}")
        )
    if made.problems:
        left = len(made.problems) - TABLE_PROBLEMS_MAX
        shown = made.problems[:TABLE_PROBLEMS_MAX]
        if left > 0:
            shown.append((f"... and {left} more problems", f"……另有 {left} 个问题"))
        raise ToolError("\n".join(en for en, _ in shown), "\n".join(zh for _, zh in shown))
    return _text(target, made)


def _columns(header: Sequence[str]) -> dict[str, int]:
    out: dict[str, int] = {}
    for k, text in enumerate(header):
        word = unicodedata.normalize("NFKC", text).strip().casefold()
        name = next((n for n, words in _HEADERS.items() if word in words), word)
        if not word:
            continue
        if name not in _HEADERS and name not in _KEYS:
            raise ToolError(
                f"row 1: the column '{text[:40]}' is neither one of {', '.join(_HEADERS)} nor a "
                "key of a point in the site file",
                f"第 1 行：列“{text[:40]}”既不是 {'、'.join(_HEADERS)} 之一，"
                "也不是站点文件中点位的键",
            )
        if name in out:
            raise ToolError(f"row 1: two columns mean '{name}'", f"第 1 行：有两列都表示“{name}”")
        out[name] = k
    missing = [n for n in ("name", "address") if n not in out]
    if missing:
        raise ToolError(
            f"row 1: expected the columns {', '.join(COLUMNS)}; missing: {', '.join(missing)}",
            f"第 1 行：应有列 {'、'.join(COLUMNS)}；缺少：{'、'.join(missing)}",
        )
    return out


def _row(number: int, cells: dict[str, str], target: Target, made: _Made) -> None:
    def problem(text: str, zh: str) -> None:
        made.problems.append((f"row {number}: {text}", f"第 {number} 行：{zh}"))

    place = _place(cells.get("address", ""), target.profile)
    if place is None:
        address = cells.get("address", "")[:40]
        problem(
            f"the address '{address}' is neither a register nor a point of the profile",
            f"地址“{address}”既不是寄存器，也不是设备模板中的点位",
        )
        return
    keys = {key: cells[key] for key in _KEYS if key in cells}
    if place[0] == "register":
        kind = _kind(cells.get("kind", ""))
        if kind is None:
            found = cells.get("kind", "")[:40]
            problem(
                f"the kind '{found}' is not known; write one of: {', '.join(KINDS)}",
                f"类型“{found}”未知；可选：{'、'.join(KINDS)}",
            )
            return
        keys["kind"] = kind
    entries = [f"{place[0]}: {_quoted(place[1])}"]
    for key, text in keys.items():
        value = _value(text)
        if value is None:
            problem(
                f"'{text[:40]}' cannot be the value of '{key}'",
                f"“{text[:40]}”不能作为“{key}”的值",
            )
            return
        entries.append(f"{key}: {value}")
    name = _free_name(cells.get("name", ""), cells.get("number", str(number - 1)), made.points)
    made.points[name] = "{" + ", ".join(entries) + "}"
    if "zone" in cells:
        zone = _name(cells["zone"]) or "zone"
        made.zones.setdefault(zone, []).append(f"{target.device}.{name}")


def _place(text: str, profile: Profile | None) -> tuple[str, str] | None:
    """("from", point of the profile) or ("register", text)."""
    word = unicodedata.normalize("NFKC", text).strip().casefold()
    if profile is not None:
        names = [word]
        if match := _LOOP_ADDRESS.fullmatch(word):
            names.append(f"l{match[1]}{match[2] or 'd'}{match[3]}")
        for name in names:
            if profile.fields(name) is not None:
                return "from", name
    return ("register", word) if parse_register(word) is not None else None


def _kind(text: str) -> str | None:
    if text in KINDS:
        return text
    return next((kind for word, kind in _KIND_WORDS if word in text), None)


def _name(text: str) -> str:
    """The text as a name of the site file: letters, digits, _ and -."""
    clean = re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", text))
    clean = re.sub(r"-*_[-_]*|-{2,}", lambda m: "_" if "_" in m[0] else "-", clean)
    return clean.strip("_-")[:NAME_CHARS_MAX].strip("_-")


def _free_name(text: str, number: str, taken: dict[str, str]) -> str:
    name = _name(text) or f"point_{_name(number)}"
    if name not in taken:
        return name
    stem = name[: NAME_CHARS_MAX - 12]
    candidates = (f"{stem}_{k}" for k in range(2, POINTS_MAX + 3))
    return next(c for c in candidates if c not in taken)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _value(text: str) -> str | None:
    """A cell as YAML: a list or map when it is one, else a quoted text."""
    if not text.startswith(("[", "{")):
        return _quoted(text)
    problems = Problems()
    document = load(text.encode(), "cell", problems)
    if document is None or document.root is None or len(problems):
        return None
    return flow(document.root)


def flow(node: yaml.Node) -> str:
    """A node in one line, every text in quotes."""
    if isinstance(node, yaml.SequenceNode):
        return "[" + ", ".join(flow(n) for n in node.value) + "]"
    if isinstance(node, yaml.MappingNode):
        return "{" + ", ".join(f"{k.value}: {flow(v)}" for k, v in node.value) + "}"
    return _quoted(str(node.value))


def _text(target: Target, made: _Made) -> str:
    out = ["devices:", f"  {_quoted(target.device)}:", f"    link: {_quoted(target.link)}",
           f"    unit: {target.unit}", f"    poll: {_quoted(target.poll)}"]  # fmt: skip
    if target.profile is not None:
        out += [f"    profile: {_quoted(target.profile.name)}", "    use: []"]
    out.append("    points:")
    out += [f"      {_quoted(name)}: {keys}" for name, keys in made.points.items()]
    if made.zones:
        out.append("zones:")
        for zone, members in made.zones.items():
            listed = ", ".join(_quoted(m) for m in members)
            out.append(f"  {_quoted(zone)}: {{points: [{listed}], alarm: any}}")
    return "\n".join(out) + "\n"


# --- and back -----------------------------------------------------------------------------


def table(site: Site, document: Document, profiles: dict[str, Profile]) -> Rows:
    """The points of a site as rows, with a header. Keys that a point has become columns."""
    zones: dict[str, str] = {}
    for zone in site.zones:
        for member in zone.members:
            zones.setdefault(member, zone.name)
    listed: list[tuple[dict[str, str], dict[str, str]]] = []
    for device in site.devices:
        places = _profile_places(profiles.get(device.profile))
        for point in device.points:
            full = f"{device.name}.{point.name}"
            own = _own_keys(document, point)
            name = places.get((point.function, point.address))
            if "from" in own:
                name = own.pop("from")
            elif own.pop("register", None) is not None:
                name = None
            base = {
                "name": point.name, "zone": zones.get(full, zones.get(f"{device.name}.*", "")),
                "address": name or short_form(point.function, point.address),
                "kind": own.pop("kind", point.kind), "device": device.name,
            }  # fmt: skip
            listed.append((base, own))
    extra = list(dict.fromkeys(key for _, own in listed for key in own))
    rows: Rows = [[*COLUMNS, "device", *extra]]
    for number, (base, own) in enumerate(listed, 1):
        row = [str(number), *(base[c] for c in COLUMNS[1:]), base["device"]]
        rows.append([*row, *(own.get(key, "") for key in extra)])
    return rows


def _own_keys(document: Document, point: Point) -> dict[str, str]:
    """What the site file says about a point itself."""
    node = document.find(point.where)
    if not isinstance(node, yaml.MappingNode) or point.where[-1] != point.name:
        return {}
    return {
        k.value: str(v.value) if isinstance(v, yaml.ScalarNode) else flow(v) for k, v in node.value
    }


def _profile_places(profile: Profile | None) -> dict[tuple[int, int], str]:
    """(function, address) of every point of a profile, to its name. Bounded by POINTS_MAX."""
    out: dict[tuple[int, int], str] = {}
    if profile is None:
        return out
    for family in profile.families:
        for name in family.members():
            place = family.place(name)
            if place is not None and len(out) < POINTS_MAX:
                out.setdefault(place, name)
    for name, fields in profile.points.items():
        place = parse_register(str(fields["register"].value)) if "register" in fields else None
        if place is not None:
            out.setdefault(place, name)
    return out
