"""Panels of real dialects for the tests, and bytes that were recorded or computed by hand."""

from __future__ import annotations

from config.dialects import dialect_names, load_dialect, rules_for
from config.limits import PANEL_SILENCE_NS
from config.plan import Panel, PanelRule
from config.problems import Problems
from config.words import PanelProtocol

GST_FIRE = bytes.fromhex(
    "1B36 30382F31322F3032 2020 31373A3234 0A 2020 3030342D303034 0A 1B39 CAD7B4CEBBF0BEAF 0A"
    "C8B9C2A5D2BBB2E3C9CFBFD5 0A B8D0D1CCCCBDB2E2C6F7 0A0A"
)
GST_RESET = bytes.fromhex(
    "1B36 30382F31322F3032 2020 31373A3235 0A 2020 0A 1B39 CFB5CDB3B8B4CEBB 0A0A"
)

GB_BEAT = bytes.fromhex("4040 0000 0101 023A091A090C 790300000000 385B01000000 0000 02 88 2323")
GB_FIRE = bytes.fromhex(  # smoke detector, zone 10 point 2, fire; published
    "4040 0100 0101 203A091A090C 790300000000 385B01000000 3000 02 02010101280A0002000200"
    + "20" * 30
    + "00 023A091A090C 46 2323"
)


def panel_of(name: str, on_reset: str = "", device: int = 0) -> Panel:
    """A panel that speaks the dialect `name`, as `embergate plan` makes it."""
    problems = Problems()
    dialect = load_dialect(name, problems)
    assert dialect is not None, [p.text() for p in problems.in_order()]
    rules = rules_for(dialect, (), on_reset or dialect.on_reset)
    return Panel(
        device=device, dialect=name, protocol=str(dialect.protocol), encoding=dialect.encoding,
        silence_ns=0 if dialect.protocol is PanelProtocol.TEXT else PANEL_SILENCE_NS,
        record=dialect.record, begin=dialect.begin, mark=dialect.mark, checksum=dialect.checksum,
        station="2", address=dialect.address, time=dialect.time,
        rules=tuple(PanelRule(r.pattern, str(r.action), int(r.flags), r.address) for r in rules),
    )  # fmt: skip


NAMES = dialect_names()


def espa_block(*records: tuple[str, str], header: str = "1") -> bytes:
    """SOH header STX records ETX BCC."""
    body = header + "\x02" + "\x1e".join(f"{k}\x1f{v}" for k, v in records) + "\x03"
    data = body.encode("latin-1")
    check = 0
    for byte in data:
        check ^= byte
    return b"\x01" + data + bytes([check])
