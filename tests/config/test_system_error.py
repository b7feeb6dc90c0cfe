"""What people read of an error of the operating system."""

from __future__ import annotations

import errno
import socket

import pytest

from config.system_error import reason


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ConnectionRefusedError(errno.ECONNREFUSED, "Connect call failed ('::1', 5)"),
         "Connection refused"),
        (OSError("Multiple exceptions: [Errno 111] Connect call failed ('::1', 5), "
                 "[Errno 111] Connect call failed ('127.0.0.1', 5)"), "Connection refused"),
        (OSError("Multiple exceptions: [Errno 111] a, [Errno 101] b"),
         "Connection refused, Network is unreachable"),
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"),
         "Name or service not known"),
        (OSError(99_999, "a driver's own"), "a driver's own"),
        (ConnectionRefusedError("connected to itself"), "connected to itself"),
        (TimeoutError(), "no answer"),
    ],
)  # fmt: skip
def test_an_error_says_why_and_no_more(error: OSError, text: str) -> None:
    assert reason(error) == text
