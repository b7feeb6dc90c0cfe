"""Why a recording or a sweep cannot be used, in English and in Chinese: {id: (English, Chinese)}.

Placeholders are the same in both languages. Those in NOUNS are looked up there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from config.problems import LANGUAGES

Pair = tuple[str, str]
_TEXT_CHARS_MAX = 300

NOUNS: dict[str, Pair] = {
    "seconds": ("seconds", "秒数"),
    "epoch seconds": ("seconds since 1970", "1970 年起的秒数"),
    "epoch milliseconds": ("milliseconds since 1970", "1970 年起的毫秒数"),
    "plain dates": ("dates without a zone", "不带时区的日期"),
    "zoned dates": ("dates with a zone", "带时区的日期"),
    "a date": ("a time like 2026-01-31 08:00:00", "2026-01-31 08:00:00 形式的时间"),
    "nothing": ("nothing", "空值"),
}

TEXTS: dict[str, Pair] = {
    # a file
    "unreadable": ("cannot be read: {reason}", "无法读取：{reason}"),
    "archive": (
        "this archive is damaged or was cut off: {reason}; fetch the file again",
        "压缩文件损坏或不完整：{reason}；请重新取得该文件",
    ),
    "encoding": (
        "expected UTF-8 text, found other bytes; save it as UTF-8",
        "应为 UTF-8 文本，实为其他字节；请以 UTF-8 保存",
    ),
    "csv": ("this is not CSV: {reason}", "不是 CSV：{reason}"),
    "separator": (
        "expected commas between the cells, found {found}; export it with commas, and with points "
        "in the numbers",
        "单元格之间应为逗号，实为{found}；请以逗号分隔导出，数字使用小数点",
    ),
    "columns.many": ("{count} columns, at most {most}", "共 {count} 列，最多 {most} 列"),
    "rows.none": ("expected rows below the header, found none", "表头之下应有数据行，实际没有"),
    "rows.many": ("more than {most} rows", "超过 {most} 行"),
    "size": ("the file is longer than {most} characters", "文件超过 {most} 个字符"),
    "line.long": ("a line is longer than {most} characters", "一行超过 {most} 个字符"),
    "cells": ("expected {count} cells, found {found}", "应有 {count} 个单元格，实有 {found} 个"),
    "name.twice": ("this name is there twice", "列名重复"),
    # columns
    "time.missing": (
        "expected a column 't_s' or 'timestamp', found {found}",
        "应有“t_s”或“timestamp”列，实为 {found}",
    ),
    "time.both": (
        "mixed time bases: there is 't_s', too; keep one of them",
        "时间基准混用：同时还有“t_s”；请只保留一个",
    ),
    "column.missing": (
        "expected this column, found {found}",
        "应有此列，实有 {found}",
    ),
    "column.none": (
        "{site} maps none of its columns: {found}; name them under evaluate: points:",
        "{site} 没有对应其中任何一列：{found}；请在 evaluate: points: 下写明",
    ),
    # cells
    "number": ("expected a number, found '{found}'", "应为数字，实为“{found}”"),
    "number.comma": (
        "expected a number, found '{found}'; write a point, not a comma",
        "应为数字，实为“{found}”；请用小数点，不用逗号",
    ),
    "time": ("expected {noun}, found '{found}'", "应为{noun}，实为“{found}”"),
    "time.none": ("expected {noun}, found nothing", "应为{noun}，实为空"),
    "time.base": (
        "mixed time bases: expected {noun} as above, found '{found}'",
        "时间基准混用：应与上文一样为{noun}，实为“{found}”",
    ),
    "time.base_of": (
        "mixed time bases: expected {noun}, found '{found}'",
        "时间基准混用：应为{noun}，实为“{found}”",
    ),
    "time.jump": (
        "mixed time bases: a jump of {step} s from the row above; split the recording where its "
        "clock changed",
        "时间基准混用：与上一行相差 {step} 秒；请在时钟变化处拆分录制数据",
    ),
    # a folder and its index
    "folder": ("expected a folder of recordings, found none", "应为录制数据文件夹，实际没有"),
    "folder.empty": (
        "expected recordings ({wanted}), found none",
        "应有录制数据（{wanted}），实际没有",
    ),
    "folder.many": ("{count} recordings, at most {most}", "共 {count} 份录制数据，最多 {most} 份"),
    "index.stranger": (
        "'{file}' is listed, but it is not in the folder",
        "列出了“{file}”，但文件夹中没有",
    ),
    "index.size": ("larger than {most} bytes", "超过 {most} 字节"),
    "index.json": ("this is not JSON: {reason}", "不是 JSON：{reason}"),
    "index.list": (
        "expected a list of recordings, found another shape",
        "应为录制数据列表，实为其他结构",
    ),
    "index.twice": ("'{file}' is listed twice", "“{file}”重复列出"),
    "index.map": (
        "expected a map with file, kind and ignition_t_s",
        "应为含 file、kind、ignition_t_s 的映射",
    ),
    "index.text": (
        "expected '{key}': a text, found {found}",
        "“{key}”应为文字，实为 {found}",
    ),
    "index.ignition": (
        "expected 'ignition_t_s': seconds, or null for a recording without fire, found {found}",
        "“ignition_t_s”应为秒数，无火的录制数据为 null，实为 {found}",
    ),
    # a gateway's own record
    "record": ("expected a gateway's record: {reason}", "应为网关的记录：{reason}"),
    "record.batch": ("a batch cannot be decoded: {reason}", "有一批数据无法解码：{reason}"),
    "record.table": (
        "its point table {table} is not in the record",
        "其点位表 {table} 不在记录中",
    ),
    # sweeps
    "sweep.parameter": (
        "expected PARAMETER=VALUES, found '{found}'; {advice}",
        "应为 参数=值，实为“{found}”；{advice}",
    ),
    "sweep.near": ("did you mean '{near}'?", "是否指“{near}”？"),
    "sweep.known": ("one of: {known}", "可用：{known}"),
    "sweep.values": (
        "expected numbers in the points' own unit, like 50,54,57 or 50:60:2 (first, last, step)",
        "应为以点位自身单位给出的数值，如 50,54,57 或 50:60:2（首值、末值、步长）",
    ),
    "sweep.twice": ("'{found}' is there twice", "“{found}”重复"),
    "sweep.many": ("at most {most} combinations", "最多 {most} 种组合"),
}
_ROW: Pair = ("row {row}", "第 {row} 行")
_COLUMN: Pair = ("column {column}", "列 {column}")
_ENTRY: Pair = ("entry {row}", "第 {row} 项")
_BATCH: Pair = ("batch {row}", "第 {row} 批")
_UNITS = {"row": _ROW, "entry": _ENTRY, "batch": _BATCH}


def say(pair: Pair, language: str, args: dict[str, Any]) -> str:
    """A template filled: nouns translated, texts of the recording cut and made printable."""
    index = LANGUAGES.index(language)
    filled = {k: _shown(v) for k, v in args.items()}
    if "noun" in filled:
        filled["noun"] = NOUNS[filled["noun"]][index]
    if filled.get("found") == "":
        filled["found"] = NOUNS["nothing"][index]
    return pair[index].format(**filled)


def _shown(value: Any) -> str:
    text = str(value)
    text = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text[:_TEXT_CHARS_MAX])
    return text if len(str(value)) <= _TEXT_CHARS_MAX else f"{text}..."


@dataclass(frozen=True, slots=True)
class Place:
    """Where in what: a row (the header is row 1) or another unit of a file, and a column."""

    file: str
    row: int | None = None
    column: str = ""
    unit: str = "row"  # or "entry" of an index, "batch" of a record

    def text(self, language: str) -> str:
        """`chair.csv: row 814, column ceiling_a`."""
        index = LANGUAGES.index(language)
        parts = []
        if self.row is not None:
            parts.append(_UNITS[self.unit][index].format(row=self.row))
        if self.column:
            parts.append(_COLUMN[index].format(column=_shown(self.column)))
        colon, comma = (": ", ", ") if index == 0 else ("：", "，")
        return colon.join([_shown(self.file), *([comma.join(parts)] if parts else [])])


class Refused(Exception):  # noqa: N818 -- reaches a person as a problem
    """Something that a person gave cannot be used: what was expected and found, and where."""

    def __init__(self, place: Place, what: str, **args: Any) -> None:
        self.place, self.what, self.args_ = place, what, args
        super().__init__(self.text())

    def text(self, language: str = "en") -> str:
        """One line."""
        colon = ": " if language == "en" else "："
        advice = self.args_.get("advice")
        args = dict(self.args_)
        if isinstance(advice, tuple):
            args["advice"] = say(TEXTS[advice[0]], language, advice[1])
        return f"{self.place.text(language)}{colon}{say(TEXTS[self.what], language, args)}"
