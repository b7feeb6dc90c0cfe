"""What the gateway itself says in English, for those who read Chinese.

The core and the processes speak one language, that of the record. A text that is not in here, a
name or a reason that somebody typed stays as it is. The tables are told_site (core, field,
drivers), told_ways (record, couriers, the system), told_panel (states of panels) and told_verify;
tests/house/test_told_texts.py reads the sources and fails when one of their texts is in none.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from agent.cli import told_site, told_verify, told_ways
from agent.cli.told_panel import of_panel
from config.desk_limits import TOLD_CHARS_MAX, TOLD_DEPTH_MAX, TOLD_KEPT_MAX
from config.messages import Pair

_INNER = "why"  # so begin placeholders whose value is a text of the gateway, too
_PLACE = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True, slots=True)
class Template:
    """`literals` stand around the values of `names`: always one more of them."""

    literals: tuple[str, ...]
    names: tuple[str, ...]
    chinese: tuple[str, ...]  # literal, name, literal, name ... literal

    @property
    def has_words(self) -> bool:
        """Whether more than where and how is in it."""
        return any(character.isalpha() for part in self.literals for character in part)

    def match(self, text: str) -> dict[str, str] | None:
        """What stands for each name, None when this is another text. Linear in the text: every
        literal is looked for once, from where the one before ended."""
        first, *middle, last = self.literals
        if not text.startswith(first):
            return None
        at, found = len(first), {}
        for name, literal in zip(self.names[:-1], middle, strict=True):
            end = text.find(literal, at + 1)
            if end < 0:
                return None
            found[name], at = text[at:end], end + len(literal)
        end = len(text) - len(last)
        if end <= at or not text.endswith(last):
            return None
        found[self.names[-1]] = text[at:end]
        return found


def _tables(pairs: Iterable[Pair]) -> tuple[Mapping[str, str], tuple[Template, ...]]:
    exact, templates = {}, []
    for english, chinese in pairs:
        parts = _PLACE.split(english)
        if len(parts) == 1:
            exact[english] = chinese
        else:
            made = Template(tuple(parts[::2]), tuple(parts[1::2]), tuple(_PLACE.split(chinese)))
            templates.append(made)
    # What begins as a text does first, then the one that says most.
    templates.sort(key=lambda made: (not made.literals[0], -sum(map(len, made.literals))))
    return exact, tuple(templates)


PAIRS: tuple[Pair, ...] = (*told_site.TEXTS, *told_ways.TEXTS, *told_verify.TEXTS)
_EXACT, _TEMPLATES = _tables(PAIRS)

_REFUSED: Mapping[str, str] = {
    "forbidden": "权限不足",
    "wrong_pin": "姓名或 PIN 不正确",
    "locked": "PIN 错误次数过多，暂时锁定",
    "busy": "请求过多，请稍后再试",
    "no_people": "站点文件中没有设置 PIN 的人员",
    "no_target": "缺少对象",
    "unknown_target": "没有该名称的对象",
    "unknown_person": "没有该名称的人员",
    "malformed": "命令有误",
}


def refusal(code: str, text: str, language: str) -> str:
    """Why the gateway refused: in Chinese what it means, with the gateway's own words."""
    meaning = _REFUSED.get(code) if language == "zh" else None
    return f"{meaning}（{told(text, language)}）" if meaning else told(text, language)


_PLACES: Mapping[str, str] = {
    "line": "线路", "device": "设备", "output": "输出", "input": "输入", "zone": "分区",
    "panel": "控制器", "courier": "传输", "gpio": "引脚", "duty": "查岗", "effect": "联动",
    "alarm": "报警", "point": "点位", "text": "文本", "group": "测试组",
}  # fmt: skip
_WHOLE: Mapping[str, str] = {
    "field.kernel": "探测算法", "field.people": "人员 PIN", "field.safe_mode": "安全模式",
    "field.control": "控制接口", "field.latch": "锁存文件", "record.link": "记录进程",
    "record.disk": "记录磁盘", "record.events": "事件记录", "record.telemetry": "遥测记录",
    "record.malformed": "记录内容", "record.alarm_state": "报警状态", "record.recall": "报警状态",
    "recall": "重启前的报警", "system/recall": "重启前的报警", "system/start": "网关",
    "record/clock": "记录时钟", "record/store": "记录存储", "record/commands": "平台命令",
    "operator": "操作", "delay": "延时确认", "test": "步行测试", "manual": "手动报警",
}  # fmt: skip
_NAMED: Mapping[str, str] = {"manual alarm": "手动报警", "general alarm": "总警报"}
_PROCESSES: Mapping[str, str] = {
    "embergate.field": "现场进程", "embergate.record": "记录进程", "embergate.courier": "传输进程",
}  # fmt: skip


def place(source: str, language: str) -> str:
    """Where something comes from: what it is in Chinese, its name as it is."""
    if language == "en":
        return source
    kind, _, name = source.partition("." if source.startswith(("courier.", "gpio.")) else "/")
    if source in _WHOLE or kind not in _PLACES or not name:
        return _WHOLE.get(source, source)
    for end in ("/fault", "/lost", "/stuck", "/jam"):
        name = name.removesuffix(end)
    return f"{_PLACES[kind]} {name}"


def named(name: str, language: str) -> str:
    """What an alarm is called: a name of the site file as it is, our own in Chinese."""
    return name if language == "en" else _NAMED.get(name, name)


def log_line(line: str, language: str) -> str:
    """What a process of the gateway writes to its standard error."""
    process, mark, text = line.partition(": ")
    if language == "en" or not mark or process not in _PROCESSES:
        return line
    source, mark, rest = text.partition(": ")
    if mark and place(source, language) != source:
        text = f"{place(source, language)}：{told(rest, language)}"
    else:
        text = told(text, language)
    return f"{_PROCESSES[process]}：{text}"


def who(name: str, language: str) -> str:
    """Who did it: a person's name as it is, the gateway's own keys in Chinese."""
    return told(name, language) if name.startswith("input ") else name


def told(text: str, language: str) -> str:
    """A text of the gateway in a language."""
    return text if language == "en" or len(text) > TOLD_CHARS_MAX else _chinese(text)


@lru_cache(TOLD_KEPT_MAX)
def _chinese(text: str, depth: int = 0) -> str:
    known = _EXACT.get(text) or of_panel(text)
    if known is not None or depth == TOLD_DEPTH_MAX:
        return known or text
    for template in _TEMPLATES:
        values = template.match(text)
        if values is None:
            continue
        inner = {k: _chinese(v, depth + 1) for k, v in values.items() if k.startswith(_INNER)}
        if not template.has_words and not any(inner[k] != values[k] for k in inner):
            return text  # a panel's own words may have colons, too
        values |= inner
        return "".join(values[part] if i % 2 else part for i, part in enumerate(template.chinese))
    return text
