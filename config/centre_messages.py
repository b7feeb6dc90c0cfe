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
    "dc09.twice": (
        "'{other}' has zone {value} already: the centre could not tell the two apart",
        "“{other}”已使用防区号 {value}：接警中心将无法区分这两处",
    ),
}
HINTS: dict[str, Pair] = {
    "dc09.slow": ("shorten reply_timeout or lower tries", "请缩短 reply_timeout 或减少 tries"),
    "dc09.twice": (
        "give it a number of its own, or 0 for no zone",
        "请为其分配单独的防区号，或写 0 表示无防区",
    ),
}
