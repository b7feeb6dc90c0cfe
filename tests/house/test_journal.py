"""The journal's native protocol, against a socket in the journal's place."""

from __future__ import annotations

import logging
import re
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.journal import MESSAGE_IDS, JournalHandler, datagram, message_id

CATALOGUE = Path(__file__).parents[2] / "systemd" / "embergate.catalog"


@pytest.fixture
def journal() -> Iterator[tuple[Path, socket.socket]]:
    with tempfile.TemporaryDirectory(dir="/tmp") as name:  # AF_UNIX paths are short
        path = Path(name) / "socket"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
            receiver.bind(str(path))
            receiver.settimeout(5)
            yield path, receiver


def parse(data: bytes) -> dict[str, str]:
    """The journal's own reading of a datagram."""
    fields = {}
    while data:
        line, _, rest = data.partition(b"\n")
        if b"=" in line:
            name, _, value = line.partition(b"=")
        else:
            name, size = line, int.from_bytes(rest[:8], "little")
            value, rest = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
        data = rest
    return fields


def test_a_fault_carries_the_id_that_the_catalogue_explains(
    journal: tuple[Path, socket.socket],
) -> None:
    path, receiver = journal
    logger = logging.Logger("embergate.field")
    handler = JournalHandler(path)
    logger.addHandler(handler)
    logger.warning("disk\nfull", extra={"source": "record.disk"})
    fields = parse(receiver.recv(65_536))
    handler.close()
    assert fields == {
        "MESSAGE": "disk\nfull",
        "PRIORITY": "4",
        "SYSLOG_IDENTIFIER": "embergate.field",
        "EMBERGATE_SOURCE": "record.disk",
        "MESSAGE_ID": MESSAGE_IDS["record.disk"],
    }


def test_catalogue_and_code_have_the_same_ids() -> None:
    text = CATALOGUE.read_text(encoding="utf-8")
    assert set(re.findall(r"^-- ([0-9a-f]{32})$", text, re.M)) == set(MESSAGE_IDS.values())


def test_a_full_journal_costs_the_line_and_nothing_else(
    journal: tuple[Path, socket.socket],
) -> None:
    path, receiver = journal
    logger = logging.Logger("embergate.field")
    handler = JournalHandler(path)
    logger.addHandler(handler)
    for number in range(10_000):  # nobody reads: the socket is full long before
        logger.info("line %d", number)
    assert parse(receiver.recv(65_536))["MESSAGE"] == "line 0"
    handler.close()


def test_sources_below_a_known_one() -> None:
    assert message_id("courier.city") == MESSAGE_IDS["courier"]
    assert message_id("field") is None
    assert message_id("") is None


@given(st.dictionaries(st.from_regex(r"[A-Z][A-Z_]{0,20}", fullmatch=True), st.text(max_size=200)))
def test_any_text_arrives_as_it_was(fields: dict[str, str]) -> None:
    assert parse(datagram(fields)) == {
        k: v.encode("utf-8", "replace").decode() for k, v in fields.items()
    }
