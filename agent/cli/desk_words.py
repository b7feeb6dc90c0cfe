"""The words of the commands on the desk (check, plan, profile, run, verify), in both languages."""

from __future__ import annotations

from agent.cli.language import said
from config.messages import Pair

TEXTS: dict[str, Pair] = {
    "file.unwritable": ("{file}: cannot be written: {why}", "{file}：无法写入：{why}"),
    # check and plan
    "site": (
        "{site}: {points} points, {zones} zones, {sirens} sirens, {effects} effects, "
        "{couriers} couriers",
        "{site}：点位 {points}，分区 {zones}，警报器 {sirens}，联动规则 {effects}，"
        "传输目的地 {couriers}",
    ),
    "line": (
        "  {name} ({kind}, {where}): {devices} devices, {points} points in {polls} polls",
        "  {name}（{kind}，{where}）：设备 {devices}，点位 {points}，轮询报文 {polls}",
    ),
    "line.share": (", {share:.0%} of its time", "，占用线路时间 {share:.0%}"),
    "line.load": (
        "    {requests:.3g} requests/s, {registers:.3g} registers/s",
        "    每秒请求 {requests:.3g} 次，寄存器 {registers:.3g} 个",
    ),
    "line.alarm": ("; an alarm is read within {waits}", "；报警最迟 {waits} 内读到"),
    "line.siren": ("; a siren order leaves within {waits}", "；警报器指令最迟 {waits} 内发出"),
    "line.waits": ("{waits} with {dead} dead units", "{waits}（失联从站数 {dead} 时）"),
    "panel": (
        "  {link} ({kind}, {where}): panel {name} in {dialect}, {watched}",
        "  {link}（{kind}，{where}）：控制器 {name}，方言 {dialect}，{watched}",
    ),
    "panel.supervised": ("supervised", "监测通信"),
    "panel.unsupervised": (
        "unsupervised: it prints events only",
        "无法监测通信：只打印事件",
    ),
    "point": (
        "  {name}: {forms}, {what}, every {every}",
        "  {name}：{forms}，{what}，周期 {every}",
    ),
    "point.bit": (" bit {bit}", " 位 {bit}"),
    "point.text": ("text of {width} registers in {encoding}", "文本，{width} 个寄存器，{encoding}"),
    "point.low_first": (", low byte first", "，低字节在前"),
    "points.more": ("  ... and {rest} more points", "  …… 另有 {rest} 个点位"),
    "zones.none": (
        "  courier {name}: {count} points are told with zone 0, which is no place: {points}{more}; "
        "give each a number of its own in couriers.{name}.zones",
        "  传输目的地 {name}：{count} 个点位以防区号 0 上传，中心无法定位：{points}{more}；"
        "请在 couriers.{name}.zones 中为其分别指定编号",
    ),
    "zones.more": (" and {rest} more", " 等，另有 {rest} 个"),
    "good": ("no problems", "没有问题"),
    "plan.made": (
        "{file}: {points} points, digest {digest}",
        "{file}：点位 {points}，摘要 {digest}",
    ),
    "plan.ids": (
        "{file}: point ids; keep it with the site file",
        "{file}：点位编号；请与站点文件一同保存",
    ),
    # outputs
    "output": ("  {kind} {name} ({place})", "  {kind} {name}（{place}）"),
    "output.said": (": {said}", "：{said}"),
    "output.coil": ("{device} coil {number}", "{device} 线圈 {number}"),
    "output.line": ("{chip} line {number}", "{chip} 线 {number}"),
    "output.and": ("; ", "；"),
    "output.means": ("tells {means}", "指示 {means}"),
    "output.idle": (
        "energised while it is off: it comes on when its supply is lost",
        "关闭时带电：失电时动作",
    ),
    "output.steady": (
        "its line is too slow for patterns: steadily on",
        "线路过慢，无法按节奏鸣响：常亮（常响）",
    ),
    "output.timeout": ("released after {time} of silence", "通信中断 {time} 后释放"),
    "lacks": ("  this site lacks: {what}", "  本站点缺少：{what}"),
    "lamp": ("lamp {means}", "指示灯 {means}"),
    "tone": ("tone {means}", "声音 {means}"),
    "fault output": ("fault output", "故障输出"),
    "and": (", ", "、"),
    "kind.siren": ("siren", "警报器"),
    "kind.lamp": ("lamp", "指示灯"),
    "kind.buzzer": ("buzzer", "蜂鸣器"),
    "kind.relay": ("relay", "继电器"),
    "kind.fault": ("fault", "故障输出"),
    "means.sending": ("sending", "正在传输"),
    "means.sent": ("sent", "传输成功"),
    "means.failed": ("failed", "传输失败"),
    "means.fire": ("fire", "火警"),
    "means.fault": ("fault", "故障"),
    "means.mains": ("mains", "主电"),
    "means.standby": ("standby", "备电"),
    "means.disabled": ("disabled", "屏蔽"),
    "means.test": ("test", "测试"),
    "means.duty": ("duty", "查岗"),
    # profiles
    "profile": ("profile", "设备模板"),
    "device": ("device", "设备"),
    "manual": ("manual", "手册"),
    "revision": ("revision", "版本"),
    "profile.manual": ("  manual: {manual}, {revision}", "  手册：{manual}，{revision}"),
    "profile.family": ("  {first} to {last}: from {place}", "  {first} 至 {last}：起始 {place}"),
    "profile.kind": ("kind: the site says", "种类由站点文件给出"),
    "profile.point": ("  {point}: {register}, {kind}", "  {point}：{register}，{kind}"),
    "profile.coils": ("  coils 0 to {last}", "  线圈 0 至 {last}"),
    "profile.timeout": (
        "  communication timeout of the outputs: {time}",
        "  输出的通信超时：{time}",
    ),
    "profile.heartbeat": (
        "  heartbeat: {place} changes within {time}",
        "  心跳：{place} 须在 {time} 内变化",
    ),
    "profile.use": ("  without 'use': {points}", "  未写 use 时：{points}"),
    "none": ("none", "无"),
    "nothing": ("nothing", "无"),
    "profile.there": (
        "{file}: is there already and is not touched; choose another name",
        "{file}：已存在，未作改动；请另取文件名",
    ),
    "profile.made": (
        "{file}: edit it, then run 'embergate profile test {file}'",
        "{file}：请编辑，然后运行“embergate profile test {file}”",
    ),
    "profile.named": ("in the site file:  {word}: ./{file}", "站点文件中写：  {word}: ./{file}"),
    "profile.slow": (
        "{name}: the simulated device did not answer in time; try again",
        "{name}：模拟设备未按时应答；请重试",
    ),
    "profile.differs": (
        "{point} {words} ({source}): expected {expected}, found {found}",
        "{point} {words}（{source}）：应为 {expected}，实为 {found}",
    ),
    "profile.tested": (
        "{name}: {points} points, {words} words ({examples} of them examples of the manual), "
        "{coils} coils; {result}",
        "{name}：点位 {points}，字 {words}（其中手册示例 {examples}），线圈 {coils}；{result}",
    ),
    "profile.differences": ("{count} differences", "{count} 处不符"),
    "profile.as_expected": ("all as expected", "全部符合"),
    "profile.no_examples": (
        "no examples: quote some lines of the manual under 'examples'",
        "没有示例：请在 examples 下引用手册中的几行",
    ),
    "dialect.differs": (
        "'{says}': expected {expected}, found {found}",
        "“{says}”：应为 {expected}，实为 {found}",
    ),
    "dialect.tested": (
        "{name}: {rules} rules, {examples} examples; {result}",
        "{name}：规则 {rules}，示例 {examples}；{result}",
    ),
    "profile.no_file": (
        "{name}: there is no such file; 'embergate profile new' starts one",
        "{name}：文件不存在；可用“embergate profile new”新建",
    ),
    "profile.unknown": (
        "no profile is called '{name}'; {hint}",
        "没有名为“{name}”的设备模板；{hint}",
    ),
    "profile.near": ("did you mean '{near}'?", "是否指“{near}”？"),
    "profile.see": ("see 'embergate profile list'", "见“embergate profile list”"),
    # run
    "run.keys": (
        "{keys}: expected the device's keys, found none; make them with: "
        "embergate-fw keys --out {keys}",
        "{keys}：应有本机密钥，实际没有；生成命令：embergate-fw keys --out {keys}",
    ),
    "run.runs": (
        "running; 'embergate status --run {sockets}' shows it, Ctrl-C ends it",
        "运行中；用“embergate status --run {sockets}”查看，Ctrl-C 结束",
    ),
    "run.ended": ("{name} ended with status {status}", "{name} 已结束，状态码 {status}"),
    # verify
    "verify.batches": ("{name}: {total} batches ({counts})", "{name}：批次 {total}（{counts}）"),
    "verify.finding": (
        "  {word:5} {code}: {lane} {seq} of epoch {epoch}: {text}",
        "  {word} {code}：纪元 {epoch} 的 {lane} {seq}：{text}",
    ),
    "verify.problem": ("  {word} {text}", "  {word} {text}"),
    # what verify finds, by its code
    "code.broken_link": ("broken_link", "链断开"),
    "code.clock_regression": ("clock_regression", "时钟倒退"),
    "code.declared_loss": ("declared_loss", "已声明的丢失"),
    "code.epoch_fork": ("epoch_fork", "纪元分叉：存储卡被复制，或恢复了旧数据"),
    "code.fork": ("fork", "分叉：同一编号有两个批次"),
    "code.gap": ("gap", "缺号"),
    "code.missing_epoch": ("missing_epoch", "缺少纪元"),
    "code.truncated": ("truncated", "末尾被截断"),
    "code.unreadable": ("unreadable", "内容无法解读"),
    "code.window": ("window", "超出接收窗口"),
    "verify.error": ("ERROR", "错误"),
    "verify.note": ("note", "提示"),
    "verify.whole": (
        "whole: every signature, chain and number is in order",
        "完整：所有签名、链和编号均无误",
    ),
    "verify.strange": (
        "NOT WHOLE: no batch of a trusted key was found",
        "不完整：没有找到受信任密钥签名的批次",
    ),
    "verify.not_whole": ("NOT WHOLE", "不完整"),
}


def say(key: str, lang: str, **args: object) -> str:
    """A text of these commands."""
    return said(TEXTS, key, lang, **args)
