"""What a GB/T 26875.3 panel's states are called in the record, for those who read Chinese.

drivers.panel.gb26875_talk writes a word, what it is about, and then the panel's own words, which
stay as they are: "fire smoke detector 3F corridor".
"""

from __future__ import annotations

import re
from collections.abc import Mapping

WORDS: Mapping[str, str] = {
    "fire": "火警",
    "fault": "故障",
    "disabled": "屏蔽",
    "supervisory": "监管",
    "started": "启动",
    "feedback": "反馈",
    "delay": "延时",
    "power fault": "电源故障",
    "mains fault": "主电故障",
    "standby supply fault": "备电故障",
    "bus fault": "总线故障",
    "manual mode": "手动状态",
    "channel fault": "通信信道故障",
    "panel line fault": "监测连接线路故障",
}
OPERATIONS: Mapping[str, str] = {
    "reset": "复位",
    "silence": "消音",
    "manual alarm": "手动报警",
    "alarm cleared": "警情消除",
    "self-test": "自检",
    "acknowledge": "确认",
    "test": "测试",
    "duty answer": "查岗应答",
}
SORTS: Mapping[str, str] = {
    "system": "系统",
    "transmission device": "传输装置",
    "gas detector": "可燃气体探测器",
    "electrical fire alarm": "电气火灾监控报警器",
    "residual current detector": "剩余电流式探测器",
    "cable temperature detector": "测温式探测器",
    "loop": "回路",
    "repeater": "火灾显示盘",
    "manual call point": "手动火灾报警按钮",
    "hydrant button": "消火栓按钮",
    "fire detector": "火灾探测器",
    "heat detector": "感温探测器",
    "line heat detector": "线型感温探测器",
    "fibre heat detector": "光纤感温探测器",
    "smoke detector": "感烟探测器",
    "beam detector": "光束感烟探测器",
    "aspirating detector": "吸气式探测器",
    "multi-sensor detector": "复合式探测器",
    "flame detector": "火焰探测器",
    "video detector": "图像探测器",
    "module": "模块",
    "input module": "输入模块",
    "output module": "输出模块",
    "fire pump": "消防水泵",
    "fire water tank": "消防水箱",
    "sprinkler pump": "喷淋泵",
    "water flow indicator": "水流指示器",
    "supervised valve": "信号阀",
    "alarm valve": "报警阀",
    "pressure switch": "压力开关",
    "fire door": "防火门",
    "fire damper": "防火阀",
    "smoke fan": "排烟风机",
    "shutter": "防火卷帘门",
    "sounder": "警报装置",
}
_STATE = re.compile(
    rf"(?:({'|'.join(WORDS)}) |ended )(?:({'|'.join(SORTS)})|type ([0-9]+))((?: .*)?)", re.DOTALL
)
_KEY = re.compile(rf"({'|'.join(OPERATIONS)}) by operator (\S+)")


def of_panel(text: str) -> str | None:
    """In Chinese, None when it is none of these."""
    if key := _KEY.fullmatch(text):
        return f"{OPERATIONS[key[1]]}，操作员 {key[2]}"
    state = _STATE.fullmatch(text)
    if state is None:
        return None
    word, sort, number, rest = state.groups()
    what = SORTS[sort] if sort else f"类型 {number}"
    return f"{what}{WORDS[word] if word else '恢复'}{rest}"
