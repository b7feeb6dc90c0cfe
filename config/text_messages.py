"""Problems of texts of devices, in English and Chinese; config.messages takes them in."""

from __future__ import annotations

Pair = tuple[str, str]

TEXTS: dict[str, Pair] = {
    "text.key": (
        "'{key}' says nothing of a text (type: string)",
        "“{key}”不适用于文本（type: string）",
    ),
    "text.bits": (
        "a text is in registers (holding or input), not in single bits",
        "文本应位于寄存器（holding 或 input），而不是单个位",
    ),
    "text.reference": (
        "'{value}' is a text: it is shown and recorded, and never alarms",
        "“{value}”是文本：仅显示和记录，不会报警",
    ),
}

HINTS: dict[str, Pair] = {
    "text.key": (
        "a text has register, type, length (in registers), encoding, byte_order and poll",
        "文本的键为 register、type、length（寄存器数）、encoding、byte_order 和 poll",
    ),
}
