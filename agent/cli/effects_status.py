"""What of the matrix stands, for `embergate status`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_WHY = {
    "devices": ("two independent devices", "两只独立的触发装置"),
    "manual": ("a manual call point", "手动报警按钮"),
    "zone": ("a zone that counts itself", "自行计数确认的分区"),
    "time": ("the time to investigate is over", "延时确认时间已到"),
    "own": ("the gateway's own manual alarm", "本网关的手动报警"),
    "guard": ("ordered by the guard", "值班人员下达"),
}


def effects_lines(effects: Mapping[str, Any], lang: str = "en") -> list[str]:
    """Lines of plain text; [] when nothing of the matrix needs saying."""
    at = int(lang == "zh")
    out = []
    if effects["general"]:
        why = _WHY[effects["general"]][at]
        out.append((f"GENERAL ALARM: {why}", f"总警报：{why}")[at])
    head = ("message: ", "消息：")[at]
    out += [f"{head}{row['text']} ({row['name']})" for row in effects["messages"]]
    for row in effects["delays"]:
        number, left_s = row["row"], f"{row['left_s']:g}"
        text = (f"row {number} acts in {left_s} s", f"第 {number} 行将在 {left_s} 秒后动作")[at]
        out.append(f"{text} ({row['name']})")
    return out
