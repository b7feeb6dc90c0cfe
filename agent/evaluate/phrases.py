"""What reports and summaries say, English to Chinese. A phrase that is not here is a defect."""

from __future__ import annotations

from collections.abc import Callable

Say = Callable[..., str]

_CHINESE = {
    # words
    "class": "类别", "recording": "录制数据", "recordings": "录制数据", "n": "数量",
    "pre-alarm": "预警", "fire": "火警", "reference": "参照", "ignition": "点燃",
    "fault": "故障", "faults": "故障", "point": "点位", "zone": "分区", "median": "中位数",
    "least": "最小", "missed": "漏报", "lead": "提前量", "asked": "要求", "found": "实测",
    "worst": "最差", "reached": "达到", "not reached": "未达到", "NOT REACHED": "未达到",
    "nothing": "无", "of": "对象", "what": "事件", "95 %": "95 % 区间", "same": "相同",
    "earlier": "更早", "later": "更晚", "burning": "有火", "fire-free": "无火", "unknown": "未知",
    "(all)": "（全部）", "unlisted": "未列出", "seconds": "秒", "note": "说明",
    "pre-alarms": "预警", "fires": "火警",
    # heads of tables
    "{what} after s": "{what}用时 s", "p90 s": "p90 s", "{what} lead s": "{what}提前量 s",
    "least s": "最小 s", "{what} s": "{what} s", "lead s": "提前量 s",
    "before ignition": "点燃前报警", "point-days": "点位·日",
    "false {what}": "误报{what}", "per point-day": "每点位·日", "false reference": "参照误报",
    "what if s": "改用后 s", "earlier by s": "提前 s", "{what} earlier by s": "{what}提前 s",
    "more false {what}": "误报{what}增加", "more faults": "故障增加",
    "missed pre/fire": "漏报 预/火", "false fires per point-day": "误报火警/点位·日",
    # headings
    "Evaluation of {name}": "{name} 评估报告", "Growth classes": "火灾增长类别",
    "What was asked": "要求", "What was asked, with {name}": "要求（使用 {name}）",
    "What if: {name}": "假设改用：{name}", "Sweep of {name}": "参数扫描：{name}", "Leads": "提前量",
    "Recordings": "录制数据", "Time to detect": "探测用时",
    # sentences
    "Site file {site} on the recordings of {data}. Leads are seconds earlier than the reference, a "
    "fixed level behind a median of three; a miss counts as the end of the recording.":
        "站点文件 {site}，录制数据 {data}。提前量为比参照（三点中值后的固定阈值）早多少秒；"
        "漏报按录制结束时刻计。",
    "Intervals of 95 % are of medians, by drawing recordings again (fixed seed), and exact ones of "
    "rare counts.":
        "95 % 区间：中位数由固定种子的录制数据重抽样得出，稀有计数为精确区间。",
    "From the 10th to the 90th percentile, with the median; seconds after ignition.":
        "第 10 至第 90 百分位，竖线为中位数；单位为点燃后的秒数。",
    "Median lead over false alarms per point-day; ring: the site file as it is.":
        "提前量中位数与每点位·日误报数；圆环：站点文件原值。",
    "Seconds earlier with the second file, and more false alarms with it.":
        "使用第二个文件提前的秒数，以及增加的误报。",
    "{growth}, {truth}{start}: {rows} rows of {points} points every {step} s, {bad} bad samples, "
    "{late} rows not later than the one before":
        "{growth}，{truth}{start}：{rows} 行，{points} 个点位，每 {step} s 一行，{bad} 个坏样本，"
        "{late} 行时间未前进",
    ", starts {start}": "，始于 {start}",
    "and {count} more in the JSON": "其余 {count} 条见 JSON",
    "false alarms per point-day": "每点位·日误报",
    "median lead s": "提前量中位数 s",
    "course of {name}": "{name} 的过程", "leads of every recording": "各录制数据的提前量",
    "{what} at least {limit} s in the median": "{what}中位数至少 {limit} s",
    "{what} at least {limit} s in every recording": "每份录制数据的{what}至少 {limit} s",
    "{what} at least {limit} s in every recording but {spared}":
        "除 {spared} 外，每份录制数据的{what}至少 {limit} s",
    "{what} at most {limit}": "{what}至多 {limit}",
    "prealarm lead": "预警提前量", "fire lead": "火警提前量", "prealarm missed": "预警漏报",
    "written: {path}": "已写入：{path}",
}  # fmt: skip


def english(text: str, **args: object) -> str:
    """A phrase as it stands, filled."""
    assert text in _CHINESE, text
    return text.format(**args)


def chinese(text: str, **args: object) -> str:
    """The same in Chinese."""
    return _CHINESE[text].format(**args)


def speaker(language: str) -> Say:
    """What says a phrase in this language."""
    return chinese if language == "zh" else english


def class_name(name: str, say: Say) -> str:
    """A growth class: a name that the user gave, or one of ours."""
    return say(name) if name in ("(all)", "unlisted") else name


PHRASES = _CHINESE
"""English to Chinese, for tests."""
