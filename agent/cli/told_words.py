"""What the gateway itself says in English, for those who read Chinese.

The core and the processes speak one language, that of the record. A text that is not in here, a
name or a reason that somebody typed stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

_CHINESE: Mapping[str, str] = {
    # faults
    "down": "中断",
    "silent": "无应答",
    "something talks without end": "线路上有设备不停发送",
    "does not read as ordered": "回读与指令不符",
    "cannot be read": "无法读取",
    "is pressed for too long": "按下时间过长",
    "the input cannot be read": "输入无法读取",
    "the input is read again": "输入恢复读取",
    "the button is pressed for too long": "按钮按下时间过长",
    "the button is released": "按钮已松开",
    "mains lost: the standby supply carries": "主电断电：备电供电",
    "mains are back": "主电恢复",
    "the standby supply is in trouble": "备电故障",
    "the standby supply is well": "备电正常",
    "the cabinet is open": "机柜门打开",
    "the cabinet is closed": "机柜门关闭",
    "no alarm": "无报警",
    "no reply": "无应答",
    "no connection": "无连接",
    "has not come yet": "尚未连接",
    "the courier process is not there": "传输进程未运行",
    "the courier process does not answer": "传输进程无应答",
    "the record is back": "记录进程恢复",
    "the record process does not answer; events are kept in memory": (
        "记录进程无应答；事件暂存于内存"
    ),
    "three crashes in a minute: trends are off": "一分钟内崩溃三次：趋势判断已停用",
    "the slow kernel was asked for": "按要求使用慢速内核",
    "the latch is written again": "锁存文件恢复写入",
    "the control socket is there": "控制接口恢复",
    # why an order was not carried out
    "there is a fire": "有火警",
    "a fire stands: reset it before a test": "有火警：请先复位再测试",
    "another test runs; end it first": "已有测试在进行；请先结束",
    "no test runs": "没有正在进行的测试",
    "no such pattern": "没有这种鸣响方式",
    "no siren of that name is off and in service": "没有处于关闭且投入使用的该名称警报器",
    # what happened
    "begins": "开始",
    "ends": "结束",
    "tested": "已测试",
    "prolonged": "延长",
    "reminder": "提醒",
    "investigating": "正在核查",
    "alarm": "报警",
    "asked": "查岗",
    "answered": "已应答",
    "missed": "未应答",
    "over": "结束",
    "reset": "复位",
    "recalled": "重启前已有",
    "devices": "两只独立的触发装置",
    "manual": "手动报警按钮",
    "zone": "分区自行确认",
    "time": "延时确认时间已到",
    "guard": "值班人员下达",
    "a power cut": "断电",
    "a fire since the start": "启动后有火警",
    "a panel tells a fire": "控制器报火警",
    "real": "真实火警",
    "false": "误报",
    "test": "测试",
    "control socket": "控制接口",
    "input": "按键",
    # patterns
    "evacuate": "疏散",
    "alert": "警戒",
    "pulse": "短促",
    "steady": "持续",
    "flash": "闪烁",
    "tone-fire": "火警音",
    "tone-fault": "故障音",
    "tone-duty": "查岗音",
}


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
    return f"{meaning}（{text}）" if meaning else text


def told(text: str, language: str) -> str:
    """A text of the gateway in a language."""
    return text if language == "en" else _CHINESE.get(text, text)
