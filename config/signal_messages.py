"""What problems with outputs, inputs and self-tests say: see config.messages."""

from __future__ import annotations

Pair = tuple[str, str]

NOUNS: dict[str, Pair] = {
    "a GPIO chip": ("a GPIO chip", "GPIO 芯片"),
    "a meaning": ("a meaning", "含义"),
    "output": ("output", "输出"),
}

TEXTS: dict[str, Pair] = {
    "output.place": (
        "an output is either a coil or a GPIO line",
        "输出要么是线圈，要么是 GPIO 线",
    ),
    "gpio.only": ("'{key}' applies to GPIO lines only", "“{key}”仅适用于 GPIO 线"),
    "gpio.chip": ("'{value}' is not a GPIO chip", "“{value}”不是 GPIO 芯片"),
    "gpio.twice": (
        "this GPIO line is already '{other}' (line {line})",
        "该 GPIO 线已用于“{other}”（第 {line} 行）",
    ),
    "fault.idle": (
        "a fault output is energised while all is well",
        "故障输出在正常时应为通电状态",
    ),
    "siren.coil": (
        "coil {coil} does not exist: '{profile}' has {count}, counted from 0",
        "线圈 {coil} 不存在：“{profile}”有 {count} 个，从 0 开始编号",
    ),
    "siren.twice": (
        "this coil is already siren '{other}' (line {line})",
        "该线圈已是警报器“{other}”（第 {line} 行）",
    ),
    "siren.timeout": (
        "'{profile}' lets go after {value} of silence; it is spoken to every {found}",
        "“{profile}”在通讯中断 {value} 后释放输出，而轮询周期为 {found}",
    ),
    "signal.twice": (
        "'{value}' is already the name of a siren (line {line})",
        "“{value}”已是警报器的名称（第 {line} 行）",
    ),
    "signal.driven": (
        "'{value}' shows the gateway's own state; the matrix cannot drive it",
        "“{value}”用于显示网关自身状态，联动不能控制它",
    ),
    "input.place": (
        "an input is either a point or a GPIO line",
        "输入要么是点位，要么是 GPIO 线",
    ),
    "input.point": ("'{value}' is a number, not a contact", "“{value}”是数值，不是触点"),
    "self_test.night": (
        "'{value}' is not by day: nothing scheduled sounds before 08:00 or from 20:00 on",
        "“{value}”不在白天：08:00 之前、20:00 之后不进行定时发声测试",
    ),
    "self_test.form": ("'{value}' cannot be read", "无法识别“{value}”"),
}

HINTS: dict[str, Pair] = {
    "output.place": (
        "write device and coil, or gpio and line",
        "请写 device 和 coil，或 gpio 和 line",
    ),
    "gpio.only": ("remove it", "请删除"),
    "gpio.chip": ("write gpiochip0", "请写 gpiochip0"),
    "fault.idle": (
        "remove idle, and wire the contact that is closed while the relay is energised",
        "请删除 idle，并接继电器通电时闭合的触点",
    ),
    "siren.timeout": (
        "shorten read_back, or lengthen the board's timeout",
        "请缩短 read_back，或加大模块的超时时间",
    ),
    "input.place": ("write point, or gpio and line", "请写 point，或 gpio 和 line"),
    "need.trouble": (
        "write closed or open: the position of the contact that means trouble",
        "请写 closed 或 open：表示异常的触点位置",
    ),
    "need.device": (
        "name the relay board, or write gpio and line",
        "请写继电器模块名，或写 gpio 和 line",
    ),
    "self_test.at": ("write '10:00' in quotes", "请写“10:00”并加引号"),
}
