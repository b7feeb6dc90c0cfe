"""The words of the line and table tools, in English and Chinese."""

from __future__ import annotations

from agent.cli.language import STATES, said
from config.messages import Pair

TEXTS: dict[str, Pair] = {
    "scan.answers": (
        "{setting}: unit {unit} answers",
        "{setting}：从站 {unit} 有应答",
    ),
    "scan.exception": (
        "{setting}: unit {unit} answers (exception {code}: not to this question, but it is there)",
        "{setting}：从站 {unit} 有应答（异常码 {code}：设备在线，但不支持所问内容）",
    ),
    "scan.spoilt": (
        "{setting}: unit {unit} bytes that are no frame: wrong speed or parity?",
        "{setting}：从站 {unit} 收到的字节不成帧：波特率或校验方式是否有误？",
    ),
    "scan.nobody": (
        "nobody answered; check A and B, termination, supply and the units' settings",
        "无设备应答；请检查 A/B 接线、终端电阻、供电及从站设置",
    ),
    "scan.listening": ("listening", "监听中"),
    "scan.step": ("{setting}, unit {unit}", "{setting}，从站 {unit}"),
    "register": ("register", "寄存器"),
    "bits": ("bits", "位"),
    "text": ("text", "文本"),
    "probe.text": ("as text", "按文本"),
    "no_answer": ("no answer", "无应答"),
    "exception": ("exception {code}", "异常码 {code}"),
    "done": ("done", "完成"),
    "listen.garbage": (
        "{count} bytes were no frame; is it {setting}?",
        "{count} 字节不成帧；参数是否为 {setting}？",
    ),
    "listen.row": (
        "{at:9.3f} s  unit {unit}  function {function}  {address} +{count}: {what}",
        "{at:9.3f} 秒  从站 {unit}  功能码 {function}  {address} +{count}：{what}",
    ),
    "file.there": (
        "{file}: is there already and is not touched; choose another name",
        "{file}：文件已存在，未作改动；请另取名称",
    ),
    "file.unwritable": ("{file}: cannot be written: {why}", "{file}：无法写入：{why}"),
    "record.chunks": ("{file}: {count} chunks", "{file}：{count} 段"),
    "write.what": (
        "coil {coil} of unit {unit} on {line}: {state}",
        "{line} 上从站 {unit} 的线圈 {coil}：{state}",
    ),
    "write.really": (
        "nothing was written; say --really when people know of it",
        "未写入；确认现场人员知晓后请加 --really",
    ),
    "write.ask": (
        "{text}. What it switches will switch. Write it?",
        "{text}。所控设备将动作。是否写入？",
    ),
    "write.not": ("nothing was written", "未写入"),
    "on": ("on", "接通"),
    "off": ("off", "断开"),
    "write.maybe": (
        "unit {unit}, coil {coil}: {why}; it may or may not have switched",
        "从站 {unit} 线圈 {coil}：{why}；可能已动作，也可能未动作",
    ),
    "write.blind": ("written; it could not be read back", "已写入；无法回读"),
    "write.differs": (
        "unit {unit}, coil {coil}: written, but reads {state}",
        "从站 {unit} 线圈 {coil}：已写入，但回读为 {state}",
    ),
    "write.reads": ("written; it reads {state}", "已写入；回读为 {state}"),
    "watch.point": ("point", "点位"),
    "watch.reading": ("reading", "读数"),
    "watch.age": ("age", "时效"),
    "normal": ("normal", "正常"),
    "and": (" and ", "、"),
    "not_ready": ("not ready", "未就绪"),
    "stale": ("stale", "过期"),
    "bad": ("bad", "无效"),
    "good": ("good", "正常"),
    **STATES,
    "delay": ("delay", "延时"),
    "manual": ("manual", "手动"),
    "table.next": (
        "{file}: put it into the site file and run 'embergate check'",
        "{file}：请放入站点文件，然后运行“embergate check”",
    ),
    "table.points": ("{file}: {count} points", "{file}：{count} 个点位"),
}


def words(key: str, lang: str, **args: object) -> str:
    """A text of these tools."""
    return said(TEXTS, key, lang, **args)
