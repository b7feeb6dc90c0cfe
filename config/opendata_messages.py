"""What is said of couriers of open data, in English and Chinese."""

from __future__ import annotations

Pair = tuple[str, str]

TEXTS: dict[str, Pair] = {
    "opendata.loopback": (
        "metrics are served to this machine only, and '{value}' is not of it",
        "监测指标只提供给本机，“{value}”不是本机回环地址",
    ),
    "opendata.topic": ("'{value}' cannot begin topics", "“{value}”不能作为主题前缀"),
    "opendata.contract": (
        "topics under 'embergate' are those of the signed record",
        "“embergate”下的主题属于签名记录",
    ),
    "opendata.topics": (
        "'topic' and 'discovery' must differ",
        "“topic”与“discovery”不得相同",
    ),
    "opendata.same_broker": (
        "'{other}' ships the signed record to this very broker (line {line}); anyone who may "
        "read open data is better kept away from it",
        "“{other}”（第 {line} 行）正是经此消息服务器上传签名记录；可读取开放数据的人员不应接触它",
    ),
    "opendata.many": (
        "{count} points, zones and sirens; at most {most} have topics of their own",
        "共 {count} 个点位、分区和警报器；最多 {most} 个可拥有独立主题",
    ),
    "opendata.port_twice": (
        "'{other}' has this port already (line {line})",
        "“{other}”（第 {line} 行）已使用该端口",
    ),
}
HINTS: dict[str, Pair] = {
    "opendata.loopback": (
        "write 127.0.0.1 or ::1; what serves other machines belongs in front of it, with TLS",
        "请写 127.0.0.1 或 ::1；若需供其他机器访问，请在前面加带 TLS 的代理",
    ),
    "opendata.topic": (
        "write one to four words with / between them, like building/fire",
        "请写一至四段英文，以 / 分隔，例如 building/fire",
    ),
    "opendata.same_broker": (
        "use a broker of its own, or write 'same_broker: accepted'",
        "请使用单独的消息服务器，或写明 “same_broker: accepted”",
    ),
    "opendata.many": (
        "name fewer under 'points', or write 'zones: none'",
        "请在“points”中减少点位，或写 “zones: none”",
    ),
}
