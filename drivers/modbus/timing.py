"""How long bytes and silences take on a line. Pure."""

from __future__ import annotations

from config.limits import REPLY_TIMEOUT_NS_DEFAULT, S
from config.plan import Line
from config.words import LineKind

_RTU_FIXED_SILENCE_ABOVE_BAUD = 19_200  # Modbus over serial line V1.02, 2.5.1.1
_RTU_FIXED_SILENCE_NS = 1_750_000


class LineTiming:
    """How long bytes and silences take on a line, in ns.

    On TCP nothing is counted: the wire is not ours to see. A serial server keeps the RTU silence
    itself.
    """

    def __init__(self, line: Line) -> None:
        self.char_ns = 0
        self.silence_ns = 0
        self.reply_timeout_ns = line.reply_timeout_ns or REPLY_TIMEOUT_NS_DEFAULT
        if line.kind == LineKind.RS485:
            bits = 1 + 8 + (line.parity != "N") + line.stop_bits
            self.char_ns = bits * S // line.baud
            self.silence_ns = (
                _RTU_FIXED_SILENCE_NS
                if line.baud > _RTU_FIXED_SILENCE_ABOVE_BAUD
                else self.char_ns * 7 // 2
            )
        self.quiet_ns = self.silence_ns + line.turnaround_ns
