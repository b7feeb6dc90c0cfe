"""What is said of couriers to alarm receiving centres, in English and Chinese."""

from __future__ import annotations

Pair = tuple[str, str]

TEXTS: dict[str, Pair] = {
    "dc09.digits": (
        "'{value}' is not {least} to {most} hexadecimal digits",
        "“{value}”不是 {least} 到 {most} 位十六进制数字",
    ),
    "dc09.slow": (
        "all tries at all receivers take {value}; a fire has to be at one within {most}",
        "对所有接收机的全部发送需要 {value}；火警须在 {most} 内送达其一",
    ),
}
HINTS: dict[str, Pair] = {
    "dc09.slow": ("shorten reply_timeout or lower tries", "请缩短 reply_timeout 或减少 tries"),
}
