"""Register addresses in both forms: `input 0` (0-based, as on the wire) and `30001` (1-based).

Modbus Application Protocol V1.1b3, clause 4.4: data item 1 is address 0 in the PDU. Manuals use
five or six digits whose first one names the table; both are read, and both forms are echoed.
"""

from __future__ import annotations

import re

TABLES: dict[str, tuple[int, int]] = {  # word: (read function, first digit of the long form)
    "coil": (1, 0),
    "discrete": (2, 1),
    "holding": (3, 4),
    "input": (4, 3),
}
TABLE_WORDS = {function: word for word, (function, _) in TABLES.items()}
_FUNCTION_BY_DIGIT = {digit: function for function, digit in TABLES.values()}
_DIGIT_BY_FUNCTION = dict(TABLES.values())
_SHORT = re.compile(r"(coil|discrete|input|holding)\s+(\d{1,5})")
ADDRESS_MAX = 65_535
COIL, DISCRETE, HOLDING, INPUT = 1, 2, 3, 4


def parse_register(text: str) -> tuple[int, int] | None:
    """(read function, 0-based address) of either form, or None."""
    text = text.strip()
    if match := _SHORT.fullmatch(text):
        function, address = TABLES[match[1]][0], int(match[2])
    elif text.isascii() and text.isdigit() and len(text) in (5, 6):
        found = _FUNCTION_BY_DIGIT.get(int(text[0]))
        if found is None:
            return None
        function, address = found, int(text[1:]) - 1
    else:
        return None
    return (function, address) if 0 <= address <= ADDRESS_MAX else None


def short_form(function: int, address: int) -> str:
    """`input 0`."""
    return f"{TABLE_WORDS[function]} {address}"


def long_form(function: int, address: int) -> str:
    """`30001`; six digits where five do not reach."""
    digits = 4 if address < 9_999 else 5
    return f"{_DIGIT_BY_FUNCTION[function]}{address + 1:0{digits}d}"
