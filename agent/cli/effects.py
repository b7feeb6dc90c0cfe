"""`embergate effects`: the cause-and-effect matrix, to read and for the acceptance file."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from agent.cli.check import JsonOption, SiteArgument
from agent.cli.language import BY_LOCALE, STATES, LangOption, tongue
from agent.compile import check_file
from config.members import inputs_of
from config.messages import Pair
from config.model import Effect, Leaf, Several, Site
from config.problems import EXIT_CONFIG, LANGUAGES, as_json, render
from config.quantity import time_text
from config.words import FLAG_WORDS, Flag

_WORDS: dict[str, Pair] = {
    "evacuate": ("evacuate", "疏散"),
    "alert": ("alert", "警告"),
    "pulse": ("pulse", "短鸣"),
    "on": ("on", "接通"),
    "cause": ("cause", "随触发源"),
    "silence": ("silence", "消音"),
    "reset": ("reset", "复位"),
    "nothing": ("nothing", "无"),
    "waits": ("waits", "等待"),
    "acts": ("acts", "立即动作"),
    "zone": ("zone", "分区"),
    "device": ("device", "设备"),
    "point": ("point", "点位"),
    "kind": ("kind", "种类"),
    "address": ("address", "地址"),
    "input": ("input", "输入"),
    "any": ("any of", "任一"),
    "all": ("all of", "全部"),
    **STATES,
    "at once": ("at once", "立即"),
    "as written": ("as written", "按行执行"),
    "two devices": ("two devices", "双信号确认"),
    "until silence": ("until silence", "保持至消音"),
    "until reset": ("until reset", "保持至复位"),
    "until silence or reset": ("until silence or reset", "保持至消音或复位"),
    "no": ("no", "不保持"),
}
_HEADS: dict[str, Pair] = {
    "row": ("row", "行"),
    "cause": ("cause", "触发源"),
    "after": ("after", "延时"),
    "latches": ("latches", "保持"),
    "off_by": ("off by", "关闭方式"),
    "in_test": ("in test", "测试时"),
    "investigation": ("investigated", "确认延时期间"),
    "rule": ("rule", "规则"),
    "message": ("message", "消息"),
}
_TEXTS: dict[str, Pair] = {
    "title": ("Cause and effect of {name} ({id}), region {region}, plan {digest}",
              "{name}（{id}）联动逻辑表，地区 {region}，计划 {digest}"),
    "two devices": (
        "two devices: one detector sounds the marked sirens as 'alert'; two independent devices, "
        "a manual call point or the guard sound all sirens together as 'evacuate'",
        "双信号确认：一只探测器报警时，标出的警报器以“警告”方式鸣响；两只独立的触发装置、"
        "手动报警按钮或值班人员确认后，所有警报器同时以“疏散”方式鸣响",
    ),
    "confirmed": (
        "general alarm: two independent devices, a manual call point, a zone that counts itself, "
        "or an investigation whose time is over",
        "总警报：两只独立的触发装置、手动报警按钮、自行计数确认的分区，或确认延时已到",
    ),
    "guard": (
        "general alarm: the guard orders it, or makes the gateway's manual alarm",
        "总警报：值班人员下达，或启动网关手动报警",
    ),
}  # fmt: skip


def register(app: typer.Typer) -> None:
    """Add the command `effects`."""
    app.command("effects")(effects)


def effects(
    site: SiteArgument,
    *,
    as_csv: Annotated[bool, typer.Option("--csv", help="for the acceptance file")] = False,
    as_json_: JsonOption = False,
    lang: LangOption = BY_LOCALE,
) -> None:
    """Print the cause-and-effect matrix: causes as rows, outputs as columns."""
    lang = tongue(lang)
    checked = check_file(site)
    if checked.site is None or checked.plan is None:
        if as_json_:
            body = {"problems": [as_json(p) for p in checked.problems]}
            print(json.dumps(body, ensure_ascii=False, indent=1))
        else:
            typer.echo(render(checked.problems, lang, checked.left_off), err=True, nl=False)
        raise typer.Exit(EXIT_CONFIG)
    digest = checked.plan.digest.hex()[:16]
    if as_json_:
        print(json.dumps(_json(checked.site, digest), ensure_ascii=False, indent=1))
    elif as_csv:
        print(csv_text(checked.site, digest, lang), end="")
    else:
        print_table(checked.site, digest, lang)


def _say(pair: Pair, lang: str) -> str:
    return pair[LANGUAGES.index(lang)]


def _word(word: str, lang: str) -> str:
    return _say(_WORDS[word], lang)


def outputs_of(site: Site) -> list[str]:
    """The columns: outputs in their order in the file."""
    return [s.name for s in site.outputs if not s.means]


def matrix(site: Site, lang: str) -> tuple[list[str], list[list[str]]]:
    """(heads, rows): what is printed and what goes into the CSV file."""
    columns = outputs_of(site)
    first = ("row", "cause")
    last = ("after", "latches", "off_by", "in_test", "investigation", "rule", "message")
    heads = [_say(_HEADS[h], lang) for h in first] + columns + [_say(_HEADS[h], lang) for h in last]
    rows = [_row(i, effect, columns, lang) for i, effect in enumerate(site.effects)]
    rows += [_general(key, site, columns, lang) for key in _general_causes(site)]
    return heads, rows


def _general_causes(site: Site) -> list[str]:
    """What sounds all sirens together, beyond the rows of the file."""
    if not any(effect.sound and _of_fire(effect) for effect in site.effects):
        return []
    return ["confirmed"] * any(e.region == "cn" for e in site.effects) + ["guard"]


def _of_fire(effect: Effect) -> bool:
    return any(leaf.state & Flag.FIRE for leaf in inputs_of(effect.when))


def _general(key: str, site: Site, columns: Sequence[str], lang: str) -> list[str]:
    sounded = {name for effect in site.effects if _of_fire(effect) for name in effect.sound}
    marks = [_word("evacuate", lang) if name in sounded else "" for name in columns]
    ends = f"{_word('silence', lang)}, {_word('reset', lang)}"
    head = ["", _say(_TEXTS[key], lang), *marks, _word("at once", lang)]
    return [*head, _word("until reset", lang), ends, "", "", "", ""]


def _row(i: int, effect: Effect, columns: Sequence[str], lang: str) -> list[str]:
    pattern = "alert" if effect.region == "cn" else effect.pattern
    cells = []
    for name in columns:
        marks = [_word(pattern, lang)] * (name in effect.sound)
        marks += [_word("on", lang)] * (name in effect.switch)
        cells.append(", ".join(marks))
    return [
        str(i + 1),
        cause_words(effect.when, lang),
        *cells,
        time_text(effect.after_ns) if effect.after_ns else _word("at once", lang),
        _word(_latches(effect), lang),
        ", ".join(_word(word, lang) for word in effect.off_by),
        _word(effect.in_test, lang),
        _word(effect.investigation if effect.region != "cn" else "acts", lang),
        _word("two devices" if effect.region == "cn" else "as written", lang),
        effect.message,
    ]


def _latches(effect: Effect) -> str:
    if "cause" in effect.off_by:
        return "no"
    return "until " + " or ".join(word for word in ("silence", "reset") if word in effect.off_by)


def cause_words(when: Leaf | Several, lang: str) -> str:
    """A cause in the reader's language."""
    if isinstance(when, Several):
        inner = "; ".join(cause_words(one, lang) for one in when.of)
        if when.word != "at_least":
            return f"{_word(when.word, lang)} ({inner})"
        head = f"at least {when.needed} of" if lang == "en" else f"至少 {when.needed} 个"
        return f"{head} ({inner})"
    state = next(word for word, flag in FLAG_WORDS.items() if flag is when.state)
    cause = "device" if when.cause == "address" else when.cause
    text = f"{_word(cause, lang)} {when.ref}"
    if when.cause == "address":
        text += f" {_word('address', lang)} {when.within}"
    elif when.within:
        text += f", {_word('zone', lang)} {when.within}"
    return f"{text}: {_word(state, lang)}"


