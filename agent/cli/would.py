"""What a point would do: at a given reading through the real kernel, or as the gateway has it."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import numpy as np

from agent.cli import explain_words as words
from agent.core import kernels as k
from agent.core.records import DETAIL_WORDS
from agent.core.rows import prepare
from agent.core.step import step
from agent.ipc import Client, IpcError, Refused
from config.limits import POINTS_PAGE_MAX, S
from config.plan import PARAMS, Plan
from config.words import FLAG_WORDS, Mode, Quality

HOLD = 60  # samples, one a second: longer than any delay of a fire level by default


def at_value(plan: Plan, index: int, value: float, lang: str) -> str:
    """After a calm start, `value` once a second: what it becomes, and after how many samples."""
    params = np.frombuffer(plan.points.params, "<f8").reshape(len(plan.points), len(PARAMS))[index]
    found = _replay(params, Mode(plan.points.modes[index]), value)
    unit = plan.points.units[index]
    seen = [f"{_flags(bits, lang)}" + (f" ({n})" if n else "") for n, bits in found]
    if lang == "zh":
        return f"若读数为 {value:g} {unit}（括号内为第几次采样，每秒一次）：" + "，然后 ".join(seen)
    return f"at {value:g} {unit}, sampled once a second: " + ", then ".join(seen)


def _replay(params: Any, mode: Mode, value: float) -> list[tuple[int, int]]:
    """(number of the sample, bits) wherever what is said changes; 0: nothing ever does."""
    words_, stamps = np.zeros((1, k.WORDS), np.uint32), np.full((1, k.STAMPS), k.NEVER, np.int64)
    words_[0, k.MODE], words_[0, k.QUALITY] = int(mode), int(Quality.NOT_READY)
    state = np.zeros((1, k.STATES))
    state[0, k.BASELINE] = math.nan
    rows, changed, index = prepare(params[None, :]), np.zeros(1, np.int32), np.zeros(1, np.int32)
    good = np.zeros(1, np.uint8)
    out: list[tuple[int, int]] = []
    last = 0
    for n in range(1, HOLD + 1):
        step(index, np.array([value]), good, n * S, words_, stamps, state, rows, changed)
        bits = int(words_[0, k.BITS]) & (k.FLAG_MASK | k.DETAIL | k.INVALID)
        if bits != last:
            out.append((n, bits))
            last = bits
    return out or [(0, 0)]


def _flags(bits: int, lang: str) -> str:
    said = [words.say(word, lang) for word, flag in FLAG_WORDS.items() if bits & int(flag)]
    if bits & k.TREND and not bits & k.PREALARM:
        said.append(words.say("prealarm", lang))
    if bits & k.FAULTY:
        said.append(words.say("fault", lang))
    detail = [word for word, bit in DETAIL_WORDS.items() if bits & bit]
    if bits & k.INVALID:
        detail.append("a value the sensor cannot produce" if lang == "en" else "传感器不可能的读数")
    text = " + ".join(said) or words.say("normal", lang)
    return text + (f" [{', '.join(detail)}]" if detail else "")


def now(run: Path, name: str, lang: str) -> str:
    """What the running gateway says of the point; why not, when it cannot be asked."""
    try:
        row = asyncio.run(_ask(run / "field.sock", name))
    except (IpcError, Refused, TimeoutError, OSError) as e:
        return (
            f"now: the gateway cannot be asked ({e})"
            if lang == "en"
            else f"现在：无法询问网关（{e}）"
        )
    if row is None:
        return (
            "now: the gateway runs another plan" if lang == "en" else "现在：网关运行的是另一份计划"
        )
    value = "-" if row["value"] is None else f"{row['value']:g} {row['unit']}"
    flags = " + ".join(words.say(word, lang) for word in row["flags"]) or words.say("normal", lang)
    if lang == "zh":
        return f"现在：{value}，{row['quality']}，{row['detector']}，{flags}"
    return f"now: {value}, {row['quality']}, detectors {row['detector']}, {flags}"


async def _ask(path: Path, name: str) -> dict[str, Any] | None:
    client = await Client.connect(path, lambda _message: None)
    try:
        first = 0
        while True:
            reply = await client.call("points", first=first, count=POINTS_PAGE_MAX)
            rows: list[dict[str, Any]] = reply["points"]
            for row in rows:
                if row["name"] == name:
                    return row
            if len(rows) < POINTS_PAGE_MAX:
                return None
            first += POINTS_PAGE_MAX
    finally:
        client.close()
