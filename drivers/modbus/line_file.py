"""A recorded line: JSON lines, a header and then one chunk a line with its time.

    {"embergate": "line recording 1", "line": "/dev/ttyUSB0", "baud": 9600, "parity": "N"}
    {"t_ns": 0, "hex": "0103000000 02c40b"}

`t_ns` counts from the first chunk. Anybody can write such a file by hand from a manual.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config.desk_limits import LINE_RECORDING_BYTES_MAX, LINE_RECORDING_CHUNKS_MAX
from config.limits import LINE_BUFFER_BYTES_MAX
from config.plan import Line

HEADER = "line recording 1"


class LineFileError(Exception):
    """A recording of a line cannot be used. The text names file and line."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """Bytes that came together, and when."""

    t_ns: int
    data: bytes


def header_text(line: Line) -> str:
    """The first line of a file."""
    where = line.serial_port or f"{line.host}:{line.tcp_port}"
    body: dict[str, Any] = {"embergate": HEADER, "line": where}
    if line.serial_port:
        body |= {"baud": line.baud, "parity": line.parity, "stop_bits": line.stop_bits}
    return json.dumps(body) + "\n"


def chunk_text(chunk: Chunk) -> str:
    """One line of a file."""
    return json.dumps({"t_ns": chunk.t_ns, "hex": chunk.data.hex()}) + "\n"


def read_line_file(path: Path) -> list[Chunk]:
    """All chunks. Raises LineFileError; never reads more than LINE_RECORDING_BYTES_MAX."""
    try:
        if path.stat().st_size > LINE_RECORDING_BYTES_MAX:
            raise LineFileError(f"{path}: is larger than {LINE_RECORDING_BYTES_MAX} bytes")
        with path.open(encoding="utf-8") as f:
            return list(_chunks(f, str(path)))
    except UnicodeDecodeError as e:
        raise LineFileError(f"{path}: expected a recording of a line, found no text") from e
    except OSError as e:
        raise LineFileError(f"{path}: cannot be read: {e.strerror}") from e


def _chunks(lines: Iterable[str], file: str) -> Iterator[Chunk]:
    last_ns = 0
    for number, text in enumerate(lines, 1):
        if number > LINE_RECORDING_CHUNKS_MAX:
            raise LineFileError(f"{file}: has more than {LINE_RECORDING_CHUNKS_MAX} chunks")
        try:
            row = json.loads(text)
        except (ValueError, RecursionError):
            row = None
        if number == 1:
            if not isinstance(row, dict) or row.get("embergate") != HEADER:
                raise LineFileError(
                    f"{file}:1: expected the header of a line recording; "
                    "'embergate record-line' makes such files"
                )
            continue
        chunk = _chunk(row)
        if chunk is None or chunk.t_ns < last_ns:
            raise LineFileError(
                f'{file}:{number}: expected {{"t_ns": rising, "hex": "..."}}, '
                f"found {text.strip()[:80]!r}"
            )
        last_ns = chunk.t_ns
        yield chunk


def _chunk(row: Any) -> Chunk | None:
    if not isinstance(row, dict):
        return None
    t_ns, text = row.get("t_ns"), row.get("hex")
    if not isinstance(t_ns, int) or isinstance(t_ns, bool) or not isinstance(text, str):
        return None
    try:
        data = bytes.fromhex(text)
    except ValueError:
        return None
    return Chunk(t_ns, data) if 0 < len(data) <= LINE_BUFFER_BYTES_MAX else None
