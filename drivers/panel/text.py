"""Printer and event-text ports: one way, no frames but line ends, events only.

The parser goes by keywords and never by columns: panels move their columns between kinds of
events. A half line that nothing follows is an event, too: some printers get their line end with
the next event, and a fire must not wait for that.
"""

from __future__ import annotations

from config.limits import PANEL_GAP_NS, PANEL_RECORD_BYTES_MAX
from config.plan import Panel
from drivers.panel.rules import Rules, printable
from drivers.panel.talk import Counters, Damage, Heard

_CR, _LF, _ESC = 0x0D, 0x0A, 0x1B


class TextSplitter:
    """Bytes in, records out: lists of lines. At most PANEL_RECORD_BYTES_MAX bytes are held."""

    def __init__(self, *, begin: bytes = b"", blank: bool = False) -> None:
        """`blank`: an empty line ends a record, else every line end does. begin: starts one."""
        self._begin = begin
        self._blank = blank
        self.restart()

    def restart(self) -> None:
        """Forget what is half there."""
        self._line = bytearray()
        self._lines: list[bytes] = []
        self._size = 0
        self._after_cr = False

    @property
    def pending(self) -> bool:
        """Whether something is half there."""
        return self._size > 0

    def feed(self, data: bytes) -> list[list[bytes] | Damage]:
        """The records that are complete now. One that is too long is cut, and told as damage."""
        out: list[list[bytes] | Damage] = []
        for byte in data:
            after_cr, self._after_cr = self._after_cr, byte == _CR
            if byte == _LF and after_cr:
                continue  # CR LF is one line end
            if byte in (_CR, _LF):
                self._end_line(out)
                continue
            self._line.append(byte)
            self._size += 1
            if self._begin and self._line.endswith(self._begin):
                del self._line[-len(self._begin) :]
                self._take(out)
                self._line += self._begin
                self._size = len(self._line)
            elif self._size >= PANEL_RECORD_BYTES_MAX:
                out.append(Damage("expected a line end", self._size))
                self._take(out)
        return out

    def flush(self) -> list[list[bytes] | Damage]:
        """What is half there, as a record."""
        out: list[list[bytes] | Damage] = []
        self._take(out)
        return out

    def _end_line(self, out: list[list[bytes] | Damage]) -> None:
        """A line of blanks is a field that is empty; a line of nothing ends what there is."""
        ends = not self._blank or not self._line
        if self._line:
            self._lines.append(bytes(self._line))
            self._line.clear()
        if ends:
            self._take(out)

    def _take(self, out: list[list[bytes] | Damage]) -> None:
        lines = [*self._lines, bytes(self._line)]
        self._lines, self._size = [], 0
        self._line.clear()
        whole = [line for line in lines if line.strip()]
        if whole:
            out.append(whole)


def text_of(lines: list[bytes], encoding: str) -> list[str]:
    """Readable lines: printer controls removed, each decoded by itself (a lost byte shifts the
    characters of its line, never of the next)."""
    texts = (printable(_plain(line).decode(encoding, "replace")) for line in lines)
    return [text for text in texts if text]


def _plain(line: bytes) -> bytes:
    """Without ESC sequences, all of which have one more byte at the printers known here."""
    parts = line.split(bytes([_ESC]))
    return parts[0] + b"".join(part[1:] for part in parts[1:])


class TextTalk:
    """Listens to a printer port. `Talk`."""

    pipelined = False

    def __init__(self, panel: Panel) -> None:
        self.counters = Counters()
        self._rules = Rules(panel)
        self._encoding = panel.encoding
        self._mark = panel.mark
        self._splitter = TextSplitter(begin=panel.begin, blank=panel.record == "blank")
        self._last_ns = 0

    def receive(self, data: bytes, now_ns: int) -> Heard:
        """Bytes came."""
        self._last_ns = now_ns
        return self._heard(self._splitter.feed(data), whole=True)

    def tick(self, now_ns: int) -> Heard:
        """After a silence a half line is a whole one."""
        if not self._splitter.pending or now_ns - self._last_ns < PANEL_GAP_NS:
            return Heard()
        return self._heard(self._splitter.flush(), whole=False)

    def restart(self) -> None:
        """A new link."""
        self._splitter.restart()

    def _heard(self, records: list[list[bytes] | Damage], *, whole: bool) -> Heard:
        out = Heard()
        for record in records:
            if isinstance(record, Damage):
                self.counters.damaged += 1
                whole = False  # what follows is cut from its other part
                continue
            lines = text_of(record, self._encoding)
            if not lines:
                continue
            self.counters.frames += 1
            words = self._words(record)
            said = self._rules.of_text(
                " ".join(lines), words=words, whole=whole and (words is not None or not self._mark)
            )
            whole = True
            if not self._rules.understood:
                self.counters.not_understood += 1
            if said is not None:
                self.counters.events += 1
                out.said.append(said)
        return out

    def _words(self, record: list[bytes]) -> str | None:
        """The line that says what happened; None when nothing marks it."""
        marked = [line for line in record if self._mark and self._mark in line]
        return " ".join(text_of(marked[:1], self._encoding)) if marked else None
