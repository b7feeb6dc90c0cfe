"""What a line reads beside its points: heartbeats, and texts. Pure.

Each has a request of its own. What fails here fails no point: a text grows old, and a heartbeat
that cannot be read says nothing of the rest of its device.
"""

from __future__ import annotations

from collections.abc import Sequence

from config.limits import TEXT_READS_MAX
from config.plan import Text
from drivers.modbus.frame import Query, read_query
from drivers.reading import TextReading

_PADDING = b" \xff"


class Beside:
    """A request, and what is done with its replies."""

    query: Query

    def took(self, payload: bytes, now_ns: int, *, noisy: bool = False) -> TextReading | None:
        """The registers were read."""
        raise NotImplementedError

    def refused(self, now_ns: int) -> TextReading | None:
        """An exception was the answer."""
        del now_ns
        return None

    @property
    def again(self) -> bool:
        """Whether the last reply is not believed before it was read once more, at once."""
        return False


class Heartbeat(Beside):
    """A register that a living device keeps changing."""

    def __init__(self, unit: int, heartbeat: Sequence[int]) -> None:
        function, address, width, self.freeze_ns = heartbeat
        self.query = read_query(unit, function, address, width)
        self._payload = b""
        self._changed_ns = self._read_ns = 0

    def took(self, payload: bytes, now_ns: int, *, noisy: bool = False) -> None:
        """The register was read; whatever noise makes of it, it moves."""
        del noisy
        if payload != self._payload:
            self._payload, self._changed_ns = payload, now_ns
        self._read_ns = now_ns

    @property
    def frozen(self) -> bool:
        """Whether it was last read with the value that it had `freeze_ns` before, or longer."""
        return self._read_ns - self._changed_ns >= self.freeze_ns


class TextWork(Beside):
    """A text. On a noisy line it is believed when two reads agree, see `doubt`."""

    def __init__(self, index: int, unit: int, text: Text) -> None:
        self.query = read_query(unit, text.function, text.address, text.count)
        self._index, self._text = index, text
        self._believed = b""
        self._reads: list[bytes] = []
        self._again = False

    @property
    def again(self) -> bool:
        return self._again

    def took(self, payload: bytes, now_ns: int, *, noisy: bool = False) -> TextReading | None:
        """The registers were read. None while they are not believed."""
        self._again = False
        if noisy and payload != self._believed and payload not in self._reads:
            self._reads.append(payload)
            self._again = len(self._reads) < TEXT_READS_MAX
            if not self._again:
                self._reads = []  # no two agree: at its next turn
            return None
        self._reads, self._believed = [], payload
        return TextReading(self._index, now_ns, text_of(self._text, payload))

    def refused(self, now_ns: int) -> TextReading | None:
        """The device does not have it, or not now."""
        self._again, self._reads = False, []
        return TextReading(self._index, now_ns, None)


def text_of(text: Text, payload: bytes) -> str:
    """The characters up to a zero byte, without padding; U+FFFD for what is none.

    Never longer than the registers have bytes.
    """
    if text.low_first:
        swapped = bytearray(payload)
        swapped[::2], swapped[1::2] = payload[1::2], payload[::2]
        payload = bytes(swapped)
    body = payload.partition(b"\0")[0].strip(_PADDING)
    found = body.decode(text.encoding, errors="replace")
    return "".join(c if c.isprintable() else "\ufffd" for c in found)
