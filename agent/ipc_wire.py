"""Messages on the wire: a length and a CBOR map, and the words for what goes wrong."""

from __future__ import annotations

import struct
from typing import Any

import cbor2

from agent.ipc_guests import NotPlain, must_be_plain
from config.limits import IPC_MESSAGE_BYTES_MAX

Message = dict[str, Any]
_LENGTH = struct.Struct(">I")


class IpcError(Exception):
    """The socket cannot be used: absent, closed, or its bytes are not the protocol."""


class Refused(Exception):  # noqa: N818 -- it is an answer, not a failure of the program
    """A request that was understood and refused."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class TurnedAway(IpcError):  # noqa: N818 -- it is an answer, not a failure of the program
    """The server said why it ends the connection."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"refused ({code}): {text}")
        self.code = code
        self.text = text


def encode_message(message: Message) -> bytes:
    """One message on the wire. Raises ValueError when it is larger than the cap."""
    body = cbor2.dumps(message)
    if len(body) > IPC_MESSAGE_BYTES_MAX:
        raise ValueError(f"a message of {len(body)} bytes exceeds {IPC_MESSAGE_BYTES_MAX}")
    return _LENGTH.pack(len(body)) + body


class MessageDecoder:
    """Bytes in, messages out. Raises IpcError once; the stream cannot be resumed after it."""

    def __init__(self, bytes_max: int = IPC_MESSAGE_BYTES_MAX, *, plain: bool = False) -> None:
        self._buffer = bytearray()
        self._bytes_max = bytes_max
        self._plain = plain

    @property
    def waiting(self) -> int:
        """Bytes that are here and not yet a message that was taken."""
        return len(self._buffer)

    def feed(self, data: bytes) -> list[Message]:
        """All messages that `data` completes."""
        self.put(data)
        return list(iter(self.take, None))

    def put(self, data: bytes) -> None:
        """Bytes arrived."""
        self._buffer += data

    def take(self) -> Message | None:
        """The next whole message; None when there is none yet."""
        if len(self._buffer) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._buffer)
        if length > self._bytes_max:
            raise IpcError(f"expected at most {self._bytes_max} bytes, found {length}")
        end = _LENGTH.size + length
        if len(self._buffer) < end:
            return None
        body = bytes(memoryview(self._buffer)[_LENGTH.size : end])
        del self._buffer[:end]
        if self._plain:
            try:
                must_be_plain(body)
            except NotPlain as e:
                raise IpcError(f"a request is not plain: {e}") from e
        return _decode(body)


def _decode(body: bytes) -> Message:
    try:
        message = cbor2.loads(body)
    except Exception as e:  # cbor2 raises many types on hostile bytes
        raise IpcError("a message is not CBOR") from e
    if not isinstance(message, dict) or not all(isinstance(k, str) for k in message):
        raise IpcError("a message is not a map with text keys")
    return message
