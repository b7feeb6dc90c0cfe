"""The little of HTTP that a scrape needs: GET and HEAD of one path, one request a connection.

Everything is bounded: bytes and time of a request, time of an answer, connections. A request that
does not name this machine as its host is refused, so that no web page can read the metrics through
a name that it points here.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from config.limits import S
from config.opendata_limits import (
    SCRAPE_CONNECTIONS_MAX,
    SCRAPE_HEADERS_MAX,
    SCRAPE_READ_NS,
    SCRAPE_REQUEST_BYTES_MAX,
    SCRAPE_WRITE_NS,
)

_TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}")
_TARGET = re.compile(rb"/[\x21-\x7e]{0,1999}")
_VERSION = re.compile(rb"HTTP/([0-9])\.([0-9])")
_VALUE = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_HOST = re.compile(rb"(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]{1,5})?", re.IGNORECASE)
_END = b"\r\n\r\n"

REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed",
    408: "Request Timeout", 421: "Misdirected Request", 431: "Request Header Fields Too Large",
    501: "Not Implemented", 503: "Service Unavailable", 505: "HTTP Version Not Supported",
}  # fmt: skip


class BadRequest(Exception):  # noqa: N818 -- it is an answer, not a failure of the program
    """A request that gets an answer of this status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked. path: without the query."""

    method: str  # GET or HEAD
    path: str


def parse_request(head: bytes) -> Request:
    """A whole head, with the empty line that ends it. Any bytes. Raises BadRequest."""
    if len(head) > SCRAPE_REQUEST_BYTES_MAX:
        raise BadRequest(431, "the request is too long")
    if head.find(_END) != len(head) - len(_END) or len(head) <= len(_END):
        raise BadRequest(400, "no end of the head")
    first, *fields = head[: -len(_END)].split(b"\r\n")
    words = first.split(b" ")
    if len(words) != 3 or not _TOKEN.fullmatch(words[0]):
        raise BadRequest(400, "no request line")
    version = _VERSION.fullmatch(words[2])
    if version is None:
        raise BadRequest(400, "no request line")
    if version[1] != b"1":
        raise BadRequest(505, "HTTP/1.0 and HTTP/1.1 only")
    if not _TARGET.fullmatch(words[1]):
        raise BadRequest(400, "the target is not a path")
    hosts = _hosts(fields)
    if len(hosts) > 1 or (version[2] != b"0" and not hosts):
        raise BadRequest(400, "HTTP/1.1 needs one Host")
    if hosts and not _HOST.fullmatch(hosts[0]):
        raise BadRequest(421, "this machine only: 127.0.0.1, [::1] or localhost")
    if words[0] not in (b"GET", b"HEAD"):
        known = words[0] in (b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"CONNECT")
        raise BadRequest(405 if known else 501, "GET and HEAD only")
    return Request(words[0].decode(), words[1].partition(b"?")[0].decode())


def _hosts(fields: list[bytes]) -> list[bytes]:
    if len(fields) > SCRAPE_HEADERS_MAX:
        raise BadRequest(431, "too many header fields")
    hosts = []
    for line in fields:
        name, colon, value = line.partition(b":")
        if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadRequest(400, "a header field is malformed")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"host":
            hosts.append(value)
        elif name == b"transfer-encoding" or (name == b"content-length" and value != b"0"):
            raise BadRequest(400, "no body is expected")
    return hosts


def answer(status: int, body: bytes, kind: str, *, head: bool = False) -> bytes:
    """The whole answer; the connection ends after it."""
    allow = "Allow: GET, HEAD\r\n" if status == 405 else ""
    return (
        f"HTTP/1.1 {status} {REASONS[status]}\r\nContent-Type: {kind}\r\n"
        f"Content-Length: {len(body)}\r\n{allow}Cache-Control: no-store\r\n"
        "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    ).encode() + (b"" if head else body)


Page = Callable[[Request], Awaitable[tuple[int, str, bytes]]]


class HttpServer:
    """Serves what `page` answers: (status, content type, body) of a request."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.refused = 0

    async def start(self, host: str, port: int) -> int:
        """Listen on loopback; the port. Raises OSError."""
        assert host in ("127.0.0.1", "::1"), "metrics leave this machine through a proxy only"
        self._server = await asyncio.start_server(
            self._serve, host, port, limit=SCRAPE_REQUEST_BYTES_MAX, backlog=16
        )
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close everything."""
        if self._server is not None:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= SCRAPE_CONNECTIONS_MAX:
            self.refused += 1
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            reply = await self._answer(reader)
            async with asyncio.timeout(SCRAPE_WRITE_NS / S):
                writer.write(reply)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError):
            self.refused += 1  # it went away, or does not read
        finally:
            self._open.discard(writer)
            with contextlib.suppress(RuntimeError):  # the loop has ended
                writer.transport.abort()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        try:
            try:
                async with asyncio.timeout(SCRAPE_READ_NS / S):
                    head = await reader.readuntil(_END)
            except asyncio.LimitOverrunError:
                raise BadRequest(431, "the request is too long") from None
            except TimeoutError:
                raise BadRequest(408, "the request did not come in time") from None
            except asyncio.IncompleteReadError:
                raise BadRequest(400, "no end of the head") from None
            request = parse_request(head)
        except BadRequest as e:
            self.refused += 1
            return answer(e.status, f"{e.text}\n".encode(), "text/plain; charset=utf-8")
        status, kind, body = await self._page(request)
        return answer(status, body, kind, head=request.method == "HEAD")
