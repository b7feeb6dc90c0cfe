"""The journal: log records with a message id, so that `journalctl -x` explains them.

Under the service manager a record goes to the journal's own socket as one datagram of fields
(the journal's native protocol); in a trial it goes to standard error. It never waits: a full
socket loses the line, not the cycle, and what matters is in the signed record anyway.
"""

from __future__ import annotations

import logging
import os
import socket
import struct
from collections.abc import Mapping
from pathlib import Path

from config.limits import JOURNAL_TEXT_BYTES_MAX

SOCKET = Path("/run/systemd/journal/socket")

MESSAGE_IDS: Mapping[str, str] = {
    "plan": "b4c4856b87ba4366a64fe7ded465cccf",
    "field.kernel": "0d58d87ef538479da6a1f658a5a82c54",
    "field.safe_mode": "f669bd585933419e873102cd87dfb236",
    "field.latch": "2af9a88277b44c40b34227a1d38a7c58",
    "record.link": "2df1b1a833c842aa92178d51cac50cce",
    "record.disk": "4b982281040d45bc91d6613f1999f5d6",
    "record.alarm_state": "a7624df547674292916bf9dbb813b514",
    "record.events": "965e56f0a82447ebac8a23bdeafb0f65",  # the same for both databases
    "record.telemetry": "965e56f0a82447ebac8a23bdeafb0f65",
    "courier": "c03387853a8b47eaac5655d665aa899f",
}
"""Message id by the source of a notice; a source also stands for what is below it."""

_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


def message_id(source: str) -> str | None:
    """The id of `source`, or of the nearest part of it that has one: "courier.city" → "courier"."""
    while source:
        if source in MESSAGE_IDS:
            return MESSAGE_IDS[source]
        source = source.rpartition(".")[0]
    return None


def datagram(fields: Mapping[str, str]) -> bytes:
    """One journal entry. A value with a line break is sent with its length, not as a line."""
    parts = []
    for name, value in fields.items():
        data = value.encode("utf-8", "replace")[:JOURNAL_TEXT_BYTES_MAX]
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)


class JournalHandler(logging.Handler):
    """Sends records to the journal. `extra={"source": ...}` brings the message id of a source."""

    def __init__(self, path: Path = SOCKET) -> None:
        super().__init__()
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)

    def emit(self, record: logging.LogRecord) -> None:
        """Send one record, or lose it."""
        fields = {
            "MESSAGE": self.format(record),
            "PRIORITY": str(_PRIORITIES.get(record.levelno, 5)),
            "SYSLOG_IDENTIFIER": record.name,
        }
        source = getattr(record, "source", None)
        if isinstance(source, str):
            fields["EMBERGATE_SOURCE"] = source
            if found := message_id(source):
                fields["MESSAGE_ID"] = found
        try:
            self._socket.sendto(datagram(fields), self._path)
        except OSError:
            return  # the journal is full or restarting: see the head of this module

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
        super().close()


def log_to_journal(level: int = logging.INFO) -> None:
    """Set up the logging of a service process: the journal, or standard error in a trial."""
    if os.environ.get("JOURNAL_STREAM") and SOCKET.exists():
        handler: logging.Handler = JournalHandler()
        handler.setFormatter(logging.Formatter("%(message)s"))
    else:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
