"""What an installer calls a line: /dev/ttyUSB0, tcp:192.0.2.10:502, rtu_tcp:192.0.2.10:4001."""

from __future__ import annotations

import ipaddress

from config.limits import REPLY_TIMEOUT_NS_DEFAULT
from config.plan import Line
from config.words import LineKind

BAUDS = (1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200)
PARITIES = {"none": "N", "even": "E", "odd": "O"}
_PORT_DEFAULT = 502


class ToolError(Exception):
    """A tool cannot do what it was asked: what was expected, what was found, what to do.

    zh: the same in Chinese; without it the English text stands for both.
    """

    def __init__(self, text: str, zh: str = "") -> None:
        super().__init__(text)
        self.zh = zh or text

    def text(self, lang: str) -> str:
        """In that language."""
        return self.zh if lang == "zh" else str(self)


def parse_line(text: str, *, baud: int = 9600, parity: str = "none", stop_bits: int = 1) -> Line:
    """The line that a text names. Raises ToolError."""
    if text.startswith("/"):
        if baud not in BAUDS:
            known = ", ".join(str(b) for b in BAUDS)
            raise ToolError(
                f"--baud: expected one of {known}; found {baud}",
                f"--baud：应为 {known} 之一；实际为 {baud}",
            )
        if parity not in PARITIES:
            raise ToolError(
                f"--parity: expected none, even or odd; found '{parity}'",
                f"--parity：应为 none、even 或 odd；实际为“{parity}”",
            )
        return Line(
            text, LineKind.RS485, serial_port=text, baud=baud, parity=PARITIES[parity],
            stop_bits=stop_bits, reply_timeout_ns=REPLY_TIMEOUT_NS_DEFAULT,
        )  # fmt: skip
    kind, _, rest = text.partition(":")
    host, _, port_text = rest.rpartition(":") if ":" in rest else (rest, "", "")
    try:
        address = str(ipaddress.ip_address(host.strip("[]")))
        port = int(port_text) if port_text else _PORT_DEFAULT
    except ValueError:
        address, port = "", 0
    if kind not in (LineKind.TCP, LineKind.RTU_TCP) or not address or not 1 <= port <= 65_535:
        raise ToolError(
            f"expected a line like /dev/ttyUSB0, tcp:192.0.2.10:502 or rtu_tcp:192.0.2.10:4001; "
            f"found '{text}'",
            "线路应写成 /dev/ttyUSB0、tcp:192.0.2.10:502 或 rtu_tcp:192.0.2.10:4001；"
            f"实际为“{text}”",
        )
    return Line(text, kind, host=address, tcp_port=port, reply_timeout_ns=REPLY_TIMEOUT_NS_DEFAULT)


def setting_text(line: Line) -> str:
    """`9600 8N1`, or the address."""
    if line.kind != LineKind.RS485:
        return f"{line.kind} {line.host}:{line.tcp_port}"
    return f"{line.baud} 8{line.parity}{line.stop_bits}"
