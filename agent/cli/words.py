"""The words of the commands for guards, in English and Chinese: by locale, or by --lang."""

from __future__ import annotations

from collections.abc import Iterable

from config.messages import Pair
from config.problems import LANGUAGES

TEXTS: dict[str, Pair] = {
    "normal": ("normal", "正常"),
    "yes": ("yes", "是"),
    "no": ("NO", "否"),
    "none": ("none", "无"),
    "more": ("and {count} more", "另有 {count} 项"),
    "refused": ("refused ({code}): {text}", "被拒绝（{code}）：{text}"),
    "no_answer": (
        "{socket}: no answer in time; see the process's log",
        "{socket}：未按时应答，请查看该进程的日志",
    ),
    "order.done": ("{verb}: done, ordered by {who}", "{verb}：已执行，操作人 {who}"),
    "order.failed": ("{verb}: not carried out: {why}", "{verb}：未执行：{why}"),
    "order.now": ("now: {flags}", "当前状态：{flags}"),
    "order.duration": (
        "'{value}' is not a time; write 30min or 8h",
        "“{value}”不是时间；请写 30min 或 8h",
    ),
    "pin.ask": ("PIN", "PIN"),
    "pin.again": ("PIN once more", "请再次输入 PIN"),
    "pin.differ": ("the two PINs differ", "两次输入的 PIN 不一致"),
    "pin.length": (
        "expected a PIN of {least} to {most} characters",
        "PIN 须为 {least} 至 {most} 个字符",
    ),
    "pin.simple": (
        "this PIN is one of the first that anybody tries; choose another",
        "该 PIN 过于简单，请另选",
    ),
    "verb.acknowledge": ("acknowledge", "确认"),
    "verb.silence": ("silence", "消音"),
    "verb.reset": ("reset", "复位"),
    "verb.disable": ("disable", "屏蔽"),
    "verb.enable": ("enable", "解除屏蔽"),
    "verb.test": ("walk test", "步行测试"),
    "verb.classify": ("classify", "警情定性"),
    "verb.evacuate": ("evacuate: general alarm", "疏散：总警报"),
    "verb.manual": ("manual alarm", "手动报警"),
    "verb.duty": ("duty answered", "查岗应答"),
    "verb.siren-test": ("siren test", "警报器测试"),
    "verb.lamp-test": ("lamp test", "指示灯测试"),
    "verb.unlock": ("lock-out lifted", "解除锁定"),
    "flag.fire": ("fire", "火警"),
    "flag.prealarm": ("pre-alarm", "预警"),
    "flag.supervisory": ("supervisory", "监管"),
    "flag.fault": ("fault", "故障"),
    "flag.disabled": ("disabled", "屏蔽"),
    "flag.test": ("test", "测试"),
    "flag.activated": ("activated", "启动"),
    "flag.feedback": ("feedback", "反馈"),
    "flag.delay": ("delay", "延时"),
    "flag.manual": ("manual", "手动"),
    "quality.good": ("good", "正常"),
    "quality.not_ready": ("not ready", "未就绪"),
    "quality.stale": ("stale", "过期"),
    "quality.bad": ("bad", "无效"),
    "first_alarm": ("first alarm", "首警"),
    "alarms": ("{count} alarms, {unseen} not acknowledged", "报警 {count} 处，未确认 {unseen} 处"),
    "silenced": ("SILENCED", "已消音"),
    "fault": ("fault", "故障"),
    "zones": ("zones", "分区"),
    "zones.quiet": ("{count} zones normal", "{count} 个分区正常"),
    "outputs": ("outputs", "输出"),
    "panels": ("panels on ports of their own", "独立端口的控制器"),
    "active": ("points in alarm or fault", "报警或故障点位"),
    "points": ("points", "点位"),
    "lines": ("lines", "线路"),
    "texts": ("texts of devices", "设备文本"),
    "couriers": ("couriers", "传输"),
    "col.name": ("name", "名称"),
    "col.flags": ("state", "状态"),
    "col.value": ("value", "数值"),
    "col.unit": ("unit", "单位"),
    "col.quality": ("quality", "质量"),
    "col.trend": ("trend", "趋势"),
    "col.seen": ("seen", "已确认"),
    "col.votes": ("votes", "表决"),
    "col.on": ("ordered", "指令"),
    "col.read": ("reads", "回读"),
    "col.link": ("link", "连接"),
    "col.waiting": ("not acknowledged there", "对端未确认"),
    "col.under_way": ("under way", "传输中"),
    "col.text": ("says", "说明"),
    "col.number": ("number", "编号"),
    "col.kind": ("kind", "类型"),
    "col.title": ("title", "标题"),
    "col.bytes": ("bytes", "字节"),
    "col.received": ("received (UTC)", "收到时间（UTC）"),
    "col.time": ("time", "时间"),
    "col.panel_time": ("panel time", "控制器时间"),
    "col.lane": ("lane", "类别"),
    "col.source": ("source", "来源"),
    "col.what": ("what", "种类"),
    "on": ("on", "开"),
    "off": ("off", "关"),
    "unknown": ("-", "-"),
    "up": ("up", "正常"),
    "down": ("DOWN", "中断"),
    "unsupervised": ("up, unsupervised: it prints events only", "正常，无监视：仅输出事件"),
    "mismatch": ("DOES NOT READ AS ORDERED", "回读不符"),
    "record.none": (
        "the record process does not answer; events wait in memory",
        "记录进程无应答；事件暂存于内存",
    ),
    "record.wear": (
        "record: {megabytes} MB a day written to the disk",
        "记录：每天写入磁盘 {megabytes} MB",
    ),
    "record.fault": ("record: {source}: {text}", "记录：{source}：{text}"),
    "summary": (
        "{points} points, kernel {kernel}, {cycles} cycles, {waiting} events not yet durable",
        "{points} 个点位，内核 {kernel}，{cycles} 个周期，{waiting} 条事件尚未落盘",
    ),
    "pages": ("points {first} ... of {total}", "点位 {first} 起，共 {total}"),
    "lost": ("the gateway does not answer: {text}", "网关无应答：{text}"),
    "as_of": ("as of {time}", "截至 {time}"),
    "clock.unset": ("clock not set", "时钟未设置"),
    "clock.holdover": ("clock not synchronised", "时钟未同步"),
    "proposal.none": ("nothing is proposed", "无提议"),
    "proposal.saved": (
        "{path}: {size} bytes, SHA-256 {digest}",
        "{path}：{size} 字节，SHA-256 {digest}",
    ),
    "proposal.accepted": (
        "{number}: accepted; nothing is applied by it",
        "{number}：已接受；不会自动应用",
    ),
    "proposal.refused": ("{number}: refused", "{number}：已拒绝"),
    "proposal.to": ("--to FILE is needed: where to write it", "请用 --to 指定要写入的文件"),
    "proposal.one": (
        "only one of --save, --accept and --refuse at a time",
        "--save、--accept、--refuse 只能用其一",
    ),
    "kind.configuration": ("configuration", "配置"),
    "kind.update": ("update", "更新"),
    "ask.acknowledge": ("acknowledge", "确认"),
    "ask.duty": ("duty check", "查岗"),
    "ask.time": ("compare clocks", "时钟比对"),
    "ask.propose": ("proposal", "提议"),
    "ask.resend": ("resend", "重传"),
    "command.out": (
        "{order} {number} went out; its outcome comes in the gateway's event lane",
        "{order} {number} 已发出；结果见该网关的 event 通道",
    ),
    "command.failed": ("embergate command: {why}", "embergate command：{why}"),
    "command.no_answer": ("no answer from the broker", "消息代理无应答"),
    "command.refused": (
        "the broker refuses it: reason {code}; see its access list",
        "消息代理拒绝：原因码 {code}；请查看其访问控制表",
    ),
    "command.file": ("--file is needed: what is proposed", "请用 --file 指定提议的文件"),
    "command.large": ("{path}: larger than {most} bytes", "{path}：超过 {most} 字节"),
    "command.open": (
        "{path}: others may read it; 'chmod 600 {path}'",
        "{path}：其他用户可读；请执行“chmod 600 {path}”",
    ),
    "command.key": (
        "{path}: expected an Ed25519 private key in PEM",
        "{path}：应为 PEM 格式的 Ed25519 私钥",
    ),
    "command.gateway": (
        "'{value}' is no site id: 1 to 64 of A-Z a-z 0-9 . _ -",
        "“{value}”不是站点标识：应为 1 至 64 个 A-Z a-z 0-9 . _ -",
    ),
    "command.hex": (
        "{option}: expected {digits} hexadecimal digits, found '{value}'",
        "{option}：应为 {digits} 位十六进制数，实为“{value}”",
    ),
    "command.wrong": (
        "the gateway would refuse it ({code}): {text}",
        "网关会拒绝此命令（{code}）：{text}",
    ),
    "log.none": ("no records", "无记录"),
    "log.written": ("{count} records written to {path}", "{count} 条记录已写入 {path}"),
    "log.time": (
        "'{value}' is not a time; write 2026-11-22, '2026-11-22 14:30' or 2h (ago)",
        "“{value}”不是时间；请写 2026-11-22、“2026-11-22 14:30”或 2h（之前）",
    ),
}  # fmt: skip


def say(key: str, language: str, **args: object) -> str:
    """A text in a language; an unknown key is a word of the gateway itself and stays as it is."""
    pair = TEXTS.get(key)
    if pair is None:
        return key.rpartition(".")[2]
    return pair[LANGUAGES.index(language)].format(**args)


def flag_words(flags: Iterable[str], language: str) -> str:
    """Flags as people say them; "normal" for none."""
    return ", ".join(say(f"flag.{flag}", language) for flag in flags) or say("normal", language)
