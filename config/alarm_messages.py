"""What problems of alarm management say; see config.messages."""

from __future__ import annotations

NOUNS: dict[str, tuple[str, str]] = {
    "a time of day": ("a time of day", "时刻"),
    "a zone": ("the name of a zone", "分区名"),
}

TEXTS: dict[str, tuple[str, str]] = {
    "time.form": ("'{value}' is not a time of day", "“{value}”不是时刻"),
    "delay.long": (
        "both times together are {value}; a general alarm waits for at most {most}",
        "两段时间共 {value}；总报警最多延时 {most}",
    ),
    "delay.no_day": (
        "without hours of the day it is always night, and nothing is investigated",
        "未设置日间时段则始终为夜间模式，不会延时确认",
    ),
    "walk.many": (
        "this group has {count} points; a walk test takes at most {most}",
        "该测试组有 {count} 个点位，最多 {most} 个",
    ),
    "walk.zone": (
        "zone '{value}' is a group of this name already (line {line})",
        "分区“{value}”已是同名测试组（第 {line} 行）",
    ),
}

HINTS: dict[str, tuple[str, str]] = {
    "time.form": ('write it as "08:00"', '请写作 "08:00"'),
    "delay.no_day": (
        'add a section  day: {{from: "08:00", to: "18:00"}}',
        '请添加  day: {{from: "08:00", to: "18:00"}}',
    ),
    "walk.many": ("make it two groups", "请分为两组"),
    "need.acknowledge_within": (
        "it is the time in which somebody must acknowledge the alarm",
        "即值班人员须确认报警的时间",
    ),
    "need.investigate_within": (
        "it is the time that somebody then has to look",
        "即确认后到现场查看的时间",
    ),
}