def _title(site: Site, digest: str, lang: str) -> str:
    text = _say(_TEXTS["title"], lang)
    return text.format(name=site.name, id=site.id, region=site.region, digest=digest)


def csv_text(site: Site, digest: str, lang: str) -> str:
    """The matrix as CSV with its title; what a spreadsheet would take for a formula is quoted."""
    heads, rows = matrix(site, lang)
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_title(site, digest, lang)])
    for row in (heads, *rows):
        writer.writerow([f"'{c}" if c.startswith(("=", "+", "-", "@")) else c for c in row])
    return out.getvalue()


def print_table(site: Site, digest: str, lang: str) -> None:
    """The matrix for people."""
    heads, rows = matrix(site, lang)
    table = Table(box=box.SIMPLE_HEAD, title=_title(site, digest, lang), title_justify="left")
    for i, head in enumerate(heads):
        table.add_column(head, justify="right" if i == 0 else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    width = None if sys.stdout.isatty() else 200
    console = Console(width=width, markup=False, highlight=False, emoji=False)
    console.print(table)
    if any(effect.region == "cn" for effect in site.effects):
        console.print(_say(_TEXTS["two devices"], lang), soft_wrap=True)


def _json(site: Site, digest: str) -> dict[str, Any]:
    return {
        "problems": [],
        "site": site.id,
        "region": site.region,
        "digest": digest,
        "outputs": outputs_of(site),
        "rows": [
            {
                "row": i + 1,
                "cause": cause_words(e.when, "en"),
                "sound": list(e.sound),
                "pattern": e.pattern if e.sound else "",
                "switch": list(e.switch),
                "message": e.message,
                "after_s": e.after_ns / 1e9,
                "off_by": list(e.off_by),
                "latches": _latches(e),
                "in_test": e.in_test,
                "investigation": e.investigation,
                "two_devices": e.region == "cn",
            }
            for i, e in enumerate(site.effects)
        ],
    }
