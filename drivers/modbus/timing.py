"""How long bytes and silences take on a line. Pure."""

from __future__ import annotations

from config.limits import MS, REPLY_TIMEOUT_NS_DEFAULT, S
from config.plan import Line
from config.words import LineKind
from drivers.modbus.frame import Query

_RTU_FIXED_SILENCE_ABOVE_BAUD = 19_200  # Modbus over serial line V1.02, 2.5.1.1
_RTU_FIXED_SILENCE_NS = 1_750_000
_LIKELY_TURNAROUND_NS = 10 * MS  # of a unit that was not yet heard


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

    def request_ns(self, query: Query) -> int:
        """The request on the wire: unit, PDU, CRC."""
        return (len(query.pdu) + 3) * self.char_ns

    def reply_ns(self, query: Query) -> int:
        """The reply on the wire."""
        return (query.reply_bytes + 3) * self.char_ns

    def worst_ns(self, query: Query) -> int:
        """A transaction that meets silence, with the silence before it."""
        return self.quiet_ns + self.request_ns(query) + self.reply_timeout_ns + self.reply_ns(query)

    def likely_ns(self, query: Query) -> int:
        """A transaction with a unit whose turnaround is not known yet."""
        wire_ns = self.request_ns(query) + self.reply_ns(query)
        return self.quiet_ns + wire_ns + min(_LIKELY_TURNAROUND_NS, self.reply_timeout_ns)
