"""What `embergate explain` says, in English (the keys) and Chinese."""

from __future__ import annotations

_ZH = {
    "a value outside is a fault of the sensor": "超出此范围的读数视为传感器故障",
    "fire: two of three samples over the level": "火警：三次采样中有两次超过阈值",
    "heavy fire, likewise": "严重火情：同上",
    "pre-alarm, likewise": "预警：同上",
    "above a baseline that follows slow drift": "高于缓慢跟随漂移的基线",
    "supervisory: too low": "监管：过低",
    "supervisory, second stage: too low": "监管（第二级）：过低",
    "supervisory: too high": "监管：过高",
    "supervisory, second stage: too high": "监管（第二级）：过高",
    "trend: pre-alarm; fire when a second point or quantity of its zone agrees":
        "趋势：预警；同一区域内第二个点或另一种物理量印证时为火警",
    "slow fall: supervisory": "缓慢下降：监管",
    "delays": "延时",
    "chatter: a fault, and levels then need unbroken presence":
        "抖动：报故障，此后阈值须连续保持才有效",
    "stuck: a fault": "读数卡死：故障",
    "steps of a loose contact: a fault": "接触不良造成的跳变：故障",
    "range_min": "下限", "range_max": "上限",
    "fire_level": "火警阈值", "fire_clear": "火警恢复值",
    "heavy_level": "严重火情阈值", "heavy_clear": "严重火情恢复值",
    "prealarm_level": "预警阈值", "prealarm_clear": "预警恢复值",
    "offset_fire": "高于基线的火警值", "offset_prealarm": "高于基线的预警值",
    "baseline_start": "初始基线",
    "baseline_cap": "基线上限", "baseline_tau_s": "基线时间常数（秒）",
    "low_level": "低限", "high_level": "高限",
    "low_low_level": "低低限", "high_high_level": "高高限",
    "trend_slope_per_s": "上升速率（每秒）", "trend_rise": "升高幅度",
    "trend_forecast_s": "预计到达火警阈值的时间（秒）",
    "on_delay_s": "接通延时（秒）", "off_delay_s": "断开延时（秒）",
    "fall_allow": "允许的下降量", "fall_limit_s": "下降累积上限",
    "chatter_count": "抖动次数", "chatter_memory_s": "抖动记忆时间（秒）",
    "chatter_hold_s": "抖动后须连续保持（秒）", "chatter_quiet_s": "恢复所需安静时间（秒）",
    "flat_band": "卡死判定带宽", "flat_s": "卡死判定时间（秒）",
    "step_size": "跳变幅度", "step_count": "跳变次数",
    "no unit": "无单位",
    "no detectors: its device says its state": "无探测器：状态由设备给出",
    "no detectors: data": "无探测器：仅记录数据",
    "zone": "区域",
    "the site file, or computed from it": "现场文件，或由其计算",
    "from the fire level: drift hides no fire, EN 54-7 clause 4.8":
        "由火警值推算：漂移不会掩盖火情，EN 54-7 第 4.8 条",
    "deadband of the kind, or the site file": "该种类的回差，或现场文件",
    "fire": "火警", "prealarm": "预警", "supervisory": "监管", "fault": "故障", "normal": "正常",
    "manual": "手动报警", "disabled": "屏蔽", "test": "测试", "activated": "启动",
    "feedback": "反馈", "delay": "延时",
}  # fmt: skip
_RECALLED = {"en": "the standard itself was not read", "zh": "凭记忆引用，未核对标准原文"}


def say(text: str, lang: str) -> str:
    """A text of this table in the language; a text that is not in it, as it is."""
    return _ZH.get(text, text) if lang == "zh" else text


def source(text: str, lang: str) -> str:
    """Where a number comes from; says so in full when it was only recalled."""
    marked = text.endswith("[recalled]")
    plain = text.removesuffix("[recalled]").rstrip() if marked else text
    if lang == "zh" and plain.startswith("own choice"):
        plain = "自选" + plain.removeprefix("own choice")
    said = say(plain, lang)
    return f"{said} [recalled]: {_RECALLED[lang]}" if marked else said


def zone(needed: int, window_ns: int, trend_fire: bool, lang: str) -> str:
    """What of its points makes a zone's fire."""
    if lang == "zh":
        text = "一个点即为火警" if needed == 1 else f"{needed} 个点为火警，首个为预警"
        text += f"；首个持续 {window_ns / 1e9:g} 秒即为火警" if window_ns else ""
        return text + ("；单独的趋势即为火警" if trend_fire else "")
    text = "one point is fire" if needed == 1 else f"{needed} points are fire, the first pre-alarm"
    text += f"; a first knock that stands for {window_ns / 1e9:g} s is fire" if window_ns else ""
    return text + ("; a trend alone is fire" if trend_fire else "")
